"""What Python's own parser reads in a finished message, to be compared with what was meant.

The judge is the compat32 parser with `decode_header` and `getaddresses`. The newer `policy.default` cannot
judge display names and subjects on every interpreter in use: it puts spaces between adjacent encoded words
(python/cpython#128110) and takes encoded commas for separators (#121284, both checked 2026-11-22).
"""

from dataclasses import dataclass
from email import policy
from email.header import decode_header
from email.message import Message as Parsed
from email.parser import BytesParser
from email.utils import collapse_rfc2231_value, getaddresses

from replysequence.domain.message import Address, Attachment, Message

PEOPLE = ("From", "To", "Cc", "Bcc", "Reply-To")


@dataclass(frozen=True)
class Reading:
    """What a message says: header names in order, people, subject, thread, texts by type, files."""

    names: tuple[str, ...]
    people: dict[str, list[tuple[str, str]]]
    subject: str
    message_id: str
    thread: tuple[str, ...]
    texts: dict[str, str]
    files: list[tuple[str, str, bytes, str | None]]


def judged(raw: bytes) -> Reading:
    """Read `raw` as a stranger would."""
    parsed = BytesParser(policy=policy.compat32).parsebytes(raw)
    leaves = [part for part in parsed.walk() if not part.is_multipart()]
    files = [part for part in leaves if part.get_content_disposition()]
    texts = [part for part in leaves if not part.get_content_disposition()]
    return Reading(
        names=tuple(name for name in parsed if not name.lower().startswith("content-")),
        people={name: _people(parsed[name]) for name in PEOPLE if name in parsed},
        subject=_decoded(_unfolded(parsed["Subject"])),
        message_id=parsed["Message-ID"],
        thread=(parsed.get("In-Reply-To", ""), *_unfolded(parsed.get("References", "")).split()),
        texts={part.get_content_type(): lines(_bytes(part).decode()) for part in texts},
        files=[_file(part) for part in files],
    )


def meant(message: Message, *, include_bcc: bool) -> Reading:
    """The reading that `message` asks for. A text that was left to be derived is not in it."""
    present = {
        "From": [message.sender],
        "To": message.to,
        "Cc": message.cc,
        "Bcc": message.bcc if include_bcc else (),
        "Reply-To": message.reply_to,
    }
    people = {name: [_pair(person) for person in persons] for name, persons in present.items() if persons}
    names = [*people, "Subject", "Date", "Message-ID"]
    names += ["In-Reply-To"] if message.in_reply_to else []
    names += ["References"] if message.references else []
    names += ["X-ReplySequence-Send-Id"] if message.send_id else []
    texts = {"text/plain": message.text if message.has_text else None, "text/html": message.html}
    files = sorted(message.attachments, key=lambda file: not message.shows_inline(file))
    return Reading(
        names=(*names, "MIME-Version"),
        people=people,
        subject=message.subject,
        message_id=message.message_id,
        thread=(message.in_reply_to or "", *message.references),
        texts={kind: lines(text) for kind, text in texts.items() if text and not text.isspace()},
        files=[_meant_file(file) for file in files],
    )


def differences(raw: bytes, message: Message, *, include_bcc: bool) -> list[str]:
    """Sentences about everything that the judge reads otherwise than it was meant; empty when equal."""
    found, wanted = judged(raw), meant(message, include_bcc=include_bcc)
    if "text/plain" not in wanted.texts:
        found.texts.pop("text/plain", None)
    fields = ("names", "people", "subject", "message_id", "thread", "texts", "files")
    return [
        f"{field}: {getattr(found, field)!r}, meant {getattr(wanted, field)!r}"
        for field in fields
        if getattr(found, field) != getattr(wanted, field)
    ]


def faulty_lines(raw: bytes) -> list[bytes]:
    """Lines that break RFC 5322 §2.1.1, RFC 2045 or RFC 2047 §2, or that a mail system may alter."""
    head, _, body = raw.partition(b"\r\n\r\n")
    faulty = [line for line in head.split(b"\r\n") if _is_faulty(line) or _folds_too_late(line)]
    return faulty + [line for line in body.split(b"\r\n") if _is_faulty(line) or len(line) > 76]


def lines(text: str) -> str:
    """`text` with line breaks of one kind and none at its end, the way two bodies are compared."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def _is_faulty(line: bytes) -> bool:
    return (
        len(line) > 998
        or b"\r" in line
        or b"\n" in line
        or not line.isascii()
        or line.startswith(b"From ")
        or line == b"."
        or any(len(word) > 75 for word in line.split() if word.startswith(b"=?utf-8?"))
    )


def _folds_too_late(line: bytes) -> bool:
    """Whether a header line is long although it has more than one token (a name with its colon is none)."""
    tokens = line.split()
    return len(line) > 76 and len(tokens) > (1 if line.startswith(b" ") else 2)


def _people(value: str) -> list[tuple[str, str]]:
    return [(_decoded(name), email) for name, email in getaddresses([_unfolded(value)])]


def _pair(address: Address) -> tuple[str, str]:
    return address.name, address.email


def _file(part: Parsed) -> tuple[str, str, bytes, str | None]:
    # Not get_filename(): that strips the spaces around a name.
    filename = collapse_rfc2231_value(part.get_param("filename", "", header="Content-Disposition"))
    return filename, part.get_content_type(), _bytes(part), part["Content-ID"]


def _meant_file(file: Attachment) -> tuple[str, str, bytes, str | None]:
    return file.filename, file.content_type, file.content, f"<{file.content_id}>" if file.content_id else None


def _bytes(part: Parsed) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def _decoded(text: str) -> str:
    parts = [(part, charset or "ascii") for part, charset in decode_header(text)]
    return "".join(part if isinstance(part, str) else part.decode(charset) for part, charset in parts)


def _unfolded(value: str) -> str:
    return value.replace("\r\n", "").replace("\n", "")
