"""What programs get from us: every field named here, so that nothing else can slip into an answer."""

from collections.abc import Callable
from datetime import datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, Field, JsonValue, TypeAdapter

from replysequence.domain.address import Address
from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.draft import AttachmentInfo, Draft
from replysequence.domain.event import Event, Kind
from replysequence.domain.message import Problem
from replysequence.domain.report import Correction, CrmOptions, LogParts, Report, ReportState
from replysequence.domain.send import Attempt, Outcome, Send, State
from replysequence.services.cards import ProviderCard
from replysequence.services.disconnecting import Disconnected
from replysequence.services.drafting import DraftLine, Preflight
from replysequence.services.page import Page

T = TypeVar("T")
Source = TypeVar("Source")

_JSON_OBJECT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class Listing(BaseModel, Generic[T]):
    """One page of a longer list; ``next`` is the ``before`` of the following page, null on the last."""

    items: list[T]
    next: str | None


def listing(page: Page[Source], shown: Callable[[Source], T]) -> Listing[T]:
    """A page of things, each as ``shown``."""
    return Listing(items=[shown(item) for item in page.items], next=page.next)


class AddressAnswer(BaseModel):
    name: str
    email: str

    @classmethod
    def of(cls, address: Address) -> "AddressAnswer":
        return cls(name=address.name, email=address.email)

    @classmethod
    def all(cls, addresses: tuple[Address, ...]) -> "list[AddressAnswer]":
        return [cls.of(address) for address in addresses]


class AttachmentAnswer(BaseModel):
    """A file on a draft; ``size`` is in bytes."""

    id: str
    filename: str
    content_type: str
    size: int
    content_id: str | None

    @classmethod
    def of(cls, info: AttachmentInfo) -> "AttachmentAnswer":
        return cls(
            id=info.id,
            filename=info.filename,
            content_type=info.content_type,
            size=info.size,
            content_id=info.content_id,
        )


class DraftAnswer(BaseModel):
    """A draft, whole."""

    id: str
    version: int
    to: list[AddressAnswer]
    cc: list[AddressAnswer]
    bcc: list[AddressAnswer]
    reply_to: list[AddressAnswer]
    subject: str
    html: str | None
    text: str | None
    attachments: list[AttachmentAnswer]
    in_reply_to: str | None
    references: list[str]
    thread_id: str | None
    connection_id: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, draft: Draft) -> "DraftAnswer":
        content = draft.content
        return cls(
            id=draft.id,
            version=draft.version,
            to=AddressAnswer.all(content.to),
            cc=AddressAnswer.all(content.cc),
            bcc=AddressAnswer.all(content.bcc),
            reply_to=AddressAnswer.all(content.reply_to),
            subject=content.subject,
            html=content.html,
            text=content.text,
            attachments=[AttachmentAnswer.of(info) for info in draft.attachments],
            in_reply_to=content.in_reply_to,
            references=list(content.references),
            thread_id=content.thread_id,
            connection_id=content.connection_id,
            created_at=draft.created_at,
            updated_at=draft.updated_at,
        )


class DraftLineAnswer(BaseModel):
    """A draft in a list. ``state`` is that of its latest send, null when it was never sent."""

    id: str
    subject: str
    to: list[AddressAnswer]
    version: int
    state: State | None
    send_id: str | None
    updated_at: datetime

    @classmethod
    def of(cls, line: DraftLine) -> "DraftLineAnswer":
        return cls(
            id=line.id,
            subject=line.subject,
            to=AddressAnswer.all(line.to),
            version=line.version,
            state=line.state,
            send_id=line.send_id,
            updated_at=line.updated_at,
        )


class ProblemAnswer(BaseModel):
    """Something to know before sending; a blocker keeps the draft from leaving."""

    field: str
    message: str
    severity: Literal["blocker", "warning"]

    @classmethod
    def of(cls, problem: Problem) -> "ProblemAnswer":
        return cls(field=problem.field, message=problem.message, severity=problem.severity)


