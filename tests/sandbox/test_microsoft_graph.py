import base64
import email
import http.client
import re
import threading
from email.message import Message
from email.policy import default
from typing import Any

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from replysequence.sandbox.faults import Fault
from replysequence.sandbox.running import RunningSandbox
from support.microsoft_app import GUEST, PERSONAL, WORK, MicrosoftApp, bearer, simple_mail
from support.plain_http import Answer, call

BOB, CHARLIE, DANA = "bob@customer.example", "charlie@customer.example", "dana@partner.example"
MIME = (
    b"From: Dana Reyes <dana.reyes@contoso.example>\r\n"
    b"To: Bob <bob@customer.example>\r\n"
    b"Cc: charlie@customer.example\r\n"
    b"Bcc: dana@partner.example\r\n"
    b"Subject: =?utf-8?q?N=C3=A4chste_Schritte?=\r\n"
    b"Message-ID: <ours@replysequence.example>\r\n"
    b"In-Reply-To: <theirs@customer.example>\r\n"
    b"References: <first@customer.example>\r\n <theirs@customer.example>\r\n"
    b"Auto-Submitted: auto-generated\r\n"
    b"X-ReplySequence-Send-Id: send-7\r\n"
    b"\r\n"
    b"As agreed.\r\n"
)


def refused(answer: Answer) -> tuple[int, str]:
    """Status and code; the envelope is checked on the way."""
    error = answer.json["error"]
    assert error["message"]
    assert error["innerError"]["request-id"] == answer.headers["request-id"]
    assert error["innerError"].keys() == {"date", "request-id", "client-request-id"}
    return answer.status, error["code"]


def received(box: RunningSandbox, address: str) -> Message:
    """The only message that `address` got."""
    [message] = box.world.inbox(address)
    return email.message_from_bytes(message.delivered, policy=default)


def test_an_accepted_message_is_answered_with_202_and_nothing(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect()["access_token"]
    answer = microsoft.send(token, simple_mail(BOB), **{"client-request-id": "0f9c"})
    assert (answer.status, answer.body) == (202, b"")
    assert answer.headers["client-request-id"] == "0f9c"
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["request-id"])
    plain = microsoft.send(token, simple_mail(BOB))
    assert plain.headers["client-request-id"] == plain.headers["request-id"]


def test_a_json_message_arrives_from_the_mailbox_with_everything_that_was_asked(
    microsoft: MicrosoftApp,
) -> None:
    body = simple_mail(
        BOB,
        subject="Größe",
        body={"contentType": "HTML", "content": '<p>Hi <img src="cid:logo"></p>'},
        ccRecipients=[{"emailAddress": {"address": CHARLIE, "name": "Charlie, the buyer"}}],
        bccRecipients=[{"emailAddress": {"address": DANA}}],
        replyTo=[{"emailAddress": {"address": "sales@contoso.example"}}],
        internetMessageHeaders=[{"name": "X-ReplySequence-Send-Id", "value": "send-1"}],
        attachments=[
            {
                "@odata.type": "#microsoft.graph.fileAttachment",
                "name": "offer.pdf",
                "contentType": "application/pdf",
                "contentBytes": base64.b64encode(b"%PDF-1.7").decode(),
            },
            {
                "@odata.type": "#microsoft.graph.fileAttachment",
                "name": "logo.png",
                "contentType": "image/png",
                "contentBytes": base64.b64encode(b"\x89PNG").decode(),
                "isInline": True,
                "contentId": "logo",
            },
        ],
    )
    assert microsoft.send(microsoft.connect()["access_token"], body).status == 202
    mail = received(microsoft.box, DANA)
    assert mail["From"] == "Dana Reyes <dana.reyes@contoso.example>"
    assert mail["To"] == BOB
    assert mail["Cc"] == f'"Charlie, the buyer" <{CHARLIE}>'
    assert mail["Bcc"] is None
    assert mail["Reply-To"] == "sales@contoso.example"
    assert mail["Subject"] == "Größe"
    assert mail["Message-ID"].endswith(".prod.outlook.com>")
    files = {part.get_filename(): part for part in mail.walk() if part.get_filename()}
    assert files["offer.pdf"].get_payload(decode=True) == b"%PDF-1.7"
    assert (files["logo.png"]["Content-ID"], files["logo.png"].get_content_disposition()) == (
        "<logo>",
        "inline",
    )
    [entry] = microsoft.box.world.ledger
    assert (entry.vendor, entry.account, entry.send_id) == ("microsoft", WORK, "send-1")
    assert entry.recipients == (BOB, CHARLIE, DANA)
    [message] = microsoft.box.world.inbox(BOB)
    assert message.bcc == (DANA,)
    assert b"Bcc: dana@partner.example" in message.sent_copy


