"""Logging in a CRM: once for each sent message, on the right person, whatever goes wrong on the way."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import update

from replysequence import logs
from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import Conflict, InvalidInput, NotFound
from replysequence.domain.event import Kind
from replysequence.domain.message import Address
from replysequence.domain.report import Correction, CrmOptions, LogParts, Report, ReportState
from replysequence.domain.send import Send, State
from replysequence.providers.crm import Entry
from replysequence.services.reporting import GIVE_UP_AFTER, PAUSES
from replysequence.storage import reports
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import platform_connections
from replysequence.storage.tables import reports as reports_table
from support.crm_connections import connect_crm, put_status
from support.office import DANA, PUBLIC_URL, Office, Opening
from support.rolodex import ACCESS, RENEWED, Rolodex, Service, installed, service

BOB = "bob@customer.example"


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The toy CRM, in every registry, with a record for Bob."""
    with service() as running:
        running.add(BOB)
        for target, name, value in installed(running.url):
            monkeypatch.setitem(target, name, value)
        yield running


def connected(it: Office, user_id: str, **options: Any) -> Connection:
    return connect_crm(it.app.database, it.app.vault, user_id, options=CrmOptions(**options))


async def log(it: Office, *, rounds: int = 50) -> int:
    """Carry out every report that is due now, one round after the other; how many attempts."""
    reporting = it.app.worker._reporting
    done = 0
    for _ in range(rounds):
        claimed, _ = await reporting.claim(room=dict.fromkeys(reporting.crms, 4))
        if not claimed:
            break
        await asyncio.gather(*(reporting.carry_out(each) for each in claimed))
        done += len(claimed)
    return done


async def skip_waits(it: Office) -> None:
    await it.app.database.transaction(_make_due)


def _make_due(transaction: Transaction) -> None:
    past = now(transaction) - timedelta(seconds=1)
    transaction.execute(
        update(reports_table).where(reports_table.c.next_at.is_not(None)).values(next_at=past)
    )


async def report(it: Office, send: Send) -> Report:
    [found] = (await it.get(send)).reports
    return found


async def waits_for(it: Office, found: Report) -> float:
    assert found.next_at is not None
    return (found.next_at - await it.app.database.read(now)).total_seconds()


async def test_a_sent_message_is_logged_once_on_the_person_it_went_to(office: Opening, crm: Service) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        mine = connected(it, alice)
        send = await it.sent(alice)
        assert await log(it) == 1
        assert await log(it) == 0
        [entry] = crm.entries
        assert entry["people"] == [crm.people[BOB]["id"]]
        assert (entry["subject"], entry["html"], entry["sender"]) == ("Our meeting", "<p>Hello Bob</p>", DANA)
        assert entry["url"] == f"{PUBLIC_URL}/sends/{send.id}"
        assert f"<{entry['marker']}>" == send.message_id
        logged = await report(it, send)
        assert (logged.state, logged.connection_id, logged.person) == (ReportState.LOGGED, mine.id, "Bob")
        assert (logged.entry_id, logged.entry_url) == ("e0", "https://rolodex.example/entries/e0")
        told = (await it.get(send)).events[-1]
        assert (told.kind, told.data) == (
            Kind.REPORT_LOGGED,
            {"provider": "rolodex", "attempt": 1, "entry_id": "e0"},
        )


async def test_everybody_it_went_to_who_is_known_has_it_and_who_is_not_in_to_is_never_created(
    office: Opening, crm: Service
) -> None:
    crm.add("cc@customer.example", "bcc@customer.example")
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        connected(it, alice, create_contacts=True)
        to = (Address("Bob", BOB.upper()), Address("Eve", "eve@customer.example"))
        cc = (Address("", "cc@customer.example"), Address("", "stranger@customer.example"))
        send = await it.sent(alice, to=to, cc=cc, bcc=(Address("", "bcc@customer.example"),))
        await log(it)
        known = [BOB, "cc@customer.example", "bcc@customer.example", "eve@customer.example"]
        assert crm.entries[0]["people"] == [crm.people[email]["id"] for email in known]
        assert "stranger@customer.example" not in crm.people
        assert (await report(it, send)).person == "Bob, Cc, Bcc, Eve"


