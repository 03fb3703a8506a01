"""Who is signed in where. A session is known by the SHA-256 of its token: the table alone signs nobody in."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select, update

from replysequence.storage.database import CLOCK, now
from replysequence.storage.prepared import Prepared
from replysequence.storage.tables import sessions, users
from replysequence.storage.users import PERSON, User, user_of

IDLE = timedelta(hours=8)
"""A session that nobody used for so long is over."""

LIFETIME = timedelta(days=7)
"""A session ends at the latest after this, used or not."""

SEEN_EVERY = timedelta(minutes=5)
"""How exactly the last use is kept: a page view need not write."""

_S = sessions.c
_FIND = Prepared(
    select(
        _S.token_hash,
        _S.last_seen_at,
        _S.expires_at,
        CLOCK.label("at"),
        *PERSON,
    )
    .join(users, users.c.id == _S.user_id)
    .where(_S.token_hash == bindparam("token_hash"))
)


@dataclass(frozen=True, slots=True)
class Session:
    """A person who is signed in, until when at most, and whether its use is worth noting with :func:`touch`."""

    token_hash: str
    user: User
    expires_at: datetime
    needs_touch: bool


def create(connection: Connection, *, user_id: str, token_hash: str) -> datetime:
    """Sign a person in: ``token_hash`` is the hex SHA-256 of the token in their cookie. Returns when it ends
    at the latest.
    """
    moment = now(connection)
    expires_at = moment + LIFETIME
    connection.execute(
        insert(sessions).values(
            token_hash=token_hash,
            user_id=user_id,
            created_at=moment,
            last_seen_at=moment,
            expires_at=expires_at,
        )
    )
    return expires_at


def find(connection: Connection, *, token_hash: str) -> Session | None:
    """The session with that token, unless it is over or was ended. Only reads."""
    row = _FIND.line(connection, token_hash=token_hash)
    if row is None or row.at >= row.expires_at or row.at - row.last_seen_at >= IDLE:
        return None
    return Session(
        token_hash=row.token_hash,
        user=user_of(row),
        expires_at=row.expires_at,
        needs_touch=row.at - row.last_seen_at > SEEN_EVERY,
    )


def touch(connection: Connection, *, token_hash: str) -> None:
    """Note that a session is in use. One that is over stays over."""
    moment = now(connection)
    alive = and_(_S.token_hash == token_hash, _S.expires_at > moment, _S.last_seen_at > moment - IDLE)
    connection.execute(update(sessions).where(alive).values(last_seen_at=moment))


def end(connection: Connection, *, token_hash: str) -> None:
    """Sign out here."""
    connection.execute(delete(sessions).where(_S.token_hash == token_hash))


def end_others(connection: Connection, *, user_id: str, keep: str | None) -> int:
    """Sign a person out everywhere but in the session with the token hash ``keep``. Returns how many ended."""
    others = delete(sessions).where(_S.user_id == user_id)
    if keep is not None:
        others = others.where(_S.token_hash != keep)
    return connection.execute(others).rowcount


def forget_ended(connection: Connection) -> int:
    """Remove what is over, for tidiness. Returns how many there were."""
    moment = now(connection)
    over = or_(_S.expires_at <= moment, _S.last_seen_at <= moment - IDLE)
    return connection.execute(delete(sessions).where(over)).rowcount
