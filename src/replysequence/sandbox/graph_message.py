"""What Graph's sendMail reads out of a request body, JSON or MIME, and what it refuses.

Everything here is plain data in, plain data out; the routes are in `microsoft_graph`.
Source of the rules: Microsoft Graph "user: sendMail" and the message resource type, checked 2026-11-22.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from replysequence.sandbox import headers

MAX_CUSTOM_HEADERS = 5

_MESSAGE_PROPERTIES = frozenset(
    {
        "attachments",
        "bccrecipients",
        "body",
        "bodypreview",
        "categories",
        "ccrecipients",
        "changekey",
        "conversationid",
        "conversationindex",
        "createddatetime",
        "extensions",
        "flag",
        "from",
        "hasattachments",
        "id",
        "importance",
        "inferenceclassification",
        "internetmessageheaders",
        "internetmessageid",
        "isdeliveryreceiptrequested",
        "isdraft",
        "isread",
        "isreadreceiptrequested",
        "lastmodifieddatetime",
        "multivalueextendedproperties",
        "parentfolderid",
        "receiveddatetime",
        "replyto",
        "sender",
        "sentdatetime",
        "singlevalueextendedproperties",
        "subject",
        "torecipients",
        "uniquebody",
        "weblink",
    }
)
_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")
_REPLY_PROPERTIES = {"string 0x1042": "In-Reply-To", "string 0x1039": "References"}


class GraphRefusal(Exception):
    """An answer other than 202: the HTTP status, Graph's word for it, and its sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, kw_only=True)
class Person:
    """One `emailAddress`."""

    address: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class GraphMail:
    """One accepted sendMail request.

    `content` is the message as the recipients get it, before the mailbox puts its own From, Date and
    Message-ID on it. `sender` is the `from` that the caller asked for, if any.
    """

    to: tuple[Person, ...]
    cc: tuple[Person, ...]
    bcc: tuple[Person, ...]
    content: bytes
    sender: Person | None = None
    save_to_sent_items: bool = True
    properties: Mapping[str, str] = field(default_factory=dict)
    """Extended properties by their id, kept on the sender's copy only."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """Every address that gets a copy."""
        return tuple(person.address for person in (*self.to, *self.cc, *self.bcc))


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """The message property, read and checked, before it becomes text."""

    to: tuple[Person, ...]
    cc: tuple[Person, ...]
    bcc: tuple[Person, ...]
    reply_to: tuple[Person, ...]
    sender: Person | None
    subject: str
    body: str
    subtype: str
    extra_headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[dict[str, Any], ...] = field(default=())


def read_json(body: object) -> GraphMail:
    """Read `{"message": …, "saveToSentItems": …}`; property names are matched without regard to case.

    Raises GraphRefusal (400) for what Graph would not accept.
    """
    request = _fold(body)
    if not isinstance(request, dict):
        raise _bad_request("Empty Payload. JSON content expected.")
    unknown = set(request) - {"message", "savetosentitems"}
    if unknown:
        raise _bad_request(
            f"The parameter '{min(unknown)}' in the request payload is not a valid parameter for the "
            "operation 'sendMail'."
        )
    message = request.get("message")
    if not isinstance(message, dict):
        raise GraphRefusal(400, "ErrorInvalidParameter", "The value of the parameter 'Message' is empty.")
    parts = _read_message(message)
    return GraphMail(
        to=parts.to,
        cc=parts.cc,
        bcc=parts.bcc,
        content=_compose(parts),
        sender=parts.sender,
        save_to_sent_items=_flag(request.get("savetosentitems")),
        properties=_properties(message),
    )


def read_mime(body: bytes) -> GraphMail:
    """Read the base64 of a whole RFC 5322 message; the recipients come from its headers, `Bcc` included.

    Raises GraphRefusal (400) for bad base64, no recipients, or an address that is none.
    """
    try:
        raw = base64.b64decode(b"".join(body.split()), validate=True)
    except ValueError:
        raw = b""
    if not raw:
        raise GraphRefusal(
            400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."
        )
    to, cc, bcc, sender = (_header_people(raw, name) for name in ("To", "Cc", "Bcc", "From"))
    _check_recipients((*to, *cc, *bcc))
    return GraphMail(to=to, cc=cc, bcc=bcc, content=raw, sender=sender[0] if sender else None)


def _fold(value: object) -> object:
    """The same JSON with every property name in lower case."""
    if isinstance(value, dict):
        return {str(name).lower(): _fold(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_fold(inner) for inner in value]
    return value


def _bad_request(message: str) -> GraphRefusal:
    return GraphRefusal(400, "RequestBodyRead", message)


def _flag(value: object) -> bool:
    """`saveToSentItems`: the API reference's own sample sends the string "false"."""
    if value is None or isinstance(value, bool):
        return value is not False
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise _bad_request(f"Cannot convert the literal '{value}' to the expected type 'Edm.Boolean'.")


