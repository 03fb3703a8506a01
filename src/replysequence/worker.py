"""The loop that sends what is due. It stops politely: nothing new is claimed, and what is on the wire may
finish.
"""

import asyncio
from collections.abc import Awaitable, Callable

from replysequence import logs
from replysequence.domain.errors import DatabaseUnavailable
from replysequence.reporter import Reporter
from replysequence.services.batching import FEW, until_next_turn
from replysequence.services.disconnecting import Disconnecting
from replysequence.services.dispatching import Dispatching
from replysequence.services.going_back import GoingBack
from replysequence.services.looking_up import LookingUp
from replysequence.services.reporting import Reporting
from replysequence.services.sending import SENDS_CHANNEL
from replysequence.services.telling import Telling
from replysequence.services.tidying import tidy
from replysequence.services.watching import Watching
from replysequence.storage.claims import Claimed
from replysequence.storage.database import Database
from replysequence.storage.incarnations import Incarnation

_log = logs.logger("worker")

AT_A_TIME = 200
"""Sends in hand at the same time, by provider: one that hangs takes no place from the others. Not more than a fast
provider needs: as many may become unknown when this process dies.
"""
LONGEST_SLEEP = 1.0
"""Seconds between two looks when no wake-up comes: wake-ups are hints."""
SHORTEST_SLEEP = 0.005
"""Seconds between two looks at least."""
REAP_EVERY = 5.0
"""Seconds between two looks for dead processes."""
TELL_EVERY = 5.0
"""Seconds between two looks for people who are to be told that their account broke."""
TIDY_EVERY = 3600.0
"""Seconds between two rounds of removing what is over."""
WATCH_EVERY = 1.0
"""Seconds between two looks whether a provider fails, or works again."""
LOOK_BACK_EVERY = 5.0
"""Seconds between two notes of how far the database has come, and two looks at its clock."""
LOOK_UP_EVERY = 10.0
"""Seconds between two rounds of looking for sends of unknown outcome."""
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
        watching: Watching,
        going_back: GoingBack,
        disconnecting: Disconnecting,
        telling: Telling,
        looking_up: LookingUp,
        reporting: Reporting,
        reporter: Reporter,
        incarnation: Incarnation,
    ) -> None:
        self._database = database
        self._incarnation = incarnation
        self._dispatching = dispatching
        self._watching = watching
        self._going_back = going_back
        self._disconnecting = disconnecting
        self._looking_up = looking_up
        self._telling = telling
        self._reporting = reporting
        self._reporter = reporter
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: dict[asyncio.Task[None], str] = {}
        self._in_hand = dict.fromkeys(dispatching.senders, 0)
        self._wake_at_turn: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Work until :meth:`stop`; then finish what is in hand and return."""
        silence = self._database.listen(SENDS_CHANNEL, self._wake.set)
        _log.info("worker.started")
        reporting = asyncio.create_task(self._reporter.run(), name="reporter")
        others = [
            asyncio.create_task(_now_and_then(self._look_after_the_dead, every=REAP_EVERY), name="reaper"),
            asyncio.create_task(_now_and_then(self._tidy, every=TIDY_EVERY), name="tidier"),
            asyncio.create_task(_now_and_then(self._tell, every=TELL_EVERY), name="teller"),
            asyncio.create_task(_now_and_then(self._watch, every=WATCH_EVERY), name="watcher"),
            asyncio.create_task(_now_and_then(self._look_up, every=LOOK_UP_EVERY), name="looker"),
            asyncio.create_task(_now_and_then(self._look_back, every=LOOK_BACK_EVERY), name="historian"),
        ]
        try:
            while not self._stopping:
                await self._round()
        finally:
            silence()
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self._reporter.stop()
            await asyncio.wait({*self._running, reporting}, timeout=FINISH_WITHIN)

    def stop(self) -> None:
        """Claim nothing more."""
        self._reporter.stop()
        self._stopping = True
        self._wake.set()

    async def _round(self) -> None:
        self._wake.clear()
        try:
            room = {via: AT_A_TIME - count for via, count in self._in_hand.items()}
            claimed, again_in = await self._dispatching.claim(room=room)
            for send in claimed:
                self._take(send)
            if claimed:
                await asyncio.sleep(until_next_turn() if len(claimed) > FEW else SHORTEST_SLEEP)
            elif not self._stopping:
                await self._sleep(again_in)
        except DatabaseUnavailable as error:
            _log.error("worker.database_unavailable", error=error)
            await self._sleep(None)
        except Exception as error:  # noqa: BLE001 - one bad round must not end all sending
            _log.error("worker.round_broke", error=error)
            await self._sleep(None)

    def _take(self, send: Claimed) -> None:
        task = asyncio.create_task(self._dispatching.carry_out(send), name=f"send-{send.id}")
        self._running[task] = send.via
        self._in_hand[send.via] += 1
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_hand[self._running.pop(task)] -= 1
        if self._wake_at_turn is None:
            self._wake_at_turn = asyncio.get_running_loop().call_later(until_next_turn(), self._ended)
        if not task.cancelled() and task.exception() is not None:
            _log.error("worker.task_broke", task=task.get_name(), error=task.exception())

    def _ended(self) -> None:
        """Sends have ended since the last turn, and left their places to others."""
        self._wake_at_turn = None
        self._wake.set()

    async def _sleep(self, due_in: float | None) -> None:
        pause = LONGEST_SLEEP if due_in is None else min(max(due_in, SHORTEST_SLEEP), LONGEST_SLEEP)
        try:
            await asyncio.wait_for(self._wake.wait(), timeout=pause)
        except TimeoutError:
            return

    async def _look_after_the_dead(self) -> None:
        """Finish what processes that died have left: their sends, their reports, and accounts that they were
        disconnecting.

        Before that, make sure that nobody takes us for dead.
        """
        await asyncio.to_thread(self._incarnation.renew)
        if await self._dispatching.reap():
            self._wake.set()
        if await self._reporting.reap():
            self._reporter.wake()
        await self._disconnecting.finish_disconnects()

    async def _tell(self) -> None:
        await self._telling.tell()

    async def _tidy(self) -> None:
        await tidy(self._database)

    async def _watch(self) -> None:
        await self._watching.look()

    async def _look_back(self) -> None:
        if await self._going_back.look():
            self._wake.set()

    async def _look_up(self) -> None:
        await self._looking_up.look()


async def _now_and_then(work: Callable[[], Awaitable[None]], *, every: float) -> None:
    """Do ``work`` again and again, ``every`` so many seconds, whatever becomes of it."""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - the next round may go well
            _log.error("worker.chore_broke", chore=work.__name__, error=error)
        await asyncio.sleep(every)
