"""A sandbox inside this process, on a port of its own: for tests and for the demo."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from replysequence.sandbox.environment import environment
from replysequence.sandbox.server import configure, listen
from replysequence.sandbox.world import World


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox that answers at `base_url` (no slash at the end); `world` is its whole state."""

    base_url: str
    world: World

    @property
    def environment(self) -> dict[str, str]:
        """The app's settings that point it here."""
        return environment(self.base_url)


@contextmanager
def sandbox(world: World | None = None, *, port: int = 0) -> Iterator[RunningSandbox]:
    """Run a sandbox on a thread for as long as the block lasts; port 0 takes any free one.

    Raises `OSError` when the port is taken. When the block ends the connections that are still open are cut.
    """
    world = world or World()
    sock = listen(port=port)
    server = _ThreadServer(configure(world))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="sandbox", daemon=True)
    thread.start()
    server.ready.wait()
    try:
        yield RunningSandbox(f"http://127.0.0.1:{sock.getsockname()[1]}", world)
    finally:
        server.stop()
        thread.join()
        sock.close()
        world.ledger.close()


class _ThreadServer(uvicorn.Server):
    """A server that another thread starts and stops, both at once: uvicorn's own polls ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stopped: asyncio.Event

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def main_loop(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        self.ready.set()
        while not self._stopped.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), timeout=1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
