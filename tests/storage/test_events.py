"""Events: in the order in which they happened, and each person sees their own."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from replysequence.domain.event import Kind
from replysequence.storage import events
from replysequence.storage.database import Database
from replysequence.storage.events import NewEvent
from replysequence.storage.ids import new_id

AT = datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC)


def write(database: Database, user_id: str, number: int, *, send_id: str | None = None) -> None:
    database.run(
        events.append_many,
        [
            NewEvent(user_id=user_id, kind=Kind.SEND_QUEUED, at=AT, send_id=send_id, data={"n": n})
            for n in range(number)
        ],
    )


def test_an_event_comes_back_as_it_was_written(database: Database, alice: str) -> None:
    send_id, draft_id, connection_id = new_id(), new_id(), new_id()
    database.run(
        events.append,
        user_id=alice,
        kind=Kind.SEND_FAILED,
        send_id=send_id,
        draft_id=draft_id,
        connection_id=connection_id,
        data={"reason": "Ünzustellbar \0", "attempt": 2},
        at=AT,
    )
    event = database.run(events.list_for_user, user_id=alice)[0]
    assert (event.user_id, event.kind, event.at) == (alice, Kind.SEND_FAILED, AT)
    assert (event.send_id, event.draft_id, event.connection_id) == (send_id, draft_id, connection_id)
    assert event.data == {"reason": "Ünzustellbar \0", "attempt": 2}


def test_without_a_time_the_clock_of_the_database_is_taken(database: Database, alice: str) -> None:
    database.run(events.append, user_id=alice, kind=Kind.USER_SIGNED_IN)
    event = database.run(events.list_for_user, user_id=alice)[0]
    assert event.at.tzinfo is UTC
    assert event.data == {}


def test_a_naive_time_is_refused(database: Database, alice: str) -> None:
    with pytest.raises(Exception, match="naive"):
        database.run(events.append, user_id=alice, kind=Kind.USER_SIGNED_IN, at=AT.replace(tzinfo=None))


def test_pages_go_back_in_time_without_gap_or_repeat(database: Database, alice: str) -> None:
    write(database, alice, 22)
    seen: list[int] = []
    before: int | None = None
    while page := database.run(events.list_for_user, user_id=alice, before=before, limit=5):
        seen += [event.id for event in page]
        before = page[-1].id
    assert len(seen) == 23, "22, and that she joined"
    assert seen == sorted(set(seen), reverse=True)


def test_the_events_of_a_send_are_told_from_the_beginning(database: Database, alice: str) -> None:
    one, other = new_id(), new_id()
    write(database, alice, 3, send_id=one)
    write(database, alice, 2, send_id=other)
    assert [event.data["n"] for event in database.run(events.of_send, user_id=alice, send_id=one)] == [
        0,
        1,
        2,
    ]
    listed = database.run(events.list_for_user, user_id=alice, send_id=other)
    assert [event.data["n"] for event in listed] == [1, 0]


def test_nobody_sees_the_events_of_another(database: Database, alice: str, charlie: str) -> None:
    send_id = new_id()
    write(database, alice, 3, send_id=send_id)
    assert database.run(events.of_send, user_id=charlie, send_id=send_id) == []
    assert database.run(events.list_for_user, user_id=charlie, send_id=send_id) == []
    assert [e.kind for e in database.run(events.list_for_user, user_id=charlie)] == [Kind.USER_JOINED]


def test_the_number_of_an_event_is_never_used_again(database: Database, alice: str, bob: str) -> None:
    write(database, alice, 2)
    last = database.run(events.list_for_user, user_id=alice)[0].id
    database.run(lambda connection: connection.execute(text("DELETE FROM events")))
    write(database, bob, 1)
    assert database.run(events.list_for_user, user_id=bob)[0].id > last
