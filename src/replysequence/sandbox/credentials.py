"""What an authorization server remembers: clients, consents, codes, grants, tokens (RFC 6749 names)."""

import base64
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.clock import Clock


@dataclass(kw_only=True)
class Client:
    """One registered OAuth client. `redirect_uris` are compared byte for byte."""

    vendor: Vendor
    client_id: str
    secret: str
    project: str
    """What a user's consent belongs to: the Google Cloud project number; at Microsoft the application."""
    redirect_uris: set[str] = field(default_factory=set)
    testing: bool = False
    """Google's publishing status "Testing": refresh tokens live for seven days."""
    deleted: bool = False
    scopes: tuple[str, ...] = ()
    """Zoom: what the app's settings ask every user for."""


@dataclass(frozen=True, kw_only=True)
class PendingConsent:
    """A valid authorization request that waits for the person. `parameters` are as they came."""

    id: str
    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    parameters: dict[str, str]
    account: Account | None = None
    """Chosen so far."""
    warned: bool = False
    """Whether the person has clicked through the "not verified" page."""


@dataclass(kw_only=True)
class AuthorizationCode:
    """A single-use code, bound to client, redirect URI and PKCE challenge."""

    value: str
    client: Client
    account: Account
    redirect_uri: str
    scopes: tuple[str, ...]
    offline: bool
    """Whether its exchange yields a refresh token."""
    issued_at: datetime
    nonce: str | None = None
    challenge: str | None = None
    challenge_method: str = "plain"
    segment: str = ""
    """Microsoft: the tenant segment of the authorization request."""
    used: bool = False


class Verdict(Enum):
    """How a PKCE verifier compares with the challenge (RFC 7636 §4.6)."""

    MATCHES = auto()
    MISSING = auto()
    WRONG = auto()


def check_verifier(code: AuthorizationCode, verifier: str | None) -> Verdict:
    """Compare `verifier` with the challenge that `code` is bound to; without challenge anything matches."""
    if code.challenge is None:
        return Verdict.MATCHES
    if not verifier:
        return Verdict.MISSING
    shown = verifier
    if code.challenge_method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        shown = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return (
        Verdict.MATCHES if secrets.compare_digest(shown.encode(), code.challenge.encode()) else Verdict.WRONG
    )


@dataclass(kw_only=True)
class Grant:
    """One person's consent to one project. Everything issued under it dies with it."""

    account: Account
    project: str
    scopes: set[str]
    given_at: datetime
    revoked: bool = False


@dataclass(kw_only=True)
class AccessToken:
    """A bearer token."""

    value: str
    client: Client
    account: Account
    grant: Grant
    scopes: tuple[str, ...]
    expires_at: datetime
    revoked: bool = False


@dataclass(kw_only=True)
class RefreshToken:
    """A refresh token. `dead_because` names why it no longer works; an empty string means that it does."""

    value: str
    client: Client
    account: Account
    grant: Grant
    scopes: tuple[str, ...]
    issued_at: datetime
    used_at: datetime
    expires_at: datetime | None = None
    segment: str = ""
    dead_because: str = ""


