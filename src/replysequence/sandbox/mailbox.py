"""A delivered message as its recipient sees it."""

import base64
import re
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default

from replysequence.sandbox.headers import header_values, people, split

_CID = re.compile(r"cid:([^\"'\s)>]+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """One attached file, or an inline picture when it has a `content_id`."""

    filename: str
    content_type: str
    content: bytes
    content_id: str = ""

    @property
    def size(self) -> str:
        """The size for people."""
        kilobytes = len(self.content) / 1024
        return f"{kilobytes / 1024:.1f} MB" if kilobytes >= 1024 else f"{max(kilobytes, 0.1):.1f} KB"


@dataclass(frozen=True, kw_only=True)
class ReceivedMail:
    """What a mail client shows. `html` and `text` are None when the message has no such part."""

    sender: str
    sender_address: str
    to: str
    cc: str
    reply_to: str
    subject: str
    date: str
    message_id: str
    html: str | None
    text: str | None
    attachments: tuple[Attachment, ...]
    headers: tuple[tuple[str, str], ...]

    @property
    def sender_name(self) -> str:
        """The display name, or the address when there is none."""
        return self.sender or self.sender_address

    def html_with_pictures(self) -> str:
        """The HTML part with `cid:` references turned into the pictures themselves."""
        pictures = {part.content_id: part for part in self.attachments if part.content_id}

        def inline(found: re.Match[str]) -> str:
            part = pictures.get(found[1])
            if part is None:
                return found[0]
            return f"data:{part.content_type};base64,{base64.b64encode(part.content).decode()}"

        return _CID.sub(inline, self.html or "")


def open_mail(raw: bytes) -> ReceivedMail:
    """Read `raw` with the standard library's parser, a reader independent of whatever wrote it."""
    message = BytesParser(policy=default).parsebytes(raw)
    sender, sender_address = next(iter(people(raw, "From")), ("", ""))
    return ReceivedMail(
        sender=sender,
        sender_address=sender_address,
        to=_people(raw, "To"),
        cc=_people(raw, "Cc"),
        reply_to=_people(raw, "Reply-To"),
        subject=_first(raw, "Subject"),
        date=_first(raw, "Date"),
        message_id=_first(raw, "Message-ID"),
        html=_body(message, "html"),
        text=_body(message, "plain"),
        attachments=tuple(_attachments(message)),
        headers=_headers(raw),
    )


def _first(raw: bytes, name: str) -> str:
    return next(iter(header_values(raw, name)), "")


def _people(raw: bytes, name: str) -> str:
    return ", ".join(f"{shown} <{address}>" if shown else address for shown, address in people(raw, name))


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return None if part is None else str(part.get_content())


def _attachments(message: EmailMessage) -> list[Attachment]:
    bodies = [message.get_body(("html",)), message.get_body(("plain",))]
    found: list[Attachment] = []
    for part in message.walk():
        if part.is_multipart() or part in bodies:
            continue
        found.append(
            Attachment(
                filename=part.get_filename() or "unnamed",
                content_type=part.get_content_type(),
                content=part.get_payload(decode=True) or b"",  # type: ignore[arg-type]  # bytes when decoding
                content_id=str(part.get("Content-ID", "")).strip("<> "),
            )
        )
    return found


def _headers(raw: bytes) -> tuple[tuple[str, str], ...]:
    shown = (field.decode("utf-8", "replace").partition(":") for field in split(raw)[0])
    return tuple((name, value.strip()) for name, _, value in shown)
