"""What Resend reads out of `POST /emails`, and what it refuses.

Plain data in, plain data out; the routes are in `resend`.
Source: Resend's API reference "Send email" and "Errors", checked 2026-11-22.
"""

import base64
import mimetypes
import re
from collections.abc import Collection
from dataclasses import dataclass
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import getaddresses, parseaddr
from html.parser import HTMLParser
from typing import Any

from replysequence.sandbox import headers

MAX_TO = 50
MAX_ATTACHMENTS_BYTES = 40 * 1024 * 1024
"""All attachments of one email together, measured after Base64."""

_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_NOT_IN_THE_SANDBOX = {
    "template": "template",
    "topic_id": "topic",
}


class ResendRefusal(Exception):
    """An answer other than success: HTTP status, and the `name` and `message` of Resend's envelope."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.name = name
        self.message = message


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """One file, decoded."""

    filename: str
    content: bytes
    content_type: str
    content_id: str | None


@dataclass(frozen=True, kw_only=True)
class ResendMail:
    """One acceptable email. Mailboxes stay as written (`Name <a@b>`); `text` is derived where absent."""

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    reply_to: tuple[str, ...]
    subject: str
    html: str | None
    text: str | None
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]
    tags: tuple[tuple[str, str], ...]

    @property
    def recipients(self) -> tuple[str, ...]:
        """The bare addresses of everybody who gets a copy."""
        return tuple(bare(mailbox) for mailbox in (*self.to, *self.cc, *self.bcc))

    @property
    def domain(self) -> str:
        """The domain that the email claims to come from, in lower case."""
        return bare(self.sender).rpartition("@")[2].lower()


def read_email(body: object, *, in_batch: bool = False) -> ResendMail:
    """Read one email object. Raises ResendRefusal (400, 404 or 422) for what Resend would not accept."""
    if not isinstance(body, dict):
        raise ResendRefusal(400, "validation_error", "The request body must be a JSON object.")
    for name, thing in _NOT_IN_THE_SANDBOX.items():
        if body.get(name):
            raise ResendRefusal(404, "not_found", f"The {thing} was not found: this team has none.")
    if body.get("scheduled_at"):
        raise ResendRefusal(422, "invalid_parameter", "This team cannot use `scheduled_at`.")
    if in_batch and body.get("attachments"):
        raise ResendRefusal(422, "invalid_parameter", "`attachments` cannot be used in a batch.")
    for name in ("from", "to", "subject"):
        if body.get(name) in (None, "", []):
            raise ResendRefusal(422, "missing_required_field", f"Missing `{name}` field.")
    html, text = _text(body, "html"), _text(body, "text")
    if html is None and text is None:
        raise ResendRefusal(422, "missing_required_field", "Missing `html` or `text` field.")
    return ResendMail(
        sender=_mailboxes(body, "from", at_most=1)[0],
        to=_mailboxes(body, "to", at_most=MAX_TO),
        cc=_mailboxes(body, "cc"),
        bcc=_mailboxes(body, "bcc"),
        reply_to=_mailboxes(body, "reply_to"),
        subject=_CONTROLS.sub(" ", _text(body, "subject") or ""),
        html=html,
        text=to_text(html or "") if text is None else text or None,
        headers=_headers(body),
        attachments=_attachments(body),
        tags=_tags(body),
    )


def compose(mail: ResendMail) -> bytes:
    """The RFC 5322 message that the recipients get: no Bcc, and no Message-ID or Date yet."""
    message = EmailMessage(policy=SMTP)
    for name, mailboxes in (
        ("From", (mail.sender,)),
        ("To", mail.to),
        ("Cc", mail.cc),
        ("Reply-To", mail.reply_to),
    ):
        if mailboxes:
            message[name] = [_address(mailbox) for mailbox in mailboxes]
    message["Subject"] = mail.subject
    if mail.text is not None:
        message.set_content(mail.text, cte="base64")
    if mail.html is not None:
        add_html = message.set_content if mail.text is None else message.add_alternative
        add_html(mail.html, subtype="html", cte="base64")
    for attachment in mail.attachments:
        maintype, _, subtype = attachment.content_type.partition("/")
        message.add_attachment(
            attachment.content,
            maintype=maintype,
            subtype=subtype,
            filename=attachment.filename,
            disposition="inline" if attachment.content_id else "attachment",
            cid=f"<{attachment.content_id}>" if attachment.content_id else None,
        )
    return headers.rewrite(message.as_bytes(), drop=(), first=_custom_headers(mail, message.keys()))


def bare(mailbox: str) -> str:
    """The address inside `Name <a@b>`."""
    return parseaddr(mailbox)[1]


def to_text(html: str) -> str:
    """A plain reading of `html`: its words, with a line for each block."""
    reader = _Words()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).splitlines())
    return "\n".join(line for line in lines if line)


class _Words(HTMLParser):
    _BLOCKS = frozenset(
        {"p", "div", "br", "li", "tr", "table", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "blockquote"}
    )
    _SILENT = frozenset({"style", "script", "head", "title"})

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._silence = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the base class names it
        self._silence += tag in self._SILENT
        if tag in self._BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._silence -= tag in self._SILENT
        if tag in self._BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silence:
            self.pieces.append(data)


def _custom_headers(mail: ResendMail, taken: Collection[str]) -> dict[str, str]:
    """The caller's own headers, but for those that Resend writes itself; Message-ID is one of them."""
    ours = {"message-id", "date", "bcc", *(name.lower() for name in taken)}
    return {
        name: value if value.isascii() else Header(value, "utf-8").encode()
        for name, value in mail.headers
        if name.lower() not in ours
    }


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise ResendRefusal(400, "validation_error", f"The `{name}` field must be a `string`.")
    return value


