"""Zoom's token endpoint and revocation: one-time refresh tokens, and one living authorization for each user and app.

Source: Zoom's "OAuth 2.0" and "OAuth error messages", checked 2026-11-22. A refresh ends the token it was made with; a
new authorization ends whatever was issued before it.
"""

import secrets
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox import zoom_errors as errors
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.carried import basic, form_fields
from replysequence.sandbox.credentials import AuthorizationCode, Client, Grant, Verdict, check_verifier
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World
from replysequence.sandbox.zoom_authorize import PREFIX
from replysequence.sandbox.zoom_errors import TOKEN_FAILURES, TokenRefusedError

REFRESH_LIFETIME: Final = timedelta(days=90)


class ZoomToken:
    """`POST /oauth/token` and `POST /oauth/revoke`; both want the client's id and secret as Basic authentication."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, site: Site) -> list[BaseRoute]:
        """The two."""
        return [
            site.route(f"{PREFIX}/oauth/token", self.token, methods=["POST"], endpoint=Endpoint.TOKEN),
            site.route(f"{PREFIX}/oauth/revoke", self.revoke, methods=["POST"], endpoint=Endpoint.REVOKE),
        ]

    async def token(self, request: Request) -> Response:
        """Exchange a code, or refresh."""
        form = await form_fields(request)
        try:
            client = self._authenticate(request)
            match form.get("grant_type"):
                case "authorization_code":
                    grant = self._redeem(client, form)
                case "refresh_token":
                    grant = self._spend(client, form)
                case None:
                    raise TokenRefusedError(errors.MISSING_GRANT)
                case _:
                    raise TokenRefusedError(errors.UNSUPPORTED_GRANT)
        except TokenRefusedError as refused:
            return refused.refusal.response()
        return JSONResponse(self._issue(grant, client, request), headers={"Cache-Control": "no-store"})

    async def revoke(self, request: Request) -> Response:
        """End the authorization that a token belongs to: access and refresh tokens alike."""
        form = await form_fields(request)
        try:
            self._authenticate(request)
        except TokenRefusedError as refused:
            return refused.refusal.response()
        credentials, value = self._world.credentials, form.get("token", "")
        refresh = credentials.refresh_tokens.get(value)
        found = credentials.usable_access_token(value) or (
            refresh if refresh is not None and not refresh.dead_because else None
        )
        if found is None or found.account.vendor is not Vendor.ZOOM or found.grant.revoked:
            return errors.INVALID_TOKEN.response()
        credentials.revoke(found.grant)
        return JSONResponse({"status": "success"})

    async def account_of(self, request: Request) -> str | None:
        """Whose code or token the request carries."""
        form = await form_fields(request)
        credentials = self._world.credentials
        found = (
            credentials.refresh_tokens.get(form.get("refresh_token", ""))
            or credentials.codes.get(form.get("code", ""))
            or credentials.refresh_tokens.get(form.get("token", ""))
            or credentials.access_tokens.get(form.get("token", ""))
        )
        return found.account.email if found else None

    def _authenticate(self, request: Request) -> Client:
        client_id, secret = basic(request) or ("", "")
        client = self._world.credentials.client(Vendor.ZOOM, client_id)
        if client is None or not secrets.compare_digest(secret.encode(), client.secret.encode()):
            raise TokenRefusedError(errors.INVALID_CLIENT)
        if client.deleted:
            raise TokenRefusedError(TOKEN_FAILURES["app_disabled"])
        return client

    def _redeem(self, client: Client, form: dict[str, str]) -> Grant:
        code = self._usable_code(client, form)
        code.used = True
        return self._begin(code.account, client, code)

    def _usable_code(self, client: Client, form: dict[str, str]) -> AuthorizationCode:
        code = self._world.credentials.codes.get(form.get("code", ""))
        if code is None or code.used or code.client is not client:
            raise TokenRefusedError(errors.CODE_UNKNOWN)
        lifetime = timedelta(seconds=self._world.settings[Vendor.ZOOM].code_seconds)
        if self._world.clock.now() >= code.issued_at + lifetime:
            raise TokenRefusedError(errors.CODE_EXPIRED)
        if form.get("redirect_uri") != code.redirect_uri:
            raise TokenRefusedError(errors.REDIRECT_MISMATCH)
        if check_verifier(code, form.get("code_verifier")) is not Verdict.MATCHES:
            raise TokenRefusedError(errors.WRONG_VERIFIER)
        return code

    def _begin(self, account: Account, client: Client, code: AuthorizationCode) -> Grant:
        """A new authorization, which ends the earlier one of this user and app."""
        credentials = self._world.credentials
        earlier = credentials.grant(account, client.project)
        if earlier is not None:
            credentials.revoke(earlier)
        return credentials.give_consent(account, client.project, code.scopes)

    def _spend(self, client: Client, form: dict[str, str]) -> Grant:
        """Use a refresh token, once and for all."""
        token = self._world.credentials.refresh_tokens.get(form.get("refresh_token", ""))
        if token is None or token.client is not client or token.dead_because or token.grant.revoked:
            raise TokenRefusedError(errors.INVALID_TOKEN)
        failure = TOKEN_FAILURES.get(token.account.switches.at_token)
        if failure is not None:
            raise TokenRefusedError(failure)
        if self._world.accounts.find(Vendor.ZOOM, token.account.email) is not token.account:
            raise TokenRefusedError(errors.OWNER_GONE)
        if token.expires_at is not None and token.expires_at <= self._world.clock.now():
            raise TokenRefusedError(errors.INVALID_TOKEN)
        token.dead_because = "used"
        return token.grant

    def _issue(self, grant: Grant, client: Client, request: Request) -> dict[str, object]:
        credentials, scopes = self._world.credentials, sorted(grant.scopes)
        seconds = self._world.settings[Vendor.ZOOM].access_token_seconds
        access = credentials.issue_access_token(
            grant, client, value=f"eyJ{secrets.token_urlsafe(96)}", scopes=scopes, lifetime_seconds=seconds
        )
        refresh = credentials.issue_refresh_token(
            grant,
            client,
            value=f"eyJ{secrets.token_urlsafe(96)}",
            scopes=scopes,
            lifetime_seconds=int(REFRESH_LIFETIME.total_seconds()),
        )
        return {
            "access_token": access.value,
            "token_type": "bearer",
            "refresh_token": refresh.value,
            "expires_in": seconds,
            "scope": " ".join(scopes),
            "api_url": f"{str(request.base_url).rstrip('/')}{PREFIX}",
        }
