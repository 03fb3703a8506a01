"""Looking for sends of unknown outcome: found settles, not found never does, and nothing is ever sent again."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from replysequence.domain.errors import Conflict, NotFound, TooManyRequests
from replysequence.domain.event import Kind
from replysequence.domain.looking import LOOKS_AFTER
from replysequence.domain.send import State, Verdict
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.storage import looks
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import routes
from support.looking import DANA_AT_OUTLOOK, allow, asked, look, looked, pass_minutes, unknown, watch
from support.office import DANA, Opening

MINUTES = [round(after.total_seconds() / 60) for after in LOOKS_AFTER]


@pytest.mark.parametrize("lag", [0, 3, 7, 10])
async def test_what_lies_in_the_sent_folder_is_settled_as_sent_however_late_it_appears(
    office: Opening, lag: int
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await allow(it, await it.connect(alice))
        it.box.world.settings[Vendor.GOOGLE].sent_lag_seconds = lag * 60
        send = await unknown(it, alice, left=True)
        assert await look(it) == 0
        passed = 0
        while passed < lag or passed < MINUTES[0]:
            await pass_minutes(it, step := min(each for each in MINUTES if each > passed) - passed)
            passed += step
            await look(it)
        found = await it.get(send)

        assert found.state is State.SETTLED_SENT
        [message] = it.box.world.sent_by(DANA)
        assert (found.provider_message_id, found.thread_id) == (message.id, message.thread_id)
        assert found.events[-1].kind is Kind.SEND_SETTLED
        assert found.events[-1].data == {
            "verdict": "sent",
            "by": "look_up",
            "attempt": 1,
            "provider_message_id": message.id,
            "thread_id": message.thread_id,
        }
        assert await it.work() == 0
        assert it.accepted_by_provider(send) == 1


async def test_what_is_not_found_is_never_settled_and_never_sent_again(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await allow(it, await it.connect(alice))
        send = await unknown(it, alice, left=False)
        for minutes in (2, 8, 50, 60, 24 * 60):
            await pass_minutes(it, minutes)
            await look(it)
            await look(it)
        same = await it.get(send)

        assert same.state is State.UNKNOWN
        assert len(same.attempts) == 1
        assert [event.data for event in looked(same)] == [
            {"by": "worker", "attempt": 1, "outcome": "not_found"}
        ] * len(LOOKS_AFTER)
        assert await it.work() == 0
        assert it.accepted_by_provider(send) == 0


async def test_looks_that_were_missed_are_not_made_up_for(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await allow(it, await it.connect(alice))
        send = await unknown(it, alice, left=False)
        await pass_minutes(it, 30)
        assert [await look(it) for _ in range(3)] == [1, 0, 0]
        await pass_minutes(it, 30)
        assert [await look(it) for _ in range(3)] == [1, 0, 0]
        assert len(looked(await it.get(send))) == 2


async def test_a_message_that_went_as_json_or_as_mime_is_found_at_microsoft(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice, account=DANA_AT_OUTLOOK, provider="outlook")
        await allow(it, mine)
        plain = await unknown(it, alice, left=True, vendor=Vendor.MICROSOFT)
        both = await unknown(it, alice, left=True, vendor=Vendor.MICROSOFT, text="Hello Bob")
        await pass_minutes(it, 2)
        assert await look(it) == 1
        assert await look(it) == 1
        for send in (plain, both):
            found = await it.get(send)
            assert found.state is State.SETTLED_SENT
            [entry] = it.box.world.ledger.of_send(send.id)
            assert found.provider_message_id == f"AAMk{entry.message}"
            assert (found.thread_id or "").startswith("AAQk")


async def test_without_the_permission_nobody_is_asked_anything(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        watch(it)
        send = await unknown(it, alice, left=True)
        await pass_minutes(it, 2)
        assert await look(it) == 0
        with pytest.raises(Conflict) as refused:
            await it.app.services.looking_up.look_now(alice, send_id=send.id)
        assert refused.value.code == "may_not_look"

        await allow(it, mine)
        await it.app.services.connecting.stop_looking(alice, connection_id=mine.id)
        assert await look(it) == 0
        assert asked(it) == 0
        assert (await it.get(send)).state is State.UNKNOWN


async def test_a_permission_given_later_still_helps(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        send = await unknown(it, alice, left=True)
        await pass_minutes(it, 90)
        assert await look(it) == 0
        await allow(it, mine)
        assert await look(it) == 1
        assert (await it.get(send)).state is State.SETTLED_SENT


async def test_of_several_workers_one_takes_a_look(office: Opening) -> None:
    async with office() as one, office() as other:
        alice = await one.person("Alice")
        await allow(one, await one.connect(alice))
        send = await unknown(one, alice, left=False)
        await pass_minutes(one, 2)
        assert sum(await asyncio.gather(*(look(it) for it in (one, other, one, other)))) == 1
        assert len(looked(await one.get(send))) == 1


@pytest.mark.parametrize(
    "kind",
    ["refused_401", "refused_429", "refused_500", "refused_503", "reset_before_acceptance", "html"],
)
async def test_a_look_that_goes_wrong_changes_nothing_but_the_history(office: Opening, kind: str) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        await allow(it, mine)
        send = await unknown(it, alice, left=True)
        await pass_minutes(it, 2)
        it.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.GOOGLE, endpoint=Endpoint.LOOK_UP, count=2))
        await look(it)
        same = await it.get(send)

        assert same.state is State.UNKNOWN
        [told] = looked(same)
        assert told.data["outcome"] == "could_not_look"
        assert told.data["reason"]
        [connection] = await it.connections(alice)
        assert connection.status.value == "active"
        assert (await it.sent(alice)).state is State.SENT

        it.box.world.faults.clear()
        await pass_minutes(it, 8)
        await look(it)
        assert (await it.get(send)).state is State.SETTLED_SENT


async def test_an_access_token_that_ran_out_is_renewed_for_a_look(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await allow(it, await it.connect(alice))
        send = await unknown(it, alice, left=True)
        act(it.box.world, it.box.world.accounts.at(Vendor.GOOGLE, DANA), "expire_access_tokens")
        await pass_minutes(it, 2)
        await look(it)
        assert (await it.get(send)).state is State.SETTLED_SENT


async def test_a_paused_mailbox_or_provider_is_not_asked(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        await allow(it, mine)
        send = await unknown(it, alice, left=True)
        await pass_minutes(it, 2)
        for route_id in (mine.id, "gmail"):
            await it.app.database.transaction(_pause, route_id=route_id, minutes=5)
            assert await look(it) == 0
            with pytest.raises(TooManyRequests) as refused:
                await it.app.services.looking_up.look_now(alice, send_id=send.id)
            assert 200 < refused.value.retry_after <= 300
            await it.app.database.transaction(_pause, route_id=route_id, minutes=-1)
        assert await look(it) == 1


def _pause(transaction: Transaction, *, route_id: str, minutes: int) -> None:
    until = now(transaction) + timedelta(minutes=minutes)
    transaction.execute(update(routes).where(routes.c.id == route_id).values(paused_until=until))


async def test_a_look_takes_its_room_in_the_pace_of_the_mailbox(office: Opening) -> None:
    async with office(GMAIL_MAILBOX_SENDS_PER_MINUTE="60") as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        await allow(it, mine)
        await unknown(it, alice, left=True)
        await pass_minutes(it, 2)
        at = await it.app.database.read(now)
        await look(it)
        until = await it.app.database.read(_paced_until, route_id=mine.id)
        assert timedelta(seconds=3) < until - at < timedelta(seconds=8)
        assert (await it.sent(alice)).state is State.QUEUED


def _paced_until(transaction: Transaction, *, route_id: str) -> datetime:
    until: datetime = transaction.execute(
        select(routes.c.paced_until).where(routes.c.id == route_id)
    ).scalar_one()
    return until


async def test_a_disconnected_account_is_not_looked_into(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        await allow(it, mine)
        watch(it)
        send = await unknown(it, alice, left=True)
        await pass_minutes(it, 2)
        await it.app.services.disconnecting.disconnect(alice, provider="gmail", connection_id=mine.id)
        assert await look(it) == 0
        assert asked(it) == 0
        same = await it.get(send)
        assert same.state is State.UNKNOWN
        assert await it.app.services.looking_up.standing(alice, send=same) is None


async def test_whoever_settles_first_is_believed(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await allow(it, await it.connect(alice))
        send = await unknown(it, alice, left=True)
        await pass_minutes(it, 2)
        service = it.app.services.looking_up
        [claimed] = await it.app.database.transaction(
            looks.claim,
            scopes=service._scopes,
            cost_of=service._cost,
            limit=5,
            at=await it.app.database.read(now),
        )
        await it.app.services.settling.settle(alice, send_id=send.id, verdict=Verdict.NOT_SENT)
        settled = await it.get(send)
        assert settled.events[-1].data == {"verdict": "not_sent", "by": "person", "attempt": 1}

        await service._look(claimed)

        assert await it.get(send) == settled


async def test_a_person_can_ask_for_a_look_now_and_then(office: Opening) -> None:
    async with office() as it:
        alice, charlie = await it.person("Alice"), await it.person("Charlie")
        await allow(it, await it.connect(alice))
        it.box.world.settings[Vendor.GOOGLE].sent_lag_seconds = 60
        send = await unknown(it, alice, left=True)
        look_now = it.app.services.looking_up.look_now
        with pytest.raises(NotFound):
            await look_now(charlie, send_id=send.id)
        same = await look_now(alice, send_id=send.id)
        assert same.state is State.UNKNOWN
        assert [event.data["by"] for event in looked(same)] == ["person"]

        it.box.world.clock.advance(60)
        assert (await look_now(alice, send_id=send.id)).state is State.SETTLED_SENT
        with pytest.raises(Conflict) as refused:
            await look_now(alice, send_id=send.id)
        assert refused.value.code == "not_unknown"

        other = await unknown(it, alice, left=False)
        await look_now(alice, send_id=other.id)
        with pytest.raises(TooManyRequests):
            await look_now(alice, send_id=other.id)


async def test_the_page_is_told_when_it_was_looked_for_and_when_next(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        await allow(it, mine)
        send = await unknown(it, alice, left=False)
        await pass_minutes(it, 2)
        await look(it)
        it.box.world.faults.arm(
            Fault(kind="refused_500", vendor=Vendor.GOOGLE, endpoint=Endpoint.LOOK_UP, count=1)
        )
        await pass_minutes(it, 8)
        await look(it)
        same = await it.get(send)
        standing = await it.app.services.looking_up.standing(alice, send=same)

        assert standing is not None
        assert standing.allowed
        assert [(each.minutes, each.problem) for each in standing.done] == [(2, None), (10, "look_unclear")]
        assert standing.in_vain == (2,)
        assert standing.next_at == same.updated_at + LOOKS_AFTER[2]


async def test_others_sends_in_the_same_folder_are_not_read(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await allow(it, await it.connect(alice))
        send = await unknown(it, alice, left=True)
        for number in range(25):
            assert (await it.sent(alice, subject=f"Number {number}")).state is State.SENT
        await pass_minutes(it, 2)
        watch(it)
        assert await look(it) == 1
        assert asked(it) == 2  # the list, and the one message that is no other send's
        assert (await it.get(send)).state is State.SETTLED_SENT
