"""Salesforce's authorization endpoint and its pages ("OAuth 2.0 Web Server Flow", checked 2026-11-22).

An unknown client or redirect URI, and an app that the org does not allow, end on a page of Salesforce's own.
Everything else comes back to the redirect URI.
"""

import re
import secrets
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.carried import form_fields
from replysequence.sandbox.credentials import AuthorizationCode, PendingConsent
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.rendering import page, redirect
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

SCOPES: Final[dict[str, str]] = {
    "api": "Manage user data via APIs",
    "refresh_token": "Perform requests at any time",
    "offline_access": "Perform requests at any time",
    "id": "Access the identity URL service",
    "openid": "Access unique user identifiers",
    "profile": "Access your basic information",
    "email": "Access your email address",
    "full": "Full access",
}
OFFLINE: Final = ("refresh_token", "offline_access")

CONSENT_FAILURES: Final = {
    "app_not_installed": "OAUTH_APPROVAL_ERROR_GENERIC: The app is not installed in this org. Ask your administrator "
    "to install it, or to let you approve uninstalled apps.",
    "app_blocked": "OAUTH_APP_BLOCKED: this app is blocked by admin",
    "login_domain": "This org does not allow signing in here. Use its own My Domain address.",
    "error_page": "We can't authorize you because of an OAuth error. Please try again later.",
}
_STALE: Final = "This request is over. Go back to the app and start again."
_CHALLENGE: Final = re.compile("[A-Za-z0-9._~-]{43,128}")


class SalesforceAuthorize:
    """The pages between `GET /services/oauth2/authorize` and the redirect back to the app."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the authorization flow."""
        return [
            site.route(
                "/services/oauth2/authorize", self.start, methods=["GET"], endpoint=Endpoint.AUTHORIZE
            ),
            Route("/salesforce-login", self.log_in, methods=["POST"]),
            Route("/setup/secur/RemoteAccessAuthorizationPage.apexp", self.decide, methods=["POST"]),
        ]

    async def start(self, request: Request) -> Response:
        """Check the request, then ask who it is, unless the request says so."""
        parameters = dict(request.query_params)
        client = self._world.credentials.client(Vendor.SALESFORCE, parameters.get("client_id", ""))
        if client is None:
            return error_page("error=invalid_client_id&error_description=client identifier invalid")
        if parameters.get("redirect_uri") not in client.redirect_uris:
            return error_page(
                "error=redirect_uri_mismatch&error_description=redirect_uri must match configuration"
            )
        asked = parameters.get("scope", "api refresh_token").split()
        pending = self._world.credentials.hold(
            client, redirect_uri=parameters["redirect_uri"], scopes=asked, parameters=parameters
        )
        problem = _problem(parameters, asked)
        if problem:
            return self._return_to_app(pending, problem)
        hinted = self._world.accounts.find(Vendor.SALESFORCE, parameters.get("login_hint", ""))
        prompts = parameters.get("prompt", "").split()
        if hinted is not None and "login" not in prompts and "select_account" not in prompts:
            return self._next_page(pending, hinted)
        return page("salesforce/login.html", pending=pending, accounts=self._accounts())

    def _accounts(self) -> list[tuple[Account, str]]:
        salesforce = self._world.salesforce
        return [
            (account, salesforce.org(account.tenant).name)
            for account in self._world.accounts.of(Vendor.SALESFORCE)
        ]

    async def log_in(self, request: Request) -> Response:
        """The person said who it is."""
        form = await form_fields(request)
        pending = self._world.credentials.pending.get(form.get("request", ""))
        account = self._world.accounts.find(Vendor.SALESFORCE, form.get("account", ""))
        if pending is None or account is None:
            return error_page(_STALE)
        return self._next_page(pending, account)

    def _next_page(self, pending: PendingConsent, account: Account) -> Response:
        """Whoever approved the app before is not asked again, unless the request wants that."""
        blocked = CONSENT_FAILURES.get(account.switches.at_consent)
        if blocked:
            return error_page(blocked)
        pending = self._world.credentials.choose_account(pending, account)
        given = self._world.credentials.grant(account, pending.client.project)
        asks = "consent" in pending.parameters.get("prompt", "").split()
        if given is not None and given.scopes.issuperset(pending.scopes) and not asks:
            return self._return_with_code(pending, account)
        return page(
            "salesforce/consent.html",
            pending=pending,
            account=account,
            org=self._world.salesforce.org(account.tenant),
            words=list(dict.fromkeys(SCOPES[scope] for scope in pending.scopes)),
        )

    async def decide(self, request: Request) -> Response:
        """The person pressed Allow or Deny."""
        form = await form_fields(request)
        pending = self._world.credentials.pending.get(form.get("request", ""))
        if pending is None or pending.account is None:
            return error_page(_STALE)
        if form.get("decision") != "allow":
            refused = {"error": "access_denied", "error_description": "end-user denied authorization"}
            return self._return_to_app(pending, refused)
        return self._return_with_code(pending, pending.account)

    def _return_with_code(self, pending: PendingConsent, account: Account) -> Response:
        parameters = pending.parameters
        self._world.credentials.give_consent(account, pending.client.project, pending.scopes)
        code = self._world.credentials.issue_code(
            AuthorizationCode(
                value=f"aPrx{secrets.token_urlsafe(60)}==",
                client=pending.client,
                account=account,
                redirect_uri=pending.redirect_uri,
                scopes=pending.scopes,
                offline=any(scope in OFFLINE for scope in pending.scopes),
                issued_at=self._world.clock.now(),
                nonce=parameters.get("nonce"),
                challenge=parameters.get("code_challenge"),
                challenge_method="S256",
            )
        )
        return self._return_to_app(pending, {"code": code.value})

    def _return_to_app(self, pending: PendingConsent, answer: dict[str, str]) -> Response:
        self._world.credentials.pending.pop(pending.id, None)
        state = {"state": pending.parameters["state"]} if "state" in pending.parameters else {}
        joint = "&" if "?" in pending.redirect_uri else "?"
        return redirect(f"{pending.redirect_uri}{joint}{urlencode(answer | state)}")


def _problem(parameters: dict[str, str], asked: list[str]) -> dict[str, str]:
    """What the app is told about a request that is wrong; nothing when it may go on."""
    challenge = parameters.get("code_challenge")
    if parameters.get("response_type") != "code":
        return {"error": "unsupported_response_type", "error_description": "response type not supported"}
    if any(scope not in SCOPES for scope in asked):
        return {"error": "invalid_scope", "error_description": "the requested scope is not allowed"}
    if challenge is not None and not _CHALLENGE.fullmatch(challenge):
        return {"error": "invalid_request", "error_description": "invalid code challenge"}
    return {}


def error_page(problem: str, *, status: int = 400) -> Response:
    """Salesforce's own page, which does not lead back to the app."""
    return page("salesforce/error.html", status=status, problem=problem)


def failure(fault: Fault) -> Response:
    """What the sign-in page becomes when the fault menu says so."""
    names = {"admin_approval": "app_not_installed", "error_page": "error_page"}
    words = CONSENT_FAILURES[names.get(fault.menu.answer, "error_page")]
    return error_page(words, status=fault.menu.status or 400)
