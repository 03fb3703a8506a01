"""What workers do to sends: each is taken by one, fenced by its attempt, and taken over only from the dead."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from replysequence.domain.connection import Connection
from replysequence.domain.event import Kind
from replysequence.domain.send import Outcome, State
from replysequence.storage import connection_tokens, connections, endings, holding
from replysequence.storage.claims import AttemptLost
from replysequence.storage.database import Database, Transaction
from replysequence.storage.ids import new_id
from replysequence.storage.vault import Vault
from storage.conftest import Connect, account, tokens
from support.ledger import NOON, Ledger, mailbox_route

LATER = NOON + timedelta(hours=1)
WINDOW = {"resend": timedelta(hours=20)}


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def others(database_url: str) -> Iterator[Ledger]:
    """Another process's worker, as far as the database can tell: a database object of its own."""
    database = Database.open(database_url)
    yield Ledger(database)
    database.close()


def needs_reconnect(database: Database, mailbox: Connection) -> None:
    def work(transaction: Transaction) -> None:
        assert connection_tokens.mark_needs_reconnect(
            transaction,
            connection_id=mailbox.id,
            generation=mailbox.token_generation,
            reason="grant_gone",
            problem="Connect it again.",
        )

    database.run(work)


def reap(ledger: Ledger, incarnation: str, **more: object) -> dict[State, int]:
    return ledger.database.run(
        endings.reap,
        incarnation=incarnation,
        repeatable=WINDOW,
        **{"at": LATER, **more},  # type: ignore[arg-type]
    )


def test_one_send_at_a_time_leaves_a_mailbox_and_the_oldest_goes_first(
    ledger: Ledger, alice: str, connect: Connect
) -> None:
    route = mailbox_route(connect(alice).id)
    made = [ledger.accepted(alice, route=route, at=NOON + timedelta(seconds=n)) for n in range(3)]
    sent = []
    while claimed := ledger.claim(at=LATER):
        assert len(claimed) == 1
        assert ledger.claim(at=LATER) == []
        sent.append(claimed[0].id)
        ledger.carried_out(claimed[0], State.SENT)
    assert sent == made


def test_a_relay_takes_as_many_at_a_time_as_it_allows(ledger: Ledger, alice: str) -> None:
    for _ in range(6):
        ledger.accepted(alice)
    first = ledger.claim()
    assert len(first) == 4
    assert ledger.claim() == []
    ledger.carried_out(first[0], State.SENT)
    assert len(ledger.claim()) == 1


def test_no_more_is_claimed_than_was_asked_for_and_the_rest_stays_due(ledger: Ledger, alice: str) -> None:
    for _ in range(3):
        ledger.accepted(alice)
    assert [len(ledger.claim(limit=2)) for _ in range(3)] == [2, 1, 0]


def test_mailboxes_do_not_wait_for_each_other(ledger: Ledger, alice: str, bob: str, connect: Connect) -> None:
    hers, his = connect(alice), connect(bob, "private")
    for _ in range(3):
        ledger.accepted(alice, route=mailbox_route(hers.id))
    mine = ledger.accepted(bob, route=mailbox_route(his.id))
    assert {claimed.user_id for claimed in ledger.claim()} == {alice, bob}
    assert ledger.state(bob, mine) is State.CLAIMED


def test_a_mailbox_that_needs_reconnecting_is_not_claimed_and_its_sends_say_why_they_wait(
    ledger: Ledger, alice: str, connect: Connect
) -> None:
    mailbox = connect(alice)
    send_id = ledger.accepted(alice, route=mailbox_route(mailbox.id))
    needs_reconnect(ledger.database, mailbox)
    assert ledger.claim(at=LATER) == []
    send = ledger.get(alice, send_id)
    assert (send.state, send.reason, send.explanation) == (State.WAITING, "grant_gone", "Connect it again.")
    assert ledger.next_due() is None