class Credentials:
    """Every client, code, grant and token of the sandbox."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.clients: dict[str, Client] = {}
        self.pending: dict[str, PendingConsent] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.grants: dict[tuple[Vendor, str, str], Grant] = {}
        self.access_tokens: dict[str, AccessToken] = {}
        self.refresh_tokens: dict[str, RefreshToken] = {}

    def register(self, client: Client) -> Client:
        """Add `client`, or replace the one with its id."""
        self.clients[client.client_id] = client
        return client

    def client(self, vendor: Vendor, client_id: str) -> Client | None:
        """The live client of `vendor` with this id, deleted ones included, or None."""
        found = self.clients.get(client_id)
        return found if found and found.vendor is vendor else None

    def hold(
        self, client: Client, *, redirect_uri: str, scopes: Iterable[str], parameters: dict[str, str]
    ) -> PendingConsent:
        """Remember a valid authorization request until the person decides."""
        pending = PendingConsent(
            id=secrets.token_urlsafe(16),
            client=client,
            redirect_uri=redirect_uri,
            scopes=tuple(scopes),
            parameters=dict(parameters),
        )
        self.pending[pending.id] = pending
        return pending

    def choose_account(self, pending: PendingConsent, account: Account) -> PendingConsent:
        """The same request with `account` chosen."""
        return self._keep(replace(pending, account=account))

    def mark_warned(self, pending: PendingConsent) -> PendingConsent:
        """The same request, the "not verified" page passed."""
        return self._keep(replace(pending, warned=True))

    def _keep(self, pending: PendingConsent) -> PendingConsent:
        self.pending[pending.id] = pending
        return pending

    def issue_code(self, code: AuthorizationCode) -> AuthorizationCode:
        """Remember `code` for its exchange."""
        self.codes[code.value] = code
        return code

    def grant(self, account: Account, project: str) -> Grant | None:
        """The live consent of `account` to `project`, or None."""
        found = self.grants.get((account.vendor, account.email, project))
        return None if found is None or found.revoked else found

    def give_consent(self, account: Account, project: str, scopes: Iterable[str]) -> Grant:
        """Record that `account` consents to `scopes`, beside what it granted before. Returns the grant."""
        existing = self.grant(account, project)
        if existing:
            existing.scopes.update(scopes)
            return existing
        made = Grant(account=account, project=project, scopes=set(scopes), given_at=self._clock.now())
        self.grants[account.vendor, account.email, project] = made
        return made

    def issue_access_token(
        self, grant: Grant, client: Client, *, value: str, scopes: Iterable[str], lifetime_seconds: int
    ) -> AccessToken:
        """Make `value` a bearer token for `scopes`, for so many seconds of the sandbox's clock."""
        token = AccessToken(
            value=value,
            client=client,
            account=grant.account,
            grant=grant,
            scopes=tuple(scopes),
            expires_at=self._clock.now() + timedelta(seconds=lifetime_seconds),
        )
        self.access_tokens[value] = token
        return token

    def issue_refresh_token(
        self,
        grant: Grant,
        client: Client,
        *,
        value: str,
        scopes: Iterable[str],
        lifetime_seconds: int | None = None,
        segment: str = "",
    ) -> RefreshToken:
        """Make `value` a refresh token; without a lifetime it has no fixed end."""
        now = self._clock.now()
        token = RefreshToken(
            value=value,
            client=client,
            account=grant.account,
            grant=grant,
            scopes=tuple(scopes),
            issued_at=now,
            used_at=now,
            expires_at=None if lifetime_seconds is None else now + timedelta(seconds=lifetime_seconds),
            segment=segment,
        )
        self.refresh_tokens[value] = token
        return token

    def usable_access_token(self, value: str) -> AccessToken | None:
        """The token, if it is known, in time, and its grant stands; else None."""
        token = self.access_tokens.get(value)
        if token is None or token.revoked or token.grant.revoked or token.expires_at <= self._clock.now():
            return None
        return token

    def live_refresh_tokens(self, account: Account, client: Client | None = None) -> list[RefreshToken]:
        """The refresh tokens of `account` that still work, oldest first; of one client, or of all."""
        return [
            token
            for token in list(self.refresh_tokens.values())
            if token.account is account
            and (client is None or token.client is client)
            and not token.dead_because
            and not token.grant.revoked
        ]

    def revoke(self, grant: Grant) -> None:
        """End `grant` and with it every token issued under it."""
        grant.revoked = True

    def revoke_all(self, account: Account) -> None:
        """End every consent of `account`: the person removed the app on the vendor's own page."""
        for grant in list(self.grants.values()):
            if grant.account is account:
                self.revoke(grant)

    def expire_access_tokens(self, account: Account) -> None:
        """Make every access token of `account` useless at once; refresh tokens stay."""
        for token in list(self.access_tokens.values()):
            if token.account is account:
                token.revoked = True
