"""A time limit that moves as work goes on, and costs one timer however often it moves."""

import asyncio
import math
from types import TracebackType
from typing import Self


class Alarm:
    """Ends a block with TimeoutError once the time that it was last given is over, as asyncio.timeout_at() does.

    That takes a new timer at each change, and timers cost more than the phases of a short exchange. Here a time that
    was put off leaves its timer where it is, which then finds out.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout_at(None)
        self._over = False
        self._rings_at = self._looks_at = math.inf
        self._look: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        if self._look is not None:
            self._look.cancel()
        await self._timeout.__aexit__(kind, error, trace)  # it swallows nothing, but raises TimeoutError

    def set(self, at: float) -> None:
        """Ring at this time of the loop's. Raises RuntimeError when it has rung, or the block is over."""
        if self._over or self._timeout.expired():
            raise RuntimeError("too late for more time")
        self._rings_at = at
        if at < self._looks_at:
            self._look_later()

    def _look_later(self) -> None:
        if self._look is not None:
            self._look.cancel()
        self._looks_at = self._rings_at
        self._look = self._loop.call_at(self._rings_at, self._look_now)

    def _look_now(self) -> None:
        if self._loop.time() < self._rings_at:
            self._look_later()
        else:
            self._timeout.reschedule(self._rings_at)
