"""A database that went back in time, and a clock that did, as the rows see it."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, update

from replysequence.domain.event import Kind
from replysequence.domain.send import Outcome, State
from replysequence.storage import events, going_back, holding
from replysequence.storage.database import Database
from replysequence.storage.going_back import Held
from replysequence.storage.holding import ASKS_FIRST
from replysequence.storage.ids import new_id
from replysequence.storage.tables import routes
from storage.conftest import Connect
from support.ledger import Ledger, mailbox_route

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def mailbox(alice: str, connect: Connect) -> str:
    """Alice's mailbox; its id."""
    return connect(alice).id


def test_what_a_restored_database_had_not_ended_asks_first_also_when_its_account_is_connected_again(
    ledger: Ledger, alice: str, mailbox: str
) -> None:
    route = mailbox_route(mailbox)
    planned = ledger.accept(ledger.new(alice, route=route, send_at=NOW + HOUR), at=NOW)
    begun, claimed, queued = [ledger.accepted(alice, route=route, at=NOW) for _ in range(3)]
    taken = ledger.claim(at=NOW, me=new_id())  # an incarnation that nobody holds is dead
    ledger.put(taken[0], State.SENDING)
    unknown = taken[0].id
    held = ledger.database.run(going_back.hold_unfinished)
    assert held == Held(waiting=3, unknown=1)
    asking = {planned, begun, claimed, queued} - {unknown}

    def all_ask() -> bool:
        found = [ledger.get(alice, send_id) for send_id in asking]
        return all(
            (each.state, each.reason, each.next_at) == (State.WAITING, ASKS_FIRST, None) for each in found
        )

    assert all_ask()
    assert ledger.state(alice, unknown) is State.UNKNOWN
    ledger.database.run(holding.hold, connection_id=mailbox, reason="gone", explanation="Connect it.", at=NOW)
    ledger.database.run(
        holding.release, connection_id=mailbox, via="gmail", give_up_at=NOW + 24 * HOUR, at=NOW
    )
    assert all_ask()
    assert ledger.claim(at=NOW + 9 * HOUR) == []


def test_events_after_a_restore_have_numbers_that_were_never_used(
    database: Database, ledger: Ledger, alice: str
) -> None:
    ledger.accepted(alice)
    ever = database.run(going_back.events_ever)
    assert ever >= database.run(going_back.last_event_id) > 0
    database.run(going_back.skip_event_ids, last=ever + 500)
    assert database.run(going_back.events_ever) == ever + 500
    ledger.accepted(alice)
    assert database.run(going_back.last_event_id) > ever + 500


def test_a_clock_that_was_set_back_is_seen_by_the_last_event_and_ends_old_waits(
    database: Database, ledger: Ledger, alice: str
) -> None:
    def put_off(connection: Connection) -> None:
        later = {
            "paced_until": NOW + 24 * HOUR,
            "paused_until": NOW + 24 * HOUR,
            "pause_reason": "rate_limited",
        }
        connection.execute(update(routes).values(later))

    send_id = ledger.accepted(alice, at=NOW + 24 * HOUR)
    planned = ledger.accept(ledger.new(alice, send_at=NOW + 48 * HOUR), at=NOW + 24 * HOUR)
    database.run(put_off)
    assert database.run(going_back.clock_went_back)
    assert ledger.claim(at=datetime.now(UTC)) == []
    database.run(going_back.forget_old_clock)
    assert [claimed.id for claimed in ledger.claim(at=datetime.now(UTC))] == [send_id]
    assert ledger.get(alice, planned).next_at == NOW + 48 * HOUR
    database.run(events.append, user_id=alice, kind=Kind.USER_SIGNED_IN)
    assert not database.run(going_back.clock_went_back)


def test_a_clock_that_goes_right_changes_nothing(database: Database, ledger: Ledger, alice: str) -> None:
    assert not database.run(going_back.clock_went_back)
    ledger.accepted(alice, at=datetime.now(UTC))
    assert not database.run(going_back.clock_went_back)


def test_after_a_clock_stepped_back_nobody_believes_a_relay_to_remember_a_key(
    database: Database, alice: str
) -> None:
    """When the first attempt was made is no longer known: repeating it could bring a second mail."""
    ledger = Ledger(database)
    ahead = datetime.now(UTC) + timedelta(hours=9)
    send_id = ledger.accepted(alice, at=ahead)
    (first,) = ledger.claim(at=ahead)
    ledger.begin(first, at=ahead)
    ledger.end(first, State.QUEUED, at=ahead, outcome=Outcome.UNKNOWN, next_at=ahead)

    database.run(going_back.forget_old_clock)
    now = datetime.now(UTC)
    (again,) = ledger.claim(at=now)
    assert (again.id, again.attempt) == (send_id, 2)
    assert again.first_attempt_at is not None
    assert again.first_attempt_at < now - timedelta(hours=24)
