"""An alarm rings at the time that it was last given, whichever way that moved, and once it is over there is no more."""

import asyncio

import pytest

from replysequence.providers.alarms import Alarm


async def sleep(*times: float) -> None:
    """Sleep under an alarm that is given these times from now, one after another."""
    began = asyncio.get_running_loop().time()
    async with Alarm() as alarm:
        for seconds in times:
            alarm.set(began + seconds)
        await asyncio.sleep(5)


@pytest.mark.parametrize("times", [(0.05,), (0.01, 0.05), (5, 0.05), (0.01, 5, 0.05)], ids=str)
async def test_the_last_time_counts(times: tuple[float, ...]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):
        await sleep(*times)
    assert 0.045 <= loop.time() - began < 4


async def test_a_time_that_was_put_off_again_and_again_is_kept() -> None:
    loop = asyncio.get_running_loop()
    async with Alarm() as alarm:
        for _ in range(5):
            alarm.set(loop.time() + 0.05)
            await asyncio.sleep(0.03)


async def test_once_it_rang_there_is_no_more_time() -> None:
    async def ask_for_more() -> None:
        async with Alarm() as alarm:
            alarm.set(asyncio.get_running_loop().time() + 0.01)
            try:
                await asyncio.sleep(5)
            finally:
                with pytest.raises(RuntimeError):
                    alarm.set(asyncio.get_running_loop().time() + 5)

    with pytest.raises(TimeoutError):
        await ask_for_more()


async def test_once_the_block_is_left_there_is_no_more_time() -> None:
    async with Alarm() as alarm:
        alarm.set(asyncio.get_running_loop().time() + 0.01)
    with pytest.raises(RuntimeError):
        alarm.set(asyncio.get_running_loop().time() + 5)
    await asyncio.sleep(0.03)  # and nothing rings any more


async def test_somebody_elses_cancelling_is_not_taken_for_the_alarm() -> None:
    task = asyncio.create_task(sleep(4))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
