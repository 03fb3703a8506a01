"""The tokens of a connection, for the service that keeps them fresh. No person asks here: the id alone is
enough. Those of mailboxes and those of platforms lie in tables of their own and are kept alike: each function takes
the ``table``.

Only the holder of the refresh lease asks the provider for new tokens. What keeps two holders from hurting
each other is not the lease, though, but the compare-and-swap on ``token_generation``, which grows with each
change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import Column, Connection, Table, Update, bindparam, or_, select, update

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.event import Kind
from replysequence.domain.secret import Secret
from replysequence.storage import events
from replysequence.storage.connections import NewTokens, token_values
from replysequence.storage.database import now
from replysequence.storage.tables import email_connections, metadata, platform_connections
from replysequence.storage.vault import Cell, Vault

Kept: TypeAlias = Table
"""A table of connections."""
MAILBOXES, PLATFORMS = email_connections, platform_connections
"""Where connections are kept."""
TABLES = (MAILBOXES, PLATFORMS)


def _columns(table: Table) -> tuple[Column[Any], ...]:
    c = table.c
    return (
        c.id,
        c.user_id,
        c.provider,
        c.issuer,
        c.email,
        c.status,
        c.scopes,
        c.token_generation,
        c.access_token_expires_at,
        c.refresh_token_expires_at,
        c.access_token_encrypted,
        c.refresh_token_encrypted,
    )


def _take(table: Table) -> Update:
    c = table.c
    return (
        update(table)
        .where(
            c.id == bindparam("connection_id"),
            c.token_generation == bindparam("generation"),
            c.status == ConnectionStatus.ACTIVE,
            or_(
                c.refresh_until.is_(None),
                c.refresh_until <= bindparam("at", type_=c.refresh_until.type),
                c.refresh_owner == bindparam("owner", type_=c.refresh_owner.type),
            ),
        )
        .values(refresh_owner=bindparam("owner"), refresh_until=bindparam("until"))
    )


COLUMNS = _columns(email_connections)
"""The columns of :class:`SealedTokens` of a mailbox, in its order, for :func:`of_row`."""
_READ = {
    table.name: select(*_columns(table)).where(table.c.id == bindparam("connection_id")) for table in TABLES
}
_TAKE = {table.name: _take(table) for table in TABLES}


@dataclass(frozen=True, slots=True)
class SealedTokens:
    """A connection's tokens as they are stored. Opening them takes the vault."""

    connection_id: str
    user_id: str
    provider: str
    issuer: str
    email: str
    status: ConnectionStatus
    scopes: frozenset[str]
    generation: int
    access_token_expires_at: datetime | None
    refresh_token_expires_at: datetime | None
    access_token_encrypted: str | None = field(repr=False)
    refresh_token_encrypted: str | None = field(repr=False)
    table: str = email_connections.name

    def access_token(self, vault: Vault) -> Secret | None:
        """The access token, if there is one. Raises VaultError."""
        return self._open(vault, self.access_token_encrypted, column="access_token_encrypted")

    def refresh_token(self, vault: Vault) -> Secret | None:
        """The refresh token, if there is one. Raises VaultError."""
        return self._open(vault, self.refresh_token_encrypted, column="refresh_token_encrypted")

    def _open(self, vault: Vault, sealed: str | None, *, column: str) -> Secret | None:
        if sealed is None:
            return None
        return vault.open(
            sealed, cell=Cell(self.table, column, self.connection_id, self.user_id, self.provider)
        )


def sealed_tokens(
    connection: Connection, *, connection_id: str, table: Table = email_connections
) -> SealedTokens | None:
    """The tokens of a connection; None when it is gone."""
    row = connection.execute(_READ[table.name], {"connection_id": connection_id}).one_or_none()
    return None if row is None else of_row(row, table=table.name)


