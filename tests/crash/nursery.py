"""The test's side of :mod:`crash.victim`: real processes of the app, born by fork, each with one failpoint at most."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, Any

from crash.fleet import until
from support.plain_http import Answer, call

NURSERY_LOG = "nursery.log"
PATIENCE = 60.0
"""Seconds after which something that has not come never will."""


@dataclass
class Process:
    """One process of the app, as `replysequence serve` runs it. What it tells of itself is in `told`."""

    name: str
    log: Path
    told: list[dict[str, Any]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, said: str, *, times: int = 1) -> dict[str, Any]:
        """Wait until it has said so, so many times. Raises AssertionError when it ends first, or never does."""
        deadline = time.monotonic() + PATIENCE
        with self.changed:
            while True:
                found = self._all(said)
                if len(found) >= times:
                    return found[times - 1]
                over = bool(self._all("ended")) or time.monotonic() > deadline
                assert not over, f"{self.name} was never {said}: {self._words()}\n{self._last_lines()}"
                self.changed.wait(1.0)

    def hear(self, told: dict[str, Any]) -> None:
        """Take in what it, or the kernel about it, has said."""
        with self.changed:
            self.told.append(told)
            self.changed.notify_all()

    def has(self, said: str) -> bool:
        """Whether it has said so."""
        return bool(self._all(said))

    def request(self, method: str, path: str, *, key: str, **given: Any) -> Answer:
        """One request with an API key. Raises what the socket raises."""
        headers = {**given.pop("headers", {}), "Authorization": f"Bearer {key}"}
        return call(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, **given)

    @property
    def port(self) -> int:
        """Where it answers."""
        return int(self.wait_for("listening")["port"])

    def resume(self) -> None:
        """Let it go on after it stood still."""
        self._signal(signal.SIGUSR1)

    def turn(self) -> None:
        """Take its room away, or give it back, whichever it has not."""
        times = len(self._all("turned")) + 1
        self._signal(signal.SIGUSR2)
        self.wait_for("turned", times=times)

    def logged(self, event: str, *, times: int = 1) -> None:
        """Wait until its log holds this event so many times."""
        self.wait_for("born")
        until(self.log.exists, what="the log")
        until(lambda: self.log.read_text(errors="replace").count(f'"{event}"') >= times, what=event)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._signal(signal.SIGKILL)
        self.wait_for("ended")

    def stop(self) -> None:
        """Ask it to end politely, and see that it does."""
        self._signal(signal.SIGTERM)
        code = self.wait_for("ended")["code"]
        assert code == 0, f"{self.name} ended with {code}: {self._last_lines()}"

    @property
    def alive(self) -> bool:
        return self.has("born") and not self.has("ended")

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(int(self.wait_for("born")["pid"]), number)

    def _all(self, said: str) -> list[dict[str, Any]]:
        return [told for told in self.told if told["said"] == said]

    def _words(self) -> list[str]:
        return [told["said"] for told in self.told]

    def _last_lines(self) -> str:
        for log in (self.log, self.log.with_name(NURSERY_LOG)):
            if log.exists():
                return "".join(log.read_text(errors="replace").splitlines(keepends=True)[-20:])
        return ""


class Nursery:
    """Where processes are born. Use :func:`nursery`."""

    def __init__(self, program: "subprocess.Popen[str]", folder: Path) -> None:
        self._orders: IO[str] = program.stdin  # type: ignore[assignment]
        self._folder = folder
        self._numbers = count(1)
        self._born: dict[str, Process] = {}
        self._listener = threading.Thread(target=self._listen, args=(program.stdout,), daemon=True)
        self._listener.start()

    def bear(
        self, environ: Mapping[str, str], *, failpoint: str = "", ahead: float = 0.0, shortage: str = ""
    ) -> Process:
        """A new process with exactly this environment. Returns at once; its port is known when it listens.

        `ahead`: seconds that its clock is ahead. `shortage`: what :meth:`Process.turn` takes away and gives back.
        """
        name = f"process-{next(self._numbers)}"
        process = Process(name, self._folder / f"{name}.log")
        self._born[name] = process
        order = {
            "name": name,
            "environ": dict(environ),
            "log": str(process.log),
            "failpoint": failpoint,
            "ahead": ahead,
            "shortage": shortage,
        }
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        return process

    def _listen(self, reports: IO[str]) -> None:
        for line in reports:
            told = json.loads(line)
            self._born[told["name"]].hear(told)
        for process in self._born.values():
            process.hear({"name": process.name, "said": "ended", "code": None})


@contextmanager
def nursery(folder: Path) -> Iterator[Nursery]:
    """A nursery that keeps the logs of its processes in `folder`. Nothing of it outlives the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NURSERY_LOG).open("ab") as log:
        program = subprocess.Popen(
            [sys.executable, "-m", "crash.victim"],
            env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # an interrupt at the terminal is pytest's to handle
        )
    try:
        yield Nursery(program, folder)
    finally:
        assert program.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already
            program.stdin.close()
        program.wait()
        assert program.stdout is not None
        program.stdout.close()


class Request:
    """A request whose answer may be late, or never come because the process died."""

    def __init__(self, process: Process, method: str, path: str, **given: Any) -> None:
        self.answer: Answer | None = None
        self._thread = threading.Thread(
            target=self._send, args=(process, method, path), kwargs=given, daemon=True
        )
        self._thread.start()

    def wait(self) -> Answer | None:
        """The answer; None when the connection ended without one."""
        self._thread.join()
        return self.answer

    def _send(self, process: Process, method: str, path: str, **given: Any) -> None:
        with suppress(OSError, http.client.HTTPException):
            self.answer = process.request(method, path, **given)
