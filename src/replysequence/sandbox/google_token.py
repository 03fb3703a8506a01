"""Google's token endpoint: code exchange and refresh, with the errors in the order Google checks them.

Bodies and statuses: public captures and Google's own pages as of 2026-11-22. Errors here are flat
(`error`, `error_description`), unlike those of the APIs.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from replysequence.sandbox import google_scopes as scopes
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.carried import basic, form_fields
from replysequence.sandbox.credentials import (
    AccessToken,
    AuthorizationCode,
    Client,
    Grant,
    RefreshToken,
    Verdict,
    check_verifier,
)
from replysequence.sandbox.google_authorize import issuer
from replysequence.sandbox.signing import half_hash
from replysequence.sandbox.world import World

MAX_REFRESH_TOKENS = 100
"""Live refresh tokens of one account for one client; one more silently kills the oldest."""
UNUSED_FOR = timedelta(days=183)
TESTING_SECONDS = 604799

_REVOKED = "Token has been expired or revoked."


@dataclass(frozen=True)
class TokenFailure:
    """What the token endpoint answers instead of tokens."""

    status: int
    error: str
    description: str
    subtype: str = ""

    def response(self) -> Response:
        """The flat JSON body."""
        body = {"error": self.error, "error_description": self.description}
        if self.subtype:
            body["error_subtype"] = self.subtype
        return JSONResponse(body, self.status)


class TokenRefusedError(Exception):
    """The token endpoint says no."""

    def __init__(self, failure: TokenFailure) -> None:
        super().__init__(failure.error)
        self.failure = failure


WRONG_SECRET = TokenFailure(401, "invalid_client", "The provided client secret is invalid.")

REFRESH_FAILURES: dict[str, TokenFailure] = {
    "revoked": TokenFailure(400, "invalid_grant", _REVOKED),
    "admin_policy_enforced": TokenFailure(
        400, "admin_policy_enforced", "Access to a requested service is restricted by the administrator."
    ),
    "invalid_rapt": TokenFailure(
        400, "invalid_grant", "reauth related error (invalid_rapt)", subtype="invalid_rapt"
    ),
    "account_deleted": TokenFailure(400, "invalid_grant", "Account has been deleted"),
    "account_restricted": TokenFailure(400, "access_denied", "Account restricted"),
    "deleted_client": TokenFailure(401, "deleted_client", "The OAuth client was deleted."),
    "unauthorized_client": TokenFailure(
        401, "unauthorized_client", "Unauthorized client or scope in request."
    ),
}
"""The ways in which a refresh token can die, by the name that `Switches.at_token` takes."""


class GoogleToken:
    """`POST /token`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def endpoint(self, request: Request) -> Response:
        """Exchange a code, or refresh."""
        form = await form_fields(request)
        try:
            client = self._authenticate(request, form)
            match form.get("grant_type"):
                case "authorization_code":
                    body = self._exchange(client, form, issuer=issuer(request))
                case "refresh_token":
                    body = self._refresh(client, form, issuer=issuer(request))
                case None:
                    raise _refused(400, "invalid_request", "Required parameter is missing: grant_type")
                case other:
                    raise _refused(400, "unsupported_grant_type", f"Invalid grant_type: {other}")
        except TokenRefusedError as refused:
            return refused.failure.response()
        return JSONResponse(body, headers={"Cache-Control": "no-cache, no-store, max-age=0, must-revalidate"})

    async def account_of(self, request: Request) -> str | None:
        """Whose code or refresh token the request carries."""
        form = await form_fields(request)
        token = self._world.credentials.refresh_tokens.get(form.get("refresh_token", ""))
        code = self._world.credentials.codes.get(form.get("code", ""))
        found = token or code
        return found.account.email if found else None

    def _authenticate(self, request: Request, form: dict[str, str]) -> Client:
        client_id, secret = basic(request) or (form.get("client_id"), form.get("client_secret"))
        if not client_id:
            raise _refused(400, "invalid_request", "Could not determine client ID from request.")
        client = self._world.credentials.client(Vendor.GOOGLE, client_id)
        if client is None:
            raise _refused(401, "invalid_client", "The OAuth client was not found.")
        if client.deleted:
            raise _refused(401, "deleted_client", "The OAuth client was deleted.")
        if not secret:
            raise _refused(400, "invalid_request", "client_secret is missing.")
        if not secrets.compare_digest(secret.encode(), client.secret.encode()):
            raise TokenRefusedError(WRONG_SECRET)
        return client

    def _exchange(self, client: Client, form: dict[str, str], *, issuer: str) -> dict[str, object]:
        code = self._usable_code(client, form)
        code.used = True
        grant = self._world.credentials.give_consent(code.account, client.project, code.scopes)
        access = self._issue_access_token(grant, client, code.scopes)
        body: dict[str, object] = {"access_token": access.value, "expires_in": self._lifetime}
        if code.offline:
            lifetime = (
                TESTING_SECONDS if client.testing and not all(map(scopes.is_sign_in, code.scopes)) else None
            )
            body["refresh_token"] = self._issue_refresh_token(grant, client, code.scopes, lifetime).value
            if lifetime is not None:
                body["refresh_token_expires_in"] = lifetime
        body |= {"scope": " ".join(code.scopes), "token_type": "Bearer"}
        if "openid" in code.scopes:
            body["id_token"] = self._id_token(access, issuer=issuer, nonce=code.nonce)
        return body

    def _usable_code(self, client: Client, form: dict[str, str]) -> AuthorizationCode:
        value, redirect_uri = form.get("code"), form.get("redirect_uri")
        if not value:
            raise _refused(400, "invalid_request", "Missing required parameter: code")
        code = self._world.credentials.codes.get(value)
        if code is None:
            raise _refused(400, "invalid_grant", "Malformed auth code.")
        lifetime = timedelta(seconds=self._world.settings[Vendor.GOOGLE].code_seconds)
        if code.used or code.client is not client or self._world.clock.now() >= code.issued_at + lifetime:
            raise _refused(400, "invalid_grant", "Bad Request")
        if not redirect_uri:
            raise _refused(400, "invalid_request", "Missing parameter: redirect_uri")
        if redirect_uri != code.redirect_uri:
            raise _refused(400, "redirect_uri_mismatch", "Bad Request")
        match check_verifier(code, form.get("code_verifier")):
            case Verdict.MISSING:
                raise _refused(400, "invalid_grant", "Missing code verifier.")
            case Verdict.WRONG:
                raise _refused(400, "invalid_grant", "Invalid code verifier.")
            case Verdict.MATCHES:
                return code

    def _refresh(self, client: Client, form: dict[str, str], *, issuer: str) -> dict[str, object]:
        value = form.get("refresh_token")
        if not value:
            raise _refused(400, "invalid_request", "Missing required parameter: refresh_token")
        token = self._world.credentials.refresh_tokens.get(value)
        if token is None:
            raise _refused(400, "invalid_grant", "Bad Request")
        if token.client is not client:
            raise TokenRefusedError(REFRESH_FAILURES["unauthorized_client"])
        self._check_alive(token)
        wanted = scopes.canonical(form["scope"].split()) if form.get("scope") else token.scopes
        if not set(wanted) <= set(token.scopes):
            raise _refused(400, "invalid_scope", "Some requested scopes were invalid.")
        token.used_at = self._world.clock.now()
        access = self._issue_access_token(token.grant, client, wanted)
        body: dict[str, object] = {
            "access_token": access.value,
            "expires_in": self._lifetime,
            "scope": " ".join(wanted),
            "token_type": "Bearer",
        }
        if "openid" in wanted:
            body["id_token"] = self._id_token(access, issuer=issuer, nonce=None)
        return body

    def _check_alive(self, token: RefreshToken) -> None:
        failure = REFRESH_FAILURES.get(token.account.switches.at_token)
        if failure is not None:
            raise TokenRefusedError(failure)
        now = self._world.clock.now()
        ended = token.expires_at is not None and token.expires_at <= now
        if token.dead_because or token.grant.revoked or ended or token.used_at + UNUSED_FOR <= now:
            raise _refused(400, "invalid_grant", _REVOKED)

    @property
    def _lifetime(self) -> int:
        return self._world.settings[Vendor.GOOGLE].access_token_seconds

    def _issue_access_token(self, grant: Grant, client: Client, granted: Iterable[str]) -> AccessToken:
        return self._world.credentials.issue_access_token(
            grant,
            client,
            value=f"ya29.a0{secrets.token_urlsafe(96)}",
            scopes=granted,
            lifetime_seconds=self._lifetime,
        )

    def _issue_refresh_token(
        self, grant: Grant, client: Client, granted: Iterable[str], lifetime: int | None
    ) -> RefreshToken:
        live = self._world.credentials.live_refresh_tokens(grant.account, client)
        if len(live) >= MAX_REFRESH_TOKENS:
            live[0].dead_because = "more than 100 live refresh tokens"
        return self._world.credentials.issue_refresh_token(
            grant,
            client,
            value=f"1//0{secrets.token_urlsafe(72)}",
            scopes=granted,
            lifetime_seconds=lifetime,
        )

    def _id_token(self, access: AccessToken, *, issuer: str, nonce: str | None) -> str:
        now = self._world.clock.real_timestamp()
        claims: dict[str, object] = {
            "iss": issuer,
            "azp": access.client.client_id,
            "aud": access.client.client_id,
            **claims_about(access.account, access.scopes),
            "at_hash": half_hash(access.value),
            "iat": now,
            "exp": now + 3600,
        }
        if nonce is not None:
            claims["nonce"] = nonce
        return self._world.keys[Vendor.GOOGLE].sign(claims)


def _refused(status: int, error: str, description: str) -> TokenRefusedError:
    return TokenRefusedError(TokenFailure(status, error, description))


def claims_about(account: Account, granted: Iterable[str]) -> dict[str, object]:
    """What an id_token and the userinfo answer say about `account` under these scopes."""
    held = set(granted)
    claims: dict[str, object] = {"sub": account.subject}
    if account.tenant:
        claims["hd"] = account.tenant
    if scopes.USERINFO_EMAIL in held:
        claims |= {"email": account.email, "email_verified": True}
    if scopes.USERINFO_PROFILE in held:
        claims |= {
            "name": account.name,
            "given_name": account.given_name,
            "family_name": account.family_name,
        }
    return claims


def change_password(world: World, account: Account) -> None:
    """The person changed the password: refresh tokens with a Gmail scope die, the others live on."""
    for token in world.credentials.live_refresh_tokens(account):
        if any(map(scopes.is_gmail, token.scopes)):
            token.dead_because = "password changed"
