"""What programs send us: one model a body, unknown fields refused, no text that neither database nor mail can hold."""

import base64
import binascii
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from replysequence.domain.address import Address, address_faults, parse_address
from replysequence.domain.characters import uncarriable
from replysequence.domain.draft import DraftContent
from replysequence.domain.errors import InvalidInput
from replysequence.domain.message import Attachment, media_type, parse_message_id, parse_message_ids
from replysequence.domain.report import LogParts
from replysequence.domain.send import Verdict
from replysequence.services.disconnecting import Waiting

_MOST_PEOPLE = 500
_MOST_FILES = 100
_MOST_FIELDS = 50


def _carriable(text: str) -> str:
    fault = uncarriable(text)
    if fault:
        raise ValueError(f"holds {fault}, which cannot be used")
    return text


Text = Annotated[str, AfterValidator(_carriable)]
Line = Annotated[Text, Field(max_length=1000)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]

Uuid = Annotated[UUID, Path()]
DraftId = Annotated[UUID, Path(description="The draft's id.")]
SendId = Annotated[UUID, Path(description="The send's id.")]
ConnectionId = Annotated[UUID, Path(description="The connection's id.")]
AttachmentId = Annotated[UUID, Path(description="The attachment's id.")]
ProviderName = Annotated[
    str, Path(max_length=32, pattern=r"^[a-z0-9_]+$", description="A provider's name, such as `gmail`.")
]
Cursor = Annotated[
    str | None,
    Query(
        max_length=200,
        pattern=r"^[!-~]+$",
        description="`next` of the page before; leave out for the first.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=200, description="How many items at most.")]


class Input(BaseModel):
    """A body. A field that we do not know is refused: it is a typing error, or an attempt."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, given: object) -> object:
        # Each unknown field is an error of its own: millions of them would keep everybody waiting.
        if isinstance(given, dict) and len(given) > _MOST_FIELDS:
            raise ValueError(f"has more than {_MOST_FIELDS} fields")
        return given


class AddressObject(Input):
    """An address in two parts."""

    email: Line
    name: Line = ""


People = Annotated[
    list[Line | AddressObject],
    Field(
        max_length=_MOST_PEOPLE,
        description='Each one `"a@b.example"`, `"Name <a@b.example>"` or `{"email", "name"}`.',
    ),
]


class AttachmentInput(Input):
    """A file inside a JSON body: ``content`` is base64 (RFC 4648 §4)."""

    filename: Line
    content: str
    content_type: Line | None = None
    content_id: Line | None = None

    def attachment(self, *, field: str) -> Attachment:
        """The file itself. Raises :class:`InvalidInput` when ``content`` is no base64."""
        try:
            content = base64.b64decode(self.content, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidInput(f"{field}.content", "This is not base64 (RFC 4648 §4).") from None
        return Attachment(self.filename, media_type(self.content_type), content, self.content_id)


class DraftFields(Input):
    """The parts of a draft that its owner writes; what is left out keeps its value."""

    to: People = []
    cc: People = []
    bcc: People = []
    reply_to: People = []
    subject: Line = ""
    html: Text | None = None
    text: Text | None = None
    in_reply_to: Line | None = None
    references: Annotated[list[Line], Field(max_length=_MOST_PEOPLE)] = []
    thread_id: Line | None = None
    connection_id: UUID | None = None

    def changes(self) -> dict[str, object]:
        """The fields that were given, as :class:`DraftContent` wants them. Raises :class:`InvalidInput`."""
        given = self.model_fields_set
        changed: dict[str, object] = {
            name: getattr(self, name) for name in ("subject", "html", "text", "thread_id") if name in given
        }
        for name in ("to", "cc", "bcc", "reply_to"):
            if name in given:
                people = getattr(self, name)
                changed[name] = tuple(_address(one, field=f"{name}.{at}") for at, one in enumerate(people))
        if "references" in given:
            changed["references"] = parse_message_ids(self.references)
        if "in_reply_to" in given:
            changed["in_reply_to"] = parse_message_id(self.in_reply_to) if self.in_reply_to else None
        if "connection_id" in given:
            changed["connection_id"] = str(self.connection_id) if self.connection_id else None
        return changed


class DraftInput(DraftFields):
    """A new draft. Files come along in base64, or later by ``POST /api/drafts/{draft_id}/attachments``."""

    attachments: Annotated[list[AttachmentInput], Field(max_length=_MOST_FILES)] = []

    def content(self) -> DraftContent:
        return DraftContent(**self.changes())  # type: ignore[arg-type]  # the names are those of DraftFields

    def files(self) -> list[Attachment]:
        return [file.attachment(field=f"attachments.{at}") for at, file in enumerate(self.attachments)]


class DraftChange(DraftFields):
    """Changes to a draft. With ``version`` they are made only when nobody changed it since."""

    version: Version | None = None


class SendInput(Input):
    """Which draft to send. ``version``: only that one. ``send_at``: not before, with its time zone."""

    draft_id: UUID
    version: Version | None = None
    send_at: AwareDatetime | None = None


class SendChange(Input):
    """When a scheduled send leaves: not before ``send_at``, with its time zone; null means at once."""

    send_at: AwareDatetime | None


class SettleInput(Input):
    """What a person found in the Sent folder. With not_sent, ``send_again`` makes a new, linked send."""

    verdict: Verdict
    send_again: Annotated[bool, Field(strict=True)] = False


class DisconnectInput(Input):
    """Which account; without it every account of that provider. ``sends``: what becomes of those that have not left.

    ``keep``: they wait, and leave from no other account. ``cancel``: they are taken back, all but what is on the wire.
    """

    connection_id: UUID | None = None
    sends: Waiting = Waiting.KEEP


class CrmOptionsInput(Input):
    """What a CRM is told from now on; what is left out stays as it is. An empty ``senders`` means all addresses.

    ``create_contacts``: make a record for who is in To and has none. ``parts``: ``subject`` keeps the text back.
    """

    create_contacts: Annotated[bool, Field(strict=True)] | None = None
    parts: LogParts | None = None
    senders: Annotated[list[Line], Field(max_length=_MOST_PEOPLE)] | None = None


class DefaultInput(Input):
    """The account that new drafts leave from."""

    connection_id: UUID


def _address(typed: str | AddressObject, *, field: str) -> Address:
    if isinstance(typed, str):
        return parse_address(typed, field=field)
    bare = parse_address(typed.email, field=f"{field}.email")
    if bare.name:
        raise InvalidInput(f"{field}.email", "Give the address only; the name has its own field.")
    address = Address(" ".join(typed.name.split(" ")).strip(), bare.email)
    for fault in address_faults(address):
        raise InvalidInput(f"{field}.name", fault)
    return address
