"""Threads that run one transaction at a time each: those of PostgreSQL that write."""

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from replysequence.storage.jobs import JobQueue, deliver
from replysequence.storage.own_connection import OwnConnection
from replysequence.storage.troubles import CommitFailed, translated
from replysequence.storage.wakeups import Tell, take_notified

T = TypeVar("T")

_ROLLED_BACK = ("40001", "40P01")
"""serialization_failure and deadlock_detected: the server has rolled back and asks for another try
(PostgreSQL manual §13.5, checked 2026-11-22)."""


PAUSES = (0.0, 0.02, 0.05)
"""Seconds before the second, third and fourth try. The later ones let the winner of a deadlock finish: one that
starts again at once can take the lock from under it."""


class TransactionThreads:
    """Runs jobs, each in a transaction of its own, and tells the channels that it notified once it is committed."""

    def __init__(self, engine: Engine, *, jobs: JobQueue, tell: Tell) -> None:
        self._engine = engine
        self._jobs = jobs
        self._tell = tell

    def serve(self) -> None:
        """Run until the queue is closed: the body of each thread."""
        own = OwnConnection(self._engine)
        while (job := self._jobs.take()) is not None:
            try:
                job.result, notified = in_transaction(own, job.work)
            except BaseException as error:  # noqa: BLE001 - it is handed to who waits for this job
                job.error = translated(error)
            else:
                self._tell(notified)
            deliver((job,))
        own.close()


def in_transaction(own: OwnConnection, work: Callable[[Connection], T]) -> tuple[T, set[str]]:
    """Run ``work`` and commit; returns its result and the channels that it notified. When it was rolled back for no
    fault of its own, run it again, a few times at most.

    That is safe because ``work`` touches nothing but the database, and because nothing is repeated once
    COMMIT was sent. A lost connection is noticed this way too, at no cost to the connections that are well.
    """
    for pause in PAUSES:
        try:
            return _once(own, work)
        except DBAPIError as error:
            if not error.connection_invalidated and getattr(error.orig, "sqlstate", None) not in _ROLLED_BACK:
                raise
        time.sleep(pause)
    return _once(own, work)


def _once(own: OwnConnection, work: Callable[[Connection], T]) -> tuple[T, set[str]]:
    connection = own.get()
    take_notified(connection)  # of a transaction that failed
    with connection.begin() as transaction:
        result = work(connection)
        notified = take_notified(connection)
        try:
            transaction.commit()
        except Exception as error:
            connection.invalidate()  # nobody knows whether its transaction has ended
            raise CommitFailed from error
    return result, notified
