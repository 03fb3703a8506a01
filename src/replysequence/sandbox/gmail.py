"""Gmail's `users.messages.send`: who may send, how fast, what it answers (Gmail API, checked 2026-11-22)."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import gmail_errors as errors
from replysequence.sandbox import gmail_upload as upload
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.gmail_message import Outgoing, Submission, bounce, read, same_thread
from replysequence.sandbox.gmail_quota import SEND_UNITS, Quota
from replysequence.sandbox.google_errors import GoogleRefusedError
from replysequence.sandbox.google_scopes import MAY_SEND
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

PUSHED_OUT = timedelta(minutes=15)
"""How much later the end of a sending limit moves when somebody tries before it."""
DAY = timedelta(hours=24)
_PATH = "/gmail/v1/users/{user}/messages/send"


class Gmail:
    """The send method in its four forms: JSON, media, multipart, resumable."""

    def __init__(self, world: World, quota: Quota) -> None:
        self._world = world
        self._quota = quota
        self._settings = world.settings[Vendor.GOOGLE]
        self._in_flight: Counter[str] = Counter()
        self._blocked_until: dict[str, datetime] = {}
        self._sessions = upload.Sessions()

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the method."""
        return [
            site.route(_PATH, self.send_json, methods=["POST"], endpoint=Endpoint.SEND),
            site.route(f"/upload{_PATH}", self.send_upload, methods=["POST"], endpoint=Endpoint.SEND),
            site.route(f"/upload{_PATH}", self.continue_upload, methods=["PUT"], endpoint=Endpoint.SEND),
            Route(f"/resumable/upload{_PATH}", self.start_resumable, methods=["POST"]),
            site.route(
                f"/resumable/upload{_PATH}", self.continue_upload, methods=["PUT"], endpoint=Endpoint.SEND
            ),
        ]

    async def send_json(self, request: Request) -> Response:
        """`raw` and `threadId` in a JSON object."""
        body = await request.body()
        if len(body) > upload.MAX_JSON_BYTES:
            return errors.too_large()
        try:
            account = self._authorize(request)
            return await self._send(account, upload.from_json(body))
        except GoogleRefusedError as refused:
            return refused.failure.response()

    async def send_upload(self, request: Request) -> Response:
        """The bytes themselves: `uploadType` media or multipart, or the start of a resumable upload."""
        kind = request.query_params.get("uploadType", "")
        if kind == "resumable":
            return await self.start_resumable(request)
        body = await request.body()
        if len(body) > upload.MAX_UPLOAD_BYTES:
            return errors.too_large()
        content_type = request.headers.get("content-type", "")
        try:
            account = self._authorize(request)
            match kind:
                case "media":
                    return await self._send(account, upload.from_media(body, content_type=content_type))
                case "multipart":
                    return await self._send(account, upload.from_multipart(body, content_type=content_type))
                case _:
                    raise GoogleRefusedError(errors.bad_request(f"Invalid upload type: {kind!r}"))
        except GoogleRefusedError as refused:
            return refused.failure.response()

    async def start_resumable(self, request: Request) -> Response:
        """Open an upload session; its address comes back in `Location`."""
        body = await request.body()
        announced = request.headers.get("x-upload-content-length", "0")
        if announced.isdigit() and int(announced) > upload.MAX_UPLOAD_BYTES:
            return errors.too_large()
        try:
            account = self._authorize(request)
            session = self._sessions.open(account, thread_id=upload.thread_id_in(body))
        except GoogleRefusedError as refused:
            return refused.failure.response()
        location = request.url.include_query_params(uploadType="resumable", upload_id=session)
        return Response(status_code=200, headers={"Location": str(location)})

    async def continue_upload(self, request: Request) -> Response:
        """A piece of a resumable upload, or the question how much has arrived."""
        body = await request.body()
        session = self._sessions.find(request.query_params.get("upload_id", ""))
        if session is None:
            return errors.UNKNOWN_THREAD.response()
        if session.answer is None and session.take(body, request.headers.get("content-range", "")):
            try:
                session.answer = await self._send(session.account, session.submission())
            except GoogleRefusedError as refused:
                session.answer = refused.failure.response()
        return session.answer or session.incomplete()

    def _authorize(self, request: Request) -> Account:
        account = self._quota.authorize(request, scopes=MAY_SEND).account
        failure = errors.SEND_FAILURES.get(account.switches.at_send)
        if failure is not None:
            raise GoogleRefusedError(failure)
        self._quota.charge(account, units=SEND_UNITS)
        return account

    async def _send(self, account: Account, submission: Submission) -> Response:
        if self._in_flight[account.email] >= self._settings.max_in_flight:
            raise GoogleRefusedError(errors.TOO_MANY_AT_ONCE)
        self._in_flight[account.email] += 1
        try:
            if self._settings.send_latency_seconds:
                await asyncio.sleep(self._settings.send_latency_seconds)
            outgoing = read(submission.raw, account=account, now=self._world.clock.now())
            return self._accept(account, submission, outgoing)
        finally:
            self._in_flight[account.email] -= 1

    def _accept(self, account: Account, submission: Submission, outgoing: Outgoing) -> Response:
        thread_id = self._thread(account, submission, outgoing)
        arrives = self._within_daily_limit(account)
        message = self._world.accept(
            vendor=Vendor.GOOGLE,
            account=account.email,
            handed=submission.raw,
            delivered=outgoing.delivered,
            sent_copy=outgoing.sent_copy,
            recipients=outgoing.recipients,
            bcc=outgoing.bcc,
            subject=outgoing.subject,
            send_id=outgoing.send_id,
            thread_id=thread_id,
            arrives=arrives,
        )
        if not arrives:
            subject, raw = bounce(account, outgoing, now=message.at)
            self._world.notify(vendor=Vendor.GOOGLE, recipient=account.email, subject=subject, raw=raw)
        to_self = any(account.owns(address) for address in outgoing.recipients)
        labels = ["UNREAD", "SENT", "INBOX"] if to_self else ["SENT"]
        return JSONResponse({"id": message.id, "threadId": message.thread_id, "labelIds": labels})

    def _thread(self, account: Account, submission: Submission, outgoing: Outgoing) -> str | None:
        """The thread that the message joins, or None for a new one. A foreign thread is refused."""
        if submission.thread_id is None:
            return None
        members = [m for m in self._world.sent_by(account.email) if m.thread_id == submission.thread_id]
        if not members:
            raise GoogleRefusedError(errors.UNKNOWN_THREAD)
        joins = any(same_thread(outgoing, member.delivered, member.subject) for member in members)
        return submission.thread_id if joins else None

    def _within_daily_limit(self, account: Account) -> bool:
        """Whether the message will arrive. Refuses beyond the limit, after the messages that go unnoticed."""
        switches, now = account.switches, self._world.clock.now()
        usual = 500 if account.is_personal else 2000
        limit = usual if switches.daily_messages is None else switches.daily_messages
        blocked_until = self._blocked_until.get(account.email)
        if blocked_until is not None and now < blocked_until:
            self._blocked_until[account.email] = blocked_until + PUSHED_OUT
            raise GoogleRefusedError(errors.retry_after(self._blocked_until[account.email]))
        times = self._world.accepted_in_a_day(account)
        if len(times) >= limit + switches.unnoticed_messages:
            frees_up = times[-limit] + DAY if limit else now + DAY
            self._blocked_until[account.email] = frees_up
            raise GoogleRefusedError(errors.retry_after(frees_up))
        return len(times) < limit
