"""Which HTTP library tells best how far a request got, ends cleanly, and costs least: the figures of decision 0004.

    PYTHONPATH=tests python benchmarks/http_client.py [failures | exits | cpu]

Compares aiohttp, as `replysequence.providers.http` uses it, with pyreqwest behind the same rules. Servers are on
loopback. Only figures of one run can be compared with each other.
"""

import asyncio
import contextlib
import importlib
import json
import logging
import resource
import ssl
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import uvloop

from replysequence.providers.http import Deadlines, ExchangeFailed, HttpClient, Phase

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.certificates import authority, serving
from support.faulty_server import ANSWER, FAULTS, Fault, FaultyServer

PIECE = 64 * 1024
SIZES = (500, 1 << 16, 8 << 20)
SOON = Deadlines(connect=1, write=0.5, read=0.5, total=5)
EXITS = 10
ROUNDS, REQUESTS, AT_ONCE = 5, 600, 32


class Candidate(Protocol):
    """Posts a body, and says the last phase that the request may have reached."""

    async def post(self, url: str, body: bytes, deadlines: Deadlines) -> Phase: ...
    async def close(self) -> None: ...


class Aiohttp:
    def __init__(self, ca: bytes) -> None:
        self._client = HttpClient(tls=ssl.create_default_context(cadata=ca.decode()))

    async def post(self, url: str, body: bytes, deadlines: Deadlines) -> Phase:
        try:
            await self._client.request(
                "POST", url, headers={"Authorization": "x"}, body=body, deadlines=deadlines
            )
        except ExchangeFailed as failure:
            return failure.phase
        return Phase.STATUS_RECEIVED

    async def close(self) -> None:
        await self._client.close()


class Pyreqwest:
    """The same rules: pieces, phases noted before a byte leaves, one alarm, no redirects, a bounded answer.

    `typed` also believes its ConnectError, which it raises for a hang-up after the whole request too.
    """

    def __init__(self, ca: bytes, *, typed: bool = False) -> None:
        self._typed = typed
        builder = importlib.import_module("pyreqwest.client").ClientBuilder()
        self._errors: Any = importlib.import_module("pyreqwest.exceptions")
        self._client = (
            builder.add_root_certificate_pem(ca)
            .no_proxy()
            .follow_redirects(False)
            .gzip(True)
            .pool_idle_timeout(timedelta(seconds=4))
            .connect_timeout(timedelta(seconds=SOON.connect))
            .build()
        )

    async def post(self, url: str, body: bytes, deadlines: Deadlines) -> Phase:
        phase = Phase.NOT_CONNECTED
        alarm: asyncio.Timeout

        def reach(reached: Phase, seconds: float) -> None:
            nonlocal phase
            alarm.reschedule(asyncio.get_running_loop().time() + seconds)
            phase = reached

        async def pieces() -> AsyncIterator[bytes]:
            last = (len(body) - 1) // PIECE * PIECE
            for start in range(0, last, PIECE):
                reach(Phase.HEADERS_SENT, deadlines.write)
                yield body[start : start + PIECE]
            reach(Phase.BODY_SENT, deadlines.read)
            yield body[last:]

        request = (
            self._client.post(url)
            .header("Authorization", "x")
            .header("Content-Length", str(len(body)))
            .body_stream(pieces())
            .streamed_read_buffer_limit(0)
            .build_streamed()
        )
        try:
            async with asyncio.timeout(deadlines.connect) as alarm, request as response:
                reach(Phase.STATUS_RECEIVED, deadlines.read)
                received = 0
                while received <= 1 << 20 and (data := await response.body_reader.read(1 << 16)):
                    received += len(data)
        except (self._errors.PyreqwestError, TimeoutError, RuntimeError) as error:
            if self._typed and isinstance(error, self._errors.ConnectError):
                return Phase.NOT_CONNECTED
            return phase
        return phase

    async def close(self) -> None:
        await self._client.close()


Make = Callable[[bytes], Candidate]


def candidates() -> dict[str, Make]:
    found: dict[str, Make] = {"aiohttp": Aiohttp}
    try:
        importlib.import_module("pyreqwest")
    except ImportError:
        print("pyreqwest is not installed, so aiohttp is measured alone (pip install pyreqwest to compare).")
    else:
        found["pyreqwest"] = Pyreqwest
    return found


@dataclass
class Tally:
    cases: int = 0
    right: int = 0
    overcautious: int = 0
    """Called unknown, though a client can know that the request was never whole."""
    unsafe: int = 0
    """Called never sent, though the server had the whole request."""


