"""What crash tests on one kind of database share: people with connected accounts, the sandbox, a nursery.

with bench(server, folder) as it, it.stage() as stage:
    process = stage.bear()
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

from crash.nursery import Nursery, nursery
from crash.stage import Person, Stage
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.world import World
from replysequence.storage.database import Database
from replysequence.storage.migrations import upgrade
from support.office import DANA, DANA_AT_CONTOSO, PUBLIC_URL, Office, opening

VENDORS = {"gmail": Vendor.GOOGLE, "outlook": Vendor.MICROSOFT, "resend": Vendor.RESEND}
ACCOUNTS = {"gmail": DANA, "outlook": DANA_AT_CONTOSO}
NAMES = {"gmail": "Alice", "outlook": "Bob", "resend": "Charlie"}
KEYS = f"crash:{'A' * 43}="
LARGE = "large " * 50_000
"""A text that makes a request of several pieces."""

_numbers = count(1)


class Server(Protocol):
    """Where databases are made: a PostgreSQL, or a folder."""

    def create(self, name: str, *, template: str = ...) -> str:
        """Make a database like `template`, which nobody uses; its URL."""
        ...

    def drop(self, name: str) -> None:
        """Remove it."""
        ...


@dataclass(frozen=True)
class SqliteFolder:
    """SQLite files, each in a folder of its own with all that lies beside it."""

    folder: Path

    def create(self, name: str, *, template: str = "") -> str:
        """As :meth:`PostgreSQL.create`."""
        file = self.folder / name / "replysequence.db"
        file.parent.mkdir(parents=True)
        if template:  # its write-ahead log may hold what a process that was killed has left
            with (
                closing(sqlite3.connect(self.folder / template / file.name)) as source,
                closing(sqlite3.connect(file)) as target,
            ):
                source.backup(target)
        return f"sqlite:///{file}"

    def drop(self, name: str) -> None:
        """As :meth:`PostgreSQL.drop`."""
        shutil.rmtree(self.folder / name)


@dataclass(frozen=True)
class Bench:
    """`people` holds, by the name of a provider, somebody whose sends leave through it."""

    server: Server
    nursery: Nursery
    box: RunningSandbox
    environ: dict[str, str]
    people: dict[str, Person]
    furnished: str

    @contextmanager
    def stage(self) -> Iterator[Stage]:
        """A database with everybody in it and nothing sent; it is removed afterwards."""
        name = self.name()
        with self.open(self.server.create(name, template=self.furnished)) as stage:
            yield stage
        self.server.drop(name)

    @contextmanager
    def open(self, url: str) -> Iterator[Stage]:
        """The stage on a database that is there; afterwards nobody is connected to it."""
        with (
            closing(Database.open(url)) as database,
            Stage(database, self.box, self.people, self.nursery, self.settings(url)).open() as stage,
        ):
            yield stage

    def settings(self, url: str) -> dict[str, str]:
        """The environment of a process on that database."""
        return {**self.environ, "DATABASE_URL": url}

    def name(self) -> str:
        """A name that no database has."""
        return f"crash_{next(_numbers)}"


@contextmanager
def bench(server: Server, folder: Path) -> Iterator[Bench]:
    """A sandbox without limits, a nursery, and a furnished database on `server` to make others from."""
    world = World()
    world.register_app(PUBLIC_URL)
    for vendor in Vendor:
        world.settings[vendor].units_per_minute = 1_000_000
    world.resend.requests_per_second = 1_000
    furnished = f"furnished_{next(_numbers)}"
    url = server.create(furnished)
    upgrade(url)
    with sandbox(world) as box, nursery(folder / "processes") as born:
        people = asyncio.run(_furnish(url, folder / "data", box))
        environ = {
            **box.environment,
            "ENCRYPTION_KEYS": KEYS,
            "PUBLIC_URL": PUBLIC_URL,
            "REPLYSEQUENCE_DATA_DIR": str(folder / "data"),
        }
        yield Bench(server, born, box, environ, people, furnished)
    server.drop(furnished)


async def _furnish(url: str, data_dir: Path, box: RunningSandbox) -> dict[str, Person]:
    async with opening(url, data_dir, box)(ENCRYPTION_KEYS=KEYS) as office:
        return {via: await _person(office, via) for via in NAMES}


async def _person(office: Office, via: str) -> Person:
    user_id = await office.person(NAMES[via])
    if via in ACCOUNTS:
        await office.connect(user_id, provider=via, account=ACCOUNTS[via])
    _, key = await office.app.services.signing_in.create_api_key(user_id, name="crash tests")
    return Person(
        id=user_id,
        via=via,
        key=key.reveal(),
        draft=(await office.draft(user_id)).id,
        other_draft=(await office.draft(user_id)).id,
        large_draft=(await office.draft(user_id, text=LARGE)).id,
    )
