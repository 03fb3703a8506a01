"""A worker as `replysequence worker` runs it, with logs on, that starts when told and says what it has used.

Settings come from the environment. Lines: `go` starts it, `usage` asks, `stop` ends it politely.
"""

import asyncio
import os

import uvloop

from benchmarks.measured import hear, tell, usage
from replysequence import app, logs, process, settings


async def work() -> None:
    """Answer `go` and every `usage` at once, and `stop` when what was in hand has ended."""
    configured = settings.read(os.environ)
    logs.set_up(configured.log_level)
    async with app.running(configured) as parts:
        process.spare_the_collector()
        tell(**usage())
        await hear()
        working = asyncio.create_task(parts.worker.run())
        tell(**usage())
        while await hear() == "usage":
            tell(**usage())
        parts.worker.stop()
        await working
        tell(**usage())


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
