"""Making a mistake in a copy of the source, and letting the tests that must notice it run on that copy."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mutants.catalogue import Mutant

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "replysequence"
PASSED, FAILED = 0, 1
"""Exit codes of pytest; any other one means that it did not come to a result."""


class NoResult(Exception):
    """The tests did not run as they should; the text is the end of what pytest wrote."""


@dataclass(frozen=True)
class Death:
    """One mutant and one of its killers: whether the tests noticed."""

    mutant: Mutant
    killer: str
    killed: bool


def try_all(mutants: Sequence[Mutant]) -> Iterator[Death]:
    """Each mutant against each of its killers. Raises NoResult when the tests fail without any mutant, too."""
    killers = sorted({killer for mutant in mutants for killer in mutant.killers})
    with _copy() as source:
        done = _run(source, killers)
        if done.returncode != PASSED:
            raise NoResult(f"The tests fail on the source as it is.\n{done.stdout[-2000:]}")
    for mutant in mutants:
        with _copy() as source:
            file = source / "replysequence" / mutant.file
            file.write_text(mutant.applied(file.read_text(encoding="utf-8")), encoding="utf-8")
            for killer in mutant.killers:
                yield Death(mutant, killer, _notice(source, killer))


@contextmanager
def _copy() -> Iterator[Path]:
    """A folder with a copy of the package, for PYTHONPATH."""
    with tempfile.TemporaryDirectory(prefix="replysequence-mutant-") as folder:
        copied = Path(folder) / "replysequence"
        shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
        yield Path(folder)


def _notice(source: Path, killer: str) -> bool:
    """Whether this test fails on that copy. Raises NoResult when it did not run as it should."""
    done = _run(source, [killer])
    if done.returncode not in (PASSED, FAILED):
        raise NoResult(f"{killer} came to no result.\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == FAILED


def _run(source: Path, killers: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--exitfirst", "--quiet", "-p", "no:cacheprovider", *killers],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
