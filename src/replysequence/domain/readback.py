"""A second opinion on a finished message: read the bytes, compare with the intent, refuse any difference.

This reader shares nothing with the writer. It is small because it is strict: it knows the one dialect that
the writer may use and takes everything else for a mistake. What it guards against: a header that was not
meant, a recipient more or less, a subject, thread or file name that reads differently, a part that is
missing or broken.
"""

import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import unquote

from replysequence.domain.errors import InvalidInput
from replysequence.domain.message import Address, Attachment, Message

_MAX_LINE = 998  # RFC 5322 §2.1.1
_HEADER = re.compile(r"([!-9;-~]+):(?: (.*))?")
_FOLD = re.compile(r"\r\n(?=[ \t])")
_LEXEME = re.compile(
    r' *+(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|<(?P<angle>[^<>]*+)>|(?P<comma>,)|(?P<atom>[^\s<>",]++))'
)
_ADDR_SPEC = re.compile(r"""[^\s<>()\[\]:;@\\,"]+@[A-Za-z0-9.-]+""")
_WORD = re.compile(r"=\?utf-8\?b\?([A-Za-z0-9+/]+={0,2})\?=")
_PARAMETER = re.compile(r"""; ([a-z0-9*]+)=(?:"([^"\\]*)"|([^\s;"]+))""")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_PART_HEADERS = {"Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID"}

_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "7bit": bytes,
    "quoted-printable": binascii.a2b_qp,
    "base64": binascii.a2b_base64,
}


class _Leaf(NamedTuple):
    """A part that holds no parts: the multiparts around it from outside in, its headers, its lines."""

    around: tuple[str, ...]
    headers: dict[str, str]
    body: memoryview


class _Shape(NamedTuple):
    """What a leaf has to be."""

    around: tuple[str, ...]
    content_type: str
    disposition: str = ""
    filename: str = ""
    content_id: str = ""


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
    headers, body = _entity(raw, 0, end=len(raw))
    own = [header for header in headers if header[0] not in _PART_HEADERS]
    part = headers[len(own) :]
    if [name for name, _ in own] != list(_expected_names(message, include_bcc=include_bcc)):
        yield "message"
    yield from _different_people(dict(own), message, include_bcc=include_bcc)
    yield from _different_identity(dict(own), message)
    leaves = list(_leaves((), part, raw, start=body, end=len(raw)))
    shapes = [_shape(leaf) for leaf in leaves]
    if shapes != list(_expected_shapes(message, leaves[0])):
        yield "attachments"
    if any(_CONTROL.search(shape.filename) for shape in shapes):
        yield "attachments"
    yield from _different_contents(leaves, message)


def _expected_names(message: Message, *, include_bcc: bool) -> Iterator[str]:
    wanted = {
        "From": True,
        "To": message.to,
        "Cc": message.cc,
        "Bcc": include_bcc and message.bcc,
        "Reply-To": message.reply_to,
        "Subject": True,
        "Date": True,
        "Message-ID": True,
        "In-Reply-To": message.in_reply_to,
        "References": message.references,
        "X-ReplySequence-Send-Id": message.send_id,
        "MIME-Version": True,
    }
    return (name for name, present in wanted.items() if present)


def _different_people(headers: dict[str, str], message: Message, *, include_bcc: bool) -> Iterator[str]:
    people: dict[str, tuple[str, Sequence[Address]]] = {
        "sender": ("From", [message.sender]),
        "to": ("To", message.to),
        "cc": ("Cc", message.cc),
        "bcc": ("Bcc", message.bcc if include_bcc else []),
        "reply_to": ("Reply-To", message.reply_to),
    }
    for field, (name, addresses) in people.items():
        found = list(_mailboxes(headers[name])) if name in headers else []
        if found != [(address.name, address.email) for address in addresses]:
            yield field
        if any(_CONTROL.search(name) for name, _ in found):
            yield field


def _different_identity(headers: dict[str, str], message: Message) -> Iterator[str]:
    subject = headers["Subject"]
    subject = _decoded(subject.split(" ")) if "=?" in subject else subject
    if subject != message.subject or _CONTROL.search(subject):
        yield "subject"
    if abs(parsedate_to_datetime(headers["Date"]) - message.date) >= timedelta(seconds=1):
        yield "date"
    if headers["Message-ID"] != message.message_id:
        yield "message_id"
    if headers.get("In-Reply-To") != (message.in_reply_to or None):
        yield "in_reply_to"
    if tuple(headers.get("References", "").split()) != message.references:
        yield "references"
    if (
        headers.get("X-ReplySequence-Send-Id") != (message.send_id or None)
        or headers["MIME-Version"] != "1.0"
    ):
        yield "send_id"


def _expected_shapes(message: Message, first: _Leaf) -> Iterator[_Shape]:
    """The leaves in order. Only the first one found tells whether the HTML had a plain form to derive."""
    images = [file for file in message.attachments if message.shows_inline(file)]
    files = [file for file in message.attachments if not message.shows_inline(file)]
    outside: tuple[str, ...] = ("mixed",) if files else ()
    inside = outside
    if message.has_html and (message.has_text or "alternative" in first.around):
        inside += ("alternative",)
        yield _Shape(inside, "text/plain")
    if images:
        inside += ("related",)
    yield _Shape(inside, "text/html" if message.has_html else "text/plain")
    for file in images:
        yield _file_shape(inside, file)
    for file in files:
        yield _file_shape(outside, file)


def _file_shape(around: tuple[str, ...], file: Attachment) -> _Shape:
    disposition = "inline" if file.content_id else "attachment"
    content_id = f"<{file.content_id}>" if file.content_id else ""
    return _Shape(around, file.content_type, disposition, file.filename, content_id)


