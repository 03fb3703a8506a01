"""The long versions of the crash tests, and a report of their figures: `make soak`.

Reads `SOAK_REPORT` (where the report goes, default build/soak-report.md), `SOAK_SENDS` (of each storm, default
10,000), `SOAK_SEED`, and `SOAK_ONLY` (names of chapters, separated by commas). A whole run of at least 10,000 sends
also writes docs/reliability-figures.md. Ends with 1 when a figure is not what it must be.
"""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from crash.chapters import CHAPTERS, WHOLE, Place
from crash.report import ROOT, Chapter, page
from replysequence import logs
from support.postgresql import PostgreSQL, running_postgresql
from support.programs import find_program


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be run, as the environment says."""

    sends: int
    seed: int
    chapters: tuple[str, ...]
    report: Path
    command: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Order":
        """Read the `SOAK_…` variables. Raises ValueError for a chapter that there is not."""
        given = {name: environ[name] for name in _VARIABLES if environ.get(name)}
        chapters = given.get("SOAK_ONLY", ",".join(CHAPTERS)).split(",")
        unknown = [name for name in chapters if name not in CHAPTERS]
        if unknown:
            raise ValueError(f"There is no chapter {unknown[0]!r}; there are {', '.join(CHAPTERS)}.")
        shown = [f"{name}={value}" for name, value in given.items() if name != "SOAK_REPORT"]
        return cls(
            sends=int(given.get("SOAK_SENDS", WHOLE)),
            seed=int(given.get("SOAK_SEED", 1)),
            chapters=tuple(chapters),
            report=Path(given.get("SOAK_REPORT", ROOT / "build" / "soak-report.md")),
            command=" ".join([*shown, "make soak"]),
        )

    @property
    def is_whole(self) -> bool:
        """Whether its figures may stand in the documentation."""
        return self.chapters == tuple(CHAPTERS) and self.sends >= WHOLE


_VARIABLES = ("SOAK_SENDS", "SOAK_SEED", "SOAK_ONLY", "SOAK_REPORT")


def main(environ: Mapping[str, str]) -> int:
    """Run the chapters, write the report, and say whether every figure is what it must be."""
    logs.set_up("ERROR")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    order, began = Order.read(environ), datetime.now(UTC)
    order.report.parent.mkdir(parents=True, exist_ok=True)
    done: list[Chapter] = []
    with (
        tempfile.TemporaryDirectory(prefix="replysequence-soak-") as folder,
        running_postgresql(find_program("postgresql")) as server,
    ):
        place = Place(folder=Path(folder), server=server, sends=order.sends, seed=order.seed)
        postgresql = _version(server)
        for name in order.chapters:
            done.append(CHAPTERS[name](place))
            print(done[-1].markdown(), flush=True)
            # Written after each chapter: what is known so far outlives an interruption.
            text = page(done, command=order.command, began=began, postgresql=postgresql)
            order.report.write_text(text, encoding="utf-8")
    if order.is_whole:
        shutil.copyfile(order.report, ROOT / "docs" / "reliability-figures.md")
    print(f"The report is in {order.report}")
    return 1 if any(chapter.broken for chapter in done) else 0


def _stop(number: int, _: object) -> None:
    """End in an orderly way, so that no process and no folder is left."""
    sys.exit(128 + number)


def _version(server: PostgreSQL) -> str:
    with psycopg.connect(server.url("postgres")) as connection:
        return str(connection.info.server_version // 10_000)


if __name__ == "__main__":
    sys.exit(main(os.environ))
