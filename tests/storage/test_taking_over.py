"""Taking over from who is believed dead, and is not: a send that has begun to leave is never queued again."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Connection as Transaction
from sqlalchemy import text

from replysequence.domain.send import State
from replysequence.storage import claims, endings
from replysequence.storage.database import Database
from storage.conftest import Connect
from support.ledger import NOON, Ledger, mailbox_route

LATER = NOON + timedelta(hours=1)
_WAITING_FOR_A_LOCK = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def others(database_url: str) -> Iterator[Ledger]:
    """Another process, as far as the database can tell."""
    database = Database.open(database_url)
    yield Ledger(database)
    database.close()


def until_the_reaper_has_looked(transaction: Transaction) -> None:
    """On SQLite it cannot look before this transaction ends; on PostgreSQL it has, and waits for our row."""
    if transaction.dialect.name == "postgresql":
        pause = threading.Event()
        while transaction.execute(_WAITING_FOR_A_LOCK).scalar_one() == 0:
            pause.wait(0.01)


def test_a_send_that_begins_to_leave_while_its_worker_is_believed_dead_is_not_queued_again(
    ledger: Ledger, others: Ledger, alice: str, connect: Connect
) -> None:
    send_id = ledger.accepted(alice, route=mailbox_route(connect(alice).id))
    (claimed,) = ledger.claim()
    begun = threading.Event()

    def begin(transaction: Transaction) -> None:
        claims.begin_sending(transaction, [claimed], incarnation=ledger.me, at=NOON)
        begun.set()
        until_the_reaper_has_looked(transaction)

    def reap() -> dict[State, int]:
        begun.wait()
        return others.database.run(endings.reap, incarnation=ledger.me, repeatable={}, at=LATER)

    with ThreadPoolExecutor(2) as threads:
        beginning, reaping = threads.submit(ledger.database.run, begin), threads.submit(reap)
        beginning.result(timeout=30)
        assert State.QUEUED not in reaping.result(timeout=30)
    assert ledger.state(alice, send_id) in {State.SENDING, State.UNKNOWN}
    ledger.end(claimed, State.SENT)
    assert ledger.state(alice, send_id) is State.SENT
