"""The ledger of sends for tests of storage: drafts accepted, claimed and ended without anything around them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from types import MappingProxyType

from sqlalchemy import Connection as Transaction
from sqlalchemy import event, func, insert, select, update

from replysequence.domain.draft import DraftContent
from replysequence.domain.message import Address
from replysequence.domain.pacing import Pace, Rate
from replysequence.domain.send import Outcome, Route, Send, State
from replysequence.storage import accepting, claims, drafts, endings, frozen, routes, sends
from replysequence.storage.accepting import NewSend
from replysequence.storage.claims import Claimed, Round
from replysequence.storage.database import Database
from replysequence.storage.endings import Ending
from replysequence.storage.ids import new_id
from replysequence.storage.tables import routes as routes_table
from replysequence.storage.tables import send_attempts
from replysequence.storage.tables import sends as sends_table
from support.messages import a_message

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RELAY = Route("resend", None, Address("", "follow-up@relay.example"))
FAST = Rate(1_000_000, timedelta(minutes=1))
"""For tests of anything but the pace."""
PACES = {"gmail": Pace(1, FAST), "outlook": Pace(1, FAST), "resend": Pace(4, FAST)}

_numbers = count(1)


def mailbox_route(connection_id: str) -> Route:
    """The route through that connection."""
    return Route("gmail", connection_id, Address("Alice", "alice@team.example"))


def write(connection: Transaction, new: NewSend, *, at: datetime) -> bool:
    """What accepting does, without the questions before it."""
    route = new.route
    routes.take(connection, route_id=route.id, via=route.via, connection_id=route.connection_id)
    return accepting.accept(connection, new, at=at) is not None


@dataclass
class Ledger:
    """Shorthands over one database. `me` is the incarnation that claims."""

    database: Database
    me: str = field(default_factory=new_id)

    def new(
        self,
        user_id: str,
        *,
        route: Route = RELAY,
        draft_id: str | None = None,
        version: int = 1,
        key: str | None = None,
        request_hash: str | None = None,
        send_at: datetime | None = None,
        held: tuple[str, str] | None = None,
        recipients: int = 1,
    ) -> NewSend:
        """A send that is not accepted yet, of a draft of its own unless told otherwise."""
        draft_id = draft_id or self.draft(user_id)
        to = tuple(Address("", f"buyer{number}@customer.example") for number in range(recipients))
        message = a_message(subject=f"Message {next(_numbers)}", to=to, cc=())
        return NewSend(
            id=new_id(),
            user_id=user_id,
            draft_id=draft_id,
            draft_version=version,
            route=route,
            envelope=frozen.freeze_envelope(message),
            message=frozen.freeze(message, attachment_ids=[]),
            subject=message.subject,
            message_id=message.message_id,
            thread_id=None,
            idempotency_key=key,
            request_hash=request_hash,
            send_at=send_at,
            give_up_at=(send_at or NOON) + timedelta(hours=24),
            held=held,
            previous_send_id=None,
        )

    def draft(self, user_id: str) -> str:
        """A new draft; its id."""
        return self.database.run(drafts.create, user_id=user_id, content=DraftContent()).id

    def accept(self, new: NewSend, *, at: datetime = NOON) -> str:
        """Accept a send; its id."""
        assert self.database.run(write, new, at=at)
        return new.id

    def accepted(self, user_id: str, *, route: Route = RELAY, at: datetime = NOON) -> str:
        """A new send, accepted; its id."""
        return self.accept(self.new(user_id, route=route), at=at)

    def claim(self, *, at: datetime = NOON, limit: int = 100, me: str | None = None) -> list[Claimed]:
        """What a worker takes at that time."""
        return self.round(at=at, room=dict.fromkeys(PACES, limit), me=me).sends

    def round(
        self,
        *,
        at: datetime = NOON,
        room: Mapping[str, int] | None = None,
        me: str | None = None,
        shared: Mapping[str, Rate] = MappingProxyType({}),
        paces: Mapping[str, Pace] | None = None,
    ) -> Round:
        """The same, with when there may be more."""
        return self.database.run(
            claims.claim,
            incarnation=me or self.me,
            room=room or dict.fromkeys(PACES, 100),
            pace_of=lambda via, _: (paces or PACES)[via],
            shared=shared,
            at=at,
        )

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """What the database is asked meanwhile by transactions."""
        asked: list[str] = []
        engine = self.database._engines[0]
        listener = lambda *arguments: asked.append(arguments[2])  # noqa: E731
        event.listen(engine, "before_cursor_execute", listener)
        yield asked
        event.remove(engine, "before_cursor_execute", listener)

    def next_due(self) -> datetime | None:
        """When the next send may be claimed, of whatever route."""
        return self.database.run(_next_due)

    def begin(self, claimed: Claimed, *, at: datetime = NOON, me: str | None = None) -> None:
        """Commit that the exchange begins."""
        self.database.run(claims.begin_sending, [claimed], incarnation=me or self.me, at=at)

    def end(self, claimed: Claimed, state: State, *, at: datetime = NOON, **more: object) -> None:
        """Write how the attempt ended."""
        ending = Ending(**{"state": state, "outcome": OUTCOMES[state], **more})  # type: ignore[arg-type]
        self.database.run(endings.end, [(claimed, ending)], at=at)

    def carried_out(self, claimed: Claimed, state: State, **more: object) -> None:
        """From claim to ending."""
        self.begin(claimed)
        self.end(claimed, state, **more)  # type: ignore[arg-type]

    def get(self, user_id: str, send_id: str) -> Send:
        """The send as its owner sees it."""
        return self.database.run(sends.get, user_id=user_id, send_id=send_id)

    def state(self, user_id: str, send_id: str) -> State:
        """Only its state."""
        return self.get(user_id, send_id).state

    def put(self, claimed: Claimed, state: State) -> None:
        """Force a claimed send into any state, past every rule: what a test of the rules starts from."""
        self.database.run(_put, claimed, state)


OUTCOMES = {
    State.SENT: Outcome.SENT,
    State.FAILED: Outcome.REFUSED,
    State.QUEUED: Outcome.NEVER_SENT,
    State.WAITING: Outcome.REFUSED,
    State.UNKNOWN: Outcome.UNKNOWN,
}


def _next_due(connection: Transaction) -> datetime | None:
    due: datetime | None = connection.execute(select(func.min(routes_table.c.next_at))).scalar_one()
    return due


def _put(connection: Transaction, claimed: Claimed, state: State) -> None:
    in_hand = state in (State.CLAIMED, State.SENDING)
    due = NOON if state in (State.QUEUED, State.WAITING) else None
    values: dict[str, object] = {"state": state, "next_at": due, "attempt": claimed.attempt}
    if not in_hand:
        values["claimed_by"] = None
    connection.execute(update(sends_table).where(sends_table.c.id == claimed.id).values(values))
    connection.execute(
        update(send_attempts)
        .where(send_attempts.c.send_id == claimed.id)
        .values(outcome=None if in_hand else OUTCOMES.get(state, Outcome.NEVER_SENT))
    )
    routes.reschedule(connection, route_ids=[claimed.route_id])


def second_open_attempt(connection: Transaction, claimed: Claimed) -> None:
    """Write another attempt without an outcome: the database must refuse."""
    connection.execute(
        insert(send_attempts).values(
            send_id=claimed.id,
            number=claimed.attempt + 1,
            incarnation=new_id(),
            phase="claimed",
            started_at=NOON,
        )
    )