def _read_message(message: dict[str, Any]) -> _Parts:
    for name in message:
        if name not in _MESSAGE_PROPERTIES and "@" not in name:
            raise _bad_request(
                f"The property '{name}' does not exist on type 'microsoft.graph.message'. Make sure to only "
                f"use "
                "property names that are defined by the type or mark the type as open type."
            )
    to, cc, bcc, reply_to = (
        tuple(_person(entry) for entry in _entries(message, name))
        for name in ("torecipients", "ccrecipients", "bccrecipients", "replyto")
    )
    _check_recipients((*to, *cc, *bcc))
    _check_addresses(reply_to)
    body = message.get("body") or {}
    if not isinstance(body, dict):
        raise _bad_request("The value of the property 'body' is not an object.")
    subtype = str(body.get("contenttype") or "text").lower()
    if subtype not in {"text", "html"}:
        raise _bad_request(f"Requested value '{body.get('contenttype')}' was not found.")
    return _Parts(
        to=to,
        cc=cc,
        bcc=bcc,
        reply_to=reply_to,
        sender=_person(message["from"]) if message.get("from") else None,
        subject=_one_line(message.get("subject") or ""),
        body=str(body.get("content") or ""),
        subtype="plain" if subtype == "text" else "html",
        extra_headers=_custom_headers(message) + _reply_headers(message),
        attachments=tuple(_attachment(entry) for entry in _entries(message, "attachments")),
    )


def _entries(message: dict[str, Any], name: str) -> list[Any]:
    entries = message.get(name) or []
    if not isinstance(entries, list):
        raise _bad_request(
            "When trying to read a value for a collection-valued property, a StartArray node was expected."
        )
    return entries


def _person(entry: object) -> Person:
    found = entry.get("emailaddress") if isinstance(entry, dict) else None
    if not isinstance(found, dict):
        raise GraphRefusal(400, "ErrorInvalidRecipients", "At least one recipient is not valid.")
    return Person(address=str(found.get("address") or ""), name=_one_line(found.get("name") or ""))


def _check_recipients(people: tuple[Person, ...]) -> None:
    if not people:
        raise GraphRefusal(
            400,
            "ErrorInvalidRecipients",
            "At least one recipient is not valid., A message can't be sent because it contains no recipients.",
        )
    _check_addresses(people)


def _check_addresses(people: tuple[Person, ...]) -> None:
    for person in people:
        if not headers.is_address(person.address):
            raise GraphRefusal(
                400,
                "ErrorInvalidRecipients",
                f"At least one recipient is not valid., Recipient '{person.address}' is not resolved. "
                "All recipients must be resolved before a message can be submitted.",
            )


