"""The house stands as DESIGN and docs/decisions draw it: a room imports downwards, a library has one home."""

import re
from pathlib import Path

import pytest

import replysequence
from support.layers import HOMES, MAY_IMPORT, NAMES_THAT_SAY_NOTHING, PROVIDER_NAMES, place_of, violations

ROOT = Path(replysequence.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
TEMPLATES = sorted(ROOT.rglob("*.html"))

A_PROVIDERS_NAME_IN_A_TEMPLATE = re.compile(
    rf"""(==|!=|\bin\b)\s*[\[(]?\s*["']({"|".join(sorted(PROVIDER_NAMES))})["']"""
)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: place_of(file, root=ROOT))
def test_a_module_keeps_to_its_place(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    found = violations(source, place=place_of(file, root=ROOT), is_package=file.name == "__init__.py")

    assert [str(violation) for violation in found] == []


@pytest.mark.parametrize(
    ("place", "line", "rule"),
    [
        ("domain.mime", "import aiohttp", "aiohttp lives in providers.http"),
        ("domain.send", "from replysequence.storage import tables", "domain may not import storage.tables"),
        ("domain.send", "import replysequence.storage.tables", "domain may not import storage.tables"),
        ("domain.send", "from ..storage import tables", "domain may not import storage.tables"),
        ("domain.send", "from .. import app", "domain may not import app"),
        (
            "storage.sends",
            "from replysequence.providers.base import Receipt",
            "storage may not import providers",
        ),
        (
            "providers.gmail",
            "from replysequence.storage import vault",
            "providers may not import storage.vault",
        ),
        ("providers.gmail", "import httpx", "httpx has no home"),
        ("providers.gmail", "import aiohttp", "aiohttp lives in providers.http"),
        ("services.sending", "from sqlalchemy import select", "sqlalchemy lives in storage"),
        ("services.sending", "from replysequence.web import server", "services may not import web.server"),
        (
            "web.pages.drafts",
            "from replysequence.providers.gmail import GMAIL",
            "web may not import providers.gm",
        ),
        ("web.pages.drafts", "from replysequence import storage", "web may not import storage"),
        ("web.pages.drafts", "from replysequence import *", r"web may not import \*"),
        ("app", "from replysequence.sandbox import server", "app may not import sandbox.server"),
        ("sandbox.gmail", "from replysequence.domain.secret import Secret", "sandbox may not import domain"),
        ("sandbox.gmail", "import sqlalchemy", "sqlalchemy is no library of the sandbox"),
        ("attic", "from replysequence.domain import send", "attic is not in the house"),
        ("web.api", "def f():\n    import json", "an import inside a function"),
        ("web.api", "class C:\n    async def f(self):\n        from json import loads", "an import inside"),
        ("web.api", "module = importlib.import_module('json')", "no reader can follow"),
        ("web.api", "if provider == 'gmail': pass", "only gmail's own file"),
        ("services.sending", "ok = name in ('other', 'resend')", "only resend's own file"),
        ("services.sending", "match name:\n    case 'zoom' | 'x': pass", "only zoom's own file"),
    ],
)
def test_what_breaks_a_rule_is_found(place: str, line: str, rule: str) -> None:
    [found] = {str(violation) for violation in violations(line, place=place)}

    assert re.search(rule, found)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("domain.send", "from dataclasses import dataclass"),
        ("domain.send", "from replysequence.domain.errors import Problem"),
        ("domain.send", "from .errors import Problem"),
        ("web.api.drafts", "from ..security import signed_in"),
        ("web.api.drafts", "from replysequence.providers.registry import REGISTRY"),
        ("services.sending", "from replysequence.storage import sends"),
        ("storage.migrations.env", "from alembic import context"),
        ("providers.gmail", "ok = name == 'gmail'"),
        ("sandbox.site", "import jwt"),
        ("web.server", "from replysequence import __version__"),
        ("web.api", "if TYPE_CHECKING:\n    from replysequence.services import sending"),
    ],
)
def test_what_keeps_every_rule_is_left_alone(place: str, line: str) -> None:
    assert violations(line, place=place) == []


def test_a_package_counts_its_relative_imports_from_itself() -> None:
    assert violations("from .tables import sends", place="storage", is_package=True) == []
    assert violations("from .storage import tables", place="domain", is_package=True) == []
    assert violations("from ..storage import tables", place="domain", is_package=True) != []


def test_every_room_of_the_package_has_a_floor() -> None:
    rooms = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}

    assert rooms <= MAY_IMPORT.keys()


def test_every_home_is_in_a_room() -> None:
    assert {home.partition(".")[0] for homes in HOMES.values() for home in homes} <= MAY_IMPORT.keys()


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    named = {part for file in SOURCES for part in place_of(file, root=ROOT).split(".")}

    assert named & NAMES_THAT_SAY_NOTHING == set()


def test_no_template_asks_for_a_provider_by_name() -> None:
    ours = [file for file in TEMPLATES if "sandbox" not in file.relative_to(ROOT).parts]

    assert [
        str(file.relative_to(ROOT)) for file in ours if asks_for_a_provider(file.read_text("utf-8"))
    ] == []


@pytest.mark.parametrize("text", ["{% if card.provider == 'gmail' %}", '{{ x if p in ("zoom", "y") }}'])
def test_a_template_that_asks_for_a_provider_is_found(text: str) -> None:
    assert asks_for_a_provider(text)
    assert not asks_for_a_provider("{% if card.provider == other.provider %}gmail{% endif %}")


def asks_for_a_provider(template: str) -> bool:
    return A_PROVIDERS_NAME_IN_A_TEMPLATE.search(template) is not None
