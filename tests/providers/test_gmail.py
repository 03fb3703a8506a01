"""Gmail: what goes out, and what each of its answers means."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from replysequence.domain.errors import (
    AccessTokenRejected,
    ConnectFailed,
    Misconfigured,
    NeverSent,
    OutcomeUnknown,
    ProviderError,
    ReconnectNeeded,
    Rejected,
    TryLater,
)
from replysequence.domain.message import Attachment, Message
from replysequence.domain.mime import write_message
from replysequence.domain.secret import Secret
from replysequence.providers import google
from replysequence.providers.base import CallbackRefusal, Receipt, TokenRefusal
from replysequence.providers.gmail import JSON_UP_TO, SEND_SCOPE, Gmail
from replysequence.providers.http import HttpClient
from support.answering import Answering, Says
from support.messages import CHARLIE, a_message

CLIENT = {"GOOGLE_CLIENT_ID": "our-id", "GOOGLE_CLIENT_SECRET": "canary-secret"}
ANSWER = {"id": "18c2f0a1b2c3d4e5", "threadId": "18c2f0a1b2c3d4e5", "labelIds": ["SENT"]}
LETTER = a_message(send_id="0193-send")


def a_gmail(url: str = "https://gmail.googleapis.com", **values: str) -> Gmail:
    return Gmail({**CLIENT, "GMAIL_API_URL": url, **values}, HttpClient())


def with_file(size: int) -> Message:
    return replace(LETTER, attachments=(Attachment("offer.pdf", "application/pdf", bytes(size)),))


async def send(says: Says, *, message: Message = LETTER, thread_id: str | None = None) -> tuple[Receipt, Any]:
    async with Answering(lambda _: says) as server:
        http = HttpClient()
        gmail = Gmail({**CLIENT, "GMAIL_API_URL": server.url}, http)
        try:
            receipt = await gmail.send(
                gmail.prepare(message, thread_id=thread_id), access_token=Secret("canary-token")
            )
            return receipt, server.asked[0]
        finally:
            assert len(server.asked) == 1
            await http.close()


async def test_a_small_message_goes_as_json_with_raw_in_base64url() -> None:
    receipt, asked = await send(Says(200, ANSWER))

    assert receipt == Receipt(200, "18c2f0a1b2c3d4e5", "18c2f0a1b2c3d4e5")
    assert (asked.method, asked.target) == ("POST", "/gmail/v1/users/me/messages/send")
    assert asked.headers["authorization"] == "Bearer canary-token"
    assert asked.headers["content-type"] == "application/json"
    assert asked.json.keys() == {"raw"}
    assert "+" not in asked.json["raw"]
    assert "/" not in asked.json["raw"]
    mail = message_from_bytes(base64.urlsafe_b64decode(asked.json["raw"]), policy=default)
    assert mail["Subject"] == "Our meeting"
    assert mail["X-ReplySequence-Send-Id"] == "0193-send"


async def test_bcc_stands_in_the_message_because_gmail_takes_recipients_from_it() -> None:
    _, asked = await send(Says(200, ANSWER), message=replace(LETTER, bcc=(CHARLIE,)))

    assert b"Bcc: Charlie <charlie@stranger.example>" in base64.urlsafe_b64decode(asked.json["raw"])


async def test_a_thread_is_named_beside_the_message() -> None:
    _, asked = await send(Says(200, ANSWER), thread_id="18c2f0a1b2c3d4e5")

    assert asked.json["threadId"] == "18c2f0a1b2c3d4e5"


async def test_a_large_message_is_uploaded_as_it_is() -> None:
    message = with_file(JSON_UP_TO)
    _, asked = await send(Says(200, ANSWER), message=message)

    assert asked.target == "/upload/gmail/v1/users/me/messages/send?uploadType=media"
    assert asked.headers["content-type"] == "message/rfc822"
    mail = message_from_bytes(asked.body, policy=default)
    assert isinstance(mail, EmailMessage)
    assert [file.get_content() for file in mail.iter_attachments()] == [bytes(JSON_UP_TO)]


async def test_a_large_message_in_a_thread_is_uploaded_in_two_parts() -> None:
    message = with_file(JSON_UP_TO)
    _, asked = await send(Says(200, ANSWER), message=message, thread_id="abc")

    assert asked.target.endswith("?uploadType=multipart")
    content_type, _, boundary = asked.headers["content-type"].partition("; boundary=")
    assert content_type == "multipart/related"
    before, first, second, after = asked.body.split(b"--" + boundary.strip('"').encode())
    assert (before, after) == (b"", b"--\r\n")
    assert first.startswith(b"\r\nContent-Type: application/json")
    assert json.loads(first.partition(b"\r\n\r\n")[2]) == {"threadId": "abc"}
    head, _, raw = second.partition(b"\r\n\r\n")
    assert head == b"\r\nContent-Type: message/rfc822"
    assert raw == write_message(message, include_bcc=True) + b"\r\n"


def test_preparing_twice_gives_the_same_bytes() -> None:
    gmail, message = a_gmail(), with_file(JSON_UP_TO)

    assert gmail.prepare(message, thread_id="t") == gmail.prepare(message, thread_id="t")


def test_a_message_that_no_form_can_carry_is_refused_and_told_beforehand() -> None:
    message = with_file(28_000_000)

    with pytest.raises(Rejected) as caught:
        a_gmail().prepare(message, thread_id=None)
    assert caught.value.code == "too_large"
    problems = a_gmail().check(message, thread_id=None)
    assert [(problem.field, problem.severity) for problem in problems] == [("attachments", "blocker")]
    assert "36.7 MB" in problems[0].message


def test_a_message_that_cannot_be_written_as_meant_is_refused() -> None:
    with pytest.raises(Rejected):
        a_gmail().prepare(a_message(subject="one\r\nBcc: charlie@stranger.example"), thread_id=None)


def test_more_than_a_hundred_recipients_are_told_beforehand() -> None:
    many = tuple(replace(CHARLIE, email=f"c{n}@stranger.example") for n in range(101))

    assert [p.field for p in a_gmail().check(replace(LETTER, to=many), thread_id=None)] == ["to"]
    assert a_gmail().check(replace(LETTER, to=many[:100]), thread_id=None) == []


def test_a_thread_without_a_reference_gets_a_warning() -> None:
    problems = a_gmail().check(LETTER, thread_id="18c2f0a1b2c3d4e5")

    assert [(p.field, p.severity) for p in problems] == [("thread_id", "warning")]
    assert a_gmail().check(replace(LETTER, in_reply_to="<a@b.example>"), thread_id="18c2") == []


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", [], {"id": 7}, {"id": "x" * 999}, {"id": "a\r\nb"}])
async def test_200_means_accepted_whatever_became_of_the_body(*, body: object) -> None:
    receipt, _ = await send(Says(200, body))

    assert receipt == Receipt(200)


def error(code: int, status: str = "", *reasons: str, message: str = "", detail: str = "") -> Says:
    envelope: dict[str, Any] = {"code": code, "message": message, "status": status}
    envelope["errors"] = [{"message": message, "domain": "global", "reason": reason} for reason in reasons]
    if detail:
        envelope["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": detail}]
    return Says(code, {"error": envelope})


MEANINGS = [
    (error(400, "INVALID_ARGUMENT", "invalidArgument"), Rejected, "invalid_message"),
    (error(400, "INVALID_ARGUMENT", "badRequest"), Rejected, "refused"),
    (Says(400, b"<html>"), Rejected, "refused"),
    (error(400, "FAILED_PRECONDITION", "failedPrecondition"), ReconnectNeeded, "no_mailbox"),
    (error(401, "UNAUTHENTICATED", "authError"), AccessTokenRejected, "access_token_rejected"),
    (Says(401, b"<html>"), AccessTokenRejected, "access_token_rejected"),
    (error(403, "PERMISSION_DENIED", "insufficientPermissions"), ReconnectNeeded, "scope_missing"),
    (
        error(403, "PERMISSION_DENIED", detail="ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
        ReconnectNeeded,
        "scope_missing",
    ),
    (error(403, "PERMISSION_DENIED", "accessNotConfigured"), Misconfigured, "api_disabled"),
    (error(403, "PERMISSION_DENIED", detail="SERVICE_DISABLED"), Misconfigured, "api_disabled"),
    (error(403, "PERMISSION_DENIED", "domainPolicy"), ReconnectNeeded, "blocked_by_admin"),
    (error(403, "PERMISSION_DENIED", "forbidden"), ReconnectNeeded, "forbidden"),
    (error(403, "PERMISSION_DENIED"), ReconnectNeeded, "forbidden"),
    (Says(403, b"<html>"), TryLater, "refused_on_the_way"),
    (error(403, "", "dailyLimitExceeded"), TryLater, "project_quota"),
    (error(403, "PERMISSION_DENIED", "rateLimitExceeded"), TryLater, "rate_limited"),
    (error(403, "PERMISSION_DENIED", "userRateLimitExceeded"), TryLater, "rate_limited"),
    (error(403, "PERMISSION_DENIED", detail="RATE_LIMIT_EXCEEDED"), TryLater, "rate_limited"),
    (error(404, "NOT_FOUND", "notFound"), Rejected, "refused"),
    (Says(404, b"<html>"), TryLater, "refused_on_the_way"),
    (Says(413, b"<html>Request Entity Too Large"), Rejected, "too_large"),
    (error(429, "RESOURCE_EXHAUSTED", "rateLimitExceeded"), TryLater, "rate_limited"),
    (Says(429, b""), TryLater, "rate_limited"),
    (error(408), OutcomeUnknown, "unclear_answer"),
    (error(500, "INTERNAL", "backendError"), OutcomeUnknown, "unclear_answer"),
    (error(503, "UNAVAILABLE", "rateLimitExceeded"), OutcomeUnknown, "unclear_answer"),
    (Says(502, b"<html>"), OutcomeUnknown, "unclear_answer"),
    (Says(202, ANSWER), OutcomeUnknown, "unclear_answer"),
    (Says(302, b"", {"Location": "https://attacker.example/"}), OutcomeUnknown, "unclear_answer"),
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
    assert caught.value.status == says.status


async def test_a_thread_of_another_mailbox_was_provably_not_sent_and_may_go_without() -> None:
    with pytest.raises(NeverSent) as caught:
        await send(error(404, "NOT_FOUND", "notFound"), thread_id="of-another-mailbox")
    assert caught.value.code == "thread_not_found"


@pytest.mark.parametrize(
    "words",
    [
        "User-rate limit exceeded.  Retry after {}Z",
        "User-rate limit exceeded. Retry after {}Z (Mail sending)",
        "(Mail sending) retry AFTER  {}z",
        "Retry after {}",
    ],
)
async def test_a_sending_limit_pauses_the_mailbox_until_the_time_gmail_names(*, words: str) -> None:
    until = datetime.now(UTC) + timedelta(hours=3)
    told = until.strftime("%Y-%m-%dT%H:%M:%S.") + f"{until.microsecond // 1000:03}"
    says = error(429, "RESOURCE_EXHAUSTED", "userRateLimitExceeded", message=words.format(told))

    with pytest.raises(TryLater) as caught:
        await send(says)
    assert caught.value.pauses_mailbox
    assert caught.value.not_before is not None
    assert abs(caught.value.not_before - until) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("told", "hours"),
    [("2099-01-01T00:00:00.000Z", 24), ("2001-01-01T00:00:00Z", 0)],
    ids=["far off", "long ago"],
)
async def test_an_unlikely_time_is_held_within_a_day(*, told: str, hours: int) -> None:
    with pytest.raises(TryLater) as caught:
        await send(error(429, message=f"Retry after {told}"))
    assert caught.value.not_before is not None
    expected = datetime.now(UTC) + timedelta(hours=hours)
    assert abs(caught.value.not_before - expected) < timedelta(minutes=1)


@pytest.mark.parametrize("told", ["2026-13-40T99:00:00Z", "tomorrow", ""])
async def test_a_time_that_is_none_is_left_to_the_callers_back_off(*, told: str) -> None:
    with pytest.raises(TryLater) as caught:
        await send(error(429, message=f"Retry after {told}"))
    assert caught.value.not_before is None
    assert caught.value.delay is None


def test_the_send_scope_counts_however_google_names_the_others() -> None:
    granted = google.canonical_scopes(
        f"openid email {SEND_SCOPE} https://www.googleapis.com/auth/userinfo.profile"
    )

    assert a_gmail().oauth.required_scopes <= granted
    assert granted == google.canonical_scopes(" ".join(a_gmail().oauth.scopes))
    assert not a_gmail().oauth.required_scopes <= google.canonical_scopes("openid email profile")


def test_google_is_asked_for_a_refresh_token_every_time() -> None:
    spec = a_gmail().oauth

    for parameters in (spec.connect_parameters, spec.reconnect_parameters):
        assert parameters == {"access_type": "offline", "prompt": "consent"}


@pytest.mark.parametrize(
    ("error_word", "kind", "code"),
    [
        ("invalid_grant", ReconnectNeeded, "grant_gone"),
        ("admin_policy_enforced", ReconnectNeeded, "blocked_by_admin"),
        ("access_denied", ReconnectNeeded, "account_restricted"),
        ("unauthorized_client", ReconnectNeeded, "other_client"),
        ("invalid_client", Misconfigured, "client_refused"),
        ("deleted_client", Misconfigured, "client_deleted"),
        ("redirect_uri_mismatch", Misconfigured, "redirect_uri_mismatch"),
        ("invalid_request", Misconfigured, "refused"),
        ("something_new", Misconfigured, "refused"),
    ],
)
def test_a_refused_token_request_disconnects_only_for_what_the_person_can_mend(
    *, error_word: str, kind: type[ProviderError], code: str
) -> None:
    meaning = a_gmail().oauth.refused(TokenRefusal(400, error_word, "canary-description", {}))

    assert type(meaning) is kind
    assert meaning.code == code
    assert "canary" not in str(meaning)


def test_a_cancelled_consent_and_a_broken_one_are_told_apart() -> None:
    turned_back = a_gmail().oauth.turned_back

    assert turned_back(CallbackRefusal("access_denied", "", {})).code == "access_denied"
    assert turned_back(CallbackRefusal("server_error", "", {})).code == "provider_error"
    assert turned_back(CallbackRefusal("", "", {})).code == "provider_error"


CLAIMS = {"iss": "accounts.google.com", "sub": "1048", "email": "alice@acme.example", "name": "Alice A."}


def test_an_account_is_its_subject_at_one_spelling_of_google() -> None:
    found = a_gmail().identity(CLAIMS | {"email_verified": True})

    assert (found.issuer, found.subject) == ("https://accounts.google.com", "1048")
    assert (found.email, found.display_name) == ("alice@acme.example", "Alice A.")


@pytest.mark.parametrize(
    "changes",
    [
        {"email": None},
        {"email": ""},
        {"email": ["alice@acme.example"]},
        {"email": "not an address"},
        {"email": "a" * 10_000 + "@acme.example"},
        {"email": "alice@acme.example\r\nBcc: x@y.example"},
        {"email": "аlice@acme.example"},
        {"email_verified": False},
    ],
)
def test_an_account_without_a_usable_address_is_not_connected(*, changes: dict[str, Any]) -> None:
    with pytest.raises(ConnectFailed) as caught:
        a_gmail().identity(CLAIMS | changes)
    assert caught.value.code == "identity_invalid"


@pytest.mark.parametrize("name", [None, 7, "", "x" * 10_000, "Alice\x00", "Ali\u202ece"])
def test_a_name_that_cannot_stand_in_a_header_is_left_out(*, name: object) -> None:
    assert a_gmail().identity(CLAIMS | {"name": name}).display_name == ""


def test_the_sent_folder_opens_in_the_right_account_at_the_subject() -> None:
    url = a_gmail().sent_folder_url(email="alice+x@acme.example", subject='50% "off" & more')

    assert url.startswith("https://mail.google.com/mail/?authuser=alice%2Bx%40acme.example#search/in%3Asent")
    assert "&" not in url
    assert " " not in url


def test_what_is_missing_is_named_and_nothing_can_be_asked_of_google() -> None:
    gmail = Gmail({}, HttpClient())

    assert gmail.missing == ("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET")
    with pytest.raises(Misconfigured) as caught:
        _ = gmail.oauth
    assert caught.value.code == "not_configured"