def test_property_names_are_matched_without_regard_to_case(microsoft: MicrosoftApp) -> None:
    body = {
        "Message": {
            "Subject": "Loud",
            "Body": {"ContentType": "html", "Content": "<p>x</p>"},
            "ToRecipients": [{"EmailAddress": {"Address": BOB}}],
        },
        "SaveToSentItems": False,
    }
    assert microsoft.send(microsoft.connect()["access_token"], body).status == 202
    assert received(microsoft.box, BOB)["Subject"] == "Loud"
    assert microsoft.box.world.sent_by(WORK) == []


@pytest.mark.parametrize(("value", "kept"), [(True, 1), (False, 0), ("false", 0), ("True", 1), (None, 1)])
def test_save_to_sent_items_is_a_boolean_or_a_word(microsoft: MicrosoftApp, value: object, kept: int) -> None:
    microsoft.send(microsoft.connect()["access_token"], simple_mail(BOB) | {"saveToSentItems": value})
    assert len(microsoft.box.world.inbox(BOB)) == 1
    assert len(microsoft.box.world.sent_by(WORK)) == kept


def test_a_reply_can_be_marked_by_extended_properties(microsoft: MicrosoftApp) -> None:
    marks = [
        {"id": "String 0x1042", "value": "<theirs@customer.example>"},
        {"id": "String 0x1039", "value": "<first@customer.example> <theirs@customer.example>"},
    ]
    body = simple_mail(BOB, singleValueExtendedProperties=marks)
    assert microsoft.send(microsoft.connect()["access_token"], body).status == 202
    mail = received(microsoft.box, BOB)
    assert mail["In-Reply-To"] == "<theirs@customer.example>"
    assert mail["References"] == "<first@customer.example> <theirs@customer.example>"


def _headers(*names: str) -> dict[str, Any]:
    return simple_mail(BOB, internetMessageHeaders=[{"name": name, "value": "v"} for name in names])


def _file(**changes: object) -> dict[str, Any]:
    usual = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": "aGk="}
    return simple_mail(BOB, attachments=[usual | changes])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (simple_mail(), "ErrorInvalidRecipients"),
        (simple_mail("bob"), "ErrorInvalidRecipients"),
        (simple_mail(f"{BOB}; {CHARLIE}"), "ErrorInvalidRecipients"),
        (simple_mail(BOB, ccRecipients=[{"address": CHARLIE}]), "ErrorInvalidRecipients"),
        (_headers("List-Unsubscribe"), "InvalidInternetMessageHeader"),
        (_headers("In-Reply-To"), "InvalidInternetMessageHeader"),
        (_headers(*(f"x-{number}" for number in range(6))), "InvalidInternetMessageHeaderCollection"),
        (simple_mail(BOB, html="<p>"), "RequestBodyRead"),
        (simple_mail(BOB, body={"contentType": "markdown", "content": ""}), "RequestBodyRead"),
        (simple_mail(BOB, toRecipients={"emailAddress": {}}), "RequestBodyRead"),
        (simple_mail(BOB) | {"saveToSentItems": "maybe"}, "RequestBodyRead"),
        (simple_mail(BOB) | {"send": True}, "RequestBodyRead"),
        (_file(contentBytes="not base64!"), "RequestBodyRead"),
        (_file(**{"@odata.type": "#microsoft.graph.referenceAttachment"}), "RequestBodyRead"),
        (_file(name=""), "ErrorInvalidRequest"),
        ({"subject": "the wrapper is missing"}, "RequestBodyRead"),
        ({"message": None}, "ErrorInvalidParameter"),
        ([], "RequestBodyRead"),
    ],
)
def test_a_message_that_graph_would_not_take_is_refused(
    microsoft: MicrosoftApp, body: object, code: str
) -> None:
    assert refused(microsoft.send(microsoft.connect()["access_token"], body)) == (400, code)
    assert len(microsoft.box.world.ledger) == 0


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream", "message/rfc822"])
def test_what_is_neither_json_nor_mime_is_refused(microsoft: MicrosoftApp, content_type: str) -> None:
    answer = microsoft.send_bytes(microsoft.connect()["access_token"], b"{", content_type=content_type)
    assert refused(answer) == (400, "BadRequest")


