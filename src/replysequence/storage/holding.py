"""Sends that wait for a person because their mailbox cannot be used, and what sets them free again."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, case, func, null, or_, select, update

from replysequence.domain.event import Kind
from replysequence.domain.send import CLAIMABLE, IN_HAND, State
from replysequence.storage import events, routes
from replysequence.storage.database import AnyRow
from replysequence.storage.events import NewEvent
from replysequence.storage.tables import sends

_MOVED = (sends.c.id, sends.c.user_id, sends.c.draft_id, sends.c.connection_id)
_OF_ROUTE = sends.c.route_id == bindparam("route")
_HELD = and_(sends.c.state == State.WAITING, sends.c.next_at.is_(None))
_HOLD = (
    update(sends)
    .where(
        _OF_ROUTE,
        sends.c.state.in_(CLAIMABLE),
        or_(sends.c.next_at.is_not(None), sends.c.reason.is_distinct_from(bindparam("why"))),
    )
    .values(
        state=State.WAITING,
        reason=bindparam("why"),
        explanation=bindparam("explained"),
        next_at=null(),
        updated_at=bindparam("at"),
    )
    .returning(*_MOVED)
)
_RELEASE = (
    update(sends)
    .where(_OF_ROUTE, _HELD)
    .values(
        state=State.QUEUED,
        reason=null(),
        explanation=null(),
        next_at=case((sends.c.send_at > bindparam("at"), sends.c.send_at), else_=bindparam("at")),
        # One that is planned for later keeps the time that counts from then.
        give_up_at=case(
            (sends.c.give_up_at > bindparam("give_up_at"), sends.c.give_up_at), else_=bindparam("give_up_at")
        ),
        updated_at=bindparam("at"),
    )
    .returning(*_MOVED)
)
_COUNT_HELD = select(func.count()).where(_OF_ROUTE, _HELD)
_COUNT_IN_FLIGHT = select(func.count()).where(_OF_ROUTE, sends.c.state.in_(IN_HAND))
_COUNT_UNFINISHED = select(func.count()).where(_OF_ROUTE, sends.c.state.in_(CLAIMABLE | IN_HAND))


def hold(connection: Connection, *, connection_id: str, reason: str, explanation: str, at: datetime) -> int:
    """Let everything of this mailbox that has not begun wait until somebody acts.

    What waits already for another reason now waits for this one. Returns how many sends wait.
    """
    routes.lock(connection, route_id=connection_id)
    rows = connection.execute(
        _HOLD, {"route": connection_id, "why": reason, "explained": explanation, "at": at}
    ).all()
    _moved(connection, rows, kind=Kind.SEND_WAITING, reason=reason, at=at)
    routes.reschedule(connection, route_id=connection_id)
    return held(connection, connection_id=connection_id)


def release(
    connection: Connection, *, connection_id: str, via: str, give_up_at: datetime, at: datetime
) -> int:
    """Queue again what waits for this mailbox, to give up at ``give_up_at`` at the earliest; returns how many.

    Called whenever a mailbox was connected: from then on it has a route that can be locked.
    """
    routes.take(connection, route_id=connection_id, via=via)
    rows = connection.execute(_RELEASE, {"route": connection_id, "give_up_at": give_up_at, "at": at}).all()
    _moved(connection, rows, kind=Kind.SEND_QUEUED, reason="reconnected", at=at)
    routes.reschedule(connection, route_id=connection_id)
    return len(rows)


def held(connection: Connection, *, connection_id: str) -> int:
    """How many sends wait for somebody to act on this mailbox."""
    return connection.execute(_COUNT_HELD, {"route": connection_id}).scalar_one()


def unfinished(connection: Connection, *, connection_id: str) -> int:
    """How many sends of this mailbox have not ended."""
    return connection.execute(_COUNT_UNFINISHED, {"route": connection_id}).scalar_one()


def in_flight(connection: Connection, *, connection_id: str) -> int:
    """How many sends of this mailbox a worker has in hand."""
    return connection.execute(_COUNT_IN_FLIGHT, {"route": connection_id}).scalar_one()


def _moved(connection: Connection, rows: Sequence[AnyRow], *, kind: Kind, reason: str, at: datetime) -> None:
    events.append_many(
        connection,
        [
            NewEvent(
                user_id=row.user_id,
                kind=kind,
                send_id=row.id,
                draft_id=row.draft_id,
                connection_id=row.connection_id,
                data={"reason": reason},
                at=at,
            )
            for row in rows
        ],
    )