def test_a_mailbox_that_is_gone_keeps_its_sends_waiting(ledger: Ledger, alice: str, connect: Connect) -> None:
    mailbox = connect(alice)
    send_id = ledger.accepted(alice, route=mailbox_route(mailbox.id))
    ledger.database.run(connections.begin_disconnect, user_id=alice, connection_id=mailbox.id)
    ledger.database.run(connections.finish_disconnect, user_id=alice, connection_id=mailbox.id)
    assert ledger.claim(at=LATER) == []
    assert ledger.get(alice, send_id).reason == "disconnected"


def test_two_workers_never_take_the_same_send(ledger: Ledger, others: Ledger, alice: str) -> None:
    made = {ledger.accepted(alice) for _ in range(30)}
    taken: Counter[str] = Counter()
    lock = threading.Lock()

    def work(mine: Ledger) -> None:
        while len(taken) < len(made):
            for claimed in mine.claim(limit=3):
                with lock:
                    taken[claimed.id] += 1
                mine.begin(claimed)
                mine.end(claimed, State.SENT)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, mine) for mine in (ledger, others, ledger, others)]:
            done.result(timeout=60)
    assert taken == Counter(dict.fromkeys(made, 1))
    assert all(ledger.state(alice, send_id) is State.SENT for send_id in made)


def test_only_the_incarnation_that_claimed_may_begin(ledger: Ledger, alice: str) -> None:
    ledger.accepted(alice)
    (claimed,) = ledger.claim()
    with pytest.raises(AttemptLost):
        ledger.begin(claimed, me=new_id())
    ledger.begin(claimed)
    with pytest.raises(AttemptLost):
        ledger.begin(claimed)


def test_a_late_verdict_of_an_older_attempt_changes_nothing(ledger: Ledger, alice: str) -> None:
    send_id = ledger.accepted(alice)
    (old,) = ledger.claim()
    ledger.begin(old)
    ledger.end(old, State.QUEUED, next_at=NOON)
    (new,) = ledger.claim()
    ledger.begin(new)
    for verdict in (State.SENT, State.FAILED, State.UNKNOWN, State.QUEUED):
        with pytest.raises(AttemptLost):
            ledger.end(old, verdict)
    assert ledger.state(alice, send_id) is State.SENDING
    ledger.end(new, State.SENT)
    assert [attempt.outcome for attempt in ledger.get(alice, send_id).attempts] == [
        Outcome.NEVER_SENT,
        Outcome.SENT,
    ]


@pytest.mark.parametrize("verdict", [State.SENT, State.FAILED])
def test_a_late_verdict_of_the_same_attempt_repairs_an_unknown_send(
    ledger: Ledger, alice: str, connect: Connect, verdict: State
) -> None:
    send_id = ledger.accepted(alice, route=mailbox_route(connect(alice).id))
    (claimed,) = ledger.claim()
    ledger.begin(claimed)
    assert reap(ledger, ledger.me) == {State.UNKNOWN: 1}
    assert ledger.get(alice, send_id).reason == "worker_died"
    ledger.end(claimed, verdict, provider_message_id="18c2")
    send = ledger.get(alice, send_id)
    assert (send.state, send.reason, send.provider_message_id) == (verdict, None, "18c2")
    assert len(send.attempts) == 1


def test_a_verdict_that_would_send_again_does_not_repair_an_unknown_send(
    ledger: Ledger, alice: str, connect: Connect
) -> None:
    send_id = ledger.accepted(alice, route=mailbox_route(connect(alice).id))
    (claimed,) = ledger.claim()
    ledger.begin(claimed)
    reap(ledger, ledger.me)
    for verdict in (State.QUEUED, State.WAITING):
        with pytest.raises(AttemptLost):
            ledger.end(claimed, verdict, next_at=NOON)
    assert ledger.state(alice, send_id) is State.UNKNOWN


