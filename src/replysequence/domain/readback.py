"""A second opinion on a finished message: read the bytes, compare with the intent, refuse any difference.

This reader shares nothing with the writer. It is small because it is strict: it knows the one dialect that
the writer may use and takes everything else for a mistake. What it guards against: a header that was not
meant, a recipient more or less, a subject, thread or file name that reads differently, a part that is
missing or broken.
"""

import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from replysequence.domain.errors import InvalidInput
from replysequence.domain.message import Address, Attachment, Message

_MAX_LINE = 998  # RFC 5322 §2.1.1
_PRINTABLE = bytes([10, *range(32, 127)])

# The headers of a message, unfolded, each in the one place where it may stand.
_ENVELOPE = re.compile(
    r"From: (?P<sender>.+)\n"
    r"(?:To: (?P<to>.+)\n)?"
    r"(?:Cc: (?P<cc>.+)\n)?"
    r"(?:Bcc: (?P<bcc>.+)\n)?"
    r"(?:Reply-To: (?P<reply_to>.+)\n)?"
    r"Subject:(?: (?P<subject>.+))?\n"
    r"Date: (?P<date>[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4})\n"
    r"Message-ID: (?P<message_id>.+)\n"
    r"(?:In-Reply-To: (?P<in_reply_to>.+)\n)?"
    r"(?:References: (?P<references>.+)\n)?"
    r"(?:X-ReplySequence-Send-Id: (?P<send_id>.+)\n)?"
    r"MIME-Version: (?P<version>.+)\n"
)
_ADDR_SPEC = r"""[^\s<>()\[\]:;@\\,"]+@[A-Za-z0-9.-]+"""
_ATOM = r"""[^\s<>()\[\]:;@\\,."]++"""
_MAILBOX = re.compile(
    rf'(?:(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<words>{_ATOM}(?: {_ATOM})*+)) <(?P<angle>{_ADDR_SPEC})>'
    rf"|(?P<bare>{_ADDR_SPEC}))(?:, |\Z)"
)
_WORD = r"=\?utf-8\?b\?[A-Za-z0-9+/]+={0,2}\?="
_WORDS = re.compile(rf"{_WORD}(?: {_WORD})*+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_MULTIPART = re.compile(
    r'Content-Type: multipart/([a-z]+)(?:; type="text/html")?; boundary="([!#-\[\]-~]+)"\n'
)
_PART_HEADER = re.compile(r"^([!-9;-~]+): (.+)\n", re.MULTILINE)
_PARAMETER = re.compile(r"""; ([a-z0-9*]+)=(?:"([^"\\]*)"|([^\s;"]+))""")
_PART_HEADERS = {"Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "7bit": bytes,
    "quoted-printable": binascii.a2b_qp,
    "base64": binascii.a2b_base64,
}


class _Shape(NamedTuple):
    """What the headers of a leaf say about it, besides its encoding."""

    content_type: str
    disposition: str = ""
    filename: str = ""
    content_id: str = ""


_PLAIN = _Shape("text/plain")
_HTML = _Shape("text/html")


class _Part(NamedTuple):
    """What the headers of a part say. A multipart has a boundary, and its subtype for a content type."""

    shape: _Shape
    encoding: str
    boundary: bytes = b""


class _Leaf(NamedTuple):
    """A part that holds no parts: the multiparts around it from outside in, and where its body is."""

    around: tuple[str, ...]
    shape: _Shape
    encoding: str
    start: int
    stop: int


def verify(raw: bytes, message: Message, *, include_bcc: bool) -> None:
    """Raise InvalidInput naming the field in which `raw` says something else than `message`.

    Compared are the header block (names and their order, people, subject, date, thread), the tree of parts
    with their headers, both forms of the text where they were given, and the names and sizes of the files.
    """
    try:
        different = next(_differences(raw, message, include_bcc=include_bcc), None)
    except (ValueError, KeyError):  # no ASCII, base64, UTF-8, date or header where one has to be
        different = "message"
    if different:
        raise InvalidInput(
            different,
            f"The finished message does not say what was meant (in “{different}”), so it is not used. "
            "Remove unusual characters there and try again.",
        )


def _differences(raw: bytes, message: Message, *, include_bcc: bool) -> Iterator[str]:
    """The fields that differ, most telling first."""
    block, body = _header_block(raw, 0, end=len(raw))
    headers = _unfolded(block)
    envelope = _ENVELOPE.match(headers)
    if not envelope:
        yield "message"
        return
    yield from _different_people(envelope, message, include_bcc=include_bcc)
    yield from _different_identity(envelope, message)
    leaves = _leaves((), _part(headers[envelope.end() :]), raw, start=body, end=len(raw))
    if [(leaf.around, leaf.shape) for leaf in leaves] != _expected_shapes(message, leaves[0]):
        yield "attachments"
    if message.attachments and any(_CONTROL.search(leaf.shape.filename) for leaf in leaves):
        yield "attachments"
    yield from _different_contents(leaves, raw, message)


