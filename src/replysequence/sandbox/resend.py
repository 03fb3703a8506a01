"""Resend's stand-in: `POST /emails`, `POST /emails/batch`, `GET /emails/{id}`, and its webhooks.

Source: Resend's API reference and "Idempotency keys", checked 2026-11-22.
"""

import asyncio
import hashlib
import json
import secrets
import uuid
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from replysequence.sandbox import headers
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.resend_control import Control
from replysequence.sandbox.resend_errors import (
    INACTIVE_KEY,
    NO_USER_AGENT,
    REFUSALS,
    SEND_FAILURES,
    envelope,
    failure,
)
from replysequence.sandbox.resend_message import ResendMail, ResendRefusal, bare, compose, read_email
from replysequence.sandbox.resend_team import IdempotencyKeys, KeyKind, Usage, Window
from replysequence.sandbox.resend_webhooks import SentEmail, Webhooks
from replysequence.sandbox.site import Site, StandIn
from replysequence.sandbox.world import SEND_ID_HEADER, World

MAX_BATCH = 100
_SHARED_DOMAIN = "resend.dev"

_Answer = dict[str, object]


def stand_in(world: World) -> StandIn:
    """Resend, around `world`."""
    relay = Relay(world)

    def fail(endpoint: Endpoint, fault: Fault) -> Response:  # noqa: ARG001 - Resend errs alike everywhere
        return failure(fault)

    site = Site(
        vendor=Vendor.RESEND,
        faults=world.faults,
        failure=fail,
        account_of=_sender_of,
        send_failures=SEND_FAILURES,
    )
    guard = relay.guard
    routes = [
        site.route("/emails", guard(relay.send), methods=["POST"], endpoint=Endpoint.SEND),
        site.route("/emails/batch", guard(relay.send_batch), methods=["POST"], endpoint=Endpoint.SEND),
        Route("/emails/{id}", guard(relay.retrieve), methods=["GET"]),
        Route("/emails", guard(_no_such_method), methods=["GET", "PUT", "PATCH", "DELETE"]),
        Route("/emails/{rest:path}", guard(_no_such_method), methods=["PUT", "PATCH", "DELETE", "POST"]),
        *Control(world, relay.webhooks, relay.emails).routes(),
    ]
    return StandIn(site=site, routes=routes)


