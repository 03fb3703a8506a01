"""Google's authorization endpoint and consent pages (web-server flow guide, checked 2026-11-22).

The pages are plain forms. What Google shows without ever returning to the app ends on
`/signin/oauth/error`; everything else returns to the redirect URI.
"""

import base64
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import google_scopes as scopes
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.credentials import AuthorizationCode, PendingConsent
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.rendering import page, redirect
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World


@dataclass(frozen=True)
class PageError:
    """An error that Google shows on a page of its own, with the number and the code printed there."""

    status: int
    code: str
    words: str


ADMIN_POLICY = PageError(
    400,
    "admin_policy_enforced",
    "Your organisation's administrator does not allow this app to access Google data.",
)

CONSENT_FAILURES: dict[str, PageError] = {
    "admin_approval": ADMIN_POLICY,
    "admin_policy_enforced": ADMIN_POLICY,
    "org_internal": PageError(
        403, "org_internal", "This app can be used only within the organisation of its developer."
    ),
    "not_a_test_user": PageError(
        403,
        "access_denied",
        "The app is being tested and has not completed the Google verification process. Only testers "
        "approved by its developer can access it.",
    ),
    "disallowed_useragent": PageError(
        403,
        "disallowed_useragent",
        "The app opened this page in a browser of its own, which is not allowed.",
    ),
    "error_page": PageError(500, "server_error", "Something went wrong. Please try again later."),
}


class GoogleAuthorize:
    """The pages between `GET /o/oauth2/v2/auth` and the redirect back to the app."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the authorization flow."""
        return [
            site.route("/o/oauth2/v2/auth", self.start, methods=["GET"], endpoint=Endpoint.AUTHORIZE),
            Route("/signin/oauth/accounts", self.choose_account, methods=["POST"]),
            Route("/signin/oauth/warning", self.pass_warning, methods=["POST"]),
            Route("/signin/oauth/consent", self.decide, methods=["POST"]),
            Route("/signin/oauth/error", self.show_error, methods=["GET"]),
        ]

    async def start(self, request: Request) -> Response:
        """Check the authorization request, then show the first page that is needed."""
        parameters = dict(request.query_params)
        error = self._refusal(parameters)
        if error is not None:
            return error_page(error)
        pending = self._world.credentials.hold(
            self._world.credentials.clients[parameters["client_id"]],
            redirect_uri=parameters["redirect_uri"],
            scopes=scopes.canonical(parameters["scope"].split()),
            parameters=parameters,
        )
        hinted = self._hinted(parameters.get("login_hint", ""))
        if hinted is not None:
            pending = self._world.credentials.choose_account(pending, hinted)
        prompts = parameters.get("prompt", "").split()
        if "none" in prompts:
            return self._finish_silently(request, pending)
        if hinted is None or "select_account" in prompts:
            return self._account_chooser(pending)
        return self._next_page(request, pending)

    def _refusal(self, parameters: dict[str, str]) -> PageError | None:
        missing = [
            name
            for name in ("client_id", "redirect_uri", "response_type", "scope")
            if not parameters.get(name)
        ]
        if missing:
            return PageError(400, "invalid_request", f"Missing required parameter: {missing[0]}")
        client = self._world.credentials.client(Vendor.GOOGLE, parameters["client_id"])
        if client is None:
            return PageError(401, "invalid_client", "The OAuth client was not found.")
        if client.deleted:
            return PageError(401, "deleted_client", "The OAuth client was deleted.")
        if parameters["redirect_uri"] not in client.redirect_uris:
            return PageError(
                400,
                "redirect_uri_mismatch",
                "The redirect URI of this request is not registered for the OAuth client: "
                + parameters["redirect_uri"],
            )
        return _malformed(parameters)

    def _hinted(self, hint: str) -> Account | None:
        for account in self._world.accounts.of(Vendor.GOOGLE):
            if hint and hint.casefold() in (account.email.casefold(), account.subject):
                return account
        return None

    def _account_chooser(self, pending: PendingConsent) -> Response:
        accounts = self._world.accounts.of(Vendor.GOOGLE)
        domain = pending.parameters.get("hd", "")
        if domain:
            accounts = [
                a for a in accounts if (a.tenant if domain == "*" else a.tenant == domain)
            ] or accounts
        return page("google/accounts.html", pending=pending, accounts=accounts)

    async def choose_account(self, request: Request) -> Response:
        """The person picked an account."""
        form = await _form(request)
        pending = self._world.credentials.pending.get(form.one("request"))
        account = self._world.accounts.find(Vendor.GOOGLE, form.one("account"))
        if pending is None or account is None:
            return error_page(_STALE)
        return self._next_page(request, self._world.credentials.choose_account(pending, account))

    async def pass_warning(self, request: Request) -> Response:
        """The person went on past the "not verified" page."""
        pending = self._world.credentials.pending.get((await _form(request)).one("request"))
        if pending is None or pending.account is None:
            return error_page(_STALE)
        return self._next_page(request, self._world.credentials.mark_warned(pending))

    def _next_page(self, request: Request, pending: PendingConsent) -> Response:
        account = pending.account
        assert account is not None  # noqa: S101  # every caller has just chosen one
        blocked = CONSENT_FAILURES.get(account.switches.at_consent)
        if blocked is not None:
            return error_page(blocked)
        asks = "consent" in pending.parameters.get("prompt", "").split() or not self._covered(
            pending, account
        )
        if asks and account.switches.unverified_app and not pending.warned:
            return page("google/unverified.html", pending=pending, account=account)
        if asks:
            return page(
                "google/consent.html",
                pending=pending,
                account=account,
                boxes=scopes.tickable(pending.scopes),
                words=scopes.WORDS,
            )
        return self._return_with_code(request, pending, granted=pending.scopes, asked=False)

    def _covered(self, pending: PendingConsent, account: Account) -> bool:
        grant = self._world.credentials.grant(account, pending.client.project)
        return grant is not None and grant.scopes.issuperset(pending.scopes)

    def _finish_silently(self, request: Request, pending: PendingConsent) -> Response:
        if pending.account is None or not self._covered(pending, pending.account):
            return self._return_to_app(
                pending, {"error": "interaction_required", "error_subtype": "access_denied"}
            )
        return self._return_with_code(request, pending, granted=pending.scopes, asked=False)

    async def decide(self, request: Request) -> Response:
        """The person pressed Continue or Cancel on the consent page."""
        form = await _form(request)
        pending = self._world.credentials.pending.get(form.one("request"))
        if pending is None or pending.account is None:
            return error_page(_STALE)
        ticked = form.all("scope")
        boxes = scopes.tickable(pending.scopes)
        granted = tuple(scope for scope in pending.scopes if scope not in boxes or scope in ticked)
        if form.one("decision") != "continue" or not granted:
            return self._return_to_app(pending, {"error": "access_denied"})
        return self._return_with_code(request, pending, granted=granted, asked=True)

    def _return_with_code(
        self, request: Request, pending: PendingConsent, *, granted: Iterable[str], asked: bool
    ) -> Response:
        account, parameters = pending.account, pending.parameters
        assert account is not None  # noqa: S101  # nobody consents without an account
        grant = self._world.credentials.give_consent(account, pending.client.project, granted)
        merged = scopes.canonical(granted)
        if parameters.get("include_granted_scopes") == "true":
            merged = scopes.canonical([*merged, *sorted(grant.scopes)])
        code = self._world.credentials.issue_code(
            AuthorizationCode(
                value=f"4/0A{secrets.token_urlsafe(48)}",
                client=pending.client,
                account=account,
                redirect_uri=pending.redirect_uri,
                scopes=merged,
                offline=asked and parameters.get("access_type") == "offline",
                issued_at=self._world.clock.now(),
                nonce=parameters.get("nonce"),
                challenge=parameters.get("code_challenge"),
                challenge_method=parameters.get("code_challenge_method", "plain"),
            )
        )
        answer = {
            "iss": issuer(request),
            "code": code.value,
            "scope": scopes.displayed(merged),
            "authuser": str(self._world.accounts.of(Vendor.GOOGLE).index(account)),
        }
        if account.tenant:
            answer["hd"] = account.tenant
        return self._return_to_app(pending, {**answer, "prompt": "consent" if asked else "none"})

    def _return_to_app(self, pending: PendingConsent, answer: dict[str, str]) -> Response:
        """Redirect to the app; `state` comes first on success and last on an error, as captured."""
        self._world.credentials.pending.pop(pending.id, None)
        state = {"state": pending.parameters["state"]} if "state" in pending.parameters else {}
        ordered = {**answer, **state} if "error" in answer else {**state, **answer}
        joint = "&" if "?" in pending.redirect_uri else "?"
        return redirect(f"{pending.redirect_uri}{joint}{urlencode(ordered)}")

    async def show_error(self, request: Request) -> Response:
        """The page that a refused authorization request ends on."""
        try:
            told = json.loads(base64.urlsafe_b64decode(request.query_params.get("authError", "")))
            error = PageError(int(told[0]), str(told[1]), str(told[2]))
        except (ValueError, LookupError, TypeError):
            error = _STALE
        return page("google/error.html", status=error.status, error=error)


