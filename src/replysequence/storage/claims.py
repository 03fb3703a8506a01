"""What a worker does to a send: claim it, put it on the wire, and write down what became of it.

Every transition is one conditional update that names the send, the attempt number and the state it starts
from; the attempt number is the fencing token. A count other than one raises :class:`AttemptLost`, and that
attempt ends.
None of this serves people: rows are found by id alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Update, bindparam, func, insert, null, select, update

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.event import Kind
from replysequence.domain.send import CLAIMABLE, IN_HAND, MOVES, Outcome, State
from replysequence.storage import events, holding, routes
from replysequence.storage.database import AnyRow
from replysequence.storage.tables import email_connections, send_attempts
from replysequence.storage.tables import routes as routes_table
from replysequence.storage.tables import sends as sends_table

_S = sends_table.c


class AttemptLost(Exception):
    """This attempt no longer owns its send: it was cancelled, or somebody believed this worker dead."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A send that this worker owns until it writes an ending."""

    id: str
    user_id: str
    draft_id: str
    attempt: int
    via: str
    route_id: str
    connection_id: str | None
    envelope: str
    message: str
    thread_id: str | None
    give_up_at: datetime
    first_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ending:
    """What an attempt came to. ``state`` is where the send goes; ``next_at`` when it may be tried again, if
    at all.
    """

    state: State
    outcome: Outcome
    reason: str | None = None
    explanation: str | None = None
    phase: str | None = None
    status: int | None = None
    provider_request_id: str | None = None
    provider_message_id: str | None = None
    thread_id: str | None = None
    next_at: datetime | None = None
    pause: tuple[datetime, str, str] | None = None
    """(until, reason, explanation) when the refusal is about the mailbox, not about this message."""


_CARRIED = tuple(sends_table.c[field.name] for field in fields(Claimed))

