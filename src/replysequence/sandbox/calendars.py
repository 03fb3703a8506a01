"""Calendars: events, guests, and what has changed since when."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.clock import Clock
from replysequence.sandbox.meetings import Meeting

ZONE: Final = "Europe/Stockholm"
"""The time zone of every calendar."""


class Answer(StrEnum):
    """What a guest said to the invitation, in Google's words."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    TENTATIVE = "tentative"
    NONE = "needsAction"


class Status(StrEnum):
    """Whether an event stands. A removed one is gone from the calendar; only who synchronises still hears of it."""

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    REMOVED = "removed"


@dataclass(frozen=True, kw_only=True)
class Guest:
    """One line of the guest list. `is_room` marks a resource that was booked, not a person."""

    email: str
    name: str = ""
    answer: Answer = Answer.NONE
    is_room: bool = False


@dataclass(frozen=True, kw_only=True)
class Event:
    """One entry of one calendar.

    `start` and `end` are instants in UTC; of an all-day event they are the midnights of its days, the end excluded.
    A series has a master with a `rule`; its occurrences name it in `series`. `version` grows with every change in
    the calendar.
    """

    id: str
    uid: str
    """RFC 5545: the same in every calendar that holds the event."""
    title: str
    start: datetime
    end: datetime
    organizer: Guest
    zone: str = ZONE
    is_all_day: bool = False
    guests: tuple[Guest, ...] = ()
    description: str = ""
    location: str = ""
    meeting: Meeting | None = None
    status: Status = Status.CONFIRMED
    rule: str = ""
    """RFC 5545, such as `FREQ=DAILY;COUNT=5`."""
    series: str = ""
    original_start: datetime | None = None
    is_exception: bool = False
    created: datetime
    updated: datetime
    version: int = 0

    def overlaps(self, begin: datetime | None, end: datetime | None) -> bool:
        """Whether it ends after `begin` and starts before `end`, both excluded; None is no bound."""
        return (begin is None or self.end > begin) and (end is None or self.start < end)


def new_id() -> str:
    """A fresh id, in the alphabet that Google prescribes for one (calendar.v3, checked 2026-10-30)."""
    return secrets.token_hex(13)


class Calendar:
    """The calendar of one account.

    What a vendor's sync token holds is a version of it and its `generation`; a token of an earlier generation has
    expired.
    """

    def __init__(self, owner: Account, clock: Clock) -> None:
        self.owner = owner
        self.version = 0
        self.generation = 1
        self._clock = clock
        self._events: dict[str, Event] = {}

    def __iter__(self) -> Iterator[Event]:
        return iter(tuple(self._events.values()))

    def __len__(self) -> int:
        return len(self._events)

    def at(self, event_id: str) -> Event:
        """The event with this id. Raises `KeyError` when there is none."""
        return self._events[event_id]

    def find(self, event_id: str) -> Event | None:
        """The event with this id, or None."""
        return self._events.get(event_id)

    def put(self, event: Event) -> Event:
        """Add `event`, or replace the one with its id, as the newest change. Returns it as it is kept."""
        self.version += 1
        kept = replace(event, version=self.version)
        self._events[event.id] = kept
        return kept

    def change(self, event_id: str, **changes: Any) -> Event:
        """Change the event with this id now. Raises `KeyError` or `TypeError`."""
        return self.put(replace(self.at(event_id), **changes, updated=self._clock.now()))

    def forget_changes(self) -> None:
        """Every sync token given so far has expired."""
        self.generation += 1


class Calendars:
    """The calendar of every account, made when it is first asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calendars: dict[tuple[Vendor, str], Calendar] = {}

    def of(self, account: Account) -> Calendar:
        """The calendar of `account`."""
        key = account.vendor, account.email.casefold()
        if key not in self._calendars:
            self._calendars[key] = Calendar(account, self._clock)
        return self._calendars[key]
