"""The one door to the network: a request is written at most once, and a failure says how far it got.

RFC 9110 §9.2.2 (checked 2026-11-22): a client repeats a request that is not idempotent only when it knows
that the first was never applied: `ExchangeFailed.request_was_whole` is that knowledge. What is held here is
not optional: no redirects, no cookies, no retries, no proxy or password from the environment, certificates
always verified, plain http to this machine only, answers capped. The choice of library is decision 0004.

An operator whose machines reach the internet only through a gateway replaces the providers' URLs in the
settings (`GMAIL_API_URL`, `GRAPH_API_URL`, …) with the gateway's; one whose gateway opens TLS sets
`SSL_CERT_FILE`.
"""

import asyncio
import enum
import json
import os
import select
import socket
import ssl
import zlib
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from replysequence.providers.alarms import Alarm

MEBIBYTE = 1 << 20

_PIECE = 64 * 1024
"""Bytes of a body handed over at a time. The last piece goes only when most of the others have gone."""

_UNSENT = 128 * 1024
"""Bytes that the kernel may hold and not have put on the wire. Without this bound it takes megabytes at once,
and a connection that broke in the middle of them would look like one that broke after the whole request."""

_IDLE = 4.0
"""Seconds a connection may lie unused and still be taken again: below the shortest idle time in wide use on
servers (5 s: Apache httpd, Node.js, Uvicorn). Under load none lies that long; else a handshake is cheap."""


class Phase(enum.IntEnum):
    """How far a request got. Never less than the truth: a phase is noted before its first byte can leave."""

    NOT_CONNECTED = 0
    CONNECTED = 1
    HEADERS_SENT = 2
    BODY_SENT = 3
    STATUS_RECEIVED = 4


class ExchangeFailed(Exception):
    """No status line came. `reason` is fit for people and holds no address, header or body."""

    def __init__(self, phase: Phase, reason: str) -> None:
        super().__init__(reason)
        self.phase = phase
        self.reason = reason

    @property
    def request_was_whole(self) -> bool:
        """Whether the server may have had the whole request. False is proof that it had not."""
        return self.phase >= Phase.BODY_SENT


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered. Its text form shows the status only: answers of token endpoints are secret.

    `headers` have lower-case names, repeated ones joined by a comma. `body` is inflated. `truncated`: the
    body broke off, was too large or took too long; the status is certain, the body is not.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    truncated: bool = False

    def json(self) -> object:
        """The body as JSON. Raises ValueError when it is not JSON, or not all there."""
        if self.truncated:
            raise ValueError("the answer broke off, so it cannot be read as JSON")
        try:
            parsed: object = json.loads(self.body)
        except ValueError:
            parsed = _UNREADABLE
        if parsed is _UNREADABLE:  # raised here, so that no error in the chain holds the body
            raise ValueError("the answer is not JSON")
        return parsed


