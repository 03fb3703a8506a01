"""A provider that fails for many is left alone, nobody is asked to reconnect, and nobody else is held up."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import update

from replysequence.domain.breaker import ENOUGH, STUCK_AFTER
from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.event import Kind
from replysequence.domain.send import Send, State
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.running import RunningSandbox
from replysequence.services import tokens, watching
from replysequence.services.watching import Watching
from replysequence.storage import alerts, connection_tokens, outages, refusals
from replysequence.storage.claims import PROBE_EVERY, PROVIDER_DOWN
from replysequence.storage.database import Transaction, now
from replysequence.storage.ids import new_id
from replysequence.storage.outages import FIRST_PROBE
from replysequence.storage.tables import email_connections
from support.office import DANA_AT_CONTOSO, Office, Opening

_numbers = count(1)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def watcher(it: Office) -> Watching:
    return it.dispatching._watching


def watched_by(it: Office, clock: Clock) -> None:
    watcher(it)._clock = clock


async def sellers(it: Office, number: int) -> list[str]:
    """So many people, each with a Gmail mailbox of their own."""
    people = []
    for _ in range(number):
        name = f"seller{next(_numbers)}"
        email = f"{name}@brightwave.example"
        account = Account(
            vendor=Vendor.GOOGLE, email=email, name="Sal Eller", subject=name, tenant="brightwave.example"
        )
        it.box.world.accounts.add(account)
        people.append(await it.person(name))
        await it.connect(people[-1], account=email)
    return people


async def one_each(it: Office, people: Sequence[str]) -> list[Send]:
    return [await it.accept(person) for person in people]


async def states(it: Office, sends: Sequence[Send]) -> list[State]:
    return [(await it.get(send)).state for send in sends]


async def down(it: Office) -> list[str]:
    return list(await it.app.database.read(outages.present, providers=it.dispatching.senders))


async def needing_reconnect(it: Office, people: Sequence[str]) -> int:
    found = [each for person in people for each in await it.connections(person)]
    return sum(each.status is ConnectionStatus.NEEDS_RECONNECT for each in found)


def arm(box: RunningSandbox, kind: str, **more: object) -> None:
    fault = {"vendor": Vendor.GOOGLE, "endpoint": Endpoint.SEND, "count": None, **more}
    box.world.faults.arm(Fault(kind=kind, **fault))  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def carrying_out(it: Office) -> AsyncIterator[int]:
    """Everything that is due is under way meanwhile; how many sends that are."""
    tasks = [asyncio.create_task(it.dispatching.carry_out(each)) for each in await it.claim()]
    try:
        yield len(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_storm_of_503s_makes_a_provider_down_for_all_its_mailboxes_and_for_no_other(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        people = await sellers(it, ENOUGH + 1)
        carol = await it.person("Carol")
        await it.connect(carol, provider="outlook", account=DANA_AT_CONTOSO)
        arm(box, "refused_503")
        await one_each(it, people[:ENOUGH])
        await it.work()
        assert await down(it) == []
        await watcher(it).look()
        assert await down(it) == ["gmail"]

        waits = await it.sent(people[-1])
        assert (waits.state, waits.reason, waits.attempts) == (State.QUEUED, PROVIDER_DOWN, ())
        assert waits.leaves_at is None, "nobody knows when"
        assert waits.explanation
        assert waits.explanation.startswith("Gmail is not answering")
        assert (await it.sent(carol)).state is State.SENT
        relayed = await it.sent(await it.person("Bob"))
        assert (relayed.state, relayed.route.via) == (State.SENT, "resend")
        assert await needing_reconnect(it, people) == 0


async def test_one_send_is_let_through_at_a_time_and_the_first_that_leaves_ends_it(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        people = await sellers(it, ENOUGH)
        arm(box, "refused_503")
        await one_each(it, people)
        await it.work()
        await watcher(it).look()
        waiting = await one_each(it, people)
        assert await it.work() == 0
        assert FIRST_PROBE < PROBE_EVERY

        await it.skip_waits()
        assert await it.work() == 1
        await watcher(it).look()
        assert await down(it) == ["gmail"], "what failed ended it"
        box.world.faults.clear()
        await it.skip_waits()
        assert await it.work() == 1
        await watcher(it).look()
        assert await down(it) == []
        await it.work()
        assert sorted(await states(it, waiting)) == [State.SENT] * (ENOUGH - 1) + [State.UNKNOWN]


async def test_a_black_hole_is_noticed_within_thirty_seconds_and_holds_up_nobody_else(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        clock = Clock()
        watched_by(it, clock)
        people = await sellers(it, ENOUGH)
        carol = await it.person("Carol")
        await it.connect(carol, provider="outlook", account=DANA_AT_CONTOSO)
        arm(box, "hang_before_acceptance", delay_seconds=100)
        swallowed = await one_each(it, people)
        async with carrying_out(it) as number:
            assert number == ENOUGH
            while set(await states(it, swallowed)) != {State.SENDING}:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)
            await watcher(it).look()
            assert await down(it) == []
            clock.seconds += STUCK_AFTER + 1
            await watcher(it).look()
            assert await down(it) == ["gmail"]
            assert (await it.sent(carol)).state is State.SENT
            assert await needing_reconnect(it, people) == 0

            box.world.faults.clear()
            late = (await sellers(it, 1))[0]
            await it.skip_waits()
            clock.seconds += 1
            assert (await it.sent(late)).state is State.SENT
            await watcher(it).look()
            assert await down(it) == [], "what is still stuck from before kept it down"
            clock.seconds += STUCK_AFTER + 1
            await watcher(it).look()
            assert await down(it) == []


async def test_it_is_known_to_every_process_and_after_a_restart(office: Opening, box: RunningSandbox) -> None:
    clock = Clock()
    async with office() as it:
        people = await sellers(it, ENOUGH)
        async with office() as other:
            arm(box, "refused_503")
            await one_each(it, people)
            await it.work()
            accepted = [await other.accept(person) for person in people]
            await other.work()
            await watcher(it).look()
            await watcher(other).look()
            assert (await other.get(accepted[-1])).state is State.UNKNOWN, "the other process saw it too"
            assert await down(other) == ["gmail"]
            box.world.faults.clear()
            async with office() as later:
                watched_by(later, clock)
                await later.skip_waits()
                await watcher(later).look()
                clock.seconds += 1
                assert (await later.sent(people[0])).state is State.SENT
                await watcher(later).look()
                assert await down(later) == []
            await watcher(it).look()
            await watcher(other).look()
            assert await down(it) == [], "another process did not hear that the provider is back"


async def test_what_a_provider_refuses_of_single_mailboxes_leaves_it_up(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        people = await sellers(it, ENOUGH + 1)
        arm(box, "refused_429", retry_after_seconds=60)
        sends = await one_each(it, people)
        await it.work()
        assert {(await it.get(send)).reason for send in sends} == {"rate_limited"}
        await watcher(it).look()
        assert await down(it) == []


async def test_what_a_provider_that_is_down_does_not_take_is_ready_for_the_next_try(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        people = await sellers(it, ENOUGH)
        await it.expire_access_tokens()
        arm(box, "refused_503", endpoint=Endpoint.TOKEN)
        sends = await one_each(it, people)
        for _ in range(3):  # by now they would wait for minutes
            await it.work()
            await it.skip_waits()
        await watcher(it).look()
        assert await down(it) == ["gmail"], "nobody's token could be renewed"
        await it.skip_waits()
        assert await it.work() == 1
        (tried,) = [each for each in [await it.get(send) for send in sends] if len(each.attempts) == 4]
        assert tried.next_at is not None
        assert tried.next_at - tried.attempts[-1].started_at <= PROBE_EVERY
        assert await needing_reconnect(it, people) == 0


def _as_if_refused_for_long(transaction: Transaction) -> None:
    long_ago = now(transaction) - refusals.BELIEVED_AFTER - timedelta(minutes=1)
    refused = email_connections.c.refused_since.is_not(None)
    transaction.execute(update(email_connections).where(refused).values(refused_since=long_ago))


async def test_where_many_grants_seem_gone_at_once_nobody_is_asked_to_reconnect_and_who_was_no_longer_is(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        people = await sellers(it, refusals.MANY)
        await it.expire_access_tokens()
        arm(box, "invalid_grant", endpoint=Endpoint.TOKEN)
        sends = await one_each(it, people)
        await it.work()
        assert await needing_reconnect(it, people) == 0
        assert set(await states(it, sends)) == {State.QUEUED}
        assert not await it.app.database.read(alerts.something_due), "somebody is told to reconnect"
        kinds = [
            [event.kind for event in (await it.app.services.history.events(person)).items]
            for person in people
        ]
        restored = [Kind.CONNECTION_RESTORED in each for each in kinds]
        assert restored == [Kind.CONNECTION_RECONNECT_NEEDED in each for each in kinds]

        box.world.faults.clear()
        for _ in people:
            await it.skip_waits()
            await it.work()
            await watcher(it).look()
        assert set(await states(it, sends)) == {State.SENT}
        assert [it.accepted_by_provider(send) for send in sends] == [1] * len(sends)


async def test_what_many_are_refused_for_longer_than_an_hour_is_believed(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        people = await sellers(it, refusals.MANY)
        await it.expire_access_tokens()
        arm(box, "invalid_grant", endpoint=Endpoint.TOKEN)
        sends = await one_each(it, people)
        await it.work()
        await it.app.database.transaction(_as_if_refused_for_long)
        for _ in people:
            await it.skip_waits()
            await it.work()
        assert await needing_reconnect(it, people) == refusals.MANY
        assert set(await states(it, sends)) == {State.WAITING}


async def test_a_few_grants_that_are_gone_are_their_owners_to_renew(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        people = await sellers(it, refusals.MANY - 1)
        await it.expire_access_tokens()
        arm(box, "invalid_grant", endpoint=Endpoint.TOKEN)
        await one_each(it, people)
        await it.work()
        assert await needing_reconnect(it, people) == len(people)
        await watcher(it).look()
        assert await down(it) == []


@pytest.mark.parametrize("provider", ["gmail", "outlook", "resend"])
async def test_the_words_name_the_provider(office: Opening, provider: str) -> None:
    async with office() as it:
        title = it.app.registry.provider(provider).title
        assert await it.app.database.transaction(watching._begin, provider=provider, title=title)
        assert not await it.app.database.transaction(watching._begin, provider=provider, title=title)
        found = await it.app.database.read(outages.present, providers=[provider])
        assert found[provider].explanation.startswith(f"{title} is not answering")
        assert await it.app.database.transaction(watching._end, provider=provider)
        assert not await it.app.database.transaction(watching._end, provider=provider)


async def test_accounts_that_somebody_else_is_renewing_show_nothing_about_their_provider(
    office: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "PATIENCE", 0.0)
    async with office() as it:
        people = await sellers(it, ENOUGH)
        for mine in [each for person in people for each in await it.connections(person)]:
            assert await it.app.database.transaction(
                connection_tokens.take_refresh_lease,
                connection_id=mine.id,
                generation=mine.token_generation,
                owner=new_id(),  # of a process that was killed then
                seconds=tokens.LEASE,
            )
        await it.expire_access_tokens()
        waits = await one_each(it, people)
        await asyncio.gather(*(it.dispatching.carry_out(each) for each in await it.claim()))
        assert {(await it.get(each)).reason for each in waits} == {"token_busy"}
        await watcher(it).look()
        assert await down(it) == []
