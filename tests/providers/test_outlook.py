"""Outlook: what goes out through Graph, and what each of its answers means."""

import base64
import json
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from replysequence.domain.errors import (
    AccessTokenRejected,
    ConnectFailed,
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ReconnectNeeded,
    Rejected,
    TryLater,
)
from replysequence.domain.message import Attachment, Message
from replysequence.domain.secret import Secret
from replysequence.providers.aadsts import EXPLANATIONS, Actor
from replysequence.providers.base import CallbackRefusal, Receipt, TokenRefusal
from replysequence.providers.http import HttpClient
from replysequence.providers.microsoft import PERSONAL_TENANT
from replysequence.providers.outlook import MAX_REQUEST, SEND_ID_PROPERTY, Outlook
from support.answering import Answering, Asked, Says
from support.issuing import OBJECT_ID, TENANT
from support.messages import BOB, CHARLIE, a_message

CLIENT = {"MICROSOFT_CLIENT_ID": "our-id", "MICROSOFT_CLIENT_SECRET": "canary-secret"}
LETTER = a_message(send_id="0193b2c4-0000-7000-8000-000000000001")
PERSONAL_ISSUER = f"https://login.microsoftonline.com/{PERSONAL_TENANT}/v2.0"
WORK_ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"


def an_outlook(**values: str) -> Outlook:
    return Outlook(CLIENT | values, HttpClient())


def with_file(size: int, **changes: Any) -> Message:
    return replace(LETTER, attachments=(Attachment("offer.pdf", "application/pdf", bytes(size)),), **changes)


async def send(says: Says, *, message: Message = LETTER) -> tuple[Receipt, Asked]:
    async with Answering(lambda _: says) as server:
        http = HttpClient()
        outlook = Outlook(CLIENT | {"GRAPH_API_URL": f"{server.url}/v1.0"}, http)
        try:
            receipt = await outlook.send(
                outlook.prepare(message, thread_id=None), access_token=Secret("canary-token")
            )
            return receipt, server.asked[0]
        finally:
            assert len(server.asked) == 1
            await http.close()


async def test_a_plain_message_goes_as_json_with_everything_spelled_out() -> None:
    image = Attachment("logo.png", "image/png", b"PNG", content_id="logo")
    message = replace(LETTER, cc=(CHARLIE,), bcc=(BOB,), reply_to=(CHARLIE,), attachments=(image,))
    receipt, asked = await send(Says(202, b"", {"request-id": "b1e2"}), message=message)

    assert receipt == Receipt(202, request_id="b1e2")
    assert (asked.method, asked.target) == ("POST", "/v1.0/me/sendMail")
    assert asked.headers["authorization"] == "Bearer canary-token"
    assert asked.headers["client-request-id"] == LETTER.send_id
    assert asked.headers["content-type"] == "application/json"
    charlie = {"emailAddress": {"address": "charlie@stranger.example", "name": "Charlie"}}
    bob = {"emailAddress": {"address": "bob@customer.example", "name": "Bob"}}
    assert asked.json == {
        "message": {
            "subject": "Our meeting",
            "body": {"contentType": "html", "content": "<p>Hello Bob</p>"},
            "toRecipients": [bob],
            "ccRecipients": [charlie],
            "bccRecipients": [bob],
            "replyTo": [charlie],
            "attachments": [
                {
                    "@odata.type": "#microsoft.graph.fileAttachment",
                    "name": "logo.png",
                    "contentType": "image/png",
                    "contentBytes": "UE5H",
                    "isInline": True,
                    "contentId": "logo",
                }
            ],
            "internetMessageHeaders": [{"name": "X-ReplySequence-Send-Id", "value": LETTER.send_id}],
            "singleValueExtendedProperties": [{"id": SEND_ID_PROPERTY, "value": LETTER.send_id}],
        },
        "saveToSentItems": True,
    }


async def test_a_text_without_html_goes_as_text() -> None:
    _, asked = await send(Says(202), message=replace(LETTER, html=None, text="Hello"))

    assert asked.json["message"]["body"] == {"contentType": "text", "content": "Hello"}
    assert "from" not in asked.json["message"]
    assert "ccRecipients" not in asked.json["message"]


