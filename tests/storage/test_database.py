"""The door to the database keeps its promises on both databases."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from sqlalchemy import Connection, select, text

from replysequence.domain.errors import DatabaseUnavailable, InvalidInput
from replysequence.storage.database import CLOCK, Database, notify, now, parse_url
from replysequence.storage.ids import new_id
from replysequence.storage.wakeups import POSTGRESQL_CHANNEL


def put(connection: Connection, name: str) -> str:
    connection.execute(text("INSERT INTO notes (name) VALUES (:name)"), {"name": name})
    return name


def names(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT name FROM notes ORDER BY name")).scalars())


def put_and_fail(connection: Connection, name: str) -> None:
    put(connection, name)
    raise KeyError(name)


async def listening(database: Database) -> None:
    """Wait until wake-ups arrive, also from other processes, and those that were owed from before have."""
    ready = asyncio.Event()
    stop = database.listen("ready", ready.set)
    while database.kind == "postgresql" and not ready.is_set():
        say_as_another_process(database, "ready")
        await asyncio.sleep(0.01)
    stop()


def say_as_another_process(database: Database, channel: str) -> None:
    address = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as other:
        other.execute("SELECT pg_notify(%s, %s)", (POSTGRESQL_CHANNEL, f"other {channel}"))


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    database = Database.open(empty_database_url)
    database.run(
        lambda connection: connection.execute(text("CREATE TABLE notes (name varchar(20) NOT NULL UNIQUE)"))
    )
    yield database
    database.close()


async def test_a_transaction_gives_its_result_and_is_there_for_the_next_reader(database: Database) -> None:
    assert await database.transaction(put, "a") == "a"
    assert await database.read(names) == ["a"]


async def test_of_many_transactions_at_once_only_the_failing_ones_are_undone(database: Database) -> None:
    works = [put_and_fail if number % 3 == 0 else put for number in range(150)]
    outcomes = await asyncio.gather(
        *(database.transaction(work, f"{number:03}") for number, work in enumerate(works)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [
        KeyError if work is put_and_fail else str for work in works
    ]
    assert await database.read(names) == [f"{number:03}" for number in range(150) if number % 3]


async def test_a_statement_that_fails_in_one_transaction_does_not_hurt_its_neighbours(
    database: Database,
) -> None:
    outcomes = await asyncio.gather(
        *(database.transaction(put, name) for name in ("a", "b", "a", "c")), return_exceptions=True
    )
    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert await database.read(names) == ["a", "b", "c"]


async def test_cancelling_the_caller_does_not_stop_a_transaction_half_way(database: Database) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        put(connection, "first half")
        entered.set()
        leave.wait(10)
        put(connection, "second half")

    task = asyncio.create_task(database.transaction(slow))
    await asyncio.to_thread(entered.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    leave.set()
    await database.transaction(put, "later")
    while len(found := await database.read(names)) < 3:
        await asyncio.sleep(0.01)
    assert found == ["first half", "later", "second half"]


def test_threads_without_an_event_loop_use_run(database: Database) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: database.run(put, str(number)), range(40)))
    assert len(database.run(names)) == 40


async def test_closing_finishes_what_was_handed_in_and_refuses_the_rest(empty_database_url: str) -> None:
    database = Database.open(empty_database_url)
    await database.transaction(lambda connection: connection.execute(text("CREATE TABLE notes (name text)")))
    waiting = [asyncio.ensure_future(database.transaction(put, str(number))) for number in range(30)]
    await asyncio.sleep(0)
    await asyncio.to_thread(database.close)
    assert len(await asyncio.gather(*waiting)) == 30
    with pytest.raises(RuntimeError, match="closed"):
        await database.transaction(names)
    database.close()


async def test_a_listener_hears_of_committed_transactions_only(database: Database) -> None:
    heard: list[str] = []
    awake = asyncio.Event()

    def hear(word: str) -> None:
        heard.append(word)
        awake.set()

    def notify_and_fail(connection: Connection) -> None:
        notify(connection, "tea")
        raise KeyError

    stop = database.listen("coffee", lambda: hear("coffee"))
    database.listen("tea", lambda: hear("tea"))
    await listening(database)
    heard.clear()
    awake.clear()
    with pytest.raises(KeyError):
        await database.transaction(notify_and_fail)
    await database.transaction(notify, "coffee")
    await asyncio.wait_for(awake.wait(), 10)
    assert heard == ["coffee"]
    stop()
    await database.transaction(notify, "coffee")
    await database.transaction(notify, "tea")
    while len(heard) < 2:
        await asyncio.sleep(0.01)
    assert heard == ["coffee", "tea"]


async def test_a_listener_hears_other_processes_on_postgresql(empty_database_url: str) -> None:
    ours, other = Database.open(empty_database_url), Database.open(empty_database_url)
    if ours.kind == "postgresql":
        awake = asyncio.Event()
        ours.listen("coffee", awake.set)
        await listening(ours)
        awake.clear()
        await other.transaction(notify, "coffee")
        await asyncio.wait_for(awake.wait(), 10)
    ours.close()
    other.close()


async def test_many_notifies_of_a_process_reach_the_others_as_a_few_wakeups(empty_database_url: str) -> None:
    ours, other = Database.open(empty_database_url), Database.open(empty_database_url)
    if ours.kind == "postgresql":
        heard: list[str] = []
        ours.listen("coffee", lambda: heard.append("coffee"))
        ours.listen("tea", lambda: heard.append("tea"))
        await listening(ours)
        heard.clear()
        await asyncio.gather(*(other.transaction(notify, "coffee") for _ in range(200)))
        await other.transaction(notify, "tea")
        while "tea" not in heard:
            await asyncio.sleep(0.01)
        assert 1 <= heard.count("coffee") < 200
    ours.close()
    other.close()


async def test_a_read_that_fails_does_not_hurt_those_that_are_read_with_it(database: Database) -> None:
    await database.transaction(put, "a")

    def fail(connection: Connection) -> None:
        connection.execute(text("SELECT nothing FROM nowhere"))

    works = [fail if number % 3 == 0 else names for number in range(60)]
    outcomes = await asyncio.gather(*(database.read(work) for work in works), return_exceptions=True)
    for work, outcome in zip(works, outcomes, strict=True):
        assert isinstance(outcome, Exception) if work is fail else outcome == ["a"]


async def test_a_read_sees_what_was_committed_before_it_was_asked_for(database: Database) -> None:
    async def write_and_look(name: str) -> None:
        await database.transaction(put, name)
        assert name in await database.read(names)

    await asyncio.gather(*(write_and_look(str(number)) for number in range(60)))


async def test_the_clock_can_be_read_as_a_column(database: Database) -> None:
    def read_both(connection: Connection) -> tuple[datetime, datetime, datetime]:
        return now(connection), connection.execute(select(CLOCK)).scalar_one(), now(connection)

    for moments in (await database.transaction(read_both), await database.read(read_both)):
        assert list(moments) == sorted(moments)
        assert moments[1].tzinfo is UTC


async def test_the_clock_is_aware_and_moves_inside_a_transaction(database: Database) -> None:
    def twice(connection: Connection) -> tuple[datetime, datetime]:
        return now(connection), now(connection)

    first, second = await database.transaction(twice)
    assert first.tzinfo is UTC
    assert timedelta() <= second - first < timedelta(minutes=1)
    assert abs(datetime.now(UTC) - first) < timedelta(minutes=1)


async def test_a_reader_on_sqlite_cannot_write(empty_database_url: str) -> None:
    database = Database.open(empty_database_url)
    await database.transaction(lambda connection: connection.execute(text("CREATE TABLE notes (name text)")))
    if database.kind == "sqlite":
        with pytest.raises(DatabaseUnavailable):
            await database.read(put, "a")
    database.close()


async def test_text_that_postgresql_cannot_keep_is_bad_input_and_not_a_crash(database: Database) -> None:
    if database.kind == "postgresql":
        with pytest.raises(InvalidInput):
            await database.transaction(put, "nul \0")
        with pytest.raises(InvalidInput):
            await database.transaction(put, "longer than twenty characters")


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "mysql://host/name", "sqlite://", "sqlite:///:memory:", "postgresql://u:p4ss@h:x/n"],
)
def test_an_address_that_is_no_database_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Database.open(url)
    assert refused.value.field == "DATABASE_URL"
    assert "p4ss" not in str(refused.value)


@pytest.mark.parametrize("prefix", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_spelling_of_postgresql_is_understood(prefix: str) -> None:
    assert parse_url(f"{prefix}://alice@db.example/app").drivername == "postgresql+psycopg"


def test_ids_are_distinct_version_7_and_ordered_by_time() -> None:
    ids = [new_id() for _ in range(2_000)]
    assert len(set(ids)) == len(ids)
    assert all(one[14] == "7" and one[19] in "89ab" for one in ids)
    assert all(one[:13] <= two[:13] for one, two in pairwise(ids))


async def test_an_exception_that_no_future_can_carry_hangs_nobody(database: Database) -> None:
    def exhausted(_connection: Connection) -> str:
        return next(iter(()))

    works = [database.transaction(put, "a"), database.transaction(exhausted), database.transaction(put, "b")]
    outcomes = await asyncio.wait_for(asyncio.gather(*works, return_exceptions=True), 10)
    assert [type(outcome) for outcome in outcomes] == [str, RuntimeError, str]
