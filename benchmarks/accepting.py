"""CPU of a durable send from the request that accepts it to the provider's answer, against a textbook stack."""

import base64
import json
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import textbook
from benchmarks.loading import Site, send_all, site
from benchmarks.programs import program
from benchmarks.report import Figure, Section, at_most
from benchmarks.stage import Stage

AT_ONCE = 32
PEOPLE = 100
TEXT = """
A load of {at_once} connections posts drafts to `/api/drafts/send`, each request with an API key, and waits for the
outcome. Web application and worker are one process; its CPU is divided by the requests. The textbook stack in
`benchmarks/textbook/` does the same job as tutorials build it: FastAPI, SQLAlchemy's async ORM on aiosqlite,
EmailMessage, httpx. Both use SQLite with `synchronous=FULL`; both take turns (rounds: {rounds}), medians are shown.
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """CPU seconds of a request, requests a second, and how many drafts were not sent exactly once."""

    cpu: float
    per_second: float
    wrong: int


def measure(stage: Stage) -> Section:
    """The same load at both."""
    each = -(-stage.sizes.requests // PEOPLE)
    ours: list[Turn] = []
    theirs: list[Turn] = []
    for number in range(stage.sizes.rounds):
        with site(stage, stage.sqlite, name=f"accepting_{number}", people=PEOPLE, drafts_each=each) as at:
            ours.append(_turn(at, stage.sizes.requests))
        if textbook.is_here():
            theirs.append(_textbook(stage, number=number))
    return Section(
        name="accepting",
        title="A durable send with its accepting request",
        text=TEXT.format(at_once=AT_ONCE, rounds=stage.sizes.rounds),
        figures=[*_ours(ours), *(_compared(ours, theirs) if theirs else ())],
        left_out=[] if theirs else [textbook.MISSING],
    )


def _turn(at: Site, count: int) -> Turn:
    loaded = send_all(at, at.take(count), connections=AT_ONCE)
    return Turn(loaded.cpu, loaded.per_second, count - loaded.taken + loaded.doubled)


def _textbook(stage: Stage, *, number: int) -> Turn:
    """A third of the requests: they take long."""
    count = max(stage.sizes.requests // 3, 1)
    work = stage.folder / "textbook.json"
    url = f"sqlite+aiosqlite:///{stage.folder / f'textbook_{number}.db'}"
    environment = {
        "TEXTBOOK_DATABASE_URL": url,
        "TEXTBOOK_KEY": base64.urlsafe_b64encode(bytes(32)).decode(),
        "GMAIL_API_URL": stage.providers.url,
        "SSL_CERT_FILE": str(stage.providers.authority),
    }
    arguments = (str(PEOPLE), str(-(-count // PEOPLE)), str(work))
    with program(
        "benchmarks.textbook.serving", *arguments, folder=stage.folder, environment=environment
    ) as server:
        port = server.hear()["port"]
        drafts: list[Any] = json.loads(work.read_text())
        return _turn(Site(stage, server, port, iter(drafts), url), count)


def _ours(turns: list[Turn]) -> list[Figure]:
    return [
        Figure("CPU of a request and its send", median(turn.cpu for turn in turns) * 1e3, "ms"),
        Figure("requests a second in this run", median(turn.per_second for turn in turns)),
        Figure("drafts not sent exactly once", sum(turn.wrong for turn in turns), gate=at_most(0)),
    ]


def _compared(ours: list[Turn], theirs: list[Turn]) -> list[Figure]:
    mine, other = median(turn.cpu for turn in ours), median(turn.cpu for turn in theirs)
    return [
        Figure("CPU of a request and its send, textbook stack", other * 1e3, "ms"),
        Figure("requests a second in this run, textbook stack", median(turn.per_second for turn in theirs)),
        Figure("drafts not sent exactly once, textbook stack", sum(turn.wrong for turn in theirs)),
        Figure("CPU of ours ÷ textbook stack", mine / other, gate=at_most(1 / 15)),
    ]