@pytest.mark.parametrize(
    "changes",
    [
        {"in_reply_to": "<a@customer.example>"},
        {"references": ("<a@customer.example>",)},
        {"text": "Hello Bob, in plain words"},
    ],
)
async def test_what_json_cannot_say_goes_as_mime_in_base64(*, changes: dict[str, Any]) -> None:
    _, asked = await send(Says(202), message=replace(LETTER, bcc=(CHARLIE,), **changes))

    assert asked.headers["content-type"] == "text/plain"
    mail = message_from_bytes(base64.b64decode(asked.body, validate=True), policy=default)
    assert mail["Subject"] == "Our meeting"
    assert mail["Bcc"] == "Charlie <charlie@stranger.example>"
    assert mail["X-ReplySequence-Send-Id"] == LETTER.send_id
    if "in_reply_to" in changes:
        assert mail["In-Reply-To"] == "<a@customer.example>"


async def test_both_forms_of_the_text_give_way_to_a_file_that_only_json_has_room_for() -> None:
    _, asked = await send(Says(202), message=with_file(2_700_000, text="In plain words"))

    assert asked.headers["content-type"] == "application/json"
    assert asked.json["message"]["body"]["contentType"] == "html"


@pytest.mark.parametrize(
    "message",
    [with_file(3_000_000), with_file(2_700_000, in_reply_to="<a@customer.example>")],
    ids=["json", "mime"],
)
def test_what_mail_send_cannot_carry_is_refused_and_told_beforehand(*, message: Message) -> None:
    with pytest.raises(Rejected) as caught:
        an_outlook().prepare(message, thread_id=None)
    assert caught.value.code == "too_large"
    assert [p.field for p in an_outlook().check(message, thread_id=None)] == ["attachments"]


@pytest.mark.parametrize("size", [2_000_000, 2_900_000])
def test_a_file_that_passes_the_check_passes_the_preparation(*, size: int) -> None:
    assert an_outlook().check(with_file(size), thread_id=None) == []
    assert len(an_outlook().prepare(with_file(size), thread_id=None).body) <= MAX_REQUEST


def test_a_conversation_by_id_alone_gets_a_warning() -> None:
    assert [p.severity for p in an_outlook().check(LETTER, thread_id="AAQk")] == ["warning"]
    assert an_outlook().check(replace(LETTER, in_reply_to="<a@b.example>"), thread_id="AAQk") == []


async def test_202_is_sent_even_when_it_says_come_back_later() -> None:
    receipt, _ = await send(Says(202, b"<html>", {"Retry-After": "30"}))

    assert receipt.status == 202


def error(status: int, code: str, *, inner: str = "", **headers: str) -> Says:
    body: dict[str, Any] = {"code": code, "message": "canary-words", "innerError": {"date": "2026-11-22"}}
    if inner:
        body["innererror"] = body.pop("innerError") | {"code": inner}
    return Says(status, {"error": body}, {"request-id": "b1e2", **headers})


