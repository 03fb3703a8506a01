"""A PostgreSQL server of our own, for one test session: private, empty, and gone afterwards."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

# A server that shares our time zone hides every place where a zone was forgotten.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "timezone": "Asia/Kolkata",
    "listen_addresses": "127.0.0.1",
}
SUPERUSER = "replysequence"
INITDB_ARGUMENTS = [
    "--username",
    SUPERUSER,
    "--auth",
    "trust",
    "--no-sync",
    "--encoding",
    "UTF8",
    "--no-locale",
]
START_SECONDS = 60
TRIES = 3


class ServerDied(Exception):
    """PostgreSQL did not come up; the text is what it wrote."""


@dataclass(frozen=True, kw_only=True)
class PostgreSQL:
    """A running server, reachable without a password on this machine's loopback only."""

    port: int

    def url(self, name: str) -> str:
        """What DATABASE_URL holds for the database `name`."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{name}"

    def create(self, name: str, *, template: str = "template0") -> str:
        """Makes a database like `template`, which nobody may be connected to; gives its URL."""
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.url(name)

    def drop(self, name: str) -> None:
        """Removes a database, and throws out whoever is still connected to it."""
        self._run("DROP DATABASE {} WITH (FORCE)", name)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def running_postgresql(programs: Path, *, settings: Mapping[str, str] = SETTINGS) -> Iterator[PostgreSQL]:
    """Starts a server from the folder `programs`, and ends it with all its data. Raises ServerDied."""
    with cluster(programs, settings=settings) as it:
        yield it.start()


@contextmanager
def cluster(programs: Path, *, settings: Mapping[str, str] = SETTINGS) -> Iterator["Cluster"]:
    """A server's data, made with the programs of that folder; at the end the server stops and the data goes.

    PostgreSQL refuses to run as root: then it runs as an unprivileged account of this machine.
    Raises ServerDied.
    """
    account = _unprivileged_account() if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="replysequence-postgresql-"))
    try:
        if account:
            os.chown(home, account.pw_uid, account.pw_gid)
        initialise = [str(programs / "initdb"), "--pgdata", str(home / "data"), *INITDB_ARGUMENTS]
        if _popen(account, initialise, home=home).wait() != 0:
            raise ServerDied((home / "log").read_text(errors="replace"))
        made = Cluster(programs, home, account, settings)
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(home)


@dataclass
class Cluster:
    """A server that can be stopped and started again, with the same data at the same port."""

    programs: Path
    home: Path
    account: pwd.struct_passwd | None
    settings: Mapping[str, str]
    _process: subprocess.Popen[bytes] | None = None
    _server: PostgreSQL | None = None

    def start(self) -> PostgreSQL:
        """Returns once the server takes connections. Raises ServerDied."""
        options = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        for _ in range(TRIES):  # a port that was free may be taken a moment later: then another one is tried
            server = self._server or PostgreSQL(port=_free_port())
            where = ["-D", str(self.home / "data"), "-k", str(self.home), "-p", str(server.port)]
            command = [str(self.programs / "postgres"), *where, *options]
            process = _popen(self.account, command, home=self.home)
            if _answers(process, server):
                self._process, self._server = process, server
                return server
        raise ServerDied((self.home / "log").read_text(errors="replace"))

    def stop(self) -> None:
        """As `pg_ctl stop -m immediate`: no connection is closed, no checkpoint written."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None


def _unprivileged_account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerDied(
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody."
    )


def _popen(account: pwd.struct_passwd | None, command: list[str], *, home: Path) -> subprocess.Popen[bytes]:
    with (home / "log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=home,
            env={"PATH": os.defpath, "HOME": str(home), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,  # an interrupt at the terminal is pytest's to handle
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], server: PostgreSQL) -> bool:
    """Waits until the server takes connections; False when it ended instead."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None:
        try:
            psycopg.connect(server.url("postgres")).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                process.send_signal(signal.SIGQUIT)
                process.wait()
                return False
            time.sleep(0.05)
        else:
            return True
    return False
