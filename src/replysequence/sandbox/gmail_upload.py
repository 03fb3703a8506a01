"""The four forms in which Gmail takes a message (Gmail upload guide, checked 2026-11-22)."""

import base64
import binascii
import json
import re
import secrets
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, Final

from starlette.responses import Response

from replysequence.sandbox.accounts import Account
from replysequence.sandbox.gmail_errors import RAW_REQUIRED, bad_request
from replysequence.sandbox.gmail_message import Submission
from replysequence.sandbox.google_errors import GoogleRefusedError
from replysequence.sandbox.headers import header_values, split

MAX_JSON_BYTES: Final = 6_815_744
"""About 6.5 MiB: where the JSON form is answered 413 in practice."""
MAX_UPLOAD_BYTES: Final = 36_700_160

_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)\Z")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}\Z")


def from_json(body: bytes) -> Submission:
    """`{"raw": base64url, "threadId"?}`; every other member is ignored. Raises `GoogleRefusedError`."""
    fields = _object(body)
    raw = fields.get("raw")
    if raw is None or raw == "":
        raise GoogleRefusedError(RAW_REQUIRED)
    return Submission(_decode(raw), _thread_id(fields))


def from_media(body: bytes, *, content_type: str) -> Submission:
    """The bare message. Raises `GoogleRefusedError`."""
    if not content_type.startswith("message/"):
        raise GoogleRefusedError(
            bad_request(f"Media type '{content_type}' is not supported. Valid media types: [message/*]")
        )
    return Submission(body)


def from_multipart(body: bytes, *, content_type: str) -> Submission:
    """`multipart/related`: a JSON part, then the message. Raises `GoogleRefusedError`."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/related" or not boundary:
        raise GoogleRefusedError(bad_request("Multipart body has no boundary."))
    delimiter = b"--" + boundary.encode("utf-8", "replace")
    parts = (b"\r\n" + body).split(b"\r\n" + delimiter)
    if len(parts) < 3:
        parts = (b"\n" + body).split(b"\n" + delimiter)
    if len(parts) < 3:
        raise GoogleRefusedError(bad_request("Missing end boundary in multipart body."))
    metadata, media = (_part(part) for part in parts[1:3])
    return Submission(media, thread_id_in(metadata))


def _part(part: bytes) -> bytes:
    """The content of one part, its transfer encoding undone."""
    _, _, part = part.partition(b"\n")
    _, rest = split(part)
    content = rest[2:] if rest.startswith(b"\r\n") else rest[1:]
    encoding = next(iter(header_values(part, "Content-Transfer-Encoding")), "").lower()
    return base64.b64decode(content) if encoding == "base64" else content


def thread_id_in(body: bytes) -> str | None:
    """The `threadId` of a metadata object; an empty body has none. Raises `GoogleRefusedError`."""
    return _thread_id(_object(body)) if body.strip() else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        read = json.loads(body)
    except ValueError:
        raise GoogleRefusedError(bad_request("Invalid JSON payload received.")) from None
    if not isinstance(read, dict):
        raise GoogleRefusedError(bad_request("Invalid JSON payload received."))
    return read


def _thread_id(fields: dict[str, Any]) -> str | None:
    value = fields.get("threadId")
    return str(value) if value else None


def _decode(raw: object) -> bytes:
    """base64url, padding optional; the standard alphabet is refused."""
    try:
        if not isinstance(raw, str) or not _BASE64URL.match(raw):
            raise ValueError
        bare = raw.rstrip("=")
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except (ValueError, binascii.Error):
        message = "Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed"
        raise GoogleRefusedError(bad_request(message)) from None


@dataclass
class Session:
    """One resumable upload. `answer` is set once the message has been handed in, and stays."""

    account: Account
    thread_id: str | None
    arrived: bytearray = field(default_factory=bytearray)
    answer: Response | None = None

    def take(self, body: bytes, content_range: str) -> bool:
        """Add a piece; True when the message is whole. A piece that does not fit on is left out."""
        found = _RANGE.match(content_range)
        if found is None:
            self.arrived[:] = body
            return True
        first, _, total = found.groups()
        if first is not None and int(first) == len(self.arrived):
            self.arrived += body
        return total != "*" and len(self.arrived) >= int(total)

    def incomplete(self) -> Response:
        """308 with what has arrived so far."""
        headers = {"Range": f"bytes=0-{len(self.arrived) - 1}"} if self.arrived else {}
        return Response(status_code=308, headers=headers)

    def submission(self) -> Submission:
        """The whole message."""
        return Submission(bytes(self.arrived), self.thread_id)


class Sessions:
    """The open resumable uploads."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    def open(self, account: Account, *, thread_id: str | None) -> str:
        """Start an upload and return its id."""
        session_id = secrets.token_urlsafe(24)
        self._open[session_id] = Session(account, thread_id)
        return session_id

    def find(self, session_id: str) -> Session | None:
        """The upload with this id, or None."""
        return self._open.get(session_id)
