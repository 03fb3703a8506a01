"""What a request carries: credentials, the fields of a form."""

import base64
import binascii
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request


def bearer(request: Request) -> str:
    """The bearer token of `request`; empty when there is none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def basic(request: Request) -> tuple[str, str] | None:
    """Id and secret from HTTP Basic authentication (RFC 6749 §2.3.1), or None."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote_plus(client_id), unquote_plus(secret)


async def form_pairs(request: Request) -> list[tuple[str, str]]:
    """The fields of a form in the body, in order."""
    return parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of a form in the body, the first value of each."""
    return dict(reversed(await form_pairs(request)))
