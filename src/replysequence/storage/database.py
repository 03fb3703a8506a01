"""The one door to the database, the same for SQLite and PostgreSQL.

Storage functions are plain functions over a SQLAlchemy Core connection. ``transaction`` and ``read`` run one
on a database thread: one thread hop a transaction, not one a statement.
"""

import asyncio
import concurrent.futures
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from threading import Thread
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeAlias, TypeVar, cast

from sqlalchemy import URL, ColumnElement, Connection, Engine, Row, func, make_url, select
from sqlalchemy.exc import ArgumentError

from replysequence.domain.errors import InvalidInput
from replysequence.storage import postgresql, sqlite
from replysequence.storage.column_types import UtcDateTime
from replysequence.storage.jobs import Job, JobQueue
from replysequence.storage.prepared import Line, Prepared
from replysequence.storage.reading import ReadingThreads
from replysequence.storage.transactions import TransactionThreads
from replysequence.storage.wakeups import PostgresqlListener, PostgresqlNotifier, Wakeups, notify

__all__ = ["CLOCK", "AnyRow", "Database", "Transaction", "engine_for", "notify", "now", "parse_url"]

P = ParamSpec("P")
T = TypeVar("T")

Transaction: TypeAlias = Connection
"""What storage functions run on, under the name that the rooms above know it by."""

AnyRow: TypeAlias = Row[*tuple[Any, ...]] | Line
"""A row of whatever columns, for functions that turn rows into objects of the domain."""

CLOCK: ColumnElement[datetime] = func.clock_timestamp(type_=UtcDateTime())
"""What :func:`now` gives, as a column: for who reads a row as well, and so saves a round trip."""

_NOW = Prepared(select(CLOCK.label("at")))


def now(connection: Connection) -> datetime:
    """The database's clock, aware UTC, which order and leases go by. On SQLite it is this machine's."""
    if connection.dialect.name == "postgresql":
        [(moment,)] = _NOW.lines(connection)
        return cast(datetime, moment)
    return datetime.now(UTC)


def parse_url(text: str) -> URL:
    """Read a DATABASE_URL. Raises InvalidInput, without the text: it may hold a password."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InvalidInput("DATABASE_URL", "This is not a database address.") from None
    kind = url.drivername.partition("+")[0]
    if kind == "sqlite":
        return url.set(drivername="sqlite")
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise InvalidInput(
        "DATABASE_URL", "Give a database as sqlite:///path/to/file.db or postgresql://user@host/name."
    )


def engine_for(url: URL) -> Engine:
    """An engine that may write, for migrations: apart from a Database and its threads."""
    return (
        sqlite.sqlite_engine(url, read_only=False)
        if url.get_backend_name() == "sqlite"
        else postgresql.postgresql_engine(url)
    )


class Database:
    """An open database. Any number of event loops and threads may use it at the same time.

    Everything that a transaction does is durable when ``transaction`` or ``run`` returns. When it raises,
    nothing of it was kept; the one exception is :class:`~replysequence.domain.errors.DatabaseUnavailable`
    that says ``may_have_committed``. ``work`` must touch nothing but its connection: it may be run a second
    time after a transaction that was rolled back for no fault of its own (a deadlock, a lost connection).
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.kind: Literal["sqlite", "postgresql"] = (
            "sqlite" if url.get_backend_name() == "sqlite" else "postgresql"
        )
        self._name = secrets.token_hex(8)
        self._wakeups = Wakeups()
        self._listener: PostgresqlListener | None = None
        self._notifier: PostgresqlNotifier | None = None
        self._threads: list[Thread] = []
        self._queues: list[tuple[JobQueue, int]] = []
        self._writes = JobQueue()
        self._reads = JobQueue()
        if self.kind == "sqlite":
            self._open_sqlite()
        else:
            self._open_postgresql()

    def _open_sqlite(self) -> None:
        writer = sqlite.sqlite_engine(self.url, read_only=False)
        reader = sqlite.sqlite_engine(self.url, read_only=True)
        self._engines = [writer, reader]
        commits = sqlite.GroupCommit(writer, jobs=self._writes, wakeups=self._wakeups)
        self._start(commits.serve, self._writes, threads=1)
        self._start(ReadingThreads(reader, jobs=self._reads).serve, self._reads, threads=sqlite.READERS)

    def _open_postgresql(self) -> None:
        engine = postgresql.postgresql_engine(self.url)
        self._engines = [engine]
        self._notifier = notifier = PostgresqlNotifier(engine, name=self._name)

        def tell(channels: set[str]) -> None:
            self._wakeups.wake(channels)
            notifier.tell(channels)

        transactions = TransactionThreads(engine, jobs=self._writes, tell=tell)
        reads = ReadingThreads(engine.execution_options(isolation_level="AUTOCOMMIT"), jobs=self._reads)
        self._start(transactions.serve, self._writes, threads=postgresql.WRITERS)
        self._start(reads.serve, self._reads, threads=postgresql.READERS)

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the database at ``url`` (sqlite:///… or postgresql://…); it connects when first used."""
        return cls(parse_url(url))

    async def transaction(
        self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``work(connection, …)`` in a transaction, and return once it is durable.

        Cancelling the caller does not stop it half way: it is finished, and its result is dropped.
        """
        return await _submit(self._writes, partial(_call, work, args, kwargs))

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``work(connection, …)`` for its result only. On SQLite it cannot write, and waits for no writer."""
        return await _submit(self._reads, partial(_call, work, args, kwargs))

    def run(self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Like ``transaction`` for a thread without an event loop: it blocks until it is durable."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._writes.put(Job(partial(_call, work, args, kwargs), future))
        return future.result()

    def listen(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` on the running event loop after a :func:`notify` of ``channel``.

        Returns what ends that. On PostgreSQL it hears every process, on SQLite this one. A wake-up is a hint
        that can be missed, and one may stand for several: look from time to time as well.
        """
        if self.kind == "postgresql" and self._listener is None:
            self._listener = PostgresqlListener(self._engines[0], name=self._name, wakeups=self._wakeups)
        return self._wakeups.listen(channel, callback)

    def close(self) -> None:
        """Finish what was handed in, then close every connection. Closing twice does nothing."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for queue, takers in self._queues:
            queue.close(takers=takers)
        for thread in self._threads:
            thread.join()
        if self._notifier is not None:
            self._notifier.close()
        for engine in self._engines:
            engine.dispose()

    def _start(self, serve: Callable[[], None], queue: JobQueue, *, threads: int) -> None:
        self._queues.append((queue, threads))
        for number in range(threads):
            thread = Thread(target=serve, name=f"database-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)


def _call(work: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any], connection: Connection) -> T:
    return work(connection, *args, **kwargs)


async def _submit(queue: JobQueue, work: Callable[[Connection], T]) -> T:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    queue.put(Job(work, future))
    return await future
