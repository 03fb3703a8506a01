"""What holds for every CRM, whatever it answers and however its connection breaks."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from traceback import format_exception
from typing import Any

import pytest

from replysequence.domain.errors import (
    AccessTokenRejected,
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ReconnectNeeded,
    Rejected,
    TryLater,
)
from replysequence.domain.report import Correction
from replysequence.domain.secret import Secret
from replysequence.providers.base import Access
from replysequence.providers.crm import Crm, Entry, Person
from replysequence.providers.http import HttpClient
from replysequence.providers.registry import Registry
from support.answering import Answering, Asked, Says
from support.crm_messages import BOB, LOGGED
from support.registry_entries import CRMS, ENTRIES, settings_at

EMPTY = {"records": [], "results": [], "cards": [], "notes": [], "done": True, "total": 0}
"""Nothing, in every CRM's words: what is answered to a question, where a test is about writing."""
QUESTIONS = ("/search", "/batch/read")
"""How the paths of questions end that are asked with a POST."""

STATUSES = (
    *range(200, 209),
    *range(300, 309),
    *range(400, 430),
    431,
    451,
    477,
    499,
    *range(500, 512),
    520,
    524,
    599,
)

HOSTILE: tuple[Any, ...] = (
    {},
    b"",
    b"<html>canary-token</html>",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    [],
    [{"errorCode": ["canary-token"], "message": None}, "canary-token"],
    {"error": "canary-token", "category": {"canary": 1}, "message": ["canary"], "errors": "canary"},
    {"id": {"canary": 1}, "results": "canary", "records": 7, "properties": []},
    {"results": [7, {"id": None}], "records": [{"Id": 7}], "cards": [{}][:0], "paging": {"next": "canary"}},
)


def is_question(asked: Asked) -> bool:
    path = asked.target.partition("?")[0]
    return asked.method == "GET" or path.endswith(QUESTIONS)


class Stage:
    def __init__(self, entry: type[Crm], server: Answering, http: HttpClient) -> None:
        self.crm = Registry(settings_at(entry, server.url), http, providers=ENTRIES).crm(entry.name)
        self.server = server
        self.access = Access(Secret("canary-token"), server.url, "2002:1001")
        self.bob = Person("Contact", "101", BOB.email, BOB.name, f"{server.url}/bob")

    def writes(self) -> list[Asked]:
        return [each for each in self.server.asked if not is_question(each)]


Call = Callable[[Stage], Awaitable[object]]

READS: dict[str, Call] = {
    "find_people": lambda stage: stage.crm.find_people(stage.access, emails=[BOB.email]),
    "find_entry": lambda stage: stage.crm.find_entry(stage.access, email=LOGGED, people=[stage.bob]),
}
WRITES: dict[str, Call] = {
    "create_person": lambda stage: stage.crm.create_person(stage.access, address=BOB),
    "log": lambda stage: stage.crm.log(stage.access, email=LOGGED, people=[stage.bob]),
    "correct": lambda stage: stage.crm.correct(
        stage.access, entry_id="00T000000000001AAA", email=LOGGED, correction=Correction.BOUNCED
    ),
}
"""The id is one that every CRM takes for an entry of its own, and that can be changed with one call."""
CALLS = READS | WRITES

every_crm = pytest.mark.parametrize("entry", CRMS, ids=lambda entry: entry.name)
every_call = pytest.mark.parametrize("name", CALLS)
every_write = pytest.mark.parametrize("name", WRITES)


@asynccontextmanager
async def a_stage(entry: type[Crm], answer: Callable[[Asked], Says]) -> AsyncIterator[Stage]:
    http = HttpClient()
    async with Answering(answer) as server:
        try:
            yield Stage(entry, server, http)
        finally:
            await http.close()


async def outcome_of(call: Awaitable[object]) -> object:
    """What came of it. An exception that is no ProviderError is not caught: it fails the test."""
    try:
        return await call
    except ProviderError as caught:
        error = caught
    texts = "".join([*format_exception(error), repr(error), repr(error.details)])
    assert "canary" not in texts
    assert error.message.endswith(".")
    return error


def decisions(name: str, status: int) -> tuple[type[ProviderError], ...]:
    """What a status may mean, if it is no success."""
    if status in (408, 499) or not 400 <= status < 500:
        return (OutcomeUnknown,) if name in WRITES else (TryLater,)
    if status == 401:
        return (AccessTokenRejected,)
    return (TryLater,) if status in (423, 425, 429) else (TryLater, Rejected, ReconnectNeeded, Misconfigured)


