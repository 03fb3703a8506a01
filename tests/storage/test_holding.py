"""What a broken mailbox holds, what its repair sets free and in which order, and what waits for its owner's word."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from replysequence.domain.errors import Conflict, NotFound
from replysequence.domain.event import Kind
from replysequence.domain.pacing import Pace, Rate
from replysequence.domain.send import Outcome, State
from replysequence.storage import deciding, holding
from replysequence.storage.database import Database
from replysequence.storage.deciding import Held
from replysequence.storage.holding import ASKS_FIRST, Released
from storage.conftest import Connect
from support.ledger import NOON, PACES, Ledger, mailbox_route

REPAIRED = NOON + timedelta(days=5)
GIVE_UP = REPAIRED + timedelta(hours=24)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def mailbox(alice: str, connect: Connect) -> str:
    """Alice's mailbox; its id."""
    return connect(alice).id


def hold(ledger: Ledger, mailbox: str, *, reason: str = "grant_gone", at: datetime = NOON) -> int:
    return ledger.database.run(
        holding.hold, connection_id=mailbox, reason=reason, explanation="Connect it again.", at=at
    )


def release(ledger: Ledger, mailbox: str, *, at: datetime = REPAIRED) -> Released:
    return ledger.database.run(
        holding.release, connection_id=mailbox, via="gmail", give_up_at=at + timedelta(hours=24), at=at
    )


def let_go(ledger: Ledger, user_id: str, send_id: str) -> None:
    ledger.database.run(deciding.release, user_id=user_id, send_id=send_id, give_up_at=GIVE_UP, at=REPAIRED)


def release_all(ledger: Ledger, user_id: str, mailbox: str) -> list[str]:
    return ledger.database.run(
        deciding.release_all, user_id=user_id, connection_id=mailbox, give_up_at=GIVE_UP, at=REPAIRED
    )


def written(ledger: Ledger, alice: str, mailbox: str, *ages: timedelta) -> list[str]:
    """Sends that were accepted so long before the repair, in that order."""
    return [ledger.accepted(alice, route=mailbox_route(mailbox), at=REPAIRED - age) for age in ages]


def waits_for(ledger: Ledger, alice: str, ids: Sequence[str]) -> list[str | None]:
    return [ledger.get(alice, each).reason for each in ids]


def leaves_in_this_order(ledger: Ledger, *, at: datetime = REPAIRED) -> list[str]:
    order = []
    while claimed := ledger.claim(at=at):
        order += [each.id for each in claimed]
        for each in claimed:
            ledger.carried_out(each, State.SENT, at=at)
        at += timedelta(seconds=10)  # as long as the mailbox's pace wants
    return order


def test_what_was_released_leaves_oldest_first_and_before_what_was_accepted_since(
    ledger: Ledger, alice: str, mailbox: str
) -> None:
    ages = [timedelta(hours=hours) for hours in (3, 40, 1)]
    three_hours, forty_hours, one_hour = written(ledger, alice, mailbox, *ages)
    hold(ledger, mailbox)
    assert ledger.claim(at=REPAIRED) == []
    since = ledger.accepted(alice, route=mailbox_route(mailbox), at=REPAIRED)
    assert release(ledger, mailbox) == Released(moving=3, asking=0)
    assert leaves_in_this_order(ledger) == [forty_hours, three_hours, one_hour, since]
    told = [event.data for event in ledger.get(alice, forty_hours).events if event.kind is Kind.SEND_QUEUED]
    assert told == [{"reason": "reconnected"}]


def test_a_flood_of_released_sends_drips_under_the_pace_of_its_mailbox(
    ledger: Ledger, alice: str, mailbox: str
) -> None:
    written(ledger, alice, mailbox, *[timedelta(minutes=n) for n in range(1, 31)])
    hold(ledger, mailbox)
    assert release(ledger, mailbox).moving == 30
    slow = {**PACES, "gmail": Pace(1, Rate(6, timedelta(minutes=1)))}
    left = 0
    for second in range(60):
        found = ledger.round(at=REPAIRED + timedelta(seconds=second), paces=slow).sends
        for claimed in found:
            ledger.carried_out(claimed, State.SENT)
        left += len(found)
    assert left == 6


def test_what_was_to_leave_more_than_48_hours_ago_asks_first(
    ledger: Ledger, alice: str, mailbox: str
) -> None:
    route = mailbox_route(mailbox)
    two_days = timedelta(hours=48)
    young, old = written(ledger, alice, mailbox, two_days - timedelta(seconds=1), two_days)
    planned = ledger.new(alice, route=route, send_at=REPAIRED - timedelta(hours=1))
    planned_lately = ledger.accept(planned, at=NOON)
    for_the_past = ledger.new(alice, route=route, send_at=NOON - timedelta(days=90))
    meant_at_once = ledger.accept(for_the_past, at=REPAIRED - timedelta(hours=2))
    assert hold(ledger, mailbox) == 4
    assert release(ledger, mailbox) == Released(moving=3, asking=1)
    asks = ledger.get(alice, old)
    assert (asks.state, asks.reason, asks.next_at) == (State.WAITING, ASKS_FIRST, None)
    assert asks.explanation
    assert [event.data["reason"] for event in asks.events[1:]] == ["grant_gone", ASKS_FIRST]
    assert set(leaves_in_this_order(ledger)) == {young, planned_lately, meant_at_once}


