"""One entry for each real meeting, and who gets its follow-up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from replysequence.domain.address import Address
from replysequence.domain.meeting import (
    MAX_TITLE,
    Attendee,
    Entry,
    Response,
    Told,
    links_in,
    merge,
    one_line,
    recipients,
)

TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)
ALICE = "alice@acme.example"
MAYA = Attendee("maya@northwind.example", "Maya Lindqvist", Response.ACCEPTED)
BEN = Attendee("ben@northwind.example", "Ben Berg", Response.DECLINED)
CY = Attendee("cy@northwind.example")

_numbers = count(1)


def event(at: datetime = TEN, *, place: str = "zoom:1", **changes: Any) -> Told:
    """An event of a calendar."""
    entry = Entry(f"event-{next(_numbers)}", "Kick-off", at, at + HALF_AN_HOUR, attendees=(MAYA,))
    return Told(entry.id, "calendar", True, replace(entry, **changes), place)


def call(
    at: datetime = TEN, *, place: str = "zoom:1", came: tuple[Attendee, ...] = (), **changes: Any
) -> Told:
    """A meeting as a platform saw it."""
    entry = Entry(f"call-{next(_numbers)}", "Zoom meeting", at, at + HALF_AN_HOUR)
    return Told(entry.id, "platform", False, replace(entry, **changes), place, came)


def merged(*told: Told) -> list[tuple[str, ...]]:
    """The ids of what belongs together."""
    return [each.ids for each in merge(told, own=[ALICE])]


def test_an_event_and_what_took_place_there_are_one_meeting() -> None:
    planned, held = event(), call(TEN + timedelta(minutes=7))

    [meeting] = merge([held, planned], own=[ALICE])
    assert meeting.ids == (planned.id, held.id)
    assert (meeting.id, meeting.title, meeting.starts_at) == (planned.id, "Kick-off", TEN)
    assert meeting.lasted == HALF_AN_HOUR


@pytest.mark.parametrize("late", [timedelta(minutes=-31), timedelta(hours=1, minutes=1), timedelta(days=7)])
def test_what_took_place_there_at_another_time_is_another_meeting(late: timedelta) -> None:
    planned, held = event(), call(TEN + late)

    assert len(merged(planned, held)) == 2


def test_each_of_two_meetings_in_one_room_finds_its_own_event() -> None:
    first, second = event(), event(TEN + HALF_AN_HOUR)
    early, late = call(TEN - timedelta(minutes=2)), call(TEN + timedelta(minutes=28))

    assert merged(first, second, early, late) == [(first.id, early.id), (second.id, late.id)]


def test_a_meeting_that_broke_off_and_began_again_is_one() -> None:
    planned, first, second = event(), call(), call(TEN + timedelta(minutes=12))

    [meeting] = merge([planned, first, second], own=[ALICE])
    assert meeting.ids == (planned.id, first.id, second.id)
    assert meeting.lasted == 2 * HALF_AN_HOUR


def test_one_event_in_two_calendars_is_one_meeting() -> None:
    for uid, place in (("uid@acme", ""), ("", "meet:abc")):
        mine, shared = event(uid=uid, place=place), event(uid=uid, place=place)
        assert merged(mine, shared) == [tuple(sorted([mine.id, shared.id]))]


def test_the_occurrences_of_a_series_stay_apart_though_uid_and_room_are_the_same() -> None:
    monday, tuesday = event(uid="series@acme"), event(TEN + timedelta(days=1), uid="series@acme")
    held = call(TEN + timedelta(days=1, minutes=1))

    assert merged(monday, tuesday, held) == [(monday.id,), (tuesday.id, held.id)]


def test_nothing_belongs_together_without_a_place_and_a_uid() -> None:
    assert len(merged(event(place=""), event(place=""), call(place=""), call(place=""))) == 4


def test_without_a_calendar_a_call_stands_for_itself() -> None:
    held, again = call(), call(TEN + timedelta(minutes=5))
    other_day = call(TEN + timedelta(days=1))

    assert merged(held, again, other_day) == [(held.id, again.id), (other_day.id,)]


def test_what_was_called_off_and_took_place_after_all_is_not_hidden() -> None:
    off, held = event(cancelled=True), call()
    [first, second] = merge([off, held], own=[ALICE])

    assert {first.cancelled, second.cancelled} == {True, False}


def test_own_addresses_and_own_names_are_left_out() -> None:
    me = Attendee("alice@acme.example", "Alice", Response.ACCEPTED)
    planned = event(attendees=(me, MAYA))
    held = call(came=(Attendee("", "Alice Example", came=True), Attendee("", "Maya Lindqvist", came=True)))

    [meeting] = merge([planned, held], own=["ALICE@acme.example", "alice example"])
    assert [(each.email, each.came) for each in meeting.attendees] == [(MAYA.email, True)]


def test_who_came_is_known_by_address_or_else_by_the_name_of_somebody_invited() -> None:
    planned = event(attendees=(MAYA, BEN, CY))
    came = (
        Attendee("cy@northwind.example", "Cy", came=True),
        Attendee("", "maya lindqvist", came=True),
        Attendee("", "+46 70 *** 12", came=True),
    )

    [meeting] = merge([planned, call(came=came)], own=[ALICE])
    assert meeting.came_known
    assert [(each.email, each.name, each.came) for each in meeting.attendees] == [
        (MAYA.email, "Maya Lindqvist", True),
        (BEN.email, "Ben Berg", False),
        (CY.email, "Cy", True),
        ("", "+46 70 *** 12", True),
    ]


def test_a_follow_up_goes_to_who_came_or_had_accepted() -> None:
    declined_and_came = call(came=(Attendee(BEN.email, came=True), Attendee("", "A guest", came=True)))
    [meeting] = merge([event(attendees=(MAYA, BEN, CY)), declined_and_came], own=[ALICE])

    assert recipients(meeting) == (Address("Maya Lindqvist", MAYA.email), Address("Ben Berg", BEN.email))


def test_when_nobody_accepted_it_goes_to_everybody_who_did_not_decline() -> None:
    maybe = replace(CY, response=Response.TENTATIVE)
    [meeting] = merge([event(attendees=(BEN, maybe))], own=[ALICE])

    assert recipients(meeting) == (Address("", CY.email),)


def test_only_what_has_begun_and_stands_can_be_followed_up() -> None:
    [running] = merge([event()], own=[])
    [all_day] = merge([event(all_day=True)], own=[])
    [off] = merge([event(cancelled=True)], own=[])

    assert running.can_be_followed_up(at=TEN)
    assert not running.can_be_followed_up(at=TEN - timedelta(seconds=1))
    assert not all_day.can_be_followed_up(at=TEN)
    assert not off.can_be_followed_up(at=TEN)


def test_ten_thousand_entries_are_merged_at_once() -> None:
    days = [TEN + timedelta(minutes=3 * n) for n in range(5000)]
    told = [*(event(at, place=f"zoom:{n}") for n, at in enumerate(days))]
    told += [call(at, place=f"zoom:{n}") for n, at in enumerate(days)]

    meetings = merge(told, own=[ALICE])
    assert len(meetings) == 5000
    assert all(len(each.ids) == 2 for each in meetings)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("  a\r\nBcc: eve@evil.example\n", "a Bcc: eve@evil.example"),
        ("\x07\x1b[31m red", "\ufffd\ufffd[31m red"),
        ("\u202etxt.exe\u202c", "\ufffdtxt.exe\ufffd"),
        ("x" * 10_000, "x" * (MAX_TITLE - 1) + "…"),
        (None, ""),
        ({"a": 1}, ""),
        ("🎯 مرحبا", "🎯 مرحبا"),
    ],
)
def test_a_title_is_made_fit_for_one_line(written: object, shown: str) -> None:
    assert one_line(written) == shown


def test_links_are_found_in_what_people_write() -> None:
    text = 'Join <a href="https://zoom.us/j/123?pwd=a.1">here</a> (https://meet.google.com/abc-defg-hij).'

    assert links_in(None, text, "https://zoom.us/j/123?pwd=a.1", 7) == (
        "https://zoom.us/j/123?pwd=a.1",
        "https://meet.google.com/abc-defg-hij",
    )
    assert links_in("javascript:alert(1) http://plain.example/x") == ()
