"""The ledger of sends as their owners see and steer it: read, cancel, settle.

Every change is one conditional update that names the state it starts from; its event is written in the same
transaction. How a send gets into the ledger is in ``accepting.py``, what a worker does to it in ``claims.py``, what a
mailbox that cannot be used does to all of its sends in ``holding.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, and_, bindparam, exists, func, null, select, update

from replysequence.domain.errors import Conflict, NotFound
from replysequence.domain.event import Event, Kind
from replysequence.domain.report import Report
from replysequence.domain.send import CANCELLABLE, FINAL, Attempt, Outcome, Route, Send, State, Verdict
from replysequence.storage import events, frozen, reports, routes
from replysequence.storage.claims import PROVIDER_DOWN
from replysequence.storage.database import AnyRow, now
from replysequence.storage.tables import in_states, send_attempts, sends
from replysequence.storage.tables import routes as routes_table

_BY_KEY = select(sends.c.id, sends.c.request_hash).where(
    sends.c.user_id == bindparam("user_id"), sends.c.idempotency_key == bindparam("key")
)
_providers = routes_table.alias("providers")
_LISTED = select(
    *(column for column in sends.c if column.name not in {"message", "request_hash"}),
    func.coalesce(_providers.c.pause_reason, routes_table.c.pause_reason).label("pause_reason"),
    func.coalesce(_providers.c.pause_explanation, routes_table.c.pause_explanation).label(
        "pause_explanation"
    ),
).select_from(
    sends.outerjoin(
        routes_table,
        and_(
            routes_table.c.id == sends.c.route_id,
            routes_table.c.paused_until > bindparam("at"),
            sends.c.state == State.QUEUED,
        ),
    ).outerjoin(
        _providers,
        and_(
            _providers.c.id == sends.c.via,
            _providers.c.pause_reason == PROVIDER_DOWN,
            sends.c.state == State.QUEUED,
        ),
    )
)
"""Sends as their owners see them, each with the pause that it waits behind."""
_GET = _LISTED.where(sends.c.user_id == bindparam("user_id"), sends.c.id == bindparam("send_id"))
_WAITING_FOR_A_WORD = (
    _LISTED.where(
        sends.c.user_id == bindparam("user_id"),
        sends.c.connection_id == bindparam("connection_id"),
        sends.c.state == State.WAITING,
        sends.c.next_at.is_(None),
    )
    .order_by(sends.c.id)
    .limit(bindparam("count"))
)
_ATTEMPTS = (
    select(send_attempts)
    .where(send_attempts.c.send_id == bindparam("send_id"))
    .order_by(send_attempts.c.number)
)
_STATE = select(sends.c.state).where(
    sends.c.user_id == bindparam("user_id"), sends.c.id == bindparam("send_id")
)
_MAY_BE_OUT = exists().where(
    send_attempts.c.send_id == sends.c.id, send_attempts.c.outcome == Outcome.UNKNOWN
)
"""An attempt of the send ended without anybody knowing whether it left: a relay's, which is repeated under its key."""
_CANCEL = (
    update(sends)
    .where(
        sends.c.user_id == bindparam("owner"),
        sends.c.id == bindparam("send_id"),
        in_states(sends.c.state, CANCELLABLE),
        ~_MAY_BE_OUT,
    )
    .values(
        state=State.CANCELLED,
        reason=null(),
        explanation=null(),
        next_at=null(),
        claimed_by=null(),
        updated_at=bindparam("at"),
    )
)
_CLOSE_ATTEMPT = (
    update(send_attempts)
    .where(send_attempts.c.send_id == bindparam("sid"), send_attempts.c.outcome.is_(None))
    .values(outcome=Outcome.NEVER_SENT, reason="cancelled", finished_at=bindparam("at"))
)
_SETTLE = (
    update(sends)
    .where(
        sends.c.user_id == bindparam("owner"),
        sends.c.id == bindparam("send_id"),
        sends.c.state == State.UNKNOWN,
    )
    .values(state=bindparam("new_state"), claimed_by=null(), updated_at=bindparam("at"))
)
_REF = select(sends.c.id, sends.c.user_id, sends.c.draft_id, sends.c.state).where(
    sends.c.via == bindparam("via")
)
_BY_PROVIDER_MESSAGE = _REF.where(sends.c.provider_message_id == bindparam("provider_message_id"))
_BY_ID_FOR_NOTICE = _REF.where(sends.c.id == bindparam("send_id"))


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A send that an idempotency key has already made."""

    send_id: str
    request_hash: str | None


def by_key(connection: Connection, *, user_id: str, key: str) -> KeyUse | None:
    """The send that this owner's ``key`` made, if any."""
    row = connection.execute(_BY_KEY, {"user_id": user_id, "key": key}).one_or_none()
    return None if row is None else KeyUse(send_id=row.id, request_hash=row.request_hash)


