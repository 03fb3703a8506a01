"""Connecting accounts by OAuth, reconnecting them, and which one is the default."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from replysequence import logs
from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import ConnectFailed, NotFound, ProviderError, TooManyRequests
from replysequence.domain.secret import Secret
from replysequence.domain.send import GIVE_UP_AFTER
from replysequence.providers import oauth
from replysequence.providers.base import (
    CallbackRefusal,
    Category,
    Connectable,
    ConsentProblem,
    Identity,
    Mailbox,
    OAuthSpec,
    Tokens,
)
from replysequence.providers.http import HttpClient
from replysequence.providers.looking import Searchable
from replysequence.providers.registry import Registry
from replysequence.services.cards import ProviderCard, card_of, read_standing
from replysequence.services.sending import SENDS_CHANNEL
from replysequence.services.signing_in import hash_of
from replysequence.services.tokens import new_tokens
from replysequence.storage import (
    connection_tokens,
    connections,
    holding,
    oauth_attempts,
    platforms,
    reports,
    throttles,
)
from replysequence.storage.connections import Account
from replysequence.storage.database import Database, Transaction, notify, now
from replysequence.storage.oauth_attempts import OAuthAttempt
from replysequence.storage.vault import Vault

_log = logs.logger("services.connecting")

PLATFORMS_CHANNEL = "platforms"
"""Wakes who works with platforms: one was connected."""
_STARTS = (20, 180.0)
"""Started attempts of a person: bucket size, and seconds until one more is allowed."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A finished flow. ``wanted_email`` is set when another account was chosen than the one to be
    reconnected.

    ``released`` sends that waited leave now; ``asking`` ones are older than two days and wait for their owner's word.
    ``may_look`` says whether we were let into the Sent folder; none when that was not asked.
    """

    connection: Connection
    reconnected: bool
    released: int
    asking: int
    wanted_email: str | None
    may_look: bool | None = None


class Connecting:
    """The verbs of Settings → Integrations, without disconnecting."""

    def __init__(
        self, *, database: Database, registry: Registry, http: HttpClient, vault: Vault, public_url: str
    ) -> None:
        self._database = database
        self._registry = registry
        self._http = http
        self._vault = vault
        self._public_url = public_url

    async def integrations(self, user_id: str) -> list[tuple[Category, list[ProviderCard]]]:
        """Every category in display order, also an empty one, with its providers and this person's
        connections.
        """
        found = await self._database.read(read_standing, user_id=user_id, providers=self._registry.senders())
        return [
            (
                category,
                [card_of(each, found, redirect_uri=self.redirect_uri(each.name)) for each in providers],
            )
            for category, providers in self._registry.by_category()
        ]

    def redirect_uri(self, provider: str) -> str:
        """The redirect URI to register at ``provider``."""
        return f"{self._public_url}/api/auth/{provider}/callback"

    async def start(
        self,
        user_id: str,
        *,
        provider: str,
        session_hash: str,
        connection_id: str | None = None,
        look_up: bool = False,
    ) -> str:
        """Begin a flow, bound to this person and browser session; returns the URL to send the browser to.

        With ``connection_id`` that account is to be connected again; with ``look_up`` it is also asked to let us look
        in its Sent folder, as is an account that had let us before. Raises :class:`NotFound`, ``Misconfigured``
        (nothing set up) and :class:`TooManyRequests`.
        """
        connectable = self._registry.connectable(provider)
        if look_up and (connection_id is None or not isinstance(connectable, Searchable)):
            raise NotFound("connection")
        spec = connectable.oauth
        state, nonce = secrets.token_urlsafe(32), Secret(secrets.token_urlsafe(32))
        verifier, challenge = oauth.new_pkce()
        again = await self._database.transaction(
            _begin,
            vault=self._vault,
            state=state,
            user_id=user_id,
            session_hash=session_hash,
            provider=provider,
            connection_id=connection_id,
            look_up=look_up,
            verifier=verifier,
            nonce=nonce,
            redirect_uri=self.redirect_uri(provider),
        )
        if again is not None:
            spec = _spec(connectable, look_up=look_up or again.look_up)
        return oauth.authorization_url(
            spec,
            redirect_uri=self.redirect_uri(provider),
            state=state,
            nonce=nonce.reveal(),
            challenge=challenge,
            login_hint=again.email if again else None,
            reconnect=again is not None,
        )

    async def finish(
        self, user_id: str, *, session_hash: str, provider: str, parameters: Sequence[tuple[str, str]]
    ) -> Connected:
        """Finish a flow with the query of the redirect URI. Raises :class:`ConnectFailed` with what to do
        next.
        """
        connectable = self._registry.connectable(provider)
        callback = oauth.read_callback(connectable.oauth, parameters)
        if isinstance(callback.answer, CallbackRefusal):
            problem = connectable.oauth.turned_back(callback.answer)
            if problem.unasked:
                raise self._turned_back(connectable, problem, spec=connectable.oauth)
        attempt = await self._consume(
            user_id, session_hash=session_hash, provider=provider, state=callback.state
        )
        try:
            return await self._connected(user_id, connectable, attempt, answer=callback.answer)
        except ConnectFailed as failure:
            raise await self._as_it_stands(user_id, attempt, failure) from None

    async def _connected(
        self,
        user_id: str,
        connectable: Connectable,
        attempt: OAuthAttempt,
        *,
        answer: Secret | CallbackRefusal,
    ) -> Connected:
        spec = _spec(connectable, look_up=attempt.look_up)
        if isinstance(answer, CallbackRefusal):
            raise self._turned_back(connectable, spec.turned_back(answer), spec=spec)
        tokens = await self._exchange(connectable.name, spec, attempt, code=answer)
        identity = await self._identify(connectable, tokens)
        if not spec.required_scopes <= tokens.scopes:
            raise ConnectFailed(
                connectable.scope_missing(), code="scope_missing", details={"email": identity.email}
            )
        account = Account(
            provider=connectable.name,
            issuer=identity.issuer,
            subject=identity.subject,
            email=identity.email,
            display_name=identity.display_name,
        )
        if isinstance(connectable, Mailbox):
            connected = await self._database.transaction(
                _keep,
                vault=self._vault,
                user_id=user_id,
                account=account,
                tokens=tokens,
                wanted_id=attempt.connection_id,
                may_look=_may_look(connectable, tokens) if attempt.look_up else None,
            )
        else:
            connected = await self._database.transaction(
                _keep_platform,
                vault=self._vault,
                user_id=user_id,
                account=account,
                category=connectable.category,
                tokens=tokens,
                wanted_id=attempt.connection_id,
            )
        _log.info("connection.connected", connection_id=connected.connection.id, provider=connectable.name)
        return connected

    async def _as_it_stands(
        self, user_id: str, attempt: OAuthAttempt, failure: ConnectFailed
    ) -> ConnectFailed:
        """``failure``; where it was about looking only, in words that say that sending goes on."""
        if not attempt.look_up or attempt.connection_id is None:
            return failure
        mine = await self._database.read(connections.list_for_user, user_id=user_id)
        wanted = next((each for each in mine if each.id == attempt.connection_id), None)
        if wanted is None or wanted.status is not ConnectionStatus.ACTIVE:
            return failure
        return ConnectFailed(
            f"Nothing was changed: messages from {wanted.email} leave as before. ReplySequence does not look in your "
            "Sent folder.",
            code="look_up_refused",
            details={**failure.details, "reason": failure.code},
        )

    async def set_default(self, user_id: str, *, connection_id: str) -> None:
        """Send from this account unless a draft says otherwise. Raises :class:`NotFound`."""
        await self._database.transaction(
            connections.set_default, user_id=user_id, connection_id=connection_id
        )

    async def stop_looking(self, user_id: str, *, connection_id: str) -> Connection:
        """Look in this account's Sent folder no more. The permission itself ends at the provider, or with the
        connection. Raises :class:`NotFound`.
        """
        await self._database.transaction(
            connections.set_look_up, user_id=user_id, connection_id=connection_id, look_up=False
        )
        return await self._database.read(connections.get, user_id=user_id, connection_id=connection_id)

    async def _consume(self, user_id: str, *, session_hash: str, provider: str, state: str) -> OAuthAttempt:
        """Take the attempt out of the store: it is good once, in the browser and for the person that began it."""
        attempt, elsewhere = await self._database.transaction(
            _consume,
            vault=self._vault,
            user_id=user_id,
            session_hash=session_hash,
            provider=provider,
            state_hash=hash_of(state),
        )
        if elsewhere:
            raise ConnectFailed(
                "This sign-in was begun in another browser or by somebody else, so nothing was connected. "
                "Start it again in this browser.",
                code="other_browser",
            )
        if attempt is None or attempt.expired:
            raise ConnectFailed(
                "This sign-in was already used, or is older than ten minutes. Please connect again.",
                code="state_unknown",
            )
        return attempt

    def _turned_back(
        self, connectable: Connectable, problem: ConsentProblem, *, spec: OAuthSpec
    ) -> ConnectFailed:
        details = dict(problem.details)
        if problem.admin_consent:
            url = connectable.admin_consent_url(
                spec, redirect_uri=self.redirect_uri(connectable.name), state=secrets.token_urlsafe(16)
            )
            if url:
                details["admin_consent_url"] = url
        return ConnectFailed(problem.message, code=problem.code, details=details)

    async def _identify(self, connectable: Connectable, tokens: Tokens) -> Identity:
        try:
            return await connectable.identify(tokens)
        except ProviderError as error:
            _log.warning("connection.not_identified", provider=connectable.name, code=error.code)
            raise ConnectFailed(
                error.message, code="exchange_failed", details={"reason": error.code}
            ) from None

    async def _exchange(
        self, provider: str, spec: OAuthSpec, attempt: OAuthAttempt, *, code: Secret
    ) -> Tokens:
        at = await self._database.read(now)
        try:
            return await oauth.exchange_code(
                spec,
                self._http,
                code=code,
                verifier=attempt.code_verifier,
                redirect_uri=attempt.redirect_uri,
                nonce=attempt.nonce.reveal(),
                now=at,
            )
        except ProviderError as error:
            _log.warning("connection.exchange_failed", provider=provider, code=error.code)
            raise ConnectFailed(
                error.message, code="exchange_failed", details={"reason": error.code}
            ) from None


def _begin(
    transaction: Transaction,
    *,
    vault: Vault,
    state: str,
    user_id: str,
    session_hash: str,
    provider: str,
    connection_id: str | None,
    look_up: bool,
    verifier: Secret,
    nonce: Secret,
    redirect_uri: str,
) -> Connection | None:
    size, refill = _STARTS
    wait = throttles.take(transaction, key=f"connect:{user_id}", capacity=size, refill_seconds=refill)
    if wait > 0:
        raise TooManyRequests(
            "You have started to connect very often. Please wait a moment.", retry_after=wait
        )
    again = None
    if connection_id is not None:
        again = _mine(transaction, user_id=user_id, connection_id=connection_id)
        if again.provider != provider:
            raise NotFound("connection")
    oauth_attempts.begin(
        transaction,
        vault=vault,
        state_hash=hash_of(state),
        user_id=user_id,
        session_hash=session_hash,
        provider=provider,
        connection_id=connection_id,
        look_up=look_up or (again is not None and again.look_up),
        code_verifier=verifier,
        nonce=nonce,
        redirect_uri=redirect_uri,
    )
    return again


def _consume(
    transaction: Transaction,
    *,
    vault: Vault,
    user_id: str,
    session_hash: str,
    provider: str,
    state_hash: str,
) -> tuple[OAuthAttempt | None, bool]:
    attempt = oauth_attempts.consume(
        transaction,
        vault=vault,
        user_id=user_id,
        session_hash=session_hash,
        provider=provider,
        state_hash=state_hash,
    )
    elsewhere = attempt is None and oauth_attempts.belongs_elsewhere(transaction, state_hash=state_hash)
    return attempt, elsewhere


def _keep(
    transaction: Transaction,
    *,
    vault: Vault,
    user_id: str,
    account: Account,
    tokens: Tokens,
    wanted_id: str | None,
    may_look: bool | None,
) -> Connected:
    """Store a connection, or renew the one of the same account in place, and release what waited for it.

    Only the account that was to be looked into is: another one that was chosen there stays as it was.
    """
    at = now(transaction)
    mine = connections.list_for_user(transaction, user_id=user_id)
    _require_refresh_token(transaction, tokens, mine, account=account, table=connection_tokens.MAILBOXES)
    kept, known = connections.connect(
        transaction, vault=vault, user_id=user_id, account=account, tokens=new_tokens(tokens, at=at)
    )
    released = holding.release(
        transaction, connection_id=kept.id, via=kept.provider, give_up_at=at + GIVE_UP_AFTER, at=at
    )
    if may_look is not None and wanted_id == kept.id:
        connections.set_look_up(transaction, user_id=user_id, connection_id=kept.id, look_up=may_look)
    notify(transaction, SENDS_CHANNEL)
    return Connected(
        connection=kept,
        reconnected=known,
        released=released.moving,
        asking=released.asking,
        wanted_email=_other(mine, wanted_id=wanted_id, kept=kept),
        may_look=may_look,
    )


def _keep_platform(
    transaction: Transaction,
    *,
    vault: Vault,
    user_id: str,
    account: Account,
    category: str,
    tokens: Tokens,
    wanted_id: str | None,
) -> Connected:
    """The same for a platform: no send waits for it, and it is no default. Reports that waited are due."""
    mine = platforms.list_for_user(transaction, user_id=user_id)
    _require_refresh_token(transaction, tokens, mine, account=account, table=connection_tokens.PLATFORMS)
    kept, known = platforms.connect(
        transaction,
        vault=vault,
        user_id=user_id,
        account=account,
        category=category,
        tokens=new_tokens(tokens, at=now(transaction)),
    )
    reports.release(transaction, user_id=user_id, connection_id=kept.id, at=now(transaction))
    notify(transaction, PLATFORMS_CHANNEL)
    return Connected(
        connection=kept,
        reconnected=known,
        released=0,
        asking=0,
        wanted_email=_other(mine, wanted_id=wanted_id, kept=kept),
    )


def _mine(transaction: Transaction, *, user_id: str, connection_id: str) -> Connection:
    """A person's connection, whatever it is. Raises :class:`NotFound`."""
    try:
        return connections.get(transaction, user_id=user_id, connection_id=connection_id)
    except NotFound:
        return platforms.get(transaction, user_id=user_id, connection_id=connection_id)


