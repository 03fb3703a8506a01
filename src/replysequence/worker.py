"""The loop that sends what is due. It stops politely: nothing new is claimed, and what is on the wire may
finish.
"""

import asyncio
from collections.abc import Awaitable, Callable

from replysequence import logs
from replysequence.domain.errors import DatabaseUnavailable
from replysequence.services.disconnecting import Disconnecting
from replysequence.services.dispatching import Dispatching
from replysequence.services.sending import SENDS_CHANNEL
from replysequence.services.tidying import tidy
from replysequence.storage.claims import Claimed
from replysequence.storage.database import Database
from replysequence.storage.incarnations import Incarnation

_log = logs.logger("worker")

AT_A_TIME = 100
"""Sends in hand at the same time, over all mailboxes."""
LONGEST_SLEEP = 1.0
"""Seconds between two looks when no wake-up comes: wake-ups are hints."""
REAP_EVERY = 5.0
"""Seconds between two looks for dead processes."""
TIDY_EVERY = 3600.0
"""Seconds between two rounds of removing what is over."""
FINISH_WITHIN = 150.0
"""Seconds that running exchanges get at a stop: more than an answer is waited for. What takes still longer, such as
a large file on a slow line, is broken off and becomes unknown."""


class Worker:
    """One loop over one :class:`Dispatching`."""

    def __init__(
        self,
        *,
        database: Database,
        dispatching: Dispatching,
        disconnecting: Disconnecting,
        incarnation: Incarnation,
    ) -> None:
        self._database = database
        self._incarnation = incarnation
        self._dispatching = dispatching
        self._disconnecting = disconnecting
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until :meth:`stop`; then finish what is in hand and return."""
        silence = self._database.listen(SENDS_CHANNEL, self._wake.set)
        _log.info("worker.started")
        others = [
            asyncio.create_task(_now_and_then(self._look_after_the_dead, every=REAP_EVERY), name="reaper"),
            asyncio.create_task(_now_and_then(self._tidy, every=TIDY_EVERY), name="tidier"),
        ]
        try:
            while not self._stopping:
                await self._round()
        finally:
            silence()
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            if self._running:
                await asyncio.wait(self._running, timeout=FINISH_WITHIN)

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True
        self._wake.set()

    async def _round(self) -> None:
        self._wake.clear()
        free = AT_A_TIME - len(self._running)
        try:
            claimed = await self._dispatching.claim(limit=free) if free else []
            for send in claimed:
                self._take(send)
            if not claimed and not self._stopping:
                await self._sleep(await self._dispatching.next_due() if free else None)
        except DatabaseUnavailable as error:
            _log.error("worker.database_unavailable", error=error)
            await self._sleep(None)
        except Exception as error:  # noqa: BLE001 - one bad round must not end all sending
            _log.error("worker.round_broke", error=error)
            await self._sleep(None)

    def _take(self, send: Claimed) -> None:
        task = asyncio.create_task(self._dispatching.carry_out(send), name=f"send-{send.id}")
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()
        if not task.cancelled() and task.exception() is not None:
            _log.error("worker.task_broke", task=task.get_name(), error=task.exception())

    async def _sleep(self, due_in: float | None) -> None:
        pause = LONGEST_SLEEP if due_in is None else min(due_in, LONGEST_SLEEP)
        try:
            await asyncio.wait_for(self._wake.wait(), timeout=pause)
        except TimeoutError:
            return

    async def _look_after_the_dead(self) -> None:
        """Finish what processes that died have left: their sends, and accounts that they were disconnecting.

        Before that, make sure that nobody takes us for dead.
        """
        await asyncio.to_thread(self._incarnation.renew)
        if await self._dispatching.reap():
            self._wake.set()
        await self._disconnecting.finish_disconnects()

    async def _tidy(self) -> None:
        await tidy(self._database)


async def _now_and_then(work: Callable[[], Awaitable[None]], *, every: float) -> None:
    """Do ``work`` again and again, ``every`` so many seconds, whatever becomes of it."""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the next round may go well
            _log.error("worker.chore_broke", chore=work.__name__, error=error)
        await asyncio.sleep(every)
