"""The tokens of a connection, for the service that keeps them fresh. No person asks here: the id alone is
enough.

Only the holder of the refresh lease asks the provider for new tokens. What keeps two holders from hurting
each other is not the lease, though, but the compare-and-swap on ``token_generation``, which grows with each
change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select, update

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.event import Kind
from replysequence.domain.secret import Secret
from replysequence.storage import events
from replysequence.storage.connections import NewTokens, token_values
from replysequence.storage.database import now
from replysequence.storage.tables import email_connections
from replysequence.storage.vault import Cell, Vault

_C = email_connections.c
COLUMNS = (
    _C.id,
    _C.user_id,
    _C.provider,
    _C.issuer,
    _C.email,
    _C.status,
    _C.scopes,
    _C.token_generation,
    _C.access_token_expires_at,
    _C.refresh_token_expires_at,
    _C.access_token_encrypted,
    _C.refresh_token_encrypted,
)
"""The columns of :class:`SealedTokens`, in its order, for :func:`of_row`."""
_READ = select(*COLUMNS).where(_C.id == bindparam("connection_id"))
_TAKE = (
    update(email_connections)
    .where(
        _C.id == bindparam("connection_id"),
        _C.token_generation == bindparam("generation"),
        _C.status == ConnectionStatus.ACTIVE,
        or_(
            _C.refresh_until.is_(None),
            _C.refresh_until <= bindparam("at", type_=_C.refresh_until.type),
            _C.refresh_owner == bindparam("owner", type_=_C.refresh_owner.type),
        ),
    )
    .values(refresh_owner=bindparam("owner"), refresh_until=bindparam("until"))
)


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
            sealed, cell=Cell("email_connections", column, self.connection_id, self.user_id, self.provider)
        )


def sealed_tokens(connection: Connection, *, connection_id: str) -> SealedTokens | None:
    """The tokens of a connection; None when it is gone."""
    row = connection.execute(_READ, {"connection_id": connection_id}).one_or_none()
    return None if row is None else of_row(row)


def of_row(values: Sequence[Any]) -> SealedTokens | None:
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
        *rest,
    )


def take_refresh_lease(
    connection: Connection, *, connection_id: str, generation: int, owner: str, seconds: float
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
    return connection.execute(_TAKE, values).rowcount == 1


def release_refresh_lease(connection: Connection, *, connection_id: str, generation: int, owner: str) -> bool:
    """Let others refresh. Touches no lease of somebody else, nor one of a later generation."""
    release = (
        update(email_connections)
        .where(_C.id == connection_id, _C.token_generation == generation, _C.refresh_owner == owner)
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
        vault, tokens, connection_id=seen.connection_id, user_id=seen.user_id, provider=seen.provider
    )
    swap = (
        update(email_connections)
        .where(
            _C.id == seen.connection_id,
            _C.token_generation == seen.generation,
            _C.refresh_owner == owner,
            _C.status != ConnectionStatus.DISCONNECTING,
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
    connection: Connection, *, connection_id: str, generation: int, reason: str, problem: str
) -> bool:
    """Say that only the owner can repair an active connection; ``problem`` tells them how, in a sentence.

    False, and nothing is changed, when the tokens are no longer those of ``generation`` or it was not active.
    """
    moment = now(connection)
    mark = (
        update(email_connections)
        .where(
            _C.id == connection_id,
            _C.token_generation == generation,
            _C.status == ConnectionStatus.ACTIVE,
        )
        .values(
            status=ConnectionStatus.NEEDS_RECONNECT,
            status_reason=reason,
            problem=problem,
            refresh_owner=None,
            refresh_until=None,
            updated_at=moment,
        )
        .returning(_C.user_id, _C.provider)
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


def disconnecting(connection: Connection) -> list[tuple[str, str]]:
    """(user id, connection id) of everything that is being taken down: what a process that died may have left."""
    unfinished = select(_C.user_id, _C.id).where(_C.status == ConnectionStatus.DISCONNECTING)
    return [(row.user_id, row.id) for row in connection.execute(unfinished)]
