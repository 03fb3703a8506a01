"""The sandbox as one ASGI application, and the server that it runs on."""

import socket

import uvicorn
from starlette.applications import Starlette

from replysequence.sandbox import (
    control,
    crm_control,
    crm_pages,
    google,
    hubspot,
    microsoft,
    pages,
    resend,
    salesforce,
    zoom,
)
from replysequence.sandbox.connection import BreakableProtocol
from replysequence.sandbox.site import StandIn
from replysequence.sandbox.world import World

VENDORS = (
    google.stand_in,
    microsoft.stand_in,
    zoom.stand_in,
    resend.stand_in,
    hubspot.stand_in,
    salesforce.stand_in,
)
"""Every vendor on the port; their real paths do not collide."""


def build_app(world: World) -> Starlette:
    """The whole sandbox around `world`: every vendor at its real paths, the pages, the control API."""
    made: list[StandIn] = [stand_in(world) for stand_in in VENDORS]
    stand_ins = {stand_in.site.vendor: stand_in for stand_in in made}
    routes = [
        *pages.routes(world, stand_ins),
        *crm_pages.routes(world),
        *control.routes(world, stand_ins),
        *crm_control.routes(world),
    ]
    for stand_in in made:
        routes.extend(stand_in.routes)
    return Starlette(routes=routes)


def listen(host: str = "127.0.0.1", *, port: int = 0) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises `OSError` when the port is taken."""
    # Named in full: asyncio switches Nagle's delay off only where it sees the protocol.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(512)
    except OSError:
        sock.close()
        raise
    return sock


def configure(world: World) -> uvicorn.Config:
    """How uvicorn runs the sandbox around `world`."""
    return uvicorn.Config(
        build_app(world),
        http=BreakableProtocol,
        loop="asyncio",
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )


def serve(world: World, *, host: str = "127.0.0.1", port: int = 8025) -> None:
    """Run the sandbox until the process is told to stop. Raises `OSError` when the port is taken."""
    uvicorn.Server(configure(world)).run(sockets=[listen(host, port=port)])
