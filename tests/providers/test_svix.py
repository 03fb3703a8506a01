"""Webhook signatures: the published test vector passes, and everything bent or malformed is refused."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from replysequence.domain.errors import Misconfigured, NotAllowed
from replysequence.domain.secret import Secret
from replysequence.providers.svix import verify

# The vector of the Svix documentation, checked 2026-11-22.
SECRET = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
DELIVERY = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOW = datetime.fromtimestamp(TIMESTAMP, UTC)

HEADERS = {"svix-id": DELIVERY, "svix-timestamp": str(TIMESTAMP), "svix-signature": SIGNATURE}


def judge(*, body: bytes = BODY, now: datetime = NOW, **changes: str) -> str:
    return judge_changed(changes, body=body, now=now)


def judge_changed(changes: dict[str, str], *, body: bytes = BODY, now: datetime = NOW) -> str:
    headers = HEADERS | {f"svix-{name}": value for name, value in changes.items()}
    return verify(body, headers=headers, secret=SECRET, now=now)


def signature_of(body: bytes, *, delivery: str = DELIVERY, timestamp: int = TIMESTAMP) -> str:
    key = base64.b64decode(SECRET.reveal().removeprefix("whsec_"))
    mac = hmac.new(key, f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"


def test_the_published_vector_is_accepted() -> None:
    assert judge() == DELIVERY


def test_the_standard_webhooks_names_and_any_case_are_accepted() -> None:
    headers = {
        "Webhook-Id": DELIVERY,
        "WEBHOOK-TIMESTAMP": str(TIMESTAMP),
        "webhook-signature": SIGNATURE,
    }
    assert verify(BODY, headers=headers, secret=SECRET, now=NOW) == DELIVERY


def test_one_right_signature_among_several_is_enough() -> None:
    assert judge(signature=f"v1,d3Jvbmc= v1a,YQ== nocomma v2,{SIGNATURE[3:]} v1,!!! {SIGNATURE}") == DELIVERY


@pytest.mark.parametrize("seconds", [-300, -1, 0, 299, 300])
def test_five_minutes_either_way_are_accepted(*, seconds: int) -> None:
    assert judge(now=NOW + timedelta(seconds=seconds)) == DELIVERY


@pytest.mark.parametrize("seconds", [-301, 301, 86_400])
def test_an_older_or_newer_call_is_refused_though_its_signature_is_right(*, seconds: int) -> None:
    with pytest.raises(NotAllowed):
        judge(now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_anywhere_is_refused(*, bit: int) -> None:
    for at in range(len(BODY)):
        bent = bytes([*BODY[:at], BODY[at] ^ (1 << bit), *BODY[at + 1 :]])
        with pytest.raises(NotAllowed):
            judge(body=bent)


def test_a_signature_is_for_its_delivery_and_time_only() -> None:
    with pytest.raises(NotAllowed):
        judge(id="msg_another")
    with pytest.raises(NotAllowed):
        judge(timestamp=str(TIMESTAMP + 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": "x" * 201},
        {"id": "msg_ü"},
        {"timestamp": ""},
        {"timestamp": "soon"},
        {"timestamp": "-1614265330"},
        {"timestamp": "1614265330.5"},
        {"timestamp": "٣"},
        {"timestamp": "9" * 40},
        {"signature": ""},
        {"signature": "v1"},
        {"signature": "nocomma"},
        {"signature": "v1,"},
        {"signature": "v1,not base64"},
        {"signature": "v1,ünïcode"},
        {"signature": "v2," + SIGNATURE[3:]},
        {"signature": SIGNATURE[3:]},
        {"signature": SIGNATURE[:-4]},
    ],
)
def test_malformed_headers_are_refused_like_wrong_ones(*, changes: dict[str, str]) -> None:
    with pytest.raises(NotAllowed):
        judge_changed(changes)


def test_a_call_without_any_signature_is_refused() -> None:
    with pytest.raises(NotAllowed):
        verify(BODY, headers={}, secret=SECRET, now=NOW)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_not base64!", "plain words"])
def test_a_secret_that_is_none_is_the_operators_to_mend(*, secret: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        verify(BODY, headers=HEADERS, secret=Secret(secret), now=NOW)
    assert secret not in str(caught.value).replace("whsec_.", "")


def test_the_bytes_are_judged_and_not_what_they_mean() -> None:
    assert judge(body=b"\xff\xfe not JSON", signature=signature_of(b"\xff\xfe not JSON")) == DELIVERY
    with pytest.raises(NotAllowed):
        judge(body=b'{"test":2432232314}')
