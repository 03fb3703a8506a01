"""Resend's own Python library sends against the sandbox, and checks the webhooks that the sandbox signs."""

from collections.abc import Iterator
from typing import Any

import pytest
import resend
from resend.exceptions import RateLimitError, ResendError
from standardwebhooks import Webhook

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from replysequence.sandbox.resend_team import KeyKind
from replysequence.sandbox.running import RunningSandbox, sandbox
from support.webhook_inbox import Post, webhook_inbox

BOB, CHARLIE = "bob@customer.example", "charlie@customer.example"


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSandbox]:
    with sandbox() as running:
        running.world.resend.requests_per_second = 1_000
        monkeypatch.setattr(resend, "api_url", running.environment["RESEND_API_URL"])
        monkeypatch.setattr(resend, "api_key", running.environment["RESEND_API_KEY"])
        yield running


def mail(box: RunningSandbox, **changes: Any) -> Any:
    return {
        "from": box.environment["RESEND_FROM"],
        "to": [BOB],
        "subject": "Größe",
        "html": "<p>As agreed.</p>",
    } | changes


def send(params: Any, *, key: str = "") -> str:
    """Send, and give back the id."""
    answer: Any = resend.Emails.send(params, {"idempotency_key": key} if key else None)
    return str(answer["id"])


def test_a_message_with_an_attachment_arrives(box: RunningSandbox) -> None:
    attachment = {"filename": "offer.pdf", "content": list(b"%PDF-1.7")}
    email_id = send(mail(box, attachments=[attachment], headers={"X-ReplySequence-Send-Id": "send-2"}))
    [entry] = box.world.ledger
    assert (entry.message, entry.send_id, entry.subject) == (email_id, "send-2", "Größe")
    assert b"offer.pdf" in box.world.inbox(BOB)[0].delivered


def test_a_repeat_with_the_same_key_gives_the_same_id(box: RunningSandbox) -> None:
    assert send(mail(box), key="send-1") == send(mail(box), key="send-1")
    assert len(box.world.ledger) == 1
    with pytest.raises(ResendError) as refused:
        send(mail(box, subject="Other"), key="send-1")
    assert (refused.value.code, refused.value.error_type) == (409, "invalid_idempotent_request")


def test_a_lost_answer_is_healed_by_the_same_key(box: RunningSandbox) -> None:
    box.world.faults.arm(Fault(kind="reset_after_acceptance", vendor=Vendor.RESEND))
    with pytest.raises(ResendError) as lost:
        send(mail(box), key="send-1")
    assert lost.value.error_type == "HttpClientError"
    assert send(mail(box), key="send-1") == next(iter(box.world.ledger)).message
    assert len(box.world.ledger) == 1


def test_the_library_knows_the_errors_by_name(box: RunningSandbox) -> None:
    with pytest.raises(ResendError) as missing:
        send(mail(box, to=[]))
    assert (missing.value.code, missing.value.error_type) == (422, "missing_required_field")
    box.world.resend.requests_per_second = 0
    with pytest.raises(RateLimitError) as limited:
        send(mail(box))
    assert limited.value.headers["retry-after"] == "1"


def test_a_wrong_key_is_an_invalid_key(box: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "api_key", "re_wrong")
    with pytest.raises(ResendError) as refused:
        send(mail(box))
    assert (refused.value.code, refused.value.error_type) == (403, "invalid_api_key")


def test_a_web_page_from_a_gateway_is_an_application_error(box: RunningSandbox) -> None:
    box.world.faults.arm(Fault(kind="refused_502", vendor=Vendor.RESEND))
    with pytest.raises(ResendError) as broken:
        send(mail(box))
    assert (broken.value.code, broken.value.error_type) == (502, "application_error")


def test_an_email_is_read_back(box: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    email_id = send(mail(box))
    box.world.resend.keys["re_full"] = KeyKind.FULL
    monkeypatch.setattr(resend, "api_key", "re_full")
    email: Any = resend.Emails.get(email_id)
    assert (email["id"], email["to"], email["last_event"]) == (email_id, [BOB], "delivered")


def test_a_batch_gives_an_id_for_each(box: RunningSandbox) -> None:
    answer: Any = resend.Batch.send([mail(box), mail(box, to=[CHARLIE])])
    assert [item["id"] for item in answer["data"]] == [entry.message for entry in box.world.ledger]


def verify(post: Post, secret: str) -> Any:
    """Resend's own verification; raises ValueError."""
    headers = {name: post.headers[f"svix-{name}"] for name in ("id", "timestamp", "signature")}
    options: Any = {"payload": post.body.decode(), "headers": headers, "webhook_secret": secret}
    return resend.Webhooks.verify(options)


def test_the_library_accepts_the_sandboxs_webhooks(box: RunningSandbox) -> None:
    secret = box.environment["RESEND_WEBHOOK_SECRET"]
    with webhook_inbox() as inbox:
        box.world.resend.webhook_url = inbox.url
        email_id = send(mail(box, to=["bounced@resend.dev"]))
        posts = inbox.take(2)
    read = {event["type"]: event for event in (verify(post, secret) for post in posts)}
    assert read.keys() == {"email.sent", "email.bounced"}
    assert read["email.bounced"]["data"]["email_id"] == email_id
    for post in posts:
        headers = {
            f"webhook-{name}": post.headers[f"svix-{name}"] for name in ("id", "timestamp", "signature")
        }
        assert Webhook(secret).verify(post.body, headers)
    with pytest.raises(ValueError, match="no matching signature"):
        verify(posts[0], "whsec_" + "A" * 32)
