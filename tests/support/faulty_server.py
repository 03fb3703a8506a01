"""A server that breaks connections in every way it can, and keeps count of the requests that it had whole.

Its count is the truth that a client's verdict is held against: what is called "never sent" must not be in it.
`FAULTS` is the table. Each fault says how far a client may say that its request got, for a body that leaves
in one piece and for one that is larger than all buffers on the way.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType

from replysequence.providers.http import Phase
from support.certificates import Kind, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n"
ANSWER = OK + b'{"id": "a"}'
BOMB = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)


class Wire:
    """One connection, seen from the server."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: "FaultyServer"
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.server = server
        self._length = 0
        self._missing = 0

    async def head(self) -> None:
        """Read a header block."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        _, _, after = head.partition(b"content-length:")
        self._length = self._missing = int(after.partition(b"\r\n")[0] or 0)
        self.server.heads.append(head)
        self.server.has_begun.set()
        self._count()

    async def body(self, *, part: float = 1) -> None:
        """Read so much of the body, or all of it."""
        left = int(self._length * (1 - part))
        while self._missing > left:
            data = await self._reader.read(min(self._missing - left, 1 << 16))
            if not data:
                raise ConnectionAbortedError
            self._missing -= len(data)
            self._count()

    async def request(self) -> None:
        await self.head()
        await self.body()

    async def some(self, count: int) -> None:
        """Read so many bytes, whatever they are."""
        await self._reader.readexactly(count)

    async def send(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionAbortedError
        self._writer.write(data)
        await asyncio.sleep(
            0
        )  # a drain that need not wait would keep the loop from hearing of a lost connection
        await self._writer.drain()

    async def let_it_be_read(self) -> None:
        """Give the client time to take what was sent: a reset throws away what it has not read yet."""
        await asyncio.sleep(0.05)

    def finish(self) -> None:
        """FIN: we send no more. What the client sends is still read and counted."""
        with self._socket() as ours:
            ours.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """RST, at once."""
        with self._socket() as ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def _socket(self) -> socket.socket:
        """A second handle on the connection: the event loops lend only a part of theirs."""
        lent = self._writer.get_extra_info("socket")
        if lent is None or lent.fileno() < 0:
            raise ConnectionAbortedError("the client was faster")
        return socket.socket(fileno=os.dup(lent.fileno()))

    async def rest(self) -> None:
        """Read on to the end, so that a request that becomes whole after all is counted."""
        if self._missing:
            await self.body()
        while True:
            await self.request()

    def _count(self) -> None:
        if not self._missing:
            self.server.whole += 1
            self.server.has_whole.set()


Script = Callable[[Wire], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """One way to fail. `small`, `large`: the phases a client may report; STATUS_RECEIVED means an answer."""

    name: str
    script: Script
    small: frozenset[Phase]
    large: frozenset[Phase]
    truncated: bool = False
    certificate: Kind = "good"
    before_tls: bool = False
    """The server speaks no TLS, though the address says https."""
    listening: bool = True
    host: str = "127.0.0.1"

    @property
    def tls_only(self) -> bool:
        return self.before_tls or self.certificate != "good"

    def __str__(self) -> str:
        return self.name


class FaultyServer:
    """Serves one fault on loopback. `whole`: requests that it had whole. `accepted`: connections."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> None:
        self.whole = 0
        self.accepted = 0
        self.heads: list[bytes] = []
        self.has_begun = asyncio.Event()
        """Set by the first header block, as `has_whole` is by the first whole request."""
        self.has_whole = asyncio.Event()
        self.client_is_done = asyncio.Event()
        self._script = script
        self._tls = tls
        self._open: dict[asyncio.Task[None], asyncio.WriteTransport] = {}
        self.port = 0

    @classmethod
    def of(cls, fault: Fault, *, tls: bool) -> "FaultyServer":
        return cls(fault.script, tls=serving(fault.certificate) if tls and not fault.before_tls else None)

    async def __aenter__(self) -> "FaultyServer":
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # so that 8 MB never fits
        listener.bind(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._serve, sock=listener, ssl=self._tls)
        self.port = listener.getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.settle()
        self._server.close()
        await self._server.wait_closed()

    async def stop_listening(self) -> None:
        self._server.close()

    async def settle(self) -> None:
        """Wait until nothing more can arrive, and `whole` is final. Connections that stay open are cut."""
        self.client_is_done.set()
        if self._open:
            _, open_still = await asyncio.wait(self._open, timeout=1)
            for handler in open_still:
                self._open[handler].abort()
            await asyncio.gather(*open_still)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._open[handler] = writer.transport
        self.accepted += 1
        wire = Wire(reader, writer, self)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
                await self._script(wire)
                await wire.rest()
        finally:
            del self._open[handler]
            writer.transport.abort()


async def answers(wire: Wire) -> None:
    """No fault at all: every request is answered, and the connection stays open."""
    while True:
        await wire.request()
        await wire.send(ANSWER)


async def silent(wire: Wire) -> None:
    await wire.server.client_is_done.wait()


async def stops_reading(wire: Wire) -> None:
    await wire.head()
    await wire.server.client_is_done.wait()


async def closes_at_once(wire: Wire) -> None:
    wire.finish()


async def resets_at_once(wire: Wire) -> None:
    wire.reset()


async def resets_in_headers(wire: Wire) -> None:
    await wire.some(10)
    wire.reset()


async def resets_in_body(wire: Wire) -> None:
    await wire.head()
    await wire.body(part=0.5)
    wire.reset()


async def finishes_in_body(wire: Wire) -> None:
    await wire.head()
    await wire.body(part=0.5)
    wire.finish()


async def resets_after_body(wire: Wire) -> None:
    await wire.request()
    wire.reset()


