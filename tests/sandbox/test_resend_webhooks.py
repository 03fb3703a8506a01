import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from replysequence.sandbox.resend_team import Manner, Signature
from replysequence.sandbox.resend_webhooks import RETRY_SECONDS
from replysequence.sandbox.running import RunningSandbox
from replysequence.sandbox.svix import new_secret, sign
from support.plain_http import Answer, call
from support.resend_app import ResendApp
from support.webhook_inbox import Post, WebhookInbox, webhook_inbox


@pytest.fixture
def resend(box: RunningSandbox) -> ResendApp:
    return ResendApp(box)


@pytest.fixture
def inbox(box: RunningSandbox) -> Iterator[WebhookInbox]:
    """The app's webhook endpoint, registered at the team."""
    with webhook_inbox() as opened:
        box.world.resend.webhook_url = opened.url
        yield opened


def is_signed(post: Post, secret: str) -> bool:
    """Whether any signature of `post` is right, by the standard's own recipe."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{post.headers['svix-id']}.{post.headers['svix-timestamp']}.".encode() + post.body
    right = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return right in post.headers["svix-signature"].split()


def events(posts: list[Post]) -> list[str]:
    return sorted(json.loads(post.body)["type"] for post in posts)


def emit(resend: ResendApp, **fields: object) -> Answer:
    return call("POST", resend.box.base_url + "/_sandbox/resend/events", json_body=fields)


def test_the_signature_is_that_of_the_published_example() -> None:
    signature = sign(
        b'{"test": 2432232314}',
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_new_secret_has_a_prefix_and_24_bytes() -> None:
    assert len(base64.b64decode(new_secret().removeprefix("whsec_"))) == 24


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("bob@customer.example", ["email.delivered", "email.sent"]),
        ("delivered@resend.dev", ["email.delivered", "email.sent"]),
        ("bounced@resend.dev", ["email.bounced", "email.sent"]),
        ("bounced+label@resend.dev", ["email.bounced", "email.sent"]),
        ("complained@resend.dev", ["email.complained", "email.delivered", "email.sent"]),
        ("suppressed@resend.dev", ["email.sent", "email.suppressed"]),
    ],
)
def test_the_address_decides_what_becomes_of_an_email(
    resend: ResendApp, inbox: WebhookInbox, to: str, expected: list[str]
) -> None:
    resend.send(resend.mail(to=to))
    posts = inbox.take(len(expected))
    assert events(posts) == expected
    assert all(is_signed(post, resend.box.world.resend.webhook_secret) for post in posts)
    assert len({post.headers["svix-id"] for post in posts}) == len(expected)
    assert all(abs(int(post.headers["svix-timestamp"]) - time.time()) < 300 for post in posts)


def test_an_event_tells_about_its_email(resend: ResendApp, inbox: WebhookInbox) -> None:
    body = resend.mail(
        to="bounced@resend.dev", tags=[{"name": "kind", "value": "follow-up"}], headers={"X-A": "b"}
    )
    email_id = resend.send(body).json["id"]
    by_type = {json.loads(post.body)["type"]: json.loads(post.body) for post in inbox.take(2)}
    bounced: dict[str, Any] = by_type["email.bounced"]
    assert bounced.keys() == {"type", "created_at", "data"}
    data = bounced["data"]
    assert (data["email_id"], data["to"], data["from"]) == (email_id, ["bounced@resend.dev"], body["from"])
    assert data["tags"] == {"kind": "follow-up"}
    assert data["headers"] == [{"name": "X-A", "value": "b"}]
    assert data["created_at"].endswith("Z")
    assert data["bounce"]["type"] == "Permanent"
    assert "550 5.1.1" in data["bounce"]["diagnosticCode"][0]
    assert "bounce" not in by_type["email.sent"]["data"]


def test_a_webhook_is_repeated_with_its_id_until_it_is_taken(resend: ResendApp, inbox: WebhookInbox) -> None:
    email_id = resend.send(resend.mail()).json["id"]
    inbox.take(2)
    inbox.answers.extend([500, 503, 400])
    emit(resend, email_id=email_id, type="email.opened")
    first, second = inbox.take(2)
    assert inbox.is_empty
    resend.box.world.clock.advance(RETRY_SECONDS[1])
    [third] = inbox.take()
    resend.box.world.clock.advance(RETRY_SECONDS[2])
    [fourth] = inbox.take()
    ids = {post.headers["svix-id"] for post in (first, second, third, fourth)}
    assert len(ids) == 1
    assert first.body == fourth.body


def test_duplicates_have_one_id(resend: ResendApp, inbox: WebhookInbox) -> None:
    resend.box.world.resend.manner = Manner(copies=2)
    resend.send(resend.mail())
    posts = inbox.take(4)
    assert events(posts) == ["email.delivered"] * 2 + ["email.sent"] * 2
    assert len({post.headers["svix-id"] for post in posts}) == 2


def test_a_signature_can_be_wrong_or_one_of_two(resend: ResendApp, inbox: WebhookInbox) -> None:
    secret = resend.box.world.resend.webhook_secret
    email_id = resend.send(resend.mail()).json["id"]
    inbox.take(2)
    emit(resend, email_id=email_id, type="email.opened", signature="wrong")
    [wrong] = inbox.take()
    assert not is_signed(wrong, secret)
    emit(resend, email_id=email_id, type="email.opened", signature="rotated")
    [rotated] = inbox.take()
    assert is_signed(rotated, secret)
    assert len(rotated.headers["svix-signature"].split()) == 2


def test_a_timestamp_can_be_stale_under_a_right_signature(resend: ResendApp, inbox: WebhookInbox) -> None:
    email_id = resend.send(resend.mail()).json["id"]
    inbox.take(2)
    emit(resend, email_id=email_id, type="email.clicked", age_seconds=900)
    [stale] = inbox.take()
    assert time.time() - int(stale.headers["svix-timestamp"]) > 800
    assert is_signed(stale, resend.box.world.resend.webhook_secret)


def test_an_event_can_carry_what_one_likes(resend: ResendApp, inbox: WebhookInbox) -> None:
    email_id = resend.send(resend.mail()).json["id"]
    inbox.take(2)
    bounce = {"type": "Transient", "subType": "General", "message": "Out of office"}
    answer = emit(resend, email_id=email_id, type="email.bounced", extra={"bounce": bounce})
    assert answer.status == 201
    [post] = inbox.take()
    assert json.loads(post.body)["data"]["bounce"] == bounce
    assert post.headers["svix-id"] == answer.json["id"]
    listed = call("GET", resend.box.base_url + "/_sandbox/resend/events").json
    assert [event["type"] for event in listed] == ["email.sent", "email.delivered", "email.bounced"]


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "email.opened"},
        {"type": "email.exploded", "known": True},
        {"type": "email.opened", "known": True, "signature": "forged"},
    ],
)
def test_an_event_that_makes_no_sense_is_refused(resend: ResendApp, fields: dict[str, object]) -> None:
    email_id = resend.send(resend.mail()).json["id"]
    if fields.pop("known", False):
        fields["email_id"] = email_id
    assert emit(resend, **fields).status == 422


def test_the_team_is_changed_from_outside(resend: ResendApp) -> None:
    url = resend.box.base_url + "/_sandbox/resend/team"
    answer = call("POST", url, json_body={"daily_quota": 100, "webhook_url": None})
    assert answer.json["daily_quota"] == 100
    assert resend.box.world.resend.daily_quota == 100
    assert call("GET", url).json["requests_per_second"] == 10
    for wrong in ({"daily_quota": "many"}, {"colour": "red"}):
        assert call("POST", url, json_body=wrong).status == 422


def test_signatures_have_three_manners() -> None:
    assert {manner.value for manner in Signature} == {"right", "wrong", "rotated"}
