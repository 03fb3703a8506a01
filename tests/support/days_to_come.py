"""Days that lie ahead whenever the tests run: for times that a person plans."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

from replysequence.domain.errors import InvalidInput
from replysequence.domain.wall_clock import instant, zone

MOST_DAYS = 330
"""Less than a send may be planned ahead."""
CHANGING = ("Europe/Berlin", "Australia/Sydney")
"""Zones whose clocks change in the night, each at another time of the year; both at the time of day below."""
NIGHT = time(2, 30)


def in_month(month: int, *, at: time = time(9)) -> datetime:
    """The first or fifteenth of that month, whichever comes next, at that time on the wall."""
    return next(wall for wall in _walls(at) if wall.month == month and wall.day in {1, 15})


def comes_twice() -> tuple[str, datetime]:
    """A zone, and a time on its wall that the clocks there will show twice."""
    return next(
        (name, wall)
        for name in CHANGING
        for wall in _walls(NIGHT)
        if _exists(name, wall) and instant(wall, zone=zone(name)).twice
    )


def never_comes() -> tuple[str, datetime]:
    """A zone, and a time that the clocks there will leave out."""
    return next((name, wall) for name in CHANGING for wall in _walls(NIGHT) if not _exists(name, wall))


def _walls(at: time) -> Iterator[datetime]:
    today = datetime.now(UTC).date()
    return (datetime.combine(today + timedelta(days=days), at) for days in range(2, MOST_DAYS))


def _exists(name: str, wall: datetime) -> bool:
    try:
        instant(wall, zone=zone(name))
    except InvalidInput:
        return False
    return True