_STALE = PageError(400, "invalid_request", "This sign-in is over. Go back to the app and start again.")


_ALLOWED = {
    "response_type": re.compile("code"),
    "prompt": re.compile(r"none|(?:consent|select_account)?(?: (?:consent|select_account))*"),
    "access_type": re.compile("online|offline"),
    "code_challenge": re.compile("[A-Za-z0-9._~-]{43,128}"),
    "code_challenge_method": re.compile("plain|S256"),
}


def _malformed(parameters: dict[str, str]) -> PageError | None:
    for name, allowed in _ALLOWED.items():
        if name in parameters and not allowed.fullmatch(parameters[name]):
            return PageError(
                400, "invalid_request", f"Invalid parameter value for {name}: {parameters[name]}"
            )
    strange = scopes.unknown(scopes.canonical(parameters["scope"].split()))
    if strange:
        return PageError(400, "invalid_scope", f"Some requested scopes were invalid. {{invalid={strange}}}")
    return None


def issuer(request: Request) -> str:
    """The issuer of this stand-in: the origin that it is reached at."""
    return str(request.base_url).rstrip("/")


def error_page(error: PageError) -> Response:
    """Send the browser to the error page; the app never hears of it."""
    told = base64.urlsafe_b64encode(json.dumps([error.status, error.code, error.words]).encode()).decode()
    return redirect(f"/signin/oauth/error?{urlencode({'authError': told})}")


@dataclass(frozen=True)
class _Form:
    pairs: tuple[tuple[str, str], ...]

    def one(self, name: str) -> str:
        return next((value for key, value in self.pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]


async def _form(request: Request) -> _Form:
    return _Form(tuple(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)))
