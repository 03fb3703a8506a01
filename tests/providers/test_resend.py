"""Resend: what goes out, what each answer means, and what its webhooks tell."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from replysequence.domain.address import Address
from replysequence.domain.errors import (
    Misconfigured,
    NotAllowed,
    OutcomeUnknown,
    ProviderError,
    Rejected,
    TryLater,
)
from replysequence.domain.event import Kind
from replysequence.domain.message import Attachment, Message
from replysequence.providers.base import Receipt, RelayNotice
from replysequence.providers.http import HttpClient
from replysequence.providers.resend import Resend
from support.answering import Answering, Asked, Says
from support.messages import ALICE, BOB, CHARLIE, a_message

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
KEY = base64.b64encode(b"a webhook secret of 24 b").decode()
SETTINGS = {
    "RESEND_API_KEY": "canary-key",
    "RESEND_FROM": "Acme Sales <sales@acme.example>",
    "RESEND_WEBHOOK_SECRET": f"whsec_{KEY}",
}
SENDER = Address('Alice "Al" Smith', "sales@acme.example")
LETTER = a_message(sender=SENDER, reply_to=(ALICE,), send_id="0193b2c4-0000-7000-8000-000000000001")


def a_resend(**values: str) -> Resend:
    return Resend(SETTINGS | values, HttpClient())


async def send(says: Says, *, message: Message = LETTER) -> tuple[Receipt, Asked]:
    async with Answering(lambda _: says) as server:
        http = HttpClient()
        resend = Resend(SETTINGS | {"RESEND_API_URL": server.url}, http)
        try:
            receipt = await resend.send(resend.prepare(message), key="the-send-id")
            return receipt, server.asked[0]
        finally:
            assert len(server.asked) == 1
            await http.close()


async def test_a_message_goes_as_json_under_its_key_with_replies_to_the_person() -> None:
    image = Attachment("logo.png", "image/png", b"PNG", content_id="logo")
    message = replace(
        LETTER,
        cc=(CHARLIE,),
        bcc=(Address("", "log@acme.example"),),
        text="Hello",
        attachments=(image, Attachment("a.txt", "text/plain", b"hi")),
        in_reply_to="<b@customer.example>",
        references=("<a@customer.example>", "<b@customer.example>"),
    )
    receipt, asked = await send(Says(200, {"id": "49a3999c"}), message=message)

    assert receipt == Receipt(200, "49a3999c")
    assert (asked.method, asked.target) == ("POST", "/emails")
    assert asked.headers["authorization"] == "Bearer canary-key"
    assert asked.headers["idempotency-key"] == "the-send-id"
    assert asked.headers["user-agent"]
    assert asked.json == {
        "from": r'"Alice \"Al\" Smith" <sales@acme.example>',
        "to": ['"Bob" <bob@customer.example>'],
        "cc": ['"Charlie" <charlie@stranger.example>'],
        "bcc": ["log@acme.example"],
        "reply_to": ['"Alice" <alice@acme.example>'],
        "subject": "Our meeting",
        "html": "<p>Hello Bob</p>",
        "text": "Hello",
        "headers": {
            "In-Reply-To": "<b@customer.example>",
            "References": "<a@customer.example> <b@customer.example>",
            "X-ReplySequence-Send-Id": LETTER.send_id,
        },
        "attachments": [
            {"filename": "logo.png", "content": "UE5H", "content_type": "image/png", "content_id": "logo"},
            {"filename": "a.txt", "content": "aGk=", "content_type": "text/plain"},
        ],
        "tags": [{"name": "send_id", "value": LETTER.send_id}],
    }


def test_an_absent_text_is_left_to_resend_and_never_sent_empty() -> None:
    body = json.loads(a_resend().prepare(replace(LETTER, text="")).body)

    assert "text" not in body
    assert "cc" not in body


def test_the_same_message_gives_the_same_bytes_in_every_process_and_version() -> None:
    again = replace(LETTER, attachments=(Attachment("ä.txt", "text/plain", b"x"),), subject="Grüße 👋")
    body = a_resend().prepare(again).body

    assert body == a_resend().prepare(replace(again)).body
    # A change here makes Resend refuse what an older version has begun; hold it for 24 hours after an upgrade.
    assert (
        hashlib.sha256(body).hexdigest() == "43f72642fedbeceeb5a61f028a82baccefa01d41b0dcf9af332d2e1e9e36b12b"
    )


def test_the_sender_is_the_verified_address() -> None:
    assert a_resend().sender == Address("Acme Sales", "sales@acme.example")
    with pytest.raises(Misconfigured):
        _ = a_resend(RESEND_FROM="nobody").sender
    with pytest.raises(Misconfigured):
        _ = a_resend(RESEND_FROM="").sender
    assert a_resend(RESEND_FROM="").missing == ("RESEND_FROM",)


def test_what_resend_would_not_carry_is_told_beforehand_and_refused() -> None:
    many = tuple(replace(BOB, email=f"b{n}@customer.example") for n in range(51))
    large = replace(LETTER, attachments=(Attachment("a.bin", "application/octet-stream", bytes(30_000_001)),))

    assert [p.field for p in a_resend().check(replace(LETTER, to=many))] == ["to"]
    assert [p.field for p in a_resend().check(large)] == ["attachments"]
    assert a_resend().check(LETTER) == []
    with pytest.raises(Rejected):
        a_resend().prepare(large)


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", [], {"id": 7}])
async def test_200_means_accepted_whatever_became_of_the_body(*, body: object) -> None:
    receipt, _ = await send(Says(200, body))

    assert receipt == Receipt(200)


def error(status: int, name: str, **headers: str) -> Says:
    return Says(status, {"statusCode": status, "name": name, "message": "canary-words"}, headers)


MEANINGS = [
    (error(400, "validation_error"), Rejected, "refused"),
    (error(400, "invalid_idempotency_key"), Rejected, "refused"),
    (error(401, "missing_api_key"), Misconfigured, "key_refused"),
    (error(401, "restricted_api_key"), Misconfigured, "key_refused"),
    (error(403, "invalid_api_key"), Misconfigured, "key_refused"),
    (error(403, "suspended_api_key"), Misconfigured, "key_refused"),
    (error(403, "validation_error"), Misconfigured, "sender_refused"),
    (Says(403, b"error code: 1010"), Misconfigured, "key_refused"),
    (error(404, "not_found"), Rejected, "refused"),
    (error(409, "concurrent_idempotent_requests"), OutcomeUnknown, "still_running"),
    (error(409, "invalid_idempotent_request"), OutcomeUnknown, "idempotency_conflict"),
    (error(409, "resource_locked"), TryLater, "rate_limited"),
    (error(413, ""), Rejected, "too_large"),
    (error(422, "invalid_attachment"), Rejected, "refused"),
    (error(422, "something_new"), Rejected, "refused"),
    (error(429, "rate_limit_exceeded"), TryLater, "rate_limited"),
    (Says(429, b""), TryLater, "rate_limited"),
    (error(429, "daily_quota_exceeded"), TryLater, "daily_quota"),
    (error(429, "monthly_quota_exceeded"), Misconfigured, "monthly_quota"),
    (error(500, "application_error"), OutcomeUnknown, "unclear_answer"),
    (error(503, "service_unavailable"), OutcomeUnknown, "unclear_answer"),
    (Says(408, b""), OutcomeUnknown, "unclear_answer"),
    (Says(201, {"id": "x"}), OutcomeUnknown, "unclear_answer"),
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
    assert "canary" not in f"{caught.value} {caught.value.details}"


async def test_the_three_kinds_of_429_wait_for_different_things() -> None:
    with pytest.raises(TryLater) as second:
        await send(error(429, "rate_limit_exceeded", **{"retry-after": "3"}))
    assert second.value.delay == 3
    with pytest.raises(TryLater) as unsaid:
        await send(error(429, "rate_limit_exceeded"))
    assert unsaid.value.delay == 1
    with pytest.raises(TryLater) as day:
        await send(error(429, "daily_quota_exceeded"))
    midnight = day.value.not_before
    assert midnight is not None
    assert (midnight.hour, midnight.minute) == (0, 0)
    assert timedelta(0) < midnight - datetime.now(UTC) <= timedelta(days=1)


def notices(event: Any, *, resend: Resend | None = None) -> list[RelayNotice]:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    stamp = int(NOW.timestamp())
    mac = hmac.new(base64.b64decode(KEY), f"msg_1.{stamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "svix-id": "msg_1",
        "svix-timestamp": str(stamp),
        "svix-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
    return list((resend or a_resend()).read_notices(headers=headers, body=body, now=NOW))


def an_event(kind: str, **data: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "created_at": "2026-11-22T09:29:41.126Z",
        "data": {
            "email_id": "49a3999c",
            "tags": {"send_id": LETTER.send_id},
            "to": ["bob@customer.example"],
            **data,
        },
    }


@pytest.mark.parametrize(
    ("event", "kind", "detail"),
    [
        (an_event("email.delivered"), Kind.SEND_DELIVERED, None),
        (an_event("email.delivery_delayed"), Kind.SEND_DELAYED, None),
        (an_event("email.complained"), Kind.SEND_COMPLAINED, None),
        (
            an_event("email.bounced", bounce={"type": "Permanent", "subType": "General"}),
            Kind.SEND_BOUNCED,
            "Permanent",
        ),
        (
            an_event("email.failed", failed={"reason": "reached_daily_quota"}),
            Kind.SEND_BOUNCED,
            "reached_daily_quota",
        ),
        (an_event("email.suppressed", suppressed={"type": "Suppressed"}), Kind.SEND_BOUNCED, "Suppressed"),
    ],
)
def test_a_webhook_tells_what_became_of_a_send(*, event: Any, kind: Kind, detail: str | None) -> None:
    at = datetime(2026, 11, 22, 9, 29, 41, 126_000, tzinfo=UTC)

    assert notices(event) == [RelayNotice("msg_1", "49a3999c", kind, at, detail, LETTER.send_id)]


@pytest.mark.parametrize(
    "event",
    [
        an_event("email.opened"),
        an_event("contact.created"),
        {"type": "email.delivered"},
        {"type": ["email.delivered"], "data": {"email_id": "x"}},
        {"type": "email.delivered", "data": {"email_id": 7}},
        [],
        b"not JSON",
        b"[" * 100_000,
    ],
)
def test_a_true_webhook_about_anything_else_is_taken_and_tells_nothing(*, event: Any) -> None:
    assert notices(event) == []


@pytest.mark.parametrize("created", ["2026-11-22 09:29:41.126+00", "2026-11-22T10:29:41.126+01:00"])
def test_both_ways_of_writing_a_time_are_understood(*, created: str) -> None:
    at = datetime(2026, 11, 22, 9, 29, 41, 126_000, tzinfo=UTC)

    assert notices(an_event("email.delivered") | {"created_at": created})[0].at == at


@pytest.mark.parametrize("created", [None, "soon", 7, "2026-11-22T09:29:41"])
def test_an_event_without_a_time_happened_now(*, created: object) -> None:
    assert notices(an_event("email.delivered") | {"created_at": created})[0].at == NOW


def test_without_a_secret_no_webhook_is_taken() -> None:
    with pytest.raises(NotAllowed):
        notices(an_event("email.delivered"), resend=a_resend(RESEND_WEBHOOK_SECRET=""))


def test_a_webhook_signed_with_another_secret_is_refused() -> None:
    other = a_resend(RESEND_WEBHOOK_SECRET="whsec_" + base64.b64encode(b"another secret of 24 byt").decode())
    with pytest.raises(NotAllowed):
        notices(an_event("email.delivered"), resend=other)
