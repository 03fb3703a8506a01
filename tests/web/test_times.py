"""An instant reads as the clock on the reader's own wall, with the zone wherever it matters."""

from datetime import UTC, datetime

import pytest
from jinja2 import Environment
from markupsafe import Markup

from replysequence.domain.wall_clock import zone
from replysequence.web import times

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def shown(filter_name: str, at: datetime, *, where: str, now: datetime = NOON) -> str:
    environment = Environment(autoescape=True)
    environment.filters[filter_name] = getattr(times, filter_name)
    html = environment.from_string(f"{{{{ at | {filter_name} }}}}").render(at=at, zone=zone(where), now=now)
    return Markup(html).striptags()


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("Europe/Berlin", "Mon 23 Nov 2026, 13:00 CET (UTC+1)"),
        ("Asia/Kolkata", "Mon 23 Nov 2026, 17:30 IST (UTC+5:30)"),
        ("America/Sao_Paulo", "Mon 23 Nov 2026, 09:00 UTC-3"),
        ("America/St_Johns", "Mon 23 Nov 2026, 08:30 NST (UTC-3:30)"),
        ("Pacific/Kiritimati", "Tue 24 Nov 2026, 02:00 UTC+14"),
        ("UTC", "Mon 23 Nov 2026, 12:00 UTC"),
    ],
)
def test_a_chosen_time_is_shown_with_day_zone_and_offset(where: str, text: str) -> None:
    assert shown("exactly", NOON, where=where) == text


def test_a_moment_is_short_and_says_utc_where_nobody_told_a_zone() -> None:
    assert shown("moment", NOON, where="Europe/Berlin") == "23 Nov 2026, 13:00"
    assert shown("moment", NOON, where="UTC") == "23 Nov 2026, 12:00 UTC"


def test_a_departure_of_today_needs_no_date() -> None:
    later = NOON.replace(hour=23, minute=30)
    assert shown("about", later, where="UTC") == "23:30 UTC"
    assert shown("about", later, where="Europe/Berlin") == "Tue 24 Nov 2026, 00:30 CET (UTC+1)"


def test_the_machine_readable_time_stays_the_instant() -> None:
    environment = Environment(autoescape=True)
    environment.filters["moment"] = times.moment
    html = environment.from_string("{{ at | moment }}").render(at=NOON, zone=zone("Asia/Tokyo"), now=NOON)
    assert html == (
        '<time datetime="2026-11-23T12:00:00+00:00" title="Mon 23 Nov 2026, 21:00 JST (UTC+9)">'
        "23 Nov 2026, 21:00</time>"
    )


@pytest.mark.parametrize(("second", "left"), [(0, 0), (1, 1), (30, 30)])
def test_seconds_left_are_whole_and_never_less_than_none(second: int, left: int) -> None:
    assert shown("seconds_left", NOON.replace(second=second), where="UTC") == str(left)
    assert shown("seconds_left", NOON.replace(hour=11), where="UTC") == "0"
