"""The raw connection under a request, so that a fault can break it for real."""

import asyncio
import contextlib
import socket
import struct
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_KEY = "replysequence.transport"


class BreakableProtocol(H11Protocol):
    """Uvicorn's HTTP/1.1 protocol; hands its transport to the application in the scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app: Any = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, _KEY: transport}, receive, send)

        self.app = cast("Any", with_transport)


def _transport(request: Request) -> asyncio.Transport:
    return cast("asyncio.Transport", request.scope[_KEY])


async def _gone(request: Request) -> None:
    """Wait until the server has noticed that the connection is no more."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def reset(request: Request) -> None:
    """Break the connection of this request with a TCP reset: the peer sees ECONNRESET."""
    transport = _transport(request)
    peer: socket.socket | None = transport.get_extra_info("socket")
    if peer is not None:
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _gone(request)


async def hang_up(request: Request) -> None:
    """Close the connection of this request in an orderly way and without an answer: the peer sees EOF."""
    _transport(request).close()
    await _gone(request)


async def hang(request: Request, *, seconds: float) -> None:
    """Say nothing until the peer gives up; after `seconds` reset the connection."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_gone(request), timeout=seconds)
        return
    await reset(request)


async def break_off(request: Request, response: Response, send: Send) -> None:
    """Send the header section and half of the body of `response`, then close the connection.

    A response without a body breaks off in the middle of its status line.
    """
    body = bytes(response.body)
    if not body:
        _transport(request).write(b"HTTP/1.")
        await hang_up(request)
        return
    await send(
        {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    await hang_up(request)
