"""A person's connections beside their mailboxes: meeting platforms, calendars, CRMs. Every function takes the owner;
nothing here shows a token.
"""

import json
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import bindparam, delete, select, update

from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import NotFound
from replysequence.domain.event import Kind
from replysequence.storage import events, reports, users
from replysequence.storage.connections import Account, NewTokens, keep
from replysequence.storage.database import AnyRow, now
from replysequence.storage.tables import platform_connections
from replysequence.storage.vault import Vault

_C = platform_connections.c
_SHOWN = tuple(column for column in _C if not column.info.get("secret"))
_LIST = select(*_SHOWN).where(_C.user_id == bindparam("user_id")).order_by(_C.connected_at, _C.id)
_GET = select(*_SHOWN).where(_C.user_id == bindparam("user_id"), _C.id == bindparam("connection_id"))
_ALL = (
    select(*_SHOWN)
    .where(_C.category == bindparam("category"), _C.status == ConnectionStatus.ACTIVE)
    .order_by(_C.id)
)


def connect(
    connection: sa.Connection,
    *,
    vault: Vault,
    user_id: str,
    account: Account,
    category: str,
    tokens: NewTokens,
) -> tuple[Connection, bool]:
    """Keep a consent. Returns the connection and whether it was there before: then it is renewed in place, and what
    its owner chose stays. Raises NotFound when the person is gone.
    """
    connection_id, known, _ = keep(
        connection,
        platform_connections,
        vault=vault,
        user_id=user_id,
        account=account,
        tokens=tokens,
        new={"category": category, "options": "{}"},
    )
    return get(connection, user_id=user_id, connection_id=connection_id), known


def list_for_user(connection: sa.Connection, *, user_id: str) -> list[Connection]:
    """A person's platforms, in the order in which they were connected."""
    return [_connection(row) for row in connection.execute(_LIST, {"user_id": user_id})]


def get(connection: sa.Connection, *, user_id: str, connection_id: str) -> Connection:
    """One platform of a person. Raises NotFound."""
    row = connection.execute(_GET, {"user_id": user_id, "connection_id": connection_id}).one_or_none()
    if row is None:
        raise NotFound("connection")
    return _connection(row)


def active(connection: sa.Connection, *, category: str) -> list[Connection]:
    """Everybody's platforms of a category that can be used. For workers."""
    return [_connection(row) for row in connection.execute(_ALL, {"category": category})]


def choose(
    connection: sa.Connection, *, user_id: str, connection_id: str, options: Mapping[str, object]
) -> None:
    """Keep what its owner chose. Raises NotFound."""
    changed = connection.execute(
        update(platform_connections)
        .where(_C.id == connection_id, _C.user_id == user_id)
        .values(options=json.dumps(dict(options), separators=(",", ":")), updated_at=now(connection))
    ).rowcount
    if changed == 0:
        raise NotFound("connection")


def begin_disconnect(connection: sa.Connection, *, user_id: str, connection_id: str) -> Connection:
    """Use a platform no more; what was to be logged there is dropped. Its tokens are still there, for revocation.
    Raises NotFound.
    """
    users.lock(connection, user_id=user_id)
    moment = now(connection)
    changed = connection.execute(
        update(platform_connections)
        .where(_C.id == connection_id, _C.user_id == user_id)
        .values(status=ConnectionStatus.DISCONNECTING, updated_at=moment)
    ).rowcount
    if changed == 0:
        raise NotFound("connection")
    reports.drop(connection, user_id=user_id, connection_id=connection_id, at=moment)
    return get(connection, user_id=user_id, connection_id=connection_id)


def finish_disconnect(connection: sa.Connection, *, user_id: str, connection_id: str) -> bool:
    """Remove a platform that is being taken down, and its tokens with it.

    False when there is nothing to remove: it is gone already, or its owner has connected it again meanwhile.
    """
    users.lock(connection, user_id=user_id)
    gone = connection.execute(
        delete(platform_connections)
        .where(_C.id == connection_id, _C.user_id == user_id, _C.status == ConnectionStatus.DISCONNECTING)
        .returning(_C.provider, _C.email)
    ).one_or_none()
    if gone is None:
        return False
    events.append(
        connection,
        user_id=user_id,
        kind=Kind.CONNECTION_DISCONNECTED,
        connection_id=connection_id,
        data={"provider": gone.provider, "email": gone.email},
        at=now(connection),
    )
    return True


def _connection(row: AnyRow) -> Connection:
    return Connection(
        id=row.id,
        user_id=row.user_id,
        provider=row.provider,
        issuer=row.issuer,
        subject=row.subject,
        email=row.email,
        display_name=row.display_name,
        scopes=frozenset(row.scopes.split()),
        status=ConnectionStatus(row.status),
        status_reason=row.status_reason,
        problem=row.problem,
        is_default=False,
        connected_at=row.connected_at,
        access_token_expires_at=row.access_token_expires_at,
        refresh_token_expires_at=row.refresh_token_expires_at,
        token_generation=row.token_generation,
        category=row.category,
        api_url=row.api_url,
        options=json.loads(row.options),
    )
