"""How attempts end: with what a provider said, or because the process that made them died."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Update, bindparam, func, null, select, update

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.event import Kind
from replysequence.domain.send import IN_HAND, MOVES, Outcome, State
from replysequence.storage import events, reports, routes
from replysequence.storage.claims import CARRIED, AttemptLost, Claimed
from replysequence.storage.events import NewEvent
from replysequence.storage.tables import email_connections, in_states, send_attempts
from replysequence.storage.tables import sends as sends_table

_S = sends_table.c


@dataclass(frozen=True, slots=True)
class Pause:
    """The refusal is about the mailbox, not about one message: nothing more is claimed there until ``until``.

    With ``give_up_at``, what waits is not given up before that: it waits for the provider's limit.
    """

    until: datetime
    reason: str
    explanation: str
    give_up_at: datetime | None = None


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
    pause: Pause | None = None
    per_minute: int | None = None
    """The rate that the provider's answer told."""


def _end_from(states: Sequence[State]) -> Update:
    return (
        update(sends_table)
        .where(_S.id == bindparam("sid"), _S.attempt == bindparam("seen"), in_states(_S.state, states))
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
_STATUS = select(email_connections.c.status).where(email_connections.c.id == bindparam("connection_id"))
_OWNERS = select(_S.claimed_by).where(in_states(_S.state, IN_HAND)).distinct()
_OWNED = (
    select(*CARRIED, _S.state)
    .where(_S.claimed_by == bindparam("incarnation"), in_states(_S.state, IN_HAND))
    .order_by(_S.route_id, _S.id)
)
_UNKNOWN_ATTEMPTS = select(func.count()).where(
    send_attempts.c.send_id == bindparam("send_id"),
    send_attempts.c.number < bindparam("attempt"),
    send_attempts.c.outcome == Outcome.UNKNOWN,
)


def end(connection: Connection, ended: Sequence[tuple[Claimed, Ending]], *, at: datetime) -> None:
    """Write how attempts ended, with their events.

    Raises :class:`AttemptLost` when a send has moved on without its attempt: then nothing of this call counts, and
    each is to be written alone.
    """
    routes.lock_all(connection, route_ids=[claimed.route_id for claimed, _ in ended])
    ended = [(claimed, _unless_repaired(connection, claimed, ending, at=at)) for claimed, ending in ended]
    for state in {ending.state for _, ending in ended}:
        _move(connection, _END[state], [each for each in ended if each[1].state is state], at=at)
    _write(connection, ended, at=at)


def _move(
    connection: Connection, statement: Update, ended: Sequence[tuple[Claimed, Ending]], *, at: datetime
) -> None:
    rows = [
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
        }
        for claimed, ending in ended
    ]
    if connection.execute(statement, rows).rowcount != len(rows):
        raise AttemptLost(ended[0][0].id)


def _write(connection: Connection, ended: Sequence[tuple[Claimed, Ending]], *, at: datetime) -> None:
    """What follows a move: the attempt's end, the event, and when its route is due again."""
    connection.execute(
        _END_ATTEMPT,
        [
            {
                "sid": claimed.id,
                "seen": claimed.attempt,
                "how": ending.outcome,
                "reached": ending.phase,
                "why": ending.reason,
                "http_status": ending.status,
                "request": ending.provider_request_id,
                "at": at,
            }
            for claimed, ending in ended
        ],
    )
    events.append_many(connection, [_event(claimed, ending, at=at) for claimed, ending in ended])
    reports.add(
        connection,
        [(claimed.user_id, claimed.id) for claimed, ending in ended if ending.state is State.SENT],
        at=at,
    )
    for claimed, ending in ended:
        _tell_route(connection, claimed, ending)
    left = {claimed.route_id for claimed, ending in ended if ending.state is State.SENT}
    others = {claimed.route_id for claimed, ending in ended if ending.state is not State.SENT}
    routes.release(connection, route_ids=left - others)
    routes.reschedule(connection, route_ids=others)


def _event(claimed: Claimed, ending: Ending, *, at: datetime) -> NewEvent:
    data: dict[str, object] = {"attempt": claimed.attempt, "via": claimed.via}
    if ending.reason:
        data["reason"] = ending.reason
    if ending.next_at:
        data["next_at"] = ending.next_at.isoformat()
    if ending.provider_message_id:
        data["provider_message_id"] = ending.provider_message_id
    return NewEvent(
        user_id=claimed.user_id,
        kind=_KIND[ending.state],
        send_id=claimed.id,
        draft_id=claimed.draft_id,
        connection_id=claimed.connection_id,
        data=data,
        at=at,
    )


def _tell_route(connection: Connection, claimed: Claimed, ending: Ending) -> None:
    """What an attempt taught about its mailbox or relay."""
    if ending.per_minute is not None and ending.per_minute != claimed.per_minute:
        routes.told(connection, route_id=claimed.route_id, per_minute=ending.per_minute)
    pause = ending.pause
    if pause is None:
        return
    routes.pause(
        connection,
        route_id=claimed.route_id,
        until=pause.until,
        reason=pause.reason,
        explanation=pause.explanation,
    )
    if pause.give_up_at is not None:
        routes.extend(connection, route_id=claimed.route_id, until=pause.give_up_at)


def _unless_repaired(connection: Connection, claimed: Claimed, ending: Ending, *, at: datetime) -> Ending:
    """A mailbox may have been reconnected while this attempt found it broken: then nothing waits for that
    any more.
    """
    if ending.state is not State.WAITING or ending.next_at is not None or claimed.connection_id is None:
        return ending
    status = connection.execute(_STATUS, {"connection_id": claimed.connection_id}).scalar_one_or_none()
    if status != ConnectionStatus.ACTIVE:
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

    Its owner may live after all and go on at this moment, and what has begun to leave must not be queued again: so
    each is only moved from the very state that this was decided in.
    """
    counts: dict[State, int] = {}
    for row in connection.execute(_OWNED, {"incarnation": incarnation}).all():
        claimed, state = Claimed(*row[: len(CARRIED)], at=at), State(row.state)
        if (claimed.id, claimed.attempt) in in_hand:
            continue
        ending = _ending_of_the_dead(claimed, state=state, repeatable=repeatable, at=at)
        routes.lock(connection, route_id=claimed.route_id)
        try:
            _move(connection, _END_AS_SEEN[state], [(claimed, ending)], at=at)
        except AttemptLost:
            continue
        _write(connection, [(claimed, ending)], at=at)
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
