"""What every page says of accounts that need their owner: those that broke, and those that ask for a word."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from replysequence.domain.connection import Connection
from replysequence.services.deciding import Held
from replysequence.web.callers import TheServices, caller_or_none


@dataclass(frozen=True, slots=True)
class BrokenPlatform:
    """A platform of the reader's that needs reconnecting."""

    title: str
    connection: Connection


async def look(request: Request, services: TheServices) -> None:
    """Before a page is made: learn what waits for its reader. Parts of a page do not say it again."""
    caller = caller_or_none(request)
    if caller is not None and "hx-request" not in request.headers:
        request.state.held = await services.deciding.held(caller.id)
        request.state.broken = [
            BrokenPlatform(services.registry.provider(each.provider).title, each)
            for each in await services.logbook.broken(caller.id)
        ]


def held_of(request: Request) -> Sequence[Held]:
    """What waits for the reader of this page."""
    return cast(Sequence[Held], getattr(request.state, "held", ()))


def broken_of(request: Request) -> Sequence[BrokenPlatform]:
    """The reader's platforms that need reconnecting."""
    return cast(Sequence[BrokenPlatform], getattr(request.state, "broken", ()))
