"""Resend: the relay that sends for who has connected nothing.

Sources, checked 2026-11-22: Resend's send-email, errors, rate-limit, idempotency-keys and webhook pages, and
its OpenAPI file. A repeated `Idempotency-Key` brings the first answer again and no second mail, for 24 hours.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import ClassVar

import pybase64

from replysequence.domain.address import parse_address
from replysequence.domain.errors import (
    InvalidInput,
    Misconfigured,
    NotAllowed,
    OutcomeUnknown,
    ProviderError,
    TryLater,
)
from replysequence.domain.event import Kind
from replysequence.domain.message import Address, Attachment, Message, Problem
from replysequence.domain.pacing import Pace, Rate
from replysequence.domain.secret import Secret
from replysequence.providers import svix
from replysequence.providers.answers import (
    hand_over,
    json_object,
    mapping,
    parse_object,
    provider_id,
    retry_delay,
    word,
)
from replysequence.providers.base import (
    Category,
    Limits,
    Prepared,
    Receipt,
    Relay,
    RelayNotice,
    Variable,
    VariableKind,
)
from replysequence.providers.carrying import problems_of
from replysequence.providers.http import Answer
from replysequence.providers.meanings import Meaning, of_status

MAX_REQUEST = 40_000_000
"""Bytes of one email's attachments after base64; taken as the limit of the whole request."""
SEND_ID_TAG = "send_id"
MOST_A_SECOND = 10_000
"""A told rate above this is not believed."""

_OPERATOR = "Nothing is lost: what waits is sent once the operator has mended it."

_RATE = Meaning(
    TryLater,
    "rate_limited",
    "Resend takes no more messages in this second. It is tried again by itself.",
    delay=1,
    pauses_mailbox=True,
)
_DAILY_QUOTA = Meaning(
    TryLater,
    "daily_quota",
    "This server's daily quota at Resend is used up. What waits is sent after midnight UTC.",
    pauses_mailbox=True,
)
_MONTHLY_QUOTA = Meaning(
    Misconfigured,
    "monthly_quota",
    f"This server's monthly quota at Resend is used up. The operator must raise the plan. {_OPERATOR}",
)
_KEY_REFUSED = Meaning(
    Misconfigured, "key_refused", f"Resend does not take this server's API key, RESEND_API_KEY. {_OPERATOR}"
)
_SENDER_REFUSED = Meaning(
    Misconfigured,
    "sender_refused",
    f"Resend does not let this server send from RESEND_FROM. Its domain must be verified there. {_OPERATOR}",
)
_STILL_RUNNING = Meaning(
    OutcomeUnknown,
    "still_running",
    "Resend is still busy with the first copy of this message and has not said how it ends.",
)
_KEY_REUSED = Meaning(
    OutcomeUnknown,
    "idempotency_conflict",
    "Resend knows another message under the key of this one. Please report this as a bug.",
)

_MEANINGS: Mapping[tuple[int, str], Meaning] = {
    (403, "validation_error"): _SENDER_REFUSED,
    (403, "invalid_from"): _SENDER_REFUSED,
    (409, "concurrent_idempotent_requests"): _STILL_RUNNING,
    (409, "invalid_idempotent_request"): _KEY_REUSED,
    (409, "resource_locked"): _RATE,
    (429, "daily_quota_exceeded"): _DAILY_QUOTA,
    (429, "monthly_quota_exceeded"): _MONTHLY_QUOTA,
}
"""Status and `name`: the same name comes with several statuses. The set is open, so the status alone also decides."""

_KINDS: Mapping[str, Kind] = {
    "email.delivered": Kind.SEND_DELIVERED,
    "email.delivery_delayed": Kind.SEND_DELAYED,
    "email.bounced": Kind.SEND_BOUNCED,
    "email.failed": Kind.SEND_BOUNCED,
    "email.suppressed": Kind.SEND_BOUNCED,
    "email.complained": Kind.SEND_COMPLAINED,
}


