"""Where a process can be made to break: the seams of the engine, by name, and how each is wrapped.

A failpoint is written `seam.moment:effect`. A transaction has the moments `before` it, `inside` it (all is
written, nothing committed) and `after` it (committed, and nobody has seen that yet). The exchange with the
provider has a moment for each phase that it reaches: the effect comes just before that phase is entered.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from typing import Any, Final

from replysequence.domain.errors import DatabaseUnavailable
from replysequence.providers import http
from replysequence.storage.database import Database

TRANSACTIONS: Final = {
    "accept": ("replysequence.services.sending", "write"),
    "claim": ("replysequence.services.dispatching", "_claim"),
    "begin": ("replysequence.services.dispatching", "Dispatching._begin"),
    "end": ("replysequence.services.dispatching", "_end"),
    "store": ("replysequence.services.tokens", "_store"),
}
"""Seam → module and name of what is handed to :meth:`Database.transaction` there. `store` keeps fresh tokens."""

PHASES: Final = {
    "connect": (http.Phase.NOT_CONNECTED, 1),
    "connected": (http.Phase.CONNECTED, 1),
    "mid_body": (http.Phase.HEADERS_SENT, 2),
    "last_piece": (http.Phase.BODY_SENT, 1),
    "status": (http.Phase.STATUS_RECEIVED, 1),
}
"""Moment of the seam `http` → the phase, and the how-manieth time it is reached: the second piece is mid-body."""

_SENDING_PATHS = ("/messages/send", "/sendMail", "/emails")

_NOT_CONFIRMED: Final[Mapping[str, Callable[[], Exception]]] = {
    "before": lambda: DatabaseUnavailable("It is away.", may_have_committed=False),
    "after": lambda: DatabaseUnavailable("The answer to COMMIT was lost.", may_have_committed=True),
}
_ERRORS: Final[Mapping[str, Callable[[], Exception]]] = {
    "refused": lambda: ConnectionRefusedError(111, "Connection refused"),
    "no_name": lambda: socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    "reset": lambda: ConnectionResetError(104, "Connection reset by peer"),
    "no_tls": lambda: ssl.SSLError("wrong version number"),
}

Effect = Callable[[], None]


def arm(failpoint: str, *, effects: Mapping[str, Effect], tell: Callable[[str], None]) -> None:
    """Wrap the seam of `failpoint` in this process.

    It tells that the seam was `reached` just before the effect, and `failed` when its transaction fails after it.
    """
    place, _, what = failpoint.partition(":")
    seam, _, moment = place.partition(".")
    error = _NOT_CONFIRMED.get(moment) if what == "error" else _ERRORS.get(what)
    point = _Point(effects.get(what) or _raising(error), tell)
    if seam == "http":
        _wrap_exchange(point, moment)
    else:
        _wrap_transactions(point, seam, moment)


def _raising(error: Callable[[], Exception] | None) -> Effect:
    assert error is not None, "there is no such effect"

    def effect() -> None:
        raise error()

    return effect


@dataclass
class _Point:
    """Strikes once."""

    effect: Effect
    tell: Callable[[str], None]
    struck: bool = False

    def strike(self) -> None:
        if not self.struck:
            self.struck = True
            self.tell("reached")
            self.effect()


def _wrap_transactions(point: _Point, seam: str, moment: str) -> None:
    plain = Database.transaction
    accept, claim, target = _function("accept"), _function("claim"), _function(seam)
    turns = asyncio.Lock()
    accepted = seam == "accept"

    async def struck(self: Database, work: Any, *args: Any, **kwargs: Any) -> Any:
        # A worker claims all the time. What it finds shows in the result; before that, only what was accepted here.
        if moment == "before" and accepted:
            point.strike()

        def inside(connection: Any) -> Any:
            result = work(connection, *args, **kwargs)
            if moment == "inside" and not _idle(result):
                point.strike()
            return result

        try:
            result = await plain(self, inside)
        except DatabaseUnavailable:
            if point.struck:
                point.tell("failed")
            raise
        if moment == "after" and not _idle(result):
            point.strike()
        return result

    async def transaction(self: Database, work: Any, /, *args: Any, **kwargs: Any) -> Any:
        nonlocal accepted
        function = getattr(work, "__func__", work)
        if function not in (accept, claim, target):
            return await plain(self, work, *args, **kwargs)
        async with turns:  # so that no claim finds a send before its accept is over
            run = struck if function is target else plain
            result = await run(self, work, *args, **kwargs)
            accepted = accepted or function is accept
            return result

    Database.transaction = transaction  # type: ignore[method-assign]


def _function(seam: str) -> Any:
    module, name = TRANSACTIONS[seam]
    return attrgetter(name)(import_module(module))


def _idle(result: Any) -> bool:
    """A claim that found nothing."""
    return isinstance(result, tuple) and result[0] == []


_sends: ContextVar[bool] = ContextVar("sends", default=False)


def _wrap_exchange(point: _Point, moment: str) -> None:
    request, reach = http.HttpClient.request, http._Exchange.reach
    wanted, number = PHASES[moment]
    times = 0

    async def noting(self: http.HttpClient, method: str, url: str, **given: Any) -> http.Answer:
        _sends.set(url.partition("?")[0].endswith(_SENDING_PATHS))
        return await request(self, method, url, **given)

    def striking(self: http._Exchange, phase: http.Phase, seconds: float) -> None:
        nonlocal times
        times += _sends.get() and phase is wanted
        if times == number:
            point.strike()
        reach(self, phase, seconds)

    http.HttpClient.request = noting  # type: ignore[method-assign]
    http._Exchange.reach = striking  # type: ignore[method-assign]
