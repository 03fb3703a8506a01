"""How much a request may bring, checked before it is read and while it is."""

import re
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replysequence.web import errors

MEGABYTE: Final = 1_000_000
FILE_BYTES: Final = 36 * MEGABYTE
"""The largest file that may be attached; the message as a whole is judged by preflight."""

BODIES: Final = 16 * MEGABYTE
"""What the HTML and the text of a draft can come to at most, in JSON or as a form."""

_FORM_OVERHEAD = MEGABYTE

LIMITS: Final = (
    (re.compile(r"/api/drafts"), FILE_BYTES * 4 // 3 + 2 * MEGABYTE),  # files in base64, and the bodies
    (re.compile(r"/api/drafts/[0-9a-fA-F-]{36}"), BODIES),
    (re.compile(r"/api/drafts/[^/]+/attachments"), FILE_BYTES + _FORM_OVERHEAD),
    (re.compile(r"/drafts/[^/]+/autosave"), BODIES),
    (re.compile(r"/drafts(?:/[^/]+)?"), FILE_BYTES + 2 * _FORM_OVERHEAD),
)
"""Paths that take more than the usual :data:`MEGABYTE`."""


def limit_of(path: str) -> int:
    """How many bytes a request to ``path`` may have."""
    return next((limit for pattern, limit in LIMITS if pattern.fullmatch(path)), MEGABYTE)


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """ASGI middleware: 413 for a body over the limit of its path, before more than that is in memory."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        limit = limit_of(scope["path"])
        too_large = HTTPException(
            413, f"The request is larger than the {limit / MEGABYTE:.0f} MB that it may have here."
        )
        if _announced(request) > limit:
            await errors.respond(request, errors.of_http(too_large))(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise too_large
            return message

        await self.app(scope, counted, send)


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0
