"""What workers do to reports: one at a time at each CRM, in their order, fenced, and taken over only from the dead."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.event import Kind
from replysequence.domain.report import Correction, Report, ReportState
from replysequence.storage import going_back, platforms, report_claims, reports
from replysequence.storage.database import Database
from replysequence.storage.ids import new_id
from replysequence.storage.report_claims import (
    PASSED_BY_AFTER,
    ClaimedReport,
    ReportEnding,
    ReportLost,
    Round,
)
from replysequence.storage.tables import reports as reports_table
from replysequence.storage.vault import Vault
from support.crm_connections import connect_crm, put_status
from support.ledger import NOON, Ledger

SOON = NOON + timedelta(minutes=1)
LATER = NOON + timedelta(hours=1)
FAR_AHEAD = NOON + timedelta(days=3650)
SETTLING = {"rolodex": timedelta(minutes=2)}
LOGGED = ReportEnding(ReportState.LOGGED, entry_id="e1", entry_url="https://crm.example/e1", person="Bob")


class Desk:
    """Shorthands over one database for who logs. `me` is the incarnation that claims."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ledger = Ledger(database)
        self.me = new_id()

    def due(self, user_id: str, *, at: datetime = NOON) -> str:
        """A send that is to be logged; its id."""
        send_id = self.ledger.accepted(user_id)
        self.database.run(reports.add, [(user_id, send_id)], at=at)
        return send_id

    def round(self, *, at: datetime = SOON, room: int = 9, provider: str = "rolodex") -> Round:
        return self.database.run(report_claims.claim, incarnation=self.me, room={provider: room}, at=at)

    def claim(self, *, at: datetime = SOON, room: int = 9) -> list[ClaimedReport]:
        return self.round(at=at, room=room).reports

    def begin(self, claimed: ClaimedReport, *, at: datetime = SOON) -> bool:
        return self.database.run(report_claims.begin_logging, claimed, incarnation=self.me, at=at)

    def end(self, claimed: ClaimedReport, ending: ReportEnding, *, at: datetime = SOON) -> ReportState:
        return self.database.run(report_claims.end, claimed, ending, at=at)

    def reap(self, incarnation: str, *, at: datetime = LATER, **more: object) -> int:
        return self.database.run(
            report_claims.reap,
            incarnation=incarnation,
            settling=SETTLING,
            at=at,
            **more,  # type: ignore[arg-type]
        )

    def get(self, user_id: str, send_id: str) -> Report:
        [report] = self.database.run(reports.of_send, user_id=user_id, send_id=send_id)
        return report


def waits(until: datetime, *, failures: int = 1) -> ReportEnding:
    return ReportEnding(ReportState.DUE, "not_reached", "It is down.", next_at=until, failures=failures)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
def other_desk(database_url: str) -> Iterator[Desk]:
    """Another process's worker, as far as the database can tell."""
    database = Database.open(database_url)
    yield Desk(database)
    database.close()


@pytest.fixture
def crm(database: Database, vault: Vault, alice: str) -> Connection:
    return connect_crm(database, vault, alice)


def test_at_each_crm_one_is_logged_at_a_time_and_the_oldest_goes_first(
    desk: Desk, alice: str, crm: Connection
) -> None:
    made = [desk.due(alice, at=NOON - timedelta(seconds=n)) for n in range(4)]
    order = []
    while claimed := desk.claim():
        assert len(claimed) == 1
        assert desk.claim() == []
        order.append(claimed[0].send_id)
        desk.end(claimed[0], LOGGED)
    assert order == made[::-1]


def test_crms_do_not_wait_for_each_other(desk: Desk, vault: Vault, alice: str, bob: str) -> None:
    connect_crm(desk.database, vault, alice)
    his = connect_crm(desk.database, vault, bob, subject="bobs", provider="filofax")
    first = desk.due(alice)
    desk.due(bob)
    assert [claimed.send_id for claimed in desk.claim()] == [first]
    [of_the_other] = desk.round(provider="filofax").reports
    assert of_the_other.connection_id == his.id
    assert desk.claim(room=0) == []


def test_as_long_as_the_first_waits_nothing_behind_it_is_tried_and_then_all_go_in_order(
    desk: Desk, alice: str, crm: Connection
) -> None:
    made = [desk.due(alice, at=NOON + timedelta(seconds=n)) for n in range(3)]
    [claimed] = desk.claim()
    desk.end(claimed, waits(LATER))
    waiting = desk.round()
    assert (waiting.reports, waiting.again_at) == ([], LATER)
    order = []
    while taken := desk.claim(at=LATER):
        order.append(taken[0].send_id)
        desk.end(taken[0], LOGGED, at=LATER)
    assert order == made


