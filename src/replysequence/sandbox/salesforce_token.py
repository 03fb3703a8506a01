"""Salesforce's token and revocation endpoints, and what it tells about a person.

No answer says how long a token lives: that is a policy of the org. What is called afterwards is `instance_url`.
Source: "OAuth 2.0 Web Server Flow", "OAuth 2.0 Refresh Token Flow", "Revoke OAuth Tokens", checked 2026-11-22.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox import salesforce_errors as errors
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.carried import bearer, form_fields
from replysequence.sandbox.credentials import (
    AccessToken,
    AuthorizationCode,
    Client,
    RefreshToken,
    Verdict,
    check_verifier,
)
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.google_authorize import issuer
from replysequence.sandbox.salesforce_errors import OAuthRefusedError
from replysequence.sandbox.salesforce_org import Org
from replysequence.sandbox.signing import half_hash
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

MAX_APPROVALS: Final = 5
"""Live refresh tokens of one person for one app; one more silently kills the oldest."""
_KEYS_CACHE: Final = {"Cache-Control": "public, max-age=86400"}


class SalesforceToken:
    """The endpoints of the login host but for its pages."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._access_of: dict[str, list[AccessToken]] = {}

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route."""
        return [
            site.route(path, self._refusing(do), methods=methods, endpoint=where)
            for path, do, methods, where in (
                ("/services/oauth2/token", self.token, ["POST"], Endpoint.TOKEN),
                ("/services/oauth2/revoke", self.revoke, ["POST"], Endpoint.REVOKE),
                ("/services/oauth2/userinfo", self.userinfo, ["GET", "POST"], Endpoint.USERINFO),
                ("/id/keys", self.keys, ["GET"], Endpoint.KEYS),
                ("/id/{org}/{user}", self.identity, ["GET"], Endpoint.USERINFO),
            )
        ]

    def _refusing(
        self, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except OAuthRefusedError as refused:
                return refused.failure.response()

        return guarded

    async def token(self, request: Request) -> Response:
        """Exchange a code, or refresh."""
        form = await form_fields(request)
        match form.get("grant_type"):
            case "authorization_code":
                return self._exchange(request, self._authenticate(form), form)
            case "refresh_token":
                return self._refresh(request, self._authenticate(form), form)
            case _:
                raise OAuthRefusedError(errors.WRONG_GRANT_TYPE)

    async def revoke(self, request: Request) -> Response:
        """200. Revoking a refresh token ends its access tokens too; revoking an access token ends only that."""
        form = await form_fields(request)
        if form.get("token_type_hint", "access_token") not in ("access_token", "refresh_token"):
            raise OAuthRefusedError(errors.NO_SUCH_KIND)
        value = form.get("token", "")
        access = self._world.credentials.usable_access_token(value)
        refresh = self._live_refresh_token(value)
        if refresh is not None:
            refresh.dead_because = "revoked"
            for token in self._access_of.get(value, []):
                token.revoked = True
        elif access is not None and access.account.vendor is Vendor.SALESFORCE:
            access.revoked = True
        else:
            raise OAuthRefusedError(errors.NO_TOKEN)
        return Response(status_code=200)

    async def userinfo(self, request: Request) -> Response:
        """OpenID Connect's claims about the person."""
        held = self._held(request)
        if held is None:
            return PlainTextResponse("Bad_OAuth_Token", 403)
        return JSONResponse(self._claims(held.account, issuer(request)))

    async def identity(self, request: Request) -> Response:
        """What the `id` of a token answer leads to."""
        held = self._held(request)
        if held is None:
            return PlainTextResponse("Bad_OAuth_Token", 403)
        account = held.account
        if (request.path_params["org"], request.path_params["user"]) != (account.tenant, account.subject):
            return PlainTextResponse("Wrong_Org", 403)
        place = self._org(account).place(issuer(request))
        return JSONResponse(
            {
                "id": _id_url(account, issuer(request)),
                "asserted_user": True,
                "user_id": account.subject,
                "organization_id": account.tenant,
                "username": account.email,
                "nick_name": account.given_name,
                "display_name": account.name,
                "email": account.email,
                "email_verified": True,
                "first_name": account.given_name,
                "last_name": account.family_name,
                "urls": {"rest": f"{place}/services/data/v{{version}}/", "custom_domain": place},
                "active": True,
                "user_type": "STANDARD",
            }
        )

    async def keys(self, _: Request) -> Response:
        """The keys that id_tokens are signed with."""
        return JSONResponse({"keys": [self._world.keys[Vendor.SALESFORCE].jwk()]}, headers=_KEYS_CACHE)

    async def account_of(self, request: Request) -> str | None:
        """Whose code or token the request carries."""
        credentials, form = self._world.credentials, await form_fields(request)
        value = form.get("refresh_token") or form.get("token", "")
        found = (
            credentials.access_tokens.get(bearer(request) or value)
            or credentials.refresh_tokens.get(value)
            or credentials.codes.get(form.get("code", ""))
        )
        return found.account.email if found else None

    def _held(self, request: Request) -> AccessToken | None:
        held = self._world.credentials.usable_access_token(bearer(request))
        return held if held and held.account.vendor is Vendor.SALESFORCE else None

    def _org(self, account: Account) -> Org:
        return self._world.salesforce.org(account.tenant)

    def _authenticate(self, form: dict[str, str]) -> Client:
        client = self._world.credentials.client(Vendor.SALESFORCE, form.get("client_id", ""))
        if client is None:
            raise OAuthRefusedError(errors.WRONG_CLIENT)
        if not secrets.compare_digest(form.get("client_secret", "").encode(), client.secret.encode()):
            raise OAuthRefusedError(errors.WRONG_SECRET)
        return client

    def _exchange(self, request: Request, client: Client, form: dict[str, str]) -> Response:
        code = self._usable_code(client, form)
        code.used = True
        grant = self._world.credentials.give_consent(code.account, client.project, code.scopes)
        refresh = None
        if code.offline:
            live = self._world.credentials.live_refresh_tokens(code.account, client)
            if len(live) >= MAX_APPROVALS:
                live[0].dead_because = "more than 5 approvals"
            refresh = self._world.credentials.issue_refresh_token(
                grant, client, value=f"5Aep861{secrets.token_urlsafe(60)}", scopes=code.scopes
            )
        access = self._world.credentials.issue_access_token(
            grant,
            client,
            value=_session_id(code.account),
            scopes=code.scopes,
            lifetime_seconds=self._world.settings[Vendor.SALESFORCE].access_token_seconds,
        )
        body = self._answer(request, access)
        if refresh is not None:
            self._access_of[refresh.value] = [access]
            body["refresh_token"] = refresh.value
        if "openid" in code.scopes:
            body["id_token"] = self._id_token(request, access, nonce=code.nonce)
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    def _usable_code(self, client: Client, form: dict[str, str]) -> AuthorizationCode:
        code = self._world.credentials.codes.get(form.get("code", ""))
        if code is None or code.used or code.client is not client:
            raise OAuthRefusedError(errors.WRONG_CODE)
        lifetime = timedelta(seconds=self._world.settings[Vendor.SALESFORCE].code_seconds)
        if self._world.clock.now() >= code.issued_at + lifetime:
            raise OAuthRefusedError(errors.EXPIRED_CODE)
        if form.get("redirect_uri") != code.redirect_uri:
            raise OAuthRefusedError(errors.WRONG_REDIRECT)
        match check_verifier(code, form.get("code_verifier")):
            case Verdict.MISSING:
                raise OAuthRefusedError(errors.NO_VERIFIER)
            case Verdict.WRONG:
                raise OAuthRefusedError(errors.WRONG_VERIFIER)
            case Verdict.MATCHES:
                return code

    def _refresh(self, request: Request, client: Client, form: dict[str, str]) -> Response:
        old = self._live_refresh_token(form.get("refresh_token", ""))
        if old is None or old.client is not client:
            raise OAuthRefusedError(errors.EXPIRED_GRANT)
        dead = errors.REFRESH_FAILURES.get(old.account.switches.at_token)
        if dead is not None:
            raise OAuthRefusedError(dead)
        access = self._world.credentials.issue_access_token(
            old.grant,
            client,
            value=_session_id(old.account),
            scopes=old.scopes,
            lifetime_seconds=self._world.settings[Vendor.SALESFORCE].access_token_seconds,
        )
        body = self._answer(request, access)
        kept = old
        if self._org(old.account).rotates_refresh_tokens:
            kept = self._rotate(old)
            body["refresh_token"] = kept.value
        self._access_of.setdefault(kept.value, []).append(access)
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    def _rotate(self, old: RefreshToken) -> RefreshToken:
        """A new refresh token; the old one is dead from now on, the access tokens of both live on."""
        old.dead_because = "rotated"
        fresh = self._world.credentials.issue_refresh_token(
            old.grant, old.client, value=f"5Aep861{secrets.token_urlsafe(60)}", scopes=old.scopes
        )
        self._access_of[fresh.value] = self._access_of.pop(old.value, [])
        return fresh

    def _live_refresh_token(self, value: str) -> RefreshToken | None:
        token = self._world.credentials.refresh_tokens.get(value)
        if token is None or token.account.vendor is not Vendor.SALESFORCE:
            return None
        return None if token.dead_because or token.grant.revoked else token

    def _answer(self, request: Request, access: AccessToken) -> dict[str, Any]:
        base = issuer(request)
        about, issued_at = _id_url(access.account, base), str(self._world.clock.timestamp() * 1000)
        digest = hmac.digest(access.client.secret.encode(), (about + issued_at).encode(), hashlib.sha256)
        return {
            "access_token": access.value,
            "signature": base64.b64encode(digest).decode(),
            "scope": " ".join(access.scopes),
            "instance_url": self._org(access.account).place(base),
            "id": about,
            "token_type": "Bearer",
            "issued_at": issued_at,
        }

    def _claims(self, account: Account, base: str) -> dict[str, Any]:
        return {
            "sub": _id_url(account, base),
            "user_id": account.subject,
            "organization_id": account.tenant,
            "preferred_username": account.email,
            "name": account.name,
            "given_name": account.given_name,
            "family_name": account.family_name,
            "email": account.email,
            "email_verified": True,
        }

    def _id_token(self, request: Request, access: AccessToken, *, nonce: str | None) -> str:
        now, base = self._world.clock.real_timestamp(), issuer(request)
        claims = {
            "iss": base,
            "aud": access.client.client_id,
            "iat": now,
            "exp": now + 120,
            "at_hash": half_hash(access.value),
            **self._claims(access.account, base),
        }
        return self._world.keys[Vendor.SALESFORCE].sign(claims | ({"nonce": nonce} if nonce else {}))


def _id_url(account: Account, base: str) -> str:
    return f"{base}/id/{account.tenant}/{account.subject}"


def _session_id(account: Account) -> str:
    return f"{account.tenant[:15]}!AQ{secrets.token_urlsafe(72)}"
