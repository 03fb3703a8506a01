"""Google's stand-in: sign-in, tokens, keys, userinfo, revocation, Gmail's send, list and get, the calendar,
and Meet's records, at their real paths."""

from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import google_calendar, google_meet
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.carried import bearer, form_fields
from replysequence.sandbox.credentials import AccessToken
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.gmail import Gmail
from replysequence.sandbox.gmail_errors import SEND_FAILURES, failure_with_status
from replysequence.sandbox.gmail_quota import Quota
from replysequence.sandbox.gmail_reading import GmailReading
from replysequence.sandbox.google_authorize import (
    CONSENT_FAILURES,
    GoogleAuthorize,
    PageError,
    error_page,
    issuer,
)
from replysequence.sandbox.google_calendar import GoogleCalendar
from replysequence.sandbox.google_meet import GoogleMeet
from replysequence.sandbox.google_token import (
    REFRESH_FAILURES,
    WRONG_SECRET,
    GoogleToken,
    claims_about,
)
from replysequence.sandbox.site import Site, StandIn
from replysequence.sandbox.world import World

_INSUFFICIENT_SCOPES = {
    Endpoint.CALENDAR: google_calendar.INSUFFICIENT_SCOPES,
    Endpoint.MEETINGS: google_meet.INSUFFICIENT_SCOPES,
}
_KEYS_CACHE = {"Cache-Control": "public, max-age=19800, must-revalidate, no-transform"}


def stand_in(world: World) -> StandIn:
    """Google, around `world`."""
    authorize, token, rest = GoogleAuthorize(world), GoogleToken(world), _Rest(world)
    quota = Quota(world)
    gmail, reading = Gmail(world, quota), GmailReading(world, quota)

    async def account_of(request: Request) -> str | None:
        if request.url.path == "/token":
            return await token.account_of(request)
        held = world.credentials.access_tokens.get(bearer(request))
        return held.account.email if held else None

    site = Site(
        vendor=Vendor.GOOGLE,
        faults=world.faults,
        failure=lambda endpoint, fault: _failure(world, endpoint, fault),
        account_of=account_of,
        consent_failures={name: error.words for name, error in CONSENT_FAILURES.items()},
        token_failures={name: error.description for name, error in REFRESH_FAILURES.items()},
        send_failures={name: error.message for name, error in SEND_FAILURES.items()},
    )
    return StandIn(
        site=site,
        routes=[
            *authorize.routes(site),
            site.route("/token", token.endpoint, methods=["POST"], endpoint=Endpoint.TOKEN),
            *rest.routes(site),
            *gmail.routes(site),
            *reading.routes(site),
            *GoogleCalendar(world).routes(site),
            *GoogleMeet(world).routes(site),
        ],
    )


def _failure(world: World, endpoint: Endpoint, fault: Fault) -> Response:
    match fault.menu.answer:
        case "admin_approval" | "error_page" as name:
            return error_page(CONSENT_FAILURES[name])
        case "invalid_grant":
            return REFRESH_FAILURES["revoked"].response()
        case "invalid_client":
            return WRONG_SECRET.response()
        case "missing_scope":
            return _INSUFFICIENT_SCOPES[endpoint].response()
        case "html":
            return HTMLResponse("<html><title>Sorry</title><body>Something else answers here.</body></html>")
        case _:
            return _failure_with_status(world, endpoint, fault)


def _failure_with_status(world: World, endpoint: Endpoint, fault: Fault) -> Response:
    status = fault.menu.status
    if endpoint in (Endpoint.SEND, Endpoint.LOOK_UP, Endpoint.KEYS):
        return failure_with_status(status, now=world.clock.now(), wait_seconds=fault.retry_after_seconds)
    if endpoint is Endpoint.CALENDAR:
        return google_calendar.failure_with_status(status)
    if endpoint is Endpoint.MEETINGS:
        return google_meet.failure_with_status(status)
    if endpoint is Endpoint.AUTHORIZE:
        return error_page(PageError(status, "server_error", "Something went wrong. Please try again later."))
    return _flat_failure(status)


def _flat_failure(status: int) -> Response:
    if status in (502, 504):
        return HTMLResponse(f"<html><title>Error {status} (Server Error)</title></html>", status)
    error = {401: "invalid_request", 429: "rate_limit_exceeded", 500: "internal_failure"}.get(
        status, "temporarily_unavailable"
    )
    return JSONResponse({"error": error, "error_description": "Please try again later."}, status)


