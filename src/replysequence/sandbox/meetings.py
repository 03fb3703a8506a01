"""Meetings on the platforms: what Zoom, Google Meet and Teams know of a call, before and after it was held."""

import base64
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.clock import Clock

_LETTERS: Final = "abcdefghijkmnopqrstuvwxyz"


class Platform(StrEnum):
    """Where a meeting is held."""

    ZOOM = "zoom"
    MEET = "meet"
    TEAMS = "teams"

    @property
    def vendor(self) -> Vendor:
        """Whose API tells about it."""
        return {"zoom": Vendor.ZOOM, "meet": Vendor.GOOGLE, "teams": Vendor.MICROSOFT}[self.value]


@dataclass(frozen=True, kw_only=True)
class Participant:
    """Somebody who was in the call. `is_guest` is true for whoever is outside the host's organisation."""

    name: str
    email: str
    joined: datetime
    left: datetime
    is_guest: bool = True


@dataclass(frozen=True)
class Line:
    """What somebody said, so many seconds after the call began."""

    seconds: int
    speaker: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What the platform's assistant wrote down."""

    overview: str
    details: tuple[tuple[str, str], ...] = ()
    """Heading and text of each chapter."""
    next_steps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """One meeting. `start` and `end` are as planned; it was held when somebody took part.

    `code` is the platform's own name for the room: Zoom's number, Meet's letters, the thread of Teams. `uuid` is one
    occurrence of it. `members` are the addresses whose accounts may ask about it.
    """

    id: str
    platform: Platform
    code: str
    uuid: str
    join_url: str
    title: str
    host: str
    host_name: str
    start: datetime
    end: datetime
    created: datetime
    zone: str = "UTC"
    members: frozenset[str] = frozenset()
    participants: tuple[Participant, ...] = ()
    lines: tuple[Line, ...] = ()
    notes: Notes | None = None
    is_recorded: bool = False

    @property
    def minutes(self) -> int:
        """How long it was to last."""
        return int((self.end - self.start) / timedelta(minutes=1))

    @property
    def began(self) -> datetime:
        """When the first one joined, or is to."""
        return min((each.joined for each in self.participants), default=self.start)

    @property
    def ended(self) -> datetime:
        """When the last one left, or is to."""
        return max((each.left for each in self.participants), default=self.end)

    def admits(self, email: str) -> bool:
        """Whether the account with this address may ask about the meeting."""
        return email.casefold() in {self.host.casefold(), *(member.casefold() for member in self.members)}


class Meetings:
    """Every meeting of the sandbox, in the order it was added."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._meetings: dict[str, Meeting] = {}

    def __iter__(self) -> Iterator[Meeting]:
        return iter(tuple(self._meetings.values()))

    def add(self, meeting: Meeting) -> Meeting:
        """Register `meeting`, or replace the one with its id, and return it."""
        self._meetings[meeting.id] = meeting
        return meeting

    def find(self, meeting_id: str) -> Meeting | None:
        """The meeting with this id of the sandbox, or None."""
        return self._meetings.get(meeting_id)

    def of(self, platform: Platform, email: str) -> list[Meeting]:
        """The meetings on `platform` that the account with this address may ask about."""
        return [each for each in self if each.platform is platform and each.admits(email)]

    def is_over(self, meeting: Meeting) -> bool:
        """Whether `meeting` was held and everybody has left."""
        return bool(meeting.participants) and meeting.ended <= self._clock.now()

    def has_papers(self, meeting: Meeting, *, after_seconds: float) -> bool:
        """Whether notes, transcript and recording are there: so long after the end."""
        return self.is_over(meeting) and meeting.ended + timedelta(seconds=after_seconds) <= self._clock.now()


@dataclass(frozen=True)
class Room:
    """Where people meet: `code` and `uuid` as in `Meeting`, and the link that lets them in."""

    code: str
    uuid: str
    join_url: str


def new_room(platform: Platform, *, host: Account | None = None) -> Room:
    """A fresh room on `platform`. A Teams room belongs to `host`, whose tenant and id are in its link."""
    match platform:
        case Platform.ZOOM:
            number = str(80_000_000_000 + secrets.randbelow(9_999_999_999))
            uuid = base64.b64encode(secrets.token_bytes(16)).decode()
            return Room(number, uuid, f"https://us02web.zoom.us/j/{number}?pwd={secrets.token_urlsafe(12)}.1")
        case Platform.MEET:
            code = "-".join("".join(secrets.choice(_LETTERS) for _ in range(size)) for size in (3, 4, 3))
            return Room(code, secrets.token_urlsafe(9), f"https://meet.google.com/{code}")
        case Platform.TEAMS:
            thread = f"19:meeting_{secrets.token_urlsafe(30)}@thread.v2"
            tenant, subject = (host.tenant, host.subject) if host else ("", "")
            return Room(thread, secrets.token_hex(16), teams_link(thread, tenant=tenant, subject=subject))


def teams_link(thread: str, *, tenant: str, subject: str) -> str:
    """The link into a Teams meeting, escaped as Teams writes it ("Get onlineMeeting", checked 2026-11-22)."""
    context = json.dumps({"Tid": tenant, "Oid": subject}, separators=(",", ":"))
    escaped = re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quote(context, safe=""))
    room = thread.replace(":", "%3a").replace("@", "%40")
    return f"https://teams.microsoft.com/l/meetup-join/{room}/0?context={escaped}"
