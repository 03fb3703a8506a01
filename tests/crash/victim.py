"""A program that brings up real app processes with one failpoint each: `python -m crash.victim`.

It loads the app once and forks a process for each order that it reads, one JSON object a line; so a test has
a process of its own at the price of a fork. The app holds no failpoint: the process itself wraps the one seam
that its order names, and then runs :func:`replysequence.serving.serve` as `replysequence serve` does.

    {"name": "victim-1", "environ": {…}, "log": "…", "failpoint": "begin.after:die", "ahead": 0, "shortage": ""}

What becomes of the processes stands on standard output, one JSON object a line: `listening`, `reached`, `stalled`,
`reaped`, `ended`. When its input ends, everybody ends.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import uvloop

from crash import seams
from crash.room import ROOMS
from replysequence import app, logs, serving, settings
from replysequence.services.dispatching import Dispatching

IMPATIENCE = (
    ("replysequence.worker", "LONGEST_SLEEP", 0.05),
    ("replysequence.worker", "REAP_EVERY", 0.2),
    ("replysequence.worker", "LOOK_BACK_EVERY", 0.2),
)
"""Pauses of the app that a test need not sit out: module, name, seconds."""

GO_ON = signal.SIGUSR1
"""Blocked in every thread, so that it waits for who stands still."""

CLOCKS = (
    "replysequence.storage.database",
    "replysequence.storage.sqlite",
    "replysequence.services.dispatching",
    "replysequence.providers.gmail",
    "replysequence.providers.oauth",
    "replysequence.providers.outlook",
    "replysequence.providers.resend",
)
"""Every module that sending asks for the time."""

Say = Callable[..., None]


def main() -> None:
    """Fork a process for each order until the input ends."""
    names: dict[int, str] = {}
    signal.signal(signal.SIGCHLD, lambda *_: _tell_endings(names))
    for line in sys.stdin:
        order = json.loads(line)
        # A child that ends at once must not do so before its name is known.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            _live(order)
        names[pid] = order["name"]
        _say(1, order["name"], "born", pid=pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for pid in list(names):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _tell_endings(names: dict[int, str]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _say(1, names.pop(pid), "ended", code=os.waitstatus_to_exitcode(status))


def _say(where: int, name: str, said: str, **more: object) -> None:
    """One line, in one write: lines of several processes do not mix."""
    os.write(where, (json.dumps({"name": name, "said": said, **more}) + "\n").encode())


def _live(order: dict[str, Any]) -> None:
    """The whole life of a forked process."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, {GO_ON})
        report = os.dup(1)
        with Path(os.devnull).open("rb") as nothing, Path(order["log"]).open("ab") as log:
            for target, source in ((0, nothing), (1, log), (2, log)):
                os.dup2(source.fileno(), target)
        os.environ.clear()
        os.environ.update(order["environ"])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(order, partial(_say, report, order["name"])))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


async def _run(order: dict[str, Any], say: Say) -> None:
    for module, name, seconds in IMPATIENCE:
        assert hasattr(import_module(module), name), f"{module} has no {name} any more"
        setattr(import_module(module), name, seconds)
    _move_clocks(timedelta(seconds=order["ahead"]))
    _tell_reaping(say)
    room = ROOMS[order["shortage"] or "writes"]()

    def turn() -> None:
        room.turn()
        say("turned")

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, turn)
    if order["failpoint"]:
        effects: dict[str, seams.Effect] = {"die": die, "stall": partial(stall, say), "turn": turn}
        seams.arm(order["failpoint"], effects=effects, tell=say)
    read = settings.read(os.environ)
    logs.set_up(read.log_level)
    app.prepare(read)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:

        async def ready(_: app.App) -> None:
            say("listening", port=sock.getsockname()[1])

        await serving.serve(read, sock=sock, with_worker=True, ready=ready)


def _move_clocks(ahead: timedelta) -> None:
    class Moved(datetime):
        """As if this machine's clock were so far ahead. The monotonic clock goes on as it did."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + ahead

    for module in CLOCKS:
        assert hasattr(import_module(module), "datetime"), f"{module} does not read the clock any more"
        vars(import_module(module))["datetime"] = Moved


def _tell_reaping(say: Say) -> None:
    reap = Dispatching.reap

    async def and_tell(self: Dispatching) -> Any:
        counts = await reap(self)
        say("reaped")
        return counts

    Dispatching.reap = and_tell  # type: ignore[method-assign]


def die() -> None:
    """As a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


def stall(say: Say) -> None:
    """Stand still until somebody sends GO_ON. Database threads finish what they have begun: a process that is stopped
    in the middle of a transaction on SQLite stops every other one, too.
    """
    say("stalled")
    signal.sigwait({GO_ON})


if __name__ == "__main__":
    main()
