"""The rules of the one door to the network."""

import asyncio
import gzip
import json
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from replysequence.providers.http import Answer, Deadlines, ExchangeFailed, HttpClient, Phase
from support.certificates import trusting
from support.faulty_server import ANSWER, FAULTS, FaultyServer, Wire, answers, says, stops_reading

CANARY = "canary-9b1d"
SOON = Deadlines(connect=1, write=0.3, read=0.3, total=5)


@asynccontextmanager
async def open_client() -> AsyncIterator[HttpClient]:
    client = HttpClient(tls=trusting())
    try:
        yield client
    finally:
        await client.close()


def address(server: FaultyServer) -> str:
    return f"http://127.0.0.1:{server.port}/"


async def failure_of(
    client: HttpClient, url: str, *, method: str = "POST", body: bytes = b"{}"
) -> ExchangeFailed:
    with pytest.raises(ExchangeFailed) as caught:
        await client.request(method, url, headers={}, body=body, deadlines=SOON)
    return caught.value


async def test_requests_share_one_connection() -> None:
    async with FaultyServer(answers) as server, open_client() as client:
        for method, body in (("GET", b""), ("POST", b"{}"), ("POST", bytes(1 << 20)), ("DELETE", b"")):
            answer = await client.request(method, address(server), headers={}, body=body)
            assert (answer.status, answer.json(), answer.truncated) == (200, {"id": "a"}, False)
        assert (server.accepted, server.whole) == (1, 4)


async def test_requests_at_the_same_time_have_a_connection_each() -> None:
    async with FaultyServer(answers) as server, open_client() as client:
        await asyncio.gather(*(client.request("GET", address(server), headers={}) for _ in range(20)))
        assert (server.accepted, server.whole) == (20, 20)


async def test_the_request_is_framed_by_its_length_and_says_who_we_are() -> None:
    async with FaultyServer(answers) as server, open_client() as client:
        await client.request(
            "POST", address(server), headers={"Authorization": "Bearer x"}, body=bytes(70_000)
        )
    (head,) = server.heads
    assert b"content-length: 70000" in head
    assert b"user-agent: replysequence/" in head
    assert b"authorization: bearer x" in head
    assert b"transfer-encoding" not in head
    assert b"expect" not in head
    assert b"content-type" not in head


@pytest.mark.parametrize("tls", [False, True])
async def test_a_connection_that_was_closed_while_idle_is_not_used_again(*, tls: bool) -> None:
    wires: list[Wire] = []

    async def answers_and_is_remembered(wire: Wire) -> None:
        wires.append(wire)
        await answers(wire)

    context = FaultyServer.of(FAULTS[0], tls=tls)._tls
    async with FaultyServer(answers_and_is_remembered, tls=context) as server, open_client() as client:
        url = address(server).replace("http", "https" if tls else "http")
        await client.request("POST", url, headers={}, body=b"{}")
        await asyncio.sleep(0.02)  # TLS 1.3 session tickets have come
        wires[0].finish()  # in the kernel, while our event loop has had no chance to see it
        answer = await client.request("POST", url, headers={}, body=b"{}")
        assert answer.status == 200
        assert (server.accepted, server.whole) == (2, 2)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("end", [Wire.finish, Wire.reset])
async def test_a_hang_up_that_crosses_the_next_request_is_reported_and_nothing_is_repeated(
    method: str, end: Callable[[Wire], None]
) -> None:
    async def answers_once(wire: Wire) -> None:
        await wire.request()
        await wire.send(ANSWER)
        await wire.request()
        end(wire)

    async with FaultyServer(answers_once) as server, open_client() as client:
        await client.request("POST", address(server), headers={}, body=b"{}")
        failure = await failure_of(
            client, address(server), method=method, body=b"" if method == "GET" else b"{}"
        )
        assert failure.request_was_whole
        await server.settle()
        assert (server.accepted, server.whole) == (1, 2)


