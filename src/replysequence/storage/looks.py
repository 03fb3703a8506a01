"""Looks into Sent folders for sends of which nobody knows whether they left.

Each planned look is claimed by one conditional update, so that of several workers one takes it. A look that finds
the message settles the send, unless a person or a late verdict was first. Nothing here serves people: who may look is
asked before, by the services.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.event import Kind
from replysequence.domain.looking import LOOKED_FOR_WITHIN, LOOKS_AFTER, looks_due
from replysequence.domain.pacing import Rate
from replysequence.domain.send import State, Verdict
from replysequence.storage import events, reports, routes
from replysequence.storage.database import AnyRow
from replysequence.storage.tables import email_connections, send_attempts, sends
from replysequence.storage.tables import routes as routes_table

PATIENCE = timedelta(seconds=10)
"""How long a look waits for its room in the pace of a mailbox that sends as fast as it may."""

_S, _C, _R = sends.c, email_connections.c, routes_table.c
_IS_UNKNOWN = _S.state == literal_column("'unknown'")  # as in the index, so that it can be used


@dataclass(frozen=True, slots=True)
class Look:
    """A send to be looked for, in the mailbox that it may have left from. ``since`` is when its attempt began."""

    send_id: str
    user_id: str
    draft_id: str
    attempt: int
    via: str
    connection_id: str
    email: str
    message_id: str
    since: datetime
    by: str
    """Who looks: ``worker`` or ``person``."""
    delay: timedelta
    """How long to wait until the mailbox's pace leaves room for it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a look takes of the pace of its mailbox, and of its provider's, in sends."""

    sends: int
    rate: Rate
    shared: Rate | None


CostOf = Callable[[str, str], Cost]
"""By the provider's name and the address of the mailbox."""

_ROWS = select(
    _S.id,
    _S.user_id,
    _S.draft_id,
    _S.attempt,
    _S.via,
    _S.connection_id,
    _S.message_id,
    _S.looks,
    _S.updated_at,
    _C.email,
    send_attempts.c.started_at,
).select_from(
    sends.join(email_connections, _C.id == _S.connection_id).join(
        send_attempts, and_(send_attempts.c.send_id == _S.id, send_attempts.c.number == _S.attempt)
    )
)
_PACES = select(_R.id, _R.paced_until, _R.paused_until).where(
    _R.id.in_(bindparam("route_ids", expanding=True))
)
_PACE = update(routes_table).where(_R.id == bindparam("route_id")).values(paced_until=bindparam("until"))
_CLAIM = (
    update(sends)
    .where(_S.id == bindparam("send_id"), _IS_UNKNOWN, _S.looks == bindparam("seen"))
    .values(looks=bindparam("over"))
)
_SETTLE = (
    update(sends)
    .where(_S.id == bindparam("send_id"), _IS_UNKNOWN, _S.attempt == bindparam("number"))
    .values(
        state=State.SETTLED_SENT,
        claimed_by=null(),
        provider_message_id=func.coalesce(bindparam("message_at_provider"), _S.provider_message_id),
        thread_id=func.coalesce(bindparam("thread"), _S.thread_id),
        updated_at=bindparam("at"),
    )
)
_STILL_UNKNOWN = select(_S.id).where(
    _S.id == bindparam("send_id"), _IS_UNKNOWN, _S.attempt == bindparam("number")
)
_OVER = select(_S.looks).where(_S.id == bindparam("send_id"))
_KNOWN = select(_S.provider_message_id).where(
    _S.via == bindparam("via"),
    _S.provider_message_id.in_(bindparam("ids", expanding=True)),
    _S.connection_id == bindparam("connection_id"),
    _S.id != bindparam("send_id"),
)


def may_look(scopes: Mapping[str, str]) -> ColumnElement[bool]:
    """Whether a connection can be looked into and its owner wants it: ``scopes`` has the one it takes, by provider."""
    granted = (
        and_(_C.provider == provider, (" " + _C.scopes + " ").contains(f" {scope} ", autoescape=True))
        for provider, scope in scopes.items()
    )
    return and_(_C.status == ConnectionStatus.ACTIVE, _C.look_up, or_(*granted))


def claim(
    connection: Connection, *, scopes: Mapping[str, str], cost_of: CostOf, limit: int, at: datetime
) -> list[Look]:
    """Take planned looks that are due, one a mailbox, where no pause and no pace stands against it.

    ``scopes`` has, by provider, the permission that looking takes. A look that was missed is not made up for: the
    ones planned before it count as over.
    """
    if not scopes:
        return []
    rows: dict[str, AnyRow] = {}
    for row in connection.execute(_due(scopes, at=at).limit(limit)).all():
        rows.setdefault(row.connection_id, row)
    _lock(connection, rows.values())
    taken: list[Look] = []
    for row in rows.values():
        delay = _room(connection, row, cost=cost_of(row.via, row.email), at=at)
        if delay > PATIENCE:
            continue
        over = looks_due(unknown_since=row.updated_at, at=at)
        values = {"send_id": row.id, "seen": row.looks, "over": over}
        if connection.execute(_CLAIM, values).rowcount == 1:
            taken.append(_look(row, by="worker", delay=delay))
    return taken


