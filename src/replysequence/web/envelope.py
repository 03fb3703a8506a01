"""Around every answer: security headers, a line in the access log, figures, and a 500 instead of a trace.

The log line has the route and the ids in it, never the query or the address as typed: a callback's query holds
a code, a join link's path a token.
"""

import time
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replysequence.domain.errors import ReplySequenceError
from replysequence.logs import logger
from replysequence.web import errors
from replysequence.web.callers import Caller
from replysequence.web.security import response_headers

access_log = logger("web.access")

REQUESTS: Final = Counter(
    "replysequence_http_requests_total", "Requests answered.", ("method", "route", "status")
)
SECONDS: Final = Histogram(
    "replysequence_http_request_seconds",
    "Time from request to end of answer, in seconds.",
    ("method", "route"),
)

_GONE = 499  # as other servers log it; no answer has it
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
_LOGGED_IDS = frozenset({"provider", "draft_id", "send_id", "connection_id", "attachment_id", "key_id"})


@dataclass(frozen=True, slots=True)
class Envelope:
    """ASGI middleware, the outermost of ours."""

    app: ASGIApp
    secure: bool
    _headers: tuple[tuple[bytes, bytes], ...] = field(init=False)

    def __post_init__(self) -> None:
        headers = response_headers(secure=self.secure)
        lines = tuple((name.encode(), value.encode()) for name, value in headers.items())
        object.__setattr__(self, "_headers", lines)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                own = {name.lower() for name, _ in headers}
                message["headers"] = headers + [line for line in self._headers if line[0] not in own]
            await send(message)

        try:
            await self.app(scope, receive, enveloped)
        except ClientDisconnect:  # nobody is left to be answered, and nothing of ours is wrong
            status = _GONE
        except Exception as error:  # the outermost place: what arrives here is a fault of ours
            problem = (
                errors.of_ours(error) if isinstance(error, ReplySequenceError) else errors.of_fault(error)
            )
            if status:  # too late for an answer: break the connection off instead of ending it as if whole
                raise
            await errors.respond(Request(scope), problem)(scope, receive, enveloped)
        finally:
            self._note(scope, status=status, seconds=time.perf_counter() - started)

    def _note(self, scope: Scope, *, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = route_of(scope)
        REQUESTS.labels(method, route, status).inc()
        SECONDS.labels(method, route).observe(seconds)
        caller = scope.get("state", {}).get("caller")
        ids = {
            name: str(value)[:64]
            for name, value in scope.get("path_params", {}).items()
            if name in _LOGGED_IDS
        }
        access_log.info(
            "request",
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 1),
            user_id=caller.id if isinstance(caller, Caller) else None,
            **ids,
        )


def route_of(scope: Scope) -> str:
    """The pattern of the route that answered, such as ``/api/drafts/{draft_id}``; never the address as typed."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) and path else "(none)"
