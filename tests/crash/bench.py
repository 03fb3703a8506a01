"""What crash tests on one kind of database share: people with connected accounts, the sandbox, a nursery.

with bench(server, folder) as it, it.database() as url:
    process = it.bear(url)
"""

import asyncio
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Protocol

from sqlalchemy import true, update

from crash.nursery import Nursery, Process, nursery
from replysequence.domain.send import CLAIMABLE
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.world import World
from replysequence.storage.database import Transaction, now
from replysequence.storage.migrations import upgrade
from replysequence.storage.tables import email_connections, routes, sends
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
        if template:
            shutil.copyfile(self.folder / template / file.name, file)
        return f"sqlite:///{file}"

    def drop(self, name: str) -> None:
        """As :meth:`PostgreSQL.drop`."""
        shutil.rmtree(self.folder / name)


@dataclass(frozen=True)
class Person:
    """Somebody with an account here, an API key and drafts that nobody has sent."""

    id: str
    key: str
    draft: str
    other_draft: str
    large_draft: str


@dataclass(frozen=True)
class Bench:
    """`people` holds, by the name of a provider, somebody whose sends leave through it."""

    server: Server
    nursery: Nursery
    box: RunningSandbox
    environ: Mapping[str, str]
    people: Mapping[str, Person]
    furnished: str

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a database with everybody in it and nothing sent; it is removed afterwards."""
        name = f"crash_{next(_numbers)}"
        yield self.server.create(name, template=self.furnished)
        self.server.drop(name)

    def bear(self, url: str, *, failpoint: str = "", ahead: float = 0.0) -> Process:
        """A process of the app on the database at `url`."""
        return self.nursery.bear({**self.environ, "DATABASE_URL": url}, failpoint=failpoint, ahead=ahead)


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
        key=key.reveal(),
        draft=(await office.draft(user_id)).id,
        other_draft=(await office.draft(user_id)).id,
        large_draft=(await office.draft(user_id, text=LARGE)).id,
    )


def make_due(transaction: Transaction) -> None:
    """As if every backoff, pause and lease had passed. What has no time, or is due and was forgotten, stays so."""
    moment = now(transaction)
    past = moment - timedelta(seconds=1)
    waiting = sends.c.state.in_(CLAIMABLE)
    for column, which in (
        (sends.c.next_at, waiting),
        (routes.c.next_at, true()),
        (routes.c.paused_until, true()),
        (routes.c.paced_until, true()),
        (email_connections.c.refresh_until, true()),
    ):
        later = update(column.table).where(column > moment, which)
        transaction.execute(later.values({column: past}))


def expire_access_tokens(transaction: Transaction) -> None:
    """As if every access token had reached its end."""
    transaction.execute(update(email_connections).values(access_token_expires_at=now(transaction)))
