"""Webhook signatures as Svix makes them (Standard Webhooks specification, checked 2026-11-22)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from replysequence.domain.errors import Misconfigured, NotAllowed
from replysequence.domain.secret import Secret

TOLERANCE = 300
"""Seconds that the time of an attempt may differ from ours, either way."""
_PREFIX = "whsec_"
_MAX_ID = 200


def verify(body: bytes, *, headers: Mapping[str, str], secret: Secret, now: datetime) -> str:
    """The id of the delivery, the same in every repetition of it, once the signature of the untouched `body`
    is proved.

    `now` is aware UTC. Raises :class:`NotAllowed` for whatever else, :class:`Misconfigured` when `secret` is
    none.
    """
    given = {name.lower(): value for name, value in headers.items()}
    delivery_id, timestamp, signatures = (
        given.get(f"svix-{name}") or given.get(f"webhook-{name}", "")
        for name in ("id", "timestamp", "signature")
    )
    if not delivery_id or len(delivery_id) > _MAX_ID or not delivery_id.isascii():
        raise _refused("it names no delivery")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise _refused("it names no time")
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE:
        raise _refused("its time is too far from ours")
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    expected = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    # While a secret is being replaced, several signatures come at once.
    if not any(hmac.compare_digest(each, expected) for each in _signatures(signatures)):
        raise _refused("its signature is wrong")
    return delivery_id


def _signatures(header: str) -> list[bytes]:
    found = []
    for item in header[:4096].split():
        version, _, text = item.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found


def _key(secret: Secret) -> bytes:
    try:
        key = base64.b64decode(secret.reveal().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise Misconfigured(
            "The secret for incoming webhooks is not one. The operator must copy it again, beginning with "
            "whsec_.",
            code="webhook_secret_invalid",
        )
    return key


def _refused(reason: str) -> NotAllowed:
    return NotAllowed(f"The webhook call was refused: {reason}.", code="webhook_refused")
