"""Tell others that there is something to do: ``notify`` in a transaction, ``listen`` on the event loop.

A wake-up is a hint and may be lost (a connection broke) or come for nothing: who listens must also look from
time to time.
"""

import asyncio
import selectors
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Lock, Thread

import psycopg
from sqlalchemy import Connection, Engine, bindparam, func, select

POSTGRESQL_CHANNEL = "replysequence"
"""The one channel that we LISTEN on; ours travel in the payload."""

RETRY_SECONDS = 1.0

_NOTIFY = select(func.pg_notify(POSTGRESQL_CHANNEL, bindparam("channel")))
_PENDING = "replysequence.notified"


def notify(connection: Connection, channel: str) -> None:
    """Wake who listens to ``channel``, once the running transaction is committed and only then."""
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY, {"channel": channel})
    else:
        connection.info.setdefault(_PENDING, set()).add(channel)


def take_notified(connection: Connection) -> set[str]:
    """The channels that a transaction on SQLite notified, and forget them."""
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


class PostgresqlListener:
    """A thread with its own connection that turns NOTIFY of any process into wake-ups of this one."""

    def __init__(self, engine: Engine, *, wakeups: Wakeups) -> None:
        self._engine = engine
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
        while True:
            try:
                if self._listen_until_closing():
                    return
            except (psycopg.Error, OSError):
                if self._closing_within(RETRY_SECONDS):
                    return

    def _listen_until_closing(self) -> bool:
        arguments, parameters = self._engine.dialect.create_connect_args(self._engine.url)
        with psycopg.connect(*arguments, **parameters, autocommit=True) as connection:
            connection.execute(f"LISTEN {POSTGRESQL_CHANNEL}")
            self._wakeups.wake_all()  # what was sent while nobody listened
            while not self._closing_before_input(connection):
                self._wakeups.wake({notice.payload for notice in connection.notifies(timeout=0)})
        return True

    def _closing_before_input(self, connection: psycopg.Connection) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            return any(key.fileobj is self._woken for key, _ in selector.select())

    def _closing_within(self, seconds: float) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            return bool(selector.select(seconds))