class _Rest:
    """The small endpoints: discovery, keys, userinfo, tokeninfo, revocation."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, site: Site) -> list[BaseRoute]:
        faulty = (
            ("/oauth2/v3/certs", self.jwks, ["GET"], Endpoint.KEYS),
            ("/oauth2/v1/certs", self.certificates, ["GET"], Endpoint.KEYS),
            ("/v1/userinfo", self.userinfo, ["GET", "POST"], Endpoint.USERINFO),
            ("/oauth2/v3/userinfo", self.userinfo, ["GET", "POST"], Endpoint.USERINFO),
            ("/oauth2/v2/userinfo", self.userinfo_legacy, ["GET"], Endpoint.USERINFO),
            ("/revoke", self.revoke, ["POST"], Endpoint.REVOKE),
        )
        return [
            *(site.route(path, do, methods=methods, endpoint=where) for path, do, methods, where in faulty),
            Route("/revoke", self.revoke_by_get, methods=["GET"]),
            Route("/.well-known/openid-configuration", self.discovery, methods=["GET"]),
            Route("/tokeninfo", self.tokeninfo, methods=["GET", "POST"]),
        ]

    async def discovery(self, request: Request) -> Response:
        base = issuer(request)
        return JSONResponse(
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/o/oauth2/v2/auth",
                "token_endpoint": f"{base}/token",
                "userinfo_endpoint": f"{base}/v1/userinfo",
                "revocation_endpoint": f"{base}/revoke",
                "jwks_uri": f"{base}/oauth2/v3/certs",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email", "profile"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "claims_supported": [
                    *("aud", "email", "email_verified", "exp", "family_name"),
                    *("given_name", "iat", "iss", "name", "picture", "sub"),
                ],
                "code_challenge_methods_supported": ["plain", "S256"],
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [self._world.keys[Vendor.GOOGLE].jwk()]}, headers=_KEYS_CACHE)

    async def certificates(self, _: Request) -> Response:
        key = self._world.keys[Vendor.GOOGLE]
        return JSONResponse({key.kid: key.certificate_pem()}, headers=_KEYS_CACHE)

    async def userinfo(self, request: Request) -> Response:
        token = self._world.credentials.usable_access_token(bearer(request))
        if token is None:
            return _invalid_credentials()
        return JSONResponse(claims_about(token.account, token.scopes))

    async def userinfo_legacy(self, request: Request) -> Response:
        token = self._world.credentials.usable_access_token(bearer(request))
        if token is None:
            return _invalid_credentials()
        claims: dict[str, Any] = claims_about(token.account, token.scopes)
        renamed = {"sub": "id", "email_verified": "verified_email"}
        return JSONResponse({renamed.get(name, name): value for name, value in claims.items()})

    async def tokeninfo(self, request: Request) -> Response:
        token = self._world.credentials.usable_access_token(request.query_params.get("access_token", ""))
        if token is None:
            return JSONResponse({"error": "invalid_token", "error_description": "Invalid Value"}, 400)
        return JSONResponse(self._described(token))

    def _described(self, token: AccessToken) -> dict[str, str]:
        left = int((token.expires_at - self._world.clock.now()).total_seconds())
        return {
            "azp": token.client.client_id,
            "aud": token.client.client_id,
            "sub": token.account.subject,
            "scope": " ".join(token.scopes),
            "exp": str(int(token.expires_at.timestamp())),
            "expires_in": str(left),
            "access_type": "offline",
        }

    async def revoke(self, request: Request) -> Response:
        value = request.query_params.get("token") or (await form_fields(request)).get("token", "")
        if not value:
            return JSONResponse(
                {"error": "invalid_request", "error_description": "Missing required parameter: token"}, 400
            )
        held = self._world.credentials.usable_access_token(value)
        kept = self._world.credentials.refresh_tokens.get(value)
        if kept is not None and (kept.dead_because or kept.grant.revoked):
            kept = None
        found = held or kept
        if found is None:
            return JSONResponse(
                {"error": "invalid_token", "error_description": "Token expired or revoked"}, 400
            )
        self._world.credentials.revoke(found.grant)
        return JSONResponse({})

    async def revoke_by_get(self, _: Request) -> Response:
        return PlainTextResponse("Not Found", 404)


def _invalid_credentials() -> Response:
    return JSONResponse(
        {"error": "invalid_request", "error_description": "Invalid Credentials"},
        401,
        headers={"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'},
    )
