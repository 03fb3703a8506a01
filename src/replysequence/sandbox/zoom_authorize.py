"""Zoom's consent page, between `GET /oauth/authorize` and the redirect back to the app.

Source: Zoom's "OAuth 2.0" and "OAuth error messages", checked 2026-11-22. What the app asks for is in its settings; an
address that asks for anything else is refused. Zoom does not document what the app hears when a person declines: here
`access_denied`, as RFC 6749 has it.
"""

import re
import secrets
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.credentials import AuthorizationCode, Client, PendingConsent
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.rendering import page, redirect
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World
from replysequence.sandbox.zoom_scopes import WORDS

PREFIX: Final = "/zoom"
"""What stands for zoom.us and api.zoom.us: other vendors have an `/oauth/authorize` too."""

CONSENT_FAILURES: Final[dict[str, str]] = {
    "admin_approval": "the account's administrator must approve the app first; the app never hears of it",
    "app_disabled": "the app has been disabled; the app never hears of it",
    "error_page": "an error page; the app never hears of it",
}
"""What `Switches.at_consent` may name."""
_ERRORS: Final[dict[str, tuple[str, int]]] = {
    "admin_approval": ("Your account administrator needs to approve this app before you can add it", 0),
    "app_disabled": ("The app has been disabled", 4717),
    "error_page": ("Creating authorization code error", 4732),
}
_CHALLENGE: Final = re.compile("[A-Za-z0-9._~-]{43,128}")


class ZoomAuthorize:
    """The sign-in pages."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the authorization flow."""
        return [
            site.route(f"{PREFIX}/oauth/authorize", self.start, methods=["GET"], endpoint=Endpoint.AUTHORIZE),
            Route(f"{PREFIX}/oauth/account", self.choose, methods=["POST"]),
            Route(f"{PREFIX}/oauth/consent", self.decide, methods=["POST"]),
        ]

    async def start(self, request: Request) -> Response:
        """Check the request, then let the person choose an account."""
        parameters = dict(request.query_params)
        client = self._world.credentials.client(Vendor.ZOOM, parameters.get("client_id", ""))
        if client is None:
            return error_page(f"Invalid client_id: {parameters.get('client_id', '')}", 4702)
        refusal = _refusal(client, parameters)
        if refusal is not None:
            return error_page(*refusal)
        pending = self._world.credentials.hold(
            client, redirect_uri=parameters["redirect_uri"], scopes=client.scopes, parameters=parameters
        )
        return page("zoom/accounts.html", pending=pending, accounts=self._world.accounts.of(Vendor.ZOOM))

    async def choose(self, request: Request) -> Response:
        """The person picked an account: what the app wants of it."""
        form = await request.form()
        pending = self._world.credentials.pending.get(str(form.get("pending", "")))
        account = self._world.accounts.find(Vendor.ZOOM, str(form.get("account", "")))
        if pending is None or account is None:
            return error_page("This request is over. Go back to the app and start again", 4700)
        failure = _ERRORS.get(account.switches.at_consent)
        if failure is not None:
            return error_page(*failure)
        pending = self._world.credentials.choose_account(pending, account)
        return page(
            "zoom/consent.html",
            pending=pending,
            account=account,
            words=[WORDS.get(scope, scope) for scope in pending.scopes],
            unverified=account.switches.unverified_app,
        )

    async def decide(self, request: Request) -> Response:
        """The person pressed Allow or Decline."""
        form = await request.form()
        pending = self._world.credentials.pending.pop(str(form.get("pending", "")), None)
        if pending is None or pending.account is None:
            return error_page("This request is over. Go back to the app and start again", 4700)
        if form.get("decision") != "allow":
            return _return(pending, {"error": "access_denied"})
        return _return(pending, {"code": self._code(pending, pending.account).value})

    def _code(self, pending: PendingConsent, account: Account) -> AuthorizationCode:
        credentials, parameters = self._world.credentials, pending.parameters
        return credentials.issue_code(
            AuthorizationCode(
                value=secrets.token_urlsafe(32),
                client=pending.client,
                account=account,
                redirect_uri=pending.redirect_uri,
                scopes=pending.scopes,
                offline=True,
                issued_at=self._world.clock.now(),
                challenge=parameters.get("code_challenge"),
                challenge_method=parameters.get("code_challenge_method", "plain"),
            )
        )


def _refusal(client: Client, parameters: dict[str, str]) -> tuple[str, int] | None:
    if client.deleted:
        return _ERRORS["app_disabled"]
    if parameters.get("redirect_uri") not in client.redirect_uris:
        return f"Invalid redirect: {parameters.get('redirect_uri', '')}", 4700
    if parameters.get("response_type") != "code":
        return "Invalid response type", 4700
    if not set(parameters.get("scope", "").split()) <= set(client.scopes):
        return "Invalid scope. Edit on web portal", 4700
    challenge, method = parameters.get("code_challenge"), parameters.get("code_challenge_method", "plain")
    if challenge is not None and (not _CHALLENGE.fullmatch(challenge) or method not in ("plain", "S256")):
        return "Invalid code challenge", 4700
    return None


def _return(pending: PendingConsent, answer: dict[str, str]) -> Response:
    if "state" in pending.parameters:
        answer = answer | {"state": pending.parameters["state"]}
    joint = "&" if "?" in pending.redirect_uri else "?"
    return redirect(f"{pending.redirect_uri}{joint}{urlencode(answer)}")


def error_page(words: str, number: int) -> Response:
    """A page of Zoom's own, with the number in its manner; the app never hears of it."""
    return page("zoom/error.html", status=400, words=words, number=f"{number:,}" if number else "")
