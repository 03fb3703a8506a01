"""Workers that are killed while they log, at a CRM that fails before and after it wrote: each sent message is logged
once.

`LOGGED_SENDS` is how many messages; 1,000 is the long version.
"""

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from replysequence.domain.report import CrmOptions, ReportState
from replysequence.domain.send import Send, State
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.world import World
from support.crm_connections import connect_crm
from support.office import PUBLIC_URL, Office, opening
from support.pace import UNPACED
from support.rolodex import Service, installed, service

SENDS = int(os.environ.get("LOGGED_SENDS", "40"))
PEOPLE = 4
FAULTS = (("before", "reset"), ("before", 503), ("after", "reset"), ("after", 500))
KILL_EVERY = (0.1, 0.8)
"""Seconds between the first report that a worker logs and its death."""

VICTIM = """
import asyncio, os
from datetime import timedelta
from replysequence import reporter, settings, worker, working
from replysequence.services import reporting
from support.rolodex import installed
for target, name, value in installed(os.environ["ROLODEX_URL"]):
    target[name] = value
reporting.PAUSES = (timedelta(seconds=0.1),)
reporter.LONGEST_SLEEP = worker.LONGEST_SLEEP = 0.1
worker.REAP_EVERY = 0.2
asyncio.run(working.work(settings.read(os.environ)))
"""


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    world = World()
    world.register_app(PUBLIC_URL)
    with sandbox(world) as running:
        yield running


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with service() as running:
        running.add("bob@customer.example")
        for target, name, value in installed(running.url):
            monkeypatch.setitem(target, name, value)
        yield running


def start(environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", VICTIM], env=environment, stdout=log, stderr=log)


async def prepared(it: Office) -> list[Send]:
    """People with a CRM each, and accepted sends of theirs."""
    people = [await it.person(f"Seller{number}") for number in range(PEOPLE)]
    for number, person in enumerate(people):
        connect_crm(
            it.app.database,
            it.app.vault,
            person,
            subject=f"seller{number}",
            options=CrmOptions(create_contacts=number % 2 == 0),
        )
    return [await it.accept(people[number % PEOPLE]) for number in range(SENDS)]


async def unfinished(it: Office, made: list[Send]) -> bool:
    """Whether a send has a report that is not logged yet, or is not sent."""
    for send in made:
        now = await it.get(send)
        if now.state is not State.SENT or [each.state for each in now.reports] != [ReportState.LOGGED]:
            return True
    return False


async def test_each_sent_message_is_logged_once_whoever_is_killed(
    database_url: str, tmp_path: Path, box: RunningSandbox, crm: Service
) -> None:
    chance = random.Random(7)
    environment = {
        **os.environ,
        **box.environment,
        **UNPACED,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "DATABASE_URL": database_url,
        "REPLYSEQUENCE_DATA_DIR": str(tmp_path / "data"),
        "PUBLIC_URL": PUBLIC_URL,
        "ROLODEX_URL": crm.url,
    }
    crm.chance = lambda: chance.choice(FAULTS) if chance.random() < 0.4 else None
    crm.slow = 0.005
    kills = 0
    async with opening(database_url, tmp_path / "data", box)() as it:
        made = await prepared(it)
        with (tmp_path / "output").open("wb") as log:
            victim = start(environment, log)
            try:
                while len(crm.written()) < SENDS:
                    seen = len(crm.entries)
                    while len(crm.entries) == seen and victim.poll() is None:
                        await asyncio.sleep(0.02)
                    await asyncio.sleep(chance.uniform(*KILL_EVERY))
                    victim.kill()
                    victim.wait()
                    kills += 1
                    victim = start(environment, log)
                while await unfinished(it, made):
                    await asyncio.sleep(0.1)
            finally:
                victim.kill()
                victim.wait()
    assert crm.written() == Counter({send.id: 1 for send in made})
    assert kills >= 1
    assert crm.struck > SENDS / 10
