"""Tell others that there is something to do: ``notify`` in a transaction, ``listen`` on the event loop.

A wake-up is a hint and may be lost (a connection broke) or come for nothing: who listens must also look from
time to time.
"""

import asyncio
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import Connection, Engine

if TYPE_CHECKING:  # who keeps everything in SQLite needs no driver of PostgreSQL in memory
    import psycopg

POSTGRESQL_CHANNEL = "replysequence"
"""The one channel that we LISTEN on; ours travel in the payload."""

RETRY_SECONDS = 1.0

NOTIFY_PAUSE = 0.005
"""Seconds between two NOTIFY of one process: what comes meanwhile goes along with the next. In its commit the server
holds a lock that every other NOTIFY waits for (PostgreSQL's source, commands/async.c, checked 2026-11-22), so one in
each transaction would put them all in a row."""

Tell: TypeAlias = Callable[[set[str]], None]
"""Takes the channels that a committed transaction notified."""

_PENDING = "replysequence.notified"


def notify(connection: Connection, channel: str) -> None:
    """Wake who listens to ``channel``, once the running transaction is committed and only then."""
    connection.info.setdefault(_PENDING, set()).add(channel)


def take_notified(connection: Connection) -> set[str]:
    """The channels that a transaction notified, and forget them."""
    channels: set[str] = connection.info.pop(_PENDING, set())
    return channels


class Wakeups:
    """Who listens to which channel in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._listeners: dict[str, list[tuple[asyncio.AbstractEventLoop, Callable[[], None]]]] = {}

    def listen(self, channel: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` on the running event loop after each notify. Returns what ends it."""
        listener = (asyncio.get_running_loop(), callback)
        with self._lock:
            self._listeners.setdefault(channel, []).append(listener)

        def stop() -> None:
            with self._lock, suppress(ValueError):
                self._listeners[channel].remove(listener)

        return stop

    def wake(self, channels: Iterable[str]) -> None:
        """Wake the listeners of ``channels``. Any thread."""
        for channel in channels:
            with self._lock:
                listeners = tuple(self._listeners.get(channel, ()))
            for loop, callback in listeners:
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(callback)

    def wake_all(self) -> None:
        """Wake everybody: something may have been missed."""
        with self._lock:
            channels = tuple(self._listeners)
        self.wake(channels)


class PostgresqlNotifier:
    """A thread with its own connection that tells the other processes; it starts with the first thing to tell.

    ``name`` says who tells, so that those who have woken their own listeners already do not do it again.
    """

    def __init__(self, engine: Engine, *, name: str) -> None:
        self._engine = engine
        self._name = name
        self._changed = Condition()
        self._channels: set[str] = set()
        self._closing = False
        self._thread: Thread | None = None

    def tell(self, channels: set[str]) -> None:
        """Let the others know of ``channels``, soon. Any thread."""
        if not channels:
            return
        with self._changed:
            self._channels |= channels
            if self._thread is None and not self._closing:
                self._thread = Thread(target=self._serve, name="database-notifier", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Tell what is left to tell, and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        connection: psycopg.Connection | None = None
        errors = _errors(self._engine)
        while channels := self._next():
            try:
                connection = connection or _connect(self._engine)
                for channel in channels:
                    connection.execute(
                        "SELECT pg_notify(%s, %s)", (POSTGRESQL_CHANNEL, f"{self._name} {channel}")
                    )
            except errors:  # a hint that is lost: who listens looks from time to time
                if connection is not None:
                    connection.close()
                connection = None
            time.sleep(NOTIFY_PAUSE)
        if connection is not None:
            connection.close()

    def _next(self) -> set[str]:
        """Wait for something to tell; empty when there will be nothing more."""
        with self._changed:
            self._changed.wait_for(lambda: self._channels or self._closing)
            channels, self._channels = self._channels, set()
            return channels


class PostgresqlListener:
    """A thread with its own connection that turns NOTIFY of other processes into wake-ups of this one."""

    def __init__(self, engine: Engine, *, name: str, wakeups: Wakeups) -> None:
        self._engine = engine
        self._name = name
        self._wakeups = wakeups
        self._closing, self._woken = socket.socketpair()
        self._thread = Thread(target=self._serve, name="database-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait until the connection is closed."""
        self._closing.close()
        self._thread.join()
        self._woken.close()

    def _serve(self) -> None:
        errors = _errors(self._engine)
        while True:
            try:
                if self._listen_until_closing():
                    return
            except (errors, OSError):
                if self._closing_within(RETRY_SECONDS):
                    return

    def _listen_until_closing(self) -> bool:
        with _connect(self._engine) as connection:
            connection.execute(f"LISTEN {POSTGRESQL_CHANNEL}")
            self._wakeups.wake_all()  # what was sent while nobody listened
            while not self._closing_before_input(connection):
                notices = (notice.payload.partition(" ") for notice in connection.notifies(timeout=0))
                self._wakeups.wake({channel for name, _, channel in notices if name != self._name})
        return True

    def _closing_before_input(self, connection: "psycopg.Connection") -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            return any(key.fileobj is self._woken for key, _ in selector.select())

    def _closing_within(self, seconds: float) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            return bool(selector.select(seconds))


def _connect(engine: Engine) -> "psycopg.Connection":
    arguments, parameters = engine.dialect.create_connect_args(engine.url)
    connection: psycopg.Connection = _driver(engine).connect(*arguments, **parameters, autocommit=True)
    return connection


def _errors(engine: Engine) -> type[Exception]:
    errors: type[Exception] = _driver(engine).Error
    return errors


def _driver(engine: Engine) -> Any:  # the module psycopg, which the engine has imported
    return engine.dialect.loaded_dbapi