def test_each_ending_writes_its_event_and_its_attempt(ledger: Ledger, alice: str) -> None:
    ledger.accepted(alice)
    (claimed,) = ledger.claim()
    ledger.begin(claimed)
    ledger.end(
        claimed, State.SENT, phase="answered", status=200, provider_request_id="r1", provider_message_id="m1"
    )
    send = ledger.get(alice, claimed.id)
    assert [event.kind for event in send.events] == [Kind.SEND_ACCEPTED, Kind.SEND_SENT]
    assert send.events[-1].data == {"attempt": 1, "via": "resend", "provider_message_id": "m1"}
    (attempt,) = send.attempts
    assert (attempt.phase, attempt.status, attempt.provider_request_id) == ("answered", 200, "r1")
    assert attempt.finished_at == NOON


def test_a_send_that_a_dead_process_only_prepared_is_queued_again(ledger: Ledger, alice: str) -> None:
    send_id = ledger.accepted(alice)
    (claimed,) = ledger.claim(me=(dead := new_id()))
    assert ledger.database.run(endings.owners) == [dead]
    assert reap(ledger, dead) == {State.QUEUED: 1}
    assert reap(ledger, dead) == {}
    (again,) = ledger.claim(at=LATER)
    assert (again.id, again.attempt) == (send_id, 2)
    with pytest.raises(AttemptLost):
        ledger.begin(claimed, me=dead)


def test_a_send_that_a_dead_process_had_on_the_wire_is_unknown(
    ledger: Ledger, alice: str, connect: Connect
) -> None:
    send_id = ledger.accepted(alice, route=mailbox_route(connect(alice).id))
    (claimed,) = ledger.claim()
    ledger.begin(claimed)
    assert reap(ledger, ledger.me) == {State.UNKNOWN: 1}
    send = ledger.get(alice, send_id)
    assert (send.reason, send.attempts[0].outcome) == ("worker_died", Outcome.UNKNOWN)
    assert send.explanation
    assert ledger.claim(at=LATER) == []


@pytest.mark.parametrize(("hours", "state"), [(19, State.QUEUED), (21, State.UNKNOWN)])
def test_a_relay_send_of_a_dead_process_is_repeated_only_while_the_relay_knows_its_key(
    ledger: Ledger, alice: str, hours: int, state: State
) -> None:
    send_id = ledger.accepted(alice)
    (claimed,) = ledger.claim()
    ledger.begin(claimed)
    assert reap(ledger, ledger.me, at=NOON + timedelta(hours=hours)) == {state: 1}
    assert ledger.state(alice, send_id) is state
    assert ledger.database.run(endings.may_be_out, send_id=send_id, attempt=2)


def test_what_a_living_process_has_in_hand_is_not_taken_back(ledger: Ledger, alice: str) -> None:
    kept, forgotten = ledger.accepted(alice), ledger.accepted(alice)
    in_hand = {(each.id, each.attempt) for each in ledger.claim() if each.id == kept}
    assert reap(ledger, ledger.me, in_hand=in_hand) == {State.QUEUED: 1}
    assert (ledger.state(alice, kept), ledger.state(alice, forgotten)) == (State.CLAIMED, State.QUEUED)


def reconnect(ledger: Ledger, vault: Vault, user_id: str) -> None:
    """What a finished consent does, in one transaction."""

    def work(transaction: Transaction) -> None:
        made, _ = connections.connect(
            transaction, vault=vault, user_id=user_id, account=account("work"), tokens=tokens("new")
        )
        holding.release(transaction, connection_id=made.id, via=made.provider, give_up_at=LATER, at=NOON)

    ledger.database.run(work)


def test_an_attempt_that_found_the_mailbox_broken_does_not_wait_once_it_is_well_again(
    ledger: Ledger, vault: Vault, alice: str, connect: Connect
) -> None:
    mailbox = connect(alice)
    send_id = ledger.accepted(alice, route=mailbox_route(mailbox.id))
    (claimed,) = ledger.claim()
    needs_reconnect(ledger.database, mailbox)
    reconnect(ledger, vault, alice)
    ledger.end(claimed, State.WAITING, reason="grant_gone")
    assert ledger.state(alice, send_id) is State.QUEUED
    assert len(ledger.claim()) == 1
