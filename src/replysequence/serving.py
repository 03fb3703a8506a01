"""The web app on a socket, with a worker beside it: what ``replysequence serve`` runs."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import uvicorn

from replysequence import process
from replysequence.app import App, running
from replysequence.domain.errors import DatabaseUnavailable
from replysequence.settings import Settings
from replysequence.storage.database import now
from replysequence.web.server import create

Ready = Callable[[App], Awaitable[None]]


async def _nobody(_: App) -> None:
    """For who has nothing to do once the parts run."""


async def serve(
    settings: Settings, *, sock: socket.socket, with_worker: bool, ready: Ready = _nobody
) -> None:
    """Serve the web app on ``sock`` until the process is told to stop; with a worker beside it unless told otherwise.

    At a stop nothing new is claimed, requests and exchanges that run may finish, and then this returns. A worker
    that breaks stops the server too, and its error is raised: nobody is to accept what nobody would send.
    """
    async with running(settings) as app:
        web = create(app.services, problems=lambda: problems(app))
        server = _Server(
            uvicorn.Config(
                web,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                timeout_graceful_shutdown=60,
            )
        )
        process.spare_the_collector()
        working = asyncio.create_task(app.worker.run()) if with_worker else None
        if working is not None:
            working.add_done_callback(lambda _: server.stop())
        try:
            with process.stopped_by_signals(server.stop):
                await ready(app)
                await server.serve(sockets=[sock])
        finally:
            if working is not None:
                app.worker.stop()
                await working


async def problems(app: App) -> list[str]:
    """Why the process is not ready to serve, in sentences; empty when it is."""
    try:
        await app.database.read(now)
    except DatabaseUnavailable:
        return ["The database cannot be reached."]
    return []


class _Server(uvicorn.Server):
    """A server that leaves signals to us: uvicorn would end the process before the worker has finished."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Take no more requests, and return from ``serve`` when those that run have ended."""
        self.should_exit = True
