"""People: the first one by a set-up link, the others by invitation; passwords, sessions and API keys.

Sessions, keys and links are 256 random bits of which only a SHA-256 hash is kept. Passwords are argon2id.
"""

import asyncio
import hashlib
import secrets
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from replysequence import logs
from replysequence.domain.address import parse_address
from replysequence.domain.errors import (
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    NotSignedIn,
    ReplySequenceError,
    TooManyRequests,
)
from replysequence.domain.event import Kind
from replysequence.domain.secret import Secret
from replysequence.domain.wall_clock import find_zone, zone_of
from replysequence.storage import api_keys, events, invitations, sessions, throttles, users
from replysequence.storage.api_keys import ApiKey, KeyUse
from replysequence.storage.database import Database, Transaction
from replysequence.storage.users import User

_log = logs.logger("services.signing_in")

SET_UP_LIFETIME = timedelta(hours=24)
SIGN_IN_LINK_LIFETIME = timedelta(hours=1)
MIN_PASSWORD = 10
MAX_PASSWORD = 1024
MAX_KEYS = 50
UNDO_CHOICES = (0, 5, 10, 20, 30)
"""Seconds for which a person may want to be able to undo a send."""

# Per account and per client, as buckets: size and seconds until one more is allowed (OWASP ASVS 5.0 6.3.1).
_PER_ACCOUNT = (10, 90.0)
_PER_CLIENT = (50, 18.0)

# 46 MiB, one pass: OWASP's first choice for argon2id (password storage cheat sheet, checked 2026-11-22).
_HASHER = PasswordHasher(time_cost=1, memory_cost=47104, parallelism=1)
_HASHING_AT_A_TIME = 2
"""Each check takes 46 MiB: a flood of sign-ins must not take all memory."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may use this installation."""

    id: str
    email: str
    name: str
    is_admin: bool
    time_zone: str | None
    """The IANA name of the zone in which they read times; none until it is known."""
    undo_seconds: int


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. ``token`` is only there right after signing in; ``hash`` is how it is stored."""

    person: Person
    hash: str
    expires_at: datetime
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a one-time link offers; without ``email`` it is the set-up link."""

    email: str | None
    is_admin: bool


