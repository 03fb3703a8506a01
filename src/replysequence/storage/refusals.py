"""Accounts whose tokens a provider refuses to renew: each by its owner's doing, or many together by the provider's own
trouble. Only then is nobody asked to reconnect.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, case, func, null, or_, select, update

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.event import Kind
from replysequence.domain.send import GIVE_UP_AFTER
from replysequence.storage import alerts, events, holding, routes
from replysequence.storage.connection_tokens import SealedTokens
from replysequence.storage.tables import email_connections

MANY = 5
"""So many accounts, and at least as many as were renewed in that time, are refused together. People take their
consent back one by one; a provider in trouble refuses whoever asks."""
TOGETHER = timedelta(minutes=5)
"""Within so long."""
BELIEVED_AFTER = timedelta(hours=1)
"""What an account is refused for longer than this is meant, however many there are."""

_C = email_connections.c
_REFUSED = _C.refused_since.is_not(None)
_NOTE = (
    update(email_connections)
    .where(
        _C.id == bindparam("connection"),
        _C.token_generation == bindparam("generation"),
        _C.status == ConnectionStatus.ACTIVE,
    )
    .values(refused_since=func.coalesce(_C.refused_since, bindparam("at", type_=_C.refused_since.type)))
    .returning(_C.refused_since)
)
_COUNT = select(
    func.coalesce(func.sum(case((_REFUSED, 1), else_=0)), 0).label("refused"),
    func.coalesce(func.sum(case((_REFUSED, 0), else_=1)), 0).label("renewed"),
).where(
    _C.provider == bindparam("provider"),
    or_(
        _C.refused_since > bindparam("since"),
        and_(_C.status == ConnectionStatus.ACTIVE, or_(_REFUSED, _C.updated_at > bindparam("since"))),
    ),
)
_TAKE_BACK = (
    update(email_connections)
    .where(
        _C.provider == bindparam("of"),
        _C.status == ConnectionStatus.NEEDS_RECONNECT,
        _C.refused_since > bindparam("since"),
    )
    .values(status=ConnectionStatus.ACTIVE, status_reason=null(), problem=null(), updated_at=bindparam("at"))
    .returning(_C.id, _C.user_id)
)


def is_one_of_many(connection: Connection, *, refused: SealedTokens, at: datetime) -> bool:
    """Note that this account is refused; whether so many are that nothing follows for any of them."""
    routes.take(connection, route_id=refused.provider, via=refused.provider)  # one counts at a time
    first_at = connection.execute(
        _NOTE, {"connection": refused.connection_id, "generation": refused.generation, "at": at}
    ).scalar_one_or_none()
    if first_at is None or first_at <= at - BELIEVED_AFTER:
        return False
    counts = connection.execute(_COUNT, {"provider": refused.provider, "since": at - TOGETHER}).one()
    return bool(counts.refused >= MANY and counts.refused >= counts.renewed)


def take_back(connection: Connection, *, provider: str, at: datetime) -> int:
    """Use again the accounts that were given up just before it was seen how many there are; returns how many."""
    rows = connection.execute(_TAKE_BACK, {"of": provider, "since": at - TOGETHER, "at": at}).all()
    for row in sorted(rows, key=lambda row: str(row.id)):
        alerts.withdraw(connection, connection_id=row.id)
        events.append(
            connection, user_id=row.user_id, kind=Kind.CONNECTION_RESTORED, connection_id=row.id, at=at
        )
        holding.release(connection, connection_id=row.id, via=provider, give_up_at=at + GIVE_UP_AFTER, at=at)
    return len(rows)
