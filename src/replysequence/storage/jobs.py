"""Work on its way from an event loop, or a plain thread, to a database thread, and back again."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

from sqlalchemy import Connection


@dataclass(slots=True, eq=False)
class Job:
    """One transaction that somebody waits for. Once it has run, ``result`` counts if there is no ``error``."""

    work: Callable[[Connection], Any]
    future: asyncio.Future[Any] | concurrent.futures.Future[Any]
    result: Any = None
    error: BaseException | None = None


class JobQueue:
    """Jobs in the order they came. After :meth:`close`, those already inside are still handed out."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = Lock()
        self._closed = False

    def put(self, job: Job) -> None:
        """Add a job. Raises RuntimeError when the queue is closed: it would never run."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the database is closed")
            self._jobs.put(job)

    def close(self, *, takers: int) -> None:
        """Take nothing more, and let ``takers`` threads know once the rest is done."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in range(takers):
                    self._jobs.put(None)

    def take(self) -> Job | None:
        """Wait for the next job; None when there will be none."""
        return self._jobs.get()

    def take_batch(self, *, limit: int) -> list[Job]:
        """Wait for a job, and take what else is waiting, up to ``limit``; empty when there will be none."""
        first = self._jobs.get()
        if first is None:
            return []
        batch = [first]
        with suppress(Empty):
            while len(batch) < limit:
                job = self._jobs.get_nowait()
                if job is None:
                    self._jobs.put(None)
                    break
                batch.append(job)
        return batch


def deliver(jobs: Iterable[Job]) -> None:
    """Hand the results of ``jobs`` to whoever waits: one call into each event loop, however many jobs."""
    waiting: dict[asyncio.AbstractEventLoop | None, list[Job]] = {}
    for job in jobs:
        loop = job.future.get_loop() if isinstance(job.future, asyncio.Future) else None
        waiting.setdefault(loop, []).append(job)
    for loop, group in waiting.items():
        if loop is None:
            _resolve(group)
        else:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, group)


def _resolve(jobs: Iterable[Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue  # cancelled meanwhile: the transaction is whole, only its result is not wanted
        if job.error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(job.error)
