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
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from itertools import chain
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

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FILE_STEP = 57 * 256  # bytes that make whole lines of base64


class _Part(NamedTuple):
    header: bytes
    body: Iterable[bytes]


def write_message(
    message: Message, *, include_bcc: bool, encode_base64: Callable[[bytes], bytes] = base64_lines
) -> bytes:
    """The finished message: CRLF everywhere, seven-bit throughout, read back before it is returned.

    `include_bcc` writes the Bcc header, for services that take the recipients from the headers and remove it
    (Gmail, Graph). `encode_base64` turns a piece of a file into base64 lines of 76 characters, each ended by
    CRLF; a compiled one is several times faster.
    Raises InvalidInput naming the field when the bytes would not say what `message` says. Messages that
    `check_message` finds no blocker in are written.
    """
    written = BytesIO()
    try:
        content = _content(message, encode_base64=encode_base64)
        headers = _addressing(message, include_bcc=include_bcc) + _identity(message)
        written.write(headers.encode("ascii"))
        written.write(content.header)
        written.write(b"\r\n")
        written.writelines(content.body)
    except UnicodeEncodeError as error:
        unfit = error.object[error.start : error.end].encode("unicode_escape").decode("ascii")
        raise InvalidInput("message", f"The message holds {unfit} where mail cannot carry it.") from None
    raw = written.getvalue()
    verify(raw, message, include_bcc=include_bcc)
    return raw


def _addressing(message: Message, *, include_bcc: bool) -> str:
    """The headers that say who. They come first: Gmail was seen to ignore them after the MIME headers."""
    headers = _sender(message.sender.name, message.sender.email)
    if message.to:
        headers += folded("To", _mailboxes(message.to))
    if message.cc:
        headers += folded("Cc", _mailboxes(message.cc))
    if message.bcc and include_bcc:
        headers += folded("Bcc", _mailboxes(message.bcc))
    if message.reply_to:
        headers += folded("Reply-To", _mailboxes(message.reply_to))
    return headers


@lru_cache(maxsize=256)
def _sender(name: str, email: str) -> str:
    """The From header. Remembered, because the one who sends is the same for many messages."""
    return folded("From", _mailboxes([Address(name, email)]))


def _identity(message: Message) -> str:
    in_reply_to = f"In-Reply-To: {message.in_reply_to}\r\n" if message.in_reply_to else ""
    references = folded("References", [*message.references]) if message.references else ""
    send_id = f"X-ReplySequence-Send-Id: {message.send_id}\r\n" if message.send_id else ""
    return (
        f"{folded('Subject', unstructured(message.subject))}"
        f"Date: {_date(message.date)}\r\n"
        f"Message-ID: {message.message_id}\r\n"
        f"{in_reply_to}{references}{send_id}MIME-Version: 1.0\r\n"
    )


def _mailboxes(addresses: Iterable[Address]) -> list[str]:
    tokens: list[str] = []
    for address in addresses:
        if address.name:
            tokens += phrase(address.name)
            tokens.append(f"<{address.email}>,")
        else:
            tokens.append(f"{address.email},")
    tokens[-1] = tokens[-1][:-1]
    return tokens


def _date(date: datetime) -> str:
    offset = date.utcoffset()
    if offset is None:
        raise InvalidInput("date", "The time of the message has no time zone.")
    if offset.seconds % 60 or offset.microseconds:
        date = date.astimezone(UTC)
    stamp = date.isoformat(timespec="seconds")
    day = f"{_DAYS[date.weekday()]}, {stamp[8:10]} {_MONTHS[date.month]} {stamp[:4]}"
    return f"{day} {stamp[11:19]} {stamp[19:22]}{stamp[23:25]}"


def _content(message: Message, *, encode_base64: Callable[[bytes], bytes]) -> _Part:
    boundary = b"=_" + hashlib.sha256(message.message_id.encode()).hexdigest()[:32].encode("ascii")
    if not message.attachments:
        return _words(message, [], boundary=boundary)
    images = [file for file in message.attachments if message.shows_inline(file)]
    files = [file for file in message.attachments if not message.shows_inline(file)]
    part = _words(message, [_file(file, encode_base64=encode_base64) for file in images], boundary=boundary)
    if not files:
        return part
    parts = [part, *(_file(file, encode_base64=encode_base64) for file in files)]
    return _multipart(b"mixed", parts, boundary=boundary + b"_m")


def _words(message: Message, images: list[_Part], *, boundary: bytes) -> _Part:
    if not message.has_html:
        return _text("plain", message.text or "")
    html = message.html or ""
    rich = _text("html", html)
    if images:
        rich = _multipart(
            b"related", [rich, *images], boundary=boundary + b"_r", parameters=b'; type="text/html"'
        )
    text = message.text if message.has_text else plain_text(html)
    if not text:
        return rich
    return _multipart(b"alternative", [_text("plain", text), rich], boundary=boundary + b"_a")


def _text(subtype: str, text: str) -> _Part:
    encoding, body = text_body(text)
    header = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return _Part(header.encode("ascii"), (body,))


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
    return _Part(header.encode("ascii"), _base64(file.content, encode_base64=encode_base64))


def _base64(content: bytes, *, encode_base64: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """A file piece by piece, so that it is in memory in one form at a time."""
    for start in range(0, len(content), _FILE_STEP):
        yield encode_base64(content[start : start + _FILE_STEP])
    if not content:
        yield b"\r\n"


def _multipart(subtype: bytes, parts: list[_Part], *, boundary: bytes, parameters: bytes = b"") -> _Part:
    """Parts between delimiter lines. The CRLF at the end of a body is the delimiter's (RFC 2046 §5.1.1)."""
    header = b'Content-Type: multipart/%b%b;\r\n boundary="%b"\r\n' % (subtype, parameters, boundary)
    delimiter = b"--%b\r\n" % boundary
    body: list[Iterable[bytes]] = []
    for part in parts:
        body += ((delimiter, part.header, b"\r\n"), part.body)
    body.append((b"--%b--\r\n" % boundary,))
    return _Part(header, chain.from_iterable(body))
