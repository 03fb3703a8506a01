"""What holds for looking into the Sent folder of every mailbox that can be looked into, whatever it answers."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from replysequence.domain.errors import AccessTokenRejected, ProviderError, Rejected, TryLater
from replysequence.domain.secret import Secret
from replysequence.providers.http import HttpClient
from replysequence.providers.looking import Found, Searchable, Sought
from replysequence.providers.registry import Registry
from support.answering import Answering, Says
from support.registry_entries import ENTRIES, settings_at

SOUGHT = Sought(
    "0193b2c4-0000-7000-8000-000000000001",
    "<0193b2c4@brightwave.example>",
    datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
)
TOKEN = Secret("canary-token")
MOST_CALLS = 25
SEARCHABLE = [entry for entry in ENTRIES if issubclass(entry, Searchable)]

every_searchable = pytest.mark.parametrize("entry", SEARCHABLE, ids=lambda entry: entry.name)


def mailbox_at(entry: type[Searchable], url: str, http: HttpClient) -> Searchable:
    mailbox = Registry(settings_at(entry, url), http, providers=ENTRIES).mailbox(entry.name)
    assert isinstance(mailbox, Searchable)
    return mailbox


async def nobody(_: Sequence[str]) -> Collection[str]:
    return ()


async def look(mailbox: Searchable) -> Found | ProviderError | None:
    """One look. An exception that is no ProviderError is not caught: it fails the test."""
    try:
        return await mailbox.find_sent(SOUGHT, access_token=TOKEN, known=nobody)
    except ProviderError as error:
        return error


HOSTILE: tuple[Any, ...] = (
    {},
    b"",
    b"<html>canary-token</html>",
    b"[" * 100_000,
    [],
    {"messages": "canary", "value": "canary"},
    {"messages": [7, None, {"id": 7}, {"id": ["a"]}, {"id": "../../token"}], "value": [7, None, {"id": 7}]},
    {"messages": [{"id": "a1"}] * 5000, "value": [{"id": "a1"}] * 5000},
    {"messages": [{"id": "a1"}], "payload": {"headers": [{"name": None, "value": None}, 7]}},
    {"payload": {"headers": {"name": "X"}}, "internalDate": "٣" * 20, "messages": [{"id": "a1"}]},
    {
        "messages": [{"id": "a1"}],
        "internalDate": -1,
        "nextPageToken": "x",
        "@odata.nextLink": "https://e.example",
    },
    {"value": [{"singleValueExtendedProperties": {"value": 7}, "internetMessageId": ["x"]}]},
)


@every_searchable
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_no_answer_is_taken_for_more_than_it_shows(*, entry: type[Searchable], body: Any) -> None:
    http = HttpClient()
    async with Answering(lambda _: Says()) as server:
        mailbox = mailbox_at(entry, server.url, http)
        for status in (200, 201, 301, 400, 401, 403, 404, 410, 429, 500, 502, 503):
            server.asked.clear()
            says = Says(status, body, {"Retry-After": "canary"})
            server.answer = lambda _, says=says: says  # type: ignore[misc]
            outcome = await look(mailbox)

            assert len(server.asked) <= MOST_CALLS
            assert outcome is None or isinstance(outcome, AccessTokenRejected | Rejected | TryLater)
            if outcome is not None:
                assert "canary" not in f"{outcome!r} {outcome.message} {outcome.details}"
            if status != 200:
                refused = {401: AccessTokenRejected, 403: Rejected, 404: Rejected, 410: Rejected}
                assert type(outcome) is refused.get(status, TryLater)
        await http.close()


@every_searchable
async def test_a_provider_that_cannot_be_reached_could_not_be_looked_at(*, entry: type[Searchable]) -> None:
    http = HttpClient()
    outcome = await look(mailbox_at(entry, "http://127.0.0.1:1", http))
    await http.close()

    assert isinstance(outcome, TryLater)
    assert outcome.code == "not_reached"


@every_searchable
async def test_looking_only_reads(*, entry: type[Searchable]) -> None:
    http = HttpClient()
    async with Answering(lambda _: Says(200, {"messages": [{"id": "a1"}], "value": []})) as server:
        await look(mailbox_at(entry, server.url, http))
        await http.close()

        assert server.asked
        assert {(asked.method, asked.body) for asked in server.asked} == {("GET", b"")}


@every_searchable
async def test_looking_is_asked_for_beside_sending_and_never_with_it(*, entry: type[Searchable]) -> None:
    http = HttpClient()
    mailbox = mailbox_at(entry, "https://provider.example", http)
    usual, looking, scope = mailbox.oauth, mailbox.looking_oauth, mailbox.look_up.scope

    assert scope not in usual.scopes
    assert set(looking.scopes) == {*usual.scopes, scope}
    assert looking.required_scopes == usual.required_scopes
    assert scope not in looking.required_scopes
    assert looking.canonical_scopes(" ".join(looking.scopes)) >= looking.required_scopes | {scope}
    assert mailbox.oauth_for(usual.required_scopes).scopes == usual.scopes
    assert mailbox.oauth_for(usual.required_scopes | {scope}).scopes == looking.scopes
    assert mailbox.look_up.allows.endswith(".")
    assert mailbox.look_up.note.endswith(".")
    await http.close()


def test_there_is_something_to_look_into() -> None:
    assert SEARCHABLE
    assert len(SEARCHABLE) < len(ENTRIES)
