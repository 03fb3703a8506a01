"""Memory of a worker over a long run, and how soon a started program accepts."""

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks import textbook
from benchmarks.ledger import fill
from benchmarks.multiplying import multiply
from benchmarks.programs import ROOT, program, surroundings
from benchmarks.report import Figure, Section, at_most
from benchmarks.stage import LATENCY, Stage, states, wait_for

BASE = 1_000
STARTS_WITHIN = 60.0
TEXT = """
One worker on SQLite drains {count:,} sends, and says between how much memory it holds. Then `replysequence serve` is
started again and again on a database that is there: from the start of the process to the first answer that a send was
accepted. The textbook stack is started in the same turns; the provider's time is taken off its first answer, because it
answers only after that.
"""


def measure(stage: Stage) -> Section:
    """Memory first, then starts."""
    return Section(
        name="footprint",
        title="Memory and start",
        text=TEXT.format(count=stage.sizes.long_run),
        figures=[*_memory(stage), *_starts(stage)],
        left_out=[] if textbook.is_here() else [textbook.MISSING],
    )


def _memory(stage: Stage) -> list[Figure]:
    count = stage.sizes.long_run
    base = min(BASE, count)
    url = stage.sqlite.create("long_run")
    each = stage.sizes.sends_each
    fill(stage.environment(url), mailboxes=base // each, drafts_each=each, accepted=True)
    multiply(url, copies=count // base - 1)
    marks = [count // 100, count // 10, count // 2, count]
    held: dict[int, float] = {}
    stage.stub.ask("reset")
    with program("benchmarks.workers", folder=stage.folder, environment=stage.environment(url)) as worker:
        idle = worker.hear()["memory"]
        worker.ask("go")
        for mark in marks:
            wait_for(stage.stub, mark)
            held[mark] = worker.ask("usage")["memory"]
        worker.ask("stop")
    doubled = stage.stub.ask("tally")["doubled"]
    return [
        Figure("memory of an idle worker", idle / 1e6, "MB", at_most(80)),
        *(Figure(f"memory after {mark:,} sends", held[mark] / 1e6, "MB") for mark in marks),
        Figure(
            f"memory after {count:,} sends ÷ after {count // 10:,}",
            held[count] / held[count // 10],
            gate=at_most(1.1),
        ),
        Figure("lost or taken twice", count - states(url).get("sent", 0) + doubled, gate=at_most(0)),
    ]


def _starts(stage: Stage) -> list[Figure]:
    ours = _our_server(stage)
    theirs = _textbook_server(stage) if textbook.is_here() else None
    seconds: list[float] = []
    others: list[float] = []
    for number in range(stage.sizes.starts):
        seconds.append(_first_answer(ours, number=number))
        if theirs:
            others.append(_first_answer(theirs, number=number) - LATENCY)
    figures = [Figure("start to first accepted request", median(seconds), "s", at_most(1))]
    if others:
        figures += [
            Figure("start to first accepted request, textbook stack", median(others), "s"),
            Figure("start of ours ÷ textbook stack", median(seconds) / median(others)),
        ]
    return figures


@dataclass(frozen=True, slots=True)
class Server:
    """How a server is started, and drafts that can be sent there."""

    command: Sequence[str]
    environment: Mapping[str, str]
    key: str
    drafts: Sequence[str]


def _our_server(stage: Stage) -> Server:
    environment = stage.environment(stage.sqlite.create("starts"))
    [person] = fill(environment, mailboxes=1, drafts_each=stage.sizes.starts, accepted=False)
    return Server(["replysequence", "serve", "--port"], environment, person.key, person.drafts)


def _textbook_server(stage: Stage) -> Server:
    """The textbook stack on a filled database."""
    environment = {
        "TEXTBOOK_DATABASE_URL": f"sqlite+aiosqlite:///{stage.folder / 'textbook_starts.db'}",
        "TEXTBOOK_KEY": base64.urlsafe_b64encode(bytes(32)).decode(),
        "GMAIL_API_URL": stage.providers.url,
        "SSL_CERT_FILE": str(stage.providers.authority),
    }
    work = stage.folder / "starts.json"
    arguments = ("1", str(stage.sizes.starts), str(work))
    with program(
        "benchmarks.textbook.serving", *arguments, folder=stage.folder, environment=environment
    ) as server:
        server.hear()
    pairs = json.loads(work.read_text())
    command = ["uvicorn", "benchmarks.textbook.app:app", "--log-level", "warning", "--port"]
    return Server(command, environment, pairs[0][0], [draft for _, draft in pairs])


def _first_answer(server: Server, *, number: int) -> float:
    """Start a server, and send a draft as soon as it listens; seconds until it was accepted."""
    port = _free_port()
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", *server.command, str(port)],
        cwd=ROOT,
        env={**surroundings(), **server.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            while not _accepts(port, key=server.key, draft_id=server.drafts[number]):
                assert process.poll() is None, f"{server.command[0]} ended at its start"
                assert time.monotonic() - began < STARTS_WITHIN, f"{server.command[0]} does not answer"
                time.sleep(0.002)
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait()


def _accepts(port: int, *, key: str, draft_id: str) -> bool:
    """Whether a server is there and takes the draft; false while nobody listens."""
    body = json.dumps({"draft_id": draft_id})
    request = (
        f"POST /api/drafts/send HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Prefer: wait=0\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=STARTS_WITHIN) as connection:
            connection.sendall(request.encode())
            answer = connection.recv(1024)
    except ConnectionError:
        return False
    status = int(answer.split(b" ", 2)[1])
    assert status in (200, 202), f"the first request was answered with {status}"
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