class SigningIn:
    """Who people are, and how they prove it."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._hashing = asyncio.Semaphore(_HASHING_AT_A_TIME)
        self._nobodys_hash = _nobodys_hash()
        self._noting: dict[str, asyncio.Task[None]] = {}

    async def needs_setup(self) -> bool:
        """Whether nobody has an account yet."""
        return not await self._database.read(users.anybody)

    async def setup_token(self) -> Secret | None:
        """A new one-time token for the first account; earlier ones end. None when somebody has an account."""
        token = _new_token()
        return token if await self._database.transaction(_offer_setup, token_hash=_hash(token)) else None

    async def invitation(self, token: str) -> Invitation:
        """What the link with ``token`` offers. Raises :class:`NotFound` when it was used, is too old, or
        never was.
        """
        found = await self._database.read(invitations.find, token_hash=hash_of(token))
        return Invitation(email=found.email, is_admin=found.is_admin)

    async def join(self, token: str, *, email: str, name: str, password: str) -> Session:
        """Make an account with a one-time link, and sign in.

        Raises :class:`NotFound` (link), :class:`InvalidInput` (a field), :class:`Conflict` (the address has
        an account).
        """
        address = _checked_email(email)
        _require_name(name)
        _require_password(password)
        await self.invitation(token)
        password_hash = await self._hashed(password)
        fresh = _new_token()
        return await self._database.transaction(
            _join,
            token_hash=hash_of(token),
            email=address,
            name=name.strip(),
            password_hash=password_hash,
            session=fresh,
        )

    async def add(self, *, email: str, name: str, password: str, is_admin: bool) -> Person:
        """Make an account without a link: for the command line. Raises as :meth:`join` does."""
        address = _checked_email(email)
        _require_name(name)
        _require_password(password)
        return await self._database.transaction(
            _add,
            email=address,
            name=name.strip(),
            password_hash=await self._hashed(password),
            is_admin=is_admin,
        )

    async def reset_password(self, *, email: str, password: str) -> None:
        """Give somebody a new password and end their sessions: for the command line.

        Raises :class:`NotFound` and :class:`InvalidInput`.
        """
        _require_password(password)
        await self._database.transaction(
            _reset_password, email=_checked_email(email), password_hash=await self._hashed(password)
        )

    async def sign_in(self, email: str, *, password: str, client: str) -> Session:
        """Sign in; ``client`` is the network address that asks.

        Raises :class:`NotSignedIn` with one and the same answer whatever is wrong, and
        :class:`TooManyRequests`.
        """
        typed = email.strip().lower()[:320]
        wait = await self._database.transaction(_throttled, account=typed, client=client)
        if wait > 0:
            raise TooManyRequests(
                f"Too many attempts. Please wait {max(1, round(wait / 60))} minutes and try again.",
                retry_after=wait,
            )
        login = await self._database.read(users.login, email=typed)
        right = await self._matches(login.password_hash if login else self._nobodys_hash, password)
        if login is None or not right:
            if login is not None:
                await self._database.transaction(
                    events.append, user_id=login.user.id, kind=Kind.USER_SIGN_IN_FAILED
                )
            raise NotSignedIn("The address or the password is wrong.")
        return await self._database.transaction(_open_session, user=login.user, session=_new_token())

    async def sign_in_link(self, email: str) -> Secret:
        """A one-time token that signs an existing person in: for the command line. Raises :class:`NotFound`."""
        token = _new_token()
        await self._database.transaction(_offer_sign_in, email=email, token_hash=_hash(token))
        return token

    async def sign_in_with_link(self, token: str) -> Session:
        """Sign in with a token of :meth:`sign_in_link`, once. Raises :class:`NotFound`."""
        return await self._database.transaction(
            _sign_in_with_link, token_hash=hash_of(token), session=_new_token()
        )

    async def sign_out(self, session_hash: str) -> None:
        """End one session, at once and everywhere."""
        await self._database.transaction(sessions.end, token_hash=session_hash)

    async def session(self, token: str) -> Session | None:
        """The session of a cookie, none when it has ended. Using it keeps it from idling out."""
        found = await self._database.read(sessions.find, token_hash=hash_of(token))
        if found is None:
            return None
        if found.needs_touch:
            await self._database.transaction(sessions.touch, token_hash=found.token_hash)
        return Session(person=_person(found.user), hash=found.token_hash, expires_at=found.expires_at)

    async def person_of_key(self, key: str) -> Person | None:
        """Whose API key this is, none when it is not (any more) one. That it is in use is noted soon after: nobody
        waits for that.
        """
        use = await self._database.read(api_keys.find, key_hash=hash_of(key))
        if use is None:
            return None
        if use.needs_touch and use.key_id not in self._noting:
            noting = asyncio.create_task(self._note_use(use), name="note-use-of-key")
            self._noting[use.key_id] = noting
            noting.add_done_callback(lambda _: self._noting.pop(use.key_id))
        return _person(use.user)

    async def _note_use(self, use: KeyUse) -> None:
        try:
            await self._database.transaction(api_keys.touch, user_id=use.user.id, key_id=use.key_id)
        except ReplySequenceError as error:  # the next use is noted instead
            _log.warning("api_key.use_not_noted", key_id=use.key_id, error=error)

    async def change_password(self, user_id: str, *, session_hash: str, old: str, new: str) -> None:
        """Change a password; every other session ends. Raises :class:`InvalidInput` naming the field, and
        :class:`TooManyRequests`: who holds a session must not guess the password with it.
        """
        _require_password(new, field="new")
        size, refill = _PER_ACCOUNT
        wait = await self._database.transaction(
            throttles.take, key=f"change-password:{user_id}", capacity=size, refill_seconds=refill
        )
        if wait > 0:
            raise TooManyRequests(
                f"Too many attempts. Please wait {max(1, round(wait / 60))} minutes and try again.",
                retry_after=wait,
            )
        login = await self._database.read(users.login_of, user_id=user_id)
        if not await self._matches(login.password_hash, old):
            raise InvalidInput("old", "This is not your present password.")
        await self._database.transaction(
            _set_password, user_id=user_id, password_hash=await self._hashed(new), keep=session_hash
        )

    async def change_name(self, user_id: str, *, name: str) -> None:
        """Change the name that recipients see when mail goes through the relay. Raises
        :class:`InvalidInput`.
        """
        _require_name(name)
        await self._database.transaction(users.set_name, user_id=user_id, name=name.strip())

    async def change_sending(self, user_id: str, *, time_zone: str, undo_seconds: int) -> None:
        """Change in which zone a person reads and writes times, and how long they can undo a send.

        ``time_zone`` is an IANA name, or a part of one that no other has. Raises :class:`InvalidInput` naming
        the field.
        """
        if undo_seconds not in UNDO_CHOICES:
            raise InvalidInput("undo_seconds", "Choose one of the times in the list.")
        await self._database.transaction(
            users.set_sending, user_id=user_id, time_zone=find_zone(time_zone), undo_seconds=undo_seconds
        )

    async def learn_time_zone(self, person: Person, *, name: str) -> None:
        """Take over the zone that a person's browser tells, unless theirs is known or there is no such zone."""
        told = zone_of(name)
        if told is not None and person.time_zone is None:
            await self._database.transaction(users.learn_time_zone, user_id=person.id, time_zone=told)

    async def api_keys(self, user_id: str) -> list[ApiKey]:
        """A person's API keys that still work, newest first; the keys themselves are not kept."""
        return await self._database.read(api_keys.list_for_user, user_id=user_id)

    async def create_api_key(self, user_id: str, *, name: str) -> tuple[ApiKey, Secret]:
        """Make a key and show it this once. Raises :class:`InvalidInput` and, at fifty keys,
        :class:`Conflict`.
        """
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise InvalidInput("name", "The key needs a name of at most 100 characters.")
        key = Secret(f"rs_{secrets.token_urlsafe(32)}")
        made = await self._database.transaction(_create_key, user_id=user_id, name=name.strip(), key=key)
        return made, key

    async def revoke_api_key(self, user_id: str, *, key_id: str) -> None:
        """End a key at once. Raises :class:`NotFound`."""
        await self._database.transaction(api_keys.revoke, user_id=user_id, key_id=key_id)

    async def invite(self, person: Person, *, email: str, is_admin: bool) -> Secret:
        """A one-time token for somebody new. Raises :class:`NotAllowed`, :class:`InvalidInput`,
        :class:`Conflict`.
        """
        _require_admin(person)
        token = _new_token()
        await self._database.transaction(
            _invite, by=person.id, email=_checked_email(email), is_admin=is_admin, token_hash=_hash(token)
        )
        return token

    async def people(self, person: Person) -> list[Person]:
        """Everybody who has an account. Raises :class:`NotAllowed`."""
        _require_admin(person)
        return [_person(user) for user in await self._database.read(users.everybody)]

    async def _hashed(self, password: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(_HASHER.hash, password)

    async def _matches(self, password_hash: str, password: str) -> bool:
        async with self._hashing:
            return await asyncio.to_thread(_verify, password_hash, password)


def hash_of(token: str) -> str:
    """How a token that somebody shows us is looked up."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _hash(token: Secret) -> str:
    return hash_of(token.reveal())


def _new_token() -> Secret:
    return Secret(secrets.token_urlsafe(32))


def _nobodys_hash() -> str:
    """What no password has, and what takes as long to check as any other. Made up: hashing would slow every start."""
    sizes = (_HASHER.salt_len, _HASHER.hash_len)
    salt, tag = (b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in sizes)
    return (
        f"$argon2id$v=19$m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}${salt}${tag}"
    )


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password[: MAX_PASSWORD + 1].encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False


def _person(user: User) -> Person:
    return Person(user.id, user.email, user.name, user.is_admin, user.time_zone, user.undo_seconds)


def _checked_email(email: str) -> str:
    return parse_address(email.strip(), field="email").email.lower()


def _require_name(name: str) -> None:
    if not name.strip() or len(name) > 120 or not name.isprintable():
        raise InvalidInput("name", "Please give a name of at most 120 characters.")


def _require_password(password: str, *, field: str = "password") -> None:
    if len(password) < MIN_PASSWORD:
        raise InvalidInput(field, f"The password needs at least {MIN_PASSWORD} characters.")
    if len(password) > MAX_PASSWORD:
        raise InvalidInput(field, f"The password may have at most {MAX_PASSWORD} characters.")


def _require_admin(person: Person) -> None:
    if not person.is_admin:
        raise NotAllowed("Only an administrator can do this.")


def _offer_setup(transaction: Transaction, *, token_hash: str) -> bool:
    if users.anybody(transaction):
        return False
    invitations.forget_setup_links(transaction)
    invitations.create(
        transaction,
        token_hash=token_hash,
        email=None,
        is_admin=True,
        invited_by=None,
        lifetime=SET_UP_LIFETIME,
    )
    return True


def _offer_sign_in(transaction: Transaction, *, email: str, token_hash: str) -> None:
    login = users.login(transaction, email=email)
    if login is None:
        raise NotFound("user")
    invitations.create(
        transaction,
        token_hash=token_hash,
        email=login.user.email,
        is_admin=login.user.is_admin,
        invited_by=login.user.id,
        lifetime=SIGN_IN_LINK_LIFETIME,
    )


def _sign_in_with_link(transaction: Transaction, *, token_hash: str, session: Secret) -> Session:
    """An invitation of somebody by themselves signs them in; any other one is no such link."""
    offered = invitations.use(transaction, token_hash=token_hash)
    login = users.login(transaction, email=offered.email) if offered.email else None
    if login is None or login.user.id != offered.invited_by:
        raise NotFound("sign-in link")
    return _open_session(transaction, user=login.user, session=session)


def _join(
    transaction: Transaction, *, token_hash: str, email: str, name: str, password_hash: str, session: Secret
) -> Session:
    invitation = invitations.use(transaction, token_hash=token_hash)
    if invitation.email is not None and invitation.email != email:
        raise InvalidInput("email", "This invitation is for another address.")
    if invitation.email is None and users.anybody(transaction):
        raise NotFound("invitation")
    user = users.create(
        transaction, email=email, name=name, password_hash=password_hash, is_admin=invitation.is_admin
    )
    return _open_session(transaction, user=user, session=session)


def _add(transaction: Transaction, *, email: str, name: str, password_hash: str, is_admin: bool) -> Person:
    return _person(
        users.create(transaction, email=email, name=name, password_hash=password_hash, is_admin=is_admin)
    )


def _throttled(transaction: Transaction, *, account: str, client: str) -> float:
    """Seconds to wait. A client that has used up its own attempts takes none of the account's: else one client could
    lock out anybody. The account's bucket is keyed by a hash: an address that nobody has is not kept as text.
    """
    size, refill = _PER_CLIENT
    wait = throttles.take(
        transaction, key=f"sign-in-from:{client[:100]}", capacity=size, refill_seconds=refill
    )
    if wait > 0:
        return wait
    size, refill = _PER_ACCOUNT
    return throttles.take(
        transaction, key=f"sign-in:{hash_of(account)}", capacity=size, refill_seconds=refill
    )


def _open_session(transaction: Transaction, *, user: User, session: Secret) -> Session:
    expires_at = sessions.create(transaction, user_id=user.id, token_hash=_hash(session))
    events.append(transaction, user_id=user.id, kind=Kind.USER_SIGNED_IN)
    return Session(person=_person(user), hash=_hash(session), expires_at=expires_at, token=session)


def _set_password(transaction: Transaction, *, user_id: str, password_hash: str, keep: str | None) -> None:
    users.set_password(transaction, user_id=user_id, password_hash=password_hash)
    sessions.end_others(transaction, user_id=user_id, keep=keep)


def _reset_password(transaction: Transaction, *, email: str, password_hash: str) -> None:
    login = users.login(transaction, email=email)
    if login is None:
        raise NotFound("user")
    _set_password(transaction, user_id=login.user.id, password_hash=password_hash, keep=None)


def _create_key(transaction: Transaction, *, user_id: str, name: str, key: Secret) -> ApiKey:
    if len(api_keys.list_for_user(transaction, user_id=user_id)) >= MAX_KEYS:
        raise Conflict(
            f"You have {MAX_KEYS} API keys. Revoke one that you no longer need.", code="too_many_keys"
        )
    return api_keys.create(
        transaction, user_id=user_id, name=name, prefix=key.reveal()[:8], key_hash=_hash(key)
    )


def _invite(transaction: Transaction, *, by: str, email: str, is_admin: bool, token_hash: str) -> None:
    if users.login(transaction, email=email) is not None:
        raise Conflict("Somebody with this e-mail address has an account already.", code="email_taken")
    invitations.create(transaction, token_hash=token_hash, email=email, is_admin=is_admin, invited_by=by)
