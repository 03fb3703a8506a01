"""The short way of ``POST /api/drafts/send``: nobody can tell from an answer by which way it went."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from replysequence.web import short_way
from replysequence.web.callers import Caller
from replysequence.web.short_way import MOST, ShortWay
from support.answers import made
from support.webapp import RunningApp, Visitor

USUAL = "application/json; charset=utf-8"
"""A content type that means the same, and goes the usual way."""
PATH = "/api/drafts/send"
ABSENT = b"01a22fd1-2b1e-74cc-8382-1f2bb7154a3d"


@pytest.fixture
def program(web: RunningApp) -> Visitor:
    """A program of Bob, who has connected nothing: what it sends leaves by the relay."""
    return web.program("Bob")


def draft_of(program: Visitor, **written: object) -> str:
    written = {"to": ["ann@client.example"], "subject": "Offer", "html": "<p>Hi</p>", **written}
    draft_id: str = made(program("POST", "/api/drafts", json_body=written))["id"]
    return draft_id


def _told(answer: Any) -> tuple[int, set[str], object]:
    return answer.status, set(answer.headers) - {"Date"}, json.loads(answer.body)


def _form(value: object) -> object:
    """A JSON value without what differs from send to send."""
    if isinstance(value, dict):
        return {name: _form(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_form(each) for each in value]
    return type(value).__name__


@pytest.mark.parametrize("prefer", ["wait=10", "wait=0", "respond-async", None])
def test_a_send_is_answered_alike(program: Visitor, prefer: str | None) -> None:
    answers = []
    for content_type in ("application/json", USUAL):
        headers = {"Content-Type": content_type, **({"Prefer": prefer} if prefer else {})}
        body = json.dumps({"draft_id": draft_of(program), "version": 1}).encode()
        answer = program("POST", PATH, body=body, headers=headers)
        assert answer.headers["Location"].startswith("/api/sends/")
        answers.append(_told(answer))
    (status, names, body_of_one), (usual_status, usual_names, body_of_other) = answers
    assert (status, names) == (usual_status, usual_names)
    assert status == (200 if prefer in {"wait=10", None} else 202)
    assert _form(body_of_one) == _form(body_of_other)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"draft_id": 7}',
        b'{"draft_id": "x"}',
        b'\xff{"draft_id": "x"}',
        b'{"draft_id": "\\ud800"}',
        b'{"draft_id": "%s", "version": "1"}' % ABSENT,
        b'{"draft_id": "%s", "version": 1.5}' % ABSENT,
        b'{"draft_id": "%s", "version": 0}' % ABSENT,
        b'{"draft_id": "%s", "send_at": "2026-12-01T09:00:00"}' % ABSENT,
        b'{"draft_id": "%s", "send_at": "9999-12-01T09:00:00Z"}' % ABSENT,
        b'{"draft_id": "%s", "more": 1}' % ABSENT,
        b'{"draft_id": "%s"}' % ABSENT,
        b"[" * 1_900,
        b'{"draft_id": "%s"}%s' % (ABSENT, b" " * (MOST + 1)),
    ],
)
def test_what_is_wrong_is_said_alike(program: Visitor, body: bytes) -> None:
    told = [
        _told(program("POST", PATH, body=body, headers={"Content-Type": each}))
        for each in ("application/json", USUAL)
    ]
    assert told[0] == told[1]
    assert told[0][0] in {400, 404, 422}


def test_a_key_that_cannot_be_used_is_refused_alike(program: Visitor) -> None:
    body = b'{"draft_id": "%s"}' % ABSENT
    for key in ("", "\xe9", "k" * 257):
        told = [
            _told(program("POST", PATH, body=body, headers={"Content-Type": each, "Idempotency-Key": key}))
            for each in ("application/json", USUAL)
        ]
        assert told[0] == told[1]
        assert told[0][0] == 422


def test_a_stranger_is_turned_away_alike(web: RunningApp, program: Visitor) -> None:
    body = json.dumps({"draft_id": draft_of(program)}).encode()
    nobody, charlie = Visitor(web.base_url), web.program("Charlie")
    for visitor, status in ((nobody, 401), (charlie, 404)):
        told = [
            _told(visitor("POST", PATH, body=body, headers={"Content-Type": each}))
            for each in ("application/json", USUAL)
        ]
        assert told[0] == told[1]
        assert told[0][0] == status


def test_the_log_and_the_figures_call_both_ways_by_the_same_name(program: Visitor, alice: Visitor) -> None:
    def count() -> float:
        name = 'replysequence_http_requests_total{method="POST",route="/api/drafts/send",status="202"} '
        lines = alice("GET", "/metrics").text.splitlines()
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    before = count()
    for content_type in ("application/json", USUAL):
        body = json.dumps({"draft_id": draft_of(program)}).encode()
        program("POST", PATH, body=body, headers={"Content-Type": content_type, "Prefer": "wait=0"})
    assert count() == before + 2


def _asked(body: Iterable[Message], *, length: int) -> tuple[list[Message], bytes | None]:
    """Ask with these messages; which of them reach the usual way, and the answer of the short one."""
    usual: list[Message] = []
    answer: list[Message] = []
    left = iter(body)

    async def receive() -> Message:
        return next(left)

    async def send(message: Message) -> None:
        answer.append(message)

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while not usual or usual[-1].get("more_body", False):
            usual.append(await receive())

    headers = [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
    caller = Caller(person=None, session_hash=None)  # type: ignore[arg-type]
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "headers": headers,
        "state": {"caller": caller},
    }
    asyncio.run(ShortWay(app, services=None)(scope, receive, send))  # type: ignore[arg-type]
    return usual, answer[-1]["body"] if answer else None


@pytest.fixture
def _accepts_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async def accept(body: object, **_: object) -> object:
        raise _Accepted(str(body))

    monkeypatch.setattr(short_way, "send_draft", accept)


class _Accepted(Exception):
    """A body was taken for good."""


@pytest.mark.usefixtures("_accepts_all")
def test_a_body_in_pieces_is_read_to_its_end() -> None:
    whole = b'{"draft_id": "%s"}' % ABSENT
    pieces: list[Message] = [
        {"type": "http.request", "body": whole[:9], "more_body": True},
        {"type": "http.request", "body": whole[9:], "more_body": False},
    ]
    with pytest.raises(_Accepted):
        _asked(pieces, length=len(whole))


@pytest.mark.usefixtures("_accepts_all")
def test_what_was_read_is_read_once_more_on_the_usual_way() -> None:
    """A client that leaves in the middle, and one that brings more than it said: also where its beginning is good."""
    whole = b'{"draft_id": "%s"}' % ABSENT
    leaves: list[Message] = [
        {"type": "http.request", "body": whole, "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert _asked(leaves, length=len(whole)) == (leaves, None)
    brings_more: list[Message] = [
        {"type": "http.request", "body": whole + b" " * MOST, "more_body": True},
        {"type": "http.request", "body": b"}", "more_body": False},
    ]
    assert _asked(brings_more, length=len(whole)) == (brings_more, None)
