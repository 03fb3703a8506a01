"""HubSpot's OAuth endpoints: tokens, introspection, revocation, uninstalling; dated, v3, and v1 while it lasts.

Source: HubSpot's OpenAPI files Auth/Oauth (2026-09, v3, v1) and CRM/App Uninstalls, checked 2026-11-22. The reply of an
introspection and the HTTP statuses beside 400 are not documented in full; they follow RFC 7662 and RFC 6749.
"""

import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import hubspot_errors as errors
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.carried import bearer, form_fields
from replysequence.sandbox.credentials import (
    AccessToken,
    AuthorizationCode,
    Client,
    Grant,
    RefreshToken,
    Verdict,
    check_verifier,
)
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.hubspot_errors import Failure, OAuthRefusedError
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

OAUTH_VERSIONS: Final = ("2026-03", "2026-09", "v3")
UNINSTALL_VERSIONS: Final = ("2026-03", "2026-09")
_NO_SUCH_TOKEN: Final = Failure(status=404, message="missing or unknown token", category="OBJECT_NOT_FOUND")


class HubSpotToken:
    """The endpoints below `/oauth/` but for the consent page."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._access_of: dict[str, list[AccessToken]] = {}

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route."""
        guard = self._refusing
        found: list[BaseRoute] = []
        for version in OAUTH_VERSIONS:
            path = f"/oauth/{version}/token"
            found += [
                site.route(path, guard(self.token), methods=["POST"], endpoint=Endpoint.TOKEN),
                site.route(
                    f"{path}/introspect",
                    guard(self.introspect),
                    methods=["POST"],
                    endpoint=Endpoint.USERINFO,
                ),
                site.route(f"{path}/revoke", guard(self.revoke), methods=["POST"], endpoint=Endpoint.REVOKE),
            ]
        for version in UNINSTALL_VERSIONS:
            path = f"/appinstalls/{version}/external-install"
            found.append(site.route(path, self.uninstall, methods=["DELETE"], endpoint=Endpoint.REVOKE))
        old = "/oauth/v1/refresh-tokens/{token}"
        return [
            *found,
            site.route(
                "/oauth/v1/token", guard(self.token, v1=True), methods=["POST"], endpoint=Endpoint.TOKEN
            ),
            Route("/oauth/v1/access-tokens/{token}", guard(self.describe_access, v1=True), methods=["GET"]),
            Route(old, guard(self.describe_refresh, v1=True), methods=["GET"]),
            site.route(old, guard(self.forget, v1=True), methods=["DELETE"], endpoint=Endpoint.REVOKE),
        ]

    def _refusing(
        self, handler: Callable[[Request], Awaitable[Response]], *, v1: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """`handler`, its refusals answered; those of v1 only as long as there is a v1."""

        async def guarded(request: Request) -> Response:
            if v1 and self._world.hubspot.oauth_v1_answers != 200:
                return Failure(
                    status=self._world.hubspot.oauth_v1_answers, message="This endpoint has been removed."
                ).response()
            try:
                return await handler(request)
            except OAuthRefusedError as refused:
                return refused.failure.response(v1=v1)

        return guarded

    async def token(self, request: Request) -> Response:
        """Exchange a code, or refresh."""
        form = await form_fields(request)
        client = self._authenticate(request, form)
        match form.get("grant_type"):
            case "authorization_code":
                return self._answer(self._exchange(client, form))
            case "refresh_token":
                return self._answer(self._refreshable(client, form))
            case _:
                raise OAuthRefusedError(errors.BAD_GRANT_TYPE)

    async def introspect(self, request: Request) -> Response:
        """What the token is: RFC 7662's `active` and HubSpot's own words for the rest."""
        form = await form_fields(request)
        self._authenticate(request, form)
        access = self._world.credentials.usable_access_token(form.get("token", ""))
        refresh = self._live_refresh_token(form.get("token", ""))
        if access is not None and access.account.vendor is Vendor.HUBSPOT:
            return JSONResponse({"active": True, "token_use": "access_token", **self._described(access)})
        if refresh is not None:
            about = self._about(refresh.account, refresh.client, refresh.scopes)
            return JSONResponse({"active": True, "token_use": "refresh_token", **about})
        return JSONResponse({"active": False})

    async def revoke(self, request: Request) -> Response:
        """204, also for a token that nobody knows (RFC 7009)."""
        form = await form_fields(request)
        self._authenticate(request, form)
        if not form.get("token"):
            raise OAuthRefusedError(errors.BAD_REQUEST)
        self._revoke(form["token"])
        return Response(status_code=204)

    async def uninstall(self, request: Request) -> Response:
        """Remove the app from the account that the access token belongs to: everything ends."""
        held = self._world.credentials.usable_access_token(bearer(request))
        if held is None or held.account.vendor is not Vendor.HUBSPOT:
            return errors.UNAUTHENTICATED.response()
        self._world.credentials.revoke(held.grant)
        return Response(status_code=204)

    async def describe_access(self, request: Request) -> Response:
        """OAuth v1: what an access token is."""
        held = self._world.credentials.usable_access_token(request.path_params["token"])
        if held is None or held.account.vendor is not Vendor.HUBSPOT:
            return _NO_SUCH_TOKEN.response()
        return JSONResponse(self._described(held))

    async def describe_refresh(self, request: Request) -> Response:
        """OAuth v1: what a refresh token is."""
        token = self._live_refresh_token(request.path_params["token"])
        if token is None:
            return _NO_SUCH_TOKEN.response()
        return JSONResponse({"token": token.value, **self._about(token.account, token.client, token.scopes)})

    async def forget(self, request: Request) -> Response:
        """OAuth v1: delete a refresh token. Access tokens live on, and the app stays installed."""
        token = self._live_refresh_token(request.path_params["token"])
        if token is None:
            return _NO_SUCH_TOKEN.response()
        token.dead_because = "deleted"
        return Response(status_code=204)

    async def account_of(self, request: Request) -> str | None:
        """Whose code, refresh token or access token the request carries."""
        form = await form_fields(request)
        credentials = self._world.credentials
        refresh = form.get("refresh_token") or form.get("token") or request.path_params.get("token", "")
        found = (
            credentials.refresh_tokens.get(refresh)
            or credentials.codes.get(form.get("code", ""))
            or credentials.access_tokens.get(bearer(request))
        )
        return found.account.email if found else None

    def _authenticate(self, request: Request, form: dict[str, str]) -> Client:
        if any(name in request.query_params for name in ("client_secret", "refresh_token", "code", "token")):
            raise OAuthRefusedError(errors.BAD_REQUEST)
        client = self._world.credentials.client(Vendor.HUBSPOT, form.get("client_id", ""))
        if client is None:
            raise OAuthRefusedError(errors.BAD_CLIENT_ID)
        if not secrets.compare_digest(form.get("client_secret", "").encode(), client.secret.encode()):
            raise OAuthRefusedError(errors.BAD_CLIENT_SECRET)
        return client

    def _exchange(self, client: Client, form: dict[str, str]) -> RefreshToken:
        code = self._usable_code(client, form)
        code.used = True
        grant = self._world.credentials.give_consent(code.account, client.project, code.scopes)
        return self._world.credentials.issue_refresh_token(
            grant, client, value=f"na1-{secrets.token_hex(20)}", scopes=code.scopes
        )

    def _usable_code(self, client: Client, form: dict[str, str]) -> AuthorizationCode:
        code = self._world.credentials.codes.get(form.get("code", ""))
        if code is None or code.used or code.client is not client:
            raise OAuthRefusedError(errors.BAD_AUTH_CODE)
        lifetime = timedelta(seconds=self._world.settings[Vendor.HUBSPOT].code_seconds)
        if self._world.clock.now() >= code.issued_at + lifetime:
            raise OAuthRefusedError(errors.EXPIRED_AUTH_CODE)
        if form.get("redirect_uri") != code.redirect_uri:
            raise OAuthRefusedError(errors.BAD_REDIRECT_URI)
        if check_verifier(code, form.get("code_verifier")) is not Verdict.MATCHES:
            raise OAuthRefusedError(errors.BAD_CODE_VERIFIER)
        return code

    def _refreshable(self, client: Client, form: dict[str, str]) -> RefreshToken:
        token = self._live_refresh_token(form.get("refresh_token", ""))
        if token is None or token.client is not client:
            raise OAuthRefusedError(errors.BAD_REFRESH_TOKEN)
        dead = errors.REFRESH_FAILURES.get(token.account.switches.at_token)
        if dead is not None:
            raise OAuthRefusedError(dead)
        token.used_at = self._world.clock.now()
        return token

    def _live_refresh_token(self, value: str) -> RefreshToken | None:
        token = self._world.credentials.refresh_tokens.get(value)
        if token is None or token.account.vendor is not Vendor.HUBSPOT:
            return None
        return None if token.dead_because or token.grant.revoked else token

    def _answer(self, refresh: RefreshToken) -> Response:
        """Tokens. The refresh token stays the same for as long as it lives."""
        access = self._issue_access_token(refresh.grant, refresh)
        return JSONResponse(
            {
                "access_token": access.value,
                "refresh_token": refresh.value,
                "expires_in": self._world.settings[Vendor.HUBSPOT].access_token_seconds,
                "token_type": "bearer",
                "token_use": "access_token",
                "hub_id": int(access.account.tenant),
                "user_id": int(access.account.subject),
                "scopes": list(access.scopes),
            },
            headers={"Cache-Control": "no-store"},
        )

    def _issue_access_token(self, grant: Grant, refresh: RefreshToken) -> AccessToken:
        access = self._world.credentials.issue_access_token(
            grant,
            refresh.client,
            value=f"CNj{secrets.token_urlsafe(220)}",
            scopes=refresh.scopes,
            lifetime_seconds=self._world.settings[Vendor.HUBSPOT].access_token_seconds,
        )
        self._access_of.setdefault(refresh.value, []).append(access)
        return access

    def _revoke(self, value: str) -> None:
        refresh = self._live_refresh_token(value)
        if refresh is not None:
            refresh.dead_because = "revoked"
        access = self._world.credentials.access_tokens.get(value)
        ended = [access] if access and access.account.vendor is Vendor.HUBSPOT else []
        if refresh is not None and self._world.hubspot.revoking_ends_access:
            ended += self._access_of.get(value, [])
        for token in ended:
            token.revoked = True

    def _described(self, held: AccessToken) -> dict[str, Any]:
        left = int((held.expires_at - self._world.clock.now()).total_seconds())
        return {
            "token": held.value,
            "app_id": int(held.client.project),
            "expires_in": left,
            **self._about(held.account, held.client, held.scopes),
        }

    def _about(self, account: Account, client: Client, granted: tuple[str, ...]) -> dict[str, Any]:
        return {
            "token_type": "bearer",
            "client_id": client.client_id,
            "hub_id": int(account.tenant),
            "hub_domain": self._world.hubspot.portal(account.tenant).domain,
            "user_id": int(account.subject),
            "user": account.email,
            "scopes": list(granted),
        }
