"""HubSpot's consent page, `/oauth/authorize` ("Working with OAuth", checked 2026-11-22).

What is wrong with the request itself is said on a page of HubSpot's own, which does not return to the app.
At HubSpot an optional scope falls away by itself where the account lacks the feature; here a box stands for that.
"""

import re
import secrets
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import hubspot_scopes as scopes
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.carried import form_pairs
from replysequence.sandbox.credentials import AuthorizationCode, Client, PendingConsent
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.rendering import page, redirect
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

CONSENT_FAILURES: Final = {
    "no_permission": "You don't have permission to connect this app. Ask a Super Admin of this account, or somebody "
    "with App Marketplace access.",
    "scopes_unavailable": "This account does not have what the app requires: sales-email-read.",
    "error_page": "Something went wrong on our side. Please try again later.",
}
_STALE: Final = "This request is over. Go back to the app and start again."
_CHALLENGE: Final = re.compile("[A-Za-z0-9._~-]{43,128}")


class HubSpotAuthorize:
    """The pages between `GET /oauth/authorize` and the redirect back to the app."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the authorization flow."""
        return [
            site.route("/oauth/authorize", self.start, methods=["GET"], endpoint=Endpoint.AUTHORIZE),
            Route("/oauth/authorize/account", self.choose_account, methods=["POST"]),
            Route("/oauth/authorize/decision", self.decide, methods=["POST"]),
        ]

    async def start(self, request: Request) -> Response:
        """Check the request, then ask which account (portal) it is about."""
        parameters = dict(request.query_params)
        client = self._world.credentials.client(Vendor.HUBSPOT, parameters.get("client_id", ""))
        problem = _problem(client, parameters)
        if client is None or problem:
            return error_page(problem)
        required = tuple(dict.fromkeys([scopes.OAUTH, *parameters["scope"].split()]))
        pending = self._world.credentials.hold(
            client, redirect_uri=parameters["redirect_uri"], scopes=required, parameters=parameters
        )
        return page("hubspot/accounts.html", pending=pending, accounts=self._accounts())

    def _accounts(self) -> list[tuple[Account, str]]:
        hubspot = self._world.hubspot
        return [
            (account, hubspot.portal(account.tenant).name)
            for account in self._world.accounts.of(Vendor.HUBSPOT)
        ]

    async def choose_account(self, request: Request) -> Response:
        """The person picked an account."""
        form = await form_pairs(request)
        pending = self._world.credentials.pending.get(_one(form, "request"))
        account = self._world.accounts.find(Vendor.HUBSPOT, _one(form, "account"))
        if pending is None or account is None:
            return error_page(_STALE)
        blocked = CONSENT_FAILURES.get(account.switches.at_consent)
        if blocked:
            return error_page(blocked)
        return page(
            "hubspot/consent.html",
            pending=self._world.credentials.choose_account(pending, account),
            account=account,
            portal=self._world.hubspot.portal(account.tenant),
            optional=_optional(pending),
            words=scopes.WORDS,
        )

    async def decide(self, request: Request) -> Response:
        """The person pressed Connect app or Cancel."""
        form = await form_pairs(request)
        pending = self._world.credentials.pending.pop(_one(form, "request"), None)
        if pending is None or pending.account is None:
            return error_page(_STALE)
        if _one(form, "decision") != "accept":
            return _return_to_app(
                pending,
                {"error": "access_denied", "error_description": "The user did not grant access to the app."},
            )
        ticked = [value for name, value in form if name == "scope"]
        granted = (*pending.scopes, *(scope for scope in _optional(pending) if scope in ticked))
        self._world.credentials.give_consent(pending.account, pending.client.project, granted)
        code = self._world.credentials.issue_code(
            AuthorizationCode(
                value=f"na1-{secrets.token_hex(18)}",
                client=pending.client,
                account=pending.account,
                redirect_uri=pending.redirect_uri,
                scopes=granted,
                offline=True,
                issued_at=self._world.clock.now(),
                challenge=pending.parameters.get("code_challenge"),
                challenge_method="S256",
            )
        )
        return _return_to_app(pending, {"code": code.value})


def _problem(client: Client | None, parameters: dict[str, str]) -> str:
    """What is wrong with the request, in words; nothing when it may go on."""
    if client is None:
        return "An invalid app client ID was provided. Contact the app developer."
    if parameters.get("redirect_uri") not in client.redirect_uris:
        return (
            "Authorization failed as the redirect URL "
            f"{parameters.get('redirect_uri', '')!r} doesn't match the app's registered redirect URL."
        )
    if not parameters.get("scope"):
        return "Authorization failed because no scopes were requested."
    asked = [*parameters["scope"].split(), *parameters.get("optional_scope", "").split()]
    strange = [scope for scope in asked if scope not in scopes.WORDS]
    if strange:
        return f"Authorization failed because one or more scopes are invalid: {', '.join(strange)}."
    return _challenge_problem(parameters)


def _challenge_problem(parameters: dict[str, str]) -> str:
    if "code_challenge" not in parameters:
        return ""
    if parameters.get("code_challenge_method") != "S256":
        return "Authorization failed because the code_challenge_method is not S256."
    if not _CHALLENGE.fullmatch(parameters["code_challenge"]):
        return "Authorization failed because the code_challenge is invalid."
    return ""


def _optional(pending: PendingConsent) -> list[str]:
    asked = pending.parameters.get("optional_scope", "").split()
    return [scope for scope in dict.fromkeys(asked) if scope not in pending.scopes]


def _return_to_app(pending: PendingConsent, answer: dict[str, str]) -> Response:
    state = {"state": pending.parameters["state"]} if "state" in pending.parameters else {}
    joint = "&" if "?" in pending.redirect_uri else "?"
    return redirect(f"{pending.redirect_uri}{joint}{urlencode(answer | state)}")


def error_page(problem: str, *, status: int = 400) -> Response:
    """HubSpot's own page, which does not lead back to the app."""
    return page("hubspot/error.html", status=status, problem=problem)


def failure(fault: Fault) -> Response:
    """What the consent page becomes when the fault menu says so."""
    names = {"admin_approval": "no_permission", "error_page": "error_page"}
    words = CONSENT_FAILURES[names.get(fault.menu.answer, "error_page")]
    return error_page(words, status=fault.menu.status or 403)


def _one(form: list[tuple[str, str]], name: str) -> str:
    return next((value for key, value in form if key == name), "")
