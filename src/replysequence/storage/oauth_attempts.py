"""OAuth flows that were started and have not come back: single use, ten minutes, bound to a person and a browser."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from replysequence.domain.secret import Secret
from replysequence.storage.database import now
from replysequence.storage.ids import new_id
from replysequence.storage.tables import oauth_attempts
from replysequence.storage.vault import Cell, Vault

LIFETIME = timedelta(minutes=10)

_O = oauth_attempts.c


@dataclass(frozen=True, slots=True)
class OAuthAttempt:
    """A flow that has come back. ``connection_id`` is set when it is to repair that connection.

    ``expired`` says that it came back too late; then its secrets are not to be used.
    """

    user_id: str
    session_hash: str
    provider: str
    connection_id: str | None
    look_up: bool
    """Whether it asks for the permission to look in the Sent folder as well."""
    redirect_uri: str
    created_at: datetime
    expired: bool
    code_verifier: Secret = field(repr=False)
    nonce: Secret = field(repr=False)


def begin(
    connection: Connection,
    *,
    vault: Vault,
    user_id: str,
    state_hash: str,
    session_hash: str,
    provider: str,
    connection_id: str | None,
    look_up: bool = False,
    code_verifier: Secret,
    nonce: Secret,
    redirect_uri: str,
) -> None:
    """Keep what the way back will need; ``state_hash`` is the hex SHA-256 of the ``state`` that goes out."""
    moment = now(connection)
    row_id = new_id()
    connection.execute(
        insert(oauth_attempts).values(
            id=row_id,
            state_hash=state_hash,
            user_id=user_id,
            session_hash=session_hash,
            provider=provider,
            connection_id=connection_id,
            look_up=look_up,
            code_verifier_encrypted=vault.seal(
                code_verifier, cell=_cell("code_verifier_encrypted", row_id, user_id, provider)
            ),
            nonce_encrypted=vault.seal(nonce, cell=_cell("nonce_encrypted", row_id, user_id, provider)),
            redirect_uri=redirect_uri,
            created_at=moment,
            expires_at=moment + LIFETIME,
        )
    )


def consume(
    connection: Connection,
    *,
    vault: Vault,
    user_id: str,
    session_hash: str,
    provider: str,
    state_hash: str,
) -> OAuthAttempt | None:
    """Take an attempt out, in the statement that reads it: of several callers at once one gets it.

    None when there is no such attempt of this person, browser session and provider; one of somebody else
    stays untouched. Raises VaultError when its secrets cannot be opened.
    """
    taken = connection.execute(
        delete(oauth_attempts)
        .where(
            _O.state_hash == state_hash,
            _O.user_id == user_id,
            _O.session_hash == session_hash,
            _O.provider == provider,
        )
        .returning(oauth_attempts)
    ).one_or_none()
    if taken is None:
        return None
    return OAuthAttempt(
        user_id=taken.user_id,
        session_hash=taken.session_hash,
        provider=taken.provider,
        connection_id=taken.connection_id,
        look_up=taken.look_up,
        redirect_uri=taken.redirect_uri,
        created_at=taken.created_at,
        expired=taken.expires_at <= now(connection),
        code_verifier=vault.open(
            taken.code_verifier_encrypted, cell=_cell("code_verifier_encrypted", taken.id, user_id, provider)
        ),
        nonce=vault.open(taken.nonce_encrypted, cell=_cell("nonce_encrypted", taken.id, user_id, provider)),
    )


def belongs_elsewhere(connection: Connection, *, state_hash: str) -> bool:
    """Whether an attempt with that state waits: asked after :func:`consume`, it was begun in another browser."""
    return connection.execute(select(_O.id).where(_O.state_hash == state_hash)).first() is not None


def forget_expired(connection: Connection) -> int:
    """Remove what nobody came back for. Returns how many there were."""
    return connection.execute(delete(oauth_attempts).where(_O.expires_at <= now(connection))).rowcount


def _cell(column: str, row_id: str, user_id: str, provider: str) -> Cell:
    return Cell("oauth_attempts", column, row_id, user_id, provider)