def take(
    connection: Connection,
    *,
    user_id: str,
    send_id: str,
    scopes: Mapping[str, str],
    cost_of: CostOf,
    at: datetime,
) -> Look | timedelta | None:
    """The look that a person asks for, beside the planned ones; or how long a pause or pace stands against it.

    None when the send is not unknown, or its mailbox cannot be looked into.
    """
    mine = _ROWS.where(_S.id == send_id, _S.user_id == user_id, _IS_UNKNOWN, may_look(scopes))
    row = connection.execute(mine).one_or_none() if scopes else None
    if row is None:
        return None
    _lock(connection, [row])
    delay = _room(connection, row, cost=cost_of(row.via, row.email), at=at)
    return delay if delay > PATIENCE else _look(row, by="person", delay=delay)


def _due(scopes: Mapping[str, str], *, at: datetime) -> Select[*tuple[object, ...]]:
    planned = or_(
        *(and_(_S.looks == over, _S.updated_at <= at - after) for over, after in enumerate(LOOKS_AFTER))
    )
    return _ROWS.where(
        _IS_UNKNOWN, _S.updated_at > at - LOOKED_FOR_WITHIN, planned, may_look(scopes)
    ).order_by(_S.updated_at)


def _look(row: AnyRow, *, by: str, delay: timedelta) -> Look:
    return Look(
        send_id=row.id,
        user_id=row.user_id,
        draft_id=row.draft_id,
        attempt=row.attempt,
        via=row.via,
        connection_id=row.connection_id,
        email=row.email,
        message_id=row.message_id,
        since=row.started_at,
        by=by,
        delay=delay,
    )


def _lock(connection: Connection, rows: Collection[AnyRow]) -> None:
    """Hold what may be asked. What a provider shares comes before its mailboxes, as for everybody: no two deadlock."""
    if rows:
        routes.lock_all(connection, route_ids=[row.via for row in rows])
        routes.lock_all(connection, route_ids=[row.connection_id for row in rows])


def _room(connection: Connection, row: AnyRow, *, cost: Cost, at: datetime) -> timedelta:
    """How long until the mailbox and its provider may be asked; if that is soon, the room is taken. They are locked."""
    rates = {row.connection_id: cost.rate, row.via: cost.shared}
    stands = connection.execute(_PACES, {"route_ids": list(rates)}).all()
    moments = [moment for each in stands for moment in (each.paced_until, each.paused_until) if moment]
    delay: timedelta = max([*moments, at]) - at
    if delay > PATIENCE:
        return delay
    for each in stands:
        rate = rates[each.id]
        if rate is not None and cost.sends:
            until = rate.after(paced_until=each.paced_until, at=at, calls=cost.sends)
            connection.execute(_PACE, {"route_id": each.id, "until": until})
    if cost.sends:
        routes.reschedule(connection, route_ids=[row.connection_id])
    return delay


def over(connection: Connection, *, send_id: str) -> int:
    """How many of a send's planned looks are over."""
    count: int = connection.execute(_OVER, {"send_id": send_id}).scalar_one()
    return count


def known(connection: Connection, *, look: Look, ids: Sequence[str]) -> Collection[str]:
    """Which of the provider's message ids belong to other sends of the mailbox."""
    values = {"via": look.via, "ids": ids, "connection_id": look.connection_id, "send_id": look.send_id}
    return {found for found in connection.execute(_KNOWN, values).scalars() if found is not None}


def settle_found(
    connection: Connection,
    *,
    look: Look,
    provider_message_id: str | None,
    thread_id: str | None,
    at: datetime,
) -> bool:
    """Settle a send as sent because its message was found. False when somebody was first and it is not unknown."""
    routes.lock(connection, route_id=look.connection_id)
    changed = connection.execute(
        _SETTLE,
        {
            "send_id": look.send_id,
            "number": look.attempt,
            "message_at_provider": provider_message_id,
            "thread": thread_id,
            "at": at,
        },
    ).rowcount
    if changed != 1:
        return False
    told = {"provider_message_id": provider_message_id, "thread_id": thread_id}
    data = {"verdict": Verdict.SENT, "by": "look_up", "attempt": look.attempt}
    _append(connection, look, kind=Kind.SEND_SETTLED, data=data | {k: v for k, v in told.items() if v}, at=at)
    reports.add(connection, [(look.user_id, look.send_id)], at=at)
    return True


def note(connection: Connection, *, look: Look, problem: str | None, at: datetime) -> bool:
    """Keep that a look found nothing, or why it could not look. False when the send is not unknown any more."""
    routes.lock(connection, route_id=look.connection_id)
    values = {"send_id": look.send_id, "number": look.attempt}
    if connection.execute(_STILL_UNKNOWN, values).one_or_none() is None:
        return False
    data = {"by": look.by, "attempt": look.attempt, "outcome": "could_not_look" if problem else "not_found"}
    _append(
        connection,
        look,
        kind=Kind.SEND_LOOKED_FOR,
        data=data | ({"reason": problem} if problem else {}),
        at=at,
    )
    return True


def _append(
    connection: Connection, look: Look, *, kind: Kind, data: Mapping[str, object], at: datetime
) -> None:
    events.append(
        connection,
        user_id=look.user_id,
        kind=kind,
        send_id=look.send_id,
        draft_id=look.draft_id,
        connection_id=look.connection_id,
        data=data,
        at=at,
    )
