"""What is written together: one commit for many, and nobody pays for what is wrong with another."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import insert, select

from replysequence.services.batching import Batch
from replysequence.storage.claims import AttemptLost
from replysequence.storage.database import Database, Transaction, now
from replysequence.storage.tables import webhook_deliveries

LOST = "lost"


def write(transaction: Transaction, ids: Sequence[str]) -> None:
    """A row each; an id that is there already breaks the whole transaction."""
    rows = [{"id": each, "received_at": now(transaction)} for each in ids]
    transaction.execute(insert(webhook_deliveries), rows)
    if LOST in ids:
        raise AttemptLost(LOST)


def written(transaction: Transaction) -> set[str]:
    return set(transaction.execute(select(webhook_deliveries.c.id)).scalars())


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database.open(database_url)
    yield database
    database.close()


async def together(batch: Batch[str], *ids: str) -> list[str]:
    """Write ``ids`` in one transaction; what each of them met, empty where it was written."""
    met = await asyncio.gather(*(batch.write(each) for each in ids), return_exceptions=True)
    return ["" if each is None else type(each).__name__ for each in met]


async def test_what_comes_together_is_written_together(database: Database) -> None:
    sizes: list[int] = []

    def noted(transaction: Transaction, ids: Sequence[str]) -> None:
        sizes.append(len(ids))
        write(transaction, ids)

    batch: Batch[str] = Batch(database, noted)
    assert await together(batch, "a", "b", "c") == ["", "", ""]
    assert sizes == [3]
    assert await database.read(written) == {"a", "b", "c"}


async def test_who_has_lost_loses_alone(database: Database) -> None:
    assert await together(Batch(database, write), "a", LOST, "b") == ["", "AttemptLost", ""]
    assert await database.read(written) == {"a", "b"}


async def test_what_the_database_does_not_take_is_refused_alone(database: Database) -> None:
    batch: Batch[str] = Batch(database, write)
    await batch.write("known")
    assert await together(batch, "a", "known", "b") == ["", "IntegrityError", ""]
    assert await database.read(written) == {"known", "a", "b"}
