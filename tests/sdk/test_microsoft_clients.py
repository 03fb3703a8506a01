"""Microsoft's own Python libraries connect, refresh and send against the sandbox: proof by clients not ours."""

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msal
import pytest
import requests
from kiota_abstractions.api_error import APIError
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.file_attachment import FileAttachment
from msgraph.generated.models.internet_message_header import InternetMessageHeader
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.models.single_value_legacy_extended_property import SingleValueLegacyExtendedProperty
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

from replysequence.providers.outlook import SEND_ID_PROPERTY
from replysequence.sandbox.actions import act
from replysequence.sandbox.headers import header_values
from replysequence.sandbox.running import RunningSandbox, sandbox
from support.consent import NoRedirectError, approve, cancel
from support.graph_client import graph_http, graph_of
from support.microsoft_app import CALLBACK, LOCKED_DOWN, PERSONAL, WORK, MicrosoftApp

# Microsoft's kiota warns about itself while it is imported, and Graph's client imports late.
pytestmark = pytest.mark.filterwarnings(r"ignore:.* deprecated\.:DeprecationWarning")

REAL_ORIGIN = "https://login.microsoftonline.com"
BOB = "bob@customer.example"


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    with sandbox() as running:
        running.world.microsoft_client.redirect_uris.add(CALLBACK)
        yield running


class Tunnel:
    """MSAL's HTTP client: takes the real address out of the way in, and puts it back on the way out."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def get(self, url: str, **options: Any) -> Any:
        return self._through("GET", url, options)

    def post(self, url: str, **options: Any) -> Any:
        return self._through("POST", url, options)

    def close(self) -> None:
        """Nothing is kept open."""

    def _through(self, method: str, url: str, options: dict[str, Any]) -> Any:
        assert url.startswith(REAL_ORIGIN + "/")
        options.pop("allow_redirects", None)
        answer = requests.request(
            method, self._base_url + url.removeprefix(REAL_ORIGIN), timeout=20, **options
        )
        answer._content = answer.content.replace(self._base_url.encode(), REAL_ORIGIN.encode())
        return answer


def client_of(box: RunningSandbox, *, authority: str = "common") -> Any:
    return msal.ConfidentialClientApplication(
        box.environment["MICROSOFT_CLIENT_ID"],
        client_credential=box.environment["MICROSOFT_CLIENT_SECRET"],
        authority=f"{REAL_ORIGIN}/{authority}",
        http_client=Tunnel(box.base_url),
    )


def begin(client: Any, box: RunningSandbox, **options: Any) -> tuple[dict[str, Any], str]:
    """MSAL's flow, and where it sends the browser, led to the sandbox."""
    flow = client.initiate_auth_code_flow(
        ["Mail.Send"], redirect_uri=CALLBACK, response_mode="form_post", **options
    )
    return flow, flow["auth_uri"].replace(REAL_ORIGIN, box.base_url)


def parameters(callback: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(callback).query))


def connect(client: Any, box: RunningSandbox, *, account: str = WORK) -> Any:
    flow, url = begin(client, box)
    return client.acquire_token_by_auth_code_flow(flow, parameters(approve(url, account=account)))


@pytest.mark.parametrize("account", [WORK, PERSONAL])
def test_msal_connects_with_pkce_state_and_nonce(box: RunningSandbox, account: str) -> None:
    answer = connect(client_of(box), box, account=account)
    assert answer["token_type"] == "Bearer"
    assert answer["access_token"]
    assert answer["id_token_claims"]["preferred_username"] == account
    seeded = MicrosoftApp(box).account(account)
    assert answer["id_token_claims"]["tid"] == seeded.tenant
    assert answer["id_token_claims"]["oid"] == seeded.subject


def test_msal_refreshes_by_itself_when_the_token_runs_out(box: RunningSandbox) -> None:
    client = client_of(box)
    first = connect(client, box)
    [account] = client.get_accounts()
    cached = client.acquire_token_silent(["Mail.Send"], account=account)
    assert cached["access_token"] == first["access_token"]
    fresh = client.acquire_token_silent(["Mail.Send"], account=account, force_refresh=True)
    assert fresh["access_token"] != first["access_token"]
    assert MicrosoftApp(box).send(fresh["access_token"], message_to(BOB)).status == 202


def test_msal_reports_a_withdrawn_consent(box: RunningSandbox) -> None:
    client = client_of(box)
    connect(client, box)
    act(box.world, MicrosoftApp(box).account(WORK), "remove_access")
    [account] = client.get_accounts()
    answer = client.acquire_token_silent_with_error(["Mail.Send"], account=account, force_refresh=True)
    assert answer["error"] == "invalid_grant"
    assert answer["suberror"] == "consent_required"
    assert answer["error_codes"] == [65001]
    assert answer["classification"] == "consent_required"


def test_msal_hands_on_a_cancelled_consent(box: RunningSandbox) -> None:
    client = client_of(box)
    flow, url = begin(client, box)
    answer = client.acquire_token_by_auth_code_flow(flow, parameters(cancel(url, account=WORK)))
    assert answer["error"] == "access_denied"
    assert "AADSTS65004" in answer["error_description"]


