"""Who is alive: a lock that the kernel, or the database server, drops at death."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from replysequence.storage import incarnations
from replysequence.storage.database import Database, Transaction, parse_url
from replysequence.storage.ids import new_id

LIVE = """
import sys
from replysequence.storage import incarnations
from replysequence.storage.database import parse_url
life = incarnations.begin(parse_url(sys.argv[1]))
print(life.id, flush=True)
sys.stdin.read()
life.end()
"""


@contextmanager
def another_process(database_url: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that has begun a life; its incarnation."""
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE, database_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.communicate()


def is_dead(database: Database, incarnation: str) -> bool:
    return database.run(incarnations.is_dead, incarnation=incarnation)


def test_a_process_is_alive_until_it_is_killed(database: Database, database_url: str) -> None:
    with another_process(database_url) as (incarnation, process):
        assert not is_dead(database, incarnation)
        assert not is_dead(database, incarnation), "asking must not end it"
        process.send_signal(signal.SIGKILL)
        process.wait()
        while not is_dead(database, incarnation):  # the database server notices a moment later
            pass


def test_a_process_that_ends_its_life_is_dead_and_leaves_nothing_behind(
    database: Database, database_url: str
) -> None:
    life = incarnations.begin(parse_url(database_url))
    assert not is_dead(database, life.id)
    life.end()
    assert is_dead(database, life.id)


def test_a_process_whose_connection_broke_is_alive_again_once_it_has_renewed(
    database: Database, database_url: str
) -> None:
    life = incarnations.begin(parse_url(database_url))
    if database.kind == "postgresql":
        database.run(cut_every_other_connection)
        while not is_dead(database, life.id):
            pass
    life.renew()
    assert not is_dead(database, life.id)
    life.end()
    assert is_dead(database, life.id)


def cut_every_other_connection(transaction: Transaction) -> None:
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    transaction.execute(text(f"{others} AND pid <> pg_backend_pid() AND backend_type = 'client backend'"))


def test_an_incarnation_that_never_was_is_dead(database: Database) -> None:
    assert is_dead(database, new_id())


def test_two_lives_of_one_process_are_told_apart(database: Database, database_url: str) -> None:
    url = parse_url(database_url)
    first, second = incarnations.begin(url), incarnations.begin(url)
    first.end()
    assert is_dead(database, first.id)
    assert not is_dead(database, second.id)
    second.end()


def test_a_database_in_memory_can_have_no_ledger() -> None:
    with pytest.raises(ValueError, match="outlives"):
        incarnations.begin(parse_url("sqlite:///:memory:"))
