"""A message as the bytes of RFC 5322, ready for the wire.

The same message gives the same bytes, always: boundaries come from the Message-ID. The shapes are few:

    mixed ( …, file, file )               when there are files
      alternative ( text, … )             both forms of the text, the plain one first (RFC 2046 §5.1.4)
        related ( html, image, image )    when the HTML has images of its own, shown by `cid:`

Why not `EmailMessage`: on the interpreters in use hostile subjects and long names change headers
(python/cpython#121650, #80222, #100884), References are encoded (#85725, all checked 2026-11-22), and it costs
many times more CPU (`benchmarks/mime.py`).
"""

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple

from replysequence.domain.encoding import (
    base64_lines,
    file_parameters,
    folded,
    phrase,
    text_body,
    unstructured,
)
from replysequence.domain.errors import InvalidInput
from replysequence.domain.message import Address, Attachment, Message
from replysequence.domain.plain_text import plain_text
from replysequence.domain.readback import verify


class _Part(NamedTuple):
    header: str
    body: list[bytes]


def write_message(
    message: Message, *, include_bcc: bool, encode_base64: Callable[[bytes], bytes] = base64_lines
) -> bytes:
    """The finished message: CRLF everywhere, seven-bit throughout, read back before it is returned.

    `include_bcc` writes the Bcc header, for services that take the recipients from the headers and remove it
    (Gmail, Graph). `encode_base64` turns a file into base64 lines of 76 characters, each ended by CRLF; a
    compiled one is several times faster.
    Raises InvalidInput naming the field when the bytes would not say what `message` says. Messages that
    `check_message` finds no blocker in are written.
    """
    try:
        content = _content(message, encode_base64=encode_base64)
        header = _addressing(message, include_bcc=include_bcc) + _identity(message) + content.header
        raw = b"".join([header.encode("ascii"), b"\r\n", *content.body])
    except UnicodeEncodeError as error:
        unfit = error.object[error.start : error.end].encode("unicode_escape").decode("ascii")
        raise InvalidInput("message", f"The message holds {unfit} where mail cannot carry it.") from None
    verify(raw, message, include_bcc=include_bcc)
    return raw


def _addressing(message: Message, *, include_bcc: bool) -> str:
    """The headers that say who. They come first: Gmail was seen to ignore them after the MIME headers."""
    people = [("From", (message.sender,)), ("To", message.to), ("Cc", message.cc)]
    if include_bcc:
        people.append(("Bcc", message.bcc))
    people.append(("Reply-To", message.reply_to))
    return "".join(folded(name, _mailboxes(addresses)) for name, addresses in people if addresses)


def _identity(message: Message) -> str:
    headers = [
        folded("Subject", unstructured(message.subject)),
        f"Date: {_date(message.date)}\r\n",
        f"Message-ID: {message.message_id}\r\n",
    ]
    if message.in_reply_to:
        headers.append(f"In-Reply-To: {message.in_reply_to}\r\n")
    if message.references:
        headers.append(folded("References", list(message.references)))
    if message.send_id:
        headers.append(f"X-ReplySequence-Send-Id: {message.send_id}\r\n")
    headers.append("MIME-Version: 1.0\r\n")
    return "".join(headers)


def _mailboxes(addresses: Iterable[Address]) -> list[str]:
    tokens: list[str] = []
    for address in addresses:
        tokens += [*phrase(address.name), f"<{address.email}>,"] if address.name else [f"{address.email},"]
    tokens[-1] = tokens[-1][:-1]
    return tokens


def _date(date: datetime) -> str:
    offset = date.utcoffset()
    if offset is None:
        raise InvalidInput("date", "The time of the message has no time zone.")
    whole_minutes = offset.total_seconds() % 60 == 0
    return format_datetime(date if whole_minutes else date.astimezone(UTC))


def _content(message: Message, *, encode_base64: Callable[[bytes], bytes]) -> _Part:
    boundary = f"=_{hashlib.sha256(message.message_id.encode()).hexdigest()[:32]}"
    images = [file for file in message.attachments if message.shows_inline(file)]
    files = [file for file in message.attachments if not message.shows_inline(file)]
    part = _words(message, [_file(file, encode_base64=encode_base64) for file in images], boundary=boundary)
    if not files:
        return part
    parts = [part, *(_file(file, encode_base64=encode_base64) for file in files)]
    return _multipart("mixed", parts, boundary=f"{boundary}_m")


def _words(message: Message, images: list[_Part], *, boundary: str) -> _Part:
    if not message.has_html:
        return _text("plain", message.text or "")
    html = message.html or ""
    rich = _text("html", html)
    if images:
        rich = _multipart(
            "related", [rich, *images], boundary=f"{boundary}_r", parameters='; type="text/html"'
        )
    text = message.text if message.has_text else plain_text(html)
    if not text:
        return rich
    return _multipart("alternative", [_text("plain", text), rich], boundary=f"{boundary}_a")


def _text(subtype: str, text: str) -> _Part:
    encoding, body = text_body(text)
    header = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return _Part(header, [body])


def _file(file: Attachment, *, encode_base64: Callable[[bytes], bytes]) -> _Part:
    name, filename = file_parameters(file.filename)
    content_id = f"Content-ID: <{file.content_id}>\r\n" if file.content_id else ""
    disposition = "inline" if file.content_id else "attachment"
    header = (
        f"Content-Type: {file.content_type}{name}\r\n"
        f"{content_id}"
        f"Content-Disposition: {disposition}{filename}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
    )
    return _Part(header, [encode_base64(file.content) or b"\r\n"])


def _multipart(subtype: str, parts: list[_Part], *, boundary: str, parameters: str = "") -> _Part:
    """Parts between delimiter lines. The CRLF at the end of a body is the delimiter's (RFC 2046 §5.1.1)."""
    body: list[bytes] = []
    for part in parts:
        body += [f"--{boundary}\r\n{part.header}\r\n".encode("ascii"), *part.body]
    body.append(f"--{boundary}--\r\n".encode("ascii"))
    return _Part(f'Content-Type: multipart/{subtype}{parameters};\r\n boundary="{boundary}"\r\n', body)