def _other(mine: Sequence[Connection], *, wanted_id: str | None, kept: Connection) -> str | None:
    """The address of the account that was to be reconnected, when another one was chosen."""
    if wanted_id is None or wanted_id == kept.id:
        return None
    return next((each.email for each in mine if each.id == wanted_id), None)


def _spec(connectable: Connectable, *, look_up: bool) -> OAuthSpec:
    return connectable.looking_oauth if look_up and isinstance(connectable, Searchable) else connectable.oauth


def _may_look(connectable: Connectable, tokens: Tokens) -> bool:
    return isinstance(connectable, Searchable) and connectable.look_up.scope in tokens.scopes


def _require_refresh_token(
    transaction: Transaction,
    tokens: Tokens,
    mine: Sequence[Connection],
    *,
    account: Account,
    table: connection_tokens.Kept,
) -> None:
    """Raises :class:`ConnectFailed` when no refresh token came, and the account is not connected already with one that
    works as far as we know.
    """
    if tokens.refresh_token is not None:
        return
    wanted = (account.provider, account.issuer, account.subject)
    for each in mine:
        if each.status is ConnectionStatus.ACTIVE and (each.provider, each.issuer, each.subject) == wanted:
            sealed = connection_tokens.sealed_tokens(transaction, connection_id=each.id, table=table)
            if sealed and sealed.refresh_token_encrypted:
                return
    raise ConnectFailed(
        "The provider gave no permission to stay connected. Connect again and accept everything it asks for.",
        code="no_refresh_token",
    )
