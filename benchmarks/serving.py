"""ReplySequence on a port of this machine, as `replysequence serve` runs it, with its worker and its logs.

Settings come from the environment. It tells its port, and then what it has used whenever it is asked.
"""

import asyncio
import os
import signal
import socket

import uvloop

from benchmarks.measured import hear, tell, usage
from replysequence import logs, serving, settings
from replysequence.app import App


async def serve() -> None:
    """Run until standard input ends; then stop as politely as at a signal."""
    configured = settings.read(os.environ)
    logs.set_up(configured.log_level)
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as sock:
        answering: list[asyncio.Task[None]] = []

        async def ready(_: App) -> None:
            tell(port=sock.getsockname()[1])
            answering.append(asyncio.create_task(_answer()))

        await serving.serve(configured, sock=sock, with_worker=True, ready=ready)


async def _answer() -> None:
    while await hear():
        tell(**usage())
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
