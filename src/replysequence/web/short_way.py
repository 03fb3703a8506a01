"""The way of the one request that programs make all day, past most of what FastAPI does around a route.

Finding the route, solving what it depends on and checking the answer once more took as long as accepting a send and
waiting for its outcome. Whatever is not plainly good goes the usual way, which says what is wrong with it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replysequence.services import Services
from replysequence.web.api.inputs import SendInput
from replysequence.web.api.sends import PATH, send_draft
from replysequence.web.callers import Caller, caller_or_none

MOST: Final = 2_000
"""Bytes of a body that goes this way: a plain one has some hundred."""


@dataclass(frozen=True, slots=True)
class _Route:
    """What the access log calls this way."""

    path: str = PATH


_ROUTE: Final = _Route()


@dataclass(frozen=True, slots=True)
class ShortWay:
    """ASGI middleware inside the gate: ``POST /api/drafts/send``."""

    app: ASGIApp
    services: Services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        caller = caller_or_none(request)
        if caller is None or not _is_short_json(request):
            await self.app(scope, receive, send)
            return
        messages = await _messages(receive)
        body = _read(messages)
        if body is None:
            await self.app(scope, _first(messages, then=receive), send)
            return
        scope["route"] = _ROUTE
        response = await self._answer(request, body, caller=caller)
        await response(scope, receive, send)

    async def _answer(self, request: Request, body: SendInput, *, caller: Caller) -> Response:
        sent = await send_draft(
            body,
            services=self.services,
            caller=caller,
            idempotency_key=request.headers.get("idempotency-key"),
            prefer=request.headers.get("prefer"),
        )
        return Response(
            sent.answer.model_dump_json(by_alias=True),
            status_code=sent.status,
            headers=sent.headers,
            media_type="application/json",
        )


def _is_short_json(request: Request) -> bool:
    length = request.headers.get("content-length", "")
    return (
        request.headers.get("content-type") == "application/json"
        and length.isascii()
        and length.isdecimal()
        and len(length) <= len(str(MOST))
        and int(length) <= MOST
    )


async def _messages(receive: Receive) -> Sequence[Message]:
    """The messages of a body: to its end, to that of the connection, or to where it is too long for this way."""
    messages = [await receive()]
    length = len(messages[0].get("body", b""))
    while messages[-1].get("more_body", False) and length <= MOST:
        messages.append(await receive())
        length += len(messages[-1].get("body", b""))
    return messages


def _read(messages: Sequence[Message]) -> SendInput | None:
    """What a body says; none when it says it wrongly, or not to the end."""
    if messages[-1].get("more_body", False):
        return None
    try:
        return SendInput.model_validate(json.loads(b"".join(each["body"] for each in messages)))
    except (KeyError, ValueError, RecursionError):
        return None


def _first(messages: Iterable[Message], *, then: Receive) -> Receive:
    """Gives ``messages`` once more, and after them what comes."""
    left = iter(messages)

    async def receive() -> Message:
        for message in left:
            return message
        return await then()

    return receive