MEANINGS = [
    (error(400, "ErrorInvalidRecipients"), Rejected, "invalid_recipient"),
    (error(400, "ErrorMimeContentInvalidBase64String"), Rejected, "refused"),
    (error(400, "InvalidInternetMessageHeaderCollection"), Rejected, "refused"),
    (error(400, "BadRequest"), Rejected, "refused"),
    (error(400, "BadRequest", inner="ErrorInvalidRecipients"), Rejected, "invalid_recipient"),
    (error(400, ""), Rejected, "refused"),
    (error(400, "ErrorMessageSizeExceeded"), Rejected, "too_large"),
    (Says(413, b"<html>"), Rejected, "too_large"),
    (error(403, "ErrorSendAsDenied"), Rejected, "send_as_denied"),
    (error(403, "ErrorMessageBlocked"), Rejected, "judged_spam"),
    (error(401, "InvalidAuthenticationToken"), AccessTokenRejected, "access_token_rejected"),
    (error(403, "ErrorAccessDenied"), ReconnectNeeded, "scope_missing"),
    (error(403, "ErrorMessageSubmissionBlocked"), ReconnectNeeded, "mailbox_blocked"),
    (error(400, "ErrorAccountSuspendShowTierUpgrade"), ReconnectNeeded, "mailbox_blocked"),
    (error(403, "SomethingNew"), ReconnectNeeded, "forbidden"),
    (Says(403, b"<html>"), TryLater, "refused_on_the_way"),
    (error(404, "MailboxNotEnabledForRESTAPI"), ReconnectNeeded, "no_mailbox"),
    (error(404, "ResourceNotFound"), ReconnectNeeded, "no_mailbox"),
    (Says(404, b"<html>"), TryLater, "refused_on_the_way"),
    (error(400, "ErrorExceededMessageLimit"), TryLater, "sending_limit"),
    (error(403, "ErrorExceededMessageLimitShowTierUpgrade"), TryLater, "sending_limit"),
    (error(429, "ErrorExceededMessageLimit"), TryLater, "sending_limit"),
    (error(403, "ErrorQuotaExceeded"), TryLater, "mailbox_full"),
    (error(429, "ApplicationThrottled"), TryLater, "rate_limited"),
    (Says(429, b""), TryLater, "rate_limited"),
    (Says(200, b""), OutcomeUnknown, "unclear_answer"),
    (Says(200, {"id": "x"}), OutcomeUnknown, "unclear_answer"),
    (error(408, "Timeout"), OutcomeUnknown, "unclear_answer"),
    (error(500, "ErrorInternalServerError"), OutcomeUnknown, "unclear_answer"),
    (error(503, "ErrorServerBusy", **{"Retry-After": "5"}), OutcomeUnknown, "unclear_answer"),
    (Says(504, b"<html>"), OutcomeUnknown, "unclear_answer"),
]


@pytest.mark.parametrize(
    ("says", "kind", "code"),
    MEANINGS,
    ids=[f"{s.status}-{code}-{n}" for n, (s, _, code) in enumerate(MEANINGS)],
)
async def test_each_answer_has_one_meaning(*, says: Says, kind: type[ProviderError], code: str) -> None:
    with pytest.raises(ProviderError) as caught:
        await send(says)

    assert type(caught.value) is kind
    assert caught.value.code == code
    assert caught.value.request_id == says.headers.get("request-id")
    assert "canary" not in f"{caught.value} {caught.value.details}"


@pytest.mark.parametrize(("header", "delay"), [("17", 17), ("999999", 3600), ("-1", None), ("soon", None)])
async def test_a_throttled_mailbox_waits_as_long_as_it_is_told_to_an_hour_at_most(
    *, header: str, delay: float | None
) -> None:
    with pytest.raises(TryLater) as caught:
        await send(error(429, "ApplicationThrottled", **{"Retry-After": header}))
    assert caught.value.delay == delay
    assert caught.value.pauses_mailbox


@pytest.mark.parametrize(
    ("granted", "may_send"),
    [
        ("openid profile email Mail.Send", True),
        ("https://graph.microsoft.com/Mail.Send https://graph.microsoft.com/User.Read", True),
        ("openid HTTPS://GRAPH.MICROSOFT.COM/mail.send", True),
        ("openid profile email", False),
        ("https://outlook.office.com/Mail.Send", False),
        ("Mail.Send.Shared", False),
        ("", False),
    ],
)
def test_the_permission_to_send_is_found_in_every_spelling_and_in_no_other(
    *, granted: str, may_send: bool
) -> None:
    spec = an_outlook().oauth

    assert (spec.required_scopes <= spec.canonical_scopes(granted)) is may_send


def test_the_whole_list_of_scopes_goes_with_every_token_request() -> None:
    assert an_outlook().oauth.token_parameters == {"scope": "openid profile email offline_access Mail.Send"}


def test_an_account_is_chosen_first_and_named_when_it_is_connected_again() -> None:
    assert an_outlook().oauth.connect_parameters == {"prompt": "select_account"}
    assert an_outlook().oauth.reconnect_parameters == {}


@pytest.mark.parametrize(
    ("tenant", "issuer"),
    [
        ("common", "https://login.microsoftonline.com/{tenantid}/v2.0"),
        ("organizations", "https://login.microsoftonline.com/{tenantid}/v2.0"),
        ("contoso.example", "https://login.microsoftonline.com/{tenantid}/v2.0"),
        ("consumers", PERSONAL_ISSUER),
        (TENANT, WORK_ISSUER),
    ],
)
def test_the_tenant_stands_in_the_endpoints_and_narrows_the_issuer(*, tenant: str, issuer: str) -> None:
    spec = an_outlook(MICROSOFT_TENANT=tenant).oauth

    assert spec.authorize_url == f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize"
    assert spec.token_url == f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
    assert spec.issuer == issuer


