"""Run the benchmarks, print their figures, and renew their sections in docs/benchmarks.md.

make bench                                  all of them, at the size that the page shows
make bench BENCH_ARGS="bulk growth"         some
make bench BENCH_ARGS="--size small bulk"   quicker: printed, and kept only where --page says
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import accepting, bulk, campaign, footprint, growth, interactive, mime
from benchmarks.machine import machine, versions
from benchmarks.programs import ROOT
from benchmarks.report import Circumstances, Section, keep, page, table
from benchmarks.stage import FULL, LATENCY, SMALL, TINY, Stage, stage

BENCHMARKS: dict[str, Callable[[Stage], Section]] = {
    "bulk": bulk.measure,
    "accepting": accepting.measure,
    "interactive": interactive.measure,
    "campaign": campaign.measure,
    "growth": growth.measure,
    "footprint": footprint.measure,
    "mime": lambda _: mime.measure(),
}
SIZES = {"full": FULL, "small": SMALL, "tiny": TINY}


def main(arguments: list[str]) -> None:
    """Measure what was asked for, one benchmark after another; the page is written after each."""
    asked = _parser().parse_args(arguments)
    names = [name for name in BENCHMARKS if name in (asked.names or BENCHMARKS)]
    command = f'make bench BENCH_ARGS="{" ".join(arguments)}"' if arguments else "make bench"
    with (
        tempfile.TemporaryDirectory(prefix="replysequence-bench-") as folder,
        stage(Path(folder), SIZES[asked.size], latency=asked.latency, sqlite_only=asked.sqlite_only) as on,
    ):
        for name in names:
            began = time.monotonic()
            measured = replace(BENCHMARKS[name](on), circumstances=_circumstances(on, command))
            print(
                f"\n## {measured.title} ({time.monotonic() - began:.0f} s)\n\n{table(measured.figures)}",
                flush=True,
            )
            real = asked.size == "full" and not asked.sqlite_only
            _keep(measured, results=asked.results, written=asked.page, real=real)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[[], *BENCHMARKS], help="which ones; all when none is named"
    )
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument(
        "--latency", type=float, default=LATENCY, help="seconds that the stub takes for an answer"
    )
    parser.add_argument("--sqlite-only", action="store_true", help="leave PostgreSQL out")
    parser.add_argument("--results", type=Path, help="where the figures are kept as JSON")
    parser.add_argument("--page", type=Path, help="the page to write from them")
    return parser


def _circumstances(on: Stage, command: str) -> Circumstances:
    today = datetime.now(UTC).date().isoformat()
    return Circumstances(command, today, machine(), versions(*on.versions))


def _keep(section: Section, *, results: Path | None, written: Path | None, real: bool) -> None:
    """Renew one section. A run that leaves something out keeps nothing unless it is told where."""
    if not real and (results is None or written is None):
        return
    results, written = results or ROOT / "benchmarks/results.json", written or ROOT / "docs/benchmarks.md"
    sections = keep([section], results=results, order=list(BENCHMARKS))
    written.write_text(page(sections), encoding="utf-8")


if __name__ == "__main__":
    # What was started is ended, and its folder removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main(sys.argv[1:])