def test_one_that_fails_time_and_again_lets_the_others_go_first_and_is_tried_in_between(
    desk: Desk, alice: str, crm: Connection
) -> None:
    first, second, third = (desk.due(alice, at=NOON + timedelta(seconds=n)) for n in range(3))
    [claimed] = desk.claim()
    desk.end(claimed, waits(LATER, failures=PASSED_BY_AFTER))
    [passing] = desk.claim()
    assert passing.send_id == second
    desk.end(passing, LOGGED)
    [again] = desk.claim(at=LATER)
    assert (again.send_id, again.failures) in {(first, PASSED_BY_AFTER), (third, 0)}
    assert desk.claim(at=LATER) == []


def test_two_workers_never_take_the_same_report_nor_two_of_one_crm(
    desk: Desk, other_desk: Desk, alice: str, crm: Connection
) -> None:
    made = {desk.due(alice) for _ in range(20)}
    taken: Counter[str] = Counter()
    running: set[str] = set()
    overlaps: list[str] = []
    lock = threading.Lock()

    def work(mine: Desk) -> None:
        while len(taken) < len(made):
            for claimed in mine.claim():
                with lock:
                    taken[claimed.send_id] += 1
                    overlaps.extend(running)
                    running.add(claimed.send_id)
                mine.begin(claimed)
                with lock:
                    running.discard(claimed.send_id)
                mine.end(claimed, LOGGED)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, mine) for mine in (desk, other_desk, desk, other_desk)]:
            done.result(timeout=60)
    assert taken == Counter(dict.fromkeys(made, 1))
    assert overlaps == []


def test_only_the_incarnation_that_claimed_may_begin_and_only_at_a_crm_that_can_be_used(
    desk: Desk, other_desk: Desk, alice: str, crm: Connection
) -> None:
    desk.due(alice)
    [claimed] = desk.claim()
    assert not other_desk.begin(claimed)
    desk.database.run(put_status, crm.id, ConnectionStatus.NEEDS_RECONNECT)
    assert not desk.begin(claimed)
    desk.database.run(put_status, crm.id, ConnectionStatus.ACTIVE)
    assert desk.begin(claimed)
    assert desk.get(alice, claimed.send_id).state is ReportState.LOGGING


def test_an_older_attempt_changes_nothing(desk: Desk, alice: str, crm: Connection) -> None:
    send_id = desk.due(alice)
    [old] = desk.claim()
    desk.end(old, waits(SOON))
    with pytest.raises(ReportLost):
        desk.end(old, LOGGED)
    [new] = desk.claim()
    assert new.attempts == old.attempts + 1
    assert not desk.begin(old)
    with pytest.raises(ReportLost):
        desk.end(old, LOGGED)
    assert desk.get(alice, send_id).state is ReportState.CLAIMED


def test_what_the_dead_held_is_due_and_what_they_may_have_written_once_it_would_be_seen(
    desk: Desk, database: Database, vault: Vault, alice: str, crm: Connection
) -> None:
    connect_crm(database, vault, alice, subject="second")
    send_id = desk.due(alice)
    prepared, begun = desk.claim()
    assert desk.begin(begun)
    assert desk.database.run(report_claims.owners) == [desk.me]
    assert desk.reap(desk.me, in_hand={prepared.key, begun.key}) == 0
    assert desk.reap(desk.me) == 2
    found = {
        each.connection_id: each
        for each in desk.database.run(reports.of_send, user_id=alice, send_id=send_id)
    }
    assert found[prepared.connection_id].next_at == LATER
    assert found[begun.connection_id].next_at == LATER + SETTLING["rolodex"]
    [again] = [each for each in desk.claim(at=LATER + SETTLING["rolodex"]) if each.key == begun.key]
    assert again.look_first
    with pytest.raises(ReportLost):
        desk.end(begun, LOGGED)
    assert desk.database.run(report_claims.owners) == [desk.me]


def test_how_it_ended_is_told_in_an_event(desk: Desk, alice: str, crm: Connection) -> None:
    for ending in (LOGGED, ReportEnding(ReportState.FAILED, "refused", "It refused."), waits(LATER)):
        desk.due(alice)
        [claimed] = desk.claim()
        desk.end(claimed, ending)
        told = [
            event for event in desk.ledger.get(alice, claimed.send_id).events if event.connection_id == crm.id
        ]
        expected = {
            ReportState.LOGGED: [
                (Kind.REPORT_LOGGED, {"provider": "rolodex", "attempt": 1, "entry_id": "e1"})
            ],
            ReportState.FAILED: [
                (Kind.REPORT_FAILED, {"provider": "rolodex", "attempt": 1, "reason": "refused"})
            ],
            ReportState.DUE: [],
        }
        assert [(event.kind, event.data) for event in told] == expected[ending.state]
    kept = desk.database.run(reports.page, user_id=alice, states=[ReportState.LOGGED])[0]
    assert (kept.entry_url, kept.person, kept.logged_at) == ("https://crm.example/e1", "Bob", SOON)


