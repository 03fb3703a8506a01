import http.client
import signal
import socket
import subprocess
import sys
import time

import pytest

from replysequence.sandbox.environment import environment
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.server import listen
from support.plain_http import Answer, call


def test_two_sandboxes_are_two_worlds() -> None:
    with sandbox() as one, sandbox() as other:
        one.world.clock.advance(60)

        assert one.base_url != other.base_url
        assert call("GET", f"{other.base_url}/_sandbox/state").json["ahead_seconds"] == 0


def test_a_sandbox_that_has_ended_answers_nobody() -> None:
    with sandbox() as ended:
        pass

    with pytest.raises(ConnectionRefusedError):
        call("GET", ended.base_url)


def test_a_connection_that_is_still_open_does_not_hold_the_end_up() -> None:
    with sandbox() as running:
        connection = http.client.HTTPConnection(running.base_url.removeprefix("http://"), timeout=20)
        connection.request("GET", "/_sandbox/state")
        connection.getresponse().read()

    assert connection.sock.recv(1) == b""
    connection.close()


def test_a_port_that_is_taken_is_refused() -> None:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()

    with pytest.raises(OSError, match="in use"):
        listen(port=taken.getsockname()[1])
    taken.close()


def test_the_settings_lead_to_the_sandbox(box: RunningSandbox) -> None:
    for name, value in environment(box.base_url).items():
        if name.endswith("_URL"):
            assert value.startswith(box.base_url), name
    assert box.environment == environment(f"{box.base_url}/")


SERVE = """
import sys
from replysequence.sandbox.server import serve
from replysequence.sandbox.world import World
serve(World(), port=int(sys.argv[1]))
"""


def first_answer(process: subprocess.Popen[bytes], url: str) -> Answer:
    while process.poll() is None:
        try:
            return call("GET", url)
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise AssertionError("the sandbox ended before it answered")


def test_served_in_a_process_of_its_own_it_ends_when_it_is_told_to() -> None:
    with listen() as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)])
    try:
        answer = first_answer(process, f"http://127.0.0.1:{port}/_sandbox/state")
    finally:
        process.terminate()
        ended = process.wait(timeout=20)

    assert answer.json["accepted"] == 0
    assert ended == -signal.SIGTERM