def test_a_mime_message_keeps_its_body_and_loses_its_message_id(microsoft: MicrosoftApp) -> None:
    assert microsoft.send_mime(microsoft.connect()["access_token"], MIME).status == 202
    mail = received(microsoft.box, DANA)
    assert mail["Message-ID"].endswith(".prod.outlook.com>")
    assert mail["X-Microsoft-Original-Message-ID"] == "<ours@replysequence.example>"
    assert mail["In-Reply-To"] == "<theirs@customer.example>"
    assert mail["References"] == "<first@customer.example> <theirs@customer.example>"
    assert (mail["Bcc"], mail["Auto-Submitted"]) == (None, None)
    assert mail.get_payload() == "As agreed.\r\n"
    [entry] = microsoft.box.world.ledger
    assert (entry.subject, entry.send_id) == ("Nächste Schritte", "send-7")
    assert entry.recipients == (BOB, CHARLIE, DANA)


@pytest.mark.parametrize("body", [b"", b"not base64!", b"aGk"])
def test_broken_base64_is_refused(microsoft: MicrosoftApp, body: bytes) -> None:
    answer = microsoft.send_bytes(microsoft.connect()["access_token"], body, content_type="text/plain")
    assert refused(answer) == (400, "ErrorMimeContentInvalidBase64String")


def test_a_mime_message_without_recipients_is_refused(microsoft: MicrosoftApp) -> None:
    answer = microsoft.send_mime(microsoft.connect()["access_token"], b"Subject: x\r\n\r\nx\r\n")
    assert refused(answer) == (400, "ErrorInvalidRecipients")


