"""The loop around sending: it wakes for what is due, looks after the dead, and stops politely."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, update

from replysequence import worker
from replysequence.domain.send import State
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.world import World
from replysequence.services.dispatching import Dispatching
from replysequence.services.tidying import tidy
from replysequence.storage import throttles
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import oauth_attempts, sessions
from replysequence.storage.tables import throttles as throttles_table
from support.office import BROWSER, PUBLIC_URL, Office, Opening, eventually, opening

ALONE = """
import asyncio, os
from replysequence import settings, working
asyncio.run(working.work(settings.read(os.environ)))
"""


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    world = World()
    world.register_app(PUBLIC_URL)
    with sandbox(world) as running:
        yield running


@pytest.fixture
def office(database_url: str, tmp_path: Path, box: RunningSandbox) -> Opening:
    return opening(database_url, tmp_path / "data", box)


@contextmanager
def a_worker_that_is_killed(environment: dict[str, str]) -> Iterator[None]:
    """A worker in a process of its own until the block ends; then it dies without a word."""
    process = subprocess.Popen(
        [sys.executable, "-c", ALONE], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


async def is_in(it: Office, user_id: str, send_id: str, state: State) -> bool:
    return (await it.app.services.sending.get(user_id, send_id=send_id)).state is state


async def test_an_accepted_send_wakes_the_worker(office: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "LONGEST_SLEEP", 30.0)  # so that nothing but the wake-up can be the reason
    async with office() as it, office() as web:
        alice = await it.person("Alice")
        working = asyncio.create_task(it.app.worker.run())
        await asyncio.sleep(0.2)
        accepting = it if it.app.database.kind == "sqlite" else web
        send = await accepting.accept(alice)
        await eventually(lambda: is_in(it, alice, send.id, State.SENT), tries=200)
        it.app.worker.stop()
        await working


async def test_at_a_stop_what_is_on_the_wire_ends_and_nothing_new_begins(
    office: Opening, box: RunningSandbox
) -> None:
    box.world.settings[Vendor.GOOGLE].send_latency_seconds = 0.5
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        first, second = await it.accept(alice), await it.accept(alice)
        working = asyncio.create_task(it.app.worker.run())
        await eventually(lambda: is_in(it, alice, first.id, State.SENDING))
        it.app.worker.stop()
        await working
        assert (await it.get(first)).state is State.SENT
        assert ((await it.get(second)).state, (await it.get(second)).attempts) == (State.QUEUED, ())


async def test_a_bad_round_does_not_end_the_loop(office: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, rounds = Dispatching.claim, []

    async def broken_once(self: Dispatching, *, room: Mapping[str, int]) -> object:
        rounds.append(room)
        if len(rounds) == 1:
            raise ZeroDivisionError
        return await claim(self, room=room)

    monkeypatch.setattr(Dispatching, "claim", broken_once)
    monkeypatch.setattr(worker, "LONGEST_SLEEP", 0.01)
    async with office() as it:
        alice = await it.person("Alice")
        send = await it.accept(alice)
        working = asyncio.create_task(it.app.worker.run())
        await eventually(lambda: is_in(it, alice, send.id, State.SENT))
        it.app.worker.stop()
        await working


async def test_a_killed_workers_send_is_explained_by_another_and_not_repeated(
    office: Opening, box: RunningSandbox, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "REAP_EVERY", 0.05)
    box.world.settings[Vendor.GOOGLE].send_latency_seconds = 3
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        send = await it.accept(alice)
        environment = {
            **box.environment,
            "DATABASE_URL": database_url,
            "REPLYSEQUENCE_DATA_DIR": str(tmp_path / "data"),
            "PUBLIC_URL": PUBLIC_URL,
        }
        with a_worker_that_is_killed(environment):
            await eventually(lambda: is_in(it, alice, send.id, State.SENDING))
        box.world.settings[Vendor.GOOGLE].send_latency_seconds = 0
        working = asyncio.create_task(it.app.worker.run())
        await eventually(lambda: is_in(it, alice, send.id, State.UNKNOWN))
        after = await it.accept(alice)
        await eventually(lambda: is_in(it, alice, after.id, State.SENT))
        it.app.worker.stop()
        await working
        assert (await it.get(send)).reason == "worker_died"
        assert it.accepted_by_provider(send) <= 1


def age_everything(transaction: Transaction) -> None:
    long_ago = now(transaction) - throttles.KEPT * 20
    transaction.execute(update(oauth_attempts).values(expires_at=long_ago))
    transaction.execute(update(throttles_table).values(updated_at=long_ago))
    transaction.execute(update(sessions).values(expires_at=long_ago))


async def test_what_is_over_is_removed(office: Opening) -> None:
    def left(transaction: Transaction) -> int:
        tables = (oauth_attempts, throttles_table, sessions)
        return sum(len(transaction.execute(select(table)).all()) for table in tables)

    async with office() as it:
        alice = await it.person("Alice")
        await it.app.services.connecting.start(alice, provider="gmail", session_hash=BROWSER)
        assert await tidy(it.app.database) == 0
        assert await it.app.database.read(left) == 2
        await it.app.database.transaction(age_everything)
        assert await tidy(it.app.database) == 2
        assert await it.app.database.read(left) == 0
