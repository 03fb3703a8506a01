"""Keys with which a person's programs sign in. Kept as SHA-256: a key is shown once, when it is made."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, insert, select, update

from replysequence.domain.errors import NotFound
from replysequence.domain.event import Kind
from replysequence.storage import events
from replysequence.storage.database import CLOCK, AnyRow, now
from replysequence.storage.ids import new_id
from replysequence.storage.prepared import Prepared
from replysequence.storage.tables import api_keys, users
from replysequence.storage.users import PERSON, User, user_of

USED_EVERY = timedelta(minutes=5)
"""How exactly the last use is kept: a request need not write."""

_K = api_keys.c
_SHOWN = (_K.id, _K.name, _K.prefix, _K.created_at, _K.last_used_at)
_FIND = Prepared(
    select(
        _K.id.label("key_id"),
        _K.last_used_at,
        CLOCK.label("at"),
        *PERSON,
    )
    .join(users, users.c.id == _K.user_id)
    .where(_K.key_hash == bindparam("key_hash"), _K.revoked_at.is_(None))
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its owner sees it in the list; ``prefix`` is the beginning of its text."""

    id: str
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Whose key it is, and whether its use is worth noting with :func:`touch`."""

    key_id: str
    user: User
    needs_touch: bool


def create(connection: Connection, *, user_id: str, name: str, prefix: str, key_hash: str) -> ApiKey:
    """Keep a new key: ``key_hash`` is the hex SHA-256 of its text."""
    key = ApiKey(new_id(), name, prefix, created_at=now(connection), last_used_at=None)
    connection.execute(
        insert(api_keys).values(
            id=key.id,
            user_id=user_id,
            name=name,
            prefix=prefix,
            key_hash=key_hash,
            created_at=key.created_at,
        )
    )
    data = {"key_id": key.id, "name": name}
    events.append(connection, user_id=user_id, kind=Kind.API_KEY_CREATED, data=data, at=key.created_at)
    return key


def list_for_user(connection: Connection, *, user_id: str) -> list[ApiKey]:
    """A person's keys that still work, the oldest first."""
    wanted = (
        select(*_SHOWN).where(_K.user_id == user_id, _K.revoked_at.is_(None)).order_by(_K.created_at, _K.id)
    )
    return [_key(row) for row in connection.execute(wanted)]


def find(connection: Connection, *, key_hash: str) -> KeyUse | None:
    """Whose key that is, unless it was revoked. Only reads."""
    row = _FIND.line(connection, key_hash=key_hash)
    if row is None:
        return None
    return KeyUse(
        key_id=row.key_id,
        user=user_of(row),
        needs_touch=row.last_used_at is None or row.at - row.last_used_at > USED_EVERY,
    )


def touch(connection: Connection, *, user_id: str, key_id: str) -> None:
    """Note that a key is in use."""
    used = update(api_keys).where(_K.id == key_id, _K.user_id == user_id).values(last_used_at=now(connection))
    connection.execute(used)


def revoke(connection: Connection, *, user_id: str, key_id: str) -> None:
    """Let a key work no longer. Raises NotFound, also when it was revoked before."""
    moment = now(connection)
    change = (
        update(api_keys)
        .where(_K.id == key_id, _K.user_id == user_id, _K.revoked_at.is_(None))
        .values(revoked_at=moment)
    )
    if connection.execute(change).rowcount == 0:
        raise NotFound("API key")
    events.append(connection, user_id=user_id, kind=Kind.API_KEY_REVOKED, data={"key_id": key_id}, at=moment)


def _key(row: AnyRow) -> ApiKey:
    return ApiKey(row.id, row.name, row.prefix, row.created_at, row.last_used_at)
