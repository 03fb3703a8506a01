"""The mail that tells somebody that a connection of theirs broke: written down with the break, sent by a worker.

A break is one connection with one generation of tokens, so nobody is told twice of the same one. None of this
serves people.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.message import Address, Message
from replysequence.storage import frozen
from replysequence.storage.database import AnyRow, now
from replysequence.storage.tables import alerts, email_connections, users

KEPT = timedelta(days=30)
"""Longer than a break could be noted again: what is over is kept for this long."""

_A, _C = alerts.c, email_connections.c
_NOTE = {
    "sqlite": sqlite.insert(alerts).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(alerts).on_conflict_do_nothing(),
}
_SOMETHING_DUE = select(_A.next_at).where(_A.next_at <= bindparam("at")).limit(1)
_DUE = (
    select(
        _A.connection_id,
        _A.token_generation,
        _A.envelope,
        _A.message,
        _A.attempts,
        _A.created_at,
        _C.user_id,
        _C.email,
        _C.problem,
        _C.status,
        _C.token_generation.label("present_generation"),
        users.c.email.label("owner_email"),
    )
    .join_from(alerts, email_connections, _C.id == _A.connection_id)
    .join(users, users.c.id == _C.user_id)
    .where(_A.next_at <= bindparam("at"))
    .order_by(_A.next_at)
    .limit(bindparam("count"))
    .with_for_update(of=alerts, skip_locked=True)
)
_THIS = (_A.connection_id == bindparam("of"), _A.token_generation == bindparam("generation"))
_TAKE = update(alerts).where(*_THIS).values(attempts=_A.attempts + 1, next_at=bindparam("until"))
_FREEZE = update(alerts).where(*_THIS).values(envelope=bindparam("people"), message=bindparam("words"))
_PUT_OFF = (
    update(alerts)
    .where(*_THIS, _A.attempts == bindparam("seen"), _A.next_at.is_not(None))
    .values(next_at=bindparam("until"))
)
_WITHDRAW = delete(alerts).where(_A.connection_id == bindparam("of"), _A.attempts == 0)
_CLOSE = (
    update(alerts).where(*_THIS, _A.next_at.is_not(None)).values(next_at=null(), outcome=bindparam("became"))
)


@dataclass(frozen=True, slots=True)
class Alert:
    """A break that its owner is to be told of. ``attempts`` counts this one too."""

    connection_id: str
    token_generation: int
    user_id: str
    email: str
    """The address that nothing can leave from now."""
    problem: str | None
    owner: Address
    """At the address by which they sign in."""
    repaired: bool
    """It was connected again, or is being taken down: there is nothing to tell any more."""
    attempts: int
    created_at: datetime
    message: Message | None
    """As it was first handed over, or tried to be."""

    @property
    def key(self) -> str:
        """The idempotency key of this mail at the relay."""
        return f"reconnect-{self.connection_id}-{self.token_generation}"


def note(connection: Connection, *, connection_id: str, generation: int, at: datetime) -> None:
    """Write down that the owner is to be told; a break that was noted before is not noted again.

    Call it in the transaction that marks the connection.
    """
    row = {
        "connection_id": connection_id,
        "token_generation": generation,
        "attempts": 0,
        "next_at": at,
        "created_at": at,
    }
    connection.execute(_NOTE[connection.dialect.name], row)


def withdraw(connection: Connection, *, connection_id: str) -> None:
    """Tell nobody of a break of this connection that has not been told: it was none."""
    connection.execute(_WITHDRAW, {"of": connection_id})


def something_due(connection: Connection) -> bool:
    """Whether :func:`take` would find something."""
    return connection.execute(_SOMETHING_DUE, {"at": now(connection)}).first() is not None


def take(connection: Connection, *, limit: int, lease: timedelta, at: datetime) -> list[Alert]:
    """Take what is due; nobody else gets it before ``lease`` is over. Who dies with it loses nothing."""
    taken = []
    for row in connection.execute(_DUE, {"at": at, "count": limit}).all():
        connection.execute(
            _TAKE, {"of": row.connection_id, "generation": row.token_generation, "until": at + lease}
        )
        taken.append(_alert(row))
    return taken


def freeze(connection: Connection, alert: Alert, message: Message) -> None:
    """Keep ``message`` as what this mail says, now and at every repetition."""
    connection.execute(
        _FREEZE,
        {
            "of": alert.connection_id,
            "generation": alert.token_generation,
            "people": frozen.freeze_envelope(message),
            "words": frozen.freeze(message, attachment_ids=[]),
        },
    )


def put_off(connection: Connection, alert: Alert, *, until: datetime) -> None:
    """Try again from ``until`` on, unless somebody else has it by now."""
    connection.execute(
        _PUT_OFF,
        {
            "of": alert.connection_id,
            "generation": alert.token_generation,
            "seen": alert.attempts,
            "until": until,
        },
    )


def close(connection: Connection, alert: Alert, *, outcome: str) -> bool:
    """Write how it ended, once; False when that was known, or the connection is gone."""
    values = {"of": alert.connection_id, "generation": alert.token_generation, "became": outcome}
    return connection.execute(_CLOSE, values).rowcount == 1


def forget_old(connection: Connection) -> int:
    """Remove what is older than :data:`KEPT`; returns how many."""
    return connection.execute(delete(alerts).where(_A.created_at < now(connection) - KEPT)).rowcount


def _alert(row: AnyRow) -> Alert:
    return Alert(
        connection_id=row.connection_id,
        token_generation=row.token_generation,
        user_id=row.user_id,
        email=row.email,
        problem=row.problem,
        owner=Address("", row.owner_email),
        repaired=(
            row.status != ConnectionStatus.NEEDS_RECONNECT or row.present_generation != row.token_generation
        ),
        attempts=row.attempts + 1,
        created_at=row.created_at,
        message=(
            frozen.Frozen(row.message, row.envelope).thaw(send_id=None, files={})
            if row.message is not None
            else None
        ),
    )
