"""The programs that a benchmark starts: each on its own, asked by lines of JSON, and ended when we end."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
ENDS_WITHIN = 30.0
"""Seconds that a program gets to end once its standard input has."""


class ProgramBroke(Exception):
    """A program ended before it answered; the text is the end of what it wrote."""


class Program:
    """A running program that answers each line with one JSON object."""

    def __init__(self, process: subprocess.Popen[str], *, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    def hear(self) -> dict[str, Any]:
        """Its next line. Raises ProgramBroke when there will be none."""
        line = _opened(self._process.stdout).readline()
        if not line:
            raise ProgramBroke(self._log.read_text("utf-8", errors="replace")[-3000:])
        heard: dict[str, Any] = json.loads(line)
        return heard

    def ask(self, word: str) -> dict[str, Any]:
        """Write it a line, and wait for its answer."""
        stdin = _opened(self._process.stdin)
        stdin.write(f"{word}\n")
        stdin.flush()
        return self.hear()

    def end(self) -> None:
        """Close its standard input and wait for it to end; what does not end is killed."""
        _opened(self._process.stdin).close()
        try:
            self._process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _opened(self._process.stdout).close()


@contextmanager
def program(
    module: str, *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Run ``python -m module`` for as long as the block lasts; what it writes to standard error lands in ``folder``."""
    log = folder / f"{module.rpartition('.')[2]}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**surroundings(), **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    running = Program(process, log=log)
    try:
        yield running
    finally:
        running.end()


def surroundings() -> dict[str, str]:
    """The environment of every program: what this process has, and where the benchmarks and their helpers lie."""
    path = [os.environ.get("PYTHONPATH", ""), str(ROOT), str(ROOT / "tests")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def _opened(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
