"""The report of a soak: chapters of figures, each held against what it must be."""

import os
import platform
import sqlite3
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from replysequence import __version__

ROOT = Path(__file__).parents[2]


@dataclass(kw_only=True)
class Chapter:
    """One table of figures. `broken` holds a sentence for each figure that is not what it must be."""

    title: str
    words: str
    columns: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def must(self, holds: bool, sentence: str) -> None:  # noqa: FBT001 - it reads as a sentence
        """Note `sentence` unless it holds."""
        if not holds:
            self.broken.append(sentence)

    def markdown(self) -> str:
        """The chapter as it stands in the report."""
        lines = [
            f"## {self.title}",
            "",
            self.words,
            "",
            "| " + " | ".join(self.columns) + " |",
            "|" + " --- |" * len(self.columns),
            *("| " + " | ".join(map(str, row)) + " |" for row in self.rows),
            "",
            *(f"**Broken:** {sentence}\n" for sentence in self.broken),
        ]
        return "\n".join(lines)


def page(chapters: Sequence[Chapter], *, command: str, began: datetime, postgresql: str) -> str:
    """The whole report."""
    broken = sum(len(chapter.broken) for chapter in chapters)
    minutes = (datetime.now(UTC) - began).total_seconds() / 60
    head = [
        "# Reliability figures",
        "",
        "This page is written by `make soak`: every figure was measured in the run that it names.",
        "",
        f"- Command: `{command}`",
        f"- Began {began:%Y-%m-%d %H:%M} UTC, took {minutes:.0f} minutes",
        f"- ReplySequence {__version__}{_commit()}, Python {platform.python_version()}",
        f"- SQLite {sqlite3.sqlite_version}, PostgreSQL {postgresql}",
        f"- Machine: {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        f"- Figures that are not what they must be: **{broken}**",
        "",
    ]
    return "\n".join(head) + "\n" + "\n".join(chapter.markdown() for chapter in chapters)


def _commit() -> str:
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return f" at {asked.stdout.strip()}" if asked.returncode == 0 else ""
