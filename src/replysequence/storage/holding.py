"""Sends that wait for a person because their mailbox cannot be used, and what sets them free again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, case, func, null, or_, select, update

from replysequence.domain.event import Kind
from replysequence.domain.send import CLAIMABLE, IN_HAND, SCHEDULED, State
from replysequence.storage import events, routes
from replysequence.storage.database import AnyRow
from replysequence.storage.events import NewEvent
from replysequence.storage.tables import in_states, sends

ASK_AFTER = timedelta(hours=48)
"""What is older than this when its mailbox is connected again does not leave before its owner says so."""
ASKS_FIRST = "asks_first"

MOVED = (sends.c.id, sends.c.user_id, sends.c.draft_id, sends.c.connection_id)
"""What :func:`moved` needs of each send."""
_OF_ROUTE = sends.c.route_id == bindparam("route")
_HELD = and_(sends.c.state == State.WAITING, sends.c.next_at.is_(None))
own_time = case((sends.c.send_at > sends.c.created_at, sends.c.send_at), else_=sends.c.created_at)
"""When it was to leave: a time that had passed when it was written means that moment."""
_NOT_ASKING = sends.c.reason.is_distinct_from(ASKS_FIRST)
"""What asks waits for its owner's word, whatever becomes of its mailbox."""
_WOULD_ASK_AGAIN = own_time <= bindparam("ask_before")
_HOLD = (
    update(sends)
    .where(
        _OF_ROUTE,
        in_states(sends.c.state, CLAIMABLE),
        or_(_NOT_ASKING, _WOULD_ASK_AGAIN),
        or_(sends.c.next_at.is_not(None), sends.c.reason.is_distinct_from(bindparam("why"))),
    )
    .values(
        state=State.WAITING,
        reason=bindparam("why"),
        explanation=bindparam("explained"),
        next_at=null(),
        updated_at=bindparam("at"),
    )
    .returning(*MOVED)
)
_later_give_up = case((sends.c.give_up_at > bindparam("until"), sends.c.give_up_at), else_=bindparam("until"))
_PLAN = (
    update(sends)
    .where(_OF_ROUTE, _HELD, _NOT_ASKING, sends.c.send_at > bindparam("at"))
    .values(
        reason=SCHEDULED,
        explanation=null(),
        next_at=sends.c.send_at,
        give_up_at=_later_give_up,
        updated_at=bindparam("at"),
    )
    .returning(*MOVED)
)
_RELEASE = (
    update(sends)
    .where(_OF_ROUTE, _HELD, _NOT_ASKING, own_time > bindparam("ask_before"))
    .values(
        state=State.QUEUED,
        reason=null(),
        explanation=null(),
        next_at=own_time,  # so that the oldest goes first, also before what was accepted since
        give_up_at=_later_give_up,
        updated_at=bindparam("at"),
    )
    .returning(*MOVED)
)
_ASK = (
    update(sends)
    .where(
        _OF_ROUTE,
        _HELD,
        _NOT_ASKING,
        _WOULD_ASK_AGAIN,
    )
    .values(
        reason=ASKS_FIRST,
        explanation="It was to leave more than 48 hours ago, so it asks first whether it still should.",
        updated_at=bindparam("at"),
    )
    .returning(*MOVED)
)
_PREPARED = select(sends.c.id).where(_OF_ROUTE, sends.c.state == State.CLAIMED)
_COUNT_HELD = select(func.count()).where(_OF_ROUTE, _HELD)
_COUNT_IN_FLIGHT = select(func.count()).where(_OF_ROUTE, in_states(sends.c.state, IN_HAND))
_COUNT_UNFINISHED = select(func.count()).where(_OF_ROUTE, in_states(sends.c.state, CLAIMABLE | IN_HAND))


def hold(connection: Connection, *, connection_id: str, reason: str, explanation: str, at: datetime) -> int:
    """Let everything of this mailbox that has not begun wait until somebody acts.

    What waits already for another reason now waits for this one. Returns how many sends wait.
    """
    routes.lock(connection, route_id=connection_id)
    rows = connection.execute(
        _HOLD,
        {
            "route": connection_id,
            "why": reason,
            "explained": explanation,
            "ask_before": at - ASK_AFTER,
            "at": at,
        },
    ).all()
    moved(connection, rows, kind=Kind.SEND_WAITING, reason=reason, at=at)
    routes.reschedule(connection, route_ids=[connection_id])
    return held(connection, connection_id=connection_id)


@dataclass(frozen=True, slots=True)
class Released:
    """What a connection set free: ``moving`` sends leave now, as fast as the mailbox may; ``asking`` ones are too old
    for that and wait for their owner's word. What is planned for later keeps its time and is in neither.
    """

    moving: int
    asking: int


def release(
    connection: Connection, *, connection_id: str, via: str, give_up_at: datetime, at: datetime
) -> Released:
    """Queue again what waits for this mailbox, to give up at ``give_up_at`` at the earliest.

    What was to leave before :data:`ASK_AFTER` keeps waiting, and asks first. Called whenever a mailbox was
    connected: from then on it has a route that can be locked.
    """
    routes.take(connection, route_id=connection_id, via=via, connection_id=connection_id)
    here = {"route": connection_id, "at": at}
    planned = connection.execute(_PLAN, {**here, "until": give_up_at}).all()
    moved(connection, planned, kind=Kind.SEND_WAITING, reason=SCHEDULED, at=at)
    moving = connection.execute(_RELEASE, {**here, "until": give_up_at, "ask_before": at - ASK_AFTER}).all()
    moved(connection, moving, kind=Kind.SEND_QUEUED, reason="reconnected", at=at)
    old = connection.execute(_ASK, {**here, "ask_before": at - ASK_AFTER}).all()
    moved(connection, old, kind=Kind.SEND_WAITING, reason=ASKS_FIRST, at=at)
    routes.reschedule(connection, route_ids=[connection_id])
    return Released(moving=len(moving), asking=held(connection, connection_id=connection_id))


def held(connection: Connection, *, connection_id: str) -> int:
    """How many sends wait for somebody to act on this mailbox."""
    return connection.execute(_COUNT_HELD, {"route": connection_id}).scalar_one()


def unfinished(connection: Connection, *, connection_id: str) -> int:
    """How many sends of this mailbox have not ended."""
    return connection.execute(_COUNT_UNFINISHED, {"route": connection_id}).scalar_one()


def prepared(connection: Connection, *, connection_id: str) -> list[str]:
    """The sends of this mailbox that a worker prepares: not a byte has left."""
    return list(connection.execute(_PREPARED, {"route": connection_id}).scalars())


def in_flight(connection: Connection, *, connection_id: str) -> int:
    """How many sends of this mailbox a worker has in hand."""
    return connection.execute(_COUNT_IN_FLIGHT, {"route": connection_id}).scalar_one()


def moved(
    connection: Connection, rows: Sequence[AnyRow], *, kind: Kind, at: datetime, reason: str | None = None
) -> None:
    """Append the event of each of these sends."""
    events.append_many(
        connection,
        [
            NewEvent(
                user_id=row.user_id,
                kind=kind,
                send_id=row.id,
                draft_id=row.draft_id,
                connection_id=row.connection_id,
                data={"reason": reason} if reason else {},
                at=at,
            )
            for row in rows
        ],
    )
