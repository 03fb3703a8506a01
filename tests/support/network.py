"""No test reaches beyond this machine: whatever tries is refused, and its test fails."""

import ipaddress
import socket
import sys
from collections.abc import Iterator

import pytest

_attempts: list[str] = []


class NetworkRefused(Exception):
    """A test tried to reach another machine."""


def _is_local(host: object) -> bool:
    """Whether `host`, as the socket module takes it, is this machine; None and "" are its own addresses."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in {None, "", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _is_numeric(host: object) -> bool:
    try:
        ipaddress.ip_address(str(host))
    except ValueError:
        return False
    return True


def _target(event: str, arguments: tuple[object, ...]) -> object:
    """The host that an audit event is about to reach, None when it stays on this machine."""
    match event, arguments:
        case (("socket.connect" | "socket.sendto"), (socket.socket() as sock, tuple((host, *_)))):
            return host if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(host) else None
        case (("socket.getaddrinfo" | "socket.gethostbyname"), (host, *_)):
            return None if _is_local(host) or _is_numeric(host) else host
    return None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if not event.startswith("socket."):
        return
    host = _target(event, arguments)
    if host is not None:
        _attempts.append(f"{event} {host}")
        raise NetworkRefused(f"tests stay on this machine, and this one asked for {host} ({event})")


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def no_network_but_loopback() -> Iterator[list[str]]:
    """Fails a test that tried to leave the machine, even where the code under test swallowed the refusal.

    Gives the list of what was tried; a test that tries on purpose clears it.
    """
    _attempts.clear()
    yield _attempts
    assert _attempts == [], "this test tried to reach another machine"
