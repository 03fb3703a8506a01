"""Taking a connection down: stop its claims, let what is on the wire end, revoke where that can be done, wipe."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from replysequence import logs
from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import Conflict, NotFound, ProviderError, VaultError
from replysequence.providers import oauth
from replysequence.providers.base import Connectable, Mailbox
from replysequence.providers.http import HttpClient
from replysequence.providers.registry import Registry
from replysequence.services.tokens import disconnected
from replysequence.storage import connection_tokens, connections, deciding, holding, platforms, sends
from replysequence.storage.connection_tokens import SealedTokens
from replysequence.storage.database import Database, Transaction, now
from replysequence.storage.vault import Vault

_log = logs.logger("services.disconnecting")

_PATIENCE = 5.0
_POLL = 0.1
"""Seconds that a disconnect waits for sends on the wire, and between two looks."""


class Waiting(StrEnum):
    """What becomes of the sends that an account still has when it is disconnected."""

    KEEP = "keep"
    """They wait until their owner takes them back, or sends their drafts from another account."""
    CANCEL = "cancel"
    """They are taken back, all but what is on the wire or may be out."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What an account has not ended: sends that a disconnect would leave waiting, and those with an unknown outcome."""

    waiting: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection that is gone. ``removal_url`` is where the person removes our consent if we could not."""

    connection_id: str
    email: str
    finished: bool
    """False while a send is still on the wire; a worker finishes then."""
    revoked: bool
    removal_url: str | None
    waiting: int
    """Sends that now wait for a decision."""
    cancelled: int
    unknown: int
    """Sends whose outcome nobody knows: from now on only their owner can settle them."""


class Disconnecting:
    """The verbs that take connections down, for people and for workers."""

    def __init__(self, *, database: Database, registry: Registry, http: HttpClient, vault: Vault) -> None:
        self._database = database
        self._registry = registry
        self._http = http
        self._vault = vault

    async def unfinished(self, user_id: str, *, connection_id: str) -> Unfinished:
        """What this account has not ended. Raises :class:`NotFound`."""
        return await self._database.read(_unfinished, user_id=user_id, connection_id=connection_id)

    async def disconnect(
        self,
        user_id: str,
        *,
        provider: str,
        connection_id: str | None = None,
        waiting: Waiting = Waiting.KEEP,
    ) -> list[Disconnected]:
        """Take down one connection, or all of a provider: stop claims, revoke where that can be done, wipe.

        ``waiting`` says what becomes of sends that have not left; none is ever sent another way by this. Raises
        :class:`NotFound` when there is none.
        """
        connectable = self._registry.connectable(provider)
        mine = await self._database.read(_all_of, user_id=user_id)
        chosen = [
            each
            for each in mine
            if each.provider == provider and (connection_id is None or each.id == connection_id)
        ]
        if connection_id is not None and not chosen:
            raise NotFound("connection")
        if not isinstance(connectable, Mailbox):
            return [await self._disconnect_platform(connectable, each) for each in chosen]
        return [await self._disconnect(connectable, each, choice=waiting) for each in chosen]

    async def finish_disconnects(self) -> int:
        """Finish what is still being taken down, also by a process that died; returns how many. For
        workers.
        """
        left = await self._database.read(connection_tokens.disconnecting)
        done = 0
        for user_id, connection_id in left:
            mine = await self._database.read(connections.list_for_user, user_id=user_id)
            mailbox = next((each for each in mine if each.id == connection_id), None)
            if mailbox and await self._database.read(holding.in_flight, connection_id=connection_id) == 0:
                await self._take_down(self._registry.connectable(mailbox.provider), mailbox)
                done += 1
        for platform in await self._database.read(_platforms_going):
            await self._take_down(self._registry.connectable(platform.provider), platform)
            done += 1
        return done

    async def _disconnect_platform(self, connectable: Connectable, platform: Connection) -> Disconnected:
        await self._database.transaction(
            platforms.begin_disconnect, user_id=platform.user_id, connection_id=platform.id
        )
        revoked = await self._take_down(connectable, platform)
        return Disconnected(
            connection_id=platform.id,
            email=platform.email,
            finished=True,
            revoked=revoked,
            removal_url=None if revoked else connectable.removal_url(platform.issuer),
            waiting=0,
            cancelled=0,
            unknown=0,
        )

    async def stays_at_provider(self, user_id: str, *, connection_id: str) -> bool:
        """Whether disconnecting leaves our consent at the provider, because the same account is connected here as
        something else too, and taking the consent back would end both. Raises :class:`NotFound`.
        """
        return await self._database.read(_stays_at_provider, user_id=user_id, connection_id=connection_id)

    async def _disconnect(
        self, connectable: Connectable, mailbox: Connection, *, choice: Waiting
    ) -> Disconnected:
        cancelled = await self._database.transaction(_begin_disconnect, mailbox=mailbox, choice=choice)
        # What is on the wire may end; if that takes long, a worker finishes the rest.
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while in_flight := await self._database.read(holding.in_flight, connection_id=mailbox.id):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_POLL)
        # What was on the wire and came back waits now too.
        cancelled += await self._database.transaction(_hold, mailbox=mailbox, choice=choice)
        left = await self._database.read(_left, mailbox=mailbox)
        revoked = False if in_flight else await self._take_down(connectable, mailbox)
        return Disconnected(
            connection_id=mailbox.id,
            email=mailbox.email,
            finished=not in_flight,
            revoked=revoked,
            removal_url=None if revoked else connectable.removal_url(mailbox.issuer),
            waiting=left.waiting,
            cancelled=cancelled,
            unknown=left.unknown,
        )

    async def _take_down(self, connectable: Connectable, mailbox: Connection) -> bool:
        """Revoke where that can be done, then wipe. Whether the provider has certainly forgotten us."""
        sealed = await self._database.read(_tokens_to_revoke, mailbox=mailbox)
        revoked = sealed is not None and await self._revoke(connectable, sealed)
        finish = connections if isinstance(connectable, Mailbox) else platforms
        gone = await self._database.transaction(
            finish.finish_disconnect, user_id=mailbox.user_id, connection_id=mailbox.id
        )
        if gone:
            _log.info("connection.disconnected", connection_id=mailbox.id, revoked=revoked)
        return revoked

    async def _revoke(self, connectable: Connectable, sealed: SealedTokens) -> bool:
        """Revoke with the refresh token, which works longer; with the access token where there is no
        other.
        """
        try:
            token = sealed.refresh_token(self._vault) or sealed.access_token(self._vault)
            return token is not None and await oauth.revoke(connectable.oauth, self._http, token=token)
        except (VaultError, ProviderError) as error:
            _log.warning("connection.not_revoked", connection_id=sealed.connection_id, error=error)
            return False


def _all_of(transaction: Transaction, *, user_id: str) -> list[Connection]:
    """Everything that a person has connected."""
    return [
        *connections.list_for_user(transaction, user_id=user_id),
        *platforms.list_for_user(transaction, user_id=user_id),
    ]


def _platforms_going(transaction: Transaction) -> list[Connection]:
    """Platforms that are being taken down."""
    return [
        platforms.get(transaction, user_id=user_id, connection_id=connection_id)
        for user_id, connection_id in connection_tokens.disconnecting(
            transaction, table=connection_tokens.PLATFORMS
        )
    ]


def _stays_at_provider(transaction: Transaction, *, user_id: str, connection_id: str) -> bool:
    return connections.is_shared(transaction, user_id=user_id, connection_id=connection_id)


def _unfinished(transaction: Transaction, *, user_id: str, connection_id: str) -> Unfinished:
    mine = next((each for each in _all_of(transaction, user_id=user_id) if each.id == connection_id), None)
    if mine is None:
        raise NotFound("connection")
    return Unfinished(
        waiting=holding.unfinished(transaction, connection_id=mine.id),
        unknown=deciding.unknown(transaction, user_id=user_id, connection_id=mine.id),
    )


def _left(transaction: Transaction, *, mailbox: Connection) -> Unfinished:
    return Unfinished(
        waiting=holding.held(transaction, connection_id=mailbox.id),
        unknown=deciding.unknown(transaction, user_id=mailbox.user_id, connection_id=mailbox.id),
    )


def _begin_disconnect(transaction: Transaction, *, mailbox: Connection, choice: Waiting) -> int:
    """Stop claims, and do with the sends what was chosen; returns how many were cancelled. Raises
    :class:`NotFound`.
    """
    connections.begin_disconnect(transaction, user_id=mailbox.user_id, connection_id=mailbox.id)
    return _hold(transaction, mailbox=mailbox, choice=choice)


def _hold(transaction: Transaction, *, mailbox: Connection, choice: Waiting) -> int:
    """Let what has not begun wait, or take it back, with what a worker only prepares; returns how many were cancelled.
    Does nothing once the owner has connected the account again.
    """
    if not _is_going(transaction, mailbox=mailbox):
        return 0
    at = now(transaction)
    why = disconnected(mailbox.email)
    holding.hold(
        transaction,
        connection_id=mailbox.id,
        reason=why.code,
        explanation=why.message,
        at=at,
    )
    if choice is Waiting.KEEP:
        return 0
    prepared = 0
    for send_id in holding.prepared(transaction, connection_id=mailbox.id):
        try:
            sends.cancel(transaction, user_id=mailbox.user_id, send_id=send_id, at=at)
        except Conflict:  # an earlier attempt may be out
            continue
        prepared += 1
    waiting = deciding.cancel_all(transaction, user_id=mailbox.user_id, connection_id=mailbox.id, at=at)
    return prepared + len(waiting)


def _is_going(transaction: Transaction, *, mailbox: Connection) -> bool:
    mine = connections.list_for_user(transaction, user_id=mailbox.user_id)
    return any(each.id == mailbox.id and each.status is ConnectionStatus.DISCONNECTING for each in mine)


def _tokens_to_revoke(transaction: Transaction, *, mailbox: Connection) -> SealedTokens | None:
    """What to revoke with; none when it is gone already, connected again, or somebody else here still uses the
    account: a revocation takes its whole grant.
    """
    for table in connection_tokens.TABLES:
        sealed = connection_tokens.sealed_tokens(transaction, connection_id=mailbox.id, table=table)
        if sealed is not None and sealed.status is ConnectionStatus.DISCONNECTING:
            shared = connections.is_shared(transaction, user_id=mailbox.user_id, connection_id=mailbox.id)
            return None if shared else sealed
    return None
