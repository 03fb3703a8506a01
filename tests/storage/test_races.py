"""People and workers at the same rows at the same moment: nothing deadlocks, nothing is forgotten."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text, update

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.errors import Conflict
from replysequence.domain.event import Kind
from replysequence.domain.send import Send, State
from replysequence.storage import (
    connection_tokens,
    connections,
    endings,
    holding,
    looks,
    routes,
    sends,
    transactions,
)
from replysequence.storage.claims import AttemptLost, Claimed
from replysequence.storage.database import Database, Transaction
from replysequence.storage.looks import Cost
from replysequence.storage.tables import email_connections
from replysequence.storage.vault import Vault
from storage.conftest import Connect, account, tokens
from support.ledger import FAST, NOON, RELAY, Ledger, mailbox_route, write

ENDINGS = (State.SENT, State.QUEUED, State.FAILED, State.UNKNOWN, State.SENT)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def others(database_url: str) -> Iterator[Ledger]:
    """Another process, as far as the database can tell."""
    database = Database.open(database_url)
    yield Ledger(database)
    database.close()


@pytest.fixture(autouse=True)
def a_deadlock_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the transaction that the server gave up would quietly be run again."""
    monkeypatch.setattr(transactions, "_ROLLED_BACK", ())


def together(*jobs: Callable[[], object]) -> None:
    """Run all of them at once, and raise what any of them raised."""
    start = threading.Barrier(len(jobs))

    def begin(job: Callable[[], object]) -> None:
        start.wait()
        job()

    with ThreadPoolExecutor(len(jobs)) as threads:
        running: list[Future[None]] = [threads.submit(begin, job) for job in jobs]
        for done in running:
            done.result(timeout=60)


def break_mailbox(ledger: Ledger, connection_id: str) -> None:
    """What a refused refresh does, in one transaction."""

    def work(transaction: Transaction) -> None:
        seen = connection_tokens.sealed_tokens(transaction, connection_id=connection_id)
        assert seen is not None
        assert connection_tokens.mark_needs_reconnect(
            transaction,
            connection_id=connection_id,
            generation=seen.generation,
            reason="grant_gone",
            problem="Connect it again.",
        )
        holding.hold(
            transaction,
            connection_id=connection_id,
            reason="grant_gone",
            explanation="Connect it again.",
            at=NOON,
        )

    ledger.database.run(work)


def repair_mailbox(ledger: Ledger, vault: Vault, user_id: str) -> None:
    """What a finished consent does, in one transaction."""

    def work(transaction: Transaction) -> None:
        made, _ = connections.connect(
            transaction, vault=vault, user_id=user_id, account=account("work"), tokens=tokens("new")
        )
        holding.release(transaction, connection_id=made.id, via=made.provider, give_up_at=NOON, at=NOON)

    ledger.database.run(work)


def repair_once_broken(ledger: Ledger, vault: Vault, *, user_id: str, connection_id: str) -> None:
    while (
        ledger.database.run(connections.get, user_id=user_id, connection_id=connection_id).status
        is ConnectionStatus.ACTIVE
    ):
        pass
    repair_mailbox(ledger, vault, user_id)


def send_the_rest(ledger: Ledger) -> None:
    """Carry out everything that is due, and what somebody claimed and left."""
    ledger.database.run(endings.reap, incarnation=ledger.me, repeatable={}, at=NOON)
    while taken := ledger.claim():
        for claimed in taken:
            ledger.carried_out(claimed, State.SENT)


def test_no_send_waits_for_ever_when_its_owner_reconnects_at_any_moment(
    ledger: Ledger, others: Ledger, vault: Vault, alice: str, connect: Connect
) -> None:
    mailbox = connect(alice)
    route = mailbox_route(mailbox.id)

    def find_broken(claimed: Claimed) -> None:
        break_mailbox(ledger, mailbox.id)
        ledger.end(claimed, State.WAITING, reason="grant_gone")

    for _ in range(6):
        ledger.accepted(alice, route=route)
        (claimed,) = ledger.claim()
        new = ledger.new(alice, route=route)
        together(
            partial(find_broken, claimed),
            ledger.claim,
            partial(others.database.run, write, new, at=NOON),
            lambda: repair_once_broken(others, vault, user_id=alice, connection_id=mailbox.id),
        )
        assert ledger.database.run(holding.held, connection_id=mailbox.id) == 0
        send_the_rest(ledger)
    assert ledger.database.run(holding.unfinished, connection_id=mailbox.id) == 0


def accept_and_cancel(ledger: Ledger, user_id: str, *, connection_id: str) -> list[tuple[str, bool]]:
    """Twelve sends, every third of them taken back at once; (id, whether that worked)."""
    made = []
    for number in range(12):
        route = mailbox_route(connection_id) if number % 2 else RELAY
        send_id, cancelled = ledger.accepted(user_id, route=route), False
        if number % 3 == 0:
            with suppress(Conflict):
                ledger.database.run(sends.cancel, user_id=user_id, send_id=send_id, at=NOON)
                cancelled = True
        made.append((send_id, cancelled))
    return made


def work(ledger: Ledger) -> None:
    for number in range(25):
        for claimed in ledger.claim(limit=3):
            with suppress(AttemptLost):
                ledger.begin(claimed)
                ledger.end(claimed, ENDINGS[number % len(ENDINGS)], next_at=NOON)


def explained(send: Send, *, cancelled: bool) -> bool:
    return (
        (send.state is State.CANCELLED) == cancelled
        and send.state not in (State.CLAIMED, State.SENDING)
        and all(attempt.outcome is not None for attempt in send.attempts)
        and send.events[0].kind is Kind.SEND_ACCEPTED
    )


