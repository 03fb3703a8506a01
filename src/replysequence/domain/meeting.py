"""Meetings: what a calendar or a meeting platform says of one, and how that becomes one entry per real meeting.

Whatever a source says was written by strangers (anybody can send an invitation), so a title or a name is made fit to
be shown in one line before it gets any further.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from replysequence.domain.address import Address
from replysequence.domain.characters import shortened

MAX_TITLE = 200
MAX_NAME = 100
MOST_ATTENDEES = 200
MOST_LINKS = 20
BEFORE, AFTER = timedelta(minutes=30), timedelta(minutes=30)
"""How much earlier and later than its calendar entry a meeting may take place and still be that one."""

_LINK = re.compile(r"https://[^\s<>\"'()\[\]{}|\\^`]{4,2000}")


class Response(StrEnum):
    """What an attendee answered to the invitation."""

    ACCEPTED = "accepted"
    TENTATIVE = "tentative"
    DECLINED = "declined"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Attendee:
    """Somebody who was invited, or came. ``email`` is empty where the source does not tell it, in lower case else.

    ``came`` is what a meeting platform saw; false says nothing where no platform was asked.
    """

    email: str
    name: str = ""
    response: Response = Response.NONE
    came: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What one source says of one meeting. ``id`` is the source's own, for this one occurrence.

    ``uid`` is the same in every calendar that has the meeting; ``links`` are the places where it may take place, the
    likeliest first; ``url`` opens it at the source. Times are aware UTC; an all-day entry lasts from midnight to
    midnight, UTC.
    """

    id: str
    title: str
    starts_at: datetime
    ends_at: datetime
    attendees: tuple[Attendee, ...] = ()
    links: tuple[str, ...] = ()
    uid: str = ""
    url: str = ""
    all_day: bool = False
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What a meeting platform knows of a meeting that is over.

    ``summary`` may have several lines. ``notes_url`` opens notes that the platform keeps and does not hand out.
    """

    came: tuple[Attendee, ...] = ()
    recording: bool = False
    transcript: bool = False
    summary: str = ""
    action_items: tuple[str, ...] = ()
    notes_url: str = ""

    @property
    def has_summary(self) -> bool:
        """Whether there is anything in words about it."""
        return bool(self.summary or self.action_items or self.notes_url)


@dataclass(frozen=True, slots=True)
class Told:
    """An entry as it is kept: with an id of ours, from which connection, and what is known since it was over.

    ``join_key`` says in the words of its platform where it takes place, however the link to it is written.
    """

    id: str
    connection_id: str
    from_calendar: bool
    entry: Entry
    join_key: str = ""
    came: tuple[Attendee, ...] = ()
    recording: bool = False
    transcript: bool = False
    has_summary: bool = False


@dataclass(frozen=True, slots=True)
class Meeting:
    """One real meeting, put together from all that is told of it. ``id`` is that of its leading entry.

    ``attendees`` are the others: neither the person's own addresses nor rooms. ``lasted`` is how long the platform saw
    it last. ``came_known``: a platform says who came.
    """

    id: str
    title: str
    starts_at: datetime
    ends_at: datetime
    all_day: bool
    cancelled: bool
    attendees: tuple[Attendee, ...]
    link: str
    url: str
    told: tuple[Told, ...] = field(repr=False)
    lasted: timedelta | None = None
    came_known: bool = False
    recording: bool = False
    transcript: bool = False
    has_summary: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of everything that is told of it, its own first."""
        return tuple(each.id for each in self.told)

    @property
    def connection_ids(self) -> tuple[str, ...]:
        """Who tells of it."""
        return tuple(dict.fromkeys(each.connection_id for each in self.told))

    def can_be_followed_up(self, *, at: datetime) -> bool:
        """Whether it has begun, was not called off, and is no day in the calendar."""
        return self.starts_at <= at and not self.cancelled and not self.all_day


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when, aware UTC."""

    since: datetime
    until: datetime


def one_line(text: object, *, limit: int = MAX_TITLE) -> str:
    """What a source wrote, fit to be shown in one line: empty when it is no text."""
    if not isinstance(text, str):
        return ""
    return shortened(" ".join(text[: 4 * limit].split()), limit=limit)


def links_in(*texts: object) -> tuple[str, ...]:
    """The https links in ``texts``, in their order, each once."""
    found = (
        link.rstrip(".,;:!?&")
        for text in texts
        if isinstance(text, str)
        for link in _LINK.findall(text[:20_000])
    )
    return tuple(dict.fromkeys(found))[:MOST_LINKS]


def merge(told: Iterable[Told], *, own: Collection[str]) -> list[Meeting]:
    """One meeting for each that really took or takes place, by start; ``own`` are the person's addresses and names.

    Entries of calendars belong together when they have one uid, or one place, at one start. What a platform tells
    belongs to the entry for the same place whose time is nearest; where there is none it stands for itself, together
    with what else took place there at that time.
    """
    calendars, platforms = _parted(told)
    groups: list[list[Told]] = []
    of_event: dict[tuple[str, datetime], list[Told]] = {}
    at_place: defaultdict[str, list[list[Told]]] = defaultdict(list)
    for each in calendars:
        keys = [(key, each.entry.starts_at) for key in (each.entry.uid, each.join_key) if key]
        group = next((of_event[key] for key in keys if key in of_event), None)
        if group is None:
            group = []
            groups.append(group)
            if each.join_key:
                at_place[each.join_key].append(group)
        group.append(each)
        for key in keys:
            of_event.setdefault(key, group)
    for each in platforms:
        group = _nearest(each, at_place[each.join_key]) if each.join_key else None
        if group is None:
            group = []
            groups.append(group)
            if each.join_key:
                at_place[each.join_key].append(group)
        group.append(each)
    mine = {each.casefold() for each in own if each}
    return sorted((_meeting(group, own=mine) for group in groups), key=lambda each: (each.starts_at, each.id))


def recipients(meeting: Meeting) -> tuple[Address, ...]:
    """Who gets a follow-up: whoever came or had accepted. When that is nobody, everybody who did not decline."""
    reachable = [each for each in meeting.attendees if each.email]
    there = [each for each in reachable if each.came or each.response is Response.ACCEPTED]
    wanted = there or [each for each in reachable if each.response is not Response.DECLINED]
    return tuple(Address(each.name, each.email) for each in wanted)


def _parted(told: Iterable[Told]) -> tuple[list[Told], list[Told]]:
    ordered = sorted(told, key=lambda each: (each.entry.starts_at, each.id))
    return [each for each in ordered if each.from_calendar], [
        each for each in ordered if not each.from_calendar
    ]


def _nearest(each: Told, groups: Sequence[list[Told]]) -> list[Told] | None:
    """The group at the same place within whose time this took place, the nearest of them."""
    near = [
        group
        for group in groups
        if group[0].entry.starts_at - BEFORE <= each.entry.starts_at <= group[0].entry.ends_at + AFTER
        and not group[0].entry.cancelled
    ]
    return min(near, key=lambda group: abs(group[0].entry.starts_at - each.entry.starts_at), default=None)


def _meeting(group: Sequence[Told], *, own: Collection[str]) -> Meeting:
    """``group`` is not empty, and what calendars say stands before what platforms say."""
    lead, entries = group[0], [each.entry for each in group]
    platforms = [each for each in group if not each.from_calendar]
    came = [one for each in group for one in each.came]
    return Meeting(
        id=lead.id,
        title=next((entry.title for entry in entries if entry.title), ""),
        starts_at=lead.entry.starts_at,
        ends_at=lead.entry.ends_at,
        all_day=lead.entry.all_day,
        cancelled=all(entry.cancelled for entry in entries),
        attendees=_people([one for entry in entries for one in entry.attendees], came=came, own=own),
        link=next((link for entry in entries for link in entry.links), ""),
        url=next((entry.url for entry in entries if entry.url), ""),
        told=tuple(group),
        lasted=sum((each.entry.ends_at - each.entry.starts_at for each in platforms), timedelta()) or None,
        came_known=bool(came),
        recording=any(each.recording for each in group),
        transcript=any(each.transcript for each in group),
        has_summary=any(each.has_summary for each in group),
    )


def _people(
    invited: Iterable[Attendee], *, came: Iterable[Attendee], own: Collection[str]
) -> tuple[Attendee, ...]:
    """Everybody once. Who came is known by address, else by the name of somebody who was invited."""
    found: dict[str, Attendee] = {}
    for one in invited:
        known = found.get(one.email or one.name)
        if known is None or (known.response is Response.NONE and one.response is not Response.NONE):
            found[one.email or one.name] = Attendee(
                one.email, one.name or (known.name if known else ""), one.response, one.came
            )
    by_name = {one.name.casefold(): key for key, one in found.items() if one.name}
    for one in came:
        key = one.email if one.email in found else by_name.get(one.name.casefold()) if one.name else None
        key = key or one.email or one.name
        known = found.get(key, one)
        found[key] = Attendee(known.email, known.name or one.name, known.response, came=True)
    return tuple(
        one
        for one in found.values()
        if (one.email or one.name) and (one.email or one.name).casefold() not in own
    )
