"""Times as people read them off the clock on their wall: a time zone by its IANA name, a date and time there, and the
instant that this is.

The rules of the zones are those of the IANA time zone database that ``zoneinfo`` finds on this machine, or else in the
package ``tzdata``.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from replysequence.domain.errors import InvalidInput

MORNING = time(8)
AFTERNOON = time(13)

_REGIONS = frozenset(
    {
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Europe",
        "Indian",
        "Pacific",
    }
)
_MOST_GUESSES = 5


@dataclass(frozen=True, slots=True)
class Instant:
    """``at``: when it is, in UTC. ``twice``: the clock shows this time twice on that day, and ``at`` is the first."""

    at: datetime
    twice: bool = False


@cache
def zone_names() -> tuple[str, ...]:
    """The names to choose from, by region; what else the database knows are old names and bare offsets."""
    return ("UTC", *sorted(name for name in _known() if name.partition("/")[0] in _REGIONS))


def zone(name: str | None) -> tzinfo:
    """The zone of that name. UTC for none, and for a name that this machine's database does not have (any more)."""
    return ZoneInfo(name) if name in _known() and name is not None else UTC


def zone_of(name: str) -> str | None:
    """``name`` when it is a zone's, as a browser tells it; else none."""
    return name if name == "UTC" or name in _known() else None


def find_zone(typed: str) -> str:
    """The name of the zone that somebody means: its name in any letters, or a part that no other has, such as the city.

    Raises :class:`InvalidInput` (``time_zone``), with the names that come close.
    """
    wanted = _plain(typed)
    names = {_plain(name): name for name in (*sorted(_known()), *zone_names())}
    if wanted in names:
        return names[wanted]
    cities = [name for name in zone_names() if _plain(name).rpartition("/")[2] == wanted]
    guesses = cities or [name for name in zone_names() if wanted and wanted in _plain(name)]
    if len(guesses) == 1:
        return guesses[0]
    if guesses:
        said = ", ".join(guesses[:_MOST_GUESSES])
        raise InvalidInput("time_zone", f"Several zones fit, such as {said}. Choose one of them.")
    raise InvalidInput(
        "time_zone", "There is no such time zone. Choose one of the list, such as Europe/Berlin."
    )


def instant(wall: datetime, *, zone: tzinfo) -> Instant:
    """When the clocks in ``zone`` show ``wall``, a date and time without an offset.

    Where the clocks go back, a time comes twice, and the first one is meant. Raises :class:`InvalidInput`
    (``send_at``) for a time that the clocks leave out when they go forward, and for one beyond the calendar.
    """
    try:
        before, after = _offsets(wall, zone=zone)
        if before < after:
            raise InvalidInput("send_at", _left_out(wall, zone=zone))
        return Instant(at=(wall - before).replace(tzinfo=UTC), twice=before > after)
    except OverflowError:
        raise InvalidInput("send_at", "This date lies beyond the calendar.") from None


def suggestions(at: datetime, *, zone: tzinfo) -> tuple[datetime, ...]:
    """Good times to send something later than ``at``, as the clocks in ``zone`` show them: the next morning, the
    afternoon after it, and Monday morning.
    """
    here = at.astimezone(zone)
    today = here.date()
    tomorrow = today + timedelta(days=1)
    monday = today + timedelta(days=7 - today.weekday())
    wanted = (
        datetime.combine(today, MORNING),
        datetime.combine(tomorrow, MORNING),
        datetime.combine(tomorrow, AFTERNOON),
        datetime.combine(monday, MORNING),
    )
    return tuple(
        sorted({wall for wall in wanted if wall > here.replace(tzinfo=None) and _exists(wall, zone=zone)})
    )


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def _plain(name: str) -> str:
    return "_".join(name.strip().casefold().replace("_", " ").split())


def _offsets(wall: datetime, *, zone: tzinfo) -> tuple[timedelta, timedelta]:
    """What is to be taken from ``wall`` for UTC, by the clock before a change and by the one after it (PEP 495)."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return first, second


def _exists(wall: datetime, *, zone: tzinfo) -> bool:
    before, after = _offsets(wall, zone=zone)
    return before >= after


def _nearest(wall: datetime, *, step: timedelta, zone: tzinfo) -> datetime:
    while not _exists(wall, zone=zone):
        wall += step
    return wall


def _left_out(wall: datetime, *, zone: tzinfo) -> str:
    minute = wall.replace(second=0, microsecond=0)
    until, onwards = (_nearest(minute, step=timedelta(minutes=step), zone=zone) for step in (-1, 1))
    return (
        f"{wall:%H:%M} does not exist on {wall.day} {wall:%b %Y} in {zone}: the clocks go forward, and after"
        f" {until:%H:%M} comes {onwards:%H:%M}. Choose a time before or after that."
    )
