"""Queues of sends: when the next one may leave, and pauses that a provider asked for."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from replysequence.domain.send import State
from replysequence.storage import routes, sends
from replysequence.storage.claims import LOOK_AGAIN, Round
from replysequence.storage.database import Database
from replysequence.storage.endings import Pause
from replysequence.storage.tables import routes as routes_table
from support.ledger import NOON, RELAY, Ledger

LATER = NOON + timedelta(hours=1)
LONG_AGO, MUCH_LATER = NOON.replace(year=2020), NOON.replace(year=2100)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def test_the_next_due_time_is_that_of_the_earliest_send(ledger: Ledger, alice: str) -> None:
    assert ledger.next_due() is None
    ledger.accept(ledger.new(alice, send_at=LATER))
    assert ledger.next_due() == LATER
    ledger.accepted(alice)
    assert ledger.next_due() == NOON


def test_a_paused_route_is_left_alone_until_its_time(ledger: Ledger, alice: str) -> None:
    ledger.accepted(alice)
    (first,) = ledger.claim()
    ledger.begin(first)
    ledger.end(first, State.QUEUED, next_at=NOON, pause=Pause(LATER, "rate_limited", "Later, please."))
    assert ledger.next_due() == LATER
    new = ledger.accepted(alice)  # which changes nothing about the pause
    assert ledger.claim(at=LATER - timedelta(seconds=1)) == []
    assert {claimed.id for claimed in ledger.claim(at=LATER)} == {first.id, new}


def test_a_shorter_pause_does_not_end_a_longer_one(ledger: Ledger, alice: str) -> None:
    first, second = ledger.accepted(alice), ledger.accepted(alice)
    claimed = {each.id: each for each in ledger.claim()}
    for send_id, until in ((first, LATER), (second, NOON + timedelta(minutes=1))):
        ledger.begin(claimed[send_id])
        ledger.end(
            claimed[send_id], State.QUEUED, next_at=NOON, pause=Pause(until, "quota", "Later, please.")
        )
    assert ledger.next_due() == LATER
    (again, _) = ledger.claim(at=LATER)
    ledger.begin(again)
    ledger.end(again, State.QUEUED, next_at=NOON, pause=Pause(MUCH_LATER, "quota", "Later, please."))
    assert ledger.next_due() == MUCH_LATER


@pytest.mark.parametrize(
    ("until", "why"),
    [(MUCH_LATER, ("quota", "Google lets nothing out until then.")), (LONG_AGO, (None, None))],
)
def test_a_send_behind_a_pause_says_so_as_long_as_it_lasts(
    ledger: Ledger, alice: str, until: datetime, why: tuple[str | None, str | None]
) -> None:
    refused = ledger.accepted(alice)
    (claimed,) = ledger.claim()
    behind = ledger.accepted(alice)
    planned = ledger.accept(ledger.new(alice, send_at=LATER))
    ledger.begin(claimed)
    pause = Pause(until, "quota", "Google lets nothing out until then.")
    ledger.end(
        claimed, State.QUEUED, next_at=until, reason="too_many", explanation="Google refused it.", pause=pause
    )
    listed = ledger.database.run(sends.page, user_id=alice, before=None, limit=9)
    for shown in (
        {send.id: send for send in listed},
        {each.id: ledger.get(alice, each.id) for each in listed},
    ):
        assert (shown[behind].reason, shown[behind].explanation) == why
        assert (shown[refused].reason, shown[refused].explanation) == ("too_many", "Google refused it.")
        assert (shown[planned].reason, shown[planned].explanation) == ("scheduled", None)


@pytest.mark.parametrize("state", [State.SENT, State.FAILED])
def test_a_full_route_is_looked_at_when_a_send_ends_or_after_a_while(
    ledger: Ledger, alice: str, state: State
) -> None:
    for _ in range(5):
        ledger.accepted(alice)
    claimed = ledger.claim()
    assert ledger.round() == Round([], NOON + LOOK_AGAIN)
    ledger.carried_out(claimed[0], state)
    assert ledger.next_due() == NOON
    assert len(ledger.claim()) == 1


def test_a_route_without_sends_is_never_due(ledger: Ledger) -> None:
    ledger.database.run(routes.take, route_id=RELAY.id, via=RELAY.via)
    ledger.database.run(routes.reschedule, route_ids=[RELAY.id, "no such route"])
    assert ledger.next_due() is None
    assert ledger.round() == Round([], None)


@pytest.mark.parametrize("paused_until", [None, LONG_AGO, LATER, MUCH_LATER])
@pytest.mark.parametrize("paced_until", [None, LONG_AGO, NOON + timedelta(minutes=1), MUCH_LATER])
def test_one_more_send_sets_what_a_look_at_all_of_them_would(
    ledger: Ledger, alice: str, paused_until: datetime | None, paced_until: datetime | None
) -> None:
    ledger.database.run(routes.take, route_id=RELAY.id, via=RELAY.via)
    held_back = update(routes_table).values(paused_until=paused_until, paced_until=paced_until)
    ledger.database.run(lambda connection: connection.execute(held_back))
    for due in (MUCH_LATER + timedelta(days=1), LATER, LATER + timedelta(minutes=5), None):
        ledger.accept(ledger.new(alice, send_at=due))
        next_due = ledger.next_due()
        assert next_due is not None
        ledger.database.run(routes.reschedule, route_ids=[RELAY.id])
        assert ledger.next_due() == next_due


def test_a_send_that_waits_for_its_owner_makes_no_route_due(ledger: Ledger, alice: str) -> None:
    ledger.accept(ledger.new(alice, held=("reconnect_needed", "Connect this account again.")))
    assert ledger.next_due() is None
