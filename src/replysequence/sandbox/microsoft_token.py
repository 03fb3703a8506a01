"""The token endpoint of the Microsoft stand-in: codes and refresh tokens in, tokens out.

Source: Microsoft identity platform, "OAuth 2.0 authorization code flow", "Refresh tokens" and
"ID token claims", checked 2026-11-22.
"""

import base64
import random
import secrets
import uuid
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox import microsoft_errors as errors
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.credentials import (
    AuthorizationCode,
    Client,
    Grant,
    RefreshToken,
    Verdict,
    check_verifier,
)
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.microsoft_directory import (
    OFFLINE,
    SIGN_IN,
    Directory,
    UnknownScope,
    pairwise_subject,
    read_scopes,
    read_short_names,
    write_scopes,
)
from replysequence.sandbox.microsoft_errors import Refusal, TokenRefused
from replysequence.sandbox.signing import SigningKey
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

INACTIVE_SECONDS = 90 * 24 * 3600
"""A refresh token dies when it is not used for so long."""
PERSONAL_TOKEN_SECONDS = 3600

_REFRESH_REFUSALS = {
    "consent_withdrawn": errors.NOT_CONSENTED,
    "bad_token": errors.BAD_TOKEN,
    "unused_90_days": errors.UNUSED_TOO_LONG,
    "revoked": errors.REVOKED,
    "mfa": errors.NEEDS_MFA,
}
_ANY_REFUSALS = {
    "secret_expired": errors.EXPIRED_SECRET,
    "unavailable": errors.UNAVAILABLE,
}
TOKEN_FAILURES = {
    "consent_withdrawn": "refresh: nobody consents any more (AADSTS65001, consent_required)",
    "bad_token": "refresh: the grant is not valid (AADSTS70000, bad_token)",
    "unused_90_days": "refresh: the token was not used for 90 days (AADSTS700082)",
    "revoked": "refresh: sessions were revoked (AADSTS50173)",
    "mfa": "refresh: a second factor is asked for (AADSTS50076, interaction_required)",
    "refused_at_common": "refresh: a personal account is refused under /common (AADSTS70000)",
    "one_time_refresh_tokens": "refresh: each refresh token works once only, unlike at Microsoft",
    "secret_expired": "the app's client secret has expired (AADSTS7000222, HTTP 401)",
    "unavailable": "the service is unavailable for a moment (AADSTS90033, HTTP 503)",
}
"""What `Switches.at_token` may name."""


