"""Whether providers work, as their answers show: one that fails for many at once is marked down, and nobody is asked to
reconnect for it.

What this process sees stays here (``domain/breaker.py``); that a provider is down is in the database, for every
worker and over restarts. One send is let through from time to time: once one of them leaves, all of it goes on.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from replysequence import logs
from replysequence.domain.breaker import Watch
from replysequence.domain.errors import NeverSent, OutcomeUnknown, Rejected, ReplySequenceError, TryLater
from replysequence.domain.send import State
from replysequence.providers.base import Receipt
from replysequence.providers.registry import Registry
from replysequence.services.sending import SENDS_CHANNEL
from replysequence.storage import outages
from replysequence.storage.claims import PROBE_EVERY, Claimed
from replysequence.storage.database import Database, Transaction, notify, now
from replysequence.storage.endings import Ending

_log = logs.logger("services.watching")

Exchange = Callable[[], Awaitable[Receipt]]


class Watching:
    """Watches the exchanges of one process. ``clock`` gives seconds and never steps."""

    def __init__(
        self, *, database: Database, registry: Registry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._watches = {name: Watch() for name in registry.senders()}
        self._down_from: dict[str, float] = {}

    def watched(self, claimed: Claimed, exchange: Exchange) -> Exchange:
        """The same exchange, watched."""
        watch = self._watches[claimed.via]

        async def run() -> Receipt:
            under_way = watch.begin(_party(claimed), at=self._clock())
            try:
                receipt = await exchange()
            except Rejected:  # an answer about the message: who gives it works
                watch.well(under_way, at=self._clock())
                raise
            except ReplySequenceError as error:
                if _is_trouble(error):
                    watch.trouble(under_way)
                raise
            finally:
                watch.end(under_way)
            watch.well(under_way, at=self._clock())
            return receipt

        return run

    def not_begun(self, claimed: Claimed, error: ReplySequenceError) -> None:
        """A send came to no exchange: its token could not be renewed, for example."""
        if _is_trouble(error):
            watch = self._watches[claimed.via]
            under_way = watch.begin(_party(claimed), at=self._clock())
            watch.end(under_way)
            watch.trouble(under_way)

    def while_down(self, claimed: Claimed, ending: Ending) -> Ending:
        """What a provider that is down did not take waits for nothing else: it may be the next to try."""
        if claimed.via not in self._down_from or ending.state is not State.QUEUED or ending.pause is not None:
            return ending
        soon = claimed.at + PROBE_EVERY
        return replace(ending, next_at=soon if ending.next_at is None else min(ending.next_at, soon))

    async def look(self) -> None:
        """Mark down what fails, and end that for what works again. To be called every second or so."""
        down = await self._database.read(outages.present, providers=self._watches)
        for name, watch in self._watches.items():
            if name in down:
                await self._look_for_its_end(name, watch)
            elif self._down_from.pop(name, None) is not None:
                # Another process saw it work, so what we saw before counts no more.
                watch.forget(at=self._clock())
            elif watch.is_down(at=self._clock()):
                await self._begin(name)

    async def _begin(self, name: str) -> None:
        title = self._registry.provider(name).title
        self._down_from[name] = self._clock()
        if await self._database.transaction(_begin, provider=name, title=title):
            _log.error("provider.down", provider=name)

    async def _look_for_its_end(self, name: str, watch: Watch) -> None:
        if not watch.was_well_since(self._down_from.setdefault(name, self._clock())):
            return
        if await self._database.transaction(_end, provider=name):
            _log.warning("provider.back", provider=name)
        del self._down_from[name]
        watch.forget(at=self._clock())


def _party(claimed: Claimed) -> str:
    return claimed.connection_id or claimed.id


def _is_trouble(error: ReplySequenceError) -> bool:
    """Whether it is the provider's trouble, and not about one mailbox or one message."""
    return isinstance(error, OutcomeUnknown | NeverSent) or (
        isinstance(error, TryLater) and not error.pauses_mailbox
    )


def _begin(transaction: Transaction, *, provider: str, title: str) -> bool:
    explanation = (
        f"{title} is not answering at the moment. Your messages wait and leave by themselves when it is back."
    )
    return outages.begin(transaction, provider=provider, explanation=explanation, at=now(transaction))


def _end(transaction: Transaction, *, provider: str) -> bool:
    ended = outages.end(transaction, provider=provider)
    notify(transaction, SENDS_CHANNEL)
    return ended
