"""The judge finds each way in which the promise can be broken: a judge that sees nothing proves nothing."""

from dataclasses import replace

import pytest

from crash.judge import Record, Taken, Told, Tried, Verdict, judge
from replysequence.domain.event import Kind
from replysequence.domain.send import State

SENT = Record(
    id="send-1",
    draft_id="draft-1",
    via="gmail",
    state=State.SENT,
    subject="Message 1",
    reason=None,
    explanation=None,
    attempts=(Tried("answered", "sent", None),),
    last_event=Kind.SEND_SENT,
)
OPEN = replace(
    SENT,
    state=State.UNKNOWN,
    reason="worker_died",
    explanation="The program stopped.",
    attempts=(Tried("sending", "unknown", "worker_died"),),
    last_event=Kind.SEND_UNKNOWN,
)
TOLD = Told("draft-1", "Message 1", frozenset({"send-1"}))
TAKEN = Taken("send-1", "Message 1")


def verdict(record: Record | None, *taken: Taken, told: Told = TOLD) -> Verdict:
    return judge([told], [record] if record else [], taken)


@pytest.mark.parametrize(("record", "taken"), [(SENT, [TAKEN]), (OPEN, [TAKEN]), (OPEN, [])])
def test_a_send_that_is_what_it_says_is_no_fault(record: Record, taken: list[Taken]) -> None:
    found = verdict(record, *taken)

    assert found.faults == {}
    assert (found.ok, found.open) == ((1, 0) if record is SENT else (0, 1))
    assert found.open_and_taken == (found.open and len(taken))


@pytest.mark.parametrize(
    ("fault", "record", "taken"),
    [
        ("lost", SENT, []),
        ("lost", None, []),
        ("doubled", SENT, [TAKEN, TAKEN]),
        ("doubled", OPEN, [TAKEN, TAKEN]),
        (
            "wrong",
            replace(
                SENT,
                state=State.FAILED,
                last_event=Kind.SEND_FAILED,
                attempts=(Tried("answered", "refused", "?"),),
            ),
            [TAKEN],
        ),
        ("unexplained", replace(OPEN, explanation=None), []),
        ("unexplained", replace(OPEN, reason=None), []),
        ("unexplained", replace(OPEN, attempts=(Tried("", "unknown", "worker_died"),)), []),
        ("unexplained", replace(OPEN, attempts=(Tried("sending", "refused", "worker_died"),)), []),
        ("stuck", replace(SENT, state=State.SENDING, last_event=Kind.SEND_ACCEPTED), [TAKEN]),
        ("torn", replace(SENT, attempts=(Tried("sending", None, None),)), [TAKEN]),
        ("torn", replace(SENT, last_event=Kind.SEND_UNKNOWN), [TAKEN]),
        ("torn", replace(SENT, last_event=None), [TAKEN]),
    ],
)
def test_a_broken_promise_is_found_under_its_name(
    fault: str, record: Record | None, taken: list[Taken]
) -> None:
    assert list(verdict(record, *taken).faults) == [fault]


def test_a_mail_that_no_row_knows_is_found() -> None:
    found = judge([], [], [TAKEN])

    assert found.faults == {"unrecorded": ["send-1"]}


def test_two_sends_for_one_order_are_found_even_when_only_one_left() -> None:
    second = replace(SENT, id="send-2", state=State.FAILED, last_event=Kind.SEND_FAILED, attempts=())
    told = replace(TOLD, send_ids=frozenset({"send-1", "send-2"}))

    assert judge([told], [SENT, second], [TAKEN]).faults == {"doubled": ["draft-1"]}


def test_two_mails_of_one_order_are_found_under_whatever_send_they_left() -> None:
    second = replace(SENT, id="send-2")

    assert judge([TOLD], [SENT, second], [TAKEN, Taken("send-2", "Message 1")]).faults == {
        "doubled": ["draft-1"]
    }
