"""When a send leaves, where its owner has chosen the time."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from replysequence.domain.errors import Conflict
from replysequence.domain.event import Kind
from replysequence.domain.send import SCHEDULED, State
from replysequence.storage import events, frozen, routes, sends
from replysequence.storage.tables import sends as sends_table

_S = sends_table.c

_FROZEN = select(_S.message).where(_S.user_id == bindparam("user_id"), _S.id == bindparam("send_id"))
_CHANGE_TIME = (
    update(sends_table)
    .where(
        _S.user_id == bindparam("owner"),
        _S.id == bindparam("sid"),
        _S.state == State.WAITING,
        _S.reason == SCHEDULED,
    )
    .values(
        state=bindparam("new_state"),
        reason=bindparam("why"),
        message=bindparam("frozen"),
        send_at=bindparam("due"),
        next_at=bindparam("due"),
        give_up_at=bindparam("give_up"),
        updated_at=bindparam("at"),
    )
)


def change_time(
    connection: Connection,
    *,
    user_id: str,
    send_id: str,
    send_at: datetime,
    give_up_at: datetime,
    at: datetime,
) -> None:
    """Let a scheduled send leave from ``send_at`` on, which also becomes its Date: at once when it is ``at``.

    Raises :class:`NotFound`, and :class:`Conflict` when it does not wait for its time (any more).
    """
    row = sends.locked(connection, user_id=user_id, send_id=send_id)
    later = send_at > at
    frozen_message: str = connection.execute(_FROZEN, {"user_id": user_id, "send_id": send_id}).scalar_one()
    changed = connection.execute(
        _CHANGE_TIME,
        {
            "owner": user_id,
            "sid": send_id,
            "new_state": State.WAITING if later else State.QUEUED,
            "why": SCHEDULED if later else None,
            "frozen": frozen.redated(frozen_message, date=send_at),
            "due": send_at,
            "give_up": give_up_at,
            "at": at,
        },
    ).rowcount
    if not changed:
        state = sends.state_of(connection, user_id=user_id, send_id=send_id)
        raise Conflict(
            "Its time can no longer be changed: it does not wait for its time.",
            code="not_scheduled",
            details={"state": state},
        )
    events.append(
        connection,
        user_id=user_id,
        kind=Kind.SEND_RESCHEDULED,
        send_id=send_id,
        draft_id=row.draft_id,
        connection_id=row.connection_id,
        data={"send_at": send_at.isoformat()},
        at=at,
    )
    routes.reschedule(connection, route_ids=[row.route_id])
