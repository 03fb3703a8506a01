"""The only door to an access token: one refresh for all who ask, nothing lost, nobody disconnected by mistake."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import update

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.errors import (
    DatabaseUnavailable,
    Misconfigured,
    ReconnectNeeded,
    TryLater,
    VaultError,
)
from replysequence.domain.event import Kind
from replysequence.domain.send import State
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.running import RunningSandbox
from replysequence.services import tokens
from replysequence.storage import connections
from replysequence.storage.database import Transaction
from replysequence.storage.tables import email_connections
from support.office import DANA, DANA_AT_CONTOSO, DANA_AT_HOME, PUBLIC_URL, Office, Opening

ASKER = """
import asyncio, os, sys
from replysequence import app, settings

async def ask():
    async with app.running(settings.read(os.environ)) as parts:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        usable = await parts.worker._dispatching._tokens.usable(sys.argv[1])
        print(usable.generation, flush=True)

asyncio.run(ask())
"""


def token_fault(box: RunningSandbox, kind: str, **more: object) -> None:
    fault = Fault(kind=kind, vendor=Vendor.GOOGLE, endpoint=Endpoint.TOKEN, **more)  # type: ignore[arg-type]
    box.world.faults.arm(fault)


def refreshes(box: RunningSandbox) -> int:
    """How often the token endpoint gave access tokens, besides those of the consents."""
    world = box.world
    return len(world.credentials.access_tokens) - sum(code.used for code in world.credentials.codes.values())


async def status(it: Office, user_id: str) -> ConnectionStatus:
    (mailbox,) = await it.connections(user_id)
    return mailbox.status


async def test_a_fresh_token_is_used_without_asking_anybody(office: Opening, box: RunningSandbox) -> None:
    async with office() as it:
        mailbox = await it.connect(await it.person("Alice"))
        assert (await it.tokens.usable(mailbox.id)).generation == 1
        assert refreshes(box) == 0


async def test_fifty_callers_at_once_cause_one_refresh(office: Opening, box: RunningSandbox) -> None:
    async with office() as it:
        mailbox = await it.connect(await it.person("Alice"))
        await it.expire_access_tokens()
        given = await asyncio.gather(*(it.tokens.usable(mailbox.id) for _ in range(50)))
        assert len({usable.access_token.reveal() for usable in given}) == 1
        assert {usable.generation for usable in given} == {2}
        assert refreshes(box) == 1


@contextmanager
def asker(connection_id: str, *, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that will ask for a token when told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", ASKER, connection_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answers(process: subprocess.Popen[str]) -> str:
    """The next line of `process` that is no log line."""
    assert process.stdout is not None
    while line := process.stdout.readline():
        if not line.startswith(("2", "\x1b")) or line.strip().isdigit():
            return line.strip()
    raise AssertionError("the process ended")


async def test_four_processes_at_once_cause_one_refresh(
    office: Opening, box: RunningSandbox, database_url: str, tmp_path: Path
) -> None:
    environment = {
        **box.environment,
        "DATABASE_URL": database_url,
        "REPLYSEQUENCE_DATA_DIR": str(tmp_path / "data"),
        "PUBLIC_URL": PUBLIC_URL,
    }
    box.world.faults.arm(
        Fault(kind="slow", vendor=Vendor.GOOGLE, endpoint=Endpoint.TOKEN, delay_seconds=0.3, count=None)
    )
    async with office() as it:
        mailbox = await it.connect(await it.person("Alice"))
        await it.expire_access_tokens()
        with ExitStack() as processes:
            askers = [processes.enter_context(asker(mailbox.id, environment=environment)) for _ in range(4)]
            assert [await asyncio.to_thread(answers, each) for each in askers] == ["ready"] * 4
            for each in askers:
                assert each.stdin is not None
                each.stdin.write("go\n")
                each.stdin.flush()
            assert [await asyncio.to_thread(answers, each) for each in askers] == ["2"] * 4
    assert refreshes(box) == 1


async def test_a_rotated_refresh_token_is_kept_even_where_each_works_only_once(
    office: Opening, box: RunningSandbox
) -> None:
    box.world.accounts.at(Vendor.MICROSOFT, DANA_AT_CONTOSO).switch({"at_token": "one_time_refresh_tokens"})
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice, provider="outlook", account=DANA_AT_CONTOSO)
        for generation in (2, 3, 4):
            await it.expire_access_tokens()
            assert (await it.tokens.usable(mailbox.id)).generation == generation
        assert (await it.sent(alice)).state is State.SENT


async def test_a_rotated_refresh_token_outlives_a_database_that_is_away(
    office: Opening, box: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.world.accounts.at(Vendor.MICROSOFT, DANA_AT_CONTOSO).switch({"at_token": "one_time_refresh_tokens"})
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice, provider="outlook", account=DANA_AT_CONTOSO)
        await it.expire_access_tokens()
        store, tries = tokens._store, []

        def no_database(*given: object, **more: object) -> bool:
            tries.append(1)
            if len(tries) < 3:
                raise DatabaseUnavailable("away", may_have_committed=False)
            return store(*given, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(tokens, "_store", no_database)
        assert (await it.tokens.usable(mailbox.id)).generation == 2
        await it.expire_access_tokens()
        assert (await it.tokens.usable(mailbox.id)).generation == 3


async def test_an_answer_without_a_refresh_token_keeps_the_old_one(office: Opening) -> None:
    async with office() as it:  # Google never sends one with a refresh
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        for generation in (2, 3):
            await it.expire_access_tokens()
            assert (await it.tokens.usable(mailbox.id)).generation == generation


async def test_one_invalid_grant_is_looked_at_twice(office: Opening, box: RunningSandbox) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        await it.expire_access_tokens()
        token_fault(box, "invalid_grant")
        assert (await it.tokens.usable(mailbox.id)).generation == 2
        assert await status(it, alice) is ConnectionStatus.ACTIVE


async def test_a_grant_that_is_gone_needs_a_reconnect_is_told_and_holds_every_send(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        box.world.credentials.revoke_all(box.world.accounts.at(Vendor.GOOGLE, DANA))
        await it.expire_access_tokens()
        first, second = await it.accept(alice), await it.accept(alice)
        await it.work()
        for send in (await it.get(first), await it.get(second)):
            assert (send.state, send.reason, send.next_at) == (State.WAITING, "grant_gone", None)
        assert await status(it, alice) is ConnectionStatus.NEEDS_RECONNECT
        told = (await it.app.services.history.events(alice)).items
        assert [event.connection_id for event in told if event.kind is Kind.CONNECTION_RECONNECT_NEEDED] == [
            mailbox.id
        ]
        with pytest.raises(ReconnectNeeded):
            await it.tokens.usable(mailbox.id)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refused_503", TryLater),
        ("refused_429", TryLater),
        ("refused_500", TryLater),
        ("html", TryLater),
        ("reset_before_acceptance", TryLater),
        ("invalid_client", Misconfigured),
    ],
)
async def test_what_is_not_the_persons_fault_disconnects_nobody(
    office: Opening, box: RunningSandbox, kind: str, error: type[Exception]
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        await it.expire_access_tokens()
        token_fault(box, kind)
        with pytest.raises(error):
            await it.tokens.usable(mailbox.id)
        assert await status(it, alice) is ConnectionStatus.ACTIVE
        assert (await it.tokens.usable(mailbox.id)).generation == 2


async def test_scopes_that_shrink_need_a_reconnect(office: Opening, box: RunningSandbox) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        for token in box.world.credentials.refresh_tokens.values():
            token.scopes = tuple(scope for scope in token.scopes if not scope.endswith("gmail.send"))
        await it.expire_access_tokens()
        with pytest.raises(ReconnectNeeded) as needed:
            await it.tokens.usable(mailbox.id)
        assert needed.value.code == "scope_missing"
        assert await status(it, alice) is ConnectionStatus.NEEDS_RECONNECT


async def test_a_broken_cell_of_the_vault_takes_only_its_own_connection_out_of_service(
    office: Opening,
) -> None:
    async with office() as it:
        alice, bob = await it.person("Alice"), await it.person("Bob")
        mailbox = await it.connect(alice)
        await it.connect(bob, account=DANA_AT_HOME)
        await it.app.database.transaction(_damage, mailbox.id)
        with pytest.raises(VaultError):
            await it.tokens.usable(mailbox.id)
        assert await status(it, alice) is ConnectionStatus.NEEDS_RECONNECT
        assert (await it.sent(alice)).state is State.WAITING
        assert (await it.sent(bob)).state is State.SENT


def _damage(transaction: Transaction, connection_id: str) -> None:
    of_it = update(email_connections).where(email_connections.c.id == connection_id)
    transaction.execute(of_it.values(access_token_encrypted="ev1.nobody.AAAA"))


async def test_tokens_that_come_during_a_disconnect_are_thrown_away(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        await it.expire_access_tokens()
        box.world.faults.arm(
            Fault(kind="slow", vendor=Vendor.GOOGLE, endpoint=Endpoint.TOKEN, delay_seconds=0.4)
        )
        asking = asyncio.create_task(it.tokens.usable(mailbox.id))
        await asyncio.sleep(0.15)
        await it.app.database.transaction(
            connections.begin_disconnect, user_id=alice, connection_id=mailbox.id
        )
        with pytest.raises(ReconnectNeeded) as refused:
            await asking
        assert refused.value.code == "disconnected"
        assert (await it.connections(alice))[0].token_generation == 1
