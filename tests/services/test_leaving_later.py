"""Time to undo, and a time that its owner chose: a send waits for it, and for nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from replysequence.domain.errors import Conflict, InvalidInput, NotFound
from replysequence.domain.event import Kind
from replysequence.domain.send import Send, State
from replysequence.storage import frozen
from replysequence.storage.tables import sends
from support.office import Office, Opening


async def date_of(it: Office, send: Send) -> datetime:
    """The Date that the message will have."""
    query = select(sends.c.message, sends.c.envelope).where(sends.c.id == send.id)
    row = await it.app.database.read(lambda transaction: transaction.execute(query).one())
    return frozen.Frozen(row.message, row.envelope).thaw(send_id=send.id, files={}).date


async def test_a_send_that_can_be_undone_waits_its_seconds_and_leaves(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        send, _ = await it.app.services.sending.accept(alice, draft_id=draft.id, undo_seconds=30)
        assert (send.state, send.reason, send.can_be_undone) == (State.WAITING, "undo", True)
        assert send.next_at == send.created_at + timedelta(seconds=30)
        assert await it.work() == 0
        await it.skip_waits()
        await it.work()
        sent = await it.get(send)
        assert (sent.state, sent.can_be_undone) == (State.SENT, False)
        assert it.accepted_by_provider(send) == 1


async def test_after_undo_the_same_version_can_be_sent_again_and_leaves_once(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        accept = it.app.services.sending.accept
        undone, _ = await accept(alice, draft_id=draft.id, version=1, undo_seconds=30, idempotency_key="a")
        cancelled = await it.app.services.sending.cancel(alice, send_id=undone.id)
        assert (cancelled.state, cancelled.next_at) == (State.CANCELLED, None)
        again, new = await accept(alice, draft_id=draft.id, version=1, undo_seconds=30, idempotency_key="b")
        assert new
        await it.skip_waits()
        await it.work()
        assert (await it.get(again)).state is State.SENT
        assert [it.accepted_by_provider(each) for each in (undone, again)] == [0, 1]


async def test_a_planned_send_has_no_seconds_to_undo_on_top(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        send, _ = await it.app.services.sending.accept(
            alice, draft_id=draft.id, send_at=tomorrow, undo_seconds=30
        )
        assert (send.reason, send.next_at, send.is_scheduled) == ("scheduled", tomorrow, True)


async def test_a_planned_send_gets_another_time_and_its_date_follows(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        sending = it.app.services.sending
        tomorrow, later = (datetime.now(UTC) + timedelta(days=days) for days in (1, 3))
        send, _ = await sending.accept(alice, draft_id=draft.id, send_at=tomorrow)
        moved = await sending.change_time(alice, send_id=send.id, send_at=later)
        assert (moved.state, moved.reason, moved.next_at, moved.send_at) == (
            State.WAITING,
            "scheduled",
            later,
            later,
        )
        assert moved.events[-1].kind is Kind.SEND_RESCHEDULED
        assert moved.events[-1].data == {"send_at": later.isoformat()}
        assert await date_of(it, send) == later
        assert await it.work() == 0
        await it.skip_waits()
        assert await it.work() == 1


@pytest.mark.parametrize("send_at", [None, datetime(2020, 1, 1, tzinfo=UTC)])
async def test_without_a_time_and_with_one_that_has_passed_a_planned_send_leaves_now(
    office: Opening, send_at: datetime | None
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        sending = it.app.services.sending
        in_a_week = datetime.now(UTC) + timedelta(days=7)
        send, _ = await sending.accept(alice, draft_id=draft.id, send_at=in_a_week)
        now = await sending.change_time(alice, send_id=send.id, send_at=send_at)
        assert (now.state, now.reason) == (State.QUEUED, None)
        assert await date_of(it, send) == now.updated_at
        assert await it.work() == 1
        with pytest.raises(Conflict) as over:
            await sending.change_time(alice, send_id=send.id, send_at=in_a_week)
        assert over.value.code == "not_scheduled"


async def test_only_the_owner_changes_the_time_and_only_to_one_that_can_be_used(office: Opening) -> None:
    async with office() as it:
        alice, charlie = await it.person("Alice"), await it.person("Charlie")
        draft = await it.draft(alice)
        sending = it.app.services.sending
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        send, _ = await sending.accept(alice, draft_id=draft.id, send_at=tomorrow)
        with pytest.raises(NotFound):
            await sending.change_time(charlie, send_id=send.id, send_at=None)
        for unusable in (datetime(2030, 1, 1), datetime.now(UTC) + timedelta(days=400)):  # noqa: DTZ001
            with pytest.raises(InvalidInput) as refused:
                await sending.change_time(alice, send_id=send.id, send_at=unusable)
            assert refused.value.field == "send_at"
        assert (await it.get(send)).next_at == tomorrow


async def test_what_can_be_undone_or_waits_for_an_account_has_no_time_to_change(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        sending = it.app.services.sending
        send, _ = await sending.accept(alice, draft_id=draft.id, undo_seconds=30)
        with pytest.raises(Conflict) as refused:
            await sending.change_time(alice, send_id=send.id, send_at=None)
        assert (refused.value.code, refused.value.details) == ("not_scheduled", {"state": State.WAITING})
