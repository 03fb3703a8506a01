"""How much a request may bring, checked before it is read and while it is."""

import re
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replysequence.services.drafting import MAX_ATTACHMENT, MAX_HTML, MAX_TEXT
from replysequence.web import errors

MEGABYTE: Final = 1_000_000
BODIES: Final = 6 * (MAX_TEXT + MAX_HTML) + MEGABYTE
"""What the HTML and the text of a draft can come to at most: JSON may write six bytes a character, as an escape."""

LIMITS: Final = (
    (re.compile(r"/api/drafts"), MAX_ATTACHMENT * 4 // 3 + BODIES),  # files in base64, and the bodies
    (re.compile(r"/api/drafts/[0-9a-fA-F-]{36}"), BODIES),
    (re.compile(r"/api/drafts/[^/]+/attachments"), MAX_ATTACHMENT + MEGABYTE),
    (re.compile(r"/drafts/[^/]+/autosave"), BODIES),
    (re.compile(r"/drafts(?:/[^/]+)?"), MAX_ATTACHMENT + BODIES),
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