def _custom_headers(message: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    entries = _entries(message, "internetmessageheaders")
    if len(entries) > MAX_CUSTOM_HEADERS:
        raise GraphRefusal(
            400,
            "InvalidInternetMessageHeaderCollection",
            f"Maximum number of headers in one message should be less than or equal to {MAX_CUSTOM_HEADERS}.",
        )
    if not all(isinstance(entry, dict) for entry in entries):
        raise _bad_request(
            "The value of the property 'internetMessageHeaders' is not a collection of headers."
        )
    named = tuple((str(entry.get("name") or ""), str(entry.get("value") or "")) for entry in entries)
    for name, _ in named:
        if not re.fullmatch(r"[xX]-[!-9;-~]+", name):
            raise GraphRefusal(
                400,
                "InvalidInternetMessageHeader",
                f"The internet message header name '{name}' should start with 'x-' or 'X-'.",
            )
    return tuple((name, _one_line(value)) for name, value in named)


def _reply_headers(message: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """In-Reply-To and References set through MAPI properties, as some apps do."""
    return tuple(
        (_REPLY_PROPERTIES[str(entry.get("id")).lower()], _one_line(entry.get("value") or ""))
        for entry in _entries(message, "singlevalueextendedproperties")
        if isinstance(entry, dict) and str(entry.get("id")).lower() in _REPLY_PROPERTIES
    )


def _properties(message: dict[str, Any]) -> dict[str, str]:
    """Every single-value extended property, by its id. The name in an id keeps its case."""
    return {
        str(entry["id"]): str(entry.get("value") or "")
        for entry in _entries(message, "singlevalueextendedproperties")
        if isinstance(entry, dict) and entry.get("id")
    }


def _attachment(entry: object) -> dict[str, Any]:
    kind = entry.get("@odata.type") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or kind != "#microsoft.graph.fileAttachment":
        raise _bad_request(
            f"A file attachment names '@odata.type' '#microsoft.graph.fileAttachment'; this one names "
            f"'{kind}'."
        )
    try:
        content = base64.b64decode(str(entry.get("contentbytes") or ""), validate=True)
    except ValueError as error:
        raise _bad_request("Cannot convert the literal to the expected type 'Edm.Binary'.") from error
    if not _CONTENT_TYPE.fullmatch(str(entry.get("contenttype") or "application/octet-stream")):
        raise _bad_request(f"The content type '{entry.get('contenttype')}' is not valid.")
    if not entry.get("name"):
        raise GraphRefusal(
            400, "ErrorInvalidRequest", "Required property 'name' of the attachment is missing."
        )
    return {**entry, "content": content}


def _one_line(value: object) -> str:
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", str(value))


def _compose(parts: _Parts) -> bytes:
    mail = EmailMessage(policy=SMTP)
    for name, people in (("To", parts.to), ("Cc", parts.cc), ("Reply-To", parts.reply_to)):
        if people:
            mail[name] = [Address(person.name, addr_spec=person.address) for person in people]
    mail["Subject"] = parts.subject
    mail.set_content(parts.body, subtype=parts.subtype, cte="base64")
    for attachment in parts.attachments:
        _attach(mail, attachment)
    extra = {
        name: value if value.isascii() else Header(value, "utf-8").encode()
        for name, value in parts.extra_headers
    }
    return headers.rewrite(mail.as_bytes(), drop=(), first=extra)


def _attach(mail: EmailMessage, attachment: dict[str, Any]) -> None:
    maintype, _, subtype = str(attachment.get("contenttype") or "application/octet-stream").partition("/")
    content_id = attachment.get("contentid")
    mail.add_attachment(
        attachment["content"],
        maintype=maintype,
        subtype=subtype,
        filename=_one_line(attachment["name"]),
        disposition="inline" if attachment.get("isinline") else "attachment",
        cid=f"<{_one_line(content_id)}>" if content_id else None,
    )


def _header_people(raw: bytes, name: str) -> tuple[Person, ...]:
    return tuple(Person(address=address, name=shown) for shown, address in headers.people(raw, name))