def test_what_becomes_known_while_it_is_logged_is_told_afterwards(
    desk: Desk, alice: str, crm: Connection
) -> None:
    send_id = desk.due(alice)
    [claimed] = desk.claim()
    assert desk.begin(claimed)
    desk.database.run(reports.correct, user_id=alice, send_id=send_id, correction=Correction.BOUNCED, at=SOON)
    assert desk.get(alice, send_id).state is ReportState.LOGGING
    assert desk.end(claimed, LOGGED) is ReportState.DUE
    [telling] = desk.claim()
    assert (telling.correction, telling.entry_id) == (Correction.BOUNCED, "e1")


def test_what_becomes_known_before_anything_is_written_keeps_it_from_being_logged(
    desk: Desk, alice: str, crm: Connection
) -> None:
    send_id = desk.due(alice)
    [claimed] = desk.claim()
    desk.database.run(reports.correct, user_id=alice, send_id=send_id, correction=Correction.BOUNCED, at=SOON)
    assert not desk.begin(claimed)
    assert desk.end(claimed, waits(SOON)) is ReportState.SKIPPED
    assert desk.get(alice, send_id).reason == "bounced"


def test_nothing_stays_due_at_a_crm_that_is_gone(desk: Desk, alice: str, crm: Connection) -> None:
    send_id = desk.due(alice)
    [claimed] = desk.claim()
    desk.database.run(platforms.begin_disconnect, user_id=alice, connection_id=crm.id)
    assert not desk.begin(claimed)
    assert desk.end(claimed, waits(SOON)) is ReportState.SKIPPED
    assert desk.get(alice, send_id).reason == "disconnected"


def test_a_reconnected_crm_has_all_that_waited_due_at_once(desk: Desk, alice: str, crm: Connection) -> None:
    desk.due(alice)
    [claimed] = desk.claim()
    desk.end(claimed, waits(LATER, failures=PASSED_BY_AFTER))
    desk.database.run(reports.release, user_id=alice, connection_id=crm.id, at=SOON)
    [again] = desk.claim()
    assert again.failures == 0


def test_what_is_next_is_found_through_indexes_however_much_waits(
    desk: Desk, alice: str, crm: Connection
) -> None:
    if desk.database.kind != "sqlite":
        pytest.skip("only SQLite says without rows how it will look")
    plan = [step for steps in desk.database.run(_plans) for step in steps]
    assert any("ix_reports_unfinished" in step for step in plan), plan
    assert any("ix_reports_passed_by" in step for step in plan), plan
    whole = [step for step in plan if step.startswith("SCAN")]
    assert all("platform_connections" in step or "ix_reports_passed_by" in step for step in whole), plan
    assert not [step for step in plan if "TEMP B-TREE" in step], plan


def _plans(transaction: Transaction) -> list[list[str]]:
    found = []
    for statement in (report_claims._FIRSTS, report_claims._PASSED_BY):
        compiled = statement.compile(transaction.engine, compile_kwargs={"literal_binds": True})
        rows = transaction.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()
        found.append([row[3] for row in rows])
    return found


def test_a_clock_that_was_set_back_keeps_nothing_waiting_for_the_old_time(
    desk: Desk, alice: str, crm: Connection
) -> None:
    send_id = desk.due(alice)
    [claimed] = desk.claim()
    desk.end(claimed, waits(FAR_AHEAD))
    desk.database.run(going_back.forget_old_clock)
    due = desk.get(alice, send_id).next_at
    assert due is not None
    assert due < FAR_AHEAD


def test_the_states_that_are_over_have_no_next_time(desk: Desk, alice: str, crm: Connection) -> None:
    for ending in (
        LOGGED,
        ReportEnding(ReportState.SKIPPED, "nobody", "Nobody."),
        ReportEnding(ReportState.FAILED),
    ):
        desk.due(alice)
        [claimed] = desk.claim()
        desk.end(claimed, ending)
    over = select(reports_table.c.next_at).where(reports_table.c.state != ReportState.DUE)
    assert desk.database.run(lambda transaction: transaction.execute(over).scalars().all()) == [None] * 3
    assert desk.round().again_at is None
