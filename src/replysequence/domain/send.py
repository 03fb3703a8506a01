"""The life of a send: its states, and the moves between them that are allowed.

accept ─▶ queued ─▶ claimed ─▶ sending ─▶ sent
            ▲ ▲        │          ├─▶ failed
            │ └────────┘          ├─▶ queued
         waiting ◀─────┘          └─▶ unknown ─▶ settled_sent | settled_not_sent
queued | claimed | waiting ─▶ cancelled;  claimed ─▶ failed | unknown
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from replysequence.domain.event import Event
from replysequence.domain.message import Address
from replysequence.domain.report import Report


class State(StrEnum):
    """Where a send stands."""

    QUEUED = "queued"
    """Accepted and on disk; leaves at ``next_at``."""
    WAITING = "waiting"
    """Held: until its time (``next_at``), or until somebody acts (``next_at`` is none)."""
    CLAIMED = "claimed"
    """A worker prepares it; nothing is on the wire."""
    SENDING = "sending"
    """The exchange with the provider runs, or a process died in it."""
    SENT = "sent"
    """The provider accepted it."""
    FAILED = "failed"
    """It will not be sent; the reason says why."""
    UNKNOWN = "unknown"
    """It may have left; a person settles it."""
    SETTLED_SENT = "settled_sent"
    """Was unknown; somebody, or proof, says it was sent."""
    SETTLED_NOT_SENT = "settled_not_sent"
    """Was unknown; somebody says it was not sent."""
    CANCELLED = "cancelled"
    """Taken back before it was on the wire."""


GIVE_UP_AFTER = timedelta(hours=24)
"""A send that could not leave for this long after its time fails, and says so."""

_S = State

MOVES: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.CLAIMED, _S.WAITING, _S.CANCELLED}),
        _S.WAITING: frozenset({_S.QUEUED, _S.CLAIMED, _S.CANCELLED}),
        # To unknown only when an earlier attempt at a relay is, and can no longer be repeated under its key.
        _S.CLAIMED: frozenset({_S.SENDING, _S.QUEUED, _S.WAITING, _S.CANCELLED, _S.FAILED, _S.UNKNOWN}),
        _S.SENDING: frozenset({_S.SENT, _S.FAILED, _S.QUEUED, _S.WAITING, _S.UNKNOWN}),
        # A late verdict of the same attempt repairs an unknown (crash point C12); a person settles the rest.
        _S.UNKNOWN: frozenset({_S.SENT, _S.FAILED, _S.SETTLED_SENT, _S.SETTLED_NOT_SENT}),
        _S.SENT: frozenset(),
        _S.FAILED: frozenset(),
        _S.SETTLED_SENT: frozenset(),
        _S.SETTLED_NOT_SENT: frozenset(),
        _S.CANCELLED: frozenset(),
    }
)
"""Every allowed move. All transitions in storage are checked against this table by a test."""

FINAL = frozenset(state for state, following in MOVES.items() if not following)
"""States that nothing leaves."""

CLAIMABLE = frozenset({_S.QUEUED, _S.WAITING})
"""States from which a worker may take a send once its ``next_at`` has come."""

IN_HAND = frozenset({_S.CLAIMED, _S.SENDING})
"""States in which a worker has it."""

CANCELLABLE = frozenset(state for state, following in MOVES.items() if _S.CANCELLED in following)
"""States from which it can be taken back, unless an earlier attempt may be out."""

OUTCOME_SHOWN = FINAL | {_S.UNKNOWN}
"""States in which whoever asked to wait for the outcome has it."""

WAITED_FOR = frozenset(_S) - OUTCOME_SHOWN - {_S.WAITING}
"""States in which it is worth waiting for the outcome: one that is held waits for its time, or for somebody."""


class Outcome(StrEnum):
    """How one attempt ended."""

    SENT = "sent"
    REFUSED = "refused"
    NEVER_SENT = "never_sent"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What a person says of an unknown send."""

    SENT = "sent"
    NOT_SENT = "not_sent"


@dataclass(frozen=True, slots=True)
class Route:
    """How a send leaves; fixed at acceptance.

    ``via`` is the provider's name. ``connection_id`` is none for a relay. ``sender`` is the From address;
    ``reply_to`` is set where replies must go elsewhere than to ``sender`` (a relay sends from our domain).
    """

    via: str
    connection_id: str | None
    sender: Address
    reply_to: Address | None = None

    @property
    def id(self) -> str:
        """The queue that the send waits in: one per mailbox, one per relay."""
        return self.connection_id or self.via


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a send at a provider."""

    number: int
    phase: str
    outcome: Outcome | None
    reason: str | None
    status: int | None
    provider_request_id: str | None
    started_at: datetime
    finished_at: datetime | None


SCHEDULED = "scheduled"
"""The reason of a send that waits for the time its owner chose."""
UNDO = "undo"
"""The reason of a send that waits for a few seconds, so that its owner can undo it."""


@dataclass(frozen=True, slots=True)
class Send:
    """One send as its owner sees it."""

    id: str
    user_id: str
    draft_id: str
    draft_version: int
    state: State
    reason: str | None
    """A stable word for why it is in this state, such as ``reconnect_needed``; none when there is nothing
    to explain.
    """
    explanation: str | None
    """The same for people, in a sentence."""
    route: Route
    subject: str
    recipients: tuple[Address, ...]
    provider_message_id: str | None
    thread_id: str | None
    message_id: str
    previous_send_id: str | None
    send_at: datetime | None
    next_at: datetime | None
    created_at: datetime
    updated_at: datetime
    attempts: tuple[Attempt, ...] = field(default=())
    events: tuple[Event, ...] = field(default=())
    reports: tuple[Report, ...] = field(default=())
    """How it stands in each CRM."""
    leaves_at: datetime | None = None
    """When it is expected to leave, by the pace of its mailbox and of its provider; none when nothing tells."""

    @property
    def is_scheduled(self) -> bool:
        """Whether it waits for its owner's time, which can still be changed."""
        return self.state is State.WAITING and self.reason == SCHEDULED

    @property
    def can_be_undone(self) -> bool:
        """Whether it waits only to let its owner think again."""
        return self.state is State.WAITING and self.reason == UNDO
