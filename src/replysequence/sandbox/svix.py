"""Svix signatures (Standard Webhooks), as Resend puts them on its webhooks.

Source: the Standard Webhooks specification, checked 2026-11-22.
"""

import base64
import hashlib
import hmac
import secrets

_PREFIX = "whsec_"


def new_secret() -> str:
    """A fresh signing secret: `whsec_` and the base64 of 24 random bytes."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def sign(body: bytes, *, secret: str, message_id: str, timestamp: int) -> str:
    """One item of the `svix-signature` header for these bytes; `timestamp` is in Unix seconds."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