def test_a_foreign_sender_is_refused_in_both_forms(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect()["access_token"]
    body = simple_mail(BOB, **{"from": {"emailAddress": {"address": CHARLIE}}})
    assert refused(microsoft.send(token, body)) == (403, "ErrorSendAsDenied")
    foreign = MIME.replace(WORK.encode(), CHARLIE.encode())
    assert refused(microsoft.send_mime(token, foreign)) == (403, "ErrorSendAsDenied")
    own = simple_mail(BOB, **{"from": {"emailAddress": {"address": WORK.upper()}}})
    assert microsoft.send(token, own).status == 202


def test_more_than_four_megabytes_is_too_much(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect()["access_token"]
    fits = b"Subject: x\r\nTo: bob@customer.example\r\n\r\n" + b"x" * (3 * 1024 * 1024 - 100)
    assert microsoft.send_mime(token, fits).status == 202
    answer = microsoft.send_mime(token, fits + b"x" * 200)
    assert answer.status == 413
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_a_token_that_is_none_is_said_to_be_garbled(microsoft: MicrosoftApp, token: str) -> None:
    answer = microsoft.send(token, simple_mail(BOB))
    assert refused(answer) == (401, "InvalidAuthenticationToken")
    assert "80049217" in answer.json["error"]["message"]


def test_an_expired_token_is_refused_and_a_refresh_helps(microsoft: MicrosoftApp) -> None:
    tokens = microsoft.connect()
    act(microsoft.box.world, microsoft.account(WORK), "expire_access_tokens")
    answer = microsoft.send(tokens["access_token"], simple_mail(BOB))
    assert refused(answer) == (401, "InvalidAuthenticationToken")
    assert answer.json["error"]["message"] == "Access token has expired or is not yet valid."
    fresh = microsoft.refresh(tokens["refresh_token"]).json["access_token"]
    microsoft.box.world.clock.advance(3500)
    assert microsoft.send(fresh, simple_mail(BOB)).status == 202
    microsoft.box.world.clock.advance(2000)
    assert refused(microsoft.send(fresh, simple_mail(BOB)))[0] == 401


def test_a_token_of_google_is_worth_nothing_at_graph(microsoft: MicrosoftApp) -> None:
    world = microsoft.box.world
    account = world.accounts.of(Vendor.GOOGLE)[0]
    grant = world.credentials.give_consent(account, world.google_client.project, {"Mail.Send"})
    world.credentials.issue_access_token(
        grant, world.google_client, value="ya29.x", scopes=["Mail.Send"], lifetime_seconds=60
    )
    assert refused(microsoft.send("ya29.x", simple_mail(BOB))) == (401, "InvalidAuthenticationToken")


def test_sending_needs_mail_send(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect(scope="openid User.Read")["access_token"]
    assert refused(microsoft.send(token, simple_mail(BOB))) == (403, "ErrorAccessDenied")


def test_a_guest_has_no_mailbox(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect(GUEST)["access_token"]
    assert refused(microsoft.send(token, simple_mail(BOB))) == (404, "MailboxNotEnabledForRESTAPI")


@pytest.mark.parametrize(
    ("switch", "refusal"),
    [
        ("access_denied", (403, "ErrorAccessDenied")),
        ("send_as_denied", (403, "ErrorSendAsDenied")),
        ("message_limit", (429, "ErrorExceededMessageLimit")),
        ("message_limit_400", (400, "ErrorExceededMessageLimit")),
        ("message_limit_403", (403, "ErrorExceededMessageLimit")),
        ("recipient_limit", (403, "ErrorExceededMaxRecipientLimit")),
        ("submission_quota", (429, "ErrorSubmissionQuotaExceeded")),
        ("submission_blocked", (403, "ErrorMessageSubmissionBlocked")),
        ("account_suspended", (403, "ErrorAccountSuspend")),
        ("mailbox_full", (507, "ErrorQuotaExceeded")),
    ],
)
def test_a_switch_makes_sending_fail(microsoft: MicrosoftApp, switch: str, refusal: tuple[int, str]) -> None:
    token = microsoft.connect()["access_token"]
    microsoft.account(WORK).switches.at_send = switch
    assert refused(microsoft.send(token, simple_mail(BOB))) == refusal
    assert len(microsoft.box.world.ledger) == 0


def test_the_messages_of_a_day_run_out_and_come_back(microsoft: MicrosoftApp) -> None:
    tokens = microsoft.connect()
    microsoft.account(WORK).switches.daily_messages = 1
    assert microsoft.send(tokens["access_token"], simple_mail(BOB)).status == 202
    assert refused(microsoft.send(tokens["access_token"], simple_mail(BOB))) == (
        429,
        "ErrorExceededMessageLimit",
    )
    microsoft.box.world.clock.advance(86_400)
    fresh = microsoft.refresh(tokens["refresh_token"]).json["access_token"]
    assert microsoft.send(fresh, simple_mail(BOB)).status == 202


def test_a_fifth_send_at_the_same_time_is_throttled(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect()["access_token"]
    settings = microsoft.box.world.settings[Vendor.MICROSOFT]
    settings.max_in_flight, settings.send_latency_seconds = 1, 1.0
    answers: list[Answer] = []
    first = threading.Thread(target=lambda: answers.append(microsoft.send(token, simple_mail(BOB))))
    second = threading.Thread(target=lambda: answers.append(microsoft.send(token, simple_mail(CHARLIE))))
    for thread in (first, second):
        thread.start()
    for thread in (first, second):
        thread.join()
    [throttled] = [answer for answer in answers if answer.status != 202]
    assert refused(throttled) == (429, "ApplicationThrottled")
    assert throttled.json["error"]["message"] == "Application is over its MailboxConcurrency limit."
    assert int(throttled.headers["Retry-After"]) >= 1
    assert len(microsoft.box.world.ledger) == 1
    other = microsoft.connect(PERSONAL)["access_token"]
    assert microsoft.send(other, simple_mail(BOB)).status == 202


def test_ten_thousand_requests_in_ten_minutes_are_the_limit(microsoft: MicrosoftApp) -> None:
    tokens = microsoft.connect()
    microsoft.box.world.settings[Vendor.MICROSOFT].units_per_minute = 0
    answer = microsoft.send(tokens["access_token"], simple_mail(BOB))
    assert refused(answer) == (429, "ApplicationThrottled")
    assert answer.headers["Retry-After"]
    microsoft.box.world.settings[Vendor.MICROSOFT].units_per_minute = 1000
    assert microsoft.send(tokens["access_token"], simple_mail(BOB)).status == 202


@pytest.mark.parametrize(
    ("kind", "status", "accepted"),
    [
        ("refused_401", 401, 0),
        ("refused_429", 429, 0),
        ("refused_500", 500, 0),
        ("refused_503", 503, 0),
        ("refused_502", 502, 0),
        ("refused_504", 504, 0),
        ("error_500_after_acceptance", 500, 1),
        ("error_503_after_acceptance", 503, 1),
        ("error_504_after_acceptance", 504, 1),
        ("accepted_with_retry_after", 202, 1),
        ("garbage_after_acceptance", 202, 1),
    ],
)
def test_a_fault_answers_before_or_after_acceptance(
    microsoft: MicrosoftApp, kind: str, status: int, accepted: int
) -> None:
    token = microsoft.connect()["access_token"]
    microsoft.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.MICROSOFT, account=WORK))
    answer = microsoft.send(token, simple_mail(BOB))
    assert answer.status == status
    assert len(microsoft.box.world.ledger) == accepted
    from_a_gateway = kind in {
        "refused_502",
        "refused_504",
        "error_503_after_acceptance",
        "error_504_after_acceptance",
    }
    assert answer.headers.get("Content-Type", "").startswith("text/html") is from_a_gateway
    told_to_wait = kind in {"refused_429", "refused_503", "accepted_with_retry_after"}
    assert ("Retry-After" in answer.headers) is told_to_wait
    assert microsoft.send(token, simple_mail(BOB)).status == 202


def test_an_empty_answer_can_still_be_cut_short(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect()["access_token"]
    microsoft.box.world.faults.arm(Fault(kind="truncated_after_acceptance", vendor=Vendor.MICROSOFT))
    with pytest.raises(http.client.BadStatusLine):
        microsoft.send(token, simple_mail(BOB))
    assert len(microsoft.box.world.ledger) == 1


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [("reset_before_acceptance", 0), ("reset_after_acceptance", 1), ("close_after_acceptance", 1)],
)
def test_a_fault_breaks_the_connection_before_or_after_acceptance(
    microsoft: MicrosoftApp, kind: str, accepted: int
) -> None:
    token = microsoft.connect()["access_token"]
    microsoft.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.MICROSOFT))
    with pytest.raises(ConnectionError):
        microsoft.send_mime(token, MIME)
    assert len(microsoft.box.world.ledger) == accepted


def test_the_profile_needs_user_read(microsoft: MicrosoftApp) -> None:
    url = microsoft.url("/v1.0/me?$select=mail,userPrincipalName")
    send_only = microsoft.connect()["access_token"]
    assert refused(call("GET", url, headers=bearer(send_only))) == (403, "ErrorAccessDenied")
    token = microsoft.connect(scope="openid User.Read")["access_token"]
    profile = call("GET", url, headers=bearer(token)).json
    assert (profile["mail"], profile["userPrincipalName"]) == (WORK, WORK)
    assert "displayName" not in profile
    guest = microsoft.connect(GUEST, scope="openid User.Read")["access_token"]
    assert call("GET", url, headers=bearer(guest)).json["mail"] is None