def _different_people(envelope: re.Match[str], message: Message, *, include_bcc: bool) -> Iterator[str]:
    people: tuple[tuple[str, Sequence[Address]], ...] = (
        ("sender", (message.sender,)),
        ("to", message.to),
        ("cc", message.cc),
        ("bcc", message.bcc if include_bcc else ()),
        ("reply_to", message.reply_to),
    )
    for field, addresses in people:
        value = envelope[field]
        if not value or not addresses:
            if value or addresses:
                yield "message"
            continue
        found = _remembered_mailboxes(value) if field == "sender" else _mailboxes(value)
        if found != [(address.name, address.email) for address in addresses]:
            yield field
        # The headers are printable: only what was encoded can hide something.
        if "=?" in value and _CONTROL.search("".join([name for name, _ in found])):
            yield field


def _different_identity(envelope: re.Match[str], message: Message) -> Iterator[str]:
    subject = _decoded(envelope["subject"] or "")
    if subject != message.subject or _CONTROL.search(subject):
        yield "subject"
    if _is_other_time(envelope["date"], message.date):
        yield "date"
    if envelope["message_id"] != message.message_id:
        yield "message_id"
    if envelope["in_reply_to"] != (message.in_reply_to or None):
        yield "in_reply_to"
    if tuple((envelope["references"] or "").split()) != message.references:
        yield "references"
    if envelope["send_id"] != (message.send_id or None) or envelope["version"] != "1.0":
        yield "send_id"


def _is_other_time(text: str, date: datetime) -> bool:
    """Whether `text`, such as “Sun, 22 Nov 2026 09:30:00 +0000”, is not the second of `date`."""
    day = f"{text[12:16]}-{_MONTHS.index(text[8:11]) + 1:02}-{text[5:7]}"
    found = datetime.fromisoformat(f"{day}T{text[17:25]}{text[26:29]}:{text[29:]}")
    return text[:3] != _DAYS[found.weekday()] or not 0 <= (date - found).total_seconds() < 1


def _expected_shapes(message: Message, first: _Leaf) -> list[tuple[tuple[str, ...], _Shape]]:
    """The leaves in order. Only the first one found tells whether the HTML had a plain form to derive."""
    images = [file for file in message.attachments if message.shows_inline(file)]
    files = [file for file in message.attachments if not message.shows_inline(file)]
    outside: tuple[str, ...] = ("mixed",) if files else ()
    inside = outside
    shapes = []
    if message.has_html and (message.has_text or "alternative" in first.around):
        inside += ("alternative",)
        shapes.append((inside, _PLAIN))
    if images:
        inside += ("related",)
    shapes.append((inside, _HTML if message.has_html else _PLAIN))
    shapes += [(inside, _file_shape(file)) for file in images]
    shapes += [(outside, _file_shape(file)) for file in files]
    return shapes


def _file_shape(file: Attachment) -> _Shape:
    disposition = "inline" if file.content_id else "attachment"
    content_id = f"<{file.content_id}>" if file.content_id else ""
    return _Shape(file.content_type, disposition, file.filename, content_id)


