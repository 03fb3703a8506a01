"""A load at a web application, and what it cost."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import text

from benchmarks.ledger import Databases, fill
from benchmarks.machine import cpu_of_family
from benchmarks.programs import Program, program
from benchmarks.stage import Stage
from replysequence.storage.database import engine_for, parse_url

Work = tuple[str, str]
"""An API key, and a draft of its owner."""


@dataclass(frozen=True)
class Site:
    """A running web application with a worker, and drafts that nobody has sent yet."""

    stage: Stage
    server: Program
    port: int
    work: Iterator[Work]
    database_url: str

    def take(self, count: int) -> list[Work]:
        """So many drafts that were not taken before, each of another mailbox as long as there are any."""
        taken = list(islice(self.work, count))
        assert len(taken) == count, "the ledger was not filled with enough drafts"
        return taken


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came back from a load, and CPU seconds for each request that was accepted."""

    answers: Mapping[str, Any]
    cpu: float
    server_cpu: float
    memory: float
    taken: int
    doubled: int

    @property
    def seconds(self) -> list[float]:
        """Of each answered request, in order."""
        return sorted(self.answers["seconds"])

    @property
    def per_second(self) -> float:
        """Accepted requests a second."""
        seconds: float = self.answers["ended"] - self.answers["began"]
        return len(self.answers["accepted"]) / seconds


@contextmanager
def site(stage: Stage, databases: Databases, *, name: str, people: int, drafts_each: int) -> Iterator[Site]:
    """Fill a database of its own with drafts, and serve it for as long as the block lasts."""
    url = databases.create(name)
    environment = stage.environment(url)
    persons = fill(environment, mailboxes=people, drafts_each=drafts_each, accepted=False)
    work = [(person.key, person.drafts[number]) for number in range(drafts_each) for person in persons]
    with program("benchmarks.serving", folder=stage.folder, environment=environment) as server:
        yield Site(stage, server, server.hear()["port"], iter(work), url)


def send_all(at: Site, work: Sequence[Work], *, connections: int) -> Loaded:
    """Send these drafts over so many connections, and wait for every answer."""
    stage = at.stage
    server_before = _database_cpu(stage)
    with _load(stage, f"http://127.0.0.1:{at.port}", work, connections=connections) as load:
        stage.stub.ask("reset")
        before = at.server.ask("usage")
        answers = load.ask("go")
        after = at.server.ask("usage")
    tally = stage.stub.ask("tally")
    accepted = max(1, len(answers["accepted"]))
    return Loaded(
        answers=answers,
        cpu=(after["cpu"] - before["cpu"]) / accepted,
        server_cpu=(_database_cpu(stage) - server_before) / accepted,
        memory=after["memory"],
        taken=tally["distinct"],
        doubled=tally["accepted"] - tally["distinct"],
    )


def provider_alone(stage: Stage, *, calls: int) -> list[float]:
    """Seconds of calls at the stub itself, one after another over one connection."""
    with _load(stage, stage.providers.url, [("x", "x")] * calls, connections=1, trusted=True) as load:
        seconds: list[float] = load.ask("go")["seconds"]
    return sorted(seconds)


def sent_drafts(at: Site) -> set[str]:
    """The drafts that have a send in the ledger, whatever its state."""
    engine = engine_for(parse_url(at.database_url))
    try:
        with engine.connect() as connection:
            found = connection.execute(text("SELECT draft_id FROM sends")).scalars()
            return {str(each).replace("-", "") for each in found}
    finally:
        engine.dispose()


@contextmanager
def _load(
    stage: Stage, url: str, work: Sequence[Work], *, connections: int, trusted: bool = False
) -> Iterator[Program]:
    file = stage.folder / "work.json"
    file.write_text(json.dumps(work))
    authority = [str(stage.providers.authority)] if trusted else []
    arguments = (url, str(file), str(connections), *authority)
    with program("benchmarks.load", *arguments, folder=stage.folder) as load:
        load.hear()
        yield load


def _database_cpu(stage: Stage) -> float:
    return 0.0 if stage.server is None else cpu_of_family(stage.server)
