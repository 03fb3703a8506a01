"""How many requests a process has in hand at the same time. Who comes on top of them is asked to come again, before
anything is read or written: a queue without an end would keep everybody waiting, and work for those who have left.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from replysequence.web import errors

MOST: Final = 500
"""Requests in hand at most, those among them that wait for an outcome too."""

APART: Final = re.compile(r"/healthz|/readyz|/metrics|/static/.+")
"""What is small and asked for by whoever watches the service, or by a page that is there already: it has a share of
its own, so that a busy service does not look like a dead one."""

MOST_APART: Final = 100

TOO_BUSY: Final = errors.Problem(
    503,
    "too_busy",
    "There is too much to do at the moment. Nothing was done; please try again in a few seconds.",
    headers={"Retry-After": "2"},
)


@dataclass(slots=True)
class _Share:
    """So many requests at most, and how many there are."""

    most: int
    in_hand: int = 0


@dataclass(frozen=True, slots=True)
class Admission:
    """ASGI middleware. ``make_room`` ends the wait of a request that only waits for an outcome, and answers soon with
    what is known; it says no when none does. So no number of those keeps out a request that has something to do.
    """

    app: ASGIApp
    make_room: Callable[[], bool]
    _usual: _Share = field(default_factory=lambda: _Share(MOST), init=False)
    _apart: _Share = field(default_factory=lambda: _Share(MOST_APART), init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        share = self._apart if APART.fullmatch(scope["path"]) else self._usual
        if share.in_hand >= share.most and (share is self._apart or not self.make_room()):
            await errors.respond(Request(scope), TOO_BUSY)(scope, receive, send)
            return
        share.in_hand += 1
        try:
            await self.app(scope, receive, send)
        finally:
            share.in_hand -= 1
