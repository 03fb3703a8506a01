"""One row for every queue of sends: a mailbox (by its connection's id) or a relay (by its name).

``next_at`` says when its next send may be claimed, so that finding work never looks at the sends themselves.
"""

from datetime import datetime

from sqlalchemy import Connection, bindparam, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from replysequence.domain.send import CLAIMABLE
from replysequence.storage.tables import routes, sends

_ENSURE = {
    "sqlite": sqlite.insert(routes).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(routes).on_conflict_do_nothing(),
}

_FIRST_DUE = (
    select(func.min(sends.c.next_at))
    .where(
        sends.c.route_id == bindparam("route_id"),
        sends.c.state.in_(CLAIMABLE),
        sends.c.next_at.is_not(None),
    )
    .scalar_subquery()
)
_READ = select(_FIRST_DUE.label("first_due"), routes.c.paused_until).where(
    routes.c.id == bindparam("route_id")
)
_LOCK = select(routes.c.id).where(routes.c.id == bindparam("route_id")).with_for_update()
_SET_NEXT = update(routes).where(routes.c.id == bindparam("route_id")).values(next_at=bindparam("due"))
_PAUSE = (
    update(routes)
    .where(
        routes.c.id == bindparam("route_id"),
        or_(routes.c.paused_until.is_(None), routes.c.paused_until <= bindparam("until")),
    )
    .values(
        paused_until=bindparam("until"),
        pause_reason=bindparam("reason"),
        pause_explanation=bindparam("explanation"),
    )
)


def take(connection: Connection, *, route_id: str, via: str) -> None:
    """Make the row of ``route_id`` if it is not there, and :func:`lock` it."""
    connection.execute(_ENSURE[connection.dialect.name], {"id": route_id, "via": via})
    lock(connection, route_id=route_id)


def lock(connection: Connection, *, route_id: str) -> None:
    """Hold the route until the transaction ends. Whoever changes a send takes its route first: no two can
    deadlock.
    """
    connection.execute(_LOCK, {"route_id": route_id})


def reschedule(connection: Connection, *, route_id: str) -> datetime | None:
    """Set when the next send of a locked route may be claimed, from its sends and its pause; returns it."""
    row = connection.execute(_READ, {"route_id": route_id}).one_or_none()
    if row is None:
        return None
    due: datetime | None = row.first_due
    if due is not None and row.paused_until is not None and row.paused_until > due:
        due = row.paused_until
    connection.execute(_SET_NEXT, {"route_id": route_id, "due": due})
    return due


def pause(connection: Connection, *, route_id: str, until: datetime, reason: str, explanation: str) -> None:
    """Claim nothing of this route before ``until``: the provider refused the mailbox, not a message.

    A pause that lasts longer stays as it is.
    """
    connection.execute(
        _PAUSE, {"route_id": route_id, "until": until, "reason": reason, "explanation": explanation}
    )