def test_connecting_again_and_again_neither_releases_what_asks_nor_says_so_twice(
    ledger: Ledger, alice: str, mailbox: str
) -> None:
    [old] = written(ledger, alice, mailbox, timedelta(days=3))
    hold(ledger, mailbox)
    for _ in range(3):
        assert release(ledger, mailbox) == Released(moving=0, asking=1)
    assert [event.kind for event in ledger.get(alice, old).events].count(Kind.SEND_WAITING) == 2
    hold(ledger, mailbox, at=REPAIRED)
    assert waits_for(ledger, alice, [old]) == ["grant_gone"]
    release(ledger, mailbox)
    assert waits_for(ledger, alice, [old]) == [ASKS_FIRST]


def test_its_owners_word_lets_one_go_and_gives_it_a_day(
    ledger: Ledger, alice: str, bob: str, mailbox: str
) -> None:
    ids = written(ledger, alice, mailbox, timedelta(days=4), timedelta(days=3))
    hold(ledger, mailbox)
    release(ledger, mailbox)
    with pytest.raises(NotFound):
        let_go(ledger, bob, ids[0])
    let_go(ledger, alice, ids[1])
    with pytest.raises(Conflict) as again:
        let_go(ledger, alice, ids[1])
    assert (again.value.code, again.value.details["state"]) == ("not_asking", State.QUEUED)
    [claimed] = ledger.claim(at=REPAIRED)
    assert (claimed.id, claimed.give_up_at) == (ids[1], GIVE_UP)
    assert waits_for(ledger, alice, ids) == [ASKS_FIRST, None]
    assert ledger.get(alice, ids[1]).events[-1].kind is not Kind.SEND_WAITING


def test_only_what_asks_can_be_released(ledger: Ledger, alice: str, mailbox: str) -> None:
    [send] = written(ledger, alice, mailbox, timedelta(days=3))
    hold(ledger, mailbox)
    with pytest.raises(Conflict) as refused:
        let_go(ledger, alice, send)
    assert refused.value.details == {"state": State.WAITING, "reason": "grant_gone"}
    assert release_all(ledger, alice, mailbox) == []
    assert ledger.claim(at=REPAIRED) == []


def test_one_word_can_be_for_all_of_a_mailbox_and_for_no_other(
    ledger: Ledger, alice: str, bob: str, connect: Connect
) -> None:
    here, there = connect(alice).id, connect(alice, "private").id
    mine = [written(ledger, alice, each, timedelta(days=4), timedelta(days=3)) for each in (here, there)]
    for each in (here, there):
        hold(ledger, each)
        release(ledger, each)
    assert ledger.database.run(deciding.counts, user_id=alice) == [
        Held(each, waiting=2, asking=2) for each in sorted((here, there))
    ]
    assert ledger.database.run(deciding.counts, user_id=bob) == []
    assert release_all(ledger, bob, here) == []
    assert ledger.database.run(deciding.cancel_all, user_id=bob, connection_id=there, at=REPAIRED) == []
    assert set(release_all(ledger, alice, here)) == set(mine[0])
    assert leaves_in_this_order(ledger) == mine[0]
    cancelled = ledger.database.run(deciding.cancel_all, user_id=alice, connection_id=there, at=REPAIRED)
    assert set(cancelled) == set(mine[1])
    for each in mine[1]:
        assert ledger.state(alice, each) is State.CANCELLED
        assert ledger.get(alice, each).events[-1].kind is Kind.SEND_CANCELLED


def test_what_waits_for_its_time_and_what_is_unknown_is_not_cancelled_with_the_rest(
    ledger: Ledger, alice: str, mailbox: str
) -> None:
    route = mailbox_route(mailbox)
    lost = ledger.accepted(alice, route=route)
    [claimed] = ledger.claim()
    ledger.carried_out(claimed, State.UNKNOWN, outcome=Outcome.UNKNOWN)
    planned = ledger.accept(ledger.new(alice, route=route, send_at=REPAIRED))
    assert ledger.database.run(deciding.cancel_all, user_id=alice, connection_id=mailbox, at=NOON) == []
    assert ledger.database.run(deciding.unknown, user_id=alice, connection_id=mailbox) == 1
    hold(ledger, mailbox)
    assert ledger.database.run(deciding.cancel_all, user_id=alice, connection_id=mailbox, at=NOON) == [
        planned
    ]
    assert ledger.state(alice, lost) is State.UNKNOWN


def test_a_mailbox_that_is_gone_is_still_known_by_its_address_while_something_waits(
    ledger: Ledger, alice: str, bob: str, mailbox: str
) -> None:
    written(ledger, alice, mailbox, timedelta(hours=1))
    hold(ledger, mailbox, reason="disconnected")
    found = ledger.database.run(deciding.sender, user_id=alice, connection_id=mailbox)
    assert found is not None
    assert "@" in found.email
    assert ledger.database.run(deciding.sender, user_id=bob, connection_id=mailbox) is None
