"""Many callers, one transaction. A commit costs much more than what is in it: so at a busy time everything waits for
the next turn, and goes together. Who comes alone does not wait.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from replysequence.domain.errors import DatabaseUnavailable
from replysequence.storage.database import Database, Transaction

T = TypeVar("T")

AT_MOST = 200
"""Items in one transaction, so that it stays short."""
TURN = 0.02
"""Seconds. In a busy time all batches of a process are written at the same turns, which one commit then serves."""
FEW = 3
"""As long as no more come together, the time is not busy."""


def until_next_turn() -> float:
    """Seconds until the next turn."""
    return TURN - asyncio.get_running_loop().time() % TURN


class Batch(Generic[T]):
    """Writes items by ``work(transaction, items)``."""

    def __init__(self, database: Database, work: Callable[[Transaction, Sequence[T]], None]) -> None:
        self._database = database
        self._work = work
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, item: T) -> None:
        """Return once ``item`` is durable. Raises what its transaction raised.

        Anything but :class:`DatabaseUnavailable` is this item's own: where it comes up, each of the batch is written
        alone.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name=f"batch-{self._work.__name__}")
        await done

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:AT_MOST], self._waiting[AT_MOST:]
                await self._write(batch)
                if len(batch) > FEW:
                    await asyncio.sleep(until_next_turn())
        finally:
            self._writing = None

    async def _write(self, batch: Sequence[tuple[T, asyncio.Future[None]]]) -> None:
        try:
            await self._database.transaction(self._work, [item for item, _ in batch])
        except DatabaseUnavailable as error:
            _resolve(batch, error)
        except Exception as error:  # noqa: BLE001 - it is handed to whose it is
            if len(batch) == 1:
                _resolve(batch, error)
                return
            for each in batch:
                await self._write([each])
        else:
            _resolve(batch, None)


def _resolve(batch: Sequence[tuple[object, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, done in batch:
        if done.done():
            continue  # nobody waits any more; what was written stays
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