def _list(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name) or []
    if not isinstance(value, list):
        raise ResendRefusal(400, "validation_error", f"The `{name}` field must be an `array`.")
    return value


def _mailboxes(body: dict[str, Any], name: str, *, at_most: int | None = None) -> tuple[str, ...]:
    value = body.get(name)
    entries = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or (name == "from" and not isinstance(value, str)):
        raise ResendRefusal(400, "validation_error", f"The `{name}` field must be a `string`.")
    if at_most is not None and len(entries) > at_most:
        raise ResendRefusal(
            400, "validation_error", f"The `{name}` field must have at most {at_most} entries."
        )
    for entry in entries:
        if not isinstance(entry, str) or not _is_mailbox(entry):
            raise ResendRefusal(
                400,
                "validation_error",
                f"Invalid `{name}` field. The email address needs to follow the `email@example.com` or "
                "`Name <email@example.com>` format.",
            )
    return tuple(entries)


def _is_mailbox(entry: str) -> bool:
    found = getaddresses([entry])
    return len(found) == 1 and not _CONTROLS.search(entry) and headers.is_address(found[0][1])


def _address(mailbox: str) -> Address:
    name, address = parseaddr(mailbox)
    return Address(name, addr_spec=address)


def _headers(body: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    custom = body.get("headers") or {}
    if not isinstance(custom, dict):
        raise ResendRefusal(400, "validation_error", "The `headers` field must be an `object`.")
    for name, value in custom.items():
        if not _HEADER_NAME.fullmatch(name) or not isinstance(value, str) or _CONTROLS.search(value):
            raise ResendRefusal(400, "validation_error", f"The header `{name}` is not valid.")
    return tuple(custom.items())


def _tag(entry: object) -> tuple[str, str]:
    pair = (entry.get("name"), entry.get("value")) if isinstance(entry, dict) else (None, None)
    if not all(isinstance(part, str) and _TAG.fullmatch(part) for part in pair):
        raise ResendRefusal(
            400,
            "validation_error",
            "Tags should only contain ASCII letters, numbers, underscores, or dashes, at most 256 of them.",
        )
    return str(pair[0]), str(pair[1])


def _tags(body: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(_tag(entry) for entry in _list(body, "tags"))


def _attachments(body: dict[str, Any]) -> tuple[Attachment, ...]:
    attachments = tuple(_attachment(entry) for entry in _list(body, "attachments"))
    encoded = sum(4 * -(-len(attachment.content) // 3) for attachment in attachments)
    if encoded > MAX_ATTACHMENTS_BYTES:
        raise ResendRefusal(422, "invalid_attachment", "The attachments are larger than 40 MB after Base64.")
    return attachments


def _attachment(entry: object) -> Attachment:
    if not isinstance(entry, dict) or not (entry.get("content") or entry.get("path")):
        raise ResendRefusal(422, "invalid_attachment", "Attachment must have either a `content` or `path`.")
    if not entry.get("content"):
        raise ResendRefusal(422, "invalid_attachment", "The attachment's `path` could not be downloaded.")
    filename = str(entry.get("filename") or "")
    if not filename or _CONTROLS.search(filename):
        raise ResendRefusal(422, "invalid_attachment", "Attachment must have a valid `filename`.")
    guessed = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    content_type = str(entry.get("content_type") or guessed)
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+", content_type):
        raise ResendRefusal(422, "invalid_attachment", "Attachment must have a valid `content_type`.")
    return Attachment(
        filename=filename,
        content=_decode(entry["content"]),
        content_type=content_type,
        content_id=_CONTROLS.sub("", str(entry["content_id"])) if entry.get("content_id") else None,
    )


def _decode(content: object) -> bytes:
    """Base64, or the list of byte values that Resend's own SDKs send for a buffer."""
    try:
        if isinstance(content, str):
            return base64.b64decode(content, validate=True)
        if isinstance(content, list):
            return bytes(content)
    except (TypeError, ValueError):
        pass
    raise ResendRefusal(422, "invalid_attachment", "The attachment's `content` is not valid Base64.")