class PreflightAnswer(BaseModel):
    """How a draft would leave now, and what is in its way. ``size`` is in bytes before encoding."""

    can_send: bool
    via: str | None
    via_title: str | None
    connection_id: str | None
    sender: AddressAnswer | None = Field(serialization_alias="from")
    reply_to: list[AddressAnswer]
    problems: list[ProblemAnswer]
    size: int

    @classmethod
    def of(cls, found: Preflight) -> "PreflightAnswer":
        return cls(
            can_send=found.can_send,
            via=found.via,
            via_title=found.via_title,
            connection_id=found.connection_id,
            sender=AddressAnswer.of(found.sender) if found.sender else None,
            reply_to=AddressAnswer.all(found.reply_to),
            problems=[ProblemAnswer.of(problem) for problem in found.problems],
            size=found.size,
        )


class EventAnswer(BaseModel):
    """Something that happened; ``data`` holds ids and words."""

    id: int
    kind: Kind
    at: datetime
    send_id: str | None
    draft_id: str | None
    connection_id: str | None
    data: dict[str, JsonValue]

    @classmethod
    def of(cls, event: Event) -> "EventAnswer":
        return cls(
            id=event.id,
            kind=event.kind,
            at=event.at,
            send_id=event.send_id,
            draft_id=event.draft_id,
            connection_id=event.connection_id,
            data=_JSON_OBJECT.validate_python(dict(event.data)),
        )


class AttemptAnswer(BaseModel):
    """One try at the provider; ``status`` is the provider's HTTP status."""

    number: int
    phase: str
    outcome: Outcome | None
    reason: str | None
    status: int | None
    provider_request_id: str | None
    started_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, attempt: Attempt) -> "AttemptAnswer":
        return cls(
            number=attempt.number,
            phase=attempt.phase,
            outcome=attempt.outcome,
            reason=attempt.reason,
            status=attempt.status,
            provider_request_id=attempt.provider_request_id,
            started_at=attempt.started_at,
            finished_at=attempt.finished_at,
        )


class ReportAnswer(BaseModel):
    """How a send stands in a CRM. ``person`` is whom it was logged on, ``entry_url`` opens it there. ``next_at`` is
    when it is tried, null when that is not planned. ``correction`` is what became known of it later.
    """

    send_id: str
    connection_id: str
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

    @classmethod
    def of(cls, report: Report) -> "ReportAnswer":
        return cls(
            send_id=report.send_id,
            connection_id=report.connection_id,
            provider=report.provider,
            subject=report.subject,
            state=report.state,
            correction=report.correction,
            reason=report.reason,
            explanation=report.explanation,
            attempts=report.attempts,
            next_at=report.next_at,
            entry_id=report.entry_id,
            entry_url=report.entry_url,
            person=report.person,
            logged_at=report.logged_at,
            created_at=report.created_at,
            updated_at=report.updated_at,
        )


class SendAnswer(BaseModel):
    """``reason`` is a stable word, ``explanation`` a sentence; lists leave attempts, events and reports empty.
    ``leaves_at`` is about when it will leave, where it waits for others of its mailbox.
    """

    id: str
    draft_id: str
    draft_version: int
    state: State
    reason: str | None
    explanation: str | None
    via: str
    sender: AddressAnswer = Field(serialization_alias="from")
    reply_to: AddressAnswer | None
    connection_id: str | None
    subject: str
    recipients: list[AddressAnswer]
    provider_message_id: str | None
    thread_id: str | None
    message_id: str
    previous_send_id: str | None
    send_at: datetime | None
    next_at: datetime | None
    leaves_at: datetime | None
    created_at: datetime
    updated_at: datetime
    attempts: list[AttemptAnswer]
    events: list[EventAnswer]
    reports: list[ReportAnswer]

    @classmethod
    def of(cls, send: Send) -> "SendAnswer":
        return cls(
            id=send.id,
            draft_id=send.draft_id,
            draft_version=send.draft_version,
            state=send.state,
            reason=send.reason,
            explanation=send.explanation,
            via=send.route.via,
            sender=AddressAnswer.of(send.route.sender),
            reply_to=AddressAnswer.of(send.route.reply_to) if send.route.reply_to else None,
            connection_id=send.route.connection_id,
            subject=send.subject,
            recipients=AddressAnswer.all(send.recipients),
            provider_message_id=send.provider_message_id,
            thread_id=send.thread_id,
            message_id=send.message_id,
            previous_send_id=send.previous_send_id,
            send_at=send.send_at,
            next_at=send.next_at,
            leaves_at=send.leaves_at,
            created_at=send.created_at,
            updated_at=send.updated_at,
            attempts=[AttemptAnswer.of(attempt) for attempt in send.attempts],
            events=[EventAnswer.of(event) for event in send.events],
            reports=[ReportAnswer.of(report) for report in send.reports],
        )