@pytest.mark.parametrize("later", [False, True])
async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(*, later: bool) -> None:
    forged = ANSWER.replace(b'"a"', b'"f"')

    async def answers_twice(wire: Wire) -> None:
        await wire.request()
        if later:
            await wire.send(ANSWER)
            await wire.let_it_be_read()
            await wire.send(forged)
        else:
            await wire.send(ANSWER + forged)
        await answers(wire)

    async with FaultyServer(answers_twice) as server, open_client() as client:
        await client.request("POST", address(server), headers={}, body=b"{}")
        await asyncio.sleep(0.1)
        answer = await client.request("POST", address(server), headers={}, body=b"{}")
        assert answer.json() == {"id": "a"}
        assert server.accepted == 2


async def test_a_redirect_is_an_answer() -> None:
    there = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with FaultyServer(says(there)) as server, open_client() as client:
        answer = await client.request("POST", address(server), headers={}, body=b"{}")
        assert (answer.status, answer.headers["location"]) == (307, "/elsewhere")
        assert server.whole == 1


async def test_cookies_are_not_kept() -> None:
    async def bakes(wire: Wire) -> None:
        while True:
            await wire.request()
            await wire.send(ANSWER.replace(b"\r\n", b"\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n", 1))

    async with FaultyServer(bakes) as server, open_client() as client:
        answer = await client.request("GET", address(server), headers={})
        await client.request("GET", address(server), headers={})
        assert answer.headers["set-cookie"] == "a=1; Path=/, b=2"
        assert not any(b"cookie" in head for head in server.heads)


async def test_the_environment_adds_neither_proxy_nor_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login alice password secret\n", "ascii")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with FaultyServer(answers) as server, open_client() as client:
        await client.request("GET", address(server), headers={})
        assert b"authorization" not in server.heads[0]


@pytest.mark.parametrize(
    "url",
    [
        "http://gmail.googleapis.com/",
        "http://localhost.example/",
        "http://127.0.0.1.example/",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://[::ffff:10.0.0.1]/",
        "http://2130706433/",
        "https://alice:secret@127.0.0.1/",
        "ftp://127.0.0.1/",
        "https:///path",
        "//127.0.0.1/",
        "127.0.0.1",
        "http://[::1",
        "",
    ],
)
async def test_an_address_that_is_not_safe_is_refused_before_anything_leaves(url: str) -> None:
    async with open_client() as client:
        failure = await failure_of(client, url)
    assert failure.phase is Phase.NOT_CONNECTED
    assert "secret" not in failure.reason


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "[::1]"])
async def test_plain_http_is_allowed_to_this_machine(host: str) -> None:
    async with open_client() as client:
        failure = await failure_of(client, f"http://{host}:1/")
    assert failure.reason == "connection refused"


@pytest.mark.parametrize("weakness", ["certificate", "host name"])
def test_a_client_that_does_not_verify_cannot_be_made(weakness: str) -> None:
    context = trusting()
    context.check_hostname = False
    if weakness == "certificate":
        context.verify_mode = ssl.CERT_NONE
    with pytest.raises(ValueError, match="verify"):
        HttpClient(tls=context)


async def test_a_header_with_a_line_break_is_never_sent_and_not_shown() -> None:
    async with FaultyServer(answers) as server, open_client() as client:
        with pytest.raises(ExchangeFailed) as caught:
            await client.request("POST", address(server), headers={"X": f"{CANARY}\r\nBcc: x"}, body=b"{}")
        await server.settle()
        assert not caught.value.request_was_whole
        assert CANARY not in f"{caught.value!r}{caught.value.__context__!r}"
        assert server.heads == []


@pytest.mark.parametrize("name", ["sends a gzip bomb", "sends an endless body", "sends endless headers"])
async def test_an_answer_without_end_takes_no_memory(name: str) -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    async with FaultyServer.of(fault, tls=False) as server, open_client() as client:
        tracemalloc.start()
        try:
            answer = await client.request("POST", address(server), headers={}, body=b"{}", deadlines=SOON)
        except ExchangeFailed:
            assert name == "sends endless headers"
        else:
            assert (answer.truncated, len(answer.body)) == (True, 1 << 20)
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert peak < 12 << 20


