"""A clock that was set back leaves times behind that are too far ahead."""

from datetime import UTC, datetime, timedelta

from replysequence.domain.send import Outcome, State
from replysequence.storage import going_back
from replysequence.storage.database import Database
from support.ledger import Ledger


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
