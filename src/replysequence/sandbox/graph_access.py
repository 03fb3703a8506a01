"""Who calls Graph, how often, and the errors that all of it words alike.

Source: Microsoft Graph "Error responses", "Throttling limits" and "Best practices", checked 2026-11-22; bodies and
statuses of errors from recorded exchanges.
"""

import json
import uuid
from collections import defaultdict, deque
from datetime import datetime, timedelta
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.carried import bearer
from replysequence.sandbox.credentials import AccessToken
from replysequence.sandbox.faults import Fault, Phase
from replysequence.sandbox.graph_message import GraphRefusal
from replysequence.sandbox.world import World

REQUESTS_PERIOD = timedelta(minutes=10)
"""Graph counts the requests of an app to a mailbox over ten minutes."""
ACCESS_DENIED = GraphRefusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
FAULTS = {
    401: ("InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
    429: ("ApplicationThrottled", "Application is over its MailboxConcurrency limit."),
    500: ("ErrorInternalServerError", "An internal server error occurred. The operation failed."),
    503: ("ErrorServerBusy", "The server cannot service this request right now. Try again later."),
}


class Access:
    """The door of Graph: one for everything behind it, because the requests of a mailbox are counted together."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._requests: defaultdict[str, deque[datetime]] = defaultdict(deque)

    async def account_of(self, request: Request) -> str | None:
        """The account whose bearer token the request carries."""
        token = self._world.credentials.access_tokens.get(bearer(request))
        return token.account.email if token else None

    def authorize(self, request: Request, *scopes: str, denied: GraphRefusal = ACCESS_DENIED) -> AccessToken:
        """The bearer token. Raises GraphRefusal: 401 without a usable one, `denied` where it has none of `scopes`."""
        shown = bearer(request)
        if self._world.credentials.access_tokens.get(shown) is None:
            message = "CompactToken parsing failed with error code: 80049217"
            raise GraphRefusal(401, "InvalidAuthenticationToken", message)
        token = self._world.credentials.usable_access_token(shown)
        if token is None or token.client is not self._world.microsoft_client:
            raise GraphRefusal(401, *FAULTS[401])
        if not set(scopes) & set(token.scopes):
            raise denied
        return token

    def count(self, account: Account) -> None:
        """Count a request of any kind. Raises GraphRefusal when it is one too many."""
        settings, now = self._world.settings[Vendor.MICROSOFT], self._world.clock.now()
        requests = self._requests[account.email]
        requests.append(now)
        while requests[0] <= now - REQUESTS_PERIOD:
            requests.popleft()
        if len(requests) > settings.units_per_minute * REQUESTS_PERIOD / timedelta(minutes=1):
            raise Throttled("Application is over its MailboxRequests limit.", seconds=60)


class Throttled(GraphRefusal):
    """429, with the whole seconds to wait."""

    def __init__(self, message: str, *, seconds: int) -> None:
        super().__init__(429, "ApplicationThrottled", message)
        self.seconds = seconds


def error(request: Request, refusal: GraphRefusal) -> Response:
    """Graph's error envelope; a request that is too large gets a page of the front end instead."""
    if refusal.status == 413:
        return HTMLResponse("<html><body><h1>413 Request Entity Too Large</h1></body></html>", 413)
    trace = trace_of(request)
    if isinstance(refusal, Throttled):
        trace |= {"Retry-After": str(refusal.seconds), "RateLimit-Exceeded": "MailboxConcurrency"}
    return _envelope(refusal.status, refusal.code, refusal.message, trace)


def failure(fault: Fault) -> Response:
    """What Graph answers when the fault menu says so: its envelope, or a web page from a gateway.

    A Retry-After says that nothing was done, so a 503 after acceptance comes from a gateway and has none.
    """
    if fault.menu.answer == "missing_scope":
        return _envelope(403, ACCESS_DENIED.code, ACCESS_DENIED.message, {"request-id": str(uuid.uuid4())})
    status, after = fault.menu.status or 200, fault.menu.phase is Phase.AFTER
    if status not in FAULTS or (after and status == 503):
        return HTMLResponse(
            f"<html><body><h1>{status} {HTTPStatus(status).phrase}</h1></body></html>", status
        )
    trace = {"request-id": str(uuid.uuid4())}
    if status in {429, 503}:
        trace["Retry-After"] = str(fault.retry_after_seconds)
    return _envelope(status, *FAULTS[status], trace)


def _envelope(status: int, code: str, message: str, trace: dict[str, str]) -> Response:
    inner = {
        "date": datetime.now().astimezone().strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": trace["request-id"],
        "client-request-id": trace.get("client-request-id", trace["request-id"]),
    }
    body = {"error": {"code": code, "message": message, "innerError": inner}}
    return JSONResponse(body, status, headers=trace)


def trace_of(request: Request) -> dict[str, str]:
    """The headers by which support finds a request again."""
    request_id = str(uuid.uuid4())
    diagnostic = {
        "ServerInfo": {"DataCenter": "Sandbox", "Slice": "E", "Ring": "1", "RoleInstance": "SANDBOX01"}
    }
    return {
        "request-id": request_id,
        "client-request-id": request.headers.get("client-request-id", request_id),
        "x-ms-ags-diagnostic": json.dumps(diagnostic),
    }
