"""“Send later”: a date and time on the reader's own clock, offered, read, and refused with the reason."""

from dataclasses import dataclass
from datetime import UTC, datetime

from replysequence.domain.errors import InvalidInput
from replysequence.domain.wall_clock import AFTERNOON, Instant, instant, suggestions, zone
from replysequence.services.signing_in import Person
from replysequence.web import times
from replysequence.web.notices import Notice


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``value`` is what a button sends: ``2026-11-23T08:00``; a page that was open over night means the same day."""

    value: str
    label: str
    shown: str


@dataclass(frozen=True, slots=True)
class Later:
    """What a page offers: the name of the zone, what its clocks show, good times, and what somebody typed."""

    zone: str
    now: str
    suggestions: tuple[Suggestion, ...]
    typed: str


def offered(person: Person, *, typed: str = "") -> Later:
    """The choice of a later time for ``person``."""
    now, there = datetime.now(UTC), zone(person.time_zone)
    today = now.astimezone(there).replace(tzinfo=None)
    return Later(
        zone=str(there),
        now=times.clock(now, zone=there),
        suggestions=tuple(_suggestion(wall, today=today) for wall in suggestions(now, zone=there)),
        typed=typed,
    )


def chosen(typed: str, *, person: Person) -> Instant | None:
    """The instant of a date and time on the person's clock; none when nothing was typed.

    Raises :class:`InvalidInput` for what is no time, has passed, or is left out when the clocks go forward.
    """
    if not typed.strip():
        return None
    there, now = zone(person.time_zone), datetime.now(UTC)
    found = instant(_wall(typed.strip()), zone=there)
    if found.at <= now:
        raise InvalidInput(
            "send_at",
            f"{times.full(found.at, zone=there)} has passed: it is {times.full(now, zone=there)} now."
            " Choose a later time.",
        )
    return found


def required(typed: str, *, person: Person) -> Instant:
    """The same where a time has to be given. Raises as :func:`chosen` does."""
    found = chosen(typed, person=person)
    if found is None:
        raise InvalidInput("send_at", "Choose a date and a time.")
    return found


def note(found: Instant, *, person: Person) -> Notice | None:
    """What to say of a time that comes twice."""
    if not found.twice:
        return None
    shown = times.clock(found.at, zone=zone(person.time_zone))
    return Notice(
        "info", f"The clocks go back on that day, and this time comes twice. The first is taken: {shown}."
    )


def _wall(typed: str) -> datetime:
    try:
        wall = datetime.fromisoformat(typed)
    except ValueError:
        wall = None
    if wall is None or wall.tzinfo is not None:
        raise InvalidInput("send_at", "This is not a date and time. Write it like 2026-11-23 08:00.")
    return wall


def _suggestion(wall: datetime, *, today: datetime) -> Suggestion:
    days = (wall.date() - today.date()).days
    day = {0: "This", 1: "Tomorrow"}.get(days, f"{wall:%A}")
    part = "afternoon" if wall.time() >= AFTERNOON else "morning"
    return Suggestion(
        value=wall.isoformat(timespec="minutes"),
        label=f"{day} {part}",
        shown=f"{wall:%a} {wall.day} {wall:%b}, {wall:%H:%M}",
    )
