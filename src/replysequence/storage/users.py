"""The people who may sign in."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from replysequence.domain.errors import Conflict, NotFound
from replysequence.domain.event import Kind
from replysequence.storage import events
from replysequence.storage.database import AnyRow, now
from replysequence.storage.ids import new_id
from replysequence.storage.tables import users

UNDO_SECONDS = 10
"""How long a person can undo a send of the web app, until they choose otherwise."""

PERSON = (
    users.c.id,
    users.c.email,
    users.c.name,
    users.c.is_admin,
    users.c.time_zone,
    users.c.undo_seconds,
    users.c.created_at,
)
"""The columns that :func:`user_of` reads."""
_GET = select(*PERSON).where(users.c.id == bindparam("user_id"))
_BY_EMAIL = select(*PERSON, users.c.password_hash).where(users.c.email == bindparam("email"))
_LEARN_TIME_ZONE = (
    update(users)
    .where(users.c.id == bindparam("owner"), users.c.time_zone.is_(None))
    .values(time_zone=bindparam("zone"), updated_at=bindparam("at"))
)
_LOCK = select(users.c.id).where(users.c.id == bindparam("user_id")).with_for_update(key_share=True)


@dataclass(frozen=True, slots=True)
class User:
    """A person, without what proves who they are."""

    id: str
    email: str
    name: str
    is_admin: bool
    time_zone: str | None
    """The IANA name of the zone in which they read times; none until it is known."""
    undo_seconds: int
    """How long a send of theirs waits in the web app before it leaves, so that they can undo it."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Login:
    """A person with the hash of their password."""

    user: User
    password_hash: str = field(repr=False)


def normalised(email: str) -> str:
    """The form in which an address is kept and looked for: nobody has two accounts by writing it in two ways."""
    return email.strip().lower()


def create(connection: Connection, *, email: str, name: str, password_hash: str, is_admin: bool) -> User:
    """Add a person. Raises Conflict(code="email_taken") when somebody has that address."""
    moment = now(connection)
    user = User(
        id=new_id(),
        email=normalised(email),
        name=name,
        is_admin=is_admin,
        time_zone=None,
        undo_seconds=UNDO_SECONDS,
        created_at=moment,
    )
    try:
        with connection.begin_nested():
            connection.execute(
                insert(users).values(
                    id=user.id,
                    email=user.email,
                    name=name,
                    password_hash=password_hash,
                    is_admin=is_admin,
                    undo_seconds=UNDO_SECONDS,
                    created_at=moment,
                    updated_at=moment,
                )
            )
    except IntegrityError as error:
        raise Conflict(
            "Somebody with this e-mail address has an account already.", code="email_taken"
        ) from error
    data = {"is_admin": is_admin}
    events.append(connection, user_id=user.id, kind=Kind.USER_JOINED, data=data, at=moment)
    return user


def anybody(connection: Connection) -> bool:
    """Whether the program has been set up: somebody has an account."""
    return connection.execute(select(users.c.id).limit(1)).first() is not None


def get(connection: Connection, *, user_id: str) -> User:
    """One person. Raises NotFound."""
    row = connection.execute(_GET, {"user_id": user_id}).one_or_none()
    if row is None:
        raise NotFound("user")
    return user_of(row)


def login(connection: Connection, *, email: str) -> Login | None:
    """Who signs in with ``email``, or None."""
    row = connection.execute(_BY_EMAIL, {"email": normalised(email)}).one_or_none()
    return None if row is None else Login(user_of(row), row.password_hash)


def login_of(connection: Connection, *, user_id: str) -> Login:
    """The same by id, to change a password. Raises NotFound."""
    row = connection.execute(
        select(*PERSON, users.c.password_hash).where(users.c.id == user_id)
    ).one_or_none()
    if row is None:
        raise NotFound("user")
    return Login(user_of(row), row.password_hash)


def everybody(connection: Connection) -> list[User]:
    """All people, by address. For administrators: the caller has made sure."""
    return [user_of(row) for row in connection.execute(select(*PERSON).order_by(users.c.email))]


def set_name(connection: Connection, *, user_id: str, name: str) -> None:
    """Change a person's name. Raises NotFound."""
    _change(connection, user_id=user_id, name=name)


def set_sending(connection: Connection, *, user_id: str, time_zone: str, undo_seconds: int) -> None:
    """Change in which zone a person reads times, and how long they can undo. Raises NotFound."""
    _change(connection, user_id=user_id, time_zone=time_zone, undo_seconds=undo_seconds)


def learn_time_zone(connection: Connection, *, user_id: str, time_zone: str) -> None:
    """Keep the zone of a person's browser, unless theirs is known already."""
    connection.execute(_LEARN_TIME_ZONE, {"owner": user_id, "zone": time_zone, "at": now(connection)})


def set_password(connection: Connection, *, user_id: str, password_hash: str) -> None:
    """Change a person's password. Raises NotFound. Sessions stay: end them with ``sessions.end_others``."""
    _change(connection, user_id=user_id, password_hash=password_hash)
    events.append(connection, user_id=user_id, kind=Kind.USER_PASSWORD_CHANGED)


def lock(connection: Connection, *, user_id: str) -> None:
    """Hold a person's row until the transaction ends: who changes several of their rows takes it first.

    Others can still write rows that refer to the person (on PostgreSQL it is FOR NO KEY UPDATE). Raises
    NotFound.
    """
    if connection.execute(_LOCK, {"user_id": user_id}).first() is None:
        raise NotFound("user")


def _change(connection: Connection, *, user_id: str, **values: str | int) -> None:
    change = update(users).where(users.c.id == user_id).values(updated_at=now(connection), **values)
    if connection.execute(change).rowcount == 0:
        raise NotFound("user")


def user_of(row: AnyRow) -> User:
    """The person in a row that has the columns :data:`PERSON`."""
    return User(
        id=row.id,
        email=row.email,
        name=row.name,
        is_admin=row.is_admin,
        time_zone=row.time_zone,
        undo_seconds=row.undo_seconds,
        created_at=row.created_at,
    )