async def fail(make: Make, fault: Fault, size: int, tally: Tally, *, tls: bool) -> str:
    client = make(authority().pem)
    async with FaultyServer.of(fault, tls=tls) as server:
        if not fault.listening:
            await server.stop_listening()
        url = f"{'https' if tls else 'http'}://{fault.host}:{server.port}/"
        try:
            phase = await asyncio.wait_for(client.post(url, bytes(size), SOON), 15)
        except TimeoutError:
            tally.cases += 1
            return f"{fault}, {size} bytes, {'TLS' if tls else 'clear'}: no end within 15 seconds"
        await client.close()
        await server.settle()
        expected = fault.large if size > 1 << 16 else fault.small
        tally.cases += 1
        tally.right += phase in expected
        tally.unsafe += phase < Phase.BODY_SENT and server.whole > 0
        tally.overcautious += phase >= Phase.BODY_SENT > max(expected)
        if phase in expected:
            return ""
        return f"{fault}, {size} bytes, {'TLS' if tls else 'clear'}: {phase.name}"


async def failures(make: Make) -> tuple[Tally, list[str]]:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    logging.disable(logging.WARNING)
    tally = Tally()
    wrong = [
        await fail(make, fault, size, tally, tls=tls)
        for fault in FAULTS
        for size in SIZES
        for tls in ((True,) if fault.tls_only else (True, False))
    ]
    return tally, [line for line in wrong if line]


async def serve() -> None:
    """The stub of the other figures: answers every request at once, over TLS."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
                writer.write(ANSWER)
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=serving())
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"https://127.0.0.1:{port}/", "ca": authority().pem.decode()}), flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def stub() -> Any:
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.kill()


async def load(make: Make, where: str, count: int) -> float:
    """Post `count` messages of 3 KB, many at once. Microseconds of CPU for each, in this process."""
    told = json.loads(where)
    client = make(told["ca"].encode())
    body = bytes(3000)

    async def some(number: int) -> None:
        for _ in range(number):
            phase = await client.post(told["url"], body, Deadlines())
            assert phase is Phase.STATUS_RECEIVED, phase

    await asyncio.gather(*(some(2) for _ in range(AT_ONCE)))
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*(some(count // AT_ONCE) for _ in range(AT_ONCE)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    await client.close()
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return spent * 1e6 / (count // AT_ONCE * AT_ONCE)


def exits(name: str, where: str, *, loop: str) -> int:
    """How many of the interpreters end with status 0 when they end right after load."""
    return sum(
        subprocess.run([sys.executable, __file__, "end", name, loop, where], stderr=subprocess.DEVNULL, check=False)
        .returncode == 0
        for _ in range(EXITS)
    )  # fmt: skip


def end(name: str, loop: str, where: str) -> None:
    factory = uvloop.new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(load(candidates()[name], where, 320))


def report_failures(found: dict[str, Make]) -> None:
    tellers = dict(found)
    if "pyreqwest" in found:
        tellers["pyreqwest's own errors"] = partial(Pyreqwest, typed=True)
    for name, make in tellers.items():
        tally, wrong = asyncio.run(failures(make))
        print(
            f"{name}: right phase {tally.right} of {tally.cases}, called unknown without need "
            f"{tally.overcautious}, called never sent though the server had it {tally.unsafe}",
            flush=True,
        )
        print("".join(f"    {line}\n" for line in wrong[:5]), end="")


def report_exits(found: dict[str, Make]) -> None:
    with stub() as where:
        for name in found:
            for loop in ("asyncio", "uvloop"):
                print(f"{name} on {loop}: {exits(name, where, loop=loop)} of {EXITS} clean exits", flush=True)


def report_cpu(found: dict[str, Make]) -> None:
    spent: dict[str, list[float]] = {name: [] for name in found}
    with stub() as where:
        for _ in range(ROUNDS):
            for name, make in found.items():
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    spent[name].append(runner.run(load(make, where, REQUESTS)))
    base = statistics.median(spent["aiohttp"])
    for name, values in spent.items():
        cost = statistics.median(values)
        print(f"{name}: {cost:.0f} µs of CPU a request over TLS, {cost / base:.2f} of aiohttp's")


REPORTS = {"failures": report_failures, "exits": report_exits, "cpu": report_cpu}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            asyncio.run(serve())
        case ["end", name, loop, where]:
            end(name, loop, where)
        case []:
            for report in REPORTS.values():
                report(candidates())
        case [part] if part in REPORTS:
            REPORTS[part](candidates())
        case _:
            sys.exit(__doc__)
