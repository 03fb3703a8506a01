"""What people decide about sends that wait: at a reconnect, at a disconnect, and afterwards."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from replysequence.domain.connection import Connection
from replysequence.domain.draft import DraftContent
from replysequence.domain.errors import Conflict, InvalidInput, NotFound, ReconnectNeeded
from replysequence.domain.event import Kind
from replysequence.domain.send import Send, State
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from replysequence.sandbox.faults import Fault
from replysequence.sandbox.running import RunningSandbox
from replysequence.services import disconnecting
from replysequence.services.deciding import Moved
from replysequence.services.disconnecting import Unfinished, Waiting
from replysequence.storage import transactions
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import sends
from support.office import DANA, DANA_AT_CONTOSO, DANA_AT_HOME, Office, Opening, eventually


async def age(it: Office, send: Send, by: timedelta) -> None:
    """As if it had been accepted so long ago."""

    def work(transaction: Transaction) -> None:
        then = now(transaction) - by
        transaction.execute(update(sends).where(sends.c.id == send.id).values(created_at=then))

    await it.app.database.transaction(work)


async def break_account(it: Office) -> None:
    """The person takes the consent back at Google, and a worker finds out."""
    act(it.box.world, it.box.world.accounts.at(Vendor.GOOGLE, DANA), "remove_access")
    await it.expire_access_tokens()
    await it.work()


async def broken(it: Office, user_id: str, *ages: timedelta) -> tuple[Connection, list[Send]]:
    """A broken account, and sends of those ages that wait for it."""
    mailbox = await it.connect(user_id)
    made = [await it.accept(user_id) for _ in ages]
    for send, by in zip(made, ages, strict=True):
        await age(it, send, by)
    await break_account(it)
    return mailbox, made


async def states(it: Office, made: list[Send]) -> list[State]:
    return [(await it.get(send)).state for send in made]


def left_at_google(box: RunningSandbox) -> list[str | None]:
    """The ids of what Gmail accepted, in order."""
    return [entry.send_id for entry in box.world.ledger if entry.vendor == "google"]


async def test_after_a_reconnect_the_young_leave_oldest_first_and_the_old_ask(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        hours = [1, 30, 72, 47, 49]
        mailbox, made = await broken(it, alice, *[timedelta(hours=each) for each in hours])
        [held] = await it.app.services.deciding.held(alice)
        assert (held.broken, held.gone, held.waiting, held.asking) == (True, False, 5, 0)
        connected = await it.finish(alice, await it.consent(alice, connection_id=mailbox.id))
        assert (connected.reconnected, connected.released, connected.asking) == (True, 3, 2)
        await it.work()
        assert left_at_google(box) == [made[3].id, made[1].id, made[0].id]
        [held] = await it.app.services.deciding.held(alice)
        assert (held.broken, held.waiting, held.asking) == (False, 2, 2)
        listed = await it.app.services.deciding.list(alice, connection_id=mailbox.id)
        assert [(send.id, send.reason) for send in listed] == [
            (made[2].id, "asks_first"),
            (made[4].id, "asks_first"),
        ]


async def test_one_that_asks_leaves_at_its_owners_word_and_at_nobody_elses(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice, charlie = await it.person("Alice"), await it.person("Charlie")
        _, [old, other] = await broken(it, alice, timedelta(days=4), timedelta(days=3))
        await it.connect(alice)
        await it.work()
        assert left_at_google(box) == []
        with pytest.raises(NotFound):
            await it.app.services.deciding.release(charlie, send_id=old.id)
        released = await it.app.services.deciding.release(alice, send_id=old.id)
        assert (released.state, released.reason) == (State.QUEUED, None)
        await it.work()
        assert await states(it, [old, other]) == [State.SENT, State.WAITING]
        with pytest.raises(Conflict):
            await it.app.services.deciding.release(alice, send_id=old.id)


async def test_all_that_ask_can_be_sent_or_cancelled_at_once(office: Opening, box: RunningSandbox) -> None:
    async with office() as it:
        alice, charlie = await it.person("Alice"), await it.person("Charlie")
        mailbox, made = await broken(it, alice, timedelta(days=4), timedelta(days=3))
        await it.connect(alice)
        deciding = it.app.services.deciding
        for verb in (deciding.release_all, deciding.cancel_all):
            with pytest.raises(NotFound):
                await verb(charlie, connection_id=mailbox.id)
        assert await deciding.release_all(alice, connection_id=mailbox.id) == 2
        assert await deciding.cancel_all(alice, connection_id=mailbox.id) == 0
        await it.work()
        assert left_at_google(box) == [send.id for send in made]


async def test_a_disconnect_keeps_or_cancels_what_waits_as_it_was_told(office: Opening) -> None:
    async with office() as it:
        for choice, expected in ((Waiting.KEEP, State.WAITING), (Waiting.CANCEL, State.CANCELLED)):
            alice = await it.person("Alice")
            await it.connect(alice)
            made = [await it.accept(alice), await it.accept(alice)]
            [gone] = await it.app.services.disconnecting.disconnect(alice, provider="gmail", waiting=choice)
            kept = choice is Waiting.KEEP
            assert (gone.waiting, gone.cancelled) == ((2, 0) if kept else (0, 2))
            await it.work()
            assert await states(it, made) == [expected, expected]


async def test_a_disconnect_says_how_many_are_unknown_and_leaves_them_to_their_owner(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        box.world.faults.arm(Fault(kind="reset_after_acceptance", vendor=Vendor.GOOGLE))
        lost, waits = await it.sent(alice), await it.accept(alice)
        found = await it.app.services.disconnecting.unfinished(alice, connection_id=mailbox.id)
        assert found == Unfinished(waiting=1, unknown=1)
        [gone] = await it.app.services.disconnecting.disconnect(
            alice, provider="gmail", waiting=Waiting.CANCEL
        )
        assert (gone.cancelled, gone.unknown) == (1, 1)
        assert await states(it, [lost, waits]) == [State.UNKNOWN, State.CANCELLED]


async def test_a_send_that_is_only_prepared_is_cancelled_and_one_on_the_wire_ends(
    office: Opening, box: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disconnecting, "_PATIENCE", 0.0)
    box.world.settings[Vendor.GOOGLE].send_latency_seconds = 0.5
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        on_the_wire, waits = await it.accept(alice), await it.accept(alice)
        working = asyncio.create_task(it.work())
        await eventually(lambda: _is(it, on_the_wire, State.SENDING))
        [gone] = await it.app.services.disconnecting.disconnect(
            alice, provider="gmail", waiting=Waiting.CANCEL
        )
        assert (gone.finished, gone.cancelled) == (False, 1)
        await working
        assert await states(it, [on_the_wire, waits]) == [State.SENT, State.CANCELLED]
        await it.connect(alice)
        prepared = await it.accept(alice)
        [claimed] = await it.claim()
        [gone] = await it.app.services.disconnecting.disconnect(
            alice, provider="gmail", waiting=Waiting.CANCEL
        )
        assert (gone.finished, gone.cancelled) == (True, 1)
        await it.dispatching.carry_out(claimed)
        assert await states(it, [prepared]) == [State.CANCELLED]
        assert it.accepted_by_provider(prepared) == 0


async def _is(it: Office, send: Send, state: State) -> bool:
    return (await it.get(send)).state is state


async def test_drafts_leave_from_another_account_as_new_linked_sends(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        other = await it.connect(alice, provider="outlook", account=DANA_AT_CONTOSO)
        box.world.faults.arm(Fault(kind="reset_after_acceptance", vendor=Vendor.GOOGLE))
        lost = await it.sent(alice)
        assert lost.state is State.UNKNOWN
        made = [await it.accept(alice, connection_id=mailbox.id, thread_id="18c2a"), await it.accept(alice)]
        [gone] = await it.app.services.disconnecting.disconnect(alice, provider="gmail")
        assert gone.waiting == 2
        moved = await it.app.services.deciding.send_from_another(
            alice, connection_id=mailbox.id, other_id=other.id
        )
        assert (moved.sent, moved.left, moved.why) == (2, 0, None)
        assert await states(it, [lost, *made]) == [State.UNKNOWN, State.CANCELLED, State.CANCELLED]
        await it.work()
        following = (await it.app.services.sending.list(alice, states=(State.SENT,))).items
        assert [send.previous_send_id for send in reversed(following)] == [send.id for send in made]
        assert {(send.route.via, send.route.sender.email, send.thread_id) for send in following} == {
            ("outlook", DANA_AT_CONTOSO, None)
        }
        again = it.app.services.deciding.send_from_another
        with pytest.raises(NotFound):
            await again(alice, connection_id=mailbox.id, other_id=other.id)


async def test_a_draft_that_was_changed_since_is_not_sent_from_another_account_unseen(
    office: Opening,
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        changed, same = await it.accept(alice), await it.accept(alice)
        other = await it.connect(alice, account=DANA_AT_HOME)
        await it.app.services.disconnecting.disconnect(alice, provider="gmail", connection_id=mailbox.id)
        draft = await it.app.services.drafting.get(alice, draft_id=changed.draft_id)
        content = DraftContent(to=draft.content.to, subject="Something else", text="Not ready yet")
        await it.app.services.drafting.update(alice, draft_id=draft.id, content=content)
        moved = await it.app.services.deciding.send_from_another(
            alice, connection_id=mailbox.id, other_id=other.id
        )
        assert (moved.sent, moved.left) == (1, 1)
        assert "changed" in (moved.why or "")
        assert await states(it, [changed, same]) == [State.WAITING, State.CANCELLED]


async def test_two_clicks_on_sending_from_another_account_send_once(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        made = [await it.accept(alice) for _ in range(4)]
        other = await it.connect(alice, account=DANA_AT_HOME)
        await it.app.services.disconnecting.disconnect(alice, provider="gmail", connection_id=mailbox.id)
        verb = it.app.services.deciding.send_from_another
        done = await asyncio.gather(
            *(verb(alice, connection_id=mailbox.id, other_id=other.id) for _ in range(3)),
            return_exceptions=True,
        )
        assert sum(each.sent for each in done if isinstance(each, Moved)) == len(made)
        assert all(isinstance(each, Moved | NotFound) for each in done)
        await it.work()
        assert len(left_at_google(box)) == len(made)
        assert await states(it, made) == [State.CANCELLED] * len(made)


async def test_only_a_persons_own_account_that_can_send_may_be_the_other_one(office: Opening) -> None:
    async with office() as it:
        alice, bob = await it.person("Alice"), await it.person("Bob")
        mailbox, made = await broken(it, alice, timedelta(hours=1))
        home = await it.connect(alice, account=DANA_AT_HOME)
        his = await it.connect(bob, provider="outlook", account=DANA_AT_CONTOSO)
        verb = it.app.services.deciding.send_from_another
        for wrong in (mailbox.id, his.id, "nonsense"):
            with pytest.raises(InvalidInput):
                await verb(alice, connection_id=mailbox.id, other_id=wrong)
        with pytest.raises(NotFound):
            await verb(bob, connection_id=mailbox.id, other_id=his.id)
        with pytest.raises(InvalidInput):
            await verb(alice, connection_id=home.id, other_id=mailbox.id)
        assert await states(it, made) == [State.WAITING]


async def test_a_new_account_at_the_same_address_releases_nothing_of_the_old_one(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        send = await it.accept(alice)
        await it.app.services.disconnecting.disconnect(alice, provider="gmail")
        again = await it.connect(alice)
        assert again.id != mailbox.id
        await it.work()
        [held] = await it.app.services.deciding.held(alice)
        assert (held.connection, held.gone, held.sender.email, held.waiting) == (None, True, DANA, 1)
        assert (await it.get(send)).state is State.WAITING
        kinds = [event.kind for event in (await it.get(send)).events]
        assert kinds == [Kind.SEND_ACCEPTED, Kind.SEND_WAITING]


async def test_words_that_cross_each_other_neither_deadlock_nor_send_a_draft_twice(
    office: Opening, box: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two accounts, old sends that ask at both, every word about them at once, and workers that go on meanwhile."""
    monkeypatch.setattr(transactions, "_ROLLED_BACK", ())  # a deadlock is an error
    async with office() as it, office() as other:
        alice = await it.person("Alice")
        work, home = await it.connect(alice), await it.connect(alice, account=DANA_AT_HOME)
        made = [
            await it.accept(alice, subject=f"Number {n}", connection_id=(work if n % 2 else home).id)
            for n in range(12)
        ]
        for send in made:
            await age(it, send, timedelta(days=3))
        for each, account in ((work, DANA), (home, DANA_AT_HOME)):
            usable = await it.tokens.usable(each.id)
            await it.tokens.give_up(usable, error=ReconnectNeeded("Gone.", code="grant_gone"))
            await it.connect(alice, account=account)
        here, there = it.app.services.deciding, other.app.services.deciding
        done = await asyncio.gather(
            here.send_from_another(alice, connection_id=work.id, other_id=home.id),
            there.send_from_another(alice, connection_id=home.id, other_id=work.id),
            there.send_from_another(alice, connection_id=work.id, other_id=home.id),
            here.release_all(alice, connection_id=work.id),
            there.cancel_all(alice, connection_id=home.id),
            *(each.work() for each in (it, other, it, other)),
            return_exceptions=True,
        )
        assert [each for each in done if isinstance(each, Exception)] == []
        await it.work()
        everything = (await it.app.services.sending.list(alice, limit=100)).items
        assert {send.state for send in everything} <= {State.SENT, State.CANCELLED}
        subjects = [entry.subject for entry in box.world.ledger]
        assert len(subjects) == len(set(subjects)) == sum(send.state is State.SENT for send in everything)
