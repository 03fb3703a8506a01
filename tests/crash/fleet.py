"""Real processes of the app around one database, and the sandbox in a process of its own: what crash tests kill.

    with fleet(database_url, folder, web=2, workers=2) as ships:
        ships.programs["worker-1"].kill()
        ships.programs["worker-1"].start()

Every program keeps its port and its log over its lives. Signals go to one process, by its id.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from replysequence import settings as settings_module
from replysequence.sandbox.environment import environment
from replysequence.settings import Settings
from support.plain_http import Answer, call

PATIENCE = 120.0
"""Seconds after which a program that has not come up, or an event that has not come, is a failure."""
_POLL = 0.02
MICROSOFT_TENANT = "5c1f0a3e-7d42-4b6a-9a55-2f6d1e9b7c30"

_numbers = count(1)


class NeverHappened(AssertionError):
    """What a test waited for did not come within :data:`PATIENCE`."""


def until(condition: Callable[[], bool], *, what: str, seconds: float = PATIENCE) -> None:
    """Wait for `condition`. Raises NeverHappened, naming `what`, when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NeverHappened(f"{what} did not happen within {seconds:.0f} seconds")
        time.sleep(_POLL)


class Port:
    """A port of this machine that stays ours: bound here without listening, so that nobody else is given it."""

    def __init__(self) -> None:
        self._holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.number: int = self._holder.getsockname()[1]

    @property
    def url(self) -> str:
        """Where whoever listens on it answers."""
        return f"http://127.0.0.1:{self.number}"

    def give_back(self) -> None:
        """Let it go."""
        self._holder.close()


@dataclass
class Program:
    """One program, over all its lives. `log` holds what it wrote, life after life."""

    name: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    log: Path
    is_up: Callable[["Program"], bool]
    url: str = ""
    """Where it answers, if it does."""
    lives: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _log_before: int = 0

    def start(self, *, wait: bool = True, **environ: str) -> None:
        """Begin a life, with `environ` for this life only; returns when it works, or at once without `wait`."""
        assert not self.alive, f"{self.name} runs already"
        self._log_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "replysequence", *self.arguments],
                env={**os.environ, **self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt at the terminal is pytest's to handle
            )
        self.lives += 1
        if wait:
            self.wait_until_up()

    def wait_until_up(self) -> None:
        """Wait until it works. Raises NeverHappened, and AssertionError with its log when it ended instead."""

        def up() -> bool:
            assert self.alive, f"{self.name} ended with {self.exit_code}: {self.said()[-2000:]}"
            return self.is_up(self)

        until(up, what=f"the start of {self.name}")

    def kill(self) -> None:
        """SIGKILL, as a power cut or the kernel's out-of-memory killer does it; returns when it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """SIGTERM, and wait for the polite end; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def pause(self) -> None:
        """SIGSTOP: alive, and doing nothing."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process, and to no other."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, *, seconds: float = PATIENCE) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        assert self._process is not None
        return self._process.wait(timeout=seconds)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of its present life."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How its last life ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def said(self) -> str:
        """What it has written in its present or last life."""
        return self.log.read_bytes()[self._log_before :].decode(errors="replace")

    def end(self) -> None:
        """Make sure that nothing is left of it, also of one that is paused."""
        if self.alive:
            self.kill()


@dataclass(frozen=True)
class Providers:
    """The sandbox in its own process, through its control API."""

    program: Program

    def control(self, method: str, path: str, body: object = None) -> Any:
        """One call of the control API; its JSON, None where it answers nothing."""
        answer = call(method, f"{self.program.url}/_sandbox{path}", json_body=body)
        assert answer.status < 300, answer.text
        return answer.json if answer.body else None

    def ledger(self) -> list[dict[str, Any]]:
        """Every acceptance so far, oldest first."""
        entries: list[dict[str, Any]] = self.control("GET", "/ledger")
        return entries

    def accepted(self, send_id: str) -> int:
        """How often a provider has taken the message of this send."""
        return sum(entry["send_id"] == send_id for entry in self.ledger())

    def arm(self, kind: str, *, vendor: str, **more: object) -> None:
        """Arm a fault of the menu: `count`, `probability`, `seed`, `endpoint`, `account`, `delay_seconds`."""
        self.control("POST", "/faults", {"kind": kind, "vendor": vendor, **more})

    def disarm(self) -> None:
        """Disarm every fault."""
        self.control("DELETE", "/faults")

    def strikes(self) -> list[dict[str, Any]]:
        """The faults that did strike."""
        struck: list[dict[str, Any]] = self.control("GET", "/state")["strikes"]
        return struck

    def grants(self) -> list[dict[str, Any]]:
        """Every consent that was ever given, and whether it stands."""
        given: list[dict[str, Any]] = self.control("GET", "/state")["grants"]
        return given

    def switch(self, email: str, *, vendor: str, **switches: object) -> None:
        """Switch what is out of the ordinary for one account, or `do` something to it."""
        self.control("POST", f"/accounts/{email}", {"vendor": vendor, **switches})

    def set_vendor(self, vendor: str, **settings: object) -> None:
        """Change limits and latency of one vendor."""
        self.control("POST", f"/vendors/{vendor}", settings)

    def set_team(self, **settings: object) -> None:
        """Change the Resend team's limits."""
        self.control("POST", "/resend/team", settings)

    def add_account(self, vendor: str, email: str, *, name: str = "Sal Eller") -> str:
        """Add somebody who can be connected; the address."""
        number = next(_numbers)
        subject, tenant = (
            (str(UUID(int=number)), MICROSOFT_TENANT)
            if vendor == "microsoft"
            else (str(10**20 + number), email.partition("@")[2])
        )
        account = {"vendor": vendor, "email": email, "name": name, "subject": subject, "tenant": tenant}
        self.control("POST", "/accounts", account)
        return email


