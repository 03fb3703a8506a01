"""Finds the programs that tests start but pip cannot install."""

import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"


class ProgramMissing(Exception):
    """A program that the tests need is not on this machine; the text says what to install."""


def find_program(name: str) -> Path:
    """The answer of `scripts/find_<name>`.

    Raises ProgramMissing with that script's advice. Nothing is installed here: `make test` does that.
    """
    answer = subprocess.run([SCRIPTS / f"find_{name}"], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise ProgramMissing(answer.stderr)
    return Path(answer.stdout.strip())