@every_crm
@every_call
async def test_every_status_is_an_answer_or_a_decision(*, entry: type[Crm], name: str) -> None:
    says = Says()

    def answer(asked: Asked) -> Says:
        return Says(200, EMPTY) if name in WRITES and is_question(asked) else says

    async with a_stage(entry, answer) as stage:
        for status in STATUSES:
            says = Says(status, HOSTILE[status % len(HOSTILE)])
            outcome = await outcome_of(CALLS[name](stage))
            if isinstance(outcome, ProviderError):
                assert type(outcome) in decisions(name, status), (status, outcome)
            else:
                assert status < 300 or status in (404, 409), (status, outcome)


@every_crm
@every_call
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_no_body_brings_anything_but_an_answer_or_a_decision(
    *, entry: type[Crm], name: str, body: Any
) -> None:
    says = Says()
    async with a_stage(entry, lambda _: says) as stage:
        for status in (200, 201, 204, 207, 400, 401, 403, 404, 409, 413, 422, 429, 477, 500, 503):
            says = Says(status, body, {"Retry-After": "canary"})
            outcome = await outcome_of(CALLS[name](stage))
            assert isinstance(outcome, ProviderError | Entry | Person | list | None)


@every_crm
@pytest.mark.parametrize("name", READS)
async def test_only_an_answer_that_says_so_means_that_there_is_nothing(
    *, entry: type[Crm], name: str
) -> None:
    """Else a message would be logged a second time, or a contact be made twice."""
    says = Says(200, EMPTY)
    async with a_stage(entry, lambda _: says) as stage:
        for body in (b"", b"<html>", b"null", b"[]", {"error": "x"}):
            says = Says(200, body)
            assert type(await outcome_of(CALLS[name](stage))) is TryLater, body
        says = Says(503, EMPTY)
        assert type(await outcome_of(CALLS[name](stage))) is TryLater


@every_crm
@every_write
async def test_a_write_whose_connection_breaks_may_have_been_done_and_is_not_repeated(
    *, entry: type[Crm], name: str
) -> None:
    def answer(asked: Asked) -> Says:
        if is_question(asked):
            return Says(200, EMPTY)
        raise ConnectionResetError  # the request is whole by now

    async with a_stage(entry, answer) as stage:
        assert type(await outcome_of(WRITES[name](stage))) is OutcomeUnknown
        assert len(stage.writes()) == 1


@every_crm
@every_call
async def test_who_cannot_be_reached_is_asked_again_later(*, entry: type[Crm], name: str) -> None:
    async with a_stage(entry, lambda _: Says(200, EMPTY)) as stage:
        await stage.server.__aexit__(None, None, None)
        error = await outcome_of(CALLS[name](stage))

        assert type(error) is TryLater
        assert error.code == "not_reached"


@every_crm
@every_call
async def test_a_token_goes_in_the_header_and_nowhere_else(*, entry: type[Crm], name: str) -> None:
    async with a_stage(entry, lambda _: Says(200, EMPTY)) as stage:
        await outcome_of(CALLS[name](stage))

        assert stage.server.asked
        for asked in stage.server.asked:
            assert asked.headers["authorization"] == "Bearer canary-token"
            assert "canary" not in asked.target
            assert b"canary" not in asked.body


@every_crm
async def test_a_log_is_one_write_and_leads_to_its_entry(*, entry: type[Crm]) -> None:
    def answer(asked: Asked) -> Says:
        return Says(200, EMPTY) if is_question(asked) else Says(201, {"id": "900", "success": True})

    async with a_stage(entry, answer) as stage:
        logged = await stage.crm.log(stage.access, email=LOGGED, people=[stage.bob])

        assert logged.id == "900"
        assert logged.url.startswith(stage.server.url)
        assert logged.is_ours
        assert len(stage.writes()) == 1
        assert LOGGED.send_id in stage.writes()[0].body.decode()


@every_crm
async def test_nobody_and_nothing_are_found_in_an_empty_crm(*, entry: type[Crm]) -> None:
    def answer(asked: Asked) -> Says:
        return (
            Says(404, {"category": "OBJECT_NOT_FOUND"}) if "idProperty" in asked.target else Says(200, EMPTY)
        )

    async with a_stage(entry, answer) as stage:
        assert await stage.crm.find_people(stage.access, emails=[BOB.email]) == []
        assert await stage.crm.find_entry(stage.access, email=LOGGED, people=[stage.bob]) is None
        assert stage.writes() == []


@every_crm
async def test_it_can_be_told_how_long_to_wait_before_a_look_is_sure(*, entry: type[Crm]) -> None:
    http = HttpClient()
    assert 0 < Registry({}, http, providers=ENTRIES).crm(entry.name).settling_seconds <= 600
    await http.close()
