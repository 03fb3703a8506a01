"""Nothing that happens is without words, and no page shows a word that only programs use."""

import ast
from pathlib import Path

import pytest

import replysequence
from replysequence.domain.event import Kind
from replysequence.domain.report import ReportState
from replysequence.domain.send import Outcome, State
from replysequence.web import words


def codes_in_the_sources() -> set[str]:
    """Every word that domain, services, providers and storage can give as the reason of an attempt."""
    found: set[str] = set()
    for room in ("domain", "services", "providers", "storage"):
        for file in Path(replysequence.__file__).with_name(room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                match node:
                    case (
                        ast.keyword(arg="code" | "reason", value=ast.Constant(value=str(word)))
                        | ast.Assign(
                            targets=[ast.Name(id="code" | "PROVIDER_DOWN")],
                            value=ast.Constant(value=str(word)),
                        )
                        | ast.Call(func=ast.Name(id="Meaning"), args=[_, ast.Constant(value=str(word)), *_])
                    ):
                        found.add(word)
    return found


def test_every_state_outcome_and_event_has_words() -> None:
    assert set(words.STATES) == set(State)
    assert set(words.OUTCOMES) == set(Outcome)
    assert set(words.EVENTS) == set(Kind)
    assert set(words.REPORT_STATES) == set(ReportState)


@pytest.mark.parametrize("state", list(State))
def test_only_what_can_still_change_by_itself_is_asked_for_again(state: State) -> None:
    live = {State.QUEUED, State.WAITING, State.CLAIMED, State.SENDING}
    assert words.STATES[state].live is (state in live)


def test_every_reason_is_readable_and_none_is_worded_that_nobody_gives() -> None:
    codes = codes_in_the_sources()
    assert {"no_answer", "worker_died", "mailbox_full", "outcome_unknown"} <= codes
    for code in codes:
        said = words.reason_in_words(code)
        assert "_" not in said, code
        assert said[0].isupper(), code
    assert words.REASONS.keys() <= codes
    assert words.reason_in_words("new_at_the_provider") == "New at the provider"
