"""Reports: made with the send that becomes sent, seen and steered by their owner only."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import Conflict, NotFound
from replysequence.domain.report import Correction, CrmOptions, Report, ReportState
from replysequence.domain.send import State, Verdict
from replysequence.storage import platforms, report_claims, reports, sends
from replysequence.storage.claims import Claimed
from replysequence.storage.database import Database
from replysequence.storage.report_claims import ReportEnding
from replysequence.storage.reports import Counts
from replysequence.storage.vault import Vault
from storage.conftest import Connect
from support.crm_connections import connect_crm, put_status
from support.ledger import NOON, Ledger, mailbox_route

SOON = NOON + timedelta(minutes=1)
MINUTE = timedelta(minutes=1)
ConnectCrm = Callable[..., Connection]


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def connect_a_crm(database: Database, vault: Vault) -> ConnectCrm:
    def make(user_id: str, **more: object) -> Connection:
        return connect_crm(database, vault, user_id, **more)  # type: ignore[arg-type]

    return make


def of_send(ledger: Ledger, user_id: str, send_id: str) -> list[Report]:
    return ledger.database.run(reports.of_send, user_id=user_id, send_id=send_id)


def sent(ledger: Ledger, user_id: str, **more: object) -> str:
    """A send that its relay, or mailbox, took."""
    send_id = ledger.accepted(user_id, **more)  # type: ignore[arg-type]
    claimed = _take(ledger, send_id)
    ledger.carried_out(claimed, State.SENT)
    return send_id


def unknown(ledger: Ledger, user_id: str) -> str:
    send_id = ledger.accepted(user_id)
    ledger.carried_out(_take(ledger, send_id), State.UNKNOWN)
    return send_id


def _take(ledger: Ledger, send_id: str) -> Claimed:
    return next(claimed for claimed in ledger.claim() if claimed.id == send_id)


def work(ledger: Ledger, ending: ReportEnding, *, room: int = 9) -> list[report_claims.ClaimedReport]:
    """Claim what is due and end all of it alike."""
    taken = ledger.database.run(
        report_claims.claim, incarnation=ledger.me, room={"rolodex": room}, at=SOON
    ).reports
    for claimed in taken:
        ledger.database.run(report_claims.end, claimed, ending, at=SOON)
    return taken


def without_begin(asked: list[str]) -> list[str]:
    return [statement for statement in asked if not statement.startswith("BEGIN")]


LOGGED = ReportEnding(ReportState.LOGGED, entry_id="e1", entry_url="https://crm.example/e1", person="Bob")


def test_a_send_that_becomes_sent_is_to_be_logged_in_each_crm_of_its_owner(
    ledger: Ledger, alice: str, bob: str, connect_a_crm: ConnectCrm
) -> None:
    one, other = connect_a_crm(alice), connect_a_crm(alice, subject="second")
    his = connect_a_crm(bob, subject="bobs")
    send_id = sent(ledger, alice)
    made = of_send(ledger, alice, send_id)
    assert {report.connection_id for report in made} == {one.id, other.id}
    assert {(report.state, report.next_at, report.attempts, report.provider) for report in made} == {
        (ReportState.DUE, NOON, 0, "rolodex")
    }
    assert ledger.get(alice, send_id).reports == tuple(made)
    assert his.id not in {report.connection_id for report in made}
    assert of_send(ledger, bob, send_id) == []


def test_what_was_not_sent_is_not_logged_and_a_later_verdict_is(
    ledger: Ledger, alice: str, connect_a_crm: ConnectCrm
) -> None:
    connect_a_crm(alice)
    failed = ledger.accepted(alice)
    ledger.carried_out(_take(ledger, failed), State.FAILED)
    found, lost = unknown(ledger, alice), unknown(ledger, alice)
    assert [of_send(ledger, alice, each) for each in (failed, found, lost)] == [[], [], []]
    for send_id, verdict in ((found, Verdict.SENT), (lost, Verdict.NOT_SENT)):
        ledger.database.run(
            sends.settle, user_id=alice, send_id=send_id, verdict=verdict, by="person", at=SOON
        )
    assert [report.created_at for report in of_send(ledger, alice, found)] == [SOON]
    assert of_send(ledger, alice, lost) == []


def test_only_the_senders_that_were_chosen_are_logged(
    ledger: Ledger, alice: str, connect: Connect, connect_a_crm: ConnectCrm
) -> None:
    mine = connect(alice)
    connect_a_crm(alice, options=CrmOptions(senders=("ALICE@acme.example",)))
    nobody = connect_a_crm(alice, subject="second", options=CrmOptions(senders=("other@acme.example",)))
    made = of_send(ledger, alice, sent(ledger, alice, route=mailbox_route(mine.id)))
    assert len(made) == 1
    assert made[0].connection_id != nobody.id


def test_a_crm_that_needs_reconnecting_keeps_what_is_to_be_logged_and_says_why(
    ledger: Ledger, alice: str, connect_a_crm: ConnectCrm
) -> None:
    crm = connect_a_crm(alice)
    ledger.database.run(put_status, crm.id, ConnectionStatus.NEEDS_RECONNECT)
    [report] = of_send(ledger, alice, sent(ledger, alice))
    assert (report.state, report.next_at) == (ReportState.DUE, None)
    assert (report.reason, report.explanation) == ("grant_gone", "Connect it again.")
    assert work(ledger, LOGGED) == []
    ledger.database.run(put_status, crm.id, ConnectionStatus.ACTIVE)
    assert len(work(ledger, LOGGED)) == 1


def test_who_has_no_crm_pays_one_statement_for_a_batch_and_who_has_one_two(
    ledger: Ledger, alice: str, bob: str, connect_a_crm: ConnectCrm
) -> None:
    connect_a_crm(bob)
    ids = [ledger.accepted(alice) for _ in range(20)]
    pairs = [(alice, send_id) for send_id in ids]
    with ledger.statements() as asked:
        ledger.database.run(reports.add, pairs, at=NOON)
    assert len(without_begin(asked)) == 1
    with ledger.statements() as asked:
        ledger.database.run(reports.add, [], at=NOON)
    assert without_begin(asked) == []
    mixed = [*pairs, *[(bob, ledger.accepted(bob)) for _ in range(20)]]
    with ledger.statements() as asked:
        ledger.database.run(reports.add, mixed, at=NOON)
    assert len(without_begin(asked)) == 2
    assert len(ledger.database.run(reports.page, user_id=bob, limit=50)) == 20
    assert ledger.database.run(reports.page, user_id=alice) == []


def test_a_report_is_made_once_whoever_says_that_it_was_sent(
    ledger: Ledger, alice: str, connect_a_crm: ConnectCrm
) -> None:
    connect_a_crm(alice)
    send_id = sent(ledger, alice)
    work(ledger, LOGGED)
    ledger.database.run(reports.add, [(alice, send_id)], at=SOON)
    assert [report.state for report in of_send(ledger, alice, send_id)] == [ReportState.LOGGED]


def test_a_bounce_makes_a_logged_report_due_again_and_drops_one_that_is_not_logged(
    ledger: Ledger, alice: str, bob: str, connect_a_crm: ConnectCrm
) -> None:
    connect_a_crm(alice)
    logged = sent(ledger, alice)
    work(ledger, LOGGED)
    waiting = sent(ledger, alice)
    for send_id in (logged, waiting):
        for user_id in (bob, alice, alice):
            ledger.database.run(
                reports.correct, user_id=user_id, send_id=send_id, correction=Correction.BOUNCED, at=SOON
            )
    [first], [second] = of_send(ledger, alice, logged), of_send(ledger, alice, waiting)
    assert (first.state, first.correction, first.next_at) == (ReportState.DUE, Correction.BOUNCED, SOON)
    assert (second.state, second.reason, second.next_at) == (ReportState.SKIPPED, "bounced", None)
    [claimed] = work(ledger, ReportEnding(ReportState.LOGGED, told=Correction.BOUNCED))
    assert (claimed.correction, claimed.entry_id) == (Correction.BOUNCED, "e1")
    [first] = of_send(ledger, alice, logged)
    assert (first.state, first.correction, first.entry_id) == (ReportState.LOGGED, Correction.BOUNCED, "e1")


def test_an_entry_that_the_crm_made_itself_is_not_corrected(
    ledger: Ledger, alice: str, connect_a_crm: ConnectCrm
) -> None:
    connect_a_crm(alice)
    send_id = sent(ledger, alice)
    work(ledger, ReportEnding(ReportState.LOGGED, reason=reports.LOGGED_BY_ITSELF, entry_id="theirs"))
    ledger.database.run(
        reports.correct, user_id=alice, send_id=send_id, correction=Correction.BOUNCED, at=SOON
    )
    [report] = of_send(ledger, alice, send_id)
    assert (report.state, report.correction) == (ReportState.LOGGED, Correction.BOUNCED)


def test_disconnecting_drops_what_waits_and_keeps_what_is_logged(
    ledger: Ledger, alice: str, connect_a_crm: ConnectCrm
) -> None:
    crm = connect_a_crm(alice)
    logged = sent(ledger, alice)
    work(ledger, LOGGED)
    waiting = sent(ledger, alice)
    ledger.database.run(platforms.begin_disconnect, user_id=alice, connection_id=crm.id)
    assert [report.state for report in of_send(ledger, alice, logged)] == [ReportState.LOGGED]
    [dropped] = of_send(ledger, alice, waiting)
    assert (dropped.state, dropped.reason, dropped.next_at) == (ReportState.SKIPPED, "disconnected", None)
    assert of_send(ledger, alice, sent(ledger, alice)) == []
    ledger.database.run(platforms.finish_disconnect, user_id=alice, connection_id=crm.id)
    assert len(of_send(ledger, alice, logged)) == 1
    with pytest.raises(Conflict) as refused:
        again(ledger, alice, waiting, crm)
    assert refused.value.code == "disconnected"


def again(
    ledger: Ledger, user_id: str, send_id: str, crm: Connection, *, settling: timedelta = MINUTE
) -> None:
    ledger.database.run(
        reports.again, user_id=user_id, send_id=send_id, connection_id=crm.id, settling=settling, at=SOON
    )


def test_only_its_owner_can_have_a_failed_report_tried_again_and_only_then(
    ledger: Ledger, alice: str, bob: str, connect_a_crm: ConnectCrm
) -> None:
    crm = connect_a_crm(alice)
    send_id = sent(ledger, alice)
    with pytest.raises(Conflict) as refused:
        again(ledger, alice, send_id, crm)
    assert refused.value.code == "not_over"
    work(ledger, ReportEnding(ReportState.FAILED, "refused", "It refused."))
    with pytest.raises(NotFound):
        again(ledger, bob, send_id, crm)
    again(ledger, alice, send_id, crm)
    [report] = of_send(ledger, alice, send_id)
    assert (report.state, report.reason, report.next_at) == (ReportState.DUE, None, SOON)


def test_what_may_have_been_written_a_moment_ago_is_tried_again_once_it_would_be_seen(
    ledger: Ledger, alice: str, connect_a_crm: ConnectCrm
) -> None:
    crm = connect_a_crm(alice)
    send_id = sent(ledger, alice)
    [claimed] = ledger.database.run(
        report_claims.claim, incarnation=ledger.me, room={"rolodex": 1}, at=NOON
    ).reports
    assert ledger.database.run(report_claims.begin_logging, claimed, incarnation=ledger.me, at=NOON)
    ledger.database.run(
        report_claims.end, claimed, ReportEnding(ReportState.FAILED, "given_up", "Too long."), at=SOON
    )
    again(ledger, alice, send_id, crm)
    [report] = of_send(ledger, alice, send_id)
    assert report.next_at == SOON + MINUTE


def test_a_page_of_reports_shows_the_owners_own_newest_first_and_can_be_narrowed(
    ledger: Ledger, alice: str, bob: str, connect_a_crm: ConnectCrm
) -> None:
    crm = connect_a_crm(alice)
    connect_a_crm(alice, subject="second")
    ids = [sent(ledger, alice) for _ in range(3)]
    seen: list[Report] = []
    before = None
    while page := ledger.database.run(reports.page, user_id=alice, before=before, limit=2):
        seen += page
        before = (page[-1].created_at, page[-1].send_id, page[-1].connection_id)
    assert len({(report.send_id, report.connection_id) for report in seen}) == len(seen) == 6
    assert seen == sorted(
        seen, key=lambda report: (report.created_at, report.send_id, report.connection_id), reverse=True
    )
    of_one = ledger.database.run(reports.page, user_id=alice, send_id=ids[1])
    assert {report.send_id for report in of_one} == {ids[1]}
    assert len(ledger.database.run(reports.page, user_id=alice, connection_id=crm.id)) == 3
    assert ledger.database.run(reports.page, user_id=alice, states=[ReportState.FAILED]) == []
    assert ledger.database.run(reports.page, user_id=bob) == []
    with pytest.raises(NotFound):
        ledger.database.run(reports.get, user_id=bob, send_id=ids[0], connection_id=crm.id)


def test_what_waits_and_what_failed_is_counted_by_crm(
    ledger: Ledger, alice: str, bob: str, connect_a_crm: ConnectCrm
) -> None:
    crm = connect_a_crm(alice)
    sent(ledger, alice)
    work(ledger, ReportEnding(ReportState.FAILED, "refused", "It refused."))
    sent(ledger, alice)
    sent(ledger, alice)
    assert ledger.database.run(reports.counts, user_id=alice) == {crm.id: Counts(waiting=2, failed=1)}
    assert ledger.database.run(reports.counts, user_id=bob) == {}
