"""What every benchmark stands on: a stub of the providers, the databases, and how large everything is."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import text

from benchmarks.ledger import AS_IN_LIFE, Databases, PostgresqlServer, Providers, SqliteFiles, environment
from benchmarks.programs import Program, program
from replysequence.storage.database import engine_for, parse_url
from support.postgresql import running_postgresql
from support.programs import ProgramMissing, find_program

LATENCY = 0.08
"""Seconds that the stub takes for an answer: the optimistic end of what Gmail takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything. The figures on the page are of ``FULL``."""

    rounds: int
    """How often what is compared takes turns; figures are medians over the rounds."""
    sends: int
    sends_each: int
    """Sends of one mailbox."""
    calls: int
    """Bare calls of a vendor's client."""
    requests: int
    """Requests of a load at the web application."""
    one_by_one: int
    """Interactive sends, one after another."""
    at_once: Sequence[int]
    """Numbers of connections with requests at the same time."""
    too_many: int
    """Connections beyond what the web application takes."""
    rows: Sequence[int]
    """Finished sends in the table before the measured ones."""
    long_run: int
    """Sends of one worker whose memory is watched."""
    starts: int
    mailboxes: int
    """Of the campaign."""
    messages: int


FULL = Sizes(
    rounds=3,
    sends=4_000,
    sends_each=4,
    calls=400,
    requests=1_500,
    one_by_one=200,
    at_once=(50, 100, 200, 500),
    too_many=1_500,
    rows=(1_000, 100_000, 1_000_000),
    long_run=100_000,
    starts=5,
    mailboxes=1_000,
    messages=50_000,
)
SMALL = Sizes(
    rounds=1,
    sends=1_000,
    sends_each=4,
    calls=200,
    requests=400,
    one_by_one=50,
    at_once=(50, 200),
    too_many=600,
    rows=(1_000, 20_000),
    long_run=4_000,
    starts=2,
    mailboxes=100,
    messages=5_000,
)
TINY = Sizes(
    rounds=1,
    sends=20,
    sends_each=2,
    calls=4,
    requests=8,
    one_by_one=2,
    at_once=(2, 4),
    too_many=6,
    rows=(20, 40),
    long_run=40,
    starts=1,
    mailboxes=10,
    messages=100,
)


@dataclass(frozen=True)
class Stage:
    """What a benchmark is given."""

    folder: Path
    sizes: Sizes
    stub: Program
    providers: Providers
    databases: Sequence[Databases]
    """SQLite first, and always."""
    server: int | None
    """The process id of the PostgreSQL server."""
    left_out: Sequence[str]
    versions: Sequence[str]

    @property
    def sqlite(self) -> Databases:
        return self.databases[0]

    def environment(self, database_url: str) -> dict[str, str]:
        """The settings of a program on this database."""
        return environment(database_url, folder=self.folder, providers=self.providers)


@contextmanager
def stage(
    folder: Path, sizes: Sizes, *, latency: float = LATENCY, sqlite_only: bool = False
) -> Iterator[Stage]:
    """Start the stub, and PostgreSQL where it is wanted and there is one; both end with the block."""
    with ExitStack() as running:
        authority = folder / "authority.pem"
        stub = running.enter_context(program("benchmarks.stub", str(authority), str(latency), folder=folder))
        providers = Providers(f"https://127.0.0.1:{stub.hear()['port']}", authority)
        databases: list[Databases] = [SqliteFiles(folder)]
        versions: list[str] = []
        left_out: list[str] = []
        server = None
        if not sqlite_only:
            try:
                started = running.enter_context(
                    running_postgresql(find_program("postgresql"), settings=AS_IN_LIFE)
                )
            except ProgramMissing:
                left_out.append("PostgreSQL, because there is no server on this machine.")
            else:
                databases.append(PostgresqlServer(started))
                server, version = _about(started.url("postgres"))
                versions.append(version)
        yield Stage(folder, sizes, stub, providers, databases, server, left_out, versions)


def _about(url: str) -> tuple[int, str]:
    """The process id and the version of a PostgreSQL server on this machine."""
    with psycopg.connect(url) as connection:
        [data] = connection.execute("SHOW data_directory").fetchone() or ("",)
        [version] = connection.execute("SHOW server_version").fetchone() or ("",)
    return int(
        (Path(data) / "postmaster.pid").read_text("ascii").split()[0]
    ), f"PostgreSQL {version.split()[0]}"


def states(database_url: str) -> Mapping[str, int]:
    """How many sends of a database are in which state."""
    engine = engine_for(parse_url(database_url))
    try:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT state, count(*) FROM sends GROUP BY state")).all()
    finally:
        engine.dispose()
    return {state: int(count) for state, count in rows}


class Stalled(Exception):
    """The stub took nothing for so long that a benchmark will not end by itself."""


def wait_for(stub: Program, count: int, *, patience: float = 60.0) -> float:
    """Wait until the stub has taken ``count`` messages; how many seconds that took. Raises Stalled."""
    began = moved = time.monotonic()
    taken = -1
    while taken < count:
        now = time.monotonic()
        accepted = stub.ask("tally")["accepted"]
        if accepted != taken:
            taken, moved = accepted, now
        elif now - moved > patience:
            raise Stalled(f"the stub took {taken} of {count} messages, and nothing more for {patience:.0f} s")
        time.sleep(0.02)
    return time.monotonic() - began
