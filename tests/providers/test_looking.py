"""What is asked of a Sent folder, what counts as found, and that no answer can say more than that."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from replysequence.domain.errors import ProviderError
from replysequence.domain.secret import Secret
from replysequence.providers.gmail import MOST_READ, Gmail
from replysequence.providers.http import HttpClient
from replysequence.providers.looking import Found, Searchable, Sought
from replysequence.providers.outlook import SEND_ID_PROPERTY, Outlook
from support.answering import Answering, Asked, Says
from support.registry_entries import settings_at

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SOUGHT = Sought("0193b2c4-0000-7000-8000-000000000001", "<0193b2c4@brightwave.example>", AT)
TOKEN = Secret("canary-token")


async def nobody(_: Sequence[str]) -> Collection[str]:
    return ()


async def find(
    kind: type[Searchable],
    answer: Callable[[Asked], Says],
    *,
    known: Callable[..., Any] = nobody,
    sought: Sought = SOUGHT,
) -> tuple[Found | ProviderError | None, list[Asked]]:
    http = HttpClient()
    async with Answering(answer) as server:
        mailbox = kind(settings_at(kind, server.url), http)
        try:
            return await mailbox.find_sent(sought, access_token=TOKEN, known=known), server.asked
        except ProviderError as error:
            return error, server.asked
        finally:
            await http.close()


def gmail(messages: Mapping[str, Mapping[str, Any]]) -> Callable[[Asked], Says]:
    """A mailbox with these messages in Sent, newest first."""

    def answer(asked: Asked) -> Says:
        path = urlsplit(asked.target).path
        if path.endswith("/messages"):
            return Says(200, {"messages": [{"id": each, "threadId": each} for each in messages]})
        found = messages.get(path.rpartition("/")[2])
        return Says(404, {"error": {"code": 404}}) if found is None else Says(200, found)

    return answer


def a_message(at: datetime = AT, /, **headers: str) -> dict[str, Any]:
    named = [{"name": name.replace("_", "-"), "value": value} for name, value in headers.items()]
    return {
        "id": "x",
        "threadId": "t1",
        "internalDate": str(int(at.timestamp() * 1000)),
        "payload": {"headers": named},
    }


OURS = a_message(X_ReplySequence_Send_Id=SOUGHT.send_id)


async def test_gmail_lists_without_a_search_and_reads_two_headers() -> None:
    found, asked = await find(Gmail, gmail({"a1": a_message(), "b2": OURS}))

    assert found == Found("b2", "t1")
    listed, first, _ = (urlsplit(each.target) for each in asked)
    assert listed.path.endswith("/gmail/v1/users/me/messages")
    assert parse_qs(listed.query) == {"labelIds": ["SENT"], "maxResults": ["500"]}
    assert parse_qs(first.query) == {
        "format": ["metadata"],
        "metadataHeaders": ["X-ReplySequence-Send-Id", "Message-ID"],
    }
    assert {each.method for each in asked} == {"GET"}
    assert {each.headers["authorization"] for each in asked} == {"Bearer canary-token"}


@pytest.mark.parametrize(
    ("headers", "is_it"),
    [
        ({"X_ReplySequence_Send_Id": SOUGHT.send_id}, True),
        ({"x_replysequence_send_id": f" {SOUGHT.send_id} "}, True),
        ({"Message_ID": SOUGHT.message_id}, True),
        ({"X_ReplySequence_Send_Id": "0193b2c4-0000-7000-8000-000000000002"}, False),
        ({"X_ReplySequence_Send_Id": f"{SOUGHT.send_id}0"}, False),
        ({"Subject": SOUGHT.send_id, "Message_ID": "<other@brightwave.example>"}, False),
        ({"References": SOUGHT.message_id, "In_Reply_To": SOUGHT.message_id}, False),
    ],
)
async def test_only_the_sends_own_mark_counts_at_gmail(*, headers: dict[str, str], is_it: bool) -> None:
    found, _ = await find(Gmail, gmail({"a1": a_message(**headers)}))

    assert (found is not None) is is_it


async def test_gmail_reads_no_more_than_it_may_of_a_huge_folder() -> None:
    many = {f"{number:016x}": a_message() for number in range(2000)}
    found, asked = await find(Gmail, gmail(many))

    assert found is None
    assert len(asked) == 1 + MOST_READ
    assert Gmail.look_up.costs * 100 >= 5 + 20 * MOST_READ


async def test_gmail_stops_at_what_is_older_than_the_attempt() -> None:
    before = a_message(AT - timedelta(minutes=11))
    folder = {"a1": a_message(), "b2": a_message(AT - timedelta(minutes=9)), "c3": before, "d4": OURS}
    found, asked = await find(Gmail, gmail(folder))

    assert found is None
    assert len(asked) == 4


async def test_gmail_does_not_read_what_is_known_as_another_send() -> None:
    asked_about: list[Sequence[str]] = []

    async def known(ids: Sequence[str]) -> Collection[str]:
        asked_about.append(ids)
        return {"a1", "b2"}

    found, asked = await find(Gmail, gmail({"a1": a_message(), "b2": a_message(), "c3": OURS}), known=known)

    assert found == Found("c3", "t1")
    assert asked_about == [["a1", "b2", "c3"]]
    assert len(asked) == 2


def questions(asked: Sequence[Asked]) -> list[dict[str, str]]:
    return [
        {name: values[0] for name, values in parse_qs(urlsplit(each.target).query).items()} for each in asked
    ]


async def test_graph_is_asked_for_this_one_message_only() -> None:
    found, asked = await find(Outlook, lambda _: Says(200, {"value": []}))

    assert found is None
    assert {urlsplit(each.target).path.partition("/me/")[2] for each in asked} == {
        "mailFolders/sentitems/messages"
    }
    by_property, by_header, by_message_id = questions(asked)
    for question, name in (
        (by_property, SEND_ID_PROPERTY),
        (by_header, "String {00020386-0000-0000-c000-000000000046} Name x-replysequence-send-id"),
    ):
        assert question["$filter"] == (
            f"singleValueExtendedProperties/any(ep: ep/id eq '{name}' and ep/value eq '{SOUGHT.send_id}')"
        )
        assert question["$expand"] == f"singleValueExtendedProperties($filter=id eq '{name}')"
        assert "body" not in question["$select"]
    assert by_message_id["$filter"] == f"internetMessageId eq '{SOUGHT.message_id}'"


async def test_a_quote_in_a_message_id_stays_inside_the_filter() -> None:
    sought = Sought(SOUGHT.send_id, "<a'b@brightwave.example>", AT)
    _, asked = await find(Outlook, lambda _: Says(200, {"value": []}), sought=sought)

    assert questions(asked)[2]["$filter"] == "internetMessageId eq '<a''b@brightwave.example>'"
    assert " " not in unquote(asked[2].target).partition("?")[0]


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (
            {"singleValueExtendedProperties": [{"id": "string {43c1", "value": SOUGHT.send_id.upper()}]},
            Found("AAMk=", "AAQk"),
        ),
        ({"singleValueExtendedProperties": [{"id": SEND_ID_PROPERTY, "value": "another"}]}, None),
        ({"singleValueExtendedProperties": []}, None),
        ({"internetMessageId": SOUGHT.message_id}, Found("AAMk=", "AAQk")),
        ({"internetMessageId": "<another@brightwave.example>"}, None),
        ({"subject": SOUGHT.send_id}, None),
    ],
)
async def test_an_item_counts_at_graph_only_if_it_shows_the_sends_own_mark(
    *, item: dict[str, Any], found: Found | None
) -> None:
    told = {"value": [{"id": "other"}, {"id": "AAMk=", "conversationId": "AAQk"} | item]}

    assert (await find(Outlook, lambda _: Says(200, told)))[0] == found
