"""The only door to a usable access token: opened from the vault, refreshed when due, by one caller at a time.

Single flight in a process is a shared future; across processes it is a lease on the connection's row.
Correctness rests on neither: every answer is stored by compare-and-swap on ``token_generation``, at once
and before it is used.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from replysequence import logs
from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.errors import (
    DatabaseUnavailable,
    ProviderError,
    ReconnectNeeded,
    ReplySequenceError,
    TryLater,
    VaultError,
)
from replysequence.domain.secret import Secret
from replysequence.providers import oauth
from replysequence.providers.base import Tokens as TokenAnswer
from replysequence.providers.http import HttpClient
from replysequence.providers.registry import Registry
from replysequence.services.sending import SENDS_CHANNEL
from replysequence.storage import alerts, connection_tokens, holding, refusals
from replysequence.storage.connection_tokens import SealedTokens
from replysequence.storage.connections import NewTokens
from replysequence.storage.database import Database, Transaction, notify, now
from replysequence.storage.vault import Vault

_log = logs.logger("services.tokens")

MARGIN = timedelta(seconds=240)
"""An access token is not used in its last four minutes: twice the longest exchange with a provider."""
LEASE = 60.0
"""Seconds; longer than a token request may take (20), and its one repetition."""
PATIENCE = 15.0
"""Seconds that a caller waits for another process's refresh."""
SECOND_LOOK = 2.0
"""Seconds between an ``invalid_grant`` and the one repetition."""
STORING = 15.0
"""Seconds that tokens are kept in hand while the database is away; less than what the lease has left by then."""
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Usable:
    """An access token that can be used now, and which generation of the connection's tokens it is of."""

    connection_id: str
    access_token: Secret
    generation: int