def test_msal_follows_a_login_hint_past_the_account_picker(box: RunningSandbox) -> None:
    client = client_of(box)
    flow, url = begin(client, box, login_hint=WORK)
    answer = client.acquire_token_by_auth_code_flow(flow, parameters(approve(url, account="")))
    assert answer["id_token_claims"]["preferred_username"] == WORK


def test_msal_reads_the_endpoints_of_a_tenant(box: RunningSandbox) -> None:
    tenant = MicrosoftApp(box).account(WORK).tenant
    client = client_of(box, authority=tenant)
    assert connect(client, box)["id_token_claims"]["tid"] == tenant
    with pytest.raises(ValueError, match="nowhere"):
        client_of(box, authority="nowhere.example").get_accounts()


def test_msal_meets_a_wrong_secret(box: RunningSandbox) -> None:
    client = client_of(box)
    box.world.microsoft_client.secret = "renewed"
    assert connect(client, box)["error"] == "invalid_client"


def test_a_locked_down_tenant_returns_to_msal_without_a_reason(box: RunningSandbox) -> None:
    client = client_of(box)
    flow, url = begin(client, box)
    answer = client.acquire_token_by_auth_code_flow(flow, parameters(approve(url, account=LOCKED_DOWN)))
    assert answer["error"] == "access_denied"
    assert "error_description" not in answer


def test_a_wrong_redirect_uri_never_returns(box: RunningSandbox) -> None:
    box.world.microsoft_client.redirect_uris.clear()
    _, url = begin(client_of(box), box)
    with pytest.raises(NoRedirectError, match="AADSTS50011"):
        approve(url, account=WORK)


def message_to(address: str) -> dict[str, Any]:
    return {"message": {"subject": "x", "toRecipients": [{"emailAddress": {"address": address}}]}}


def mail(to: str, **changes: Any) -> SendMailPostRequestBody:
    """The SDK's request model, as its generated code fills it."""
    message = Message(
        subject="Größe",
        body=ItemBody(content_type=BodyType.Html, content="<p>As agreed.</p>"),
        to_recipients=[Recipient(email_address=EmailAddress(address=to, name="Bob, the buyer"))],
        **changes,
    )
    return SendMailPostRequestBody(message=message, save_to_sent_items=True)


async def test_the_graph_sdk_sends_a_message_with_an_attachment(box: RunningSandbox) -> None:
    token = MicrosoftApp(box).connect(WORK)["access_token"]
    body = mail(
        BOB,
        bcc_recipients=[Recipient(email_address=EmailAddress(address="dana@partner.example"))],
        internet_message_headers=[InternetMessageHeader(name="X-ReplySequence-Send-Id", value="send-9")],
        attachments=[
            FileAttachment(
                odata_type="#microsoft.graph.fileAttachment",
                name="offer.pdf",
                content_type="application/pdf",
                content_bytes=base64.b64encode(b"%PDF-1.7"),
            )
        ],
    )
    async with graph_http() as http:
        await graph_of(box, token, http).me.send_mail.post(body)
    [entry] = box.world.ledger
    assert entry.recipients == (BOB, "dana@partner.example")
    assert (entry.subject, entry.send_id) == ("Größe", "send-9")
    [message] = box.world.inbox(BOB)
    assert header_values(message.delivered, "To") == ['"Bob, the buyer" <bob@customer.example>']
    assert b"offer.pdf" in message.delivered


async def test_the_graph_sdk_reads_graphs_errors(box: RunningSandbox) -> None:
    token = MicrosoftApp(box).connect(WORK)["access_token"]
    async with graph_http() as http:
        client = graph_of(box, token, http)
        with pytest.raises(APIError) as refused:
            await client.me.send_mail.post(mail("bob; charlie@customer.example"))
        with pytest.raises(APIError) as forbidden:
            await client.me.get()
    assert refused.value.response_status_code == 400
    assert getattr(refused.value, "error").code == "ErrorInvalidRecipients"  # noqa: B009 - an ODataError has it
    assert forbidden.value.response_status_code == 403


async def test_the_graph_sdk_finds_a_sent_message_by_a_property_of_its_own(box: RunningSandbox) -> None:
    scopes = "openid profile email offline_access Mail.Send Mail.Read"
    token = MicrosoftApp(box).connect(PERSONAL, scope=scopes)["access_token"]
    which = f"id eq '{SEND_ID_PROPERTY}'"
    mark = SingleValueLegacyExtendedProperty(id=SEND_ID_PROPERTY, value="send-9")
    async with graph_http() as http:
        client = graph_of(box, token, http)
        await client.me.send_mail.post(mail(BOB, single_value_extended_properties=[mark]))
        await client.me.send_mail.post(mail(BOB))
        messages = client.me.mail_folders.by_mail_folder_id("sentitems").messages
        query = messages.MessagesRequestBuilderGetQueryParameters(
            filter=f"singleValueExtendedProperties/any(ep: ep/{which} and ep/value eq 'send-9')",
            expand=[f"singleValueExtendedProperties($filter={which})"],
            select=["id", "conversationId"],
        )
        found = await messages.get(RequestConfiguration(query_parameters=query))
    assert found is not None
    assert found.value is not None
    [message] = found.value
    assert message.conversation_id
    assert message.single_value_extended_properties is not None
    assert [each.value for each in message.single_value_extended_properties] == ["send-9"]
