"""One row for every queue of sends: a mailbox (by its connection's id) or a relay (by its name). The row under the name
of a mailbox provider stands for all of its mailboxes together: their pace, and whether it is down.

``next_at`` says when the next send may be claimed, so that finding work never looks at the sends themselves.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Update,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from replysequence.domain.pacing import DAY, USAGE_STEP, Used, piece_of
from replysequence.domain.send import CLAIMABLE
from replysequence.storage.database import now
from replysequence.storage.prepared import Prepared
from replysequence.storage.tables import in_states, route_usage, routes, sends

_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}
_ENSURE = {
    name: Prepared(dialect.insert(routes).on_conflict_do_nothing(), columns=("id", "via", "connection_id"))
    for name, dialect in _DIALECTS.items()
}
_LOCK = Prepared(select(routes.c.id).where(routes.c.id == bindparam("route_id")).with_for_update())
_LOCK_ALL = (
    select(routes.c.id)
    .where(routes.c.id.in_(bindparam("route_ids", expanding=True)))
    .order_by(routes.c.id)
    .with_for_update()
)


def _next_at(name: str, paced_until: ColumnElement[datetime]) -> ScalarSelect[datetime]:
    """The first due send's time, or the pause's or the pace's if that is later; none where nothing waits."""
    latest = func.max if name == "sqlite" else func.greatest
    due = sends.c.next_at
    moment: ColumnElement[datetime] = latest(
        due, func.coalesce(routes.c.paused_until, due), func.coalesce(paced_until, due), type_=due.type
    )
    return (
        select(moment)
        .where(
            sends.c.route_id == routes.c.id,
            in_states(sends.c.state, CLAIMABLE),
            due.is_not(None),
        )
        .order_by(due)
        .limit(1)
        .correlate(routes)
        .scalar_subquery()
    )


_THIS = routes.c.id == bindparam("route_id")
_RESCHEDULE = {
    name: update(routes).where(_THIS).values(next_at=_next_at(name, routes.c.paced_until))
    for name in _DIALECTS
}
_due = bindparam("due", type_=routes.c.next_at.type)


def _with_one_more(name: str) -> Update:
    """What :data:`_RESCHEDULE` sets, from what it has set before and the time of one more send."""
    latest, earliest = (func.max, func.min) if name == "sqlite" else (func.greatest, func.least)
    held_back = (func.coalesce(routes.c.paused_until, _due), func.coalesce(routes.c.paced_until, _due))
    moment = latest(_due, *held_back, type_=_due.type)
    return (
        update(routes)
        .where(_THIS)
        .values(next_at=earliest(func.coalesce(routes.c.next_at, moment), moment, type_=_due.type))
    )


_ONE_MORE = {name: Prepared(_with_one_more(name)) for name in _DIALECTS}
_PUT_OFF = or_(
    routes.c.next_at.is_(None), routes.c.paced_until.is_(None), routes.c.next_at > routes.c.paced_until
)
_RELEASE = {name: statement.where(_PUT_OFF) for name, statement in _RESCHEDULE.items()}
_new_pace = bindparam("paced", type_=routes.c.paced_until.type)
_PACE = {
    name: update(routes).where(_THIS).values(paced_until=_new_pace, next_at=_next_at(name, _new_pace))
    for name in _DIALECTS
}
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
_RESUME = (
    update(routes)
    .where(routes.c.id == bindparam("route_id"), routes.c.pause_reason == bindparam("reason"))
    .values(paused_until=None, pause_reason=None, pause_explanation=None)
)
_EXTEND = (
    update(sends)
    .where(
        sends.c.route_id == bindparam("route"),
        in_states(sends.c.state, CLAIMABLE),
        sends.c.give_up_at < bindparam("until"),
    )
    .values(give_up_at=bindparam("until"))
)
_TOLD = update(routes).where(routes.c.id == bindparam("route_id")).values(per_minute=bindparam("told"))
_USE = {
    name: (insert := dialect.insert(route_usage)).on_conflict_do_update(
        index_elements=[route_usage.c.route_id, route_usage.c.began_at],
        set_={
            "messages": route_usage.c.messages + insert.excluded.messages,
            "recipients": route_usage.c.recipients + insert.excluded.recipients,
        },
    )
    for name, dialect in _DIALECTS.items()
}
_FORGET = delete(route_usage).where(route_usage.c.began_at <= bindparam("since"))
_USED = (
    select(route_usage.c.began_at, route_usage.c.messages, route_usage.c.recipients)
    .where(route_usage.c.route_id == bindparam("route_id"), route_usage.c.began_at > bindparam("since"))
    .order_by(route_usage.c.began_at)
)