class CrmOptionsAnswer(BaseModel):
    """What a CRM is told. No ``senders`` means all of its owner's addresses."""

    create_contacts: bool
    parts: LogParts
    senders: list[str]

    @classmethod
    def of(cls, options: CrmOptions) -> "CrmOptionsAnswer":
        return cls(
            create_contacts=options.create_contacts, parts=options.parts, senders=list(options.senders)
        )


class ConnectionAnswer(BaseModel):
    """A connected account. ``problem`` says what is wrong and what to do; its tokens are nobody's business.

    ``look_up``: its owner lets us look in its Sent folder when it is unclear whether a message left. ``options`` are
    those of a CRM, null elsewhere.
    """

    id: str
    provider: str
    email: str
    display_name: str
    status: ConnectionStatus
    is_default: bool
    connected_at: datetime
    scopes: list[str]
    problem: str | None
    look_up: bool
    options: CrmOptionsAnswer | None

    @classmethod
    def of(cls, connection: Connection) -> "ConnectionAnswer":
        return cls(
            id=connection.id,
            provider=connection.provider,
            email=connection.email,
            display_name=connection.display_name,
            status=connection.status,
            is_default=connection.is_default,
            connected_at=connection.connected_at,
            scopes=sorted(connection.scopes),
            problem=connection.problem,
            look_up=connection.look_up,
            options=CrmOptionsAnswer.of(CrmOptions.of(connection.options))
            if connection.category == "crm"
            else None,
        )


class ProviderAnswer(BaseModel):
    """A provider; ``missing`` names the environment variables that its operator still has to set.

    ``redirect_uri`` is what to register there, null where nobody connects an account. ``problem`` says that the
    provider itself fails at the moment, ``down_since`` since when; both are null while it works.
    """

    provider: str
    title: str
    configured: bool
    missing: list[str]
    can_connect: bool
    redirect_uri: str | None
    problem: str | None
    down_since: datetime | None
    connections: list[ConnectionAnswer]

    @classmethod
    def of(cls, card: ProviderCard) -> "ProviderAnswer":
        return cls(
            provider=card.name,
            title=card.title,
            configured=card.configured,
            missing=list(card.missing),
            can_connect=card.can_connect,
            redirect_uri=card.redirect_uri,
            problem=card.problem,
            down_since=card.down_since,
            connections=[ConnectionAnswer.of(connection) for connection in card.connections],
        )


class CategoryAnswer(BaseModel):
    """A section of the settings page."""

    category: Literal["meetings", "calendar", "email", "crm"]
    providers: list[ProviderAnswer]


class IntegrationsAnswer(BaseModel):
    """Every category, in display order."""

    categories: list[CategoryAnswer]


class DisconnectedAnswer(BaseModel):
    """``revoked``: the provider took our consent back. Else the person removes it at ``removal_url``.

    ``waiting`` is how many sends now wait: cancel them, then send their drafts from another account. ``cancelled`` is
    how many were taken back. ``unknown`` is how many have an outcome that nobody knows: settle them by hand.
    """

    connection_id: str
    email: str
    revoked: bool
    removal_url: str | None
    waiting: int
    cancelled: int
    unknown: int

    @classmethod
    def of(cls, done: Disconnected) -> "DisconnectedAnswer":
        return cls(
            connection_id=done.connection_id,
            email=done.email,
            revoked=done.revoked,
            removal_url=done.removal_url,
            waiting=done.waiting,
            cancelled=done.cancelled,
            unknown=done.unknown,
        )


class DisconnectAnswer(BaseModel):
    disconnected: list[DisconnectedAnswer]


class NoticesAnswer(BaseModel):
    """How many notices of a webhook call were new."""

    accepted: int


class HealthAnswer(BaseModel):
    """``problems`` are sentences for the operator."""

    status: Literal["ok", "not_ready"]
    problems: list[str] = []
