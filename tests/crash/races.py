"""Several processes, or several threads, at the same thing at the same moment, and what came of it.

Each function runs one race so often and returns figures; tests run them briefly, `make soak` at length.
"""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select, update

from crash.fleet import Fleet, until
from crash.sellers import Box, Desk, Order, Seller, at_the_desk
from replysequence.domain.send import IN_HAND, State
from replysequence.storage.database import Database
from replysequence.storage.tables import email_connections, sends

CALLER = Path(__file__).with_name("caller.py")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN_ANSWERS_AFTER = 0.03
"""Seconds: long enough for every process to find that the token is due."""


@contextmanager
def opened(ships: Fleet) -> Iterator[Database]:
    """The fleet's database, in this process."""
    database = Database.open(ships.database_url)
    try:
        yield database
    finally:
        database.close()


# --- A refresh storm ---------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class RefreshStorm:
    """`token_calls` and `tokens` count rounds, by the number of calls and of different tokens in a round."""

    token_calls: Counter[int] = field(default_factory=Counter)
    tokens: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    refusals: int = 0
    """Refused refreshes that any process logged."""


def refresh_storm(ships: Fleet, folder: Path, *, processes: int, callers: int, rounds: int) -> RefreshStorm:
    """So many callers, spread over processes, want a token that is due, at a provider where each refresh token
    works once.
    """
    box = at_the_desk(ships, _strict_mailbox)
    figures = RefreshStorm()
    logs = [folder / f"caller-{number}.log" for number in range(processes)]
    with opened(ships) as database, ExitStack() as stack:
        running = [stack.enter_context(_caller(ships, box.connection_id, log=log)) for log in logs]
        for process in running:
            assert _line(process) == "ready"
        for _ in range(rounds):
            database.run(_expire, connection_id=box.connection_id)
            before = _token_calls(ships)
            got: Counter[str] = Counter()
            for process in running:
                assert process.stdin is not None
                process.stdin.write(f"{callers // processes}\n")
                process.stdin.flush()
            for process in running:
                got.update(json.loads(_line(process)))
            figures.token_calls[_token_calls(ships) - before] += 1
            figures.tokens[sum(" " in answer for answer in got)] += 1
            figures.errors.update({answer: number for answer, number in got.items() if " " not in answer})
    figures.refusals = sum(log.read_text().count("token.refused") for log in logs)
    return figures


async def _strict_mailbox(desk: Desk) -> Box:
    seller = await desk.seller(["outlook"])
    (box,) = seller.mailboxes
    providers = desk.ships.providers
    providers.switch(box.email, vendor="microsoft", at_token="one_time_refresh_tokens")
    providers.arm("slow", vendor="microsoft", endpoint="token", count=None, delay_seconds=TOKEN_ANSWERS_AFTER)
    return box


def _token_calls(ships: Fleet) -> int:
    return sum(strike["endpoint"] == "token" for strike in ships.providers.strikes())


def _expire(connection: Transaction, *, connection_id: str) -> None:
    connection.execute(
        update(email_connections)
        .where(email_connections.c.id == connection_id)
        .values(access_token_expires_at=LONG_AGO)
    )


@contextmanager
def _caller(ships: Fleet, connection_id: str, *, log: Path) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, str(CALLER), connection_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=ships.process_environ,
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the caller ended"
    return line.strip()


# --- A double click ----------------------------------------------------------------------------------------------


def double_clicks(ships: Fleet, orders: Sequence[Order], *, times: int) -> list[list[str]]:
    """Each order clicked so many times at once, over all web processes: the different answers that it got."""
    with ThreadPoolExecutor(times) as threads:
        return [_clicked(ships, order, threads, times=times) for order in orders]


def _clicked(ships: Fleet, order: Order, threads: ThreadPoolExecutor, *, times: int) -> list[str]:
    start = Barrier(times)

    def click(number: int) -> str:
        start.wait()
        answer = ships.request(
            "POST",
            "/api/drafts/send",
            key=order.api_key,
            number=number % len(ships.web),
            headers={"Idempotency-Key": order.idempotency_key, "Prefer": "wait=15"},
            json_body={"draft_id": order.draft_id},
        )
        return f"{answer.status} {answer.text}"

    return sorted(set(threads.map(click, range(times))))