def take(connection: Connection, *, route_id: str, via: str, connection_id: str | None = None) -> None:
    """Make the row of ``route_id`` if it is not there, and :func:`lock` it."""
    if _LOCK.line(connection, route_id=route_id) is None:
        _ENSURE[connection.dialect.name].run(connection, id=route_id, via=via, connection_id=connection_id)
        lock(connection, route_id=route_id)


def lock(connection: Connection, *, route_id: str) -> None:
    """Hold the route until the transaction ends. Whoever changes a send takes its route first: no two can
    deadlock. On SQLite there is one writer at a time anyway.
    """
    if connection.dialect.name != "sqlite":
        _LOCK.lines(connection, route_id=route_id)


def lock_all(connection: Connection, *, route_ids: Iterable[str]) -> None:
    """The same for several, in one order for everybody."""
    if connection.dialect.name != "sqlite":
        connection.execute(_LOCK_ALL, {"route_ids": sorted(set(route_ids))}).all()


def reschedule(connection: Connection, *, route_ids: Iterable[str]) -> None:
    """Set when the next send of locked routes may be claimed, from their sends, pauses and paces."""
    rows = [{"route_id": route_id} for route_id in sorted(set(route_ids))]
    if rows:
        connection.execute(_RESCHEDULE[connection.dialect.name], rows)


def one_more(connection: Connection, *, route_id: str, due: datetime) -> None:
    """The same for one locked route to which nothing has happened but that a send was added, without a look at its
    sends; ``due`` is when that one may be claimed.
    """
    _ONE_MORE[connection.dialect.name].run(connection, route_id=route_id, due=due)


def release(connection: Connection, *, route_ids: Iterable[str]) -> None:
    """The same after sends have left: a route that is due as early as its pace allows stays as it is."""
    rows = [{"route_id": route_id} for route_id in sorted(set(route_ids))]
    if rows:
        connection.execute(_RELEASE[connection.dialect.name], rows)


def pace(connection: Connection, paced_until: Mapping[str, datetime]) -> None:
    """Let nothing more begin on these locked routes before these moments, and set when their next sends are due."""
    rows = [{"route_id": route_id, "paced": paced_until[route_id]} for route_id in sorted(paced_until)]
    if rows:
        connection.execute(_PACE[connection.dialect.name], rows)


def pause(connection: Connection, *, route_id: str, until: datetime, reason: str, explanation: str) -> None:
    """Claim nothing of this route before ``until``. A pause that lasts longer stays as it is."""
    connection.execute(
        _PAUSE, {"route_id": route_id, "until": until, "reason": reason, "explanation": explanation}
    )


def resume(connection: Connection, *, route_id: str, reason: str) -> bool:
    """End a pause that was made for ``reason``; False when there is none."""
    return connection.execute(_RESUME, {"route_id": route_id, "reason": reason}).rowcount > 0


def extend(connection: Connection, *, route_id: str, until: datetime) -> None:
    """Let nothing that waits in this queue be given up before ``until``: it waits for the provider's limit, through
    no fault of its own.
    """
    connection.execute(_EXTEND, {"route": route_id, "until": until})


def told(connection: Connection, *, route_id: str, per_minute: int) -> None:
    """Keep the rate that the provider's answers tell, in calls a minute."""
    connection.execute(_TOLD, {"route_id": route_id, "told": per_minute})


def use(connection: Connection, uses: Iterable[tuple[str, int]], *, at: datetime) -> None:
    """Count a message to so many recipients against its route's day: (route id, recipients) for each."""
    began_at = piece_of(at)
    rows = [
        {"route_id": route_id, "began_at": began_at, "messages": 1, "recipients": recipients}
        for route_id, recipients in uses
    ]
    if rows:
        connection.execute(_USE[connection.dialect.name], rows)


def usage(connection: Connection, *, route_id: str, at: datetime) -> list[Used]:
    """What the route used in the 24 hours before ``at``, oldest first."""
    rows = connection.execute(_USED, {"route_id": route_id, "since": since(at)})
    return [Used(row.began_at, row.messages, row.recipients) for row in rows]


def forget_usage(connection: Connection) -> int:
    """Remove what was used more than 24 hours ago; returns how many rows."""
    return connection.execute(_FORGET, {"since": since(now(connection))}).rowcount


def since(at: datetime) -> datetime:
    """Pieces of usage that began after this lie, at least in part, in the 24 hours before ``at``."""
    return at - DAY - USAGE_STEP
