"""SQLite: one writer thread that puts all waiting transactions into one commit."""

import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from replysequence.domain.errors import InvalidInput
from replysequence.storage.jobs import Job, JobQueue, deliver
from replysequence.storage.troubles import CommitFailed, translated
from replysequence.storage.wakeups import Wakeups, take_notified

BATCH = 64
"""Transactions in one commit at most, so that the write lock is let go every few milliseconds."""

BUSY_SECONDS = 10
READERS = 4


def require_file(url: URL) -> Path:
    """The file that ``url`` names. Raises InvalidInput for a database in memory: it could not be kept."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise InvalidInput(
            "DATABASE_URL", "A SQLite database needs a file: write sqlite:///path/to/replysequence.db."
        )
    return Path(url.database)


def sqlite_engine(url: URL, *, read_only: bool) -> Engine:
    """An engine whose transactions begin IMMEDIATE, or one that can only read.

    Makes the file if need be, for its owner's account only. Raises InvalidInput for a file that will not do.
    The driver's own BEGIN is switched off and ours is sent instead, as SQLAlchemy's page on pysqlite tells (checked
    2026-11-22): the driver would begin late and let two writers meet.
    """
    path = require_file(url)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(
        url,
        pool_size=READERS,
        max_overflow=0,
        hide_parameters=True,  # errors end up in logs
        connect_args={"timeout": BUSY_SECONDS, "cached_statements": 512},
    )
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.create_function("clock_timestamp", 0, _clock)  # as PostgreSQL calls its own
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise InvalidInput(
                "DATABASE_URL", f"{path} cannot keep a write-ahead log. Put it on a local disk."
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone does not reach the disk
        connection.execute("PRAGMA foreign_keys = ON")
        # What a savepoint keeps of the pages before it, many times what is written: not for a file on disk.
        connection.execute("PRAGMA temp_store = MEMORY")
        if read_only:
            connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _clock() -> str:
    """This machine's time as SQLAlchemy keeps a datetime in SQLite."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


class GroupCommit:
    """The only writer of this process: a savepoint for each job, one commit for all that wait."""

    def __init__(self, engine: Engine, *, jobs: JobQueue, wakeups: Wakeups) -> None:
        self._engine = engine
        self._jobs = jobs
        self._wakeups = wakeups

    def serve(self) -> None:
        """Run until the queue is closed: the body of the writer thread."""
        connection: Connection | None = None
        while batch := self._jobs.take_batch(limit=BATCH):
            try:
                connection = connection or self._engine.connect()
                channels = _commit_together(connection, batch)
            except Exception as error:  # noqa: BLE001 - it is handed to everybody who waits for this batch
                _fail(batch, error)
                _throw_away(connection)
                connection = None
            else:
                self._wakeups.wake(channels)
            deliver(batch)
        if connection is not None:
            connection.close()


def _commit_together(connection: Connection, batch: list[Job]) -> set[str]:
    """Run every job and commit once; returns the channels to wake.

    When it raises CommitFailed the batch may have been kept, with any other error it was not.
    """
    channels: set[str] = set()
    with connection.begin() as transaction:
        # The driver's own connection: SQLAlchemy's savepoints cost more than a short transaction itself.
        driver: Any = connection.connection.driver_connection
        for job in batch:
            driver.execute("SAVEPOINT job")
            try:
                job.result = job.work(connection)
            except BaseException as error:  # noqa: BLE001 - it is handed to who waits for this job
                job.error = translated(error)
                driver.execute("ROLLBACK TO job")
                take_notified(connection)
            else:
                channels |= take_notified(connection)
            driver.execute("RELEASE job")
        try:
            transaction.commit()
        except Exception as error:
            connection.invalidate()  # nobody knows whether its transaction has ended
            raise CommitFailed from error
    return channels


def _fail(batch: list[Job], error: Exception) -> None:
    """Take back every result of ``batch``. Who had failed before keeps their own error."""
    for job in batch:
        if job.error is None:
            job.result = None
            job.error = translated(error)


def _throw_away(connection: Connection | None) -> None:
    """Close the driver's connection too: after an error nobody knows whether its transaction has ended."""
    if connection is not None:
        connection.invalidate()
        connection.close()
