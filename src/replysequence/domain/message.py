"""What is sent: one message with its people, words and files, and everything that can be wrong with it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from replysequence.domain.address import Address, address_faults, is_host_name
from replysequence.domain.characters import misleading, shortened, uncarriable, unprintable
from replysequence.domain.errors import InvalidInput

__all__ = [
    "Address",
    "Attachment",
    "Message",
    "Problem",
    "check_message",
    "media_type",
    "new_message_id",
    "parse_message_id",
    "parse_message_ids",
    "require_sendable",
]

MAX_SUBJECT = 255
MAX_FILENAME = 255
MAX_MESSAGE_ID = 900  # one unfoldable token must stay on a line of 998 (RFC 5322 §2.1.1)
MAX_REFERENCES = 500
MAX_RECIPIENTS = 100
MAX_BYTES = 25 * 1024 * 1024  # bodies and files before encoding; Gmail takes 36,700,160 bytes encoded

# RFC 5322 §3.6.4 with the obsolete left parts that real mail has, but nothing that a reader could decode.
_MESSAGE_ID = re.compile(r"<[!-;=?A-~]+@[!-;=?A-~]+>")
_SEND_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+./^_`{|}~@-]{1,200}")
_TOKEN = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"  # RFC 6838 §4.2
_MEDIA_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}")
_COMPOSITE = ("multipart/", "message/")
_CID_LINK = re.compile(r"""cid:([^"'\s<>()]{1,200})""")
_ANY_FILE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along; with `content_id` set, an image that the HTML shows as `cid:<content_id>`."""

    filename: str
    content_type: str
    content: bytes = field(repr=False)
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message, complete: what a mime writer or a provider's JSON form needs and nothing else.

    `message_id`, `in_reply_to` and `references` have their angle brackets; `date` is timezone-aware.
    `send_id` goes out as `X-ReplySequence-Send-Id`. The text forms of a message never show what it says.
    """

    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str = field(repr=False)
    html: str | None = field(repr=False)
    text: str | None = field(repr=False)
    attachments: tuple[Attachment, ...]
    message_id: str
    date: datetime
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    send_id: str | None = None

    @property
    def recipients(self) -> tuple[Address, ...]:
        """Everybody who gets it: to, cc, bcc."""
        return self.to + self.cc + self.bcc

    @property
    def has_html(self) -> bool:
        """Whether there is HTML with anything in it."""
        return bool(self.html and not self.html.isspace())

    @property
    def has_text(self) -> bool:
        """Whether a plain form with anything in it was given."""
        return bool(self.text and not self.text.isspace())

    def shows_inline(self, attachment: Attachment) -> bool:
        """Whether `attachment` belongs to the HTML, as an image in it, and not beside the text as a file."""
        return attachment.content_id is not None and self.has_html


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a person should know about a message before it leaves; a blocker keeps it here."""

    field: str
    message: str
    severity: Literal["blocker", "warning"] = "blocker"


def new_message_id(send_id: str, domain: str) -> str:
    """The Message-ID of a send: `<send_id@domain>`, the same whenever the same send is built again.

    Raises InvalidInput when either part has a character that a Message-ID cannot hold.
    """
    if not _SEND_ID.fullmatch(send_id):
        raise InvalidInput("send_id", f"“{shortened(send_id)}” cannot be part of a Message-ID.")
    if not is_host_name(domain):
        raise InvalidInput("domain", f"“{shortened(domain)}” is not a domain.")
    return f"<{send_id}@{domain}>"


def parse_message_id(text: str, *, field: str = "in_reply_to") -> str:
    """Read one Message-ID, with or without its angle brackets; returned with them. Raises InvalidInput."""
    typed = text.strip() if len(text) <= 2 * MAX_MESSAGE_ID else text
    message_id = typed if typed.startswith("<") else f"<{typed}>"
    fault = _message_id_fault(message_id)
    if fault:
        raise InvalidInput(field, fault)
    return message_id


def parse_message_ids(typed: str | Iterable[str], *, field: str = "references") -> tuple[str, ...]:
    """Read the Message-IDs of a thread, oldest first: one text with spaces between them, or one text each."""
    texts = typed.split() if isinstance(typed, str) else typed
    return tuple(parse_message_id(text, field=field) for text in texts)


def media_type(declared: str | None) -> str:
    """The content type to keep for an uploaded file: lower case, without parameters.

    What is malformed, or cannot be carried as a file (`message/*` and `multipart/*` may not be encoded,
    RFC 2046 §5, checked 2026-11-22), becomes application/octet-stream.
    """
    essence = (declared or "")[:300].partition(";")[0].strip().lower()
    usable = _MEDIA_TYPE.fullmatch(essence) and not essence.startswith(_COMPOSITE)
    return essence if usable else _ANY_FILE


def check_message(
    message: Message, *, max_recipients: int = MAX_RECIPIENTS, max_bytes: int = MAX_BYTES
) -> list[Problem]:
    """Everything that is wrong with `message`, each with its field; the work is linear in its size.

    `max_recipients` counts to, cc and bcc together; `max_bytes` is for bodies and files before encoding.
    """
    return [
        *_check_people(message, max_recipients=max_recipients),
        *_check_subject(message.subject),
        *_check_bodies(message),
        *_check_attachments(message),
        *_check_size(message, max_bytes=max_bytes),
        *_check_thread(message),
    ]


def require_sendable(
    message: Message, *, max_recipients: int = MAX_RECIPIENTS, max_bytes: int = MAX_BYTES
) -> None:
    """Raise InvalidInput for the first blocker of `message`, with all blockers in `details["problems"]`."""
    problems = check_message(message, max_recipients=max_recipients, max_bytes=max_bytes)
    blockers = [problem for problem in problems if problem.severity == "blocker"]
    if blockers:
        listed = [{"field": problem.field, "message": problem.message} for problem in blockers]
        raise InvalidInput(blockers[0].field, blockers[0].message, details={"problems": listed})


def _check_people(message: Message, *, max_recipients: int) -> Iterator[Problem]:
    for fault in address_faults(message.sender):
        yield Problem("sender", fault)
    count = len(message.recipients)
    if count == 0:
        yield Problem("to", "Nobody would get this message. Add at least one recipient.")
    if max(count, len(message.reply_to)) > max_recipients:
        crowded = max(("to", "cc", "bcc", "reply_to"), key=lambda name: len(getattr(message, name)))
        text = f"{max(count, len(message.reply_to))} people are too many: {max_recipients} are allowed."
        yield Problem(crowded, text)
        return
    people = {"to": message.to, "cc": message.cc, "bcc": message.bcc, "reply_to": message.reply_to}
    for name, addresses in people.items():
        for address in addresses:
            for fault in address_faults(address):
                yield Problem(name, fault)
    yield from _check_repeated(message)


def _check_repeated(message: Message) -> Iterator[Problem]:
    times_by_email = Counter(address.email.lower() for address in message.recipients)
    for email, times in times_by_email.items():
        if times > 1:
            text = f"{shortened(email)} is there {times} times. One copy is enough."
            yield Problem("to", text, "warning")


def _check_subject(subject: str) -> Iterator[Problem]:
    if len(subject) > MAX_SUBJECT:
        yield Problem("subject", f"The subject is longer than {MAX_SUBJECT} characters. Shorten it.")
        return
    character = unprintable(subject)
    if character:
        yield Problem("subject", f"The subject holds {character}. Remove it.")
    if not subject.strip():
        yield Problem("subject", "The subject is empty.", "warning")


def _check_bodies(message: Message) -> Iterator[Problem]:
    if not message.has_html and not message.has_text:
        yield Problem("html", "The message is empty. Write something first.")
    for name, body in (("html", message.html), ("text", message.text)):
        character = uncarriable(body) if body else None
        if character:
            yield Problem(name, f"The message holds {character}, which mail cannot carry. Remove it.")


def _check_attachments(message: Message) -> Iterator[Problem]:
    for attachment in message.attachments:
        for fault in _attachment_faults(attachment):
            yield Problem("attachments", fault)
    content_ids = Counter(file.content_id for file in message.attachments if file.content_id is not None)
    shown = {found[1] for found in _CID_LINK.finditer(message.html or "")}
    for content_id, times in content_ids.items():
        if times > 1:
            text = f"{times} images are all called “{shortened(content_id)}” in the text."
            yield Problem("attachments", text)
        if content_id not in shown:
            text = (
                f"The image “{shortened(content_id)}” is not used in the text. Readers will see it as a file."
            )
            yield Problem("attachments", text, "warning")
    for content_id in sorted(shown - content_ids.keys()):
        text = f"The text shows an image “{shortened(content_id)}” that is not attached."
        yield Problem("html", text, "warning")


def _attachment_faults(file: Attachment) -> Iterator[str]:
    shown = shortened(file.filename)
    fault = _filename_fault(file.filename, shown=shown)
    if fault:
        yield fault
    if not _MEDIA_TYPE.fullmatch(file.content_type) or file.content_type.lower().startswith(_COMPOSITE):
        yield f"The file “{shown}” cannot be sent as “{shortened(file.content_type)}”. Use {_ANY_FILE}."
    if file.content_id is not None and not _CONTENT_ID.fullmatch(file.content_id):
        yield f"“{shortened(file.content_id)}” cannot name an image in the text. Use letters and digits."


def _filename_fault(name: str, *, shown: str) -> str | None:
    if len(name) > MAX_FILENAME:
        return f"The file name “{shown}” is longer than {MAX_FILENAME} characters. Rename the file."
    character = "a tab" if "\t" in name else unprintable(name) or misleading(name)
    if character:
        return f"The file name “{shown}” holds {character}. Rename the file."
    if not name.strip(" .") or "/" in name or "\\" in name:
        return f"“{shown}” is not a file name. Give the name only, without folders."
    return None


def _check_size(message: Message, *, max_bytes: int) -> Iterator[Problem]:
    bodies = sum(len(body.encode(errors="surrogatepass")) for body in (message.html, message.text) if body)
    total = bodies + sum(len(attachment.content) for attachment in message.attachments)
    if total > max_bytes:
        text = (
            f"The message has {total / 1e6:.1f} MB; at most {max_bytes / 1e6:.1f} MB can be sent. Shorten it."
        )
        yield Problem("attachments" if message.attachments else "html", text)


def _check_thread(message: Message) -> Iterator[Problem]:
    if message.date.utcoffset() is None:
        yield Problem("date", "The time of the message has no time zone.")
    if message.send_id is not None and not _SEND_ID.fullmatch(message.send_id):
        yield Problem("send_id", f"“{shortened(message.send_id)}” is not the id of a send.")
    ids = [("message_id", message.message_id), ("in_reply_to", message.in_reply_to)]
    ids += [("references", reference) for reference in message.references[:MAX_REFERENCES]]
    for name, message_id in ids:
        fault = _message_id_fault(message_id) if message_id is not None else None
        if fault:
            yield Problem(name, fault)
    if len(message.references) > MAX_REFERENCES:
        yield Problem("references", f"A thread of more than {MAX_REFERENCES} messages cannot be referred to.")


def _message_id_fault(message_id: str) -> str | None:
    if len(message_id) > MAX_MESSAGE_ID:
        return f"“{shortened(message_id)}” is too long for a Message-ID."
    if not _MESSAGE_ID.fullmatch(message_id) or "=?" in message_id:
        return f"“{shortened(message_id)}” is not a Message-ID. One looks like <left@right>, without spaces."
    return None
