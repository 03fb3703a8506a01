"""Queues of sends: when the next one may leave, and pauses that a provider asked for."""

from datetime import timedelta

import pytest

from replysequence.domain.send import State
from replysequence.storage import claims, routes
from replysequence.storage.database import Database
from support.ledger import NOON, RELAY, Ledger

LATER = NOON + timedelta(hours=1)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def test_the_next_due_time_is_that_of_the_earliest_send(ledger: Ledger, alice: str) -> None:
    assert ledger.database.run(claims.next_due) is None
    ledger.accept(ledger.new(alice, send_at=LATER))
    assert ledger.database.run(claims.next_due) == LATER
    ledger.accepted(alice)
    assert ledger.database.run(claims.next_due) == NOON


def test_a_paused_route_is_left_alone_until_its_time(ledger: Ledger, alice: str) -> None:
    ledger.accepted(alice)
    (first,) = ledger.claim()
    ledger.begin(first)
    ledger.end(first, State.QUEUED, next_at=NOON, pause=(LATER, "rate_limited", "Later, please."))
    assert ledger.database.run(claims.next_due) == LATER
    new = ledger.accepted(alice)  # which changes nothing about the pause
    assert ledger.claim(at=LATER - timedelta(seconds=1)) == []
    assert {claimed.id for claimed in ledger.claim(at=LATER)} == {first.id, new}


def test_a_full_route_is_not_due_until_a_send_ends(ledger: Ledger, alice: str) -> None:
    for _ in range(5):
        ledger.accepted(alice)
    claimed = ledger.claim()
    assert ledger.database.run(claims.next_due) is None
    ledger.end(claimed[0], State.FAILED, reason="refused")
    assert ledger.database.run(claims.next_due) == NOON


def test_a_route_without_sends_is_never_due(ledger: Ledger) -> None:
    ledger.database.run(routes.take, route_id=RELAY.id, via=RELAY.via)
    assert ledger.database.run(routes.reschedule, route_id=RELAY.id) is None
    assert ledger.database.run(routes.reschedule, route_id="no such route") is None
    assert ledger.claim() == []