_UNREADABLE = object()


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds. A long `read` turns unknowns into answers, so it is the longest of the legs.

    `connect`: name, TCP and TLS together. `write`: each piece of the body. `read`: from the last piece to the
    status, and once more for the whole body of the answer. `total`: everything.
    """

    connect: float = 10
    write: float = 30
    read: float = 120
    total: float = 600


class HttpClient:
    """One pool of connections, shared by every provider. Belongs to the event loop of its first request.

    `tls` replaces the machine's own trust store; ValueError unless it verifies certificates and host names.
    How many requests run at once is the caller's to bound: the pool has no limit, and no provider waits for
    another.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls or ssl.create_default_context()
        if self._tls.verify_mode is not ssl.CERT_REQUIRED or not self._tls.check_hostname:
            raise ValueError("TLS must verify certificates and host names")
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        deadlines: Deadlines = Deadlines(),
        max_body: int = MEBIBYTE,
    ) -> Answer:
        """Write one request, once, and read its answer (`max_body`: bytes after inflating).

        Any status is an Answer, redirects included. Raises ExchangeFailed when none came, whatever the cause.
        When the awaiting task is cancelled, nothing more is written, the connection is closed and
        CancelledError passes through. The caller does not learn how far it got: a cancelled send is unknown.
        """
        exchange = _Exchange(body, deadlines, max_body)
        try:
            _refuse_open_http(url)
            async with Alarm() as exchange.alarm:
                exchange.reach(Phase.NOT_CONNECTED, deadlines.connect)
                await exchange.run(self._open_session(), method, url, headers)
        except Exception as error:  # noqa: BLE001  whatever it was, the caller must learn how far it got
            exchange.broken = _reason(error, exchange.phase)
        if exchange.phase < Phase.STATUS_RECEIVED:  # raised here, so that no error in the chain holds headers
            raise ExchangeFailed(exchange.phase, exchange.broken)
        return exchange.answer()

    async def close(self) -> None:
        """Close every connection and wait for that. Requests still running fail. May be called again."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise _Refused("this HTTP client was closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Pool(ssl=self._tls, limit=0, keepalive_timeout=_IDLE),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"replysequence/{_version()}", "Accept-Encoding": "gzip"},
                skip_auto_headers=("Content-Type",),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                trust_env=False,
                middlewares=(_write_once,),
            )
        return self._session


class _Refused(Exception):
    """We did not let the request out. The text is the reason."""


class _Broken(Exception):
    """The connection failed. The text is the reason."""


class _Exchange:
    """One request on its way: how far it got, when it must give up, and what came back."""

    def __init__(self, body: bytes, deadlines: Deadlines, max_body: int) -> None:
        self.phase = Phase.NOT_CONNECTED
        self.alarm: Alarm
        self.broken = ""
        self._body = body
        self._deadlines = deadlines
        self._max_body = max_body
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + deadlines.total
        self._status = 0
        self._headers: dict[str, str] = {}
        self._received = bytearray()

    def reach(self, phase: Phase, seconds: float) -> None:
        """Give the phase so many seconds, and note it. RuntimeError when this exchange has been given up.

        So nothing that is still writing can complete a request that was reported as not whole.
        """
        self.alarm.set(min(self._loop.time() + seconds, self._end))
        self.phase = phase

    def connected(self) -> None:
        """The next thing is to write. Without a body, the headers are the whole request."""
        self.reach(Phase.CONNECTED if self._body else Phase.BODY_SENT, self._deadlines.write)

    async def run(
        self, session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str]
    ) -> None:
        _current.set(self)
        response = await session.request(
            method,
            url,
            headers=headers,
            data=_Body(self._body, self) if self._body else None,
            allow_redirects=False,
        )
        try:
            self._status = response.status
            for name, value in response.headers.items():
                key = name.lower()
                self._headers[key] = f"{self._headers[key]}, {value}" if key in self._headers else value
            self.reach(Phase.STATUS_RECEIVED, self._deadlines.read)
            await self._read(response.content)
        finally:
            response.close()  # gives nothing back to the pool unless both messages were complete

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Hand the body over, in pieces."""
        view = memoryview(self._body)
        last = (len(view) - 1) // _PIECE * _PIECE
        for start in range(0, last, _PIECE):
            self.reach(Phase.HEADERS_SENT, self._deadlines.write)
            await writer.write(view[start : start + _PIECE])
        self.reach(Phase.BODY_SENT, self._deadlines.read)
        await writer.write(view[last:])

    async def _read(self, content: aiohttp.StreamReader) -> None:
        inflate = _inflater(self._headers.get("content-encoding", ""))
        while chunk := await content.readany():
            self._received += inflate.decompress(chunk, self._max_body + 1 - len(self._received))
            if len(self._received) > self._max_body:
                raise _Broken("the answer is too large")
        if not inflate.eof:
            raise _Broken("the answer broke off")

    def answer(self) -> Answer:
        body = bytes(self._received[: self._max_body])
        return Answer(status=self._status, headers=self._headers, body=body, truncated=bool(self.broken))


