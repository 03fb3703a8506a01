"""How our processes run and end, and how one starts another."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import uvloop

from replysequence import logs
from replysequence.domain.errors import InvalidInput, ReplySequenceError, VaultKeyMissing, VaultKeyWrong
from replysequence.settings import ConfigError

T = TypeVar("T")

CONFIG_EXIT = 78
"""EX_CONFIG of sysexits.h: the settings or the keys are wrong; restarting does not help."""

_log = logs.logger("process")


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` to its end on an event loop of its own; like :func:`or_exit` when something is wrong."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        or_exit(lambda: runner.run(work))


def or_exit(work: Callable[[], T]) -> T:
    """Run ``work``; what is wrong with settings, keys or input ends the program with a sentence, not a trace."""
    try:
        return work()
    except ConfigError as error:
        _exit(str(error), code=CONFIG_EXIT)
    except (VaultKeyMissing, VaultKeyWrong) as error:
        _exit(error.message, code=CONFIG_EXIT)
    except InvalidInput as error:
        # What is named is a variable, or an argument.
        _exit(f"{error.field}: {error.message}", code=CONFIG_EXIT if error.field.isupper() else 1)
    except ReplySequenceError as error:
        _exit(f"Error: {error.message}", code=1)


def _exit(message: str, *, code: int) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    sys.exit(code)


def complaint_of(module: str, **variables: str) -> str | None:
    """Run ``module`` as a program to its end, with these environment variables besides ours. Returns what it wrote to
    standard error when it failed, else none.
    """
    ended = subprocess.run(  # noqa: S603 - a module of ours
        _command(module), env=_environment() | variables, stderr=subprocess.PIPE, text=True, check=False
    )
    return ended.stderr.strip() if ended.returncode else None


def become(module: str) -> NoReturn:
    """Go on as the program ``module``, under the same process id and without what was imported here."""
    os.execve(sys.executable, _command(module), _environment())  # noqa: S606 - a module of ours


def _command(module: str) -> list[str]:
    return [sys.executable, "-P", "-m", module]


def _environment() -> dict[str, str]:
    """Ours, with which the other program finds the modules that we find, and no others."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def spare_the_collector() -> None:
    """What stands at the start stays for good. The garbage collector looking through it again and again took a fifth
    of a send's CPU. It is not asked to look now either: it finds next to nothing, and takes its time.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at the first SIGINT or SIGTERM; the second one ends the process at once."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def told() -> None:
        _log.info("process.stopping")
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop()

    for number in numbers:
        loop.add_signal_handler(number, told)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
