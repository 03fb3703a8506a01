"""Who sends in a crash test: people with API keys, connected mailboxes and drafts, made before the trouble begins."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, zip_longest
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from crash.fleet import Fleet
from replysequence import app as parts
from replysequence.domain.draft import DraftContent
from replysequence.domain.message import Address
from replysequence.storage import users
from support.consent import approve

T = TypeVar("T")

VENDORS = {"gmail": "google", "outlook": "microsoft"}
MAILBOXES_OF_A_PERSON = 15
"""Fewer than a person may connect in one go."""
BROWSER = "a" * 64
"""The hash of the session of somebody's browser."""

_numbers = count(1)


@dataclass(frozen=True)
class Order:
    """One click on Send: which draft, whose key, and the idempotency key that the page carries."""

    api_key: str
    draft_id: str
    subject: str
    idempotency_key: str


@dataclass(frozen=True)
class Box:
    """A connected mailbox."""

    connection_id: str
    provider: str
    email: str


@dataclass(frozen=True)
class Seller:
    """A person with an API key, and their connected mailboxes."""

    user_id: str
    api_key: str
    mailboxes: tuple[Box, ...]


class Desk:
    """Makes sellers and drafts with parts of the app in this process, on the fleet's database and sandbox."""

    def __init__(self, ships: Fleet, app: parts.App) -> None:
        self.ships = ships
        self._app = app

    async def seller(self, mailboxes: Sequence[str] = ()) -> Seller:
        """A new person with one account at each provider of `mailboxes`, connected."""
        number = next(_numbers)
        person = await self._app.database.transaction(
            users.create,
            email=f"seller{number}@team.example",
            name=f"Seller {number}",
            password_hash="-",
            is_admin=False,
        )
        _, key = await self._app.services.signing_in.create_api_key(person.id, name="crash test")
        boxes = await asyncio.gather(*(self.connect(person.id, provider) for provider in mailboxes))
        return Seller(person.id, key.reveal(), tuple(boxes))

    async def connect(self, user_id: str, provider: str, *, email: str | None = None) -> Box:
        """Connect an account at this provider, a new one unless told."""
        email = email or self.new_account(provider)
        connecting = self._app.services.connecting
        url = await connecting.start(user_id, provider=provider, session_hash=BROWSER)
        back = await asyncio.to_thread(approve, re.sub(r"login_hint=[^&]*&", "", url), account=email)
        finished = await connecting.finish(
            user_id, session_hash=BROWSER, provider=provider, parameters=parse_qsl(urlsplit(back).query)
        )
        return Box(finished.connection.id, provider, email)

    def new_account(self, provider: str) -> str:
        """Somebody at this provider whom nobody has connected yet; the address."""
        return self.ships.providers.add_account(VENDORS[provider], f"box{next(_numbers)}@team.example")

    async def order(self, seller: Seller, *, connection_id: str | None = None) -> Order:
        """A draft of this seller, to leave by that mailbox, and the click on its button."""
        number = next(_numbers)
        content = DraftContent(
            to=(Address("Charlie", f"charlie{number}@customer.example"),),
            subject=f"Our meeting {number}",
            html=f"<p>Hello Charlie, this is number {number}.</p>",
            connection_id=connection_id,
        )
        draft = await self._app.services.drafting.create(seller.user_id, content=content)
        return Order(seller.api_key, draft.id, content.subject, f"click-{number}")

    async def orders(self, seller: Seller, *, connection_id: str | None, number: int) -> list[Order]:
        """So many drafts for one mailbox, or for the relay."""
        return list(
            await asyncio.gather(*(self.order(seller, connection_id=connection_id) for _ in range(number)))
        )


def at_the_desk(ships: Fleet, work: Callable[[Desk], Awaitable[T]]) -> T:
    """Do `work` at a desk of this fleet, from code that runs in no event loop."""

    async def do() -> T:
        async with parts.running(ships.settings) as app:
            return await work(Desk(ships, app))

    return asyncio.run(do())


def campaign(ships: Fleet, *, mailboxes: Mapping[str, int], each: int = 0, relayed: int = 0) -> list[Order]:
    """Orders through so many new mailboxes of each provider, `each` of them a mailbox, and `relayed` ones of
    somebody who has connected nothing; taken from every mailbox in turn, as in life.
    """
    wanted = [provider for provider, number in mailboxes.items() for _ in range(number)]

    async def prepare(desk: Desk) -> list[Order]:
        queues: list[list[Order]] = []
        for start in range(0, len(wanted), MAILBOXES_OF_A_PERSON):
            seller = await desk.seller(wanted[start : start + MAILBOXES_OF_A_PERSON])
            queues += [
                await desk.orders(seller, connection_id=mailbox.connection_id, number=each)
                for mailbox in seller.mailboxes
            ]
        if relayed:
            queues.append(await desk.orders(await desk.seller(), connection_id=None, number=relayed))
        return [order for turn in zip_longest(*queues) for order in turn if order is not None]

    return at_the_desk(ships, prepare)
