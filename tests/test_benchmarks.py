"""The benchmarks run, in a size at which their figures mean nothing, and their page says what they found."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.__main__ import BENCHMARKS
from benchmarks.programs import surroundings
from benchmarks.report import Circumstances, Figure, Section, at_least, at_most, keep, number, page, read

from support.programs import find_program
from support.repository import ROOT, locked_versions, requirement_name

RUNS = {
    "on both databases": ["bulk"],
    "on SQLite": ["accepting", "interactive", "campaign", "growth", "footprint", "--sqlite-only"],
}
"""Writing a message has tests of its own. The textbook stack runs where `make bench` has installed what it needs."""
WRONG = re.compile(r"lost|twice|exactly once|half accepted|refused calls|not at all")
"""Figures that must be nothing at any size."""


@pytest.mark.parametrize("arguments", RUNS.values(), ids=RUNS)
def test_the_benchmarks_run_and_nothing_is_lost_or_sent_twice(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLYSEQUENCE_TEST_POSTGRESQL_BIN", str(find_program("postgresql")))
    results, written = tmp_path / "results.json", tmp_path / "benchmarks.md"
    where = ["--results", str(results), "--page", str(written)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments, "--size", "tiny", "--latency", "0.01", *where],
        cwd=ROOT,
        env=surroundings(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sections = read(results)
    assert {each.name for each in sections} == {name for name in arguments if name in BENCHMARKS}
    assert written.read_text() == page(sections)
    for each in sections:
        assert each.title in done.stdout
        assert each.circumstances
        assert " ".join(arguments) in each.circumstances.command
        assert [figure for figure in each.figures if WRONG.search(figure.name) and figure.value] == []


def section(name: str, *figures: Figure) -> Section:
    return Section(
        name,
        f"About {name}",
        "How it was done.",
        list(figures),
        circumstances=Circumstances("make bench", "2026-11-22", "2 cores", "Python 3.11"),
        left_out=["PostgreSQL, because there is none."],
    )


def test_a_gate_holds_up_to_its_bound() -> None:
    assert Figure("cost", 2.0, gate=at_most(2)).verdict == "holds"
    assert Figure("cost", 2.01, gate=at_most(2)).verdict == "**does not hold**"
    assert Figure("rate", 1100, gate=at_least(1100)).verdict == "holds"
    assert Figure("rate", 1099, gate=at_least(1100)).verdict == "**does not hold**"
    assert Figure("rate", 1).verdict == ""


def test_the_page_shows_every_figure_with_its_gate_and_how_many_hold() -> None:
    shown = page(
        [
            section("bulk", Figure("CPU of a send", 0.4567, "ms", at_most(0.5)), Figure("messages", 60000)),
            section("growth", Figure("1 M ÷ 1 k", 1.5, gate=at_most(1.3))),
        ]
    )
    assert "1 of 2 gates hold." in shown
    assert shown.count("| CPU of a send | 0.457 ms | ≤ 0.500 | holds |") == 2
    assert "| About bulk | CPU of a send | 0.457 ms |" in shown
    assert "| messages | 60,000 |  |  |" in shown
    assert "| 1 M ÷ 1 k | 1.50 | ≤ 1.30 | **does not hold** |" in shown
    assert "Measured 2026-11-22 by `make bench` on 2 cores, with Python 3.11." in shown
    assert "Left out: PostgreSQL, because there is none." in shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.0672, "0.067"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1234.5, "1,234"),
        (7.0, "7"),
    ],
)
def test_a_number_has_as_many_digits_as_can_be_meant(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_narrow_run_renews_its_own_section_only(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    order = ["bulk", "growth"]
    keep([section("growth", Figure("ratio", 1.1))], results=results, order=order)
    keep([section("bulk", Figure("ratio", 5.0, gate=at_most(1)))], results=results, order=order)
    kept = keep([section("bulk", Figure("ratio", 0.2, gate=at_most(1)))], results=results, order=order)
    assert [(each.name, each.figures[0].value) for each in kept] == [("bulk", 0.2), ("growth", 1.1)]
    assert read(results) == kept


def test_the_page_in_the_repository_is_the_one_of_the_kept_figures() -> None:
    sections = read(ROOT / "benchmarks/results.json")
    assert sections
    assert [each.name for each in sections] == [
        name for name in BENCHMARKS if name in {s.name for s in sections}
    ]
    assert (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8") == page(sections)
    assert all(each.circumstances and "--size" not in each.circumstances.command for each in sections)


def test_what_is_compared_with_is_locked_and_agrees_with_what_we_run_on() -> None:
    peers = ROOT / "benchmarks/peers"
    locked = locked_versions((peers / "requirements.txt").read_text())
    asked = (peers / "requirements.in").read_text().splitlines()
    ours = locked_versions((ROOT / "requirements/runtime.txt").read_text())
    assert {requirement_name(line) for line in asked if re.match("[a-z]", line)} <= locked.keys()
    assert {name: locked[name] for name in locked.keys() & ours.keys()}.items() <= ours.items()


def test_the_lock_of_nodemailer_names_no_address() -> None:
    lock = json.loads((ROOT / "benchmarks/peers/nodemailer/package-lock.json").read_text())
    assert all("resolved" not in each for each in lock["packages"].values())
    assert all("integrity" in each for name, each in lock["packages"].items() if name)