async def test_where_nobody_is_known_it_is_skipped_until_its_owner_has_it_logged_again(
    office: Opening, crm: Service
) -> None:
    crm.people.clear()
    async with office() as it:
        alice = await it.person("Alice")
        mine = connected(it, alice)
        send = await it.sent(alice)
        await log(it)
        skipped = await report(it, send)
        assert (skipped.state, skipped.explanation) == (
            ReportState.SKIPPED,
            "Nobody in Rolodex has this address.",
        )
        assert crm.entries == []
        crm.add(BOB)
        bob = await it.person("Bob")
        with pytest.raises(NotFound):
            await it.app.services.logbook.again(bob, send_id=send.id, connection_id=mine.id)
        await it.app.services.logbook.again(alice, send_id=send.id, connection_id=mine.id)
        with pytest.raises(Conflict):
            await it.app.services.logbook.again(alice, send_id=send.id, connection_id=mine.id)
        await log(it)
        assert crm.written() == {send.id: 1}


async def test_with_only_the_subject_no_text_leaves_for_the_crm(office: Opening, crm: Service) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        connected(it, alice, parts=LogParts.SUBJECT)
        await it.sent(alice, text="Hello Bob")
        await log(it)
        [entry] = crm.entries
        assert (entry["subject"], entry["html"], entry["text"]) == ("Our meeting", None, None)