def test_a_tenant_cannot_lead_to_another_path() -> None:
    spec = an_outlook(MICROSOFT_TENANT="../evil?").oauth

    assert urlsplit(spec.token_url).path == "/..%2Fevil%3F/oauth2/v2.0/token"


def test_personal_accounts_are_refreshed_where_it_works_for_them() -> None:
    refresh_at = an_outlook().oauth.token_url_for

    assert refresh_at is not None
    assert refresh_at(PERSONAL_ISSUER) == "https://login.microsoftonline.com/consumers/oauth2/v2.0/token"
    assert refresh_at(WORK_ISSUER) == "https://login.microsoftonline.com/common/oauth2/v2.0/token"


CLAIMS = {
    "iss": WORK_ISSUER,
    "tid": TENANT,
    "oid": OBJECT_ID,
    "sub": "pairwise",
    "email": "alice@contoso.example",
    "preferred_username": "alice@contoso.onmicrosoft.example",
    "name": "Alice",
}


def test_an_account_is_its_tenant_and_object_id_and_never_its_address() -> None:
    outlook = an_outlook()
    alice = outlook.identity(CLAIMS)
    taker = outlook.identity(CLAIMS | {"tid": OBJECT_ID, "iss": WORK_ISSUER.replace(TENANT, OBJECT_ID)})

    assert (alice.subject, alice.email) == (f"{TENANT}.{OBJECT_ID}", "alice@contoso.example")
    assert taker.email == alice.email
    assert (taker.issuer, taker.subject) != (alice.issuer, alice.subject)


@pytest.mark.parametrize("email", [None, "", "not an address", 7])
def test_the_sign_in_name_stands_in_for_an_absent_address(*, email: object) -> None:
    assert an_outlook().identity(CLAIMS | {"email": email}).email == "alice@contoso.onmicrosoft.example"


@pytest.mark.parametrize(
    "changes",
    [
        {"tid": None},
        {"tid": "common"},
        {"oid": None},
        {"oid": "x"},
        {"email": None, "preferred_username": "+49 30 1234"},
    ],
)
def test_an_account_without_key_or_address_is_not_connected(*, changes: dict[str, Any]) -> None:
    with pytest.raises(ConnectFailed) as caught:
        an_outlook().identity(CLAIMS | changes)
    assert caught.value.code == "identity_invalid"


def token_refusal(error_word: str, number: int | None = None, *, in_words: bool = False) -> TokenRefusal:
    description = f"AADSTS{number}: canary text.\r\nTrace ID: x" if number else "canary text"
    body = {"error_codes": [number]} if number and not in_words else {}
    return TokenRefusal(400, error_word, description, body)


@pytest.mark.parametrize("in_words", [False, True], ids=["by number", "in words"])
@pytest.mark.parametrize(
    ("error_word", "number", "kind", "code"),
    [
        ("invalid_grant", None, ReconnectNeeded, "grant_gone"),
        ("invalid_grant", 70000, ReconnectNeeded, "grant_gone"),
        ("invalid_grant", 65001, ReconnectNeeded, "grant_gone"),
        ("invalid_grant", 999999, ReconnectNeeded, "grant_gone"),
        ("invalid_grant", 53003, ReconnectNeeded, "admin_needed"),
        ("interaction_required", 50076, ReconnectNeeded, "grant_gone"),
        ("consent_required", 65001, ReconnectNeeded, "grant_gone"),
        ("invalid_grant", 50196, TryLater, "provider_unavailable"),
        ("invalid_client", 7000222, Misconfigured, "client_refused"),
        ("invalid_client", 7000215, Misconfigured, "client_refused"),
        ("unauthorized_client", 700016, Misconfigured, "client_refused"),
        ("invalid_scope", 70011, Misconfigured, "client_refused"),
        ("something_new", None, Misconfigured, "client_refused"),
    ],
)
def test_a_refused_token_request_is_decided_by_its_error_and_explained_by_its_number(
    *, error_word: str, number: int | None, kind: type[ProviderError], code: str, in_words: bool
) -> None:
    meaning = an_outlook().oauth.refused(token_refusal(error_word, number, in_words=in_words))

    assert type(meaning) is kind
    assert meaning.code == code
    assert "canary" not in str(meaning)
    if number is not None and number in EXPLANATIONS:
        assert EXPLANATIONS[number].message in meaning.message


