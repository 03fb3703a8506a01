"""Sends that wait for their owner's word: how many, and what that word does to them.

What a mailbox that cannot be used, or can again, does to all of its sends is in ``holding.py``.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, case, func, null, select, update

from replysequence.domain.errors import Conflict, NotFound
from replysequence.domain.event import Kind
from replysequence.domain.message import Address
from replysequence.domain.send import Outcome, State
from replysequence.storage import frozen, routes
from replysequence.storage.holding import ASKS_FIRST, MOVED, moved, own_time
from replysequence.storage.tables import send_attempts, sends

_S = sends.c
_HELD = and_(_S.user_id == bindparam("owner"), _S.state == State.WAITING, _S.next_at.is_(None))
_HERE = _S.connection_id == bindparam("mailbox")
_COUNTS = (
    select(
        _S.connection_id,
        func.count().label("waiting"),
        func.count(case((_S.reason == ASKS_FIRST, 1))).label("asking"),
    )
    .where(_HELD, _S.connection_id.is_not(None))
    .group_by(_S.connection_id)
    .order_by(_S.connection_id)
)
_ONE_ENVELOPE = select(_S.envelope).where(_HELD, _HERE).limit(1)
_UNKNOWN = select(func.count()).where(_S.user_id == bindparam("owner"), _HERE, _S.state == State.UNKNOWN)
_PLACE = select(_S.route_id, _S.state, _S.reason).where(
    _S.user_id == bindparam("owner"), _S.id == bindparam("send_id")
)
_RELEASED = {
    "state": State.QUEUED,
    "reason": null(),
    "explanation": null(),
    "next_at": own_time,  # the oldest goes first
    "give_up_at": bindparam("until"),
    "updated_at": bindparam("at"),
}
_RELEASE = (
    update(sends)
    .where(_HELD, _S.id == bindparam("sid"), _S.reason == ASKS_FIRST)
    .values(_RELEASED)
    .returning(*MOVED)
)
_RELEASE_ALL = update(sends).where(_HELD, _HERE, _S.reason == ASKS_FIRST).values(_RELEASED).returning(*MOVED)
_MAY_BE_OUT = (
    select(send_attempts.c.number)
    .where(send_attempts.c.send_id == _S.id, send_attempts.c.outcome == Outcome.UNKNOWN)
    .exists()
)
_CANCEL_ALL = (
    update(sends)
    .where(_HELD, _HERE, ~_MAY_BE_OUT)
    .values(
        state=State.CANCELLED, reason=null(), explanation=null(), next_at=null(), updated_at=bindparam("at")
    )
    .returning(*MOVED)
)


@dataclass(frozen=True, slots=True)
class Held:
    """How many sends of one mailbox wait for somebody to act, and how many of them for their owner's word alone."""

    connection_id: str
    waiting: int
    asking: int


def counts(connection: Connection, *, user_id: str) -> list[Held]:
    """An owner's mailboxes, connected or gone, for which something waits."""
    rows = connection.execute(_COUNTS, {"owner": user_id})
    return [Held(row.connection_id, row.waiting, row.asking) for row in rows]


def sender(connection: Connection, *, user_id: str, connection_id: str) -> Address | None:
    """The From address of what waits for a mailbox, which may be gone; none when nothing waits."""
    values = {"owner": user_id, "mailbox": connection_id}
    envelope = connection.execute(_ONE_ENVELOPE, values).scalar_one_or_none()
    return None if envelope is None else frozen.people(envelope)[0]


def unknown(connection: Connection, *, user_id: str, connection_id: str) -> int:
    """How many sends of this mailbox have an outcome that nobody knows."""
    return connection.execute(_UNKNOWN, {"owner": user_id, "mailbox": connection_id}).scalar_one()


def release(
    connection: Connection, *, user_id: str, send_id: str, give_up_at: datetime, at: datetime
) -> None:
    """Let one send that asks first leave after all.

    Raises :class:`NotFound`, and :class:`Conflict` when it waits for something else, or does not wait.
    """
    row = connection.execute(_PLACE, {"owner": user_id, "send_id": send_id}).one_or_none()
    if row is None:
        raise NotFound("send")
    routes.lock(connection, route_id=row.route_id)
    values = {"owner": user_id, "sid": send_id, "until": give_up_at, "at": at}
    released = connection.execute(_RELEASE, values).all()
    if not released:
        row = connection.execute(_PLACE, {"owner": user_id, "send_id": send_id}).one()
        raise Conflict(
            "Only a send that asks whether it should still leave can be released. "
            + (
                "This one waits for something else."
                if row.state == State.WAITING
                else f"This one is {row.state}."
            ),
            code="not_asking",
            details={"state": row.state, "reason": row.reason},
        )
    moved(connection, released, kind=Kind.SEND_QUEUED, at=at, reason="released")
    routes.reschedule(connection, route_ids=[row.route_id])


def release_all(
    connection: Connection, *, user_id: str, connection_id: str, give_up_at: datetime, at: datetime
) -> list[str]:
    """The same for all of a mailbox that ask; their ids."""
    routes.lock(connection, route_id=connection_id)
    values = {"owner": user_id, "mailbox": connection_id, "until": give_up_at, "at": at}
    released = connection.execute(_RELEASE_ALL, values).all()
    moved(connection, released, kind=Kind.SEND_QUEUED, at=at, reason="released")
    routes.reschedule(connection, route_ids=[connection_id])
    return [row.id for row in released]


def cancel_all(connection: Connection, *, user_id: str, connection_id: str, at: datetime) -> list[str]:
    """Take back everything of a mailbox that waits for somebody to act; their ids."""
    routes.lock(connection, route_id=connection_id)
    values = {"owner": user_id, "mailbox": connection_id, "at": at}
    cancelled = connection.execute(_CANCEL_ALL, values).all()
    moved(connection, cancelled, kind=Kind.SEND_CANCELLED, at=at)
    return [row.id for row in cancelled]
