"""Threads that only read. Whoever waits is served in one go: waking an event loop costs as much as a short read."""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine

from replysequence.storage.jobs import Job, JobQueue, deliver
from replysequence.storage.own_connection import OwnConnection
from replysequence.storage.troubles import translated

AT_A_TIME = 16
"""Reads in one go at most."""

TRIES = 3
"""How often a read is begun whose connection is lost under it."""


class ReadingThreads:
    """Runs reads. On SQLite those of one go see one state of the database, not older than the newest of them."""

    def __init__(self, engine: Engine, *, jobs: JobQueue) -> None:
        self._engine = engine
        self._jobs = jobs

    def serve(self) -> None:
        """Run until the queue is closed: the body of each thread."""
        own = OwnConnection(self._engine)
        while batch := self._jobs.take_batch(limit=AT_A_TIME):
            left: Sequence[Job] = batch
            for _ in range(TRIES):
                left = _read(own, left)
                if not left:
                    break
            deliver(batch)
        own.close()


def _read(own: OwnConnection, jobs: Sequence[Job]) -> Sequence[Job]:
    """Run ``jobs``; returns those from the one on under which the connection was lost."""
    try:
        connection = own.get()
        transaction = connection.begin()
        try:
            for at, job in enumerate(jobs):
                _run(job, connection)
                if connection.invalidated:
                    return jobs[at:]
        finally:
            transaction.close()
    except Exception as error:  # noqa: BLE001 - it is handed to everybody who waits
        for job in jobs:
            job.error = translated(error)
        own.throw_away()
    return ()


def _run(job: Job, connection: Connection) -> None:
    try:
        job.result, job.error = job.work(connection), None
    except BaseException as error:  # noqa: BLE001 - it is handed to who waits for this job
        job.error = translated(error)
