"""Room to write, which can be taken away from a process and given back, as a full disk does."""

import resource
from typing import Protocol

from sqlalchemy import Connection, Engine, event


class Room(Protocol):
    """What can run short."""

    def turn(self) -> None:
        """Take it away, or give it back."""
        ...


class Pages:
    """SQLite's own limit of a database's size: whoever needs another page is told that the disk is full."""

    _NONE = 1  # SQLite takes as many as there are, then
    _PLENTY = 1 << 30

    def __init__(self) -> None:
        self._most = self._PLENTY
        event.listen(Engine, "begin", self._limit)

    def turn(self) -> None:
        self._most = self._PLENTY if self._most == self._NONE else self._NONE

    def _limit(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {self._most}")


class Writes:
    """The kernel's limit of a file's size: no file can be written, neither the database's nor the log."""

    def turn(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if soft == 0 else 0, hard))


ROOMS: dict[str, type[Room]] = {"pages": Pages, "writes": Writes}