def _shape(leaf: _Leaf) -> _Shape:
    content_type, _ = _parameters(leaf.headers["Content-Type"])
    disposition, parameters = _parameters(leaf.headers.get("Content-Disposition", ""))
    filename = _filename(parameters)
    return _Shape(leaf.around, content_type, disposition, filename, leaf.headers.get("Content-ID", ""))


def _different_contents(leaves: list[_Leaf], message: Message) -> Iterator[str]:
    texts = [leaf for leaf in leaves if "Content-Disposition" not in leaf.headers]
    files = [leaf for leaf in leaves if "Content-Disposition" in leaf.headers]
    for leaf in texts:
        field = "html" if leaf.headers["Content-Type"].startswith("text/html") else "text"
        meant = message.html if field == "html" else message.text if message.has_text else None
        if not _is_well_formed(bytes(leaf.body)):
            yield field
        if meant is not None and _content(leaf) != _canonical(meant):
            yield field
    ordered = sorted(message.attachments, key=lambda file: not message.shows_inline(file))
    for leaf, file in zip(files, ordered, strict=True):
        characters = (len(file.content) + 2) // 3 * 4
        breaks = max(0, (characters - 1) // 76)
        if leaf.headers["Content-Transfer-Encoding"] != "base64" or len(leaf.body) != characters + 2 * breaks:
            yield "attachments"


def _entity(raw: bytes, start: int, *, end: int) -> tuple[list[tuple[str, str]], int]:
    """The header block at `start`, and where its body begins. Raises ValueError for any unclean line."""
    stop = raw.index(b"\r\n\r\n", start, end)
    text = raw[start:stop].decode("ascii")
    lines = text.split("\r\n")
    if _CONTROL.search("".join(lines)) or max(map(len, lines)) > _MAX_LINE or any(map(str.isspace, lines)):
        raise ValueError("not the lines of a header block")
    headers = []
    for line in _FOLD.sub("", text).split("\r\n"):
        header = _HEADER.fullmatch(line)
        if not header:
            raise ValueError("not a header")
        headers.append((header[1], header[2] or ""))
    return headers, stop + 4


def _leaves(
    around: tuple[str, ...], headers: list[tuple[str, str]], raw: bytes, *, start: int, end: int
) -> Iterator[_Leaf]:
    """The leaves of the part with these headers, whose body is `raw[start:end]`. Nothing large is copied."""
    named = dict(headers)
    if len(named) != len(headers) or not named.keys() <= _PART_HEADERS:
        raise ValueError("not the headers of a part")
    content_type, parameters = _parameters(named["Content-Type"])
    kind, _, subtype = content_type.partition("/")
    if kind != "multipart":
        yield _Leaf(around, named, memoryview(raw)[start:end])
        return
    delimiter = f"--{parameters['boundary']}".encode("ascii")
    if not raw.startswith(delimiter, start):
        raise ValueError("not the first part of a multipart")
    position = start + len(delimiter)
    while raw.startswith(b"\r\n", position):
        stop = raw.index(b"\r\n" + delimiter, position, end)
        part_headers, body = _entity(raw, position + 2, end=stop)
        yield from _leaves((*around, subtype), part_headers, raw, start=body, end=stop)
        position = stop + 2 + len(delimiter)
    if raw[position:end] not in (b"--\r\n", b"--"):
        raise ValueError("not the end of a multipart")


def _mailboxes(value: str) -> Iterator[tuple[str, str]]:
    """(display name, addr-spec) of each mailbox in a list. Raises ValueError for other grammar."""
    words: list[str] = []
    email: str | None = None
    position = 0
    value += ","
    while position < len(value):
        lexeme = _LEXEME.match(value, position)
        if not lexeme:
            raise ValueError("not a list of mailboxes")
        position = lexeme.end()
        if lexeme["comma"]:
            mailbox = (_decoded(words), email) if email else ("", "".join(words))
            if not _ADDR_SPEC.fullmatch(mailbox[1]):
                raise ValueError("not an address")
            yield mailbox
            words, email = [], None
        elif email is not None:
            raise ValueError("something after an address")
        elif lexeme["angle"]:
            email = lexeme["angle"]
        elif lexeme["quoted"]:
            words.append(re.sub(r"\\(.)", r"\1", lexeme["quoted"]))
        else:
            words.append(lexeme["atom"])


def _decoded(words: Sequence[str]) -> str:
    """Either all words are encoded or none is; white space between encoded words does not count."""
    found = [_WORD.fullmatch(word) for word in words]
    encoded = [word[1] for word in found if word]
    if not encoded and not any("=?" in word for word in words):
        return " ".join(words)
    if len(encoded) < len(words) or any(len(word) > 75 for word in words):
        raise ValueError("encoded words and others mixed")
    return "".join(binascii.a2b_base64(word, strict_mode=True).decode() for word in encoded)


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


def _content(leaf: _Leaf) -> bytes:
    decode = _DECODERS[leaf.headers["Content-Transfer-Encoding"]]
    return decode(bytes(leaf.body)).rstrip(b"\r\n")


def _canonical(text: str) -> bytes:
    """A text as it has to arrive: CRLF between lines, none at the end."""
    data = text.encode()
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.rstrip(b"\n").replace(b"\n", b"\r\n")


def _is_well_formed(body: bytes) -> bool:
    """Seven bits, lines of at most 998 octets with CRLF and no other CR or LF."""
    lines = body.split(b"\n")
    paired = body.count(b"\r\n") == body.count(b"\r") == len(lines) - 1
    return paired and body.isascii() and len(max(lines, key=len)) <= _MAX_LINE + 1