def get(connection: Connection, *, user_id: str, send_id: str) -> Send:
    """One send with its attempts, events and reports. Raises :class:`NotFound`."""
    row = connection.execute(
        _GET, {"user_id": user_id, "send_id": send_id, "at": now(connection)}
    ).one_or_none()
    if row is None:
        raise NotFound("send")
    attempts = tuple(
        Attempt(
            number=tried.number,
            phase="sending" if tried.outcome is None and row.state == State.SENDING else tried.phase,
            outcome=None if tried.outcome is None else Outcome(tried.outcome),
            reason=tried.reason,
            status=tried.status,
            provider_request_id=tried.provider_request_id,
            started_at=tried.started_at,
            finished_at=tried.finished_at,
        )
        for tried in connection.execute(_ATTEMPTS, {"send_id": send_id})
    )
    history = tuple(events.of_send(connection, user_id=user_id, send_id=send_id))
    told = tuple(reports.of_send(connection, user_id=user_id, send_id=send_id))
    return _send(row, attempts=attempts, history=history, told=told)


def state_of(connection: Connection, *, user_id: str, send_id: str) -> State:
    """Only the state, for who waits for an outcome. Raises :class:`NotFound`."""
    state = connection.execute(_STATE, {"user_id": user_id, "send_id": send_id}).scalar_one_or_none()
    if state is None:
        raise NotFound("send")
    return State(state)