async def test_what_the_crm_has_logged_itself_gets_no_second_entry_and_is_left_as_it_is(
    office: Opening, crm: Service
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        connected(it, alice)
        send = await it.sent(alice)
        crm.capture(send.message_id)
        await log(it)
        assert len(crm.entries) == 1
        found = await report(it, send)
        assert (found.state, found.reason, found.entry_id) == (ReportState.LOGGED, "crm_logged_it", "e0")
        await it.app.database.transaction(_bounce, send=send)
        assert await log(it) == 0


def _bounce(transaction: Transaction, *, send: Send) -> None:
    reports.correct(
        transaction,
        user_id=send.user_id,
        send_id=send.id,
        correction=Correction.BOUNCED,
        at=now(transaction),
    )


@pytest.mark.parametrize("fault", [("after", "reset"), ("after", 500), ("before", "reset"), ("before", 502)])
async def test_after_an_unclear_answer_it_is_looked_for_and_written_only_where_it_is_not(
    office: Opening, crm: Service, fault: tuple[str, str | int]
) -> None:
    crm.faults.append(fault)
    async with office() as it:
        alice = await it.person("Alice")
        connected(it, alice)
        send = await it.sent(alice)
        assert await log(it) == 1
        waiting = await report(it, send)
        assert waiting.state is ReportState.DUE
        assert await waits_for(it, waiting) > 1
        await skip_waits(it)
        await log(it)
        assert crm.written() == {send.id: 1}
        logged = await report(it, send)
        assert (logged.state, logged.attempts) == (ReportState.LOGGED, 2)
        assert crm.asked.count("POST /entries") == (1 if fault[0] == "after" else 2)


async def test_a_crm_that_is_down_for_an_hour_delays_no_send_and_is_told_in_order_afterwards(
    office: Opening, crm: Service
) -> None:
    crm.down = True
    async with office() as it:
        alice = await it.person("Alice")
        connected(it, alice)
        sent = []
        pauses = []
        for _ in range(5):
            sent.append(await it.sent(alice))
            assert sent[-1].state is State.SENT
            assert await log(it) == 1
            pauses.append(await waits_for(it, await report(it, sent[0])))
            await skip_waits(it)
        for pause, expected in zip(pauses, PAUSES, strict=True):
            assert 0 <= expected.total_seconds() - pause < 10
        assert {(await report(it, send)).attempts for send in sent[1:]} == {0}
        crm.down = False
        await log(it)
        assert crm.order() == [send.id for send in sent]
        assert max(crm.written().values()) == 1


async def test_after_seven_days_it_has_failed_and_says_so(office: Opening, crm: Service) -> None:
    crm.down = True
    async with office() as it:
        alice = await it.person("Alice")
        connected(it, alice)
        send = await it.sent(alice)
        await it.app.database.transaction(_age, by=GIVE_UP_AFTER - timedelta(minutes=1))
        await log(it)
        assert (await report(it, send)).state is ReportState.DUE
        await it.app.database.transaction(_age, by=timedelta(minutes=2))
        await skip_waits(it)
        await log(it)
        failed = await report(it, send)
        assert (failed.state, failed.reason) == (ReportState.FAILED, "given_up")
        assert (await it.get(send)).events[-1].kind is Kind.REPORT_FAILED


def _age(transaction: Transaction, *, by: timedelta) -> None:
    for table, column in ((reports_table, "created_at"), (platform_connections, "connected_at")):
        for was in transaction.execute(table.select().with_only_columns(table.c[column])).scalars().all():
            transaction.execute(update(table).where(table.c[column] == was).values({column: was - by}))


@pytest.mark.parametrize(
    ("status", "seconds", "reason"),
    [(429, 90, "rate_limited"), (409, 300, "client_refused"), (503, 15, "unclear_answer")],
)
async def test_a_refusal_for_now_is_tried_again_in_its_time(
    office: Opening, crm: Service, status: int, seconds: int, reason: str
) -> None:
    crm.faults.append(("before", status))
    async with office() as it:
        alice = await it.person("Alice")
        connected(it, alice)
        send = await it.sent(alice)
        await log(it)
        waiting = await report(it, send)
        assert (waiting.state, waiting.reason) == (ReportState.DUE, reason)
        assert seconds - 10 < await waits_for(it, waiting) <= seconds


async def test_a_refusal_for_good_says_what_to_do_and_the_next_goes_on(office: Opening, crm: Service) -> None:
    crm.faults.append(("before", 422))
    async with office() as it:
        alice = await it.person("Alice")
        connected(it, alice)
        first, second = await it.sent(alice), await it.sent(alice)
        assert await log(it) == 2
        failed = await report(it, first)
        assert (failed.state, failed.reason) == (ReportState.FAILED, "refused")
        assert failed.explanation is not None
        assert failed.explanation.startswith("Rolodex takes no entry with this subject. Change it there.")
        assert crm.written() == {second.id: 1}


async def test_an_access_token_that_is_refused_is_renewed_once(office: Opening, crm: Service) -> None:
    crm.tokens = {RENEWED}
    async with office() as it:
        alice = await it.person("Alice")
        connected(it, alice)
        send = await it.sent(alice)
        await log(it)
        assert crm.written() == {send.id: 1}
        assert crm.asked.count("POST /token") == 1


async def test_a_permission_that_is_gone_makes_it_wait_for_its_owner(office: Opening, crm: Service) -> None:
    crm.tokens = set()
    crm.refuses_to_renew = True
    async with office() as it:
        alice = await it.person("Alice")
        mine = connected(it, alice)
        send = await it.sent(alice)
        await log(it)
        waiting = await report(it, send)
        assert (waiting.state, waiting.next_at, waiting.reason) == (ReportState.DUE, None, "grant_gone")
        assert [each.id for each in await it.app.services.logbook.broken(alice)] == [mine.id]
        await skip_waits(it)
        assert await log(it) == 0
        crm.tokens, crm.refuses_to_renew = {"canary-crm-access"}, False
        connected(it, alice)
        await it.app.database.transaction(_release, crm=mine)
        await log(it)
        assert crm.written() == {send.id: 1}


def _release(transaction: Transaction, *, crm: Connection) -> None:
    reports.release(transaction, user_id=crm.user_id, connection_id=crm.id, at=now(transaction))


async def test_a_bounce_that_becomes_known_later_is_told_to_the_entry_once(
    office: Opening, crm: Service
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        connected(it, alice)
        send = await it.sent(alice)
        await log(it)
        for _ in range(2):
            await it.app.database.transaction(_bounce, send=send)
            await log(it)
        assert crm.entries[0]["corrections"] == ["bounced"]
        told = await report(it, send)
        assert (told.state, told.correction) == (ReportState.LOGGED, Correction.BOUNCED)


async def test_a_crm_that_is_disconnected_while_something_waits_is_told_nothing(
    office: Opening, crm: Service
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = connected(it, alice)
        send = await it.sent(alice)
        await it.app.services.disconnecting.disconnect(alice, provider="rolodex", connection_id=mine.id)
        assert await log(it) == 0
        assert (await report(it, send)).reason == "disconnected"
        assert crm.asked == []


@pytest.fixture
def logged_as_it_is_served() -> Iterator[None]:
    """Log lines as `serve` writes them, all of them."""
    before, root = structlog.get_config(), logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.handlers.clear()
    logs.set_up("DEBUG")
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


@pytest.mark.usefixtures("logged_as_it_is_served")
async def test_neither_tokens_nor_contents_are_in_the_log_or_in_events(
    office: Opening, crm: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> Entry | None:
        raise ZeroDivisionError("canary-subject")

    async with office() as it:
        alice = await it.person("Alice")
        connected(it, alice)
        told = {"subject": "canary-subject", "html": "<p>canary-body</p>", "text": "canary-body"}
        crm.tokens = {RENEWED}
        sent = [await it.sent(alice, **told) for _ in range(3)]
        crm.faults.extend([("before", 422), ("after", "reset")])
        await log(it)
        await skip_waits(it)
        await log(it)
        assert len(crm.written()) == 2
        monkeypatch.setattr(Rolodex, "find_entry", broken)
        sent.append(await it.sent(alice, **told))
        await log(it)
        assert (await report(it, sent[-1])).reason == "internal_error"
        events = [str(event.data) for send in sent for event in (await it.get(send)).events]
    said = capsys.readouterr()
    places = [said.out, said.err, *events]
    assert "report.ended" in said.err
    assert "report.crashed" in said.err
    for secret in (ACCESS, RENEWED, "canary-crm-refresh", "canary-subject", "canary-body", BOB):
        assert not [place for place in places if secret in place], secret


async def test_what_a_crm_is_told_can_be_chosen_by_its_owner_only(office: Opening, crm: Service) -> None:
    del crm
    async with office() as it:
        alice, bob = await it.person("Alice"), await it.person("Bob")
        mailbox = await it.connect(alice)
        mine = connected(it, alice)
        choose = it.app.services.logbook.choose
        with pytest.raises(NotFound):
            await choose(bob, connection_id=mine.id, create_contacts=True)
        with pytest.raises(NotFound):
            await choose(alice, connection_id=mailbox.id, create_contacts=True)
        with pytest.raises(InvalidInput):
            await choose(alice, connection_id=mine.id, senders=["somebody@else.example"])
        await choose(alice, connection_id=mine.id, create_contacts=True)
        chosen = await choose(alice, connection_id=mine.id, parts=LogParts.SUBJECT, senders=[DANA.upper()])
        assert CrmOptions.of(chosen.options) == CrmOptions(
            create_contacts=True, parts=LogParts.SUBJECT, senders=(DANA,)
        )


async def test_reports_are_paged_and_nobody_elses(office: Opening, crm: Service) -> None:
    del crm
    async with office() as it:
        alice, bob = await it.person("Alice"), await it.person("Bob")
        mine = connected(it, alice)
        sent = [await it.sent(alice) for _ in range(3)]
        logbook = it.app.services.logbook
        page = await logbook.list(alice, limit=2)
        rest = await logbook.list(alice, limit=2, before=page.next)
        assert [each.send_id for each in (*page.items, *rest.items)] == [each.id for each in sent[::-1]]
        assert rest.next is None
        assert (await logbook.list(bob)).items == []
        assert (await logbook.counts(alice))[mine.id].waiting == 3
        for cursor in ("x", f"{page.items[0].created_at.isoformat()}_a_b", "2026-01-01_a_b"):
            with pytest.raises(InvalidInput):
                await logbook.list(alice, before=cursor)
        await it.app.database.transaction(put_status, mine.id, ConnectionStatus.NEEDS_RECONNECT)
        assert (await logbook.list(alice)).items[0].next_at is None