@dataclass
class Fleet:
    """All processes of one installation. `environ` is what each of them is started with."""

    database_url: str
    environ: Mapping[str, str]
    providers: Providers
    programs: dict[str, Program] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The settings of the app's processes, for parts of it that a test runs in its own process."""
        return settings_module.read(self.environ)

    @property
    def process_environ(self) -> dict[str, str]:
        """The whole environment of a process of the app, for programs that a test starts itself."""
        return {**os.environ, **self.environ}

    @property
    def web(self) -> list[Program]:
        """The processes that serve, whether they run or not."""
        return [program for program in self.programs.values() if program.url]

    @property
    def workers(self) -> list[Program]:
        """The processes that send, whether they run or not."""
        return [program for program in self.programs.values() if not program.url]

    def start(self, **environ: str) -> None:
        """Start every program of the app that does not run, all at the same time, and wait for them."""
        idle = [program for program in self.programs.values() if not program.alive]
        for program in idle:
            program.start(wait=False, **environ)
        for program in idle:
            program.wait_until_up()

    def request(self, method: str, path: str, *, key: str, number: int = 0, **given: Any) -> Answer:
        """One request with an API key, to the web process with this number. Raises what the socket raises."""
        headers = {**given.pop("headers", {}), "Authorization": f"Bearer {key}"}
        return call(method, f"{self.web[number].url}{path}", headers=headers, **given)


@contextmanager
def fleet(
    database_url: str,
    folder: Path,
    *,
    web: int = 1,
    workers: int = 1,
    environ: Mapping[str, str] | None = None,
    started: bool = True,
) -> Iterator[Fleet]:
    """Run `web` and `workers` processes of the app and one of the sandbox for as long as the block lasts.

    `web-1`, `worker-1` … are their names. Logs, keys and the sandbox's ledger go to `folder`. With
    `started=False` only the sandbox runs: start the rest yourself, each with the environment it is to have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as closing:
        ports = [Port() for _ in range(web + 1)]
        for port in ports:
            closing.callback(port.give_back)
        sandbox_port, *web_ports = ports
        public_url = web_ports[0].url if web_ports else "http://127.0.0.1:1"
        providers = Providers(_sandbox(folder, sandbox_port, public_url=public_url))
        closing.callback(providers.program.end)
        providers.program.start()
        settings = {
            **environment(sandbox_port.url),
            "DATABASE_URL": database_url,
            "REPLYSEQUENCE_DATA_DIR": str(folder / "data"),
            "PUBLIC_URL": public_url,
            **(environ or {}),
        }
        ships = Fleet(database_url, settings, providers)
        for number, port in enumerate(web_ports, start=1):
            _add(ships, _web(f"web-{number}", port, settings, folder=folder), closing)
        for number in range(1, workers + 1):
            _add(ships, _worker(f"worker-{number}", settings, folder=folder), closing)
        if started:
            ships.start()
        yield ships


def _add(ships: Fleet, program: Program, closing: ExitStack) -> None:
    ships.programs[program.name] = program
    closing.callback(program.end)


def _sandbox(folder: Path, port: Port, *, public_url: str) -> Program:
    arguments = ("sandbox", "--port", str(port.number), "--app-url", public_url)
    return Program(
        name="sandbox",
        arguments=(*arguments, "--ledger", str(folder / "ledger.jsonl")),
        environ={},
        log=folder / "sandbox.log",
        is_up=lambda program: _answers(f"{program.url}/_sandbox/state"),
        url=port.url,
    )


def _web(name: str, port: Port, environ: Mapping[str, str], *, folder: Path) -> Program:
    return Program(
        name=name,
        arguments=("serve", "--port", str(port.number), "--no-worker"),
        environ=environ,
        log=folder / f"{name}.log",
        is_up=lambda program: _answers(f"{program.url}/healthz"),
        url=port.url,
    )


def _worker(name: str, environ: Mapping[str, str], *, folder: Path) -> Program:
    return Program(
        name=name,
        arguments=("worker",),
        environ=environ,
        log=folder / f"{name}.log",
        is_up=lambda program: "worker.started" in program.said(),
    )


def _answers(url: str) -> bool:
    try:
        return call("GET", url).status == 200
    except (OSError, http.client.HTTPException):
        return False
