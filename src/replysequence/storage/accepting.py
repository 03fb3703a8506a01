"""How a send gets into the ledger: what it stands on is looked at once more, under the lock of its route, and then it
is written whole.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.errors import Conflict, NotFound
from replysequence.domain.event import Kind
from replysequence.domain.send import SCHEDULED, UNDO, Route, Send, State
from replysequence.storage import events, frozen, routes
from replysequence.storage.database import CLOCK
from replysequence.storage.prepared import Prepared
from replysequence.storage.sends import by_key
from replysequence.storage.tables import drafts, email_connections, sends
from replysequence.storage.tables import routes as routes_table

_WRITTEN = (
    *("id", "user_id", "draft_id", "draft_version", "state", "reason", "explanation", "route_id", "via"),
    *("connection_id", "envelope", "message", "subject", "recipients", "message_id", "thread_id"),
    *("idempotency_key", "request_hash", "attempt", "next_at", "send_at", "give_up_at", "previous_send_id"),
    *("created_at", "updated_at"),
)
_INSERT = {
    name: Prepared(dialect.insert(sends).on_conflict_do_nothing().returning(sends.c.id), columns=_WRITTEN)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
_LIVE_OF_VERSION = select(sends.c.id).where(
    sends.c.draft_id == bindparam("draft_id"),
    sends.c.draft_version == bindparam("draft_version"),
    sends.c.state.not_in(("failed", "cancelled", "settled_not_sent")),
)
_STANDING = Prepared(
    select(
        drafts.c.version,
        email_connections.c.status,
        email_connections.c.status_reason,
        email_connections.c.problem,
        routes_table.c.paused_until,
        routes_table.c.pause_reason,
        routes_table.c.pause_explanation,
        CLOCK.label("at"),
    )
    .select_from(
        drafts.join(routes_table, routes_table.c.id == bindparam("route_id")).outerjoin(
            email_connections,
            and_(
                email_connections.c.id == bindparam("connection_id"),
                email_connections.c.user_id == drafts.c.user_id,
            ),
        )
    )
    .where(
        drafts.c.user_id == bindparam("user_id"),
        drafts.c.id == bindparam("draft_id"),
        drafts.c.deleted_at.is_(None),
    )
)


@dataclass(frozen=True, slots=True)
class NewSend:
    """What is written when a send is accepted. ``message`` and ``envelope`` are frozen by
    ``storage/frozen.py``.
    """

    id: str
    user_id: str
    draft_id: str
    draft_version: int
    route: Route
    envelope: str
    message: str
    subject: str
    message_id: str
    thread_id: str | None
    idempotency_key: str | None
    request_hash: str | None
    send_at: datetime | None
    give_up_at: datetime
    held: tuple[str, str] | None
    """(reason, explanation) when it must wait for a person from the start."""
    previous_send_id: str | None
    undo: timedelta = timedelta()
    """How long it waits before it may be claimed, unless it waits longer anyway."""

    def holding(self, held: tuple[str, str] | None) -> "NewSend":
        """The same send, waiting for a person for this reason, or not."""
        return replace(self, held=held)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a send is about to be written on: the draft's version, its mailbox (``status`` none: it is gone, or there
    is none), a pause of its queue as (reason, explanation), and the database's time.
    """

    version: int
    status: ConnectionStatus | None
    status_reason: str | None
    problem: str | None
    pause: tuple[str | None, str | None] | None
    at: datetime


def standing(connection: Connection, send: NewSend) -> Standing:
    """How things stand for ``send``. Raises :class:`NotFound` when its draft is gone.

    Its route must be locked by :func:`routes.take`: what was looked at before that may have changed, and a reconnect
    could release what waits for it just before this send begins to wait.
    """
    row = _STANDING.line(
        connection,
        user_id=send.user_id,
        draft_id=send.draft_id,
        route_id=send.route.id,
        connection_id=send.route.connection_id,
    )
    if row is None:
        raise NotFound("draft")
    paused = row.paused_until is not None and row.paused_until > row.at
    return Standing(
        version=row.version,
        status=None if row.status is None else ConnectionStatus(row.status),
        status_reason=row.status_reason,
        problem=row.problem,
        pause=(row.pause_reason, row.pause_explanation) if paused else None,
        at=row.at,
    )


