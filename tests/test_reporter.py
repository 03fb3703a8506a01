"""The loop beside sending: it wakes for what is due, a CRM that hangs holds up nothing else, and it stops politely."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from replysequence import reporter
from replysequence.domain.report import ReportState
from replysequence.domain.send import Send, State
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.world import World
from replysequence.services.reporting import Reporting
from support.crm_connections import connect_crm
from support.office import PUBLIC_URL, Office, Opening, eventually, opening
from support.rolodex import Service, installed, service


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    world = World()
    world.register_app(PUBLIC_URL)
    with sandbox(world) as running:
        yield running


@pytest.fixture
def office(database_url: str, tmp_path: Path, box: RunningSandbox) -> Opening:
    return opening(database_url, tmp_path / "data", box)


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with service() as running:
        running.add("bob@customer.example")
        for target, name, value in installed(running.url):
            monkeypatch.setitem(target, name, value)
        yield running


async def is_logged(it: Office, send: Send) -> bool:
    return [report.state for report in (await it.get(send)).reports] == [ReportState.LOGGED]


async def is_sent(it: Office, send: Send) -> bool:
    return (await it.get(send)).state is State.SENT


async def test_a_send_that_leaves_wakes_who_logs(
    office: Opening, crm: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "LONGEST_SLEEP", 30.0)  # so that nothing but the wake-up can be the reason
    async with office() as it:
        alice = await it.person("Alice")
        connect_crm(it.app.database, it.app.vault, alice)
        working = asyncio.create_task(it.app.worker.run())
        await asyncio.sleep(0.2)
        send = await it.accept(alice)
        await eventually(lambda: is_logged(it, send), tries=200)
        it.app.worker.stop()
        await working
    assert crm.written() == {send.id: 1}


async def test_a_crm_that_hangs_delays_no_send_and_at_a_stop_what_is_written_ends(
    office: Opening, crm: Service
) -> None:
    crm.slow = 3.0
    async with office() as it:
        alice = await it.person("Alice")
        connect_crm(it.app.database, it.app.vault, alice)
        working = asyncio.create_task(it.app.worker.run())
        first = await it.accept(alice)
        await eventually(lambda: is_sent(it, first))
        while not crm.hanging:
            await asyncio.sleep(0.02)
        sends = [await it.accept(alice) for _ in range(5)]
        while not all([await is_sent(it, send) for send in sends]):
            assert "POST /entries" not in crm.asked, "they leave while the CRM still hangs"
            await asyncio.sleep(0.02)
        it.app.worker.stop()
        await working
        assert await is_logged(it, first)
        assert {(await it.get(send)).reports[0].attempts for send in sends} == {0}
    assert crm.written() == {first.id: 1}


async def test_a_bad_round_does_not_end_the_loop(
    office: Opening, crm: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    del crm
    claim, rounds = Reporting.claim, []

    async def broken_once(self: Reporting, *, room: dict[str, int]) -> object:
        rounds.append(room)
        if len(rounds) == 1:
            raise ZeroDivisionError
        return await claim(self, room=room)

    monkeypatch.setattr(Reporting, "claim", broken_once)
    monkeypatch.setattr(reporter, "LONGEST_SLEEP", 0.05)
    async with office() as it:
        alice = await it.person("Alice")
        connect_crm(it.app.database, it.app.vault, alice)
        send = await it.accept(alice)
        working = asyncio.create_task(it.app.worker.run())
        await eventually(lambda: is_logged(it, send))
        it.app.worker.stop()
        await working
    assert len(rounds) > 1