class Resend(Relay):
    """A Resend account with a verified domain."""

    name: ClassVar = "resend"
    title: ClassVar = "Resend"
    category: ClassVar = Category.EMAIL
    variables: ClassVar = (
        Variable("RESEND_API_KEY", "An API key that may send.", kind=VariableKind.SECRET, needed=True),
        Variable(
            "RESEND_FROM",
            "The sender for who has connected nothing; its domain must be verified at Resend.",
            kind=VariableKind.ADDRESS,
            needed=True,
        ),
        Variable(
            "RESEND_WEBHOOK_SECRET", "The signing secret of the webhook, whsec_….", kind=VariableKind.SECRET
        ),
        Variable("RESEND_API_URL", "The Resend API.", "https://api.resend.com", VariableKind.URL),
    )
    limits: ClassVar = Limits(message_bytes=MAX_REQUEST, recipients=50)
    # 10 requests a second for the whole team unless the answers say otherwise (rate limit page, checked 2026-11-22).
    pace: ClassVar = Pace(concurrency=50, rate=Rate(10, timedelta(seconds=1)))
    repeatable_for: ClassVar = timedelta(
        hours=20
    )  # keys live 24 hours; the margin is for clocks and slow requests

    @property
    def reachable_url(self) -> str:
        return self._values["RESEND_API_URL"]

    @cached_property
    def sender(self) -> Address:
        self._require_configured()
        try:
            return parse_address(self._values["RESEND_FROM"], field="RESEND_FROM")
        except InvalidInput as fault:
            reason = fault.message
        raise Misconfigured(reason, code="not_configured")

    def check(self, message: Message) -> list[Problem]:
        return problems_of(
            message,
            provider=self.title,
            max_recipients=self.limits.recipients,
            max_bytes=self.limits.message_bytes,
            size=lambda: len(_body(message)),
        )

    def prepare(self, message: Message) -> Prepared:
        body = _body(message)
        if len(body) > MAX_REQUEST:
            raise of_status(413, self.title).as_error(status=413)
        return Prepared(
            f"{self._values['RESEND_API_URL']}/emails", {"Content-Type": "application/json"}, body
        )

    async def send(self, prepared: Prepared, *, key: str) -> Receipt:
        self._require_configured()
        headers = {"Authorization": f"Bearer {self._values['RESEND_API_KEY']}", "Idempotency-Key": key}
        answer = await hand_over(self._http, prepared, provider=self.title, headers=headers)
        body = json_object(answer)
        if answer.status == 200:  # accepted, whatever became of the body
            return Receipt(200, provider_id(body.get("id")), per_minute=_told_rate(answer))
        raise _meaning(answer, word(body.get("name")))

    def read_notices(
        self, *, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Sequence[RelayNotice]:
        secret = self._values["RESEND_WEBHOOK_SECRET"]
        if not secret:
            raise NotAllowed("This server takes no webhooks from Resend.", code="webhook_refused")
        delivery_id = svix.verify(body, headers=headers, secret=Secret(secret), now=now)
        notice = parse_object(body)
        kind, data = _KINDS.get(str(notice.get("type"))), mapping(notice.get("data"))
        email_id = provider_id(data.get("email_id"))
        if kind is None or email_id is None:
            return ()
        return (
            RelayNotice(
                delivery_id=delivery_id,
                provider_message_id=email_id,
                kind=kind,
                at=_moment(notice.get("created_at")) or now,
                detail=_detail(data),
                send_id=provider_id(mapping(data.get("tags")).get(SEND_ID_TAG)),
            ),
        )


def _body(message: Message) -> bytes:
    """The request, the same bytes for the same message: Resend refuses a repeated key with another body."""
    fields: dict[str, object] = {
        "from": _mailbox(message.sender),
        "to": [_mailbox(each) for each in message.to],
        "cc": [_mailbox(each) for each in message.cc],
        "bcc": [_mailbox(each) for each in message.bcc],
        "reply_to": [_mailbox(each) for each in message.reply_to],
        "subject": message.subject,
        "html": message.html,
        "text": message.text,
        "headers": _headers(message),
        "attachments": [_attachment(file) for file in message.attachments],
        "tags": [{"name": SEND_ID_TAG, "value": message.send_id}] if message.send_id else [],
    }
    # An absent text is derived from the HTML by Resend; an empty one would switch that off.
    present = {name: value for name, value in fields.items() if value or name in ("from", "to", "subject")}
    return json.dumps(present).encode()


def _headers(message: Message) -> dict[str, str]:
    headers = {
        "In-Reply-To": message.in_reply_to,
        "References": " ".join(message.references),
        "X-ReplySequence-Send-Id": message.send_id,
    }
    return {name: value for name, value in headers.items() if value}


def _mailbox(address: Address) -> str:
    """The address as Resend reads it, with a name that cannot be taken for anything else (RFC 5322 §3.4)."""
    if not address.name:
        return address.email
    quoted = address.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address.email}>'


def _attachment(file: Attachment) -> dict[str, str]:
    fields = {
        "filename": file.filename,
        "content": pybase64.b64encode(file.content).decode(),
        "content_type": file.content_type,
    }
    return fields if file.content_id is None else {**fields, "content_id": file.content_id}


def _told_rate(answer: Answer) -> int | None:
    """Calls a minute, from the limit of a second that every answer tells (IETF ratelimit-headers, draft 06)."""
    told = answer.headers.get("ratelimit-limit", "")
    return int(told) * 60 if told.isascii() and told.isdigit() and 0 < int(told) <= MOST_A_SECOND else None


def _meaning(answer: Answer, name: str) -> ProviderError:
    now = datetime.now(UTC)
    meaning = _classify(answer.status, name)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return meaning.as_error(
        status=answer.status,
        details={"name": name} if name else None,
        delay=retry_delay(answer.headers, now=now),
        not_before=midnight if meaning is _DAILY_QUOTA else None,
    )


def _classify(status: int, name: str) -> Meaning:
    known = _MEANINGS.get((status, name))
    if known is not None:
        return known
    if status in (401, 403):
        return _KEY_REFUSED
    return _RATE if status == 429 else of_status(status, Resend.title)


def _detail(data: Mapping[str, object]) -> str | None:
    """Why, in the provider's own word, such as ``Permanent``."""
    words = (
        mapping(data.get("bounce")).get("type"),
        mapping(data.get("suppressed")).get("type"),
        mapping(data.get("failed")).get("reason"),
    )
    return next((found for found in map(word, words) if found), None)


def _moment(value: object) -> datetime | None:
    """A time as Resend writes it: ISO 8601, here with a Z, there with a two-digit offset."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment and moment.tzinfo else None
