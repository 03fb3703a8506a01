"""The loop that logs in CRMs what was sent, beside the one that sends and without any way to hold it up."""

import asyncio
from collections import Counter
from typing import Final

from replysequence import logs
from replysequence.domain.errors import DatabaseUnavailable
from replysequence.services.connecting import PLATFORMS_CHANNEL
from replysequence.services.reporting import Reporting
from replysequence.storage.database import Database
from replysequence.storage.report_claims import ClaimedReport
from replysequence.storage.reports import CHANNEL

_log = logs.logger("reporter")

AT_A_TIME: Final = 4
"""Accounts at the same time, by CRM: one that hangs takes no place from the others."""
LONGEST_SLEEP = 5.0
"""Seconds between two looks when no wake-up comes: wake-ups are hints."""
SHORTEST_SLEEP = 0.05
"""Seconds between two looks at least."""
FINISH_WITHIN = 30.0
"""Seconds that what is being logged gets at a stop. What takes longer is broken off, and looked for at the next start.
"""


class Reporter:
    """One loop over one :class:`Reporting`."""

    def __init__(self, *, database: Database, reporting: Reporting) -> None:
        self._database = database
        self._reporting = reporting
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: dict[asyncio.Task[None], str] = {}

    async def run(self) -> None:
        """Work until :meth:`stop`; then finish what is in hand and return."""
        if not self._reporting.crms:
            return
        silences = [
            self._database.listen(channel, self._wake.set) for channel in (CHANNEL, PLATFORMS_CHANNEL)
        ]
        try:
            while not self._stopping:
                await self._round()
        finally:
            for silence in silences:
                silence()
            if self._running:
                _, late = await asyncio.wait(self._running, timeout=FINISH_WITHIN)
                for task in late:
                    task.cancel()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """Look now: something was taken over from the dead."""
        self._wake.set()

    async def _round(self) -> None:
        self._wake.clear()
        in_hand = Counter(self._running.values())
        room = {name: AT_A_TIME - in_hand[name] for name in self._reporting.crms}
        again_in: float | None = None
        try:
            claimed, again_in = await self._reporting.claim(room=room)
            for report in claimed:
                self._take(report)
        except DatabaseUnavailable as error:
            _log.error("reporter.database_unavailable", error=error)
        except Exception as error:  # noqa: BLE001 - one bad round must not end all logging
            _log.error("reporter.round_broke", error=error)
        if not self._stopping:
            await self._sleep(again_in)

    def _take(self, report: ClaimedReport) -> None:
        task = asyncio.create_task(self._reporting.carry_out(report), name=f"report-{report.send_id}")
        self._running[task] = report.provider
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._wake.set()
        if not task.cancelled() and task.exception() is not None:
            _log.error("reporter.task_broke", task=task.get_name(), error=task.exception())

    async def _sleep(self, due_in: float | None) -> None:
        pause = LONGEST_SLEEP if due_in is None else min(max(due_in, SHORTEST_SLEEP), LONGEST_SLEEP)
        try:
            await asyncio.wait_for(self._wake.wait(), timeout=pause)
        except TimeoutError:
            return
