"""What the stand-ins of Google and Microsoft show of a Sent folder, to whom, and how late."""

from typing import Any
from urllib.parse import urlencode

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from support.google_app import CONSUMER, MESSAGE, SCOPES, GoogleApp
from support.google_app import bearer as google_bearer
from support.microsoft_app import PERSONAL, MicrosoftApp, bearer, simple_mail
from support.microsoft_app import SCOPES as MICROSOFT_SCOPES
from support.plain_http import Answer, call

METADATA = "https://www.googleapis.com/auth/gmail.metadata"
READONLY = "https://www.googleapis.com/auth/gmail.readonly"
OWN = "String {43c179e1-fb7a-4b3d-8545-8605cb0aba1a} Name ReplySequenceSendId"
HEADER = "String {00020386-0000-0000-C000-000000000046} Name x-replysequence-send-id"
BOB = "bob@customer.example"


def token_for(app: GoogleApp, *scopes: str) -> str:
    return str(app.connect(scope=" ".join([SCOPES, *scopes]))["access_token"])


def gmail(app: GoogleApp, token: str, path: str = "", **query: Any) -> Answer:
    url = f"{app.box.environment['GMAIL_API_URL']}/gmail/v1/users/me/messages{path}"
    return call("GET", f"{url}?{urlencode(query, doseq=True)}", headers=google_bearer(token))


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["error"]["errors"][0]["reason"]


def test_gmail_lists_what_was_sent_newest_first_page_by_page(app: GoogleApp) -> None:
    token = token_for(app, METADATA)
    ids = [app.send(token).json["id"] for _ in range(3)]

    first = gmail(app, token, labelIds="SENT", maxResults=2).json
    assert [each["id"] for each in first["messages"]] == [ids[2], ids[1]]
    second = gmail(app, token, labelIds="SENT", maxResults=2, pageToken=first["nextPageToken"]).json
    assert [each["id"] for each in second["messages"]] == [ids[0]]
    assert "nextPageToken" not in second
    assert gmail(app, token, labelIds=["SENT", "INBOX"]).json == {"resultSizeEstimate": 0}


def test_gmail_shows_the_headers_that_were_asked_for(app: GoogleApp) -> None:
    token = token_for(app, METADATA)
    sent = app.send(token).json["id"]
    names = ["x-replysequence-send-id", "Message-ID"]
    told = gmail(app, token, f"/{sent}", format="metadata", metadataHeaders=names).json

    headers = {each["name"]: each["value"] for each in told["payload"]["headers"]}
    assert headers["X-ReplySequence-Send-Id"] == "send-1"
    assert headers["Message-ID"].endswith("@mail.gmail.com>")
    assert len(headers) == 2
    assert told["labelIds"] == ["SENT"]
    assert int(told["internalDate"]) > 0
    assert "Thank you" not in str(told)


def test_who_may_only_send_sees_nothing_at_gmail(app: GoogleApp) -> None:
    token = token_for(app)
    sent = app.send(token).json["id"]

    assert reason(gmail(app, token)) == (403, "insufficientPermissions")
    assert reason(gmail(app, token, f"/{sent}")) == (403, "insufficientPermissions")


def test_the_metadata_scope_takes_no_search_and_no_text(app: GoogleApp) -> None:
    narrow = token_for(app, METADATA)
    sent = app.send(narrow).json["id"]

    for query in ("in:sent", ""):
        assert reason(gmail(app, narrow, q=query)) == (403, "forbidden")
    for form in ("full", "raw"):
        assert reason(gmail(app, narrow, f"/{sent}", format=form)) == (403, "forbidden")
    assert reason(gmail(app, narrow, f"/{sent}")) == (403, "forbidden")
    both = token_for(app, METADATA, READONLY)
    assert reason(gmail(app, both, q="in:sent")) == (403, "forbidden")


def test_a_wider_scope_searches_and_reads(app: GoogleApp) -> None:
    token = token_for(app, READONLY)
    sent = app.send(token).json["id"]
    message = gmail(app, token, f"/{sent}").json
    [message_id] = [each["value"] for each in message["payload"]["headers"] if each["name"] == "Message-ID"]

    found = gmail(app, token, q=f"in:sent rfc822msgid:{message_id.strip('<>')}").json
    assert [each["id"] for each in found["messages"]] == [sent]
    assert gmail(app, token, q="rfc822msgid:nobody@example.com").json == {"resultSizeEstimate": 0}
    assert "raw" in gmail(app, token, f"/{sent}", format="raw").json


def test_a_mailbox_shows_nobody_elses_mail(app: GoogleApp) -> None:
    sent = app.send(token_for(app, METADATA)).json["id"]
    other = str(app.connect(CONSUMER, scope=f"{SCOPES} {METADATA}")["access_token"])

    assert reason(gmail(app, other, f"/{sent}", format="metadata")) == (404, "notFound")
    assert gmail(app, other).json == {"resultSizeEstimate": 0}


def test_reading_takes_from_the_same_units_as_sending(app: GoogleApp) -> None:
    app.box.world.settings[Vendor.GOOGLE].units_per_minute = 125
    token = token_for(app, METADATA)
    sent = app.send(token, MESSAGE).json["id"]

    assert gmail(app, token).status == 200
    assert gmail(app, token, f"/{sent}", format="metadata").status == 200
    assert reason(gmail(app, token)) == (403, "rateLimitExceeded")