_DUE_ROUTES = (
    select(routes_table.c.id, routes_table.c.via)
    .where(routes_table.c.next_at <= bindparam("at"))
    .order_by(routes_table.c.next_at)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_CONNECTION = select(
    email_connections.c.status, email_connections.c.status_reason, email_connections.c.problem
).where(email_connections.c.id == bindparam("connection_id"))
_ACTIVE = select(func.count()).where(_S.route_id == bindparam("route_id"), _S.state.in_(IN_HAND))
_OLDEST = (
    select(*_CARRIED)
    .where(
        _S.route_id == bindparam("route_id"),
        _S.state.in_(CLAIMABLE),
        _S.next_at <= bindparam("at"),
    )
    .order_by(_S.next_at, _S.id)
    .limit(bindparam("free"))
)
_CLAIM = (
    update(sends_table)
    .where(
        _S.id == bindparam("sid"),
        _S.attempt == bindparam("seen"),
        _S.state.in_(CLAIMABLE),
    )
    .values(
        state=State.CLAIMED,
        attempt=bindparam("number"),
        claimed_by=bindparam("incarnation"),
        reason=null(),
        explanation=null(),
        next_at=null(),
        updated_at=bindparam("at"),
    )
)
_NEW_ATTEMPT = insert(send_attempts)
_BEGIN = (
    update(sends_table)
    .where(
        _S.id == bindparam("sid"),
        _S.attempt == bindparam("number"),
        _S.state == State.CLAIMED,
        _S.claimed_by == bindparam("incarnation"),
    )
    .values(
        state=State.SENDING,
        first_attempt_at=func.coalesce(_S.first_attempt_at, bindparam("at")),
        updated_at=bindparam("at"),
    )
)
_PHASE = (
    update(send_attempts)
    .where(send_attempts.c.send_id == bindparam("sid"), send_attempts.c.number == bindparam("seen"))
    .values(phase="sending")
)


def _end_from(states: Sequence[State]) -> Update:
    return (
        update(sends_table)
        .where(_S.id == bindparam("sid"), _S.attempt == bindparam("seen"), _S.state.in_(states))
        .values(
            state=bindparam("new_state"),
            reason=bindparam("why"),
            explanation=bindparam("explained"),
            claimed_by=null(),
            next_at=bindparam("due"),
            provider_message_id=func.coalesce(bindparam("message_at_provider"), _S.provider_message_id),
            thread_id=func.coalesce(bindparam("thread"), _S.thread_id),
            updated_at=bindparam("at"),
        )
    )


_END = {
    state: _end_from(
        [start for start in (State.CLAIMED, State.SENDING, State.UNKNOWN) if state in MOVES[start]]
    )
    for state in (State.SENT, State.FAILED, State.QUEUED, State.WAITING, State.UNKNOWN)
}
_END_AS_SEEN = {state: _end_from([state]) for state in IN_HAND}
_END_ATTEMPT = (
    update(send_attempts)
    .where(send_attempts.c.send_id == bindparam("sid"), send_attempts.c.number == bindparam("seen"))
    .values(
        outcome=bindparam("how"),
        phase=func.coalesce(bindparam("reached"), send_attempts.c.phase),
        reason=bindparam("why"),
        status=bindparam("http_status"),
        provider_request_id=bindparam("request"),
        finished_at=bindparam("at"),
    )
)
_KIND = {
    State.SENT: Kind.SEND_SENT,
    State.FAILED: Kind.SEND_FAILED,
    State.QUEUED: Kind.SEND_QUEUED,
    State.WAITING: Kind.SEND_WAITING,
    State.UNKNOWN: Kind.SEND_UNKNOWN,
}
_OWNERS = select(_S.claimed_by).where(_S.state.in_(IN_HAND)).distinct()
_OWNED = (
    select(*_CARRIED, _S.state)
    .where(_S.claimed_by == bindparam("incarnation"), _S.state.in_(IN_HAND))
    .order_by(_S.route_id, _S.id)
)
_UNKNOWN_ATTEMPTS = select(func.count()).where(
    send_attempts.c.send_id == bindparam("send_id"),
    send_attempts.c.number < bindparam("attempt"),
    send_attempts.c.outcome == Outcome.UNKNOWN,
)
_NEXT_DUE = select(func.min(routes_table.c.next_at)).where(routes_table.c.next_at.is_not(None))


def claim(
    connection: Connection, *, incarnation: str, concurrency: Mapping[str, int], limit: int, at: datetime
) -> list[Claimed]:
    """Take up to ``limit`` sends that are due, oldest route first, and at most ``concurrency[via]`` at a
    time per route.

    A mailbox that cannot be used takes no claim: its sends are put to wait for their owner.
    """
    taken: list[Claimed] = []
    for route in connection.execute(_DUE_ROUTES, {"at": at, "count": limit}).all():
        if len(taken) >= limit:
            break
        if _cannot_be_used(connection, route_id=route.id, via=route.via, at=at):
            continue
        active = connection.execute(_ACTIVE, {"route_id": route.id}).scalar_one()
        free = concurrency.get(route.via, 1) - active
        mine = _claim_oldest(
            connection, route_id=route.id, incarnation=incarnation, free=min(free, limit - len(taken)), at=at
        )
        taken += mine
        _set_next(connection, route_id=route.id, full=len(mine) >= free)
    return taken


def _cannot_be_used(connection: Connection, *, route_id: str, via: str, at: datetime) -> bool:
    if route_id == via:
        return False
    row = connection.execute(_CONNECTION, {"connection_id": route_id}).one_or_none()
    if row is not None and row.status == ConnectionStatus.ACTIVE:
        return False
    reason, explanation = "disconnected", "This e-mail account is no longer connected. Cancel this send."
    if row is not None and row.status == ConnectionStatus.NEEDS_RECONNECT:
        reason, explanation = row.status_reason or row.status, row.problem or explanation
    holding.hold(connection, connection_id=route_id, reason=reason, explanation=explanation, at=at)
    return True


def _claim_oldest(
    connection: Connection, *, route_id: str, incarnation: str, free: int, at: datetime
) -> list[Claimed]:
    taken: list[Claimed] = []
    if free <= 0:
        return taken
    for row in connection.execute(_OLDEST, {"route_id": route_id, "at": at, "free": free}).all():
        number = row.attempt + 1
        changed = connection.execute(
            _CLAIM,
            {"sid": row.id, "seen": row.attempt, "number": number, "incarnation": incarnation, "at": at},
        ).rowcount
        if changed != 1:
            continue
        connection.execute(
            _NEW_ATTEMPT,
            {
                "send_id": row.id,
                "number": number,
                "incarnation": incarnation,
                "phase": "claimed",
                "started_at": at,
            },
        )
        taken.append(replace(_carried(row), attempt=number))
    return taken


def _carried(row: AnyRow) -> Claimed:
    return Claimed(**{field.name: row._mapping[field.name] for field in fields(Claimed)})  # noqa: SLF001 - SQLAlchemy's public name


_CLEAR_NEXT = update(routes_table).where(routes_table.c.id == bindparam("route_id")).values(next_at=null())


def _set_next(connection: Connection, *, route_id: str, full: bool) -> None:
    """A route with no free place is woken by the send that ends; any other by its next due send."""
    if full:
        connection.execute(_CLEAR_NEXT, {"route_id": route_id})
    else:
        routes.reschedule(connection, route_id=route_id)


def begin_sending(
    connection: Connection, *, send_id: str, attempt: int, incarnation: str, at: datetime
) -> None:
    """Commit that the exchange is about to begin. Raises :class:`AttemptLost`; then not a byte may leave."""
    changed = connection.execute(
        _BEGIN, {"sid": send_id, "number": attempt, "incarnation": incarnation, "at": at}
    ).rowcount
    if changed != 1:
        raise AttemptLost(send_id)
    connection.execute(_PHASE, {"sid": send_id, "seen": attempt})


def end(
    connection: Connection, claimed: Claimed, ending: Ending, *, at: datetime, seen: State | None = None
) -> None:
    """Write how an attempt ended, with its event. Raises :class:`AttemptLost` when the send has moved on
    without it.

    ``seen`` is for who ends another's attempt: the state that this was decided in. The other may live after all
    and go on at this moment, and what has begun to leave must not be queued again.
    """
    routes.lock(connection, route_id=claimed.route_id)
    ending = _unless_repaired(connection, claimed, ending, at=at)
    changed = connection.execute(
        _END[ending.state] if seen is None else _END_AS_SEEN[seen],
        {
            "sid": claimed.id,
            "seen": claimed.attempt,
            "new_state": ending.state,
            "why": ending.reason,
            "explained": ending.explanation,
            "due": ending.next_at,
            "message_at_provider": ending.provider_message_id,
            "thread": ending.thread_id,
            "at": at,
        },
    ).rowcount
    if changed != 1:
        raise AttemptLost(claimed.id)
    connection.execute(
        _END_ATTEMPT,
        {
            "sid": claimed.id,
            "seen": claimed.attempt,
            "how": ending.outcome,
            "reached": ending.phase,
            "why": ending.reason,
            "http_status": ending.status,
            "request": ending.provider_request_id,
            "at": at,
        },
    )
    data: dict[str, object] = {"attempt": claimed.attempt, "via": claimed.via}
    if ending.reason:
        data["reason"] = ending.reason
    if ending.next_at:
        data["next_at"] = ending.next_at.isoformat()
    if ending.provider_message_id:
        data["provider_message_id"] = ending.provider_message_id
    events.append(
        connection,
        user_id=claimed.user_id,
        kind=_KIND[ending.state],
        send_id=claimed.id,
        draft_id=claimed.draft_id,
        connection_id=claimed.connection_id,
        data=data,
        at=at,
    )
    if ending.pause:
        until, reason, explanation = ending.pause
        routes.pause(
            connection, route_id=claimed.route_id, until=until, reason=reason, explanation=explanation
        )
    routes.reschedule(connection, route_id=claimed.route_id)


def _unless_repaired(connection: Connection, claimed: Claimed, ending: Ending, *, at: datetime) -> Ending:
    """A mailbox may have been reconnected while this attempt found it broken: then nothing waits for that
    any more.
    """
    if ending.state is not State.WAITING or ending.next_at is not None or claimed.connection_id is None:
        return ending
    row = connection.execute(_CONNECTION, {"connection_id": claimed.connection_id}).one_or_none()
    if row is None or row.status != ConnectionStatus.ACTIVE:
        return ending
    return replace(ending, state=State.QUEUED, next_at=at)


def owners(connection: Connection) -> list[str]:
    """The incarnations that hold a send right now."""
    return [owner for owner in connection.execute(_OWNERS).scalars() if owner is not None]


def may_be_out(connection: Connection, *, send_id: str, attempt: int) -> bool:
    """Whether an attempt before ``attempt`` ended without anybody knowing if it left: then it cannot simply fail."""
    return connection.execute(_UNKNOWN_ATTEMPTS, {"send_id": send_id, "attempt": attempt}).scalar_one() > 0


def reap(
    connection: Connection,
    *,
    incarnation: str,
    repeatable: Mapping[str, timedelta],
    at: datetime,
    in_hand: Collection[tuple[str, int]] = (),
) -> dict[State, int]:
    """Take over the sends that nobody works on any more: back to ``queued`` from ``claimed``, ``unknown`` from
    ``sending``.

    ``repeatable`` gives, for a relay that drops the second copy of a key, how long after the first attempt
    it does: such a send is simply queued again. ``incarnation`` is dead, or is this process, which still has
    the (send id, attempt) pairs ``in_hand``. Returns how many went where.
    """
    counts: dict[State, int] = {}
    for row in connection.execute(_OWNED, {"incarnation": incarnation}).all():
        if (row.id, row.attempt) in in_hand:
            continue
        claimed = _carried(row)
        state = State(row.state)
        ending = _ending_of_the_dead(claimed, state=state, repeatable=repeatable, at=at)
        try:
            end(connection, claimed, ending, at=at, seen=state)
        except AttemptLost:
            continue
        counts[ending.state] = counts.get(ending.state, 0) + 1
    return counts


def _ending_of_the_dead(
    claimed: Claimed, *, state: State, repeatable: Mapping[str, timedelta], at: datetime
) -> Ending:
    if state is State.CLAIMED:
        return Ending(
            state=State.QUEUED, outcome=Outcome.NEVER_SENT, reason="worker_died", phase="claimed", next_at=at
        )
    window = repeatable.get(claimed.via)
    if window is not None and claimed.first_attempt_at is not None and at < claimed.first_attempt_at + window:
        return Ending(
            state=State.QUEUED, outcome=Outcome.UNKNOWN, reason="worker_died", phase="sending", next_at=at
        )
    return Ending(
        state=State.UNKNOWN,
        outcome=Outcome.UNKNOWN,
        reason="worker_died",
        explanation=(
            "The program stopped in the middle of handing the message over, so nobody knows whether it left."
        ),
        phase="sending",
    )


def next_due(connection: Connection) -> datetime | None:
    """When the next claim could find something."""
    due: datetime | None = connection.execute(_NEXT_DUE).scalar_one()
    return due
