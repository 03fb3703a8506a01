"""The ledger as owners see it: accepted once, moved only as the table of moves allows, cancelled until it leaves."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from replysequence.domain.errors import Conflict, NotFound
from replysequence.domain.event import Kind
from replysequence.domain.send import MOVES, Outcome, State, Verdict
from replysequence.storage import holding, sends
from replysequence.storage.claims import AttemptLost, Claimed
from replysequence.storage.database import Database
from replysequence.storage.holding import Released
from storage.conftest import Connect
from support.ledger import NOON, RELAY, Ledger, mailbox_route, second_open_attempt, write

LATER = NOON + timedelta(hours=1)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def cancel(ledger: Ledger, user_id: str, send_id: str) -> None:
    ledger.database.run(sends.cancel, user_id=user_id, send_id=send_id, at=NOON)


def settle(ledger: Ledger, user_id: str, send_id: str, verdict: Verdict) -> None:
    ledger.database.run(sends.settle, user_id=user_id, send_id=send_id, verdict=verdict, by="person", at=NOON)


def every_way_to_move(ledger: Ledger, user_id: str, claimed: Claimed) -> list[Callable[[], object]]:
    route = claimed.route_id

    def hold() -> None:
        ledger.database.run(
            holding.hold,
            connection_id=route,
            reason="reconnect_needed",
            explanation="Connect again.",
            at=NOON,
        )

    def release() -> None:
        ledger.database.run(holding.hold, connection_id=route, reason="x", explanation="", at=NOON)
        ledger.database.run(
            holding.release, connection_id=route, via=route, give_up_at=LATER, at=NOON + timedelta(seconds=1)
        )

    return [
        hold,
        release,
        ledger.claim,
        lambda: ledger.begin(claimed),
        lambda: cancel(ledger, user_id, claimed.id),
        *[
            lambda state=state: ledger.end(claimed, state)
            for state in (State.SENT, State.FAILED, State.QUEUED, State.WAITING, State.UNKNOWN)
        ],
        *[lambda verdict=verdict: settle(ledger, user_id, claimed.id, verdict) for verdict in Verdict],
    ]


@pytest.mark.parametrize("start", State)
def test_a_send_moves_exactly_as_the_table_of_moves_says(ledger: Ledger, alice: str, start: State) -> None:
    ledger.accepted(alice, route=RELAY)
    (claimed,) = ledger.claim()
    reached = set()
    for move in every_way_to_move(ledger, alice, claimed):
        ledger.put(claimed, start)
        with suppress(AttemptLost, Conflict):
            move()
        reached.add(ledger.state(alice, claimed.id))
    assert reached - {start} == MOVES[start]


def test_accepting_writes_the_send_and_its_event(ledger: Ledger, alice: str) -> None:
    send = ledger.get(alice, ledger.accepted(alice))
    assert (send.state, send.next_at, send.reason, send.attempts) == (State.QUEUED, NOON, None, ())
    assert [event.kind for event in send.events] == [Kind.SEND_ACCEPTED]
    assert send.route.via == "resend"


def test_a_send_for_later_waits_for_its_time(ledger: Ledger, alice: str) -> None:
    send = ledger.get(alice, ledger.accept(ledger.new(alice, send_at=LATER)))
    assert (send.state, send.reason, send.next_at) == (State.WAITING, "scheduled", LATER)
    assert ledger.claim(at=LATER - timedelta(seconds=1)) == []
    assert [claimed.id for claimed in ledger.claim(at=LATER)] == [send.id]


def test_twenty_double_clicks_at_once_make_one_send(ledger: Ledger, alice: str) -> None:
    draft_id = ledger.draft(alice)
    copies = [ledger.new(alice, draft_id=draft_id, key="click", request_hash="h") for _ in range(20)]
    with ThreadPoolExecutor(20) as clicks:
        written = list(clicks.map(lambda new: ledger.database.run(write, new, at=NOON), copies))
    assert written.count(True) == 1
    use = ledger.database.run(sends.by_key, user_id=alice, key="click")
    assert use is not None
    assert use.send_id == copies[written.index(True)].id
    assert len(ledger.database.run(sends.page, user_id=alice, before=None, limit=50)) == 1


def test_the_same_key_of_somebody_else_is_another_key(ledger: Ledger, alice: str, bob: str) -> None:
    ledger.accept(ledger.new(alice, key="click"))
    ledger.accept(ledger.new(bob, key="click"))


def test_a_draft_version_has_one_live_send_and_another_once_that_has_failed(
    ledger: Ledger, alice: str
) -> None:
    draft_id = ledger.draft(alice)
    first = ledger.accept(ledger.new(alice, draft_id=draft_id))
    with pytest.raises(Conflict) as refused:
        ledger.database.run(write, ledger.new(alice, draft_id=draft_id), at=NOON)
    assert (refused.value.code, refused.value.details) == ("already_sent", {"send_id": first})
    ledger.accept(ledger.new(alice, draft_id=draft_id, version=2))
    (claimed, _) = ledger.claim()
    ledger.end(claimed, State.FAILED, reason="refused")
    ledger.accept(ledger.new(alice, draft_id=draft_id))


def test_the_database_itself_refuses_a_second_open_attempt(ledger: Ledger, alice: str) -> None:
    ledger.accepted(alice)
    (claimed,) = ledger.claim()
    with pytest.raises(IntegrityError):
        ledger.database.run(second_open_attempt, claimed)


def test_nobody_else_sees_cancels_or_settles_a_send(
    ledger: Ledger, alice: str, bob: str, charlie: str
) -> None:
    send_id = ledger.accepted(alice)
    for other in (bob, charlie):
        with pytest.raises(NotFound):
            ledger.get(other, send_id)
        with pytest.raises(NotFound):
            cancel(ledger, other, send_id)
        with pytest.raises(NotFound):
            settle(ledger, other, send_id, Verdict.SENT)
        assert ledger.database.run(sends.page, user_id=other, before=None, limit=50) == []
    with pytest.raises(NotFound):
        ledger.get(alice, "no such id")
    assert ledger.state(alice, send_id) is State.QUEUED


def test_the_list_is_paged_newest_first_and_filtered(ledger: Ledger, alice: str) -> None:
    made = sorted(ledger.accepted(alice) for _ in range(5))
    pages, before = [], None
    while found := ledger.database.run(sends.page, user_id=alice, before=before, limit=2):
        pages.append([send.id for send in found])
        before = found[-1].id
    assert [send_id for page in pages for send_id in page] == made[::-1]
    cancel(ledger, alice, made[0])
    cancelled = ledger.database.run(sends.page, user_id=alice, before=None, limit=9, states=[State.CANCELLED])
    assert [send.id for send in cancelled] == [made[0]]
    draft_id = cancelled[0].draft_id
    of_draft = ledger.database.run(sends.page, user_id=alice, before=None, limit=9, draft_id=draft_id)
    assert [send.id for send in of_draft] == [made[0]]
    latest = ledger.database.run(sends.latest_of_drafts, user_id=alice, draft_ids=[draft_id])
    assert latest == {draft_id: (made[0], State.CANCELLED)}


def test_a_claimed_send_can_be_cancelled_and_its_attempt_may_not_begin(ledger: Ledger, alice: str) -> None:
    ledger.accepted(alice)
    (claimed,) = ledger.claim()
    cancel(ledger, alice, claimed.id)
    with pytest.raises(AttemptLost):
        ledger.begin(claimed)
    send = ledger.get(alice, claimed.id)
    assert (send.state, send.attempts[0].outcome) == (State.CANCELLED, Outcome.NEVER_SENT)


@pytest.mark.parametrize("state", [State.SENDING, State.UNKNOWN])
def test_what_may_be_out_cannot_be_cancelled(ledger: Ledger, alice: str, state: State) -> None:
    ledger.accepted(alice)
    (claimed,) = ledger.claim()
    ledger.put(claimed, state)
    with pytest.raises(Conflict) as refused:
        cancel(ledger, alice, claimed.id)
    assert refused.value.code == "on_the_wire"


def test_a_relay_send_that_is_to_be_repeated_cannot_be_cancelled_because_it_may_be_out(
    ledger: Ledger, alice: str
) -> None:
    never_out, maybe_out = ledger.accepted(alice), ledger.accepted(alice)
    for claimed in ledger.claim():
        ledger.begin(claimed)
        outcome = Outcome.NEVER_SENT if claimed.id == never_out else Outcome.UNKNOWN
        ledger.end(claimed, State.QUEUED, outcome=outcome, next_at=LATER)
    cancel(ledger, alice, never_out)
    with pytest.raises(Conflict) as refused:
        cancel(ledger, alice, maybe_out)
    assert refused.value.code == "on_the_wire"


def test_cancelling_and_claiming_at_once_leave_one_winner(ledger: Ledger, alice: str) -> None:
    ids = [ledger.accepted(alice, at=NOON) for _ in range(12)]
    lost = []

    def work(_: int) -> None:
        for claimed in ledger.claim():
            try:
                ledger.begin(claimed)
                ledger.end(claimed, State.SENT)
            except AttemptLost:
                lost.append(claimed.id)

    def take_back(send_id: str) -> bool:
        try:
            cancel(ledger, alice, send_id)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        working = [threads.submit(work, n) for n in range(8)]
        cancelled = list(threads.map(take_back, ids))
        for done in working:
            done.result()
    work(0)
    work(0)
    work(0)
    for send_id, was_cancelled in zip(ids, cancelled, strict=True):
        assert ledger.state(alice, send_id) is (State.CANCELLED if was_cancelled else State.SENT)
    assert all(ledger.state(alice, send_id) is State.CANCELLED for send_id in lost)


@pytest.mark.parametrize(
    ("verdict", "state"),
    [(Verdict.SENT, State.SETTLED_SENT), (Verdict.NOT_SENT, State.SETTLED_NOT_SENT)],
)
def test_an_unknown_send_is_settled_once_and_for_good(
    ledger: Ledger, alice: str, verdict: Verdict, state: State
) -> None:
    send_id = ledger.accepted(alice)
    (claimed,) = ledger.claim()
    ledger.carried_out(claimed, State.UNKNOWN)
    settle(ledger, alice, send_id, verdict)
    send = ledger.get(alice, send_id)
    assert send.state is state
    assert send.events[-1].data == {"verdict": verdict.value, "by": "person", "attempt": 1}
    for again in Verdict:
        with pytest.raises(Conflict) as refused:
            settle(ledger, alice, send_id, again)
        assert refused.value.code == "not_unknown"
    with pytest.raises(AttemptLost):
        ledger.end(claimed, State.SENT)


def test_a_disconnected_mailbox_changes_why_its_sends_wait_and_counts_them_all(
    ledger: Ledger, alice: str, connect: Connect
) -> None:
    route = mailbox_route(connect(alice).id)
    waiting = ledger.accept(ledger.new(alice, route=route, held=("reconnect_needed", "Connect again.")))
    ledger.accepted(alice, route=route)
    count = ledger.database.run(
        holding.hold, connection_id=route.id, reason="disconnected", explanation="Gone.", at=NOON
    )
    assert count == ledger.database.run(holding.held, connection_id=route.id) == 2
    assert ledger.get(alice, waiting).reason == "disconnected"
    assert ledger.database.run(holding.unfinished, connection_id=route.id) == 2


def test_a_released_send_keeps_its_time_and_does_not_expire_before_it(
    ledger: Ledger, alice: str, connect: Connect
) -> None:
    route = mailbox_route(connect(alice).id)
    in_three_days = NOON + timedelta(days=3)
    planned = ledger.accept(ledger.new(alice, route=route, send_at=in_three_days))
    due = ledger.accepted(alice, route=route)
    ledger.database.run(holding.hold, connection_id=route.id, reason="r", explanation="e", at=NOON)
    assert ledger.claim(at=in_three_days) == []
    released = ledger.database.run(
        holding.release,
        connection_id=route.id,
        via=route.via,
        give_up_at=LATER + timedelta(hours=24),
        at=LATER,
    )
    assert released == Released(moving=1, asking=0)
    assert ledger.get(alice, due).next_at == NOON
    kept = ledger.get(alice, planned)
    assert (kept.state, kept.reason, kept.next_at) == (State.WAITING, "scheduled", in_three_days)
    (first,) = ledger.claim(at=LATER)
    assert (first.id, first.give_up_at) == (due, LATER + timedelta(hours=24))
    ledger.carried_out(first, State.SENT)
    (second,) = ledger.claim(at=in_three_days)
    assert (second.id, second.give_up_at) == (planned, in_three_days + timedelta(hours=24))
