"""How fast providers may be called: rates, rolling days, and when what waits will leave.

A rate is kept by the generic cell rate algorithm (ITU-T I.371): one stored moment for each route, the earliest at
which the next call may begin. Nothing is counted and nothing has to be forgotten.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

USED = 0.97
"""The share of a provider's rate that we use. The rest is for what happens between our clock and theirs."""
BURST = 0.02
"""The share of a period's calls that may begin at once after a rest; with ``USED`` it stays below the limit in any
window of the period."""
DAY = timedelta(hours=24)
"""Daily limits are those of any 24 hours (Google Workspace help 166852, Exchange Online limits, checked
2026-11-22)."""
USAGE_STEP = timedelta(minutes=15)
"""What was used is kept in pieces of this length: a place that frees is noticed that much later at most."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many ``calls`` in any window of ``period``, as a provider states its limit."""

    calls: int
    period: timedelta

    @property
    def interval(self) -> timedelta:
        """Between two calls of a steady stream."""
        return self.period / (self.calls * USED)

    @property
    def burst(self) -> int:
        """Calls that may begin at once after a rest."""
        return max(1, int(self.calls * BURST))

    def free(self, *, paced_until: datetime | None, at: datetime) -> int:
        """How many calls may begin at ``at``; ``paced_until`` is what :meth:`after` gave for the last ones."""
        if paced_until is None:
            return self.burst
        if paced_until > at:
            return 0
        return min(self.burst, 1 + (at - paced_until) // self.interval)

    def after(self, *, paced_until: datetime | None, at: datetime, calls: int) -> datetime:
        """The moment before which no other call may begin, once ``calls`` have begun at ``at``."""
        rested = at - (self.burst - 1) * self.interval
        return max(rested, paced_until or rested) + calls * self.interval


@dataclass(frozen=True, slots=True)
class Pace:
    """What one mailbox, or one relay, takes. The daily limits count any 24 hours; none where there is none."""

    concurrency: int
    rate: Rate
    messages_per_day: int | None = None
    recipients_per_day: int | None = None

    @property
    def has_daily_limit(self) -> bool:
        """Whether what was used must be counted."""
        return self.messages_per_day is not None or self.recipients_per_day is not None

    def told(self, per_minute: int | None) -> "Pace":
        """The same with the rate that the provider's answers tell, where they do."""
        if per_minute is None:
            return self
        calls = max(1, int(per_minute * (self.rate.period / timedelta(minutes=1))))
        return Pace(
            self.concurrency, Rate(calls, self.rate.period), self.messages_per_day, self.recipients_per_day
        )

    def fits(self, used: "Used", *, recipients: int) -> bool:
        """Whether one more message to so many ``recipients`` stays within the day's limits."""
        return (self.messages_per_day is None or used.messages < self.messages_per_day) and (
            self.recipients_per_day is None or used.recipients + recipients <= self.recipients_per_day
        )

    def fits_at(self, usage: Sequence["Used"], *, recipients: int) -> datetime | None:
        """When one more message fits, by the pieces of ``usage`` of the last day, oldest first; none: already."""
        messages, people = sum(piece.messages for piece in usage), sum(piece.recipients for piece in usage)
        at = None
        for piece in usage:
            if self.fits(Used(piece.began_at, messages, people), recipients=recipients):
                break
            messages, people = messages - piece.messages, people - piece.recipients
            at = piece.began_at + USAGE_STEP + DAY
        return at


PaceOf = Callable[[str, str | None], Pace]
"""(provider's name, the mailbox's address or none for a relay) → how fast it may send."""


@dataclass(frozen=True, slots=True)
class Used:
    """Messages and recipients of the time that began at ``began_at``."""

    began_at: datetime
    messages: int
    recipients: int


def piece_of(at: datetime) -> datetime:
    """When the piece of time that ``at`` lies in began."""
    return at - timedelta(seconds=at.timestamp() % USAGE_STEP.total_seconds())


def leaves_at(
    pace: Pace,
    *,
    ahead: int,
    first_at: datetime,
    used: Used,
    day_frees_at: datetime | None,
) -> datetime:
    """About when a send leaves that has ``ahead`` others of its mailbox before it, the first of them at ``first_at``.

    ``used`` is what the last 24 hours took, ``day_frees_at`` when places of that day come back. An estimate: it
    takes the others for one recipient each, and a day's places for coming back all at once.
    """
    today = ahead
    if pace.messages_per_day is not None:
        left = max(0, pace.messages_per_day - used.messages)
        if ahead >= left:
            days, today = divmod(ahead - left, pace.messages_per_day)
            first_at = max(first_at, day_frees_at or first_at + DAY) + days * DAY
    return first_at + today * pace.rate.interval
