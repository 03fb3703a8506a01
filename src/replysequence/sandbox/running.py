"""A sandbox inside this process, on a port of its own: for tests and for the demo."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from replysequence.sandbox.environment import environment
from replysequence.sandbox.server import listen, make_server
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

    Raises `OSError` when the port is taken.
    """
    world = world or World()
    sock = listen(port=port)
    server = make_server(world)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="sandbox", daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("The sandbox did not start; its log says why.")
        time.sleep(0.002)
    try:
        yield RunningSandbox(f"http://127.0.0.1:{sock.getsockname()[1]}", world)
    finally:
        server.should_exit = True
        thread.join()
        sock.close()
        world.ledger.close()
