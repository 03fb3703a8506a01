"""How near a skewed campaign comes to what the provider's limits allow, on a simulated clock."""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from math import ceil

from sqlalchemy import Connection, event

from benchmarks.growth import SHORT
from benchmarks.ledger import Person, fill
from benchmarks.multiplying import multiply
from benchmarks.report import Figure, Section, at_most
from benchmarks.stage import Stage
from replysequence.domain.pacing import Pace, PaceOf
from replysequence.domain.send import Outcome, State
from replysequence.providers.gmail import Gmail
from replysequence.providers.http import HttpClient
from replysequence.providers.registry import Registry
from replysequence.storage import claims, endings
from replysequence.storage.claims import Claimed
from replysequence.storage.database import engine_for, now, parse_url
from replysequence.storage.endings import Ending
from replysequence.storage.ids import new_id
from replysequence.worker import AT_A_TIME, SHORTEST_SLEEP

HEAVY = 5
HEAVY_SHARE = 0.6
LATENCY = 0.3
"""Seconds that Gmail takes."""
MAILBOX_RATE, PROJECT_RATE = 1.0, 200.0
"""Sends a second: Gmail's limits of 60 a minute and mailbox, and 12,000 a minute and project."""
PER_DAY = 2_000
DAY = 86_400.0
MINUTE = 60.0
STEPS = 500
"""Steps of the simulation in one transaction."""
SENT = Ending(state=State.SENT, outcome=Outcome.SENT, phase="answered", status=200)
REFUSED = Ending(
    state=State.QUEUED, outcome=Outcome.REFUSED, phase="answered", status=429, reason="rate_limited"
)
BACKOFF = timedelta(seconds=5)
TEXT = """
{mailboxes:,} Gmail mailboxes and {messages:,} messages that are due at once; {heavy} of the mailboxes have 60 % of
them, and theirs were accepted first. The functions that a worker claims, begins and ends sends with run on a real
SQLite ledger, with the settings of a new installation; only the clock is simulated, and the provider: it answers after
0.3 s and refuses what goes beyond 60 calls of a mailbox, or 12,000 of all, in any window of a minute. The optimum is
that of the provider's rates, used to the last call. Gmail takes 2,000 messages of a mailbox in 24 hours; in the first
run that limit is lifted, because days would hide the minutes, in the second it holds on both sides.
"""


@dataclass
class Windows:
    """The provider's side: what was called when, by mailbox and by all together."""

    per_day: int | None
    calls: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    refused: int = 0

    def take(self, mailbox: str, at: float) -> bool:
        """Whether the provider accepts a call; a refused one is not counted against the limits."""
        limits = [(mailbox, 60, MINUTE), ("", 12_000, MINUTE)]
        if self.per_day is not None:
            limits.append((f"{mailbox} day", self.per_day, DAY))
        if any(self._count(name, at - window) >= most for name, most, window in limits):
            self.refused += 1
            return False
        for name, _, _ in limits:
            self.calls[name].append(at)
        return True

    def _count(self, name: str, since: float) -> int:
        calls = self.calls[name]
        while calls and calls[0] <= since:
            calls.popleft()
        return len(calls)


@dataclass
class Run:
    """A simulated worker. Times are seconds from its start."""

    connection: Connection
    began: datetime
    pace_of: PaceOf
    registry: Registry
    provider: Windows
    incarnation: str = field(default_factory=new_id)
    flights: list[tuple[float, int, Claimed, bool]] = field(default_factory=list)
    sent_at: dict[str, float] = field(default_factory=dict)
    """When the last message of each owner was accepted."""
    sent: int = 0
    numbers: Iterator[int] = field(default_factory=count)

    def step(self, at: float) -> float:
        """End what has been answered, claim what may leave; when the next step is due."""
        moment = self.began + timedelta(seconds=at)
        self._end(at, moment)
        found = claims.claim(
            self.connection,
            incarnation=self.incarnation,
            room={Gmail.name: AT_A_TIME - len(self.flights)},
            pace_of=self.pace_of,
            shared=self.registry.shared_rates(),
            at=moment,
        )
        if found.sends:
            claims.begin_sending(self.connection, found.sends, incarnation=self.incarnation, at=moment)
        for send in found.sends:
            accepted = self.provider.take(send.route_id, at)
            heapq.heappush(self.flights, (at + LATENCY, next(self.numbers), send, accepted))
        if found.sends:
            return at + SHORTEST_SLEEP
        moments = [self.flights[0][0]] if self.flights else []
        if found.again_at is not None:
            moments.append((found.again_at - self.began).total_seconds())
        return max(min(moments, default=at), at + SHORTEST_SLEEP)

    def _end(self, at: float, moment: datetime) -> None:
        ended: list[tuple[Claimed, Ending]] = []
        while self.flights and self.flights[0][0] <= at:
            answered, _, send, accepted = heapq.heappop(self.flights)
            if accepted:
                self.sent += 1
                self.sent_at[send.user_id] = answered
            ended.append((send, SENT if accepted else replace(REFUSED, next_at=moment + BACKOFF)))
        if ended:
            endings.end(self.connection, ended, at=moment)


