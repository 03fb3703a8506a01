"""The reference pages say what the code does, and nothing else."""

import re

import pytest

from replysequence.domain.event import Kind
from replysequence.domain.send import FINAL, MOVES, State
from replysequence.settings import all_variables
from support import reference
from support.reference import GENERATED, ROOT


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def first_cells(text: str) -> list[str]:
    """What stands in backticks at the beginning of each row of a table."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


@pytest.mark.parametrize("name", GENERATED)
def test_a_page_written_from_the_code_is_up_to_date(name: str) -> None:
    assert read(name) == reference.page(name), "run: python tests/support/reference.py"


def test_every_variable_that_the_program_reads_is_on_the_settings_page_once() -> None:
    assert sorted(first_cells(read("docs/reference/settings.md"))) == sorted(
        variable.name for variable in all_variables()
    )


def test_every_route_of_the_api_is_on_the_http_page_once() -> None:
    headings = re.findall(r"^### `([A-Z]+ /\S*)`$", read("docs/reference/http.md"), re.MULTILINE)

    assert sorted(headings) == sorted(reference.routes())


def test_every_command_is_on_the_command_line_page() -> None:
    headings = re.findall(r"^## `(.+)`$", read("docs/reference/cli.md"), re.MULTILINE)

    assert headings == reference.commands()


def test_every_kind_of_event_is_on_the_events_page_once() -> None:
    assert sorted(first_cells(read("docs/reference/events.md"))) == sorted(Kind)


def test_every_state_is_explained_once_and_those_that_end_are_called_final() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \|", read("docs/reference/states.md"), re.MULTILINE)

    assert [name for name, _ in rows] == list(State)
    assert {name for name, final in rows if final == "yes"} == FINAL


def test_the_states_page_shows_every_allowed_move_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` → `(\w+)` \|", read("docs/reference/states.md"), re.MULTILINE)

    assert sorted(rows) == sorted((start, end) for start, ends in MOVES.items() for end in ends)
