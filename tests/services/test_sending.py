"""Accepting, waiting, cancelling: what a person is told is on disk, and a double click is one click."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select, update

from replysequence.domain.errors import Conflict, InvalidInput, NotFound
from replysequence.domain.message import Address, Attachment
from replysequence.domain.send import State
from replysequence.services import composing
from replysequence.services.sanitizing import sanitize
from replysequence.storage import routes, sends
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import email_connections
from replysequence.storage.tables import sends as sends_table
from support.office import Opening

LATER = datetime.now(timezone(timedelta(hours=5, minutes=30))) + timedelta(days=1)
"""On a clock in India."""


async def test_twenty_double_clicks_at_once_make_one_send(office: Opening) -> None:
    async with office() as it, office() as another_process:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        clicks = [
            each.app.services.sending.accept(
                alice, draft_id=draft.id, version=1, idempotency_key="composer-1"
            )
            for each in [it, another_process] * 10
        ]
        made = await asyncio.gather(*clicks)
        assert len({send.id for send, _ in made}) == 1
        assert [new for _, new in made].count(True) == 1
        await it.work()
        assert it.accepted_by_provider(made[0][0]) == 1


async def test_the_same_key_for_something_else_is_refused(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        first, second = await it.draft(alice), await it.draft(alice)
        accept = it.app.services.sending.accept
        send, _ = await accept(alice, draft_id=first.id, idempotency_key="k")
        with pytest.raises(InvalidInput) as refused:
            await accept(alice, draft_id=second.id, idempotency_key="k")
        assert refused.value.details == {"field": "Idempotency-Key", "send_id": send.id}
        with pytest.raises(InvalidInput):
            await accept(alice, draft_id=first.id, version=1, idempotency_key="k")


async def test_a_key_gives_its_send_again_even_after_the_draft_has_changed(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        accept = it.app.services.sending.accept
        send, new = await accept(alice, draft_id=draft.id, idempotency_key="k")
        await it.app.services.drafting.update(alice, draft_id=draft.id, content=draft.content)
        again, new_again = await accept(alice, draft_id=draft.id, idempotency_key="k")
        assert (again.id, new, new_again) == (send.id, True, False)


async def test_a_version_is_sent_once_and_only_the_version_that_was_looked_at(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        accept = it.app.services.sending.accept
        with pytest.raises(Conflict) as changed:
            await accept(alice, draft_id=draft.id, version=7)
        assert (changed.value.code, changed.value.details) == ("version_conflict", {"version": 1})
        await accept(alice, draft_id=draft.id, version=1)
        with pytest.raises(Conflict) as sent:
            await accept(alice, draft_id=draft.id)
        assert sent.value.code == "already_sent"


async def test_what_was_accepted_is_what_leaves_whatever_becomes_of_the_draft(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        drafting = it.app.services.drafting
        draft = await it.draft(alice, subject="As agreed")
        file = await drafting.attach(
            alice, draft_id=draft.id, attachment=Attachment("plan.txt", "text/plain", b"the plan")
        )
        send, _ = await it.app.services.sending.accept(alice, draft_id=draft.id)
        await drafting.detach(alice, draft_id=draft.id, attachment_id=file.id)
        await drafting.update(alice, draft_id=draft.id, content=draft.content.__class__(subject="Other"))
        await it.work()
        (message,) = it.box.world.inbox("bob@customer.example")
        assert message.subject == "As agreed"
        assert b"plan.txt" in message.delivered
        assert (await it.get(send)).state is State.SENT


async def test_a_blocker_is_told_with_its_field_before_anything_is_written(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice, to=())
        with pytest.raises(InvalidInput) as refused:
            await it.app.services.sending.accept(alice, draft_id=draft.id)
        assert refused.value.field == "to"
        assert (await it.app.services.sending.list(alice)).items == []


async def test_nobody_sends_reads_or_cancels_what_is_not_theirs(office: Opening) -> None:
    async with office() as it:
        alice, charlie = await it.person("Alice"), await it.person("Charlie")
        send, sending = await it.accept(alice), it.app.services.sending
        for attempt in (
            sending.accept(charlie, draft_id=send.draft_id),
            sending.get(charlie, send_id=send.id),
            sending.cancel(charlie, send_id=send.id),
            sending.wait_for_outcome(charlie, send_id=send.id, seconds=0),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert (await it.get(send)).state is State.QUEUED


async def test_without_a_mailbox_and_without_a_relay_there_is_no_way_to_send(office: Opening) -> None:
    async with office(RESEND_API_KEY="") as it:
        alice = await it.person("Alice")
        with pytest.raises(Conflict) as refused:
            await it.accept(alice)
        assert refused.value.code == "no_way_to_send"


async def test_a_time_that_has_passed_means_now_and_does_not_expire_at_once(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        send, _ = await it.app.services.sending.accept(
            alice, draft_id=draft.id, send_at=datetime(2020, 1, 1, tzinfo=UTC)
        )
        await it.work()
        assert (await it.get(send)).state is State.SENT


async def test_a_planned_send_waits_for_its_time_and_can_be_taken_back(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        send, _ = await it.app.services.sending.accept(alice, draft_id=draft.id, send_at=tomorrow)
        assert await it.work() == 0
        assert (send.state, send.reason, send.next_at) == (State.WAITING, "scheduled", tomorrow)
        assert (await it.app.services.sending.cancel(alice, send_id=send.id)).state is State.CANCELLED
        with pytest.raises(Conflict) as over:
            await it.app.services.sending.cancel(alice, send_id=send.id)
        assert over.value.code == "already_over"


@pytest.mark.parametrize(
    "send_at",
    [datetime(2030, 1, 1), datetime.now(UTC) + timedelta(days=400)],  # noqa: DTZ001
)
async def test_a_time_without_an_offset_or_too_far_ahead_is_refused(
    office: Opening, send_at: datetime
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        with pytest.raises(InvalidInput) as refused:
            await it.app.services.sending.accept(alice, draft_id=draft.id, send_at=send_at)
        assert refused.value.field == "send_at"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"idempotency_key": "click"},
        {"send_at": LATER},
        {"undo_seconds": 10},
    ],
    ids=["now", "with a key", "later", "to be undone"],
)
@pytest.mark.parametrize("way", ["relay", "mailbox", "broken mailbox", "paused mailbox"])
async def test_what_is_answered_at_acceptance_is_what_is_read_afterwards(
    office: Opening, way: str, asked: dict[str, Any]
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        if way != "relay":
            mailbox = await it.connect(alice)
            if way == "broken mailbox":
                await it.app.database.transaction(_break, connection_id=mailbox.id)
            if way == "paused mailbox":
                await it.app.database.transaction(_pause, connection_id=mailbox.id)
        draft = await it.draft(
            alice, cc=(Address("", "cc@customer.example"),), bcc=(Address("Ö", "bcc@customer.example"),)
        )
        send, is_new = await it.app.services.sending.accept(alice, draft_id=draft.id, **asked)
        read = await it.app.database.read(sends.get, user_id=alice, send_id=send.id)
        assert (send, is_new) == (read, True)
        assert [moment.tzinfo for moment in (send.next_at, send.send_at) if moment] == [
            moment.tzinfo for moment in (read.next_at, read.send_at) if moment
        ]
        assert send.events
        assert await it.app.database.read(_counted_recipients, send_id=send.id) == 3


async def test_waiting_for_the_outcome_ends_with_the_outcome_also_of_another_process(
    office: Opening,
) -> None:
    async with office() as it, office() as another_process:
        alice = await it.person("Alice")
        send = await it.accept(alice)
        waiting = asyncio.create_task(
            it.app.services.sending.wait_for_outcome(alice, send_id=send.id, seconds=30)
        )
        await asyncio.sleep(0)
        await another_process.work()
        assert (await waiting).state is State.SENT
        other = await it.accept(alice)
        late = await it.app.services.sending.wait_for_outcome(alice, send_id=other.id, seconds=0.05)
        assert late.state is State.QUEUED


async def test_the_list_is_paged_and_filtered(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        made = [await it.accept(alice) for _ in range(3)]
        listed = it.app.services.sending.list
        first = await listed(alice, limit=2)
        second = await listed(alice, limit=2, before=first.next)
        assert {send.id for send in first.items + second.items} == {send.id for send in made}
        assert (len(first.items), second.next) == (2, None)
        assert (await listed(alice, states=(State.SENT,))).items == []
        assert [send.id for send in (await listed(alice, draft_id=made[0].draft_id)).items] == [made[0].id]


async def test_a_draft_that_names_its_mailbox_leaves_from_it_and_never_from_another(office: Opening) -> None:
    async with office() as it:
        alice, bob = await it.person("Alice"), await it.person("Bob")
        hers = await it.connect(alice)
        draft = await it.draft(alice, connection_id=hers.id)
        with pytest.raises(InvalidInput):
            await it.draft(bob, connection_id=hers.id)
        await it.app.services.disconnecting.disconnect(alice, provider="gmail")
        with pytest.raises(InvalidInput) as refused:
            await it.app.services.sending.accept(alice, draft_id=draft.id)
        assert refused.value.field == "connection_id"


async def test_hidden_recipients_are_reached_and_not_shown(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        send = await it.sent(alice, bcc=(Address("", "crm@log.example"),))
        (entry,) = it.box.world.ledger.of_send(send.id)
        assert set(entry.recipients) == {"bob@customer.example", "crm@log.example"}
        (message,) = it.box.world.inbox("bob@customer.example")
        assert b"crm@log.example" not in message.delivered


async def test_what_takes_long_is_done_on_another_thread(
    office: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def noted(html: str) -> str:
        threads.append(threading.current_thread())
        return sanitize(html)

    monkeypatch.setattr(composing, "sanitize", noted)
    async with office() as it:
        alice = await it.person("Alice")
        await it.accept(alice)
        await it.accept(alice, html=f"<p>{'x' * composing.LONG}</p>")
        assert threads[0] is threading.current_thread()
        assert threads[1] is not threading.current_thread()


def _break(transaction: Transaction, *, connection_id: str) -> None:
    transaction.execute(
        update(email_connections)
        .where(email_connections.c.id == connection_id)
        .values(status="needs_reconnect", status_reason="grant_gone", problem="Connect it again.")
    )


def _pause(transaction: Transaction, *, connection_id: str) -> None:
    routes.take(transaction, route_id=connection_id, via="gmail", connection_id=connection_id)
    until = now(transaction) + timedelta(hours=1)
    routes.pause(transaction, route_id=connection_id, until=until, reason="slow", explanation="It is slow.")


def _counted_recipients(transaction: Transaction, *, send_id: str) -> int:
    counted: int = transaction.execute(
        select(sends_table.c.recipients).where(sends_table.c.id == send_id)
    ).scalar_one()
    return counted