async def test_a_packed_answer_is_unpacked() -> None:
    packed = gzip.compress(json.dumps({"id": "a" * 5000}).encode())
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with FaultyServer(says(head + packed)) as server, open_client() as client:
        answer = await client.request("GET", address(server), headers={})
        assert answer.json() == {"id": "a" * 5000}


async def test_an_answer_larger_than_asked_for_is_cut_and_its_connection_is_not_used_again() -> None:
    async with FaultyServer(answers) as server, open_client() as client:
        for _ in range(2):
            answer = await client.request("GET", address(server), headers={}, max_body=4)
            assert (answer.status, answer.body, answer.truncated) == (200, b'{"id', True)
            with pytest.raises(ValueError, match="broke off"):
                answer.json()


async def test_an_early_answer_stops_the_request_and_its_connection_is_not_used_again() -> None:
    (fault,) = (fault for fault in FAULTS if fault.name == "answers before the body")
    async with FaultyServer.of(fault, tls=False) as server, open_client() as client:
        for _ in range(2):
            answer = await client.request("POST", address(server), headers={}, body=bytes(8 << 20))
            assert answer.status == 413
        await server.settle()
        assert (server.accepted, server.whole) == (2, 0)


def test_an_answer_shows_nothing_but_its_status() -> None:
    answer = Answer(status=200, headers={"x": CANARY}, body=CANARY.encode())
    assert repr(answer) == str(answer) == "Answer(status=200, truncated=False)"
    with pytest.raises(ValueError, match="not JSON") as caught:
        answer.json()
    assert CANARY not in repr(caught.value)
    assert caught.value.__context__ is None


async def test_a_cancelled_request_writes_no_more() -> None:
    async with FaultyServer(stops_reading) as server, open_client() as client:
        request = asyncio.create_task(
            client.request("POST", address(server), headers={}, body=bytes(8 << 20), deadlines=Deadlines())
        )
        await server.has_begun.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await server.settle()
        assert server.whole == 0


async def test_a_connection_whose_request_was_cancelled_is_not_used_again() -> None:
    async def answers_late(wire: Wire) -> None:
        await wire.request()
        if wire.server.accepted > 1:
            await wire.send(ANSWER)

    async with FaultyServer(answers_late) as server, open_client() as client:
        first = asyncio.create_task(client.request("POST", address(server), headers={}, body=b"{}"))
        await server.has_whole.wait()
        first.cancel()
        await asyncio.wait([first])
        answer = await client.request("POST", address(server), headers={}, body=b"{}")
        assert answer.status == 200
        assert (server.accepted, server.whole) == (2, 2)


async def test_a_request_without_a_body_counts_as_whole_once_connected() -> None:
    async def resets(wire: Wire) -> None:
        wire.reset()

    async with FaultyServer(resets) as server, open_client() as client:
        failure = await failure_of(client, address(server), method="GET", body=b"")
        assert failure.request_was_whole


async def test_the_total_deadline_ends_an_exchange_that_always_moves_a_little() -> None:
    async def sips(wire: Wire) -> None:
        await wire.head()
        for part in range(1, 1000):
            await wire.body(part=part / 1000)
            await asyncio.sleep(0.02)

    async with FaultyServer(sips) as server, open_client() as client:
        with pytest.raises(ExchangeFailed) as caught:
            await client.request(
                "POST", address(server), headers={}, body=bytes(8 << 20), deadlines=Deadlines(total=0.3)
            )
        await server.settle()
        assert (caught.value.phase, caught.value.reason) == (
            Phase.HEADERS_SENT,
            "timed out writing the request",
        )
        assert server.whole == 0


async def test_closing_the_client_ends_what_runs_and_refuses_what_comes() -> None:
    async def keeps_silent(wire: Wire) -> None:
        await wire.rest()

    async with FaultyServer(keeps_silent) as server, open_client() as client:
        running = asyncio.create_task(client.request("POST", address(server), headers={}, body=b"{}"))
        await server.has_whole.wait()
        await client.close()
        with pytest.raises(ExchangeFailed) as ended:
            await running
        assert ended.value.request_was_whole
        refused = await failure_of(client, address(server))
        assert (refused.phase, refused.reason) == (Phase.NOT_CONNECTED, "this HTTP client was closed")
        assert server.whole == 1
