"""Waiting for the outcome of a send: woken at once by a worker in this process, by a look now and then
otherwise.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_FIRST_LOOK = 0.05
_LONGEST_PAUSE = 0.5
_IN_HAND_HERE = 5.0
"""Seconds between two looks at what a worker in this process carries out: it will say when that is over."""


class _Waiter:
    """Somebody who waits. ``let_go``: they are to wait no longer."""

    __slots__ = ("let_go", "stirred")

    def __init__(self) -> None:
        self.stirred = asyncio.Event()
        self.let_go = False


class Outcomes:
    """Who waits for which send. One object for each process."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._in_order: dict[_Waiter, None] = {}
        self._in_hand: set[str] = set()

    def in_hand(self, send_id: str) -> None:
        """A worker in this process carries out ``send_id``, and calls :meth:`let_go_of` when it does so no longer."""
        self._in_hand.add(send_id)

    def let_go_of(self, send_id: str) -> None:
        """The end of what :meth:`in_hand` began, whatever came of it."""
        self._in_hand.discard(send_id)

    def announce(self, send_id: str) -> None:
        """Something became of ``send_id``: let those who wait for it look."""
        for waiter in self._waiting.get(send_id, ()):
            waiter.stirred.set()

    def let_one_go(self) -> bool:
        """End the wait of who waits longest, as if their time were over; False when nobody waits."""
        waiter = next(iter(self._in_order), None)
        if waiter is None:
            return False
        del self._in_order[waiter]
        waiter.let_go = True
        waiter.stirred.set()
        return True

    async def wait(
        self, send_id: str, *, look: Callable[[], Awaitable[T | None]], seconds: float
    ) -> T | None:
        """Wait until ``look`` finds something and return that; none after ``seconds``, or when let go.

        The worker may live in another process, so ``look`` is also called from time to time.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        pause, looked = _FIRST_LOOK, loop.time()
        waiter = _Waiter()
        self._waiting[send_id].add(waiter)
        self._in_order[waiter] = None
        try:
            while not waiter.let_go and (left := end - loop.time()) > 0:
                try:
                    async with asyncio.timeout(min(pause, left)):
                        await waiter.stirred.wait()
                    waiter.stirred.clear()
                except TimeoutError:
                    pause = min(pause * 2, _LONGEST_PAUSE)
                    if send_id in self._in_hand and loop.time() < looked + _IN_HAND_HERE:
                        continue
                looked = loop.time()
                found = await look()
                if found is not None:
                    return found
            return None
        finally:
            self._in_order.pop(waiter, None)
            self._waiting[send_id].discard(waiter)
            if not self._waiting[send_id]:
                del self._waiting[send_id]
