"""Every way a connection can break, for small and large requests, in clear and over TLS.

On uvloop, as the programs run: how far a request got depends on what the loop buffers. (asyncio's own loop, up to
3.13.0 at least, goes on writing for a TLS connection that it has closed, and fails in a callback of its own.)
"""

import asyncio
import socket
from typing import Any

import pytest
import uvloop

from replysequence.providers.http import Answer, Deadlines, ExchangeFailed, HttpClient, Phase
from support.certificates import trusting
from support.faulty_server import FAULTS, Fault, FaultyServer

SIZES = {"small": 500, "64 KB": 1 << 16, "8 MB": 8 << 20}
SOON = Deadlines(connect=1, write=0.5, read=0.5, total=5)
SECRET = "canary-c4fe"


async def exchange(fault: Fault, *, size: int, tls: bool) -> tuple[Answer | ExchangeFailed, FaultyServer]:
    client = HttpClient(tls=trusting())
    try:
        async with FaultyServer.of(fault, tls=tls) as server:
            if not fault.listening:
                await server.stop_listening()
            url = f"{'https' if tls else 'http'}://{fault.host}:{server.port}/send?key={SECRET}"
            try:
                result: Answer | ExchangeFailed = await client.request(
                    "POST", url, headers={"Authorization": SECRET}, body=bytes(size), deadlines=SOON
                )
                await client.close()
            except ExchangeFailed as failure:
                result = failure
            await server.settle()
            return result, server
    finally:
        await client.close()


CASES = [
    pytest.param(fault, size, tls, id=f"{fault}, {name}, {'TLS' if tls else 'clear'}")
    for fault in FAULTS
    for name, size in SIZES.items()
    for tls in ((True,) if fault.tls_only or fault.host != "127.0.0.1" else (True, False))
]


@pytest.fixture(autouse=True)
def _no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name service answers as it does for a name below `.invalid` (RFC 6761), without being asked."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: object, **options: object) -> object:
        if host == "nobody.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(("fault", "size", "tls"), CASES)
def test_a_failed_exchange_tells_how_far_the_request_got(*, fault: Fault, size: int, tls: bool) -> None:
    unhandled: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        result, server = runner.run(exchange(fault, size=size, tls=tls))
    assert unhandled == []
    expected = fault.large if size > 1 << 16 else fault.small

    assert server.whole <= 1
    assert server.accepted <= 1
    if isinstance(result, Answer):
        assert Phase.STATUS_RECEIVED in expected
        assert result.truncated is fault.truncated
    else:
        assert result.phase in expected
        assert result.request_was_whole or server.whole == 0
        assert result.reason
        assert SECRET not in f"{result!r} {result} {result.__context__} {result.__cause__}"
