"""A date and time on somebody's wall is one instant, or it is said why not."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from replysequence.domain.errors import InvalidInput
from replysequence.domain.wall_clock import find_zone, instant, suggestions, zone, zone_names, zone_of

BERLIN = zone("Europe/Berlin")
NEW_YORK = zone("America/New_York")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("shown", "where", "meant"),
    [
        ("2026-11-23T08:00", "Europe/Berlin", "2026-11-23T07:00"),
        ("2027-06-01T08:00", "Europe/Berlin", "2027-06-01T06:00"),
        ("2026-11-23T08:00", "Asia/Kolkata", "2026-11-23T02:30"),
        ("2026-11-23T08:00", "Pacific/Kiritimati", "2026-11-22T18:00"),
        ("2026-11-23T08:00", "America/St_Johns", "2026-11-23T11:30"),
        ("2026-11-23T08:00", "UTC", "2026-11-23T08:00"),
    ],
)
def test_a_time_on_the_wall_is_one_instant(shown: str, where: str, meant: str) -> None:
    found = instant(wall(shown), zone=zone(where))
    assert (found.at, found.twice) == (at(meant), False)


@pytest.mark.parametrize("minute", ["02:00", "02:30", "02:59"])
def test_a_time_that_the_clocks_leave_out_is_refused_with_the_reason(minute: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        instant(wall(f"2027-03-28T{minute}"), zone=BERLIN)
    assert refused.value.field == "send_at"
    assert f"{minute} does not exist on 28 Mar 2027 in Europe/Berlin" in refused.value.message
    assert "after 01:59 comes 03:00" in refused.value.message


@pytest.mark.parametrize(
    ("shown", "meant"), [("2027-03-28T01:59", "2027-03-28T00:59"), ("2027-03-28T03:00", "2027-03-28T01:00")]
)
def test_the_minutes_around_a_gap_exist(shown: str, meant: str) -> None:
    assert instant(wall(shown), zone=BERLIN).at == at(meant)


def test_a_day_that_was_left_out_whole_does_not_exist() -> None:
    with pytest.raises(InvalidInput, match="after 23:59 comes 00:00"):
        instant(wall("2011-12-30T12:00"), zone=zone("Pacific/Apia"))


@pytest.mark.parametrize(
    ("shown", "meant", "twice"),
    [
        ("2027-10-31T01:59", "2027-10-30T23:59", False),
        ("2027-10-31T02:00", "2027-10-31T00:00", True),
        ("2027-10-31T02:59", "2027-10-31T00:59", True),
        ("2027-10-31T03:00", "2027-10-31T02:00", False),
    ],
)
def test_of_a_time_that_comes_twice_the_first_is_meant(shown: str, meant: str, *, twice: bool) -> None:
    found = instant(wall(shown), zone=BERLIN)
    assert (found.at, found.twice) == (at(meant), twice)


@pytest.mark.parametrize(("day", "where"), [("0001-01-01", "Asia/Tokyo"), ("9999-12-31", "America/New_York")])
def test_a_date_beyond_the_calendar_is_refused(day: str, where: str) -> None:
    time = "00:00" if day.startswith("0") else "23:59"
    with pytest.raises(InvalidInput, match="beyond the calendar"):
        instant(wall(f"{day}T{time}"), zone=zone(where))


def test_every_zone_shows_every_instant_of_a_year_as_a_wall_time_that_leads_back_to_it() -> None:
    start = at("2026-11-22T12:34")
    for name in zone_names():
        there = zone(name)
        for weeks in range(0, 52, 4):
            moment = start + timedelta(weeks=weeks)
            shown = moment.astimezone(there).replace(tzinfo=None)
            assert instant(shown, zone=there).at == moment, (name, shown)


@pytest.mark.parametrize(
    ("now", "there", "expected"),
    [
        # A Sunday evening: tomorrow is Monday, and is offered once.
        ("2026-11-22T18:00", BERLIN, ["2026-11-23T08:00", "2026-11-23T13:00"]),
        # The same instant on the other side: a Sunday at one o'clock.
        ("2026-11-22T18:00", NEW_YORK, ["2026-11-23T08:00", "2026-11-23T13:00"]),
        ("2026-11-25T10:00", BERLIN, ["2026-11-26T08:00", "2026-11-26T13:00", "2026-11-30T08:00"]),
        # After midnight "the next morning" is the one of this day.
        (
            "2026-11-25T23:30",
            BERLIN,
            ["2026-11-26T08:00", "2026-11-27T08:00", "2026-11-27T13:00", "2026-11-30T08:00"],
        ),
    ],
)
def test_the_suggestions_are_mornings_and_an_afternoon_to_come(
    now: str, there: object, expected: list[str]
) -> None:
    found = suggestions(at(now), zone=there)  # type: ignore[arg-type]
    assert list(found) == [wall(each) for each in expected]


def test_what_the_clocks_leave_out_is_not_suggested() -> None:
    thursday = suggestions(at("2011-12-29T20:00"), zone=zone("Pacific/Apia"))
    assert thursday == (wall("2012-01-02T08:00"),)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin ", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("America/New York", "America/New_York"),
        ("utc", "UTC"),
        ("Asia/Calcutta", "Asia/Calcutta"),
        ("US/Eastern", "US/Eastern"),
    ],
)
def test_a_zone_is_found_by_its_name_or_its_city(typed: str, meant: str) -> None:
    assert find_zone(typed) == meant


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("Argentina", "Several zones fit, such as America/Argentina/Buenos_Aires"),
        ("Atlantis", "no such time zone"),
        ("", "no such time zone"),
        ("../../etc/passwd", "no such time zone"),
    ],
)
def test_what_names_no_single_zone_is_refused_with_what_comes_close(typed: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        find_zone(typed)
    assert refused.value.field == "time_zone"


def test_a_name_that_this_machine_does_not_know_reads_as_utc() -> None:
    assert [str(zone(name)) for name in (None, "Mars/Olympus", "../zone", "")] == ["UTC"] * 4
    assert zone_of("Europe/Berlin") == "Europe/Berlin"
    assert zone_of("Mars/Olympus") is None


def test_the_names_to_choose_from_are_places() -> None:
    names = zone_names()
    assert names[0] == "UTC"
    assert {"Europe/Berlin", "Asia/Tokyo", "America/Sao_Paulo"} <= set(names)
    assert [name for name in names if name.startswith(("Etc/", "US/", "posix"))] == []


def test_a_machine_without_a_time_zone_database_knows_every_zone() -> None:
    program = "from replysequence.domain.wall_clock import zone_names; print(*zone_names())"
    bare = os.environ | {"PYTHONTZPATH": ""}
    told = subprocess.run(
        [sys.executable, "-c", program], env=bare, capture_output=True, text=True, check=True
    )
    assert {"Europe/Berlin", "America/New_York", "Asia/Kolkata"} <= set(told.stdout.split())