@pytest.mark.parametrize(
    ("refusal", "code", "admin"),
    [
        (
            CallbackRefusal("access_denied", "AADSTS65004: declined", {"error_subcode": "cancel"}),
            "access_denied",
            False,
        ),
        (CallbackRefusal("access_denied", "AADSTS90094: admin", {}), "admin_consent", True),
        (CallbackRefusal("access_denied", "", {"error_subcode": "cancel"}), "access_denied", True),
        (
            CallbackRefusal("access_denied", "The user has denied access to the scope", {}),
            "access_denied",
            False,
        ),
        (CallbackRefusal("interaction_required", "AADSTS53003: blocked", {}), "provider_error", False),
        (CallbackRefusal("server_error", "AADSTS90033: later", {}), "provider_error", False),
        (CallbackRefusal("temporarily_unavailable", "", {}), "provider_error", False),
        (CallbackRefusal("", "", {"admin_consent": "True", "tenant": TENANT}), "admin_approved", False),
        (CallbackRefusal("", "", {}), "provider_error", False),
    ],
)
def test_a_consent_that_did_not_come_about_is_explained(
    *, refusal: CallbackRefusal, code: str, admin: bool
) -> None:
    problem = an_outlook().oauth.turned_back(refusal)

    assert (problem.code, problem.admin_consent) == (code, admin)
    assert problem.message.endswith(".")


def test_every_number_has_a_sentence_and_somebody_who_can_act() -> None:
    assert len(EXPLANATIONS) > 80
    for number, explanation in EXPLANATIONS.items():
        assert 10_000 <= number < 10**8
        assert explanation.message[0].isupper()
        assert explanation.message.endswith(".")
        if explanation.actor is Actor.OPERATOR:
            assert "operator" in explanation.message
        if explanation.actor is Actor.ADMINISTRATOR:
            assert "administrator" in explanation.message


def test_an_administrator_gets_a_link_that_approves_for_the_organisation() -> None:
    outlook = an_outlook()
    url = outlook.admin_consent_url(outlook.oauth, redirect_uri="https://app.example/cb", state="s")

    assert url is not None
    parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
    assert (parts.netloc, parts.path) == ("login.microsoftonline.com", "/organizations/v2.0/adminconsent")
    assert query["redirect_uri"] == ["https://app.example/cb"]
    assert query["scope"][0].startswith("https://graph.microsoft.com/Mail.Send ")
    elsewhere = an_outlook(MICROSOFT_TENANT=TENANT)
    at_tenant = elsewhere.admin_consent_url(
        elsewhere.looking_oauth, redirect_uri="https://app.example/cb", state="s"
    )
    assert at_tenant is not None
    assert urlsplit(at_tenant).path == f"/{TENANT}/v2.0/adminconsent"
    asked = parse_qs(urlsplit(at_tenant).query)["scope"][0].split()
    assert {"https://graph.microsoft.com/Mail.Send", "https://graph.microsoft.com/Mail.Read"} <= set(asked)


def test_links_to_sent_folder_and_consents_fit_the_kind_of_account() -> None:
    outlook = an_outlook()

    assert outlook.sent_folder_url(email="a@outlook.com", subject="x").startswith("https://outlook.live.com/")
    assert "alice%40contoso.example" in outlook.sent_folder_url(email="alice@contoso.example", subject="x")
    assert outlook.removal_url(PERSONAL_ISSUER) == "https://account.live.com/consent/Manage"
    assert outlook.removal_url(WORK_ISSUER) == "https://myapps.microsoft.com"
    assert outlook.oauth.revoke_url is None


def test_preparing_twice_gives_the_same_bytes() -> None:
    message = with_file(1000, text="In plain words")

    assert an_outlook().prepare(message, thread_id=None) == an_outlook().prepare(message, thread_id="ignored")
    assert json.loads(an_outlook().prepare(with_file(10), thread_id=None).body)["saveToSentItems"] is True
