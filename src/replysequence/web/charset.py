"""Forms with files are UTF-8, and nothing else (RFC 7578 §5.1.2, checked 2026-11-22).

The parser would follow a ``charset`` parameter to any codec of Python's, among them some that make lone surrogates
out of plain letters and one that fails whatever it is given.
"""

import re
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from replysequence.web import errors

_UTF8: Final = re.compile(r';\s*charset="?utf-?8"?\s*(?:;|$)')
_OTHER_CHARSET: Final = HTTPException(415)


@dataclass(frozen=True, slots=True)
class Utf8Forms:
    """ASGI middleware: 415 for a multipart body that says it is in another character set."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _names_another_charset(Request(scope)):
            await errors.respond(Request(scope), errors.of_http(_OTHER_CHARSET))(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _names_another_charset(request: Request) -> bool:
    content_type = request.headers.get("content-type", "").lower()
    named = content_type.count("charset") if content_type.lstrip().startswith("multipart/") else 0
    return named > 1 or (named == 1 and not _UTF8.search(content_type))
