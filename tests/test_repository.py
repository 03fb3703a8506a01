"""What a stranger finds in the repository: nothing of the machine it was written on, and words that agree."""

import base64
import re
import subprocess
import tomllib
from importlib.metadata import version

import pytest

import replysequence
from support.layers import HOMES
from support.repository import (
    FORBIDDEN,
    ROOT,
    forbidden_in,
    locked_versions,
    requirement_name,
    tracked_texts,
)

LOCKS = ("build", "runtime", "dev")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME_DEPENDENCIES = {requirement_name(line) for line in PROJECT["project"]["dependencies"]}
PIN = f"somewhere==1.0 \\\n    --hash=sha256:{'0' * 64}\n"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def required_in(name: str) -> set[str]:
    lines = [line for line in read(f"requirements/{name}.in").splitlines() if re.match(r"[a-z]", line)]
    return {requirement_name(line) for line in lines}


def locked_in(name: str) -> dict[str, str]:
    return locked_versions(read(f"requirements/{name}.txt"))


def test_no_tracked_file_names_a_registry_or_a_path_of_one_machine() -> None:
    found = {name: lines for name, text in tracked_texts().items() if (lines := forbidden_in(text))}

    assert found == {}


@pytest.mark.parametrize(
    ("reason", "encoded"),
    [
        ("a package registry's host", b"ZmlsZXMucHl0aG9uaG9zdGVkLm9yZw=="),
        ("a package registry's host", b"aHR0cHM6Ly9yZWdpc3RyeS5ucG1qcy5vcmcv"),
        ("a path of one machine", b"c2VlIC9yb290Ly5jYWNoZQ=="),
        ("a path of one machine", b"L3dvcmsvbWFpbg=="),
    ],
)
def test_a_forbidden_name_is_found(reason: str, encoded: bytes) -> None:
    [found] = forbidden_in(f"fine\n{base64.b64decode(encoded).decode()}\n")

    assert found.startswith(f"2: {reason}")
    assert reason in FORBIDDEN


def test_ordinary_paths_and_addresses_are_left_alone() -> None:
    assert forbidden_in("GET /api/work/1 https://graph.microsoft.com/v1.0 ./root/x /usr/bin/env") == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_holds_pins_and_hashes_and_nothing_else(name: str) -> None:
    assert locked_in(name)


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.example/simple",
        "--find-links wheels",
        "somewhere @ https://packages.example/somewhere-1.0.whl",
        "somewhere>=1.0",
        "unhashed==2.0 \\",
    ],
)
def test_a_lock_file_with_anything_else_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"neither a pin|without a hash"):
        locked_versions(f"{PIN}{line}\n")


def test_the_lock_files_agree_with_one_another() -> None:
    everything = locked_in("dev")

    assert locked_in("runtime").items() <= everything.items()
    assert locked_in("build").items() <= everything.items()


def test_everything_asked_for_is_locked() -> None:
    assert locked_in("runtime").keys() >= RUNTIME_DEPENDENCIES
    assert required_in("dev") <= locked_in("dev").keys()
    assert required_in("build") <= locked_in("build").keys()


def test_the_build_lock_holds_what_the_build_asks_for() -> None:
    assert {requirement_name(line) for line in PROJECT["build-system"]["requires"]} == required_in("build")


def test_the_decision_on_dependencies_gives_a_reason_for_each() -> None:
    rows = re.findall(
        r"^\| `([^`]+)` \| ([^|]+) \|", read("docs/decisions/0002-dependencies.md"), re.MULTILINE
    )
    reasons = {requirement_name(name): reason.strip() for name, reason in rows}

    assert reasons.keys() == RUNTIME_DEPENDENCIES | required_in("dev") | required_in("build")
    assert all(reasons.values())


def test_every_home_is_named_beside_its_library() -> None:
    text = read("docs/decisions/0002-dependencies.md")

    assert [home for homes in HOMES.values() for home in homes if f"`{home}`" not in text] == []


def test_the_changelog_starts_with_this_version() -> None:
    newest = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)

    assert newest
    assert newest[1] == replysequence.__version__
    assert version("replysequence") == replysequence.__version__


def test_make_help_names_every_target() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.+)$", read("Makefile"), re.MULTILINE)

    assert targets
    assert re.findall(r"^  make (\S+) +\S", told, re.MULTILINE) == targets[1].split()