class Relay:
    """The API of one team."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._team = world.resend
        self._window = Window()
        self._usage = Usage()
        self._keys = IdempotencyKeys()
        self.webhooks = Webhooks(world)
        self.emails: dict[str, SentEmail] = {}

    def guard(
        self, handler: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """`handler` behind what every call goes through: the edge, the key, the rate limit, the headers."""

        async def guarded(request: Request) -> Response:
            if not request.headers.get("user-agent"):
                return NO_USER_AGENT
            try:
                self._authenticate(request)
                response = await handler(request)
            except ResendRefusal as refusal:
                response = envelope(refusal)
            response.headers.update(self._limits())
            return response

        return guarded

    async def send(self, request: Request) -> Response:
        """`POST /emails`: 200 with the id, and nothing else."""
        return await self._once(request, self._send_one)

    async def send_batch(self, request: Request) -> Response:
        """`POST /emails/batch`: up to 100 emails; strict unless `x-batch-validation: permissive`."""
        return await self._once(request, self._send_many)

    async def retrieve(self, request: Request) -> Response:
        """`GET /emails/{id}`. Needs a key with full access."""
        if self._team.keys[_key(request)] is not KeyKind.FULL:
            raise REFUSALS["restricted_api_key"]
        email = self.emails.get(request.path_params["id"])
        if email is None:
            raise ResendRefusal(404, "not_found", "Email not found")
        mail = email.mail
        return JSONResponse(
            {
                "object": "email",
                "id": email.id,
                "message_id": email.message_id,
                "to": list(mail.to),
                "from": mail.sender,
                "created_at": f"{email.created_at:%Y-%m-%d %H:%M:%S.%f}+00",
                "subject": mail.subject,
                "html": mail.html,
                "text": mail.text,
                "cc": list(mail.cc),
                "bcc": list(mail.bcc),
                "reply_to": list(mail.reply_to),
                "last_event": email.last_event,
                "scheduled_at": None,
                "tags": [{"name": name, "value": value} for name, value in mail.tags],
            }
        )

    def _authenticate(self, request: Request) -> None:
        shown = _key(request)
        if not shown:
            raise REFUSALS["missing_api_key"]
        kind = self._team.keys.get(shown)
        if kind is None:
            raise REFUSALS["invalid_api_key"]
        if kind is KeyKind.SUSPENDED:
            raise REFUSALS["suspended_api_key"]
        if kind is KeyKind.INACTIVE:
            raise INACTIVE_KEY
        limit = self._team.requests_per_second
        if not self._window.admit(self._world.clock.now(), limit=limit):
            message = f"Too many requests. You can only make {limit} requests per second."
            raise ResendRefusal(429, "rate_limit_exceeded", message)

    def _limits(self) -> dict[str, str]:
        now, limit = self._world.clock.now(), self._team.requests_per_second
        shown = {
            "ratelimit-limit": str(limit),
            "ratelimit-remaining": str(max(0, limit - len(self._window))),
            "ratelimit-reset": "1",
            "x-resend-monthly-quota": str(self._usage.this_month(now)),
        }
        if self._team.daily_quota is not None:
            shown["x-resend-daily-quota"] = str(self._usage.today(now))
        return shown

    async def _once(self, request: Request, work: Callable[[Request, bytes], Awaitable[_Answer]]) -> Response:
        """Do `work`, unless the idempotency key says that it was done or is being done."""
        body = await request.body()
        key = request.headers.get("idempotency-key")
        if key is None:
            return JSONResponse(await work(request, body))
        if not 1 <= len(key) <= 256:
            raise REFUSALS["invalid_idempotency_key"]
        now, endpoint = self._world.clock.now(), request.url.path
        fingerprint = hashlib.sha256(body).hexdigest()
        known = self._keys.find(endpoint, key, now=now)
        if known is not None:
            if known.fingerprint != fingerprint:
                raise REFUSALS["invalid_idempotent_request"]
            if known.answer is None:
                raise REFUSALS["concurrent_idempotent_requests"]
            return JSONResponse(known.answer)
        running = self._keys.begin(endpoint, key, fingerprint=fingerprint, now=now)
        try:
            running.answer = await work(request, body)
        finally:
            if running.answer is None:
                self._keys.forget(endpoint, key)
        return JSONResponse(running.answer)

    async def _send_one(self, request: Request, body: bytes) -> _Answer:
        mail = read_email(_json(body))
        self._admit(mail)
        await self._take_time()
        return {"id": self._accept(mail, body, request.headers.get("idempotency-key"))}

    async def _send_many(self, request: Request, body: bytes) -> _Answer:
        entries = _json(body)
        if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_BATCH:
            raise ResendRefusal(400, "validation_error", f"A batch is an array of 1 to {MAX_BATCH} emails.")
        permissive = request.headers.get("x-batch-validation", "strict").lower() == "permissive"
        mails: list[ResendMail] = []
        errors: list[dict[str, object]] = []
        for index, entry in enumerate(entries):
            try:
                mail = read_email(entry, in_batch=True)
                self._admit(mail)
                mails.append(mail)
            except ResendRefusal as refusal:
                if not permissive:
                    raise
                errors.append({"index": index, "message": refusal.message})
        await self._take_time()
        key = request.headers.get("idempotency-key")
        answer: _Answer = {"data": [{"id": self._accept(mail, body, key)} for mail in mails]}
        return answer | {"errors": errors} if permissive else answer

    def _admit(self, mail: ResendMail) -> None:
        """Raises ResendRefusal for a sender that may not send, or a quota that is used up."""
        team, now = self._team, self._world.clock.now()
        if team.at_send:
            raise REFUSALS[team.at_send]
        self._check_sender(mail)
        count = len(mail.recipients)
        if team.daily_quota is not None and self._usage.today(now) + count > team.daily_quota:
            raise REFUSALS["daily_quota_exceeded"]
        if self._usage.this_month(now) + count > team.monthly_quota:
            raise REFUSALS["monthly_quota_exceeded"]

    def _check_sender(self, mail: ResendMail) -> None:
        if mail.domain == _SHARED_DOMAIN:
            own = {self._team.owner.lower()}
            if any(to.lower() not in own and not to.endswith("@" + _SHARED_DOMAIN) for to in mail.recipients):
                raise ResendRefusal(
                    403,
                    "validation_error",
                    f"You can only send testing emails to your own email address ({self._team.owner}). To "
                    f"send "
                    "emails to other recipients, please verify a domain at resend.com/domains, and change "
                    "the "
                    "`from` address to an email using this domain.",
                )
        elif mail.domain not in self._team.verified_domains:
            raise ResendRefusal(
                403,
                "validation_error",
                f"The {mail.domain} domain is not verified. Please, add and verify your domain on "
                "https://resend.com/domains",
            )

    async def _take_time(self) -> None:
        seconds = self._world.settings[Vendor.RESEND].send_latency_seconds
        if seconds:
            await asyncio.sleep(seconds)

    def _accept(self, mail: ResendMail, body: bytes, key: str | None) -> str:
        now = self._world.clock.now()
        email = SentEmail(
            id=str(uuid.uuid4()),
            message_id=f"<0102{secrets.token_hex(14)}-000000@sandbox.amazonses.com>",
            mail=mail,
            created_at=now,
        )
        delivered = headers.rewrite(
            compose(mail), drop={"Date"}, first={"Date": format_datetime(now), "Message-ID": email.message_id}
        )
        send_ids = headers.header_values(delivered, SEND_ID_HEADER)
        self._world.accept(
            vendor=Vendor.RESEND,
            account=bare(mail.sender),
            handed=body,
            delivered=delivered,
            sent_copy=b"",
            recipients=mail.recipients,
            bcc=[bare(mailbox) for mailbox in mail.bcc],
            subject=mail.subject,
            send_id=send_ids[0] if send_ids else None,
            idempotency_key=key,
            message_id=email.id,
            in_sent=False,
        )
        self._usage.add(now, len(mail.recipients))
        self.emails[email.id] = email
        self.webhooks.accepted(email)
        return email.id


async def _sender_of(request: Request) -> str | None:
    """The bare address in `from`: a relay has no accounts."""
    try:
        body: Any = await request.json()
    except ValueError:
        return None
    sender = body.get("from") if isinstance(body, dict) else None
    return bare(sender) if isinstance(sender, str) else None


async def _no_such_method(request: Request) -> Response:  # noqa: ARG001 - a route's signature
    raise REFUSALS["method_not_allowed"]


def _key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        raise ResendRefusal(400, "validation_error", "The request body is not valid JSON.") from None
