"""More requests than the process takes: those on top are asked to come again, and nothing of them is done."""

import http.client
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from replysequence.sandbox.running import sandbox
from replysequence.storage import routes
from replysequence.storage.database import Transaction, now
from replysequence.web import admission
from replysequence.web.rendering import static_url
from support.answers import error_of, made
from support.plain_http import Answer
from support.webapp import RunningApp, Visitor, running_app
from web.conftest import database_for

FEW = 12
RELAY = "resend"
WRITTEN = {"to": ["Ann Berg <ann@client.example>"], "subject": "Offer", "html": "<p>Hi Ann</p>"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def web(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app, which takes a few requests at a time."""
    folder = tmp_path_factory.mktemp("web")
    with (
        pytest.MonkeyPatch.context() as patch,
        database_for(request, folder) as url,
        sandbox() as box,
    ):
        patch.setattr(admission, "MOST", FEW)
        patch.setattr(admission, "MOST_APART", 2)
        with running_app(url, folder, box=box) as app:
            yield app


@pytest.fixture
def program(web: RunningApp) -> Visitor:
    """Alice's program; she has connected nothing, so her sends go through the relay."""
    return web.program("Alice")


@pytest.fixture
def slow_relay(web: RunningApp) -> None:
    """A relay that takes nothing for a while: who waits for an outcome waits long."""

    def pause(transaction: Transaction) -> None:
        routes.take(transaction, route_id=RELAY, via=RELAY)
        until = now(transaction) + timedelta(hours=1)
        routes.pause(transaction, route_id=RELAY, until=until, reason="slow", explanation="It is slow.")

    web.do(web.app.database.transaction(pause))


class Begun:
    """A request on a connection of its own, whose answer is not read yet."""

    def __init__(
        self,
        who: Visitor,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        length: int | None = None,
        prefer: str = "",
    ) -> None:
        parts = urlsplit(who.base_url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=40)
        self._connection.putrequest(method, path)
        self._connection.putheader("Authorization", f"Bearer {who.key}")
        self._connection.putheader("Content-Type", "application/json")
        self._connection.putheader("Content-Length", str(len(body) if length is None else length))
        if prefer:
            self._connection.putheader("Prefer", prefer)
        self._connection.endheaders(body)

    def go_on(self, body: bytes) -> None:
        self._connection.send(body)

    def answer(self) -> Answer:
        with self._connection.getresponse() as answer:
            return Answer(answer.status, answer.headers, answer.read())

    def close(self) -> None:
        self._connection.close()


@contextmanager
def many(make: Callable[[], Begun], count: int = FEW) -> Iterator[list[Begun]]:
    """Requests that are there at the same time."""
    with ExitStack() as closing:
        begun = []
        for _ in range(count):
            begun.append(make())
            closing.callback(begun[-1].close)
        yield begun


def until(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come about")


def is_full(program: Visitor) -> bool:
    return program("GET", "/api/drafts").status == 503


def subjects(program: Visitor) -> list[str]:
    return [draft["subject"] for draft in made(program("GET", "/api/drafts"), status=200)["items"]]


def new_draft(program: Visitor) -> str:
    draft_id: str = made(program("POST", "/api/drafts", json_body=WRITTEN))["id"]
    return draft_id


def waiting(web: RunningApp) -> int:
    return len(web.app.services.sending._outcomes._in_order)


def a_send_that_waits(program: Visitor, draft_id: str) -> Begun:
    body = b'{"draft_id": "%s"}' % draft_id.encode()
    return Begun(program, "POST", "/api/drafts/send", body=body, prefer="wait=30")


def an_unfinished_draft(program: Visitor) -> Begun:
    return Begun(
        program, "POST", "/api/drafts", body=b'{"subject": "Not ', length=len(b'{"subject": "Not refused"}')
    )


def test_requests_on_top_are_refused_whole_and_those_in_hand_are_finished(program: Visitor) -> None:
    draft_id = new_draft(program)
    with many(lambda: an_unfinished_draft(program)) as in_hand:
        until(lambda: is_full(program))
        refused = [
            program("POST", "/api/drafts", json_body={"subject": "Refused"}),
            program("POST", "/api/drafts/send", json_body={"draft_id": draft_id}),
            program("DELETE", f"/api/drafts/{draft_id}"),
            Visitor(program.base_url)("GET", "/api/drafts"),  # not even asked who it is
        ]
        for answer in refused:
            assert (answer.status, error_of(answer)["code"]) == (503, "too_busy")
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Cache-Control"] == "no-store"
        page = program("GET", "/sends", headers={"Accept": "text/html"})
        assert page.status == 503
        assert page.headers.get_content_type() == "text/html"
        assert "try again in a few seconds" in page.text
        for begun in in_hand:
            begun.go_on(b'refused"}')
        assert {begun.answer().status for begun in in_hand} == {201}
    until(lambda: not is_full(program))
    found = subjects(program)
    assert (found.count("Not refused"), found.count("Refused"), found.count("Offer")) == (FEW, 0, 1)
    assert made(program("GET", "/api/sends"), status=200)["items"] == []


def test_who_breaks_off_makes_room(program: Visitor) -> None:
    with many(lambda: an_unfinished_draft(program)):
        until(lambda: is_full(program))
    until(lambda: not is_full(program))


def test_a_busy_process_still_says_that_it_is_alive(web: RunningApp, program: Visitor) -> None:
    with many(lambda: an_unfinished_draft(program)):
        until(lambda: is_full(program))
        for path in ("/healthz", "/readyz", static_url("app.css")):
            assert web.anonymous("GET", path).status == 200, path


@pytest.mark.usefixtures("slow_relay")
def test_requests_that_only_wait_keep_nobody_out(web: RunningApp, program: Visitor) -> None:
    drafts = [new_draft(program) for _ in range(2 * FEW)]
    queue: deque[Begun] = deque()
    with ExitStack() as closing:
        for number, draft_id in enumerate(drafts):
            newcomer = a_send_that_waits(program, draft_id)
            closing.callback(newcomer.close)
            queue.append(newcomer)
            if number >= FEW:  # the one that has waited longest is answered
                answer = queue.popleft().answer()
                send = made(answer, status=202)
                assert (send["state"], send["reason"]) == ("queued", "slow")
                assert answer.headers["Location"] == f"/api/sends/{send['id']}"
            until(lambda: waiting(web) == len(queue))
        assert len(made(program("GET", "/api/sends?limit=200"), status=200)["items"]) == 2 * FEW
