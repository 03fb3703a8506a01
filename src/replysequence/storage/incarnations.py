"""Who is alive. A process that claims sends takes a new incarnation, and holds a lock that dies with it.

SQLite: an OS file lock on a file named after the incarnation, beside the database; the kernel drops it at
death. PostgreSQL: an advisory lock on a connection of its own; the server drops it when that connection ends.
No clock is involved. A wrong "dead" costs one ``unknown`` that the late worker then repairs; it never sends
twice.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from replysequence.storage.database import engine_for
from replysequence.storage.ids import new_id

_ALIVE = text("SELECT 1")
_LOCK = text("SELECT pg_try_advisory_lock(:key)")
_UNLOCK = text("SELECT pg_advisory_unlock(:key)")


class Incarnation(Protocol):
    """This process's life, as others can see it."""

    id: str

    def renew(self) -> None:
        """Take the lock again if it was lost, as it is with the connection that held it. Blocks."""
        ...

    def end(self) -> None:
        """Let the lock go; to be called after the last send has ended."""
        ...


class _FileLocked:
    def __init__(self, *, folder: Path, incarnation: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.id = incarnation
        self._path = folder / incarnation
        self._file: IO[bytes] = self._path.open("wb")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def renew(self) -> None:
        """Nothing to do: a file lock is lost at death only."""

    def end(self) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()


class _AdvisoryLocked:
    def __init__(self, *, engine: Engine, incarnation: str) -> None:
        self.id = incarnation
        self._engine = engine
        self._connection: Connection | None = None
        self.renew()

    def renew(self) -> None:
        if self._connection is not None:
            try:
                self._connection.execute(_ALIVE)
            except DBAPIError:
                self._drop()
        if self._connection is None:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            # Not granted only while the server has not noticed yet that our last connection broke: it still stands
            # for us then, and the next renewal tries again.
            if connection.execute(_LOCK, {"key": _key(self.id)}).scalar_one():
                self._connection = connection
            else:
                connection.close()

    def end(self) -> None:
        with suppress(DBAPIError):
            if self._connection is not None:
                self._connection.execute(_UNLOCK, {"key": _key(self.id)})
        self._drop()
        self._engine.dispose()

    def _drop(self) -> None:
        """Close for good, not back into the pool: there a session lock would stay on the connection."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def begin(url: URL) -> Incarnation:
    """Start a life with a new id and take its lock."""
    incarnation = new_id()
    if url.get_backend_name() == "sqlite":
        return _FileLocked(folder=_folder(url), incarnation=incarnation)
    return _AdvisoryLocked(engine=engine_for(url), incarnation=incarnation)


def is_dead(connection: Connection, *, incarnation: str) -> bool:
    """Whether nobody holds the lock of ``incarnation``."""
    if connection.dialect.name == "sqlite":
        return _file_is_free(_folder(connection.engine.url) / incarnation)
    return bool(
        connection.execute(
            text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _key(incarnation)}
        ).scalar_one()
    )


def _file_is_free(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(file)


def _folder(url: URL) -> Path:
    database = url.database
    if not database or database == ":memory:":
        raise ValueError("the ledger needs a database that outlives the process")
    return Path(f"{database}.alive")


def _key(incarnation: str) -> int:
    """63 bits of the incarnation's id, as PostgreSQL's advisory locks take a bigint."""
    return int(incarnation.replace("-", "")[-16:], 16) >> 1
