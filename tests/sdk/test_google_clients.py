"""Google's own Python libraries connect, refresh and send against the sandbox: proof by clients that are not ours."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import google.auth.transport.requests
import pytest
import requests
from google.auth.exceptions import RefreshError
from google.oauth2 import id_token
from google_auth_oauthlib.flow import Flow
from googleapiclient.discovery import build, build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaInMemoryUpload

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.headers import header_values
from replysequence.sandbox.running import RunningSandbox, sandbox
from support.consent import approve, cancel
from support.google_app import CALLBACK, MESSAGE, SEND, WORKSPACE

CANONICAL = [
    "openid",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
    SEND,
]


authorized_session: Any = google.auth.transport.requests.AuthorizedSession


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSandbox]:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with sandbox() as running:
        running.world.google_client.redirect_uris.add(CALLBACK)
        yield running


def flow_of(box: RunningSandbox, *, scopes: tuple[str, ...] = ()) -> Flow:
    settings = box.environment
    config = {
        "web": {
            "client_id": settings["GOOGLE_CLIENT_ID"],
            "client_secret": settings["GOOGLE_CLIENT_SECRET"],
            "auth_uri": settings["GOOGLE_AUTHORIZE_URL"],
            "token_uri": settings["GOOGLE_TOKEN_URL"],
        }
    }
    return Flow.from_client_config(config, scopes=[*CANONICAL, *scopes], redirect_uri=CALLBACK)


def connect(box: RunningSandbox, account: str = WORKSPACE, *, scopes: tuple[str, ...] = ()) -> Any:
    flow = flow_of(box, scopes=scopes)
    url, _ = flow.authorization_url(access_type="offline", prompt="consent")
    flow.fetch_token(authorization_response=approve(url, account=account))
    flow.oauth2session.close()
    return flow.credentials


@pytest.fixture
def credentials(box: RunningSandbox) -> Any:
    return connect(box)


@pytest.fixture
def transport() -> Iterator[google.auth.transport.requests.Request]:
    with requests.Session() as session:
        yield google.auth.transport.requests.Request(session)


@pytest.fixture
def gmail(box: RunningSandbox, credentials: Any) -> Iterator[Any]:
    with build(
        "gmail",
        "v1",
        credentials=credentials,
        static_discovery=True,
        client_options={"api_endpoint": box.base_url},
    ) as service:
        yield service


@pytest.fixture
def uploads(box: RunningSandbox, credentials: Any) -> Iterator[Any]:
    """The same client for media: it takes the upload host from the discovery document, not from the options."""
    document = json.loads(get_static_doc("gmail", "v1")) | {"rootUrl": f"{box.base_url}/"}
    with build_from_document(document, credentials=credentials) as service:
        yield service


def raw_body(raw: bytes = MESSAGE) -> dict[str, str]:
    return {"raw": base64.urlsafe_b64encode(raw).decode()}


def send(gmail: Any, **arguments: Any) -> Any:
    return gmail.users().messages().send(userId="me", **arguments).execute(num_retries=0)


def refused(gmail: Any, **arguments: Any) -> tuple[int, str]:
    with pytest.raises(HttpError) as caught:
        send(gmail, **arguments)
    return caught.value.status_code, caught.value.error_details[0]["reason"]


def test_the_oauth_library_connects_with_pkce_and_state(credentials: Any) -> None:
    assert credentials.refresh_token is not None
    assert credentials.has_scopes([SEND])
    assert credentials.valid


def test_the_oauth_library_understands_a_cancelled_consent(box: RunningSandbox) -> None:
    flow = flow_of(box)
    url, _ = flow.authorization_url(access_type="offline", prompt="consent")

    with pytest.raises(Exception, match="access_denied"):
        flow.fetch_token(authorization_response=cancel(url, account=WORKSPACE))
    flow.oauth2session.close()


def test_googles_verifier_accepts_the_id_token_with_either_form_of_keys(
    box: RunningSandbox,
    credentials: Any,
    transport: google.auth.transport.requests.Request,
) -> None:
    for path in ("/oauth2/v1/certs", "/oauth2/v3/certs"):
        claims = id_token.verify_token(
            credentials.id_token,
            transport,
            audience=box.environment["GOOGLE_CLIENT_ID"],
            certs_url=box.base_url + path,
        )
        assert (claims["email"], claims["hd"]) == (WORKSPACE, "brightwave.example")
        assert claims["iss"] == box.environment["GOOGLE_ISSUER"]


def test_the_auth_library_refreshes(
    credentials: Any, transport: google.auth.transport.requests.Request
) -> None:
    before, kept = credentials.token, credentials.refresh_token

    credentials.refresh(transport)

    assert credentials.token != before
    assert credentials.refresh_token == kept
    assert set(credentials.granted_scopes) == set(CANONICAL)


def test_the_auth_library_retries_a_token_endpoint_that_is_unavailable(
    box: RunningSandbox, credentials: Any, transport: google.auth.transport.requests.Request
) -> None:
    fault = Fault(kind="refused_503", vendor=Vendor.GOOGLE, endpoint=Endpoint.TOKEN)
    box.world.faults.arm(fault)

    credentials.refresh(transport)

    assert [strike.kind for strike in box.world.faults.strikes] == ["refused_503"]
    assert credentials.valid


def test_the_auth_library_gives_up_on_a_revoked_grant(
    box: RunningSandbox, credentials: Any, transport: google.auth.transport.requests.Request
) -> None:
    act(box.world, box.world.accounts.at(Vendor.GOOGLE, WORKSPACE), "remove_access")

    with pytest.raises(RefreshError, match="invalid_grant") as caught:
        credentials.refresh(transport)
    assert caught.value.retryable is False


def test_the_auth_library_names_a_session_policy(
    box: RunningSandbox, credentials: Any, transport: google.auth.transport.requests.Request
) -> None:
    box.world.accounts.at(Vendor.GOOGLE, WORKSPACE).switches.at_token = "invalid_rapt"

    with pytest.raises(RefreshError, match=r"(?i)reauth"):
        credentials.refresh(transport)


def test_the_api_client_sends_in_the_json_form(box: RunningSandbox, gmail: Any) -> None:
    told = send(gmail, body=raw_body())

    [message] = box.world.inbox("charlie@customer.example")
    assert told == {"id": message.id, "threadId": message.id, "labelIds": ["SENT"]}
    assert [entry.send_id for entry in box.world.ledger] == ["send-1"]


@pytest.mark.parametrize("resumable", [False, True])
def test_the_api_client_uploads_a_message(box: RunningSandbox, uploads: Any, resumable: bool) -> None:  # noqa: FBT001
    raw = MESSAGE + b"x" * 1_000_000
    media = MediaInMemoryUpload(raw, mimetype="message/rfc822", chunksize=262_144, resumable=resumable)

    told = send(uploads, body={}, media_body=media)

    [message] = box.world.inbox("charlie@customer.example")
    assert told["id"] == message.id
    assert message.delivered.endswith(b"x" * 1_000_000)


def test_the_api_client_replies_within_a_thread(box: RunningSandbox, gmail: Any, uploads: Any) -> None:
    first = send(gmail, body=raw_body())
    [parent] = header_values(box.world.messages[first["id"]].delivered, "Message-ID")
    reply = MESSAGE.replace(b"Subject: ", f"References: {parent}\r\nSubject: Re: ".encode())

    media = MediaInMemoryUpload(reply, mimetype="message/rfc822")
    second = send(uploads, body={"threadId": first["threadId"]}, media_body=media)
    third = send(gmail, body=raw_body(reply) | {"threadId": first["threadId"]})

    assert second["threadId"] == third["threadId"] == first["threadId"]
    assert refused(gmail, body=raw_body() | {"threadId": "0123456789abcdef"}) == (404, "notFound")


def test_the_api_client_reads_the_reasons_of_refusals(box: RunningSandbox, gmail: Any) -> None:
    switches = box.world.accounts.at(Vendor.GOOGLE, WORKSPACE).switches

    assert refused(gmail, body={}) == (400, "invalidArgument")
    assert refused(gmail, body=raw_body(b"Subject: nobody\r\n\r\n")) == (400, "invalidArgument")
    switches.at_send = "domain_policy"
    assert refused(gmail, body=raw_body()) == (403, "domainPolicy")
    switches.at_send, switches.daily_messages = "", 0
    assert refused(gmail, body=raw_body()) == (429, "userRateLimitExceeded")


def test_the_api_client_refreshes_after_a_401_and_sends_once(box: RunningSandbox, gmail: Any) -> None:
    act(box.world, box.world.accounts.at(Vendor.GOOGLE, WORKSPACE), "expire_access_tokens")

    assert send(gmail, body=raw_body())["labelIds"] == ["SENT"]
    assert len(box.world.ledger) == 1


def test_the_api_client_doubles_a_mail_when_it_is_told_to_retry(box: RunningSandbox, gmail: Any) -> None:
    """Why the send path uses no SDK: the ledger shows what a retry after a 500 really does."""
    box.world.faults.arm(Fault(kind="error_500_after_acceptance", vendor=Vendor.GOOGLE))

    gmail.users().messages().send(userId="me", body=raw_body()).execute(num_retries=1)

    assert len(box.world.ledger.of_send("send-1")) == 2


def test_an_authorized_session_asks_who_it_is(box: RunningSandbox, credentials: Any) -> None:
    with authorized_session(credentials) as session:
        answer = session.get(box.environment["GOOGLE_USERINFO_URL"])

    assert json.loads(answer.content)["email"] == WORKSPACE


def test_the_auth_library_refreshes_by_itself_when_the_lifetime_is_short(box: RunningSandbox) -> None:
    box.world.settings[Vendor.GOOGLE].access_token_seconds = 60
    credentials = connect(box)
    before = credentials.token

    with authorized_session(credentials) as session:
        assert session.get(box.environment["GOOGLE_USERINFO_URL"]).status_code == 200

    assert credentials.token != before


def test_the_api_client_looks_into_the_sent_folder_with_the_metadata_scope(box: RunningSandbox) -> None:
    credentials = connect(box, scopes=("https://www.googleapis.com/auth/gmail.metadata",))
    options = {"api_endpoint": box.base_url}
    with build(
        "gmail", "v1", credentials=credentials, static_discovery=True, client_options=options
    ) as service:
        sent = send(service, body=raw_body())
        messages = service.users().messages()
        listed = messages.list(userId="me", labelIds=["SENT"], maxResults=500).execute()
        assert [each["id"] for each in listed["messages"]] == [sent["id"]]
        told = messages.get(
            userId="me", id=sent["id"], format="metadata", metadataHeaders=["X-ReplySequence-Send-Id"]
        ).execute()
        assert told["payload"]["headers"] == [{"name": "X-ReplySequence-Send-Id", "value": "send-1"}]
        with pytest.raises(HttpError) as refused:
            messages.list(userId="me", q="in:sent").execute()
    assert refused.value.status_code == 403
    assert "does not support 'q'" in str(refused.value)


def test_the_api_client_sees_nothing_with_the_permission_to_send_alone(gmail: Any) -> None:
    with pytest.raises(HttpError) as refused:
        gmail.users().messages().list(userId="me", labelIds=["SENT"]).execute()
    assert refused.value.status_code == 403
    assert refused.value.error_details[0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
