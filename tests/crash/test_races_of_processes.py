"""Several processes at the same thing at the same moment: one token call, one send, no token left behind."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from crash.default_account import shuffle
from crash.fleet import Fleet, fleet
from crash.races import disconnects, double_clicks, refresh_storm
from crash.sellers import Desk, Order, at_the_desk
from crash.storm import loosen
from replysequence.storage.database import Database
from replysequence.storage.keys import Key
from replysequence.storage.vault import Vault

WEB = {"sqlite": 2, "postgresql": 4}


@pytest.fixture
def ships(database_kind: str, database_url: str, tmp_path: Path) -> Iterator[Fleet]:
    with fleet(database_url, tmp_path / "fleet", web=WEB[database_kind], workers=1) as running:
        loosen(running.providers, send_latency_seconds=0.15)
        yield running


def test_many_callers_in_several_processes_cause_one_token_call_a_round(
    database_url: str, tmp_path: Path
) -> None:
    with fleet(database_url, tmp_path / "fleet", web=0, workers=0) as ships:
        figures = refresh_storm(ships, tmp_path, processes=3, callers=60, rounds=5)

    assert figures.token_calls == Counter({1: 5})
    assert figures.tokens == Counter({1: 5})
    assert figures.errors == Counter()
    assert figures.refusals == 0


def test_clicks_and_disconnects_meet_processes_that_know_nothing_of_each_other(ships: Fleet) -> None:
    async def two_orders(desk: Desk) -> list[Order]:
        seller = await desk.seller(["gmail"])
        (box,) = seller.mailboxes
        return [
            await desk.order(seller, connection_id=box.connection_id),
            await desk.order(await desk.seller()),
        ]

    orders = at_the_desk(ships, two_orders)
    answers = double_clicks(ships, orders, times=20)

    assert [len(different) for different in answers] == [1, 1], "the same click was answered in two ways"
    assert [line["subject"] for line in ships.providers.ledger()] == [order.subject for order in orders]

    figures = disconnects(ships, mailboxes=10, within=0.5, seed=7)

    assert figures.broken == []
    assert figures.states.total() == 2 * 10


def test_there_is_one_default_account_whatever_eight_threads_do_to_them(database_url: str) -> None:
    databases = [Database.open(database_url) for _ in range(2)]
    try:
        vault = Vault([Key("first", bytes(range(32)))])
        seen = shuffle(databases, vault=vault, threads=8, steps=40, seed=3)
    finally:
        for database in databases:
            database.close()

    assert seen.keys() <= {"right", "too late"}
    assert seen["right"] == 8 * 40
