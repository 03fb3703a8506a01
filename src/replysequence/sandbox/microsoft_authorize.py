"""The authorization endpoint of the Microsoft stand-in: the pages between an app's redirect and its callback.

Source: Microsoft identity platform, "OAuth 2.0 authorization code flow", "OpenID Connect" and "Redirect URI
restrictions", checked 2026-11-22.
"""

import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import microsoft_errors as errors
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.credentials import AuthorizationCode, Client, PendingConsent
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.microsoft_directory import (
    OFFLINE,
    PERMISSIONS,
    Directory,
    UnknownScope,
    read_scopes,
)
from replysequence.sandbox.microsoft_errors import Refusal
from replysequence.sandbox.rendering import page, redirect
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

APPLICATION = "ReplySequence"
"""What the pages call the app."""

CONSENT_FAILURES = {
    "admin_approval": "an administrator must approve the app first; the app is not told why",
    "admin_approval_reported": "an administrator must approve the app first, and the app is told so at once",
    "mfa": "asks for a second factor on the way",
    "conditional_access": "Conditional Access blocks the sign-in; the app never hears of it",
    "not_assigned": "the person is not assigned to the app; the app never hears of it",
}
"""What `Switches.at_consent` may name."""

_PROMPTS = frozenset({"", "login", "none", "consent", "select_account"})
_LOCALHOST = re.compile(r"(https?://localhost)(?::\d+)?(/.*)?", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class _Obstacle:
    """What stands between a request and its code: a page, and the refusal where nothing may be shown."""

    template: str
    silent: Refusal
    values: dict[str, Any] = field(default_factory=dict)


class Authorization:
    """Checks authorization requests, shows the pages, and sends the person back with a code or an error."""

    def __init__(self, world: World, directory: Directory) -> None:
        self._world = world
        self._directory = directory
        self._proved: set[str] = set()
        """Pending requests whose person has shown a second factor."""

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the authorization flow."""
        return [
            site.route(
                "/{segment}/oauth2/v2.0/authorize",
                self.authorize,
                methods=["GET"],
                endpoint=Endpoint.AUTHORIZE,
            ),
            Route("/{segment}/login", self.answer, methods=["POST"]),
        ]

    async def authorize(self, request: Request) -> Response:
        """`GET /{segment}/oauth2/v2.0/authorize`."""
        parameters = dict(request.query_params) | {"segment": request.path_params["segment"]}
        client = self._world.credentials.client(Vendor.MICROSOFT, parameters.get("client_id", ""))
        refusal = self._refuse_on_page(parameters, client)
        if refusal is not None or client is None:
            return self._error_page(refusal or errors.UNKNOWN_APPLICATION, parameters)
        try:
            scopes = read_scopes(parameters.get("scope", ""))
        except UnknownScope as unknown:
            return self._send_back(
                parameters, self._error(errors.NO_SUCH_SCOPE, parameters | {"scope": unknown.scope})
            )
        refusal = _refuse_in_callback(parameters, scopes)
        if refusal is not None:
            return self._send_back(parameters, self._error(refusal, parameters))
        pending = self._world.credentials.hold(
            client, redirect_uri=parameters["redirect_uri"], scopes=scopes, parameters=parameters
        )
        return self._proceed(self._recognise(pending))

    async def answer(self, request: Request) -> Response:
        """`POST /{segment}/login`: what the person pressed on one of the pages."""
        form = await request.form()
        pending = self._world.credentials.pending.get(str(form.get("pending", "")))
        if pending is None:
            return self._error_page(errors.REQUEST_LOST)
        match form.get("step"), form.get("decision"):
            case "account", _:
                return self._choose(pending, form)
            case "mfa", "continue":
                self._proved.add(pending.id)
                return self._proceed(pending)
            case "consent", "accept" if pending.account:
                return self._finish(pending, pending.account)
            case "consent", _:
                return self._declined(pending)
            case _:
                return self._return(pending, {"error": "access_denied", "error_subcode": "cancel"})

    def _refuse_on_page(self, parameters: dict[str, str], client: Client | None) -> Refusal | None:
        if not self._directory.knows(parameters["segment"]):
            return errors.UNKNOWN_TENANT
        if client is None or client.deleted:
            return errors.UNKNOWN_APPLICATION
        if not parameters.get("redirect_uri"):
            return errors.REDIRECT_MISSING
        if not is_registered(client, parameters["redirect_uri"]):
            return errors.REDIRECT_NOT_REGISTERED
        return None

    def _recognise(self, pending: PendingConsent) -> PendingConsent:
        """Skip the account picker where `login_hint` names somebody, unless the app insists on the picker."""
        hinted = self._world.accounts.find(Vendor.MICROSOFT, pending.parameters.get("login_hint", ""))
        if hinted is None or pending.parameters.get("prompt") in {"login", "select_account"}:
            return pending
        return self._world.credentials.choose_account(pending, hinted)

    def _choose(self, pending: PendingConsent, form: FormData) -> Response:
        email = str(form.get("account", "")).strip()
        account = self._world.accounts.find(Vendor.MICROSOFT, email)
        if account is None:
            return self._picker(pending, unknown=email)
        return self._proceed(self._world.credentials.choose_account(pending, account))

    def _proceed(self, pending: PendingConsent) -> Response:
        """Show the next page, or finish. With `prompt=none` nothing is shown."""
        silent = pending.parameters.get("prompt") == "none"
        if pending.account is None:
            return self._refuse(pending, errors.NO_SESSION) if silent else self._picker(pending)
        account = pending.account
        if account.switches.at_consent == "admin_approval_reported":
            return self._refuse(pending, errors.NEEDS_ADMIN)
        obstacle = self._obstacle(pending, account)
        if obstacle is None:
            return self._finish(pending, account)
        if silent:
            return self._refuse(pending, obstacle.silent)
        return page(
            f"microsoft/{obstacle.template}.html", pending=pending, account=account, **obstacle.values
        )

    def _obstacle(self, pending: PendingConsent, account: Account) -> _Obstacle | None:
        """The first thing in the way of `account`."""
        segment = pending.parameters["segment"]
        if not self._directory.admits(segment, account):
            return self._blocked(errors.WRONG_ACCOUNT_KIND, {"account": account.email, "segment": segment})
        match account.switches.at_consent:
            case "conditional_access":
                return self._blocked(errors.BLOCKED_BY_POLICY)
            case "not_assigned":
                return self._blocked(errors.NOT_ASSIGNED, {"account": account.email})
            case "mfa" if pending.id not in self._proved:
                return _Obstacle(template="mfa", silent=errors.NEEDS_MFA)
            case _:
                return self._consent_obstacle(pending, account)

    def _consent_obstacle(self, pending: PendingConsent, account: Account) -> _Obstacle | None:
        forced = pending.parameters.get("prompt") == "consent"
        missing = self._directory.needs_consent(account, pending.client, pending.scopes)
        if not missing and not forced:
            return None
        values: dict[str, Any] = {}
        if not self._directory.user_may_consent(account, pending.scopes if forced else missing):
            values["description"] = self._describe(errors.NEEDS_ADMIN)
            return _Obstacle(template="admin_approval", silent=errors.NOT_CONSENTED_SILENT, values=values)
        values["permissions"] = [PERMISSIONS[scope] for scope in pending.scopes]
        values["unverified"] = account.switches.unverified_app
        return _Obstacle(template="consent", silent=errors.NOT_CONSENTED_SILENT, values=values)

    def _blocked(self, refusal: Refusal, values: Mapping[str, str] = errors.NO_VALUES) -> _Obstacle:
        description = self._describe(refusal, values)
        return _Obstacle(template="error", silent=refusal, values={"description": description})

    def _finish(self, pending: PendingConsent, account: Account) -> Response:
        credentials = self._world.credentials
        credentials.give_consent(account, pending.client.project, pending.scopes)
        parameters = pending.parameters
        code = credentials.issue_code(
            AuthorizationCode(
                value=_new_code(account),
                client=pending.client,
                account=account,
                redirect_uri=pending.redirect_uri,
                scopes=pending.scopes,
                offline=OFFLINE in pending.scopes,
                issued_at=self._world.clock.now(),
                nonce=parameters.get("nonce"),
                challenge=parameters.get("code_challenge"),
                challenge_method=parameters.get("code_challenge_method", "plain"),
                segment=parameters["segment"],
            )
        )
        session = {} if account.is_personal else {"session_state": str(uuid.uuid4())}
        return self._return(pending, {"code": code.value} | session)

    def _declined(self, pending: PendingConsent) -> Response:
        if pending.account and pending.account.is_personal:
            return self._return(
                pending, {"error": "access_denied", "error_description": errors.PERSONAL_DENIED}
            )
        return self._return(pending, self._error(errors.DECLINED) | {"error_subcode": "cancel"})

    def _refuse(self, pending: PendingConsent, refusal: Refusal) -> Response:
        return self._return(pending, self._error(refusal, pending.parameters))

    def _return(self, pending: PendingConsent, answer: dict[str, str]) -> Response:
        """Send the person back to the app; the pending request is spent."""
        self._world.credentials.pending.pop(pending.id, None)
        self._proved.discard(pending.id)
        return self._send_back(pending.parameters, answer)

    def _send_back(self, parameters: dict[str, str], answer: dict[str, str]) -> Response:
        if "state" in parameters:
            answer = answer | {"state": parameters["state"]}
        target = parameters["redirect_uri"]
        target += "" if urlsplit(target).path else "/"
        match parameters.get("response_mode", "query"):
            case "form_post":
                return page("microsoft/form_post.html", target=target, fields=answer)
            case "fragment":
                return redirect(f"{target}#{urlencode(answer)}")
            case _:
                return redirect(f"{target}?{urlencode(answer)}")

    def _picker(self, pending: PendingConsent, *, unknown: str = "") -> Response:
        return page(
            "microsoft/accounts.html",
            pending=pending,
            accounts=self._world.accounts.of(Vendor.MICROSOFT),
            hint=pending.parameters.get("login_hint", ""),
            unknown=unknown,
        )

    def _error_page(self, refusal: Refusal, values: Mapping[str, str] = errors.NO_VALUES) -> Response:
        """An error that the app never hears of: HTTP 200, no redirect."""
        return page("microsoft/error.html", description=self._describe(refusal, values))

    def _error(self, refusal: Refusal, values: Mapping[str, str] = errors.NO_VALUES) -> dict[str, str]:
        return {"error": refusal.error, "error_description": self._describe(refusal, values)}

    def _describe(self, refusal: Refusal, values: Mapping[str, str] = errors.NO_VALUES) -> str:
        return errors.describe(refusal, {"application": APPLICATION, **values}, now=self._world.clock.now())


def is_registered(client: Client, redirect_uri: str) -> bool:
    """Whether `redirect_uri` is registered: byte for byte, but for the port of `localhost`."""
    return _portless(redirect_uri) in {_portless(registered) for registered in client.redirect_uris}


def _portless(uri: str) -> str:
    found = _LOCALHOST.fullmatch(uri)
    return found.group(1) + (found.group(2) or "") if found else uri


def _refuse_in_callback(parameters: dict[str, str], scopes: tuple[str, ...]) -> Refusal | None:
    if parameters.get("response_type") != "code":
        return errors.BAD_RESPONSE_TYPE
    if not scopes:
        return errors.NO_SCOPE
    if parameters.get("prompt", "") not in _PROMPTS:
        return errors.BAD_PROMPT
    method, challenge = parameters.get("code_challenge_method", "plain"), parameters.get("code_challenge")
    if challenge is not None and (method not in {"plain", "S256"} or not 43 <= len(challenge) <= 128):
        return errors.BAD_CHALLENGE
    return None


def _new_code(account: Account) -> str:
    """Work accounts get a long code, personal ones a short one; both are opaque."""
    if account.is_personal:
        return f"M.C5xx_BAY.2.U.{uuid.uuid4()}"
    return "1.AX" + secrets.token_urlsafe(750)
