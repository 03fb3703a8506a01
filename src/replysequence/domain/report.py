"""A report: one send logged in one CRM, once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from replysequence.domain.address import Address


class ReportState(StrEnum):
    """Where a report stands."""

    DUE = "due"
    """To be logged, now or at a later time."""
    CLAIMED = "claimed"
    """Being prepared by a worker; nothing was written at the CRM yet."""
    LOGGING = "logging"
    """Its entry is being made: who dies here leaves something to look for."""
    LOGGED = "logged"
    SKIPPED = "skipped"
    """There is nobody in the CRM to log it on, or its owner does not want it there."""
    FAILED = "failed"
    """The CRM refused it for good; its owner can have it tried again."""


class Correction(StrEnum):
    """What became known about a message after it was logged."""

    BOUNCED = "bounced"
    NOT_SENT = "not_sent"


class LogParts(StrEnum):
    """How much of a message its owner lets a CRM have."""

    BODY = "body"
    SUBJECT = "subject"
    """No bodies, neither HTML nor text."""


@dataclass(frozen=True, slots=True)
class CrmOptions:
    """What the owner of a CRM connection chose. ``senders`` are addresses that are logged; empty means all."""

    create_contacts: bool = False
    parts: LogParts = LogParts.BODY
    senders: tuple[str, ...] = ()

    def wants(self, sender: str) -> bool:
        """Whether what leaves from this address is logged."""
        return not self.senders or sender.casefold() in {each.casefold() for each in self.senders}

    def as_json(self) -> dict[str, object]:
        """As it is kept."""
        return {
            "create_contacts": self.create_contacts,
            "parts": self.parts.value,
            "senders": list(self.senders),
        }

    @classmethod
    def of(cls, kept: Mapping[str, object]) -> "CrmOptions":
        """From what is kept; what is not there is as if nothing was chosen."""
        senders = kept.get("senders")
        return cls(
            create_contacts=kept.get("create_contacts") is True,
            parts=LogParts(str(kept.get("parts") or LogParts.BODY)),
            senders=tuple(str(each) for each in senders) if isinstance(senders, list) else (),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """How one send stands in one CRM. ``reason`` is a stable word, ``explanation`` a sentence for people."""

    send_id: str
    connection_id: str
    user_id: str
    provider: str
    subject: str
    state: ReportState
    correction: Correction | None
    reason: str | None
    explanation: str | None
    attempts: int
    next_at: datetime | None
    entry_id: str | None
    entry_url: str | None
    person: str | None
    logged_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class LoggedEmail:
    """A message as a CRM is told of it. ``message_id`` is our own Message-ID, without brackets: it is the marker by
    which an entry is found again. ``url`` leads to the send here. Bodies are none where their owner keeps them back.
    """

    send_id: str
    message_id: str
    sent_at: datetime
    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    subject: str
    html: str | None = field(repr=False)
    text: str | None = field(repr=False)
    in_reply_to: str | None
    thread_id: str | None
    url: str

    @property
    def recipients(self) -> tuple[Address, ...]:
        """Everybody it went to, in order, each address once."""
        seen: dict[str, Address] = {}
        for address in (*self.to, *self.cc, *self.bcc):
            seen.setdefault(address.email.casefold(), address)
        return tuple(seen.values())
