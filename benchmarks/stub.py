"""A stand-in for Gmail, Graph and Resend that costs next to nothing, so that it is never what limits a figure.

It answers hand-written HTTP/1.1 over TLS after a fixed time, takes every message, and counts how often it took which:
so each benchmark also shows that nothing was lost and nothing sent twice. `tests/` uses the faithful sandbox instead.

    python -m benchmarks.stub AUTHORITY_FILE LATENCY_SECONDS     writes its CA, prints its port, ends with its input
"""

import asyncio
import contextlib
import itertools
import json
import re
import resource
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pybase64
import uvloop

from benchmarks.measured import hear, tell
from support.certificates import authority, serving

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"\r\nidempotency-key: *(\S+)", re.IGNORECASE)
_IN_MIME = re.compile(rb"\nX-[A-Za-z-]*Send-Id: *(\S+)")
_IN_JSON = re.compile(rb'"X-[A-Za-z-]*Send-Id", "value": "([^"]+)"')
_RAW = re.compile(rb'"raw": ?"([A-Za-z0-9_=-]+)"')

_numbers = itertools.count(1)


def gmail_id(_: bytes, body: bytes) -> bytes | None:
    """The send id in a `messages.send`, if its sender wrote one."""
    raw = _RAW.search(body)
    found = _IN_MIME.search(pybase64.urlsafe_b64decode(raw[1])) if raw else None
    return found[1] if found else None


def graph_id(_: bytes, body: bytes) -> bytes | None:
    """The send id in a `sendMail`, whose body is JSON or MIME in base64."""
    found = _IN_JSON.search(body) if body.startswith(b"{") else _IN_MIME.search(pybase64.b64decode(body))
    return found[1] if found else None


def resend_id(head: bytes, _: bytes) -> bytes | None:
    """The idempotency key of a request to Resend."""
    found = _KEY.search(head)
    return found[1] if found else None


def gmail_answer() -> bytes:
    number = next(_numbers)
    return _answer(200, f'{{"id": "{number:016x}", "threadId": "{number:016x}", "labelIds": ["SENT"]}}')


def graph_answer() -> bytes:
    return _answer(202, "", f"request-id: 00000000-0000-4000-8000-{next(_numbers):012x}\r\n")


def resend_answer() -> bytes:
    return _answer(
        200, f'{{"id": "00000000-0000-4000-8000-{next(_numbers):012x}"}}', "ratelimit-limit: 1000000\r\n"
    )


def _answer(status: int, body: str, headers: str = "") -> bytes:
    kind = "Content-Type: application/json; charset=UTF-8\r\n" if body else ""
    return f"HTTP/1.1 {status} OK\r\n{kind}{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()


Identify = Callable[[bytes, bytes], bytes | None]
ROUTES: dict[bytes, tuple[Identify, Callable[[], bytes]]] = {
    b"/gmail/v1/users/me/messages/send": (gmail_id, gmail_answer),
    b"/v1.0/me/sendMail": (graph_id, graph_answer),
    b"/emails": (resend_id, resend_answer),
}


class Tally:
    """What was accepted: how many messages, and how often each that has an id."""

    def __init__(self) -> None:
        self.accepted = 0
        self.times: Counter[bytes] = Counter()

    def take(self, send_id: bytes | None) -> None:
        self.accepted += 1
        if send_id is not None:
            self.times[send_id] += 1

    def facts(self) -> dict[str, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "accepted": self.accepted,
            "distinct": len(self.times),
            "doubled": sum(times > 1 for times in self.times.values()),
            "cpu": used.ru_utime + used.ru_stime,
        }


class Connection(asyncio.Protocol):
    """One client. It asks one thing at a time, as HTTP/1.1 clients do."""

    def __init__(self, tally: Tally, *, latency: float) -> None:
        self._tally = tally
        self._latency = latency
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        target = head.split(b" ", 2)[1].partition(b"?")[0]
        if target not in ROUTES:
            self._transport.write(
                _answer(404, json.dumps({"error": {"code": 404, "message": "no such path"}}))
            )
            return
        identify, answer = ROUTES[target]
        self._tally.take(identify(head, body))
        self._loop.call_later(self._latency, self._write, answer())

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(*, latency: float) -> None:
    """Run until standard input ends. The word `tally` there is answered with the counts, `reset` empties them."""
    tally = Tally()

    def connection() -> Connection:
        return Connection(tally, latency=latency)

    server = await asyncio.get_running_loop().create_server(
        connection, "127.0.0.1", 0, ssl=serving(), backlog=2048
    )
    tell(port=server.sockets[0].getsockname()[1])
    while word := await hear():
        tell(**tally.facts())
        if word == "reset":
            tally.accepted = 0
            tally.times.clear()
    server.close()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(authority().pem)
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(latency=float(sys.argv[2])))
