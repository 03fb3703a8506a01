"""Resend's webhooks: events about an email, signed, and posted to the app until it takes them.

Source: Resend's "Event types", "Retries and replays", "Send test emails", checked 2026-11-22.
"""

import asyncio
import http.client
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from replysequence.sandbox.resend_message import ResendMail
from replysequence.sandbox.resend_team import Manner, Signature
from replysequence.sandbox.svix import new_secret, sign
from replysequence.sandbox.world import World

RETRY_SECONDS = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""Waits before each further attempt, after one that was not answered with 2xx."""
_TIMEOUT_SECONDS = 15.0
_LOOK_AGAIN_SECONDS = 0.1

BOUNCE = {
    "type": "Permanent",
    "subType": "General",
    "message": "The recipient's email provider sent a hard bounce message.",
    "diagnosticCode": ["smtp; 550 5.1.1 The email account that you tried to reach does not exist"],
}
SUPPRESSED = {
    "type": "OnAccountSuppressionList",
    "message": "Resend has suppressed sending to this address because it is on the account suppression list.",
    "reason": "previous_bounce",
    "diagnosticCode": [],
}
EXTRAS: dict[str, dict[str, Any]] = {
    "email.bounced": {"bounce": BOUNCE},
    "email.suppressed": {"suppressed": SUPPRESSED},
    "email.failed": {"failed": {"reason": "reached_daily_quota"}},
    "email.clicked": {
        "click": {
            "ipAddress": "192.0.2.1",
            "link": "https://replysequence.example",
            "timestamp": "2026-11-22T10:00:00.000Z",
            "userAgent": "Mozilla/5.0",
        }
    },
}
"""What an event of a type carries beside the email, where nothing else is given."""
EVENTS = frozenset(
    {
        "email.sent",
        "email.delivered",
        "email.delivery_delayed",
        "email.bounced",
        "email.complained",
        "email.opened",
        "email.clicked",
        "email.failed",
        "email.scheduled",
        "email.suppressed",
    }
)
_TEST_ADDRESSES = {
    "bounced": ("email.bounced",),
    "complained": ("email.delivered", "email.complained"),
    "suppressed": ("email.suppressed",),
}


@dataclass(kw_only=True)
class SentEmail:
    """One accepted email. `message_id` is the Message-ID on the wire."""

    id: str
    message_id: str
    mail: ResendMail
    created_at: datetime
    last_event: str = "queued"


@dataclass(kw_only=True)
class Delivery:
    """One event on its way to the app. `answers` are the statuses so far, 0 where there was none."""

    id: str
    type: str
    body: bytes
    answers: list[int] = field(default_factory=list)


def fate(address: str) -> tuple[str, ...]:
    """The events that follow `email.sent` for one recipient; test addresses at resend.dev have their own."""
    local, _, domain = address.lower().partition("@")
    if domain != "resend.dev":
        return ("email.delivered",)
    return _TEST_ADDRESSES.get(local.partition("+")[0], ("email.delivered",))


class Webhooks:
    """Posts events. Each runs on a task of its own; nobody waits for it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()
        self.deliveries: list[Delivery] = []

    def accepted(self, email: SentEmail) -> None:
        """Tell the app what becomes of `email`: sent, and then the fate of each recipient."""
        events = ["email.sent"]
        for address in email.mail.recipients:
            events.extend(event for event in fate(address) if event not in events)
        for event in events:
            self.emit(event, email)

    def emit(
        self,
        event: str,
        email: SentEmail,
        *,
        extra: dict[str, Any] | None = None,
        manner: Manner | None = None,
    ) -> Delivery:
        """Post `event` about `email`; `extra` replaces what such an event carries.

        Raises ValueError for an event that does not exist.
        """
        if event not in EVENTS:
            raise ValueError(f"There is no event {event!r}; the events are {', '.join(sorted(EVENTS))}.")
        email.last_event = event.removeprefix("email.")
        body = self._payload(event, email, EXTRAS.get(event, {}) if extra is None else extra)
        delivery = Delivery(id=f"msg_{secrets.token_hex(13)}", type=event, body=json.dumps(body).encode())
        self.deliveries.append(delivery)
        manner = manner or self._world.resend.manner
        if self._world.resend.webhook_url:
            for _ in range(manner.copies):
                self._start(delivery, manner)
        return delivery

    def _start(self, delivery: Delivery, manner: Manner) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(delivery, manner))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _payload(self, event: str, email: SentEmail, extra: dict[str, Any]) -> dict[str, Any]:
        mail = email.mail
        data: dict[str, Any] = {
            "email_id": email.id,
            "created_at": _iso(email.created_at),
            "from": mail.sender,
            "to": list(mail.to),
            "subject": mail.subject,
            "message_id": email.message_id,
        }
        if mail.tags:
            data["tags"] = dict(mail.tags)
        if mail.headers:
            data["headers"] = [{"name": name, "value": value} for name, value in mail.headers]
        return {"type": event, "created_at": _iso(self._world.clock.now()), "data": data | extra}

    async def _deliver(self, delivery: Delivery, manner: Manner) -> None:
        due = self._world.clock.now()
        for wait in (0, *RETRY_SECONDS):
            due += timedelta(seconds=wait)
            await self._until(due)
            url = self._world.resend.webhook_url
            if url is None:
                return
            headers = self._headers(delivery, manner)
            status = await asyncio.to_thread(post, url, delivery.body, headers)
            delivery.answers.append(status)
            if 200 <= status < 300:
                return

    async def _until(self, due: datetime) -> None:
        """Wait until the sandbox's clock says `due`; whoever advances it shortens the wait."""
        while self._world.clock.now() < due:  # noqa: ASYNC110 - no event tells that the clock was advanced
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def _headers(self, delivery: Delivery, manner: Manner) -> dict[str, str]:
        timestamp = self._world.clock.real_timestamp() - manner.age_seconds

        def signed_by(secret: str) -> str:
            return sign(delivery.body, secret=secret, message_id=delivery.id, timestamp=timestamp)

        signature = {
            Signature.RIGHT: lambda: signed_by(self._world.resend.webhook_secret),
            Signature.WRONG: lambda: signed_by(new_secret()),
            Signature.ROTATED: lambda: (
                f"{signed_by(new_secret())} {signed_by(self._world.resend.webhook_secret)}"
            ),
        }[manner.signature]()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Svix-Webhooks/1.0 (sandbox)",
            "svix-id": delivery.id,
            "svix-timestamp": str(timestamp),
            "svix-signature": signature,
        }


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """POST `body` once and return the status, 0 when there was no answer."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST", parts.path or "/", body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
