"""A person's e-mail connections. Every function takes the owner; nothing here shows a token.

While somebody has a connection that is not being taken down, exactly one of them is the default. Each change
that could break this holds the person's row, and a partial unique index refuses a second default whatever
happens.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam, case, delete, insert, select, update

from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import NotFound
from replysequence.domain.event import Kind
from replysequence.domain.secret import Secret
from replysequence.storage import events, users
from replysequence.storage.database import AnyRow, now
from replysequence.storage.ids import new_id
from replysequence.storage.prepared import Prepared
from replysequence.storage.tables import email_connections
from replysequence.storage.vault import Cell, Vault

_C = email_connections.c
_SHOWN = tuple(column for column in _C if not column.info.get("secret"))
_LIST = Prepared(select(*_SHOWN).where(_C.user_id == bindparam("user_id")).order_by(_C.connected_at, _C.id))
_GET = select(*_SHOWN).where(_C.user_id == bindparam("user_id"), _C.id == bindparam("connection_id"))
_USABLE = _C.status != ConnectionStatus.DISCONNECTING
_DEFAULT = select(_C.id).where(_C.user_id == bindparam("user_id"), _C.is_default)
_BEST = (
    select(_C.id)
    .where(_C.user_id == bindparam("user_id"), _USABLE)
    .order_by(case((_C.status == ConnectionStatus.ACTIVE, 0), else_=1), _C.connected_at, _C.id)
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Account:
    """An account at a provider: ``issuer`` and ``subject`` identify it, the rest are labels that may change."""

    provider: str
    issuer: str
    subject: str
    email: str
    display_name: str


@dataclass(frozen=True, slots=True)
class NewTokens:
    """Tokens as a provider gave them, with the moments (aware UTC) after which they must not be used.

    ``refresh_token`` is none when none was given: then the stored one stays. So do the stored scopes when
    ``scopes`` is empty (RFC 6749 §5.1: left out of an answer, they are unchanged).
    """

    access_token: Secret
    access_token_expires_at: datetime
    refresh_token: Secret | None
    refresh_token_expires_at: datetime | None
    scopes: frozenset[str]


def token_values(
    vault: Vault, tokens: NewTokens, *, connection_id: str, user_id: str, provider: str
) -> dict[str, object]:
    """The columns that ``tokens`` change in a connection's row, sealed for that row."""
    access = Cell("email_connections", "access_token_encrypted", connection_id, user_id, provider)
    refresh = Cell("email_connections", "refresh_token_encrypted", connection_id, user_id, provider)
    values: dict[str, object] = {
        "access_token_encrypted": vault.seal(tokens.access_token, cell=access),
        "access_token_expires_at": tokens.access_token_expires_at,
    }
    if tokens.refresh_token is not None:
        values["refresh_token_encrypted"] = vault.seal(tokens.refresh_token, cell=refresh)
        values["refresh_token_expires_at"] = tokens.refresh_token_expires_at
    if tokens.scopes:
        values["scopes"] = " ".join(sorted(tokens.scopes))
    return values


def connect(
    connection: sa.Connection, *, vault: Vault, user_id: str, account: Account, tokens: NewTokens
) -> tuple[Connection, bool]:
    """Keep a consent. Returns the connection and whether it was there before.

    An account that this person has connected already is updated in place: its id, and with it every draft and
    waiting send, stay. It becomes usable again whatever its state was. The first usable connection becomes
    the default. Raises NotFound when the person is gone.
    """
    users.lock(connection, user_id=user_id)
    moment = now(connection)
    known = connection.execute(
        select(_C.id).where(
            _C.user_id == user_id,
            _C.provider == account.provider,
            _C.issuer == account.issuer,
            _C.subject == account.subject,
        )
    ).scalar_one_or_none()
    connection_id = known or new_id()
    values = token_values(
        vault, tokens, connection_id=connection_id, user_id=user_id, provider=account.provider
    ) | {
        "email": account.email,
        "display_name": account.display_name,
        "status": ConnectionStatus.ACTIVE,
        "status_reason": None,
        "problem": None,
        "refused_since": None,
        "refresh_owner": None,
        "refresh_until": None,
        "connected_at": moment,
        "updated_at": moment,
    }
    if known:
        values["token_generation"] = _C.token_generation + 1
        connection.execute(update(email_connections).where(_C.id == known).values(values))
    else:
        values |= {
            "id": connection_id,
            "user_id": user_id,
            "provider": account.provider,
            "issuer": account.issuer,
            "subject": account.subject,
            "scopes": values.get("scopes", ""),
            "is_default": False,
            "token_generation": 1,
            "created_at": moment,
        }
        connection.execute(insert(email_connections).values(values))
    events.append(
        connection,
        user_id=user_id,
        kind=Kind.CONNECTION_RECONNECTED if known else Kind.CONNECTION_CONNECTED,
        connection_id=connection_id,
        data={"provider": account.provider, "email": account.email},
        at=moment,
    )
    _ensure_default(connection, user_id=user_id, at=moment)
    return get(connection, user_id=user_id, connection_id=connection_id), known is not None