class _Body(aiohttp.Payload):
    """The body of an exchange, as aiohttp takes it: a thing that writes itself, and how long it is."""

    _autoclose = True

    def __init__(self, body: bytes, exchange: _Exchange) -> None:
        super().__init__(body)
        self._size = len(body)
        self._exchange = exchange

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self._exchange.write(writer)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002  aiohttp's own
        raise TypeError("a body is not shown")


_current: ContextVar[_Exchange] = ContextVar("exchange")
"""The exchange of the running task, for the pool: aiohttp hands the pool its own request object only."""


class _Pool(aiohttp.TCPConnector):
    """Looks at a used connection once more before taking it again.

    A server may hang up on an idle connection at any moment, and a request written into one that it left ends
    in a reset that cannot be told from a real one. The short idle time makes that rare; this look, at the
    kernel and not at what the event loop has got round to, leaves only a hang-up that is still on its way.
    """

    def __init__(self, *, ssl: ssl.SSLContext, limit: int, keepalive_timeout: float) -> None:
        super().__init__(ssl=ssl, limit=limit, keepalive_timeout=keepalive_timeout, socket_factory=_socket)
        self._used: WeakSet[object] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's own signature
    ) -> aiohttp.connector.Connection:
        connection = await super().connect(req, traces, timeout)
        while connection.protocol in self._used and not _is_quiet(connection):
            connection.close()
            connection = await super().connect(req, traces, timeout)
        self._used.add(connection.protocol)
        _current.get().connected()
        return connection


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    return made


def _is_quiet(connection: aiohttp.connector.Connection) -> bool:
    """Whether a used connection is open and silent. Bytes nobody asked for are as bad as an end of stream."""
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or protocol.should_close:
        return False
    poller = select.poll()
    poller.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return not poller.poll(0)


async def _write_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Hide a broken connection from aiohttp, which would repeat GET, PUT and DELETE by itself."""
    try:
        return await handler(request)
    except aiohttp.ClientError as error:
        raise _Broken(_reason(error, Phase.NOT_CONNECTED)) from None


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Identity:
    eof = True

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return data[:max_length]


def _inflater(encoding: str) -> _Inflater:
    match encoding.strip().lower():
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip":
            return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        case _:
            raise _Broken("the answer is packed in a way that was not asked for")


@lru_cache(maxsize=64)
def _refuse_open_http(url: str) -> None:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise _Refused("an address with a password in it is refused")
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not parts.hostname or not is_this_machine(parts.hostname):
        raise _Refused("only https is allowed, and plain http to this machine alone")


def is_this_machine(host: str) -> bool:
    """Whether ``host`` is a loopback name or address, to which plain http is allowed."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


_TOO_LATE = {
    Phase.NOT_CONNECTED: "timed out connecting",
    Phase.CONNECTED: "timed out writing the request",
    Phase.HEADERS_SENT: "timed out writing the request",
    Phase.BODY_SENT: "timed out waiting for the answer",
    Phase.STATUS_RECEIVED: "timed out reading the answer",
}

_WHAT_HAPPENED: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "the server's certificate is not trusted"),
    (aiohttp.ClientConnectorSSLError, "the TLS handshake failed"),
    (aiohttp.ClientConnectorDNSError, "the server's name could not be found"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientResponseError, "the answer is not HTTP"),
    (aiohttp.ClientConnectionResetError, "the connection was lost while the request was written"),
)


def _reason(error: Exception, phase: Phase) -> str:
    """What went wrong, in words that hold nothing of the request."""
    if isinstance(error, _Refused | _Broken):
        return str(error)
    if isinstance(error, TimeoutError):
        return _TOO_LATE[phase]
    for kind, words in _WHAT_HAPPENED:
        if isinstance(error, kind):
            return words
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return f"the exchange failed ({type(error).__name__})"


def _version() -> str:
    try:
        return version("replysequence")
    except PackageNotFoundError:  # run from a source tree
        return "0"
