"""The judge of a run: every send is ok, refused or open, and is held against what the providers took.

Jepsen's terms. The oracle is the sandbox's ledger, which is written before the sandbox answers; it drops the second
copy of an idempotency key as Resend does, so that a second line for one message is a second mail, whatever the key.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from replysequence.domain.event import Kind
from replysequence.domain.send import Outcome, State
from replysequence.storage.tables import events, send_attempts, sends

OK = frozenset({State.SENT, State.SETTLED_SENT})
REFUSED = frozenset({State.FAILED, State.CANCELLED, State.SETTLED_NOT_SENT})
OPEN = frozenset({State.UNKNOWN})

_STATE_AFTER = {
    Kind.SEND_ACCEPTED: {State.QUEUED, State.WAITING, State.CLAIMED, State.SENDING},
    Kind.SEND_QUEUED: {State.QUEUED, State.CLAIMED, State.SENDING},
    Kind.SEND_WAITING: {State.WAITING, State.CLAIMED, State.SENDING},
    Kind.SEND_SENT: {State.SENT},
    Kind.SEND_FAILED: {State.FAILED},
    Kind.SEND_UNKNOWN: {State.UNKNOWN},
    Kind.SEND_SETTLED: {State.SETTLED_SENT, State.SETTLED_NOT_SENT},
    Kind.SEND_CANCELLED: {State.CANCELLED},
}
"""Where a send may stand after its last event of these kinds: claiming and beginning write no event."""


@dataclass(frozen=True)
class Told:
    """What a client asked for, and what it was told: every send id that it was ever answered."""

    draft_id: str
    subject: str
    send_ids: frozenset[str]


@dataclass(frozen=True)
class Tried:
    """One attempt as it is stored."""

    phase: str
    outcome: str | None
    reason: str | None


@dataclass(frozen=True)
class Record:
    """One send as it is stored, its attempts in their order, and the kind of its last event."""

    id: str
    draft_id: str
    via: str
    state: State
    subject: str
    reason: str | None
    explanation: str | None
    attempts: tuple[Tried, ...] = ()
    last_event: Kind | None = None


@dataclass(frozen=True)
class Taken:
    """One line of the ledger."""

    send_id: str | None
    subject: str

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]]) -> "list[Taken]":
        """The lines of the sandbox's answer."""
        return [cls(entry["send_id"], entry["subject"]) for entry in entries]


@dataclass(frozen=True)
class Verdict:
    """What the judge found; every list holds ids of sends, or of drafts where there is no send."""

    sends: int
    ok: int
    refused: int
    unknown: Counter[tuple[str, str]]
    """How many are open, by provider and reason."""
    open_and_taken: int
    """How many of those a provider did take."""
    attempts: int
    lost: list[str] = field(default_factory=list)
    """Accepted and not on disk, or called sent though nobody took it."""
    doubled: list[str] = field(default_factory=list)
    """Taken twice, or two sends of one order."""
    wrong: list[str] = field(default_factory=list)
    """Called refused though a provider took it."""
    unrecorded: list[str] = field(default_factory=list)
    """Taken by a provider, without a row that says so."""
    unexplained: list[str] = field(default_factory=list)
    """Open without phase, reason and words."""
    stuck: list[str] = field(default_factory=list)
    """Not finished at the end."""
    torn: list[str] = field(default_factory=list)
    """Finished with an attempt that has no outcome, or with events that tell another story."""

    @property
    def open(self) -> int:
        """How many nobody knows of."""
        return self.unknown.total()

    def open_at(self, via: str) -> int:
        """How many of those left by this provider."""
        return sum(number for (provider, _), number in self.unknown.items() if provider == via)

    def open_because(self, reason: str) -> int:
        """How many of those are open for this reason."""
        return sum(number for (_, why), number in self.unknown.items() if why == reason)

    @property
    def faults(self) -> dict[str, list[str]]:
        """Every way in which the promise is broken; empty when it is kept."""
        found = {
            name: getattr(self, name)
            for name in ("lost", "doubled", "wrong", "unrecorded", "unexplained", "stuck", "torn")
        }
        return {name: ids for name, ids in found.items() if ids}


def judge(told: Sequence[Told], records: Sequence[Record], taken: Sequence[Taken]) -> Verdict:
    """Hold what clients were told and what is stored against what providers took."""
    by_send = Counter(line.send_id for line in taken)
    by_subject = Counter(line.subject for line in taken)
    known = {record.id for record in records}
    finished = [record for record in records if record.state in OK | REFUSED | OPEN]
    return Verdict(
        sends=len(records),
        ok=sum(record.state in OK for record in records),
        refused=sum(record.state in REFUSED for record in records),
        unknown=Counter((record.via, record.reason or "?") for record in records if record.state in OPEN),
        open_and_taken=sum(record.state in OPEN and by_send[record.id] > 0 for record in records),
        attempts=sum(len(record.attempts) for record in records),
        lost=[
            *(order.draft_id for order in told if not order.send_ids or not order.send_ids <= known),
            *(record.id for record in records if record.state in OK and not by_send[record.id]),
        ],
        doubled=[
            *(record.id for record in records if by_send[record.id] > 1),
            *(order.draft_id for order in told if len(order.send_ids) > 1 or by_subject[order.subject] > 1),
        ],
        wrong=[record.id for record in records if record.state in REFUSED and by_send[record.id]],
        unrecorded=[str(send_id) for send_id in by_send if send_id not in known],
        unexplained=[r.id for r in records if r.state in OPEN and not _is_explained(r)],
        stuck=[record.id for record in records if record.state not in OK | REFUSED | OPEN],
        torn=[record.id for record in finished if _is_torn(record)],
    )


def _is_explained(record: Record) -> bool:
    """Whether somebody can read why it is open: the words, and the attempt that nobody knows the end of."""
    return bool(record.reason and record.explanation) and any(
        tried.outcome == Outcome.UNKNOWN and tried.phase and tried.reason for tried in record.attempts
    )


def _is_torn(record: Record) -> bool:
    following = _STATE_AFTER.get(record.last_event) if record.last_event else None
    return any(tried.outcome is None for tried in record.attempts) or record.state not in (following or set())


def read_records(connection: Connection) -> list[Record]:
    """Every send of the database, oldest first."""
    attempts: dict[str, list[Tried]] = {}
    tries = select(send_attempts).order_by(send_attempts.c.send_id, send_attempts.c.number)
    for row in connection.execute(tries):
        attempts.setdefault(row.send_id, []).append(Tried(row.phase, row.outcome, row.reason))
    told = select(events.c.send_id, events.c.kind).where(events.c.send_id.is_not(None)).order_by(events.c.id)
    last = {row.send_id: Kind(row.kind) for row in connection.execute(told) if row.kind in _STATE_AFTER}
    columns = sends.c
    stored = select(
        columns.id,
        columns.draft_id,
        columns.via,
        columns.state,
        columns.subject,
        columns.reason,
        columns.explanation,
    ).order_by(columns.id)
    return [
        Record(
            id=row.id,
            draft_id=row.draft_id,
            via=row.via,
            state=State(row.state),
            subject=row.subject,
            reason=row.reason,
            explanation=row.explanation,
            attempts=tuple(attempts.get(row.id, ())),
            last_event=last.get(row.id),
        )
        for row in connection.execute(stored)
    ]