def test_a_storm_of_people_and_workers_ends_without_a_deadlock_and_with_every_send_explained(
    ledger: Ledger, others: Ledger, vault: Vault, alice: str, connect: Connect
) -> None:
    mailbox = connect(alice)
    repair_mailbox(ledger, vault, alice)
    made: list[tuple[str, bool]] = []

    def person() -> None:
        made.extend(accept_and_cancel(ledger, alice, connection_id=mailbox.id))

    def owner() -> None:
        for _ in range(4):
            break_mailbox(others, mailbox.id)
            repair_mailbox(others, vault, alice)

    together(
        person,
        person,
        owner,
        lambda: work(ledger),
        lambda: work(others),
        lambda: work(ledger),
    )
    assert len(made) == 24
    for send_id, cancelled in made:
        assert explained(ledger.get(alice, send_id), cancelled=cancelled)


def become_unknown(ledger: Ledger, user_id: str, *, connection_ids: Sequence[str]) -> None:
    """One send of each mailbox of which nobody knows whether it left: the first has waited longest."""
    for number, connection_id in enumerate(connection_ids):
        ledger.accepted(user_id, route=mailbox_route(connection_id))
        (claimed,) = ledger.claim()
        ledger.begin(claimed)
        ledger.end(claimed, State.UNKNOWN, at=NOON + timedelta(seconds=number))


def let_us_look(transaction: Transaction) -> None:
    transaction.execute(update(email_connections).values(look_up=True))


def test_looking_into_many_mailboxes_locks_them_in_the_order_in_which_others_do(
    ledger: Ledger, others: Ledger, vault: Vault, alice: str, connect: Connect
) -> None:
    low, high = sorted(connect(alice, subject).id for subject in ("work", "home"))
    become_unknown(ledger, alice, connection_ids=[high, low])
    ledger.database.run(let_us_look)
    looking, begun = threading.Event(), threading.Event()

    def cost_of(via: str, email: str) -> Cost:
        if looking.is_set():  # at the second of them: the others have come to wait for the first by now
            begun.wait(timeout=10)
            time.sleep(0.3)
        looking.set()
        return Cost(1, FAST, FAST)

    def look() -> None:
        at = NOON + timedelta(minutes=5)
        found = ledger.database.run(looks.claim, scopes={"gmail": "send"}, cost_of=cost_of, limit=20, at=at)
        assert [each.connection_id for each in found] == [high, low]

    def end_sends() -> None:
        looking.wait(timeout=10)
        begun.set()
        others.database.run(routes.lock_all, route_ids=[low, high])

    together(look, end_sends)


def test_looking_locks_what_a_provider_shares_before_its_mailboxes(
    ledger: Ledger, others: Ledger, vault: Vault, alice: str, connect: Connect
) -> None:
    mailbox = connect(alice)
    become_unknown(ledger, alice, connection_ids=[mailbox.id])
    ledger.database.run(let_us_look)
    shared = threading.Event()

    def look() -> None:
        shared.wait(timeout=10)
        ledger.database.run(
            looks.claim,
            scopes={"gmail": "send"},
            cost_of=lambda *_: Cost(1, FAST, FAST),
            limit=20,
            at=NOON + timedelta(minutes=5),
        )

    def refuse_many(transaction: Transaction) -> None:
        routes.lock(transaction, route_id="gmail")
        shared.set()
        time.sleep(0.3)  # so that who looks comes to wait
        routes.lock(transaction, route_id=mailbox.id)

    together(look, lambda: others.database.run(refuse_many))


_GATE = 20261122


def put_a_gate_before_usage(transaction: Transaction) -> None:
    """Who reads what was used waits while somebody holds the gate."""
    transaction.execute(text("ALTER TABLE route_usage RENAME TO used"))
    transaction.execute(
        text(
            "CREATE VIEW route_usage AS SELECT used.* FROM"
            f" (SELECT pg_advisory_xact_lock_shared({_GATE})) AS gate LEFT JOIN used ON true"
        )
    )


def test_who_reconnects_in_the_middle_of_a_claim_has_nothing_held(
    ledger: Ledger, others: Ledger, vault: Vault, alice: str, connect: Connect
) -> None:
    if ledger.database.kind != "postgresql":
        return  # SQLite has one writer at a time
    mailbox = connect(alice)
    route = mailbox_route(mailbox.id)
    ledger.accepted(alice, route=route)
    (claimed,) = ledger.claim()
    break_mailbox(ledger, mailbox.id)
    ledger.end(claimed, State.QUEUED, next_at=NOON)  # it came to nothing, and is due on a broken mailbox
    ledger.database.run(put_a_gate_before_usage)
    held, closed, repaired = threading.Event(), threading.Event(), threading.Event()

    def keep_the_gate(transaction: Transaction) -> None:
        transaction.execute(text(f"SELECT pg_advisory_xact_lock({_GATE})"))
        closed.set()
        repaired.wait(timeout=10)

    def repair() -> None:
        closed.wait(timeout=10)
        held.wait(timeout=10)
        others.database.run(until_somebody_waits_at_the_gate)
        repair_mailbox(others, vault, alice)
        repaired.set()

    def claim() -> None:
        closed.wait(timeout=10)
        held.set()
        ledger.claim()

    together(lambda: others.database.run(keep_the_gate), repair, claim)
    assert ledger.database.run(holding.held, connection_id=mailbox.id) == 0


def until_somebody_waits_at_the_gate(transaction: Transaction) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    while transaction.execute(waiting).scalar_one() == 0:
        pass