def _different_contents(leaves: list[_Leaf], raw: bytes, message: Message) -> Iterator[str]:
    texts = [leaf for leaf in leaves if not leaf.shape.disposition]
    for leaf in texts:
        field = "html" if leaf.shape == _HTML else "text"
        meant = message.html if field == "html" else message.text if message.has_text else None
        found = _text(raw[leaf.start : leaf.stop], encoding=leaf.encoding)
        if found is None or (meant is not None and found.rstrip(b"\n") != _canonical(meant)):
            yield field
    files = [leaf for leaf in leaves if leaf.shape.disposition]
    ordered = sorted(message.attachments, key=lambda file: not message.shows_inline(file))
    for leaf, file in zip(files, ordered, strict=True):
        characters = (len(file.content) + 2) // 3 * 4
        breaks = max(0, (characters - 1) // 76)
        if leaf.encoding != "base64" or leaf.stop - leaf.start != characters + 2 * breaks:
            yield "attachments"


def _header_block(raw: bytes, start: int, *, end: int) -> tuple[bytes, int]:
    """The header block at `start`, with the CRLF of its last line, and where its body begins."""
    stop = raw.index(b"\r\n\r\n", start, end) + 2
    return raw[start:stop], stop + 2


def _unfolded(block: bytes) -> str:
    """A header block with LF for CRLF and every header on one line. ValueError for any unclean line."""
    lines = _with_lf(block)
    if lines is None or lines.translate(None, _PRINTABLE) or b" \n" in lines or _has_long_line(lines):
        raise ValueError("not the lines of a header block")
    return lines.decode("ascii").replace("\n ", " ")


def _leaves(around: tuple[str, ...], part: _Part, raw: bytes, *, start: int, end: int) -> list[_Leaf]:
    """The leaves of `part`, whose body is `raw[start:end]`. Nothing large is copied."""
    if not part.boundary:
        return [_Leaf(around, part.shape, part.encoding, start, end)]
    around += (part.shape.content_type,)
    delimiter = b"\r\n--" + part.boundary
    position = start - 2
    leaves: list[_Leaf] = []
    while raw.startswith(delimiter, position) and raw.startswith(b"\r\n", position + len(delimiter)):
        block, start = _header_block(raw, position + len(delimiter) + 2, end=end)
        inner = _remembered_part(block)
        # No base64 has a hyphen, and one byte is found ten times as fast as many.
        if inner.encoding == "base64":
            position = raw.index(b"-", start, end) - 2
        else:
            position = raw.index(delimiter, start - 2, end)
        leaves += _leaves(around, inner, raw, start=start, end=position)
    if not leaves or raw[position:end] not in (delimiter + b"--\r\n", delimiter + b"--"):
        raise ValueError("not a whole multipart")
    return leaves


def _part(headers: str) -> _Part:
    """What the unfolded headers of a part say. Raises ValueError for anything but the few that a part has."""
    multipart = _MULTIPART.fullmatch(headers)
    if multipart:
        return _Part(_Shape(multipart[1]), "7bit", multipart[2].encode("ascii"))
    found = dict(_PART_HEADER.findall(headers))
    if len(found) != headers.count("\n") or not found.keys() <= _PART_HEADERS:
        raise ValueError("not the headers of a part")
    content_type, parameters = _parameters(found["Content-Type"])
    disposition, disposition_parameters = _parameters(found.get("Content-Disposition", ""))
    if parameters.keys() != {"name"} if disposition else parameters != {"charset": "utf-8"}:
        raise ValueError("not the parameters of a part")
    filename = _filename(disposition_parameters)
    shape = _Shape(content_type, disposition, filename, found.get("Content-ID", ""))
    return _Part(shape, found["Content-Transfer-Encoding"])


@lru_cache(maxsize=64)
def _remembered_part(block: bytes) -> _Part:
    """The part with this header block. Text parts always have the same few, and a campaign the same files."""
    return _part(_unfolded(block))


def _mailboxes(value: str) -> list[tuple[str, str]]:
    """(display name, addr-spec) of each mailbox in a list. Raises ValueError for other grammar."""
    mailboxes = []
    position = 0
    while position < len(value):
        mailbox = _MAILBOX.match(value, position)
        if not mailbox:
            raise ValueError("not a list of mailboxes")
        quoted, words, angle, bare = mailbox.groups()
        name = _decoded(words) if words else "" if bare else _unquoted(quoted)
        mailboxes.append((name, angle or bare))
        position = mailbox.end()
    return mailboxes


_remembered_mailboxes = lru_cache(maxsize=256)(_mailboxes)  # one sender has many messages


def _unquoted(text: str) -> str:
    if "=?" in text:
        raise ValueError("some readers decode this")
    return re.sub(r"\\(.)", r"\1", text) if "\\" in text else text


def _decoded(text: str) -> str:
    """Either all words are encoded or none is; white space between encoded words does not count."""
    if "=?" not in text:
        return text
    words = text.split(" ")
    if not _WORDS.fullmatch(text) or max(map(len, words)) > 75:
        raise ValueError("encoded words and others mixed")
    return "".join([binascii.a2b_base64(word[10:-2], strict_mode=True).decode() for word in words])


def _parameters(value: str) -> tuple[str, dict[str, str]]:
    """A structured value and its parameters. Raises ValueError for other grammar or a repeated parameter."""
    first, semicolon, rest = value.partition(";")
    rest = semicolon + rest
    found = [(parameter[1], parameter[2] or parameter[3]) for parameter in _PARAMETER.finditer(rest)]
    if _PARAMETER.sub("", rest) or len(dict(found)) != len(found):
        raise ValueError("not parameters")
    return first, dict(found)


def _filename(parameters: dict[str, str]) -> str:
    if not parameters or "filename" in parameters:
        return parameters.get("filename", "")
    names = ["filename*"] if "filename*" in parameters else [f"filename*{n}*" for n in range(len(parameters))]
    encoded = "".join(parameters[name] for name in names)
    charset, _, name = encoded.partition("''")
    if charset != "UTF-8" or len(names) != len(parameters):
        raise ValueError("not a file name")
    return unquote(name, errors="strict")


def _canonical(text: str) -> bytes:
    """A text as it has to read: LF between lines, none at the end."""
    data = text.encode()
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.rstrip(b"\n")


def _text(body: bytes, *, encoding: str) -> bytes | None:
    """The text in `body`, with LF for CRLF; None when `body` is not seven-bit lines of at most 998 octets."""
    lines = _with_lf(body)
    if lines is None or not lines.isascii() or _has_long_line(lines):
        return None
    text = _DECODERS[encoding](lines)
    return _with_lf(text) if encoding == "base64" else text


def _with_lf(data: bytes) -> bytes | None:
    """`data` with LF for CRLF, or None when CR and LF are not always in pairs."""
    lines = data.translate(None, b"\r")
    return lines if lines.replace(b"\n", b"\r\n") == data else None


def _has_long_line(lines: bytes) -> bool:
    position = 0
    while len(lines) - position > _MAX_LINE:
        position = lines.rfind(b"\n", position, position + _MAX_LINE + 1) + 1
        if not position:
            return True
    return False