class TokenEndpoint:
    """Exchanges codes and refresh tokens. `keys` sign id_tokens, by whether the account is personal."""

    def __init__(self, world: World, directory: Directory, keys: Mapping[bool, SigningKey]) -> None:
        self._world = world
        self._directory = directory
        self._keys = keys

    def routes(self, site: Site) -> list[BaseRoute]:
        """The token endpoint; it takes GET only to say that it does not."""
        path = "/{segment}/oauth2/v2.0/token"
        return [site.route(path, self.token, methods=["GET", "POST"], endpoint=Endpoint.TOKEN)]

    async def token(self, request: Request) -> Response:
        """`POST /{segment}/oauth2/v2.0/token`."""
        origin = origin_of(request)
        try:
            body = self._token(request, await _fields(request), origin)
        except TokenRefused as refused:
            body = errors.error_body(refused, now=self._world.clock.now(), origin=origin)
            return answer(body, status=refused.refusal.status)
        return answer(body)

    async def account_of(self, request: Request) -> str | None:
        """The account whose code or refresh token the request carries."""
        fields = await _fields(request)
        credentials = self._world.credentials
        found = credentials.codes.get(fields.get("code", "")) or credentials.refresh_tokens.get(
            fields.get("refresh_token", "")
        )
        return found.account.email if found else None

    def _token(self, request: Request, fields: dict[str, str], origin: str) -> dict[str, object]:
        if request.method != "POST":
            raise TokenRefused(errors.WRONG_VERB)
        segment = request.path_params["segment"]
        if not self._directory.knows(segment):
            raise TokenRefused(errors.UNKNOWN_TENANT, segment=segment)
        client = self._authenticate(fields, segment)
        match fields.get("grant_type"):
            case "authorization_code":
                return self._exchange(client, fields, segment, origin)
            case "refresh_token":
                return self._refresh(client, fields, segment, origin)
            case None:
                raise TokenRefused(errors.MISSING_FIELD, name="grant_type")
            case other:
                raise TokenRefused(errors.WRONG_GRANT_TYPE, grant_type=other)

    def _authenticate(self, fields: dict[str, str], segment: str) -> Client:
        client_id = _required(fields, "client_id")
        client = self._world.credentials.client(Vendor.MICROSOFT, client_id)
        if client is None or client.deleted:
            raise TokenRefused(errors.UNKNOWN_CLIENT, client_id=client_id, segment=segment)
        if not fields.get("client_secret"):
            raise TokenRefused(errors.NO_SECRET)
        if not secrets.compare_digest(fields["client_secret"].encode(), client.secret.encode()):
            raise TokenRefused(errors.WRONG_SECRET, client_id=client_id)
        return client

    def _exchange(
        self, client: Client, fields: dict[str, str], segment: str, origin: str
    ) -> dict[str, object]:
        code = self._world.credentials.codes.get(_required(fields, "code"))
        redirect_uri = _required(fields, "redirect_uri")
        if code is None:
            raise TokenRefused(errors.CODE_UNKNOWN)
        self._refuse_switched(code.account, _ANY_REFUSALS, client)
        refusal = self._refuse_code(code, client, redirect_uri, segment, fields.get("code_verifier"))
        if refusal is not None:
            raise TokenRefused(refusal)
        asked = _asked(fields) or code.scopes
        if not set(asked) <= set(code.scopes):
            raise TokenRefused(errors.NOT_CONSENTED, client_id=client.client_id)
        grant = self._world.credentials.grant(code.account, client.project)
        if grant is None:
            raise TokenRefused(errors.NOT_CONSENTED, client_id=client.client_id)
        code.used = True
        short = read_short_names(fields.get("scope", ""))
        return self._answer(client, grant, asked, segment, origin, short=short, nonce=code.nonce)

    def _refuse_code(
        self, code: AuthorizationCode, client: Client, redirect_uri: str, segment: str, verifier: str | None
    ) -> Refusal | None:
        lifetime = timedelta(seconds=self._world.settings[Vendor.MICROSOFT].code_seconds)
        wrong = {
            errors.OTHER_CLIENT: code.client is not client,
            errors.CODE_SPENT: code.used,
            errors.CODE_EXPIRED: code.issued_at + lifetime <= self._world.clock.now(),
            errors.CODE_OF_ANOTHER_TENANT: code.segment != segment,
            errors.OTHER_REDIRECT: code.redirect_uri != redirect_uri,
            errors.WRONG_VERIFIER: check_verifier(code, verifier) is not Verdict.MATCHES,
        }
        return next((refusal for refusal, holds in wrong.items() if holds), None)

    def _refresh(
        self, client: Client, fields: dict[str, str], segment: str, origin: str
    ) -> dict[str, object]:
        token = self._world.credentials.refresh_tokens.get(_required(fields, "refresh_token"))
        if token is None:
            raise TokenRefused(errors.BAD_TOKEN)
        self._refuse_switched(token.account, _ANY_REFUSALS | _REFRESH_REFUSALS, client, token)
        refusal = self._refuse_refresh(token, client, segment)
        if refusal is not None:
            raise TokenRefused(refusal, client_id=client.client_id, issued=token.issued_at.isoformat())
        asked = _asked(fields) or token.scopes
        if not set(asked) <= token.grant.scopes:
            raise TokenRefused(_consent_missing(token.account), client_id=client.client_id)
        token.used_at = self._world.clock.now()
        if token.account.switches.at_token == "one_time_refresh_tokens":
            token.dead_because = "used"
        short = read_short_names(fields.get("scope", ""))
        return self._answer(client, token.grant, asked, segment, origin, short=short)

    def _refuse_refresh(self, token: RefreshToken, client: Client, segment: str) -> Refusal | None:
        account = token.account
        if token.client is not client:
            return errors.OTHER_CLIENT
        if token.dead_because or not self._directory.admits(segment, account):
            return errors.BAD_TOKEN
        if token.grant.revoked:
            return _consent_missing(account)
        if token.used_at + timedelta(seconds=INACTIVE_SECONDS) <= self._world.clock.now():
            return errors.UNUSED_TOO_LONG
        refused_here = account.switches.at_token == "refused_at_common" and segment == "common"
        return errors.BAD_TOKEN if refused_here and account.is_personal else None

    def _refuse_switched(
        self,
        account: Account,
        table: Mapping[str, Refusal],
        client: Client,
        token: RefreshToken | None = None,
    ) -> None:
        """Raise what the account's `at_token` switch names, where it applies."""
        refusal = table.get(account.switches.at_token)
        if refusal is not None:
            issued = token.issued_at.isoformat() if token else ""
            raise TokenRefused(refusal, client_id=client.client_id, issued=issued)

    def _answer(
        self,
        client: Client,
        grant: Grant,
        asked: tuple[str, ...],
        segment: str,
        origin: str,
        *,
        short: frozenset[str],
        nonce: str | None = None,
    ) -> dict[str, object]:
        """The token answer. A work account's Graph scopes are URLs, but for those asked for by `short` name."""
        account, credentials = grant.account, self._world.credentials
        lifetime = self._lifetime(account)
        scopes = _granted(grant, asked)
        access = credentials.issue_access_token(
            grant, client, value=_new_access_token(account), scopes=scopes, lifetime_seconds=lifetime
        )
        body: dict[str, object] = {
            "token_type": "Bearer",
            "scope": write_scopes(scopes, short=scopes if account.is_personal else short),
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": access.value,
        }
        if OFFLINE in asked:
            refresh = credentials.issue_refresh_token(
                grant, client, value=_new_refresh_token(account), scopes=asked, segment=segment
            )
            body["refresh_token"] = refresh.value
        if "openid" in asked:
            claims = self._claims(account, client, asked, origin)
            body["id_token"] = self._keys[account.is_personal].sign(
                claims | ({"nonce": nonce} if nonce else {})
            )
        return body

    def _lifetime(self, account: Account) -> int:
        """Seconds. Work accounts get 80 to 120 per cent of the set lifetime, at random, as at Microsoft."""
        if account.is_personal:
            return PERSONAL_TOKEN_SECONDS
        usual = self._world.settings[Vendor.MICROSOFT].access_token_seconds
        return random.randint(usual * 4 // 5, usual * 6 // 5)  # noqa: S311 - no secret

    def _claims(
        self, account: Account, client: Client, asked: tuple[str, ...], origin: str
    ) -> dict[str, object]:
        now = self._world.clock.real_timestamp()
        claims: dict[str, object] = {
            "ver": "2.0",
            "iss": issuer(origin, account.tenant),
            "sub": pairwise_subject(account, client),
            "aud": client.client_id,
            "exp": now + 3600,
            "iat": now,
            "nbf": now,
            "tid": account.tenant,
            "uti": secrets.token_urlsafe(16),
            "aio": secrets.token_urlsafe(40),
        }
        if "profile" in asked:
            claims |= {"name": account.name, "oid": account.subject, "preferred_username": account.email}
        if "email" in asked and account.has_mail_attribute:
            claims["email"] = account.email
        return claims


def answer(body: dict[str, object], *, status: int = 200) -> Response:
    """JSON with the headers that the token endpoint puts on every answer."""
    headers = {
        "Cache-Control": "no-store, no-cache",
        "Pragma": "no-cache",
        "x-ms-request-id": str(uuid.uuid4()),
        "x-ms-ests-server": "2.1.0 - SANDBOX ProdSlices",
    }
    return JSONResponse(body, status, headers=headers)


def issuer(origin: str, tenant: str) -> str:
    """The issuer of a tenant."""
    return f"{origin}/{tenant}/v2.0"


def origin_of(request: Request) -> str:
    """Scheme, host and port under which the caller reached the sandbox."""
    return f"{request.url.scheme}://{request.url.netloc}"


async def _fields(request: Request) -> dict[str, str]:
    """The form, and the client's credentials from HTTP Basic where they come so."""
    await request.body()  # keeps it for whoever asks after the form has been parsed
    form = await request.form()
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    return fields | _basic(request.headers.get("authorization", ""))


def _basic(authorization: str) -> dict[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return {}
    return {"client_id": unquote(client_id), "client_secret": unquote(secret)}


def _consent_missing(account: Account) -> Refusal:
    """How the service says that the person has not consented, or no longer does."""
    return errors.BAD_TOKEN if account.is_personal else errors.NOT_CONSENTED


def _required(fields: dict[str, str], name: str) -> str:
    if not fields.get(name):
        raise TokenRefused(errors.MISSING_FIELD, name=name)
    return fields[name]


def _asked(fields: dict[str, str]) -> tuple[str, ...]:
    try:
        return read_scopes(fields.get("scope", ""))
    except UnknownScope as unknown:
        raise TokenRefused(errors.UNKNOWN_SCOPE, scope=unknown.scope) from None


def _granted(grant: Grant, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes of an access token: what was asked and, at work accounts, all that was granted earlier."""
    if grant.account.is_personal:
        return asked
    return tuple(dict.fromkeys((*asked, *sorted(grant.scopes - SIGN_IN))))


def _new_access_token(account: Account) -> str:
    """Looks like a JWT for work accounts and like nothing for personal ones; opaque in both cases."""
    if account.is_personal:
        return "EwB4" + secrets.token_urlsafe(600)
    header, payload, signature = (secrets.token_urlsafe(length) for length in (60, 700, 256))
    return f"eyJ0eXAiOiJKV1QiLCJub25jZSI6{header}.{payload}.{signature}"


def _new_refresh_token(account: Account) -> str:
    if account.is_personal:
        return "M.C5xx_BAY.0.U.-" + secrets.token_urlsafe(300)
    return "1.AX" + secrets.token_urlsafe(900)
