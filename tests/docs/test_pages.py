"""What the pages name exists: links, commands, variables, routes, log lines, and what numbers mean."""

import re
from pathlib import Path

import pytest

from replysequence.domain.errors import (
    AccessTokenRejected,
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ReconnectNeeded,
    Rejected,
    TryLater,
)
from replysequence.providers import gmail, outlook, resend
from replysequence.providers.aadsts import EXPLANATIONS
from replysequence.providers.base import VariableKind
from replysequence.settings import all_variables
from support import reference
from support.reference import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
SOURCE = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.py"))

VARIABLES = {variable.name for variable in all_variables()} | {
    f"{variable.name}_FILE" for variable in all_variables() if variable.kind is VariableKind.SECRET
}
PREFIXES = tuple({f"{name.partition('_')[0]}_" for name in VARIABLES})

MEANT: dict[str, type[ProviderError]] = {
    "**unknown**": OutcomeUnknown,
    "same key again": OutcomeUnknown,
    "fresh token": AccessTokenRejected,
    "mailbox pauses": TryLater,
    "relay pauses": TryLater,
    "waits": ReconnectNeeded,
    "tried again every 5 minutes": Misconfigured,
    "failed": Rejected,
}
"""How the table on sending begins what it says → the error that has this consequence."""


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_another_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text(encoding="utf-8"))
    targets = [((page.parent / path) if path else page, anchor) for path, anchor in links]

    assert [str(target) for target, _ in targets if not target.exists()] == []
    assert [anchor for target, anchor in targets if anchor and anchor not in anchors(target)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    typed = re.findall(r"[`/\n](replysequence(?: [a-z]+)+)", page.read_text(encoding="utf-8"))
    known = reference.commands()

    assert [command for command in typed if not any(command.startswith(each) for each in known[1:])] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_variable_that_a_page_names_is_read(page: Path) -> None:
    named = re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", page.read_text(encoding="utf-8"))

    assert [name for name in named if name.startswith(PREFIXES) and name not in VARIABLES] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_address_of_the_api_that_a_page_names_has_a_route(page: Path) -> None:
    named = re.findall(
        r"(?:[ `]|RS|\.com)(/(?:api/|healthz|readyz|metrics)[\w/{}$-]*)", page.read_text(encoding="utf-8")
    )
    paths = [route.partition(" ")[2] for route in reference.routes()]
    shapes = [re.compile(re.sub(r"\\\{\w+\\\}", r"[^/]+", re.escape(path))) for path in paths]

    assert [path for path in named if not any(shape.fullmatch(path.rstrip("/")) for shape in shapes)] == []


def test_the_log_lines_that_are_worth_an_alarm_are_written() -> None:
    named = re.findall(r"`((?:provider|verdict|vault|worker)\.[a-z_]+)`", read("docs/how-to/deploy.md"))

    assert len(named) >= 4
    assert [name for name in named if f'"{name}"' not in SOURCE] == []


def test_each_aadsts_number_on_the_microsoft_page_has_the_actor_that_the_program_names() -> None:
    rows = re.findall(r"^\| (`\d+`(?:, `\d+`)*) \| (\w+) \|", read("docs/how-to/microsoft.md"), re.MULTILINE)
    told = {int(number): actor for numbers, actor in rows for number in re.findall(r"\d+", numbers)}

    assert len(told) >= 15
    assert {number: EXPLANATIONS[number].actor for number in told} == told


def test_the_table_of_what_is_repeated_agrees_with_how_answers_are_read() -> None:
    rows = re.findall(
        r"^\| (\d{3}[^|]*)\|([^|]+)\|([^|]+)\|([^|]+)\|$", read("docs/explanation/sending.md"), re.MULTILINE
    )
    said = {
        int(status): [cells[0].strip(), cells[0 if "the same" in cells[1] else 1].strip(), cells[2].strip()]
        for numbers, *cells in rows
        for status in re.findall(r"\b\d{3}\b", numbers.split(" or ")[0])
    }
    # With a word of the provider's own that no table knows, so that the status decides.
    does = {
        status: [
            gmail._classify(status, ["someReason"], in_thread=False).error,
            outlook._classify(status, ["SomeCode"]).error,
            resend._classify(status, "some_name").error,
        ]
        for status in said
    }

    assert {400, 401, 404, 408, 413, 429, 500, 503} <= said.keys()
    assert {status: [meant(cell) for cell in cells] for status, cells in said.items()} == does


def meant(cell: str) -> type[ProviderError]:
    """The error whose consequence a cell of the table describes."""
    return next(error for words, error in MEANT.items() if cell.startswith(words))