def accept(
    connection: Connection,
    send: NewSend,
    *,
    at: datetime,
    pause: tuple[str | None, str | None] | None = None,
) -> Send | None:
    """Write a new send and its event; it may be claimed from ``send_at`` on, or once it can no longer be undone.
    Its route is locked.

    Returns the send as its owner sees it, behind the ``pause`` of its queue. None when a simultaneous request with
    the same key was first: look it up with :func:`by_key`. Raises :class:`Conflict` when another send of this draft
    version is alive.
    """
    next_at, reason, explanation = _first_wait(send, at=at)
    state = State.WAITING if reason else State.QUEUED
    sender, reply_to, recipients = frozen.people(send.envelope)
    row = {
        "id": send.id,
        "user_id": send.user_id,
        "draft_id": send.draft_id,
        "draft_version": send.draft_version,
        "state": state,
        "reason": reason,
        "explanation": explanation,
        "route_id": send.route.id,
        "via": send.route.via,
        "connection_id": send.route.connection_id,
        "envelope": send.envelope,
        "message": send.message,
        "subject": send.subject,
        "recipients": len(recipients),
        "message_id": send.message_id,
        "thread_id": send.thread_id,
        "idempotency_key": send.idempotency_key,
        "request_hash": send.request_hash,
        "attempt": 0,
        "next_at": next_at,
        "send_at": send.send_at,
        "give_up_at": send.give_up_at,
        "previous_send_id": send.previous_send_id,
        "created_at": at,
        "updated_at": at,
    }
    if _INSERT[connection.dialect.name].line(connection, **row) is None:
        if send.idempotency_key and by_key(connection, user_id=send.user_id, key=send.idempotency_key):
            return None
        raise _already_sent(connection, send)
    data: dict[str, object] = {"via": send.route.via, "state": state.value}
    if reason:
        data["reason"] = reason
    if send.previous_send_id:
        data["previous_send_id"] = send.previous_send_id
    accepted = events.append(
        connection,
        user_id=send.user_id,
        kind=Kind.SEND_ACCEPTED,
        send_id=send.id,
        draft_id=send.draft_id,
        connection_id=send.route.connection_id,
        data=data,
        at=at,
    )
    if next_at is not None:
        routes.one_more(connection, route_id=send.route.id, due=next_at)
    if pause and state is State.QUEUED:
        reason, explanation = pause
    return Send(
        id=send.id,
        user_id=send.user_id,
        draft_id=send.draft_id,
        draft_version=send.draft_version,
        state=state,
        reason=reason,
        explanation=explanation,
        route=replace(send.route, sender=sender, reply_to=reply_to),
        subject=send.subject,
        recipients=recipients,
        provider_message_id=None,
        thread_id=send.thread_id,
        message_id=send.message_id,
        previous_send_id=send.previous_send_id,
        send_at=send.send_at and send.send_at.astimezone(UTC),
        next_at=next_at and next_at.astimezone(UTC),
        created_at=at,
        updated_at=at,
        events=(accepted,),
    )


def _first_wait(send: NewSend, *, at: datetime) -> tuple[datetime | None, str | None, str | None]:
    """When a new send may be claimed, if nobody has to act before, and what it waits for: reason, explanation."""
    if send.held:
        return None, *send.held
    if send.send_at is not None and send.send_at > at:
        return send.send_at, SCHEDULED, None
    return at + send.undo, UNDO if send.undo else None, None


def _already_sent(connection: Connection, send: NewSend) -> Conflict:
    other = connection.execute(
        _LIVE_OF_VERSION, {"draft_id": send.draft_id, "draft_version": send.draft_version}
    ).scalar_one_or_none()
    return Conflict(
        "This version of the draft is already being sent or was sent. Change the draft to send it again.",
        code="already_sent",
        details={"send_id": other} if other else None,
    )