def page(
    connection: Connection,
    *,
    user_id: str,
    before: str | None,
    limit: int,
    states: Sequence[State] | None = None,
    draft_id: str | None = None,
) -> list[Send]:
    """An owner's sends, newest first, without attempts, events and reports; ``before`` is the id to continue after."""
    statement = _LISTED.where(sends.c.user_id == user_id).order_by(sends.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(sends.c.id < before)
    if states:
        statement = statement.where(sends.c.state.in_([str(state) for state in states]))
    if draft_id is not None:
        statement = statement.where(sends.c.draft_id == draft_id)
    return [_send(row) for row in connection.execute(statement, {"at": now(connection)})]


def held(connection: Connection, *, user_id: str, connection_id: str, limit: int) -> list[Send]:
    """An owner's sends of one mailbox, connected or gone, that wait for somebody to act: the oldest first."""
    values = {
        "user_id": user_id,
        "connection_id": connection_id,
        "count": limit,
        "at": now(connection),
    }
    return [_send(row) for row in connection.execute(_WAITING_FOR_A_WORD, values)]


def latest_of_drafts(
    connection: Connection, *, user_id: str, draft_ids: Sequence[str]
) -> dict[str, tuple[str, State]]:
    """Draft id → (id, state) of its latest send, for those of ``draft_ids`` that have one."""
    if not draft_ids:
        return {}
    statement = (
        select(sends.c.draft_id, sends.c.id, sends.c.state)
        .where(sends.c.user_id == user_id, sends.c.draft_id.in_(draft_ids))
        .order_by(sends.c.id)
    )
    return {row.draft_id: (row.id, State(row.state)) for row in connection.execute(statement)}


def cancel(connection: Connection, *, user_id: str, send_id: str, at: datetime) -> None:
    """Take a send back. Raises :class:`NotFound`, and :class:`Conflict` once it is on the wire or over."""
    row = locked(connection, user_id=user_id, send_id=send_id)
    changed = connection.execute(_CANCEL, {"owner": user_id, "send_id": send_id, "at": at}).rowcount
    if not changed:
        state = state_of(connection, user_id=user_id, send_id=send_id)
        if state not in FINAL:
            raise Conflict(
                "It is already on its way to the provider and cannot be taken back.",
                code="on_the_wire",
                details={"state": state},
            )
        raise Conflict(
            f"It can no longer be cancelled: it is {state}.", code="already_over", details={"state": state}
        )
    connection.execute(_CLOSE_ATTEMPT, {"sid": send_id, "at": at})
    events.append(
        connection,
        user_id=user_id,
        kind=Kind.SEND_CANCELLED,
        send_id=send_id,
        draft_id=row.draft_id,
        connection_id=row.connection_id,
        at=at,
    )
    routes.reschedule(connection, route_ids=[row.route_id])


def settle(
    connection: Connection, *, user_id: str, send_id: str, verdict: Verdict, by: str, at: datetime
) -> None:
    """Record what became of an unknown send; ``by`` says who knows: ``person``, or the kind of proof.

    Raises :class:`NotFound`, and :class:`Conflict` when it is not unknown (any more).
    """
    row = locked(connection, user_id=user_id, send_id=send_id)
    new_state = State.SETTLED_SENT if verdict is Verdict.SENT else State.SETTLED_NOT_SENT
    changed = connection.execute(
        _SETTLE, {"owner": user_id, "send_id": send_id, "new_state": new_state, "at": at}
    ).rowcount
    if not changed:
        state = state_of(connection, user_id=user_id, send_id=send_id)
        raise Conflict(
            f"Only a send with an unknown outcome can be settled; this one is {state}.",
            code="not_unknown",
            details={"state": state},
        )
    events.append(
        connection,
        user_id=user_id,
        kind=Kind.SEND_SETTLED,
        send_id=send_id,
        draft_id=row.draft_id,
        connection_id=row.connection_id,
        data={"verdict": verdict, "by": by, "attempt": row.attempt},
        at=at,
    )
    if verdict is Verdict.SENT:
        reports.add(connection, [(user_id, send_id)], at=at)


@dataclass(frozen=True, slots=True)
class SendRef:
    """Which send a provider's notice is about."""

    id: str
    user_id: str
    draft_id: str
    state: State


def by_provider_message(connection: Connection, *, via: str, provider_message_id: str) -> SendRef | None:
    """The send that a relay's webhook speaks of; not for serving people."""
    return _ref(connection, _BY_PROVIDER_MESSAGE, {"via": via, "provider_message_id": provider_message_id})


def by_id_for_notice(connection: Connection, *, via: str, send_id: str) -> SendRef | None:
    """The same by the send's own id, when the relay gave it back; not for serving people."""
    return _ref(connection, _BY_ID_FOR_NOTICE, {"via": via, "send_id": send_id})


def _ref(
    connection: Connection, statement: Select[tuple[str, str, str, str]], values: dict[str, str]
) -> SendRef | None:
    row = connection.execute(statement, values).one_or_none()
    return None if row is None else SendRef(row.id, row.user_id, row.draft_id, State(row.state))


_PLACE = select(sends.c.route_id, sends.c.draft_id, sends.c.connection_id, sends.c.attempt).where(
    sends.c.user_id == bindparam("user_id"), sends.c.id == bindparam("send_id")
)


def locked(connection: Connection, *, user_id: str, send_id: str) -> AnyRow:
    """Where a send belongs: ``route_id``, locked, ``draft_id`` and ``connection_id``. Raises :class:`NotFound`."""
    row = connection.execute(_PLACE, {"user_id": user_id, "send_id": send_id}).one_or_none()
    if row is None:
        raise NotFound("send")
    routes.lock(connection, route_id=row.route_id)
    return row


def _send(
    row: AnyRow,
    *,
    attempts: tuple[Attempt, ...] = (),
    history: tuple[Event, ...] = (),
    told: tuple[Report, ...] = (),
) -> Send:
    paused = row.reason is None and row.explanation is None
    sender, reply_to, recipients = frozen.people(row.envelope)
    return Send(
        id=row.id,
        user_id=row.user_id,
        draft_id=row.draft_id,
        draft_version=row.draft_version,
        state=State(row.state),
        reason=row.pause_reason if paused else row.reason,
        explanation=row.pause_explanation if paused else row.explanation,
        route=Route(via=row.via, connection_id=row.connection_id, sender=sender, reply_to=reply_to),
        subject=row.subject,
        recipients=recipients,
        provider_message_id=row.provider_message_id,
        thread_id=row.thread_id,
        message_id=row.message_id,
        previous_send_id=row.previous_send_id,
        send_at=row.send_at,
        next_at=row.next_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        attempts=attempts,
        events=history,
        reports=told,
    )