def measure(stage: Stage) -> Section:
    """The same campaign without and with the daily limit."""
    sizes = stage.sizes
    by_minutes = _campaign(stage, "minutes", per_day=None)
    by_days = _campaign(stage, "days", per_day=PER_DAY)
    return Section(
        name="campaign",
        title="A skewed campaign under the provider's limits",
        text=TEXT.format(mailboxes=sizes.mailboxes, messages=sizes.messages, heavy=HEAVY),
        figures=[*by_minutes, *by_days],
    )


def _campaign(stage: Stage, name: str, *, per_day: int | None) -> list[Figure]:
    heavy_each = int(stage.sizes.messages * HEAVY_SHARE) // HEAVY
    others = stage.sizes.mailboxes - HEAVY
    other_each = max(1, int(stage.sizes.messages * (1 - HEAVY_SHARE)) // others)
    url = stage.sqlite.create(f"campaign_{name}")
    heavy = _accepted(stage, url, mailboxes=HEAVY, each=heavy_each, first=0)
    _accepted(stage, url, mailboxes=others, each=other_each, first=HEAVY)
    run, seconds = _simulate(url, per_day=per_day, messages=HEAVY * heavy_each + others * other_each)
    last_other = max(at for user, at in run.sent_at.items() if user not in {person.id for person in heavy})
    best = _optimum(heavy_each, per_day=per_day)
    best_other = max(other_each / MAILBOX_RATE, others * other_each / (PROJECT_RATE - HEAVY * MAILBOX_RATE))
    limits = "a minute" if per_day is None else "a minute and a day"
    return [
        Figure(f"makespan under limits {limits}", seconds, "s"),
        Figure(f"makespan ÷ optimum, limits {limits}", seconds / best, gate=at_most(1.05)),
        Figure(
            f"last other mailbox ÷ its optimum, limits {limits}", last_other / best_other, gate=at_most(1.1)
        ),
        Figure(f"refused calls, limits {limits}", run.provider.refused, gate=at_most(0)),
    ]


def _optimum(each: int, *, per_day: int | None) -> float:
    """Seconds that a heavy mailbox needs at the least: whole days before the last messages, and these at full rate."""
    days = 0 if per_day is None else ceil(each / per_day) - 1
    return days * DAY + (each - days * (per_day or 0)) / MAILBOX_RATE


def _accepted(stage: Stage, url: str, *, mailboxes: int, each: int, first: int) -> list[Person]:
    """People with so many accepted sends each: a few by the services, the rest copies."""
    real = next(number for number in (20, 10, 5, 4, 2, 1) if each % number == 0)
    people = fill(
        stage.environment(url), mailboxes=mailboxes, drafts_each=real, accepted=True, draft=SHORT, first=first
    )
    multiply(url, copies=each // real - 1, owners=[person.id for person in people])
    return people


def _simulate(url: str, *, per_day: int | None, messages: int) -> tuple[Run, float]:
    registry = Registry({}, HttpClient())
    with _connected(url) as connection:
        run = Run(
            connection,
            now(connection) + timedelta(seconds=1),
            registry.pace if per_day else _without_days(registry.pace),
            registry,
            Windows(per_day),
        )
        at = 0.0
        for number in count(1):
            at = run.step(at)
            if run.sent == messages:
                return run, max(run.sent_at.values())
            if number % STEPS == 0:
                connection.commit()
    raise AssertionError("unreachable: the steps never end by themselves")


def _without_days(pace_of: Callable[[str, str | None], Pace]) -> PaceOf:
    def pace(via: str, email: str | None) -> Pace:
        return replace(pace_of(via, email), messages_per_day=None, recipients_per_day=None)

    return pace


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """A connection that nobody waits for the disk of: this clock is simulated."""
    engine = engine_for(parse_url(url))

    @event.listens_for(engine, "connect")
    def hurry(connection: object, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")  # type: ignore[attr-defined]

    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