async def finishes_after_body(wire: Wire) -> None:
    await wire.request()
    wire.finish()


async def answers_in_clear(wire: Wire) -> None:
    await wire.some(5)
    await wire.send(ANSWER)
    wire.finish()


def says(data: bytes, then: Callable[[Wire], None] | None = None) -> Script:
    """Read the request, say this, and then finish, reset, or keep silent."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(data)
        if then is not None:
            await wire.let_it_be_read()
            then(wire)

    return script


def says_at_once(data: bytes, then: Callable[[Wire], None] | None = None) -> Script:
    """Say this before the body was read."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(data)
        if then is not None:
            await wire.let_it_be_read()
            then(wire)

    return script


def floods(start: bytes, more: bytes) -> Script:
    """Read the request, begin like this, and repeat the rest until the client hangs up."""

    async def script(wire: Wire) -> None:
        await wire.request()
        await wire.send(start)
        while True:
            await wire.send(more)

    return script


async def trickles(wire: Wire) -> None:
    await wire.request()
    await wire.send(OK)
    while not wire.server.client_is_done.is_set():
        await wire.send(b"{")
        await asyncio.sleep(0.2)


_PACKED = BOMB.compress(bytes(64 << 20)) + BOMB.flush()
_GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_TOO_EARLY = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}"

_N, _C, _H, _B, _S = (frozenset({phase}) for phase in Phase)
_FIN = _B
"""After a FIN, asyncio's TLS drops what is written and does not say so: the request then only looks whole."""

FAULTS = (
    Fault("nobody listens", silent, _N, _N, listening=False),
    Fault("the name does not exist", silent, _N, _N, host="nobody.invalid"),
    Fault("closes instead of TLS", closes_at_once, _N, _N, before_tls=True),
    Fault("resets instead of TLS", resets_at_once, _N, _N, before_tls=True),
    Fault("answers a TLS greeting in clear", answers_in_clear, _N, _N, before_tls=True),
    Fault("says nothing to a TLS greeting", silent, _N, _N, before_tls=True),
    Fault("shows an untrusted certificate", answers, _N, _N, certificate="untrusted"),
    Fault("shows another's certificate", answers, _N, _N, certificate="other name"),
    Fault("shows an expired certificate", answers, _N, _N, certificate="expired"),
    Fault("closes at once", closes_at_once, _C | _B, _C | _H | _FIN),
    Fault("resets at once", resets_at_once, _C | _B, _C | _H),
    Fault("resets in the headers", resets_in_headers, _B, _H),
    Fault("resets in the body", resets_in_body, _B, _H),
    Fault("closes in the body", finishes_in_body, _B, _H | _FIN),
    Fault("stops reading", stops_reading, _B, _H),
    Fault("resets after the body", resets_after_body, _B, _B),
    Fault("closes after the body", finishes_after_body, _B, _B),
    Fault("keeps silent after the body", says(b""), _B, _B),
    Fault("closes in the status line", says(b"HTTP/1.1 20", Wire.finish), _B, _B),
    Fault("resets in the status line", says(b"HTTP/1.1 20", Wire.reset), _B, _B),
    Fault("resets after the status line", says(b"HTTP/1.1 200 OK\r\n", Wire.reset), _B, _B),
    Fault("closes in the answer's headers", says(OK[:40], Wire.finish), _B, _B),
    Fault("keeps silent in the answer's headers", says(OK[:40]), _B, _B),
    Fault("closes in the answer's body", says(OK + b"{", Wire.finish), _S, _S, truncated=True),
    Fault("resets in the answer's body", says(OK + b"{", Wire.reset), _B | _S, _B | _S, truncated=True),
    Fault("keeps silent in the answer's body", says(OK + b"{"), _S, _S, truncated=True),
    Fault("trickles the answer's body", trickles, _S, _S, truncated=True),
    Fault("breaks a chunk", says(_CHUNKED + b"5\r\nab", Wire.finish), _S, _S, truncated=True),
    Fault("sends a false chunk size", says(_CHUNKED + b"zz\r\nab\r\n"), _B | _S, _B | _S, truncated=True),
    Fault("sends a gzip bomb", says(_GZIP % (b"gzip", len(_PACKED)) + _PACKED), _S, _S, truncated=True),
    Fault("sends broken gzip", says(_GZIP % (b"gzip", 4) + b"nope"), _S, _S, truncated=True),
    Fault("cuts gzip short", says(_GZIP % (b"gzip", 99) + _PACKED[:99]), _S, _S, truncated=True),
    Fault("packs in an unasked way", says(_GZIP % (b"br", 2) + b"ab"), _S, _S, truncated=True),
    Fault(
        "sends an endless body",
        floods(_CHUNKED, b"8000\r\n" + bytes(1 << 15) + b"\r\n"),
        _S,
        _S,
        truncated=True,
    ),
    Fault("sends endless headers", floods(b"HTTP/1.1 200 OK\r\n", b"X-More: yes\r\n" * 999), _B, _B),
    Fault("sends an endless header", floods(b"HTTP/1.1 200 OK\r\nX-Long: ", b"y" * 9999), _B, _B),
    Fault("says Continue without end", floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 99), _B, _B),
    Fault("says Continue unasked", says(b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER), _S, _S),
    Fault("ends on 103", says(b"HTTP/1.1 103 Early Hints\r\n\r\n", Wire.finish), _B, _B),
    Fault("ends on 101", says(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Wire.finish), _B | _S, _B | _S),
    Fault("answers in another protocol", says(b"220 smtp.example ESMTP\r\n", Wire.finish), _B, _B),
    Fault("answers before the body", says_at_once(_TOO_EARLY), _S, _S),
    Fault("answers before the body and resets", says_at_once(_TOO_EARLY, Wire.reset), _B | _S, _H | _S),
)
