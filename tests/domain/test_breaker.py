"""When a provider counts as down: soon after it fails for many, and never for what a few mailboxes meet."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replysequence.domain.breaker import ENOUGH, FORGOTTEN_AFTER, OF_ONE_PARTY, STUCK_AFTER, Exchange, Watch

NO_ANSWER = 120.0
"""Seconds that a worker waits for an answer."""


def fail(watch: Watch, party: str, *, at: float) -> None:
    exchange = watch.begin(party, at=at)
    watch.end(exchange)
    watch.trouble(exchange)


def parties(number: int) -> list[str]:
    return [f"mailbox {each}" for each in range(number)]


def test_five_mailboxes_in_trouble_and_nothing_well_between_make_a_provider_down() -> None:
    watch = Watch()
    for number, party in enumerate(parties(ENOUGH), start=1):
        assert not watch.is_down(at=number)
        fail(watch, party, at=number)
    assert watch.is_down(at=ENOUGH)


def test_one_answer_that_is_well_clears_what_began_before_it() -> None:
    watch = Watch()
    late = watch.begin("mailbox 9", at=0)
    for party in parties(ENOUGH - 1):
        fail(watch, party, at=1)
    watch.well(watch.begin("mailbox 8", at=0), at=2)
    assert not watch.is_down(at=2)
    watch.end(late)
    watch.trouble(late)
    for party in parties(ENOUGH - 1):
        fail(watch, party, at=3)
    assert not watch.is_down(at=3), "what had begun before the good answer was counted"
    fail(watch, "mailbox 9", at=3)
    assert watch.is_down(at=3)


def test_a_single_mailbox_never_makes_a_provider_down_and_two_can() -> None:
    watch = Watch()
    for at in range(100):
        fail(watch, "mailbox 1", at=at)
    assert not watch.is_down(at=100)
    for at in range(100, 100 + ENOUGH - OF_ONE_PARTY):
        fail(watch, "mailbox 2", at=at)
    assert watch.is_down(at=102)


def test_trouble_of_long_ago_is_no_evidence() -> None:
    watch = Watch()
    for at, party in enumerate(parties(ENOUGH)):
        fail(watch, party, at=at * FORGOTTEN_AFTER / 3)
    assert not watch.is_down(at=(ENOUGH - 1) * FORGOTTEN_AFTER / 3)


def test_what_is_neither_counts_for_nothing() -> None:
    watch = Watch()
    for party in parties(50):
        watch.end(watch.begin(party, at=0))
    assert not watch.is_down(at=STUCK_AFTER + 1)


def test_answers_that_do_not_come_are_noticed_long_before_they_are_given_up() -> None:
    watch = Watch()
    under_way = [watch.begin(party, at=1) for party in parties(ENOUGH)]
    assert not watch.is_down(at=STUCK_AFTER)
    assert watch.is_down(at=1 + STUCK_AFTER)
    watch.end(under_way.pop())
    assert not watch.is_down(at=1 + STUCK_AFTER)


def test_what_has_not_ended_is_no_evidence_once_something_that_began_later_is_well() -> None:
    watch = Watch()
    for party in parties(ENOUGH):
        watch.begin(party, at=1)
    watch.well(watch.begin("mailbox 9", at=0.5), at=3)
    assert watch.is_down(at=1 + STUCK_AFTER)
    watch.well(watch.begin("mailbox 9", at=4), at=5)
    assert not watch.is_down(at=1 + STUCK_AFTER)


def test_what_another_process_saw_work_leaves_no_evidence() -> None:
    watch = Watch()
    for party in parties(ENOUGH):
        fail(watch, party, at=1)
        watch.begin(party, at=1)
    assert watch.is_down(at=1)
    watch.forget(at=30)
    assert not watch.is_down(at=60)


def test_a_provider_that_was_well_says_since_when() -> None:
    watch = Watch()
    assert not watch.was_well_since(0)
    watch.well(watch.begin("mailbox 1", at=3), at=5)
    assert watch.was_well_since(4)
    assert not watch.was_well_since(5)


@dataclass(frozen=True)
class Answer:
    """What becomes of an exchange: how many seconds it takes, and whether it is trouble."""

    takes: float
    trouble: bool = False


def run(
    watch: Watch, *, mailboxes: int, seconds: float, answers: Callable[[float], Answer]
) -> Iterable[float]:
    """Every mailbox sends one message after the other, a second apart; the moments at which it counts as down."""
    order = count()
    todo: list[tuple[float, int, str, tuple[Exchange, Answer] | None]] = []
    for number, party in enumerate(parties(mailboxes)):
        heappush(todo, (number / mailboxes, next(order), party, None))
    looked_at = 0
    while todo:
        at, _, party, ended = heappop(todo)
        while looked_at < at:
            looked_at += 1
            if watch.is_down(at=looked_at):
                yield looked_at
        if at > seconds:
            return
        if ended is None:
            answer = answers(at)
            under_way = watch.begin(party, at=at)
            heappush(todo, (at + answer.takes, next(order), party, (under_way, answer)))
            continue
        exchange, answer = ended
        watch.end(exchange)
        if answer.trouble:
            watch.trouble(exchange)
        else:
            watch.well(exchange, at=at)
        heappush(todo, (at + 1, next(order), party, None))


@pytest.mark.parametrize("mailboxes", [1, 2, 3, 20, 200])
def test_where_one_exchange_in_a_hundred_fails_nothing_is_ever_down(mailboxes: int) -> None:
    dice = random.Random(mailboxes)

    def answers(_: float) -> Answer:
        return Answer(takes=dice.uniform(0.2, 3), trouble=dice.random() < 0.01)

    assert not list(run(Watch(), mailboxes=mailboxes, seconds=40_000 / mailboxes, answers=answers))


@given(
    mailboxes=st.integers(5, 60),
    begins=st.floats(5, 90),
    answer_after=st.sampled_from([0.01, 0.5, 10, NO_ANSWER]),
    seed=st.integers(0, 10_000),
)
def test_trouble_of_all_is_noticed_within_thirty_seconds_and_never_before_it_begins(
    mailboxes: int, begins: float, answer_after: float, seed: int
) -> None:
    dice = random.Random(seed)
    bad = Answer(takes=answer_after, trouble=True)

    def answers(at: float) -> Answer:
        return bad if at >= begins else Answer(takes=dice.uniform(0.2, 3))

    first = next(iter(run(Watch(), mailboxes=mailboxes, seconds=200, answers=answers)))
    assert begins < first < begins + 30


@pytest.mark.parametrize("mailboxes", [2, 3, 4])
def test_a_provider_that_swallows_all_of_a_few_mailboxes_is_noticed_too(mailboxes: int) -> None:
    def answers(_: float) -> Answer:
        return Answer(takes=NO_ANSWER, trouble=True)

    first = next(iter(run(Watch(), mailboxes=mailboxes, seconds=600, answers=answers)))
    assert first <= 2 * NO_ANSWER + STUCK_AFTER + 5
