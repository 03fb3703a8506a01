"""The running parts: opened in order, closed whatever happens, and never with the wrong key."""

import asyncio
import socket
import stat
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from replysequence import app as parts
from replysequence import serving, settings
from replysequence.domain.errors import DatabaseUnavailable, VaultKeyMissing, VaultKeyWrong
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.world import World
from replysequence.settings import Settings
from replysequence.storage.database import Database
from replysequence.storage.keys import Key
from replysequence.storage.schema import pending
from replysequence.worker import Worker
from support.office import PUBLIC_URL, Opening, opening

OTHER_KEY = b64encode(bytes(range(32))).decode()


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    world = World()
    world.register_app(PUBLIC_URL)
    with sandbox(world) as running:
        yield running


@pytest.fixture
def office(database_url: str, tmp_path: Path, box: RunningSandbox) -> Opening:
    return opening(database_url, tmp_path / "data", box)


def given(database_url: str, folder: Path, **environ: str) -> Settings:
    return settings.read({"DATABASE_URL": database_url, "REPLYSEQUENCE_DATA_DIR": str(folder), **environ})


def test_preparing_makes_the_folder_for_its_owner_only_and_the_schema(
    empty_database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    parts.prepare(given(empty_database_url, folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not pending(empty_database_url)


def test_a_migration_that_fails_says_why_and_nothing_is_prepared(
    empty_database_url: str, tmp_path: Path
) -> None:
    database = Database.open(empty_database_url)
    database.run(lambda connection: connection.execute(text("CREATE TABLE events (other integer)")))
    database.close()

    with pytest.raises(DatabaseUnavailable, match="events"):
        parts.prepare(given(empty_database_url, tmp_path / "data"))

    assert pending(empty_database_url)


def test_processes_that_start_for_the_first_time_together_share_one_key(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = given(database_url, tmp_path / "data")
    parts.prepare(settings)
    first, second = Database.open(database_url), Database.open(database_url)
    look = parts.given_keys

    def the_other_is_quicker(settings: Settings) -> tuple[Key, ...] | None:
        monkeypatch.setattr(parts, "given_keys", look)
        seen = look(settings)
        parts.open_vault(settings, first)
        return seen

    monkeypatch.setattr(parts, "given_keys", the_other_is_quicker)
    try:
        parts.open_vault(settings, second)
    finally:
        first.close()
        second.close()

    assert settings.key_file.exists()


async def test_the_first_start_makes_a_key_for_its_owner_only_and_the_next_one_uses_it(
    office: Opening,
) -> None:
    async with office() as it:
        file = it.app.settings.key_file
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        text = file.read_text()
        mailbox = await it.connect(await it.person("Alice"))
    async with office() as it:
        assert (await it.tokens.usable(mailbox.id)).generation == 1
    assert file.read_text() == text


async def test_without_the_key_nothing_starts_and_nothing_is_made(office: Opening) -> None:
    async with office() as it:
        await it.connect(await it.person("Alice"))
        file = it.app.settings.key_file
    file.unlink()
    before = threading.active_count()
    with pytest.raises(VaultKeyMissing):
        async with office():
            raise AssertionError("it started")
    assert not file.exists()
    assert threading.active_count() == before, "everything that was opened is closed"


async def test_with_a_wrong_key_nothing_starts(office: Opening) -> None:
    async with office() as it:
        await it.connect(await it.person("Alice"))
        key_id = it.app.settings.key_file.read_text().partition(":")[0]
    with pytest.raises(VaultKeyWrong):
        async with office(ENCRYPTION_KEYS=f"{key_id}:{OTHER_KEY}"):
            raise AssertionError("it started")
    async with office() as it:
        assert await serving.problems(it.app) == []


async def test_a_worker_that_breaks_takes_the_server_down_with_its_error(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = asyncio.Event()

    async def break_once_served(_: Worker) -> None:
        await started.wait()
        raise RuntimeError("The loop broke.")

    async def say_so(_: parts.App) -> None:
        started.set()

    monkeypatch.setattr(Worker, "run", break_once_served)
    configured = given(database_url, tmp_path / "data")
    parts.prepare(configured)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        running = asyncio.create_task(serving.serve(configured, sock=sock, with_worker=True, ready=say_so))
        stopped, _ = await asyncio.wait({running}, timeout=10)
        running.cancel()  # where it stopped by itself, this does nothing
        assert stopped
        with pytest.raises(RuntimeError, match="The loop broke"):
            await running