class Tokens:
    """Usable access tokens of mailboxes, for workers. ``owner`` is this process's incarnation."""

    table = connection_tokens.MAILBOXES

    def __init__(
        self, *, database: Database, registry: Registry, http: HttpClient, vault: Vault, owner: str
    ) -> None:
        self._database = database
        self._registry = registry
        self._http = http
        self._vault = vault
        self._owner = owner
        self._flights: dict[tuple[str, int], asyncio.Task[Usable]] = {}

    async def usable(
        self, connection_id: str, *, known: tuple[SealedTokens, datetime] | None = None
    ) -> Usable:
        """A token for this connection, refreshed if it is due; ``known`` are its tokens as the caller has just read
        them, and when.

        Raises :class:`ReconnectNeeded`, :class:`TryLater`, ``Misconfigured`` or :class:`VaultError`; after
        the first and the last the connection is marked and its sends wait.
        """
        if known is None:
            known = await self._database.read(_read, connection_id=connection_id, table=self.table)
        stored, at = known
        if _is_fresh(stored, at=at):
            return await self._opened(stored)
        return await self._refreshed(connection_id, generation=stored.generation)

    async def renewed(self, refused: Usable) -> Usable:
        """Another token after a provider refused this one, however long it should have lived."""
        return await self._refreshed(refused.connection_id, generation=refused.generation)

    async def give_up(self, refused: Usable, *, error: ReplySequenceError) -> None:
        """Mark the connection as needing its owner, unless its tokens have changed meanwhile."""
        await self._database.transaction(
            self._mark, connection_id=refused.connection_id, generation=refused.generation, error=error
        )

    async def _refreshed(self, connection_id: str, *, generation: int) -> Usable:
        key = (connection_id, generation)
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._refresh(connection_id, seen=generation))
            self._flights[key] = flight
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        return await asyncio.shield(flight)

    async def _refresh(self, connection_id: str, *, seen: int) -> Usable:
        """Take the lease, or wait for who has it; look again; refresh only what nobody else has refreshed."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            stored, leased = await self._database.transaction(
                _lease, connection_id=connection_id, seen=seen, owner=self._owner, table=self.table
            )
            if stored.generation != seen or stored.status is not ConnectionStatus.ACTIVE:
                return await self._opened(stored)
            if leased:
                break
            if asyncio.get_running_loop().time() > deadline:
                raise TryLater(
                    "This account is being renewed elsewhere. It will be tried again.",
                    code="token_busy",
                    delay=PATIENCE,
                    pauses_mailbox=True,  # and shows nothing about its provider
                )
            await asyncio.sleep(_POLL)
        try:
            usable = await self._ask(stored)
            await self._require_scopes(usable)
            return usable
        finally:
            await self._database.transaction(
                connection_tokens.release_refresh_lease,
                connection_id=connection_id,
                generation=seen,
                owner=self._owner,
                table=self.table,
            )

    async def _ask(self, stored: SealedTokens) -> Usable:
        try:
            return await self._ask_once(stored, scopes=stored.scopes)
        except ReconnectNeeded as error:
            _log.warning("token.refused", connection_id=stored.connection_id, code=error.code)
        # Another writer may just have replaced the token that was refused; and one refusal can be a passing
        # fault.
        await asyncio.sleep(SECOND_LOOK)
        current, _ = await self._database.read(_read, connection_id=stored.connection_id, table=self.table)
        if current.generation != stored.generation:
            return await self._opened(current)
        try:
            # For no more than sending takes: what was granted beside it may have been taken back.
            return await self._ask_once(current, scopes=frozenset())
        except ReconnectNeeded as error:
            refused = error
        title = self._registry.provider(stored.provider).title
        meaning = await self._database.transaction(self._refuse, stored=stored, title=title, error=refused)
        if meaning is not refused:
            _log.error("token.many_refused", provider=stored.provider, code=refused.code)
        raise meaning

    async def _ask_once(self, stored: SealedTokens, *, scopes: frozenset[str]) -> Usable:
        spec = self._registry.connectable(stored.provider).oauth_for(scopes)
        refresh_token = await self._unsealed(stored, kind="refresh")
        if refresh_token is None:
            raise ReconnectNeeded(
                "This account was connected without permission to stay connected. Connect it again.",
                code="no_refresh_token",
            )
        answer = await oauth.refresh(spec, self._http, refresh_token=refresh_token, issuer=stored.issuer)
        if not await self._kept(answer, seen=stored):
            # Somebody reconnected or disconnected while we asked: theirs counts.
            current, _ = await self._database.read(
                _read, connection_id=stored.connection_id, table=self.table
            )
            return await self._opened(current)
        usable = Usable(stored.connection_id, answer.access_token, stored.generation + 1)
        _log.info("token.refreshed", connection_id=stored.connection_id, generation=usable.generation)
        return usable

    async def _kept(self, answer: TokenAnswer, *, seen: SealedTokens) -> bool:
        """Store an answer; false when others have changed the tokens meanwhile. A database that is away is waited
        for: a refresh token that was replaced at the provider would be lost with its successor.
        """
        deadline = asyncio.get_running_loop().time() + STORING
        while True:
            try:
                return await self._database.transaction(
                    _store, vault=self._vault, seen=seen, owner=self._owner, answer=answer
                )
            except DatabaseUnavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(_POLL)

    async def _require_scopes(self, usable: Usable) -> None:
        """Scopes can shrink at any refresh (Google granular consent, checked 2026-11-22)."""
        current, _ = await self._database.read(_read, connection_id=usable.connection_id, table=self.table)
        connectable = self._registry.connectable(current.provider)
        if connectable.oauth.required_scopes <= current.scopes:
            return
        error = ReconnectNeeded(connectable.scope_missing(), code="scope_missing")
        await self.give_up(usable, error=error)
        raise error

    async def _opened(self, stored: SealedTokens) -> Usable:
        if stored.status is ConnectionStatus.DISCONNECTING:
            raise disconnected(stored.email)
        token = await self._unsealed(stored, kind="access")
        if stored.status is not ConnectionStatus.ACTIVE or token is None:
            raise ReconnectNeeded("This account has to be connected again.", code="reconnect_needed")
        return Usable(stored.connection_id, token, stored.generation)

    async def _unsealed(self, stored: SealedTokens, *, kind: Literal["access", "refresh"]) -> Secret | None:
        """One cell of the vault. A broken one takes its connection out of service, and no other."""
        try:
            return stored.access_token(self._vault) if kind == "access" else stored.refresh_token(self._vault)
        except VaultError as error:
            _log.error("vault.cell_broken", connection_id=stored.connection_id, token=kind)
            await self._database.transaction(
                self._mark, connection_id=stored.connection_id, generation=stored.generation, error=error
            )
            raise

    @staticmethod
    def _refuse(
        transaction: Transaction, *, stored: SealedTokens, title: str, error: ReconnectNeeded
    ) -> ProviderError:
        """What a second refusal to renew these tokens comes to, as the error to raise: their owner is to reconnect,
        unless so many are refused at once that it must be the provider's trouble.
        """
        at = now(transaction)
        asked = stored.refresh_token_encrypted is not None
        if not asked or not refusals.is_one_of_many(transaction, refused=stored, at=at):
            Tokens._mark(
                transaction, connection_id=stored.connection_id, generation=stored.generation, error=error
            )
            return error
        refusals.take_back(transaction, provider=stored.provider, at=at)
        notify(transaction, SENDS_CHANNEL)
        return TryLater(
            f"{title} refuses to renew many accounts at once, so nobody has to reconnect. It is tried again by itself.",
            code="refused_together",
        )

    @staticmethod
    def _mark(
        transaction: Transaction, *, connection_id: str, generation: int, error: ReplySequenceError
    ) -> None:
        """Take a connection out of service, let its sends wait, and note that its owner is to be told: all or
        nothing.
        """
        marked = connection_tokens.mark_needs_reconnect(
            transaction,
            connection_id=connection_id,
            generation=generation,
            reason=error.code,
            problem=error.message,
        )
        if marked:
            at = now(transaction)
            holding.hold(
                transaction,
                connection_id=connection_id,
                reason=error.code,
                explanation=error.message,
                at=at,
            )
            alerts.note(transaction, connection_id=connection_id, generation=generation, at=at)


class PlatformTokens(Tokens):
    """Usable access tokens of meeting platforms, calendars and CRMs."""

    table = connection_tokens.PLATFORMS

    @staticmethod
    def _refuse(
        transaction: Transaction, *, stored: SealedTokens, title: str, error: ReconnectNeeded
    ) -> ProviderError:
        del title
        PlatformTokens._mark(
            transaction, connection_id=stored.connection_id, generation=stored.generation, error=error
        )
        return error

    @staticmethod
    def _mark(
        transaction: Transaction, *, connection_id: str, generation: int, error: ReplySequenceError
    ) -> None:
        connection_tokens.mark_needs_reconnect(
            transaction,
            connection_id=connection_id,
            generation=generation,
            reason=error.code,
            problem=error.message,
            table=connection_tokens.PLATFORMS,
        )


def _is_fresh(stored: SealedTokens, *, at: datetime) -> bool:
    if stored.status is not ConnectionStatus.ACTIVE:
        return True  # there is nothing to refresh; opening it says why
    return stored.access_token_expires_at is not None and stored.access_token_expires_at - MARGIN > at


def disconnected(email: str) -> ReconnectNeeded:
    """Why a send from this address waits once its account is being disconnected."""
    return ReconnectNeeded(
        f"{email} was disconnected. Cancel this send, or send its draft from another account.",
        code="disconnected",
    )


def new_tokens(answer: TokenAnswer, *, at: datetime) -> NewTokens:
    """A provider's answer that came at ``at``, as it is kept."""
    return NewTokens(
        access_token=answer.access_token,
        access_token_expires_at=at + timedelta(seconds=answer.expires_in),
        refresh_token=answer.refresh_token,
        refresh_token_expires_at=(
            None
            if answer.refresh_token_expires_in is None
            else at + timedelta(seconds=answer.refresh_token_expires_in)
        ),
        scopes=answer.scopes,
        api_url=answer.api_url,
    )


def _read(
    transaction: Transaction, *, connection_id: str, table: connection_tokens.Kept
) -> tuple[SealedTokens, datetime]:
    stored = connection_tokens.sealed_tokens(transaction, connection_id=connection_id, table=table)
    if stored is None:
        raise ReconnectNeeded("This account is no longer connected.", code="disconnected")
    return stored, now(transaction)


def _lease(
    transaction: Transaction, *, connection_id: str, seen: int, owner: str, table: connection_tokens.Kept
) -> tuple[SealedTokens, bool]:
    leased = connection_tokens.take_refresh_lease(
        transaction, connection_id=connection_id, generation=seen, owner=owner, seconds=LEASE, table=table
    )
    return _read(transaction, connection_id=connection_id, table=table)[0], leased


def _store(
    transaction: Transaction, *, vault: Vault, seen: SealedTokens, owner: str, answer: TokenAnswer
) -> bool:
    tokens = new_tokens(answer, at=now(transaction))
    return connection_tokens.store_tokens(transaction, vault=vault, seen=seen, owner=owner, tokens=tokens)