def list_for_user(connection: sa.Connection, *, user_id: str) -> list[Connection]:
    """A person's connections, in the order in which they were made."""
    return [_connection(row) for row in _LIST.lines(connection, user_id=user_id)]


def get(connection: sa.Connection, *, user_id: str, connection_id: str) -> Connection:
    """One connection of a person. Raises NotFound."""
    row = connection.execute(_GET, {"user_id": user_id, "connection_id": connection_id}).one_or_none()
    if row is None:
        raise NotFound("connection")
    return _connection(row)


def set_default(connection: sa.Connection, *, user_id: str, connection_id: str) -> None:
    """Send from this connection unless a draft says otherwise. Raises NotFound, also while it is being taken down."""
    users.lock(connection, user_id=user_id)
    wanted = get(connection, user_id=user_id, connection_id=connection_id)
    if wanted.status is ConnectionStatus.DISCONNECTING:
        raise NotFound("connection")
    if not wanted.is_default:
        _make_default(connection, user_id=user_id, connection_id=connection_id, at=now(connection))


def set_look_up(connection: sa.Connection, *, user_id: str, connection_id: str, look_up: bool) -> bool:
    """Whether we may look in this connection's Sent folder from now on; returns what held before. Raises NotFound."""
    before = get(connection, user_id=user_id, connection_id=connection_id).look_up
    if before is look_up:
        return before
    moment = now(connection)
    connection.execute(
        update(email_connections)
        .where(_C.id == connection_id, _C.user_id == user_id)
        .values(look_up=look_up, updated_at=moment)
    )
    events.append(
        connection,
        user_id=user_id,
        kind=Kind.CONNECTION_LOOK_UP_CHANGED,
        connection_id=connection_id,
        data={"look_up": look_up},
        at=moment,
    )
    return before


def begin_disconnect(connection: sa.Connection, *, user_id: str, connection_id: str) -> Connection:
    """Let nothing new leave through a connection; another becomes the default. Raises NotFound.

    Doing it again changes nothing. Returns the connection as it is now; its tokens are still there, for
    revocation.
    """
    users.lock(connection, user_id=user_id)
    moment = now(connection)
    changed = connection.execute(
        update(email_connections)
        .where(_C.id == connection_id, _C.user_id == user_id)
        .values(status=ConnectionStatus.DISCONNECTING, is_default=False, updated_at=moment)
    ).rowcount
    if changed == 0:
        raise NotFound("connection")
    _ensure_default(connection, user_id=user_id, at=moment)
    return get(connection, user_id=user_id, connection_id=connection_id)


def finish_disconnect(connection: sa.Connection, *, user_id: str, connection_id: str) -> bool:
    """Remove a connection that is being taken down, and its tokens with it.

    False when there is nothing to remove: it is gone already, or its owner has connected it again meanwhile.
    """
    users.lock(connection, user_id=user_id)
    gone = connection.execute(
        delete(email_connections)
        .where(_C.id == connection_id, _C.user_id == user_id, _C.status == ConnectionStatus.DISCONNECTING)
        .returning(_C.provider, _C.email)
    ).one_or_none()
    if gone is None:
        return False
    moment = now(connection)
    events.append(
        connection,
        user_id=user_id,
        kind=Kind.CONNECTION_DISCONNECTED,
        connection_id=connection_id,
        data={"provider": gone.provider, "email": gone.email},
        at=moment,
    )
    _ensure_default(connection, user_id=user_id, at=moment)
    return True


def is_shared(connection: sa.Connection, *, user_id: str, connection_id: str) -> bool:
    """Whether the same account is connected elsewhere too: then revoking the consent would cut that off as well."""
    ours = get(connection, user_id=user_id, connection_id=connection_id)
    same = select(_C.id).where(
        _C.provider == ours.provider,
        _C.issuer == ours.issuer,
        _C.subject == ours.subject,
        _C.id != connection_id,
        _USABLE,
    )
    return connection.execute(same.limit(1)).first() is not None


def _ensure_default(connection: sa.Connection, *, user_id: str, at: datetime) -> None:
    """Promote the best connection when there is no default: an active one before others, the oldest first."""
    if connection.execute(_DEFAULT, {"user_id": user_id}).first() is not None:
        return
    best = connection.execute(_BEST, {"user_id": user_id}).scalar_one_or_none()
    if best is not None:
        _make_default(connection, user_id=user_id, connection_id=best, at=at)


def _make_default(connection: sa.Connection, *, user_id: str, connection_id: str, at: datetime) -> None:
    connection.execute(
        update(email_connections).where(_C.user_id == user_id, _C.is_default).values(is_default=False)
    )
    connection.execute(
        update(email_connections)
        .where(_C.user_id == user_id, _C.id == connection_id)
        .values(is_default=True, updated_at=at)
    )
    events.append(
        connection,
        user_id=user_id,
        kind=Kind.CONNECTION_DEFAULT_CHANGED,
        connection_id=connection_id,
        at=at,
    )


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
        is_default=row.is_default,
        connected_at=row.connected_at,
        access_token_expires_at=row.access_token_expires_at,
        refresh_token_expires_at=row.refresh_token_expires_at,
        token_generation=row.token_generation,
        look_up=row.look_up,
    )
