"""Waiting for the outcome of a send: woken at once by a worker in this process, by a look now and then
otherwise.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

_FIRST_LOOK = 0.05
_LONGEST_PAUSE = 0.5


class Outcomes:
    """Who waits for which send. One object for each process."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def announce(self, send_id: str) -> None:
        """Something became of ``send_id``: let those who wait for it look."""
        for event in self._waiting.get(send_id, ()):
            event.set()

    async def wait(self, send_id: str, *, look: Callable[[], Awaitable[bool]], seconds: float) -> bool:
        """Wait until ``look`` says yes, ``seconds`` at most; returns what it said last.

        The worker may live in another process, so ``look`` is also called from time to time.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        event = asyncio.Event()
        self._waiting[send_id].add(event)
        pause = _FIRST_LOOK
        try:
            while not await look():
                left = end - loop.time()
                if left <= 0:
                    return False
                try:
                    await asyncio.wait_for(event.wait(), timeout=min(pause, left))
                    event.clear()
                except TimeoutError:
                    pause = min(pause * 2, _LONGEST_PAUSE)
            return True
        finally:
            waiting = self._waiting[send_id]
            waiting.discard(event)
            if not waiting:
                del self._waiting[send_id]
