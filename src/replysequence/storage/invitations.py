"""Links by which somebody gets an account: once, and for a limited time. The set-up link of a first start is one."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from replysequence.domain.errors import NotFound
from replysequence.domain.event import Kind
from replysequence.storage import events
from replysequence.storage.database import AnyRow, now
from replysequence.storage.ids import new_id
from replysequence.storage.tables import invitations

LIFETIME = timedelta(days=7)

_I = invitations.c
_SHOWN = (_I.id, _I.email, _I.is_admin, _I.invited_by, _I.expires_at)


@dataclass(frozen=True, slots=True)
class Invitation:
    """``email`` and ``invited_by`` (a user's id) are none on the set-up link."""

    id: str
    email: str | None
    is_admin: bool
    invited_by: str | None
    expires_at: datetime


def create(
    connection: Connection,
    *,
    token_hash: str,
    email: str | None,
    is_admin: bool,
    invited_by: str | None,
    lifetime: timedelta = LIFETIME,
) -> Invitation:
    """Keep a new invitation: ``token_hash`` is the hex SHA-256 of the token in the link."""
    moment = now(connection)
    made = Invitation(new_id(), email, is_admin, invited_by, expires_at=moment + lifetime)
    connection.execute(
        insert(invitations).values(
            id=made.id,
            token_hash=token_hash,
            email=email,
            is_admin=is_admin,
            invited_by=invited_by,
            created_at=moment,
            expires_at=made.expires_at,
        )
    )
    if invited_by is not None:
        data = {"invitation_id": made.id, "is_admin": is_admin}
        events.append(connection, user_id=invited_by, kind=Kind.USER_INVITED, data=data, at=moment)
    return made


def find(connection: Connection, *, token_hash: str) -> Invitation:
    """The invitation with that token. Raises NotFound when there is none, or it is used or over."""
    wanted = select(*_SHOWN).where(
        _I.token_hash == token_hash, _I.used_at.is_(None), _I.expires_at > now(connection)
    )
    return _invitation(connection.execute(wanted).one_or_none())


def use(connection: Connection, *, token_hash: str) -> Invitation:
    """Use up an invitation. Of several at once one succeeds; the others get NotFound, as for a wrong token."""
    moment = now(connection)
    change = (
        update(invitations)
        .where(_I.token_hash == token_hash, _I.used_at.is_(None), _I.expires_at > moment)
        .values(used_at=moment)
        .returning(*_SHOWN)
    )
    return _invitation(connection.execute(change).one_or_none())


def forget_setup_links(connection: Connection) -> int:
    """Make every set-up link that is not used yet invalid: a new one takes its place. Returns how many there were."""
    unused = delete(invitations).where(_I.invited_by.is_(None), _I.used_at.is_(None))
    return connection.execute(unused).rowcount


def _invitation(row: AnyRow | None) -> Invitation:
    if row is None:
        raise NotFound("invitation")
    return Invitation(row.id, row.email, row.is_admin, row.invited_by, row.expires_at)