def of_row(values: Sequence[Any], *, table: str = email_connections.name) -> SealedTokens | None:
    """The tokens in the values of :data:`COLUMNS`; None where an outer join found no connection."""
    connection_id, user_id, provider, issuer, email, status, scopes, *rest = values
    if connection_id is None:
        return None
    return SealedTokens(
        connection_id,
        user_id,
        provider,
        issuer,
        email,
        ConnectionStatus(status),
        frozenset(scopes.split()),
        *(*rest, table),
    )


def take_refresh_lease(
    connection: Connection,
    *,
    connection_id: str,
    generation: int,
    owner: str,
    seconds: float,
    table: Table = email_connections,
) -> bool:
    """Become the one who refreshes, for ``seconds``; ``owner`` is this process's incarnation.

    False when somebody else is at it, when ``generation`` is no longer the current one (then the tokens are
    new: read them again), or when the connection is not active, or gone.
    """
    moment = now(connection)
    values = {
        "connection_id": connection_id,
        "generation": generation,
        "owner": owner,
        "at": moment,
        "until": moment + timedelta(seconds=seconds),
    }
    return connection.execute(_TAKE[table.name], values).rowcount == 1


def release_refresh_lease(
    connection: Connection,
    *,
    connection_id: str,
    generation: int,
    owner: str,
    table: Table = email_connections,
) -> bool:
    """Let others refresh. Touches no lease of somebody else, nor one of a later generation."""
    c = table.c
    release = (
        update(table)
        .where(c.id == connection_id, c.token_generation == generation, c.refresh_owner == owner)
        .values(refresh_owner=None, refresh_until=None)
    )
    return connection.execute(release).rowcount == 1


def store_tokens(
    connection: Connection,
    *,
    vault: Vault,
    seen: SealedTokens,
    owner: str,
    tokens: NewTokens,
) -> bool:
    """Keep the answer of a refresh of ``seen``, and give the lease back.

    False when somebody reconnected, refreshed or disconnected meanwhile: then ``tokens`` are to be thrown
    away.
    """
    values = token_values(
        vault,
        tokens,
        connection_id=seen.connection_id,
        user_id=seen.user_id,
        provider=seen.provider,
        table=seen.table,
    )
    table = metadata.tables[seen.table]
    c = table.c
    swap = (
        update(table)
        .where(
            c.id == seen.connection_id,
            c.token_generation == seen.generation,
            c.refresh_owner == owner,
            c.status != ConnectionStatus.DISCONNECTING,
        )
        .values(
            **values,
            token_generation=seen.generation + 1,
            refused_since=None,
            refresh_owner=None,
            refresh_until=None,
            updated_at=now(connection),
        )
    )
    return connection.execute(swap).rowcount == 1


def mark_needs_reconnect(
    connection: Connection,
    *,
    connection_id: str,
    generation: int,
    reason: str,
    problem: str,
    table: Table = email_connections,
) -> bool:
    """Say that only the owner can repair an active connection; ``problem`` tells them how, in a sentence.

    False, and nothing is changed, when the tokens are no longer those of ``generation`` or it was not active.
    """
    moment = now(connection)
    c = table.c
    mark = (
        update(table)
        .where(
            c.id == connection_id,
            c.token_generation == generation,
            c.status == ConnectionStatus.ACTIVE,
        )
        .values(
            status=ConnectionStatus.NEEDS_RECONNECT,
            status_reason=reason,
            problem=problem,
            refresh_owner=None,
            refresh_until=None,
            updated_at=moment,
        )
        .returning(c.user_id, c.provider)
    )
    marked = connection.execute(mark).one_or_none()
    if marked is None:
        return False
    events.append(
        connection,
        user_id=marked.user_id,
        kind=Kind.CONNECTION_RECONNECT_NEEDED,
        connection_id=connection_id,
        data={"provider": marked.provider, "reason": reason},
        at=moment,
    )
    return True


def disconnecting(connection: Connection, *, table: Table = email_connections) -> list[tuple[str, str]]:
    """(user id, connection id) of everything that is being taken down: what a process that died may have left."""
    unfinished = select(table.c.user_id, table.c.id).where(table.c.status == ConnectionStatus.DISCONNECTING)
    return [(row.user_id, row.id) for row in connection.execute(unfinished)]
