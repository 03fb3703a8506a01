"""When the database fails: nobody is told a thing that is not so."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import IntegrityError, OperationalError

from replysequence.domain.errors import DatabaseUnavailable, StorageFull
from replysequence.storage.database import Database, notify
from replysequence.storage.transactions import PAUSES
from storage.test_database import names, put


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    database = Database.open(empty_database_url)
    database.run(
        lambda connection: connection.execute(text("CREATE TABLE notes (name varchar(20) NOT NULL UNIQUE)"))
    )
    yield database
    database.close()


def fail_next_commits(database: Database, number: int = 1) -> None:
    """The database has not said yes: neither we nor the driver know what it did."""
    left = iter(range(number))

    @event.listens_for(database._engines[0], "commit")
    def fail(_connection: Connection) -> None:
        if next(left, None) is not None:
            raise sqlite3.OperationalError("disk I/O error")


def cut_all_connections(database: Database) -> None:
    address = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_a_commit_without_an_answer_is_told_to_everybody_in_it(database: Database) -> None:
    await database.transaction(put, "before")
    started, go = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        put(connection, "held")
        started.set()
        go.wait(10)

    held = asyncio.ensure_future(database.transaction(hold))
    await asyncio.to_thread(started.wait, 10)
    fail_next_commits(database, 6)
    together = [asyncio.ensure_future(database.transaction(put, str(number))) for number in range(5)]
    await asyncio.sleep(0)
    go.set()
    outcomes = await asyncio.gather(held, *together, return_exceptions=True)
    failed = [outcome for outcome in outcomes if isinstance(outcome, DatabaseUnavailable)]
    assert len(failed) == 6
    assert all(error.may_have_committed for error in failed)
    assert len({id(error) for error in failed}) == 6
    while True:
        try:
            await database.transaction(put, "after")
        except DatabaseUnavailable:
            continue
        break
    assert {"before", "after"} <= set(await database.read(names))


async def test_a_transaction_that_was_torn_away_takes_nobody_along_unnoticed(database: Database) -> None:
    """SQLite undoes the whole transaction by itself when it has to, with the savepoints in it."""
    if database.kind != "sqlite":
        return
    started, go = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> None:
        started.set()
        go.wait(10)

    def tear_away(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")
        raise KeyError("torn")

    held = asyncio.ensure_future(database.transaction(hold))
    await asyncio.to_thread(started.wait, 10)
    works = [database.transaction(put, "a"), database.transaction(tear_away), database.transaction(put, "b")]
    together = [asyncio.ensure_future(work) for work in works]
    await asyncio.sleep(0)
    go.set()
    await held
    outcomes = await asyncio.gather(*together, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailable, KeyError, DatabaseUnavailable]
    assert not any(getattr(outcome, "may_have_committed", False) for outcome in outcomes)
    assert await database.read(names) == []
    await database.transaction(put, "c")
    assert await database.read(names) == ["c"]


async def test_a_full_disk_is_told_and_nothing_half_written_stays(database: Database) -> None:
    if database.kind != "sqlite":
        return
    statement = "PRAGMA max_page_count = 8"  # SQLite's own way to say that there is no more room
    database.run(lambda connection: connection.exec_driver_sql(statement).close())
    outcomes = await asyncio.gather(
        *(database.transaction(put, f"{number:04}" + "x" * 5_000) for number in range(12)),
        return_exceptions=True,
    )
    kept = [outcome[:4] for outcome in outcomes if isinstance(outcome, str)]
    assert all(isinstance(outcome, str | DatabaseUnavailable) for outcome in outcomes)
    assert any(isinstance(outcome, StorageFull) for outcome in outcomes)
    assert len(kept) < 12
    assert [name[:4] for name in await database.read(names)] == kept


async def test_a_commit_for_which_there_is_no_room_kept_nothing(database: Database) -> None:
    @event.listens_for(database._engines[0], "commit", once=True)
    def fail(_connection: Connection) -> None:
        if database.kind == "postgresql":
            raise psycopg.errors.DiskFull("no space left on device")
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    with pytest.raises(StorageFull):
        await database.transaction(put, "no room")
    assert await database.read(names) == []
    await database.transaction(put, "room")
    assert await database.read(names) == ["room"]


async def test_a_lock_that_somebody_else_holds_is_an_error_for_those_who_wait(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.kind != "sqlite":
        return
    database.run(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout = 50").close())
    other = sqlite3.connect(database.url.database or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable) as refused:
        await database.transaction(put, "a")
    assert not refused.value.may_have_committed
    other.execute("ROLLBACK")
    other.close()
    await database.transaction(put, "a")
    assert await database.read(names) == ["a"]


async def test_a_connection_that_the_server_closed_costs_nobody_an_error(database: Database) -> None:
    if database.kind != "postgresql":
        return
    await asyncio.gather(*(database.transaction(put, str(number)) for number in range(20)))
    await asyncio.gather(*(database.read(names) for _ in range(20)))
    cut_all_connections(database)
    await asyncio.gather(*(database.transaction(put, str(number)) for number in range(20, 40)))
    assert [len(found) for found in await asyncio.gather(*(database.read(names) for _ in range(20)))] == [
        40
    ] * 20


async def test_a_deadlock_is_resolved_by_trying_again(database: Database) -> None:
    if database.kind != "postgresql":
        return
    await database.transaction(put, "a")
    await database.transaction(put, "b")
    both_hold_one = threading.Barrier(2, timeout=10)
    tries: list[str] = []

    def lock_both(connection: Connection, first: str, second: str) -> str:
        tries.append(first)
        lock = text("SELECT name FROM notes WHERE name = :name FOR UPDATE")
        connection.execute(lock, {"name": first})
        if len(tries) <= 2:
            both_hold_one.wait()
        connection.execute(lock, {"name": second})
        return first

    one, two = database.transaction(lock_both, "a", "b"), database.transaction(lock_both, "b", "a")
    assert list(await asyncio.gather(one, two)) == ["a", "b"]
    # Three when the loser waits its turn; it may lose once more when it was quicker than the winner.
    assert 3 <= len(tries) <= 2 + len(PAUSES)


async def test_a_server_that_is_not_there_is_an_error_and_not_a_hang() -> None:
    database = Database.open("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable) as refused:
        await database.transaction(names)
    assert not refused.value.may_have_committed
    database.close()


async def test_a_folder_that_is_a_file_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(OSError, match="data"):
        Database.open(f"sqlite:///{tmp_path}/data/app.db")


async def test_a_listener_hears_again_after_its_connection_was_lost(database: Database) -> None:
    if database.kind != "postgresql":
        return
    awake = asyncio.Event()
    database.listen("coffee", awake.set)
    await asyncio.wait_for(awake.wait(), 10)
    awake.clear()
    cut_all_connections(database)
    await asyncio.wait_for(awake.wait(), 20)  # it looks once, for what it may have missed


async def test_who_notifies_goes_on_after_its_connection_was_lost(empty_database_url: str) -> None:
    ours, other = Database.open(empty_database_url), Database.open(empty_database_url)
    if ours.kind == "postgresql":
        awake = asyncio.Event()
        ours.listen("coffee", awake.set)
        await other.transaction(notify, "coffee")
        await asyncio.wait_for(awake.wait(), 10)
        cut_all_connections(ours)
        for _ in range(2):  # once for what was missed, once for what is said
            awake.clear()
            while not awake.is_set():
                await other.transaction(notify, "coffee")
                await asyncio.sleep(0.05)
    ours.close()
    other.close()


async def test_an_error_of_the_database_shows_no_value(database: Database) -> None:
    await database.transaction(put, "c4n4ry")
    with pytest.raises(IntegrityError) as refused:
        await database.transaction(
            lambda connection: connection.execute(
                text("INSERT INTO notes (name) VALUES (:one), (:two)"), {"one": "c4n4ry-b", "two": "c4n4ry"}
            )
        )
    assert "c4n4ry-b" not in str(refused.value)


async def test_reads_go_on_after_one_that_could_not_be_ended(database: Database) -> None:
    def break_down(_: Connection) -> None:
        raise OperationalError("ROLLBACK", {}, Exception("disk I/O error"))

    readers = database._engines[-1]
    event.listen(readers, "rollback", break_down)
    for _ in range(8):  # more than there are threads
        with pytest.raises(DatabaseUnavailable):
            await asyncio.wait_for(database.read(names), timeout=10)
    event.remove(readers, "rollback", break_down)
    assert await database.read(names) == []