def test_a_sent_folder_can_lag(app: GoogleApp) -> None:
    app.box.world.settings[Vendor.GOOGLE].sent_lag_seconds = 600
    token = token_for(app, METADATA)
    sent = app.send(token).json["id"]

    assert "messages" not in gmail(app, token, labelIds="SENT").json
    assert gmail(app, token, f"/{sent}", format="metadata").status == 404
    app.box.world.clock.advance(600)
    assert [each["id"] for each in gmail(app, token, labelIds="SENT").json["messages"]] == [sent]


def test_the_fault_menu_reaches_looking(app: GoogleApp) -> None:
    token = token_for(app, METADATA)
    app.box.world.faults.arm(Fault(kind="refused_503", vendor=Vendor.GOOGLE, endpoint=Endpoint.LOOK_UP))

    assert reason(gmail(app, token)) == (503, "backendError")
    assert gmail(app, token).status == 200


def graph(app: MicrosoftApp, token: str, folder: str = "sentitems", **query: Any) -> Answer:
    shown = {f"${name}": value for name, value in query.items()}
    url = app.url(f"/v1.0/me/mailFolders/{folder}/messages?{urlencode(shown)}")
    return call("GET", url, headers=bearer(token))


def reader(app: MicrosoftApp, permission: str) -> str:
    return str(app.connect(PERSONAL, scope=f"{MICROSOFT_SCOPES} {permission}")["access_token"])


def by_property(name: str, value: str) -> str:
    return f"singleValueExtendedProperties/any(ep: ep/id eq '{name}' and ep/value eq '{value}')"


@pytest.fixture
def marked(microsoft: MicrosoftApp) -> str:
    """A message in Sent Items that carries our own property, and another that does not; the first one's id."""
    token = reader(microsoft, "Mail.Read")
    properties = [{"id": OWN, "value": "send-7"}]
    microsoft.send(token, simple_mail(BOB, singleValueExtendedProperties=properties))
    microsoft.send(token, simple_mail(BOB))
    return next(iter(microsoft.box.world.ledger)).message


def test_graph_finds_a_message_by_a_property_of_its_own(microsoft: MicrosoftApp, marked: str) -> None:
    token = reader(microsoft, "Mail.Read")
    expand = f"singleValueExtendedProperties($filter=id eq '{OWN}')"
    found = graph(microsoft, token, filter=by_property(OWN, "SEND-7"), expand=expand, select="id").json

    [item] = found["value"]
    assert item["id"] == f"AAMk{marked}"
    assert item["singleValueExtendedProperties"] == [{"id": OWN, "value": "send-7"}]
    assert "subject" not in item
    assert graph(microsoft, token, filter=by_property(OWN, "send-8")).json["value"] == []
    assert len(graph(microsoft, token).json["value"]) == 2
    assert "internetMessageHeaders" not in graph(microsoft, token).json["value"][0]


def test_graph_finds_a_mime_message_by_its_header(microsoft: MicrosoftApp) -> None:
    token = reader(microsoft, "Mail.Read")
    microsoft.send_mime(
        token, b"To: bob@customer.example\r\nX-ReplySequence-Send-Id: send-7\r\n\r\nHello\r\n"
    )

    [item] = graph(microsoft, token, filter=by_property(HEADER, "send-7")).json["value"]
    same = graph(microsoft, token, filter=f"internetMessageId eq '{item['internetMessageId']}'").json["value"]
    assert [each["id"] for each in same] == [item["id"]]


@pytest.mark.usefixtures("marked")
def test_basic_reading_shows_no_extended_properties(microsoft: MicrosoftApp) -> None:
    token = reader(microsoft, "Mail.ReadBasic")

    assert len(graph(microsoft, token).json["value"]) == 2
    refused = graph(microsoft, token, filter=by_property(OWN, "send-7"))
    assert (refused.status, refused.json["error"]["code"]) == (403, "ErrorAccessDenied")


def test_who_may_only_send_sees_nothing_at_graph(microsoft: MicrosoftApp) -> None:
    refused = graph(microsoft, microsoft.connect(PERSONAL)["access_token"])

    assert (refused.status, refused.json["error"]["code"]) == (403, "ErrorAccessDenied")


def test_graph_refuses_what_it_does_not_understand(microsoft: MicrosoftApp) -> None:
    token = reader(microsoft, "Mail.Read")

    assert graph(microsoft, token, filter="internetMessageHeaders/any(h: h/name eq 'x')").status == 400
    assert graph(microsoft, token, expand="everything").status == 400
    assert graph(microsoft, token, top="many").status == 400
    assert graph(microsoft, token, folder="inbox").status == 404


@pytest.mark.usefixtures("marked")
def test_graph_pages_and_lags(microsoft: MicrosoftApp) -> None:
    token = reader(microsoft, "Mail.Read")
    first = graph(microsoft, token, top=1).json
    assert len(first["value"]) == 1
    second = call("GET", first["@odata.nextLink"], headers=bearer(token)).json
    assert "@odata.nextLink" not in second
    assert first["value"][0]["id"] != second["value"][0]["id"]

    microsoft.box.world.settings[Vendor.MICROSOFT].sent_lag_seconds = 60
    assert graph(microsoft, token).json["value"] == []


@pytest.mark.parametrize(("seconds", "status", "lag"), [("180", 303, 180), ("601", 400, 0), ("x", 400, 0)])
def test_the_lag_is_set_on_the_page_of_faults(app: GoogleApp, seconds: str, status: int, lag: int) -> None:
    page = call("GET", f"{app.box.base_url}/faults").text
    assert "The app finds a message in the Sent folder" in page
    answer = call("POST", f"{app.box.base_url}/faults/lag", form={"vendor": "google", "seconds": seconds})

    assert answer.status in (status, 302 if status == 303 else status)
    assert app.box.world.settings[Vendor.GOOGLE].sent_lag_seconds == lag
