"""The long versions can be run, and leave a report; what they find is theirs to say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crash.chapters import CHAPTERS
from crash.report import ROOT, Chapter
from crash.soak import Order


def test_a_short_soak_writes_its_figures_and_how_they_came_about(tmp_path: Path) -> None:
    report = tmp_path / "deep" / "report.md"
    paths = [str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "SOAK_SENDS": "20",
        "SOAK_ONLY": "defaults",
        "SOAK_REPORT": str(report),
    }

    subprocess.run([sys.executable, "-m", "crash.soak"], env=environ, check=True, stdout=subprocess.DEVNULL)
    text = report.read_text(encoding="utf-8")

    assert "- Command: `SOAK_SENDS=20 SOAK_ONLY=defaults make soak`" in text
    assert "Figures that are not what they must be: **0**" in text
    assert "| SQLite | 80 | 80 | 0 |" in text
    assert "| PostgreSQL | 80 | 80 | 0 |" in text


def test_only_a_whole_run_may_stand_in_the_documentation() -> None:
    assert Order.read({}).is_whole
    assert Order.read({"SOAK_SENDS": "20000", "SOAK_SEED": "7"}).is_whole
    assert not Order.read({"SOAK_SENDS": "9999"}).is_whole
    assert not Order.read({"SOAK_ONLY": "storms"}).is_whole
    assert Order.read({}).chapters == tuple(CHAPTERS)


def test_a_chapter_that_is_not_there_is_refused_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="tides"):
        Order.read({"SOAK_ONLY": "storms,tides"})


def test_a_chapter_says_what_is_broken() -> None:
    chapter = Chapter(title="Tides", words="Twice a day.", columns=("Day", "Tides"))
    chapter.rows.append(["Sunday", 3])
    chapter.must(False, "Sunday had 3 tides.")
    chapter.must(True, "never said")

    assert "| Sunday | 3 |" in chapter.markdown()
    assert "**Broken:** Sunday had 3 tides." in chapter.markdown()
    assert chapter.broken == ["Sunday had 3 tides."]
