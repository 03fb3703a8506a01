"""What the user wrote, before it is sent."""

from dataclasses import dataclass
from datetime import datetime

from replysequence.domain.message import Address


@dataclass(frozen=True, slots=True)
class AttachmentInfo:
    """A file on a draft, without its content. ``size`` is in bytes; ``content_id`` is set for an inline image."""

    id: str
    filename: str
    content_type: str
    size: int
    content_id: str | None


@dataclass(frozen=True, slots=True)
class DraftContent:
    """The parts of a draft that its owner writes. It may be incomplete: preflight says what is missing."""

    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str = ""
    html: str | None = None
    text: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    thread_id: str | None = None
    """The provider's own thread id; it has a meaning in one mailbox only."""
    connection_id: str | None = None
    """The mailbox to send from; none means the default at the time of sending."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft with its place in the store. ``version`` grows by one with each change; a send is of one version."""

    id: str
    user_id: str
    version: int
    content: DraftContent
    attachments: tuple[AttachmentInfo, ...]
    created_at: datetime
    updated_at: datetime