# --- Disconnecting at any moment of a send -----------------------------------------------------------------------


@dataclass(kw_only=True)
class Disconnects:
    """What became of sends whose mailbox was disconnected at a random moment."""

    states: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    """What must not be, in words."""


def disconnects(ships: Fleet, *, mailboxes: int, within: float, seed: int) -> Disconnects:
    """Two sends by each of so many Gmail mailboxes of one person, who disconnects it up to `within` seconds later:
    the first is on its way by then, the second perhaps not.
    """
    chance = random.Random(seed)

    async def prepare(desk: Desk) -> tuple[Seller, list[list[Order]]]:
        seller = await desk.seller(["gmail"] * mailboxes)
        return seller, [
            await desk.orders(seller, connection_id=box.connection_id, number=2) for box in seller.mailboxes
        ]

    seller, orders = at_the_desk(ships, prepare)
    waits = [chance.uniform(0, within) for _ in orders]
    with ThreadPoolExecutor(mailboxes) as threads:
        ids = list(threads.map(_send_and_disconnect, [ships] * mailboxes, seller.mailboxes, orders, waits))
    with opened(ships) as database:
        until(
            lambda: database.run(_left, connection_ids=[box.connection_id for box in seller.mailboxes]) == 0,
            what="the end of every disconnect",
        )
        stored = database.run(_stored, send_ids=[send_id for pair in ids for send_id in pair])
    figures = Disconnects(states=Counter(state for state, _ in stored.values()))
    ledger = ships.providers.ledger()
    for box, pair, sent in zip(seller.mailboxes, orders, ids, strict=True):
        for order, send_id in zip(pair, sent, strict=True):
            figures.broken += _broken(*stored[send_id], box=box, taken=_taken(ledger, order))
    granted = [grant["account"] for grant in ships.providers.grants() if not grant["revoked"]]
    figures.broken += [f"{box.email} still trusts us" for box in seller.mailboxes if box.email in granted]
    return figures


def _send_and_disconnect(ships: Fleet, box: Box, orders: Sequence[Order], wait: float) -> list[str]:
    sent = [_send(ships, order) for order in orders]
    time.sleep(wait)
    answer = ships.request(
        "POST",
        f"/api/integrations/{box.provider}/disconnect",
        key=orders[0].api_key,
        number=-1,
        json_body={"connection_id": box.connection_id},
    )
    assert answer.status == 200, answer.text
    return sent


def _send(ships: Fleet, order: Order) -> str:
    answer = ships.request(
        "POST",
        "/api/drafts/send",
        key=order.api_key,
        headers={"Idempotency-Key": order.idempotency_key, "Prefer": "wait=0"},
        json_body={"draft_id": order.draft_id},
    )
    assert answer.status in (200, 202), answer.text
    return str(answer.json["id"])


def _left(connection: Transaction, *, connection_ids: Sequence[str]) -> int:
    """Rows that still hold a token, and sends that somebody still works on."""
    held: int = connection.execute(
        select(func.count()).where(email_connections.c.id.in_(connection_ids))
    ).scalar_one()
    working: int = connection.execute(
        select(func.count()).where(sends.c.route_id.in_(connection_ids), sends.c.state.in_(IN_HAND))
    ).scalar_one()
    return held + working


def _stored(connection: Transaction, *, send_ids: Sequence[str]) -> dict[str, tuple[State, str]]:
    rows = connection.execute(select(sends.c.id, sends.c.state, sends.c.via).where(sends.c.id.in_(send_ids)))
    return {row.id: (State(row.state), row.via) for row in rows}


def _taken(ledger: Sequence[dict[str, Any]], order: Order) -> list[tuple[str, str]]:
    return [(line["vendor"], line["account"]) for line in ledger if line["subject"] == order.subject]


def _broken(state: State, via: str, *, box: Box, taken: list[tuple[str, str]]) -> list[str]:
    expected = {State.SENT: 1, State.WAITING: 0, State.CANCELLED: 0}
    found = []
    if via != box.provider or any(line != ("google", box.email) for line in taken):
        found.append(f"a send of {box.email} left by {taken}")
    if expected.get(state) != len(taken):
        found.append(f"a send of {box.email} is {state}, and was taken {len(taken)} times")
    return found
