"""The parts of a running process at work on a database and a sandbox, with everything real but the vendors."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import update

from replysequence import app as parts
from replysequence import settings as settings_module
from replysequence.domain.connection import Connection
from replysequence.domain.draft import Draft, DraftContent
from replysequence.domain.message import Address
from replysequence.domain.send import Send, State
from replysequence.sandbox.running import RunningSandbox
from replysequence.services.connecting import Connected
from replysequence.services.dispatching import Dispatching
from replysequence.services.tokens import Tokens
from replysequence.storage import users
from replysequence.storage.claims import Claimed
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import email_connections, routes, sends
from support.consent import approve
from support.pace import UNPACED

PUBLIC_URL = "http://localhost:8000"
DANA = "dana.reyes@brightwave.example"
DANA_AT_HOME = "dana.reyes@gmail.example"
DANA_AT_CONTOSO = "dana.reyes@contoso.example"
BROWSER = "a" * 64
"""The hash of the session of somebody's browser."""

DRAFT = DraftContent(
    to=(Address("Bob", "bob@customer.example"),), subject="Our meeting", html="<p>Hello Bob</p>"
)

A_MOMENT = 0.2
"""Seconds; between two calls of a relay lies less."""

_numbers = count(1)


@dataclass
class Office:
    """One process: its parts, and shorthands for what people and workers do."""

    app: parts.App
    box: RunningSandbox

    @property
    def dispatching(self) -> Dispatching:
        return self.app.worker._dispatching

    @property
    def tokens(self) -> Tokens:
        return self.dispatching._tokens

    async def person(self, name: str) -> str:
        """Somebody with an account; their id."""
        made = await self.app.database.transaction(
            users.create,
            email=f"{name.lower()}{next(_numbers)}@team.example",
            name=name,
            password_hash="-",
            is_admin=False,
        )
        return made.id

    async def consent(
        self, user_id: str, *, account: str = DANA, provider: str = "gmail", **more: Any
    ) -> list[tuple[str, str]]:
        """Start a flow and agree at the provider; the query that comes back.

        The person picks the account, also where the provider was told which one we expect.
        """
        given = {name: more.pop(name) for name in ("untick",) if name in more}
        url = await self.app.services.connecting.start(
            user_id, provider=provider, session_hash=BROWSER, **more
        )
        back = await asyncio.to_thread(
            approve, re.sub(r"login_hint=[^&]*&", "", url), account=account, **given
        )
        return parse_qsl(urlsplit(back).query)

    async def finish(
        self, user_id: str, parameters: list[tuple[str, str]], *, provider: str = "gmail"
    ) -> Connected:
        return await self.app.services.connecting.finish(
            user_id, session_hash=BROWSER, provider=provider, parameters=parameters
        )

    async def connect(self, user_id: str, *, account: str = DANA, provider: str = "gmail") -> Connection:
        """Connect an account, from the click to the stored connection."""
        parameters = await self.consent(user_id, account=account, provider=provider)
        return (await self.finish(user_id, parameters, provider=provider)).connection

    async def connections(self, user_id: str) -> list[Connection]:
        sections = await self.app.services.connecting.integrations(user_id)
        return [each for _, cards in sections for card in cards for each in card.connections]

    async def draft(self, user_id: str, **changes: Any) -> Draft:
        return await self.app.services.drafting.create(user_id, content=replace(DRAFT, **changes))

    async def accept(self, user_id: str, **changes: Any) -> Send:
        """A new draft, accepted for sending."""
        draft = await self.draft(user_id, **changes)
        send, _ = await self.app.services.sending.accept(user_id, draft_id=draft.id)
        return send

    async def work(self) -> int:
        """Carry out everything that is due now, and what that makes due at once; how many attempts."""
        done = 0
        while claimed := await self.claim():
            await asyncio.gather(*(self.dispatching.carry_out(each) for each in claimed))
            done += len(claimed)
        return done

    async def claim(self) -> list[Claimed]:
        """What a worker takes now, or once a relay's pace allows."""
        room = dict.fromkeys(self.dispatching.senders, 100)
        claimed, again_in = await self.dispatching.claim(room=room)
        if not claimed and again_in is not None and again_in < A_MOMENT:
            await asyncio.sleep(again_in)
            claimed, _ = await self.dispatching.claim(room=room)
        return claimed

    async def get(self, send: Send) -> Send:
        return await self.app.services.sending.get(send.user_id, send_id=send.id)

    async def sent(self, user_id: str, **changes: Any) -> Send:
        """Accept a send and carry it out; as it is then."""
        send = await self.accept(user_id, **changes)
        await self.work()
        return await self.get(send)

    async def skip_waits(self) -> None:
        """As if every backoff and pause had passed."""
        await self.app.database.transaction(_make_due)

    async def expire_access_tokens(self) -> None:
        """As if every access token had reached its end."""
        await self.app.database.transaction(_expire)

    def accepted_by_provider(self, send: Send) -> int:
        """How often the sandbox's ledger has this send: more than once is a duplicate."""
        return len(self.box.world.ledger.of_send(send.id))


Opening = Callable[..., AbstractAsyncContextManager[Office]]
Condition = Callable[[], Awaitable[bool]]


async def eventually(condition: Condition, *, tries: int = 600) -> None:
    """Wait until `condition` holds. Raises AssertionError when it never does."""
    for _ in range(tries):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about")


def opening(database_url: str, data_dir: Path, box: RunningSandbox) -> Opening:
    """A way to open offices on this database and sandbox; several may be open at once."""

    @asynccontextmanager
    async def open_office(**environ: str) -> AsyncIterator[Office]:
        settings = settings_module.read(
            {
                **box.environment,
                **UNPACED,
                "DATABASE_URL": database_url,
                "REPLYSEQUENCE_DATA_DIR": str(data_dir),
                "PUBLIC_URL": PUBLIC_URL,
                **environ,
            }
        )
        async with parts.running(settings) as app:
            yield Office(app, box)

    return open_office


def _make_due(transaction: Transaction) -> None:
    past = now(transaction) - timedelta(seconds=1)
    waiting = sends.c.next_at.is_not(None) & sends.c.state.in_((State.QUEUED, State.WAITING))
    transaction.execute(update(sends).where(waiting).values(next_at=past))
    transaction.execute(update(routes).values(paused_until=None, paced_until=None))
    transaction.execute(update(routes).where(routes.c.next_at.is_not(None)).values(next_at=past))


def _expire(transaction: Transaction) -> None:
    transaction.execute(update(email_connections).values(access_token_expires_at=now(transaction)))
