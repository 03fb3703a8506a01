"""The Graph half of the Microsoft stand-in: sendMail, the Sent folder, the profile, and what they refuse.

Source: Microsoft Graph "user: sendMail", "Error responses", "Throttling limits" and "Best practices", checked
2026-11-22; bodies and statuses of errors from recorded exchanges.
"""

import asyncio
import json
import secrets
import uuid
from collections import Counter, defaultdict, deque
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.utils import format_datetime
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import graph_reading, headers
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.credentials import AccessToken
from replysequence.sandbox.faults import Endpoint, Fault, Phase
from replysequence.sandbox.graph_message import GraphMail, GraphRefusal, read_json, read_mime
from replysequence.sandbox.graph_reading import MAY_READ
from replysequence.sandbox.microsoft_directory import pairwise_subject
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import SEND_ID_HEADER, World

MAX_REQUEST_BYTES = 4 * 1024 * 1024
REQUESTS_PERIOD = timedelta(minutes=10)
"""Graph counts the requests of an app to a mailbox over ten minutes."""
DAILY_MESSAGES = {False: 10_000, True: 300}
"""Messages in 24 hours, by whether the account is personal. Outlook.com publishes no number: 300 is usual."""

_TOO_MANY = "You have exceeded the maximum number of messages that can be sent in a day."
SEND_REFUSALS = {
    "no_mailbox": GraphRefusal(
        404,
        "MailboxNotEnabledForRESTAPI",
        "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
    ),
    "access_denied": GraphRefusal(
        403, "ErrorAccessDenied", "Access is denied. Check credentials and try again."
    ),
    "send_as_denied": GraphRefusal(
        403,
        "ErrorSendAsDenied",
        "The user account which was used to submit this request does not have the right to send mail on "
        "behalf of "
        "the specified sending account., Cannot submit message.",
    ),
    "message_limit": GraphRefusal(429, "ErrorExceededMessageLimit", _TOO_MANY),
    "message_limit_400": GraphRefusal(400, "ErrorExceededMessageLimit", _TOO_MANY),
    "message_limit_403": GraphRefusal(403, "ErrorExceededMessageLimit", _TOO_MANY),
    "recipient_limit": GraphRefusal(
        403,
        "ErrorExceededMaxRecipientLimit",
        "The message has more recipients than this account may write to.",
    ),
    "submission_quota": GraphRefusal(
        429, "ErrorSubmissionQuotaExceeded", "The number of recipients within 24 hours has reached its limit."
    ),
    "submission_blocked": GraphRefusal(
        403,
        "ErrorMessageSubmissionBlocked",
        "Submission is blocked. Follow the mail in your inbox to verify.",
    ),
    "account_suspended": GraphRefusal(
        403, "ErrorAccountSuspend", "The account is suspended. Sign in and follow the instructions."
    ),
    "mailbox_full": GraphRefusal(507, "ErrorQuotaExceeded", "Mailbox has exceeded maximum mailbox size."),
}
SEND_FAILURES = {
    "no_mailbox": "the account has no Exchange Online mailbox (404)",
    "access_denied": "access is denied, by policy (403)",
    "send_as_denied": "the account may not send as this address (403)",
    "message_limit": "the messages of the day are used up (said with 429)",
    "message_limit_400": "the messages of the day are used up (said with 400)",
    "message_limit_403": "the messages of the day are used up (said with 403)",
    "recipient_limit": "the message has more recipients than the account may write to (403)",
    "submission_quota": "the recipients of the last 24 hours have reached the limit (429)",
    "submission_blocked": "the account must be verified before it may send again (403)",
    "account_suspended": "the account is suspended (403)",
    "mailbox_full": "the mailbox is full (507)",
}
"""What `Switches.at_send` may name."""

_FAULTS = {
    401: ("InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
    429: ("ApplicationThrottled", "Application is over its MailboxConcurrency limit."),
    500: ("ErrorInternalServerError", "An internal server error occurred. The operation failed."),
    503: ("ErrorServerBusy", "The server cannot service this request right now. Try again later."),
}


class Graph:
    """`/v1.0/me`, its sendMail and its Sent folder, and the OpenID userinfo endpoint that lives on the same host."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._in_flight: Counter[str] = Counter()
        self._requests: defaultdict[str, deque[datetime]] = defaultdict(deque)

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of Graph that the sandbox has."""
        return [
            site.route("/v1.0/me/sendMail", self.send_mail, methods=["POST"], endpoint=Endpoint.SEND),
            site.route(
                "/v1.0/me/mailFolders/{folder}/messages",
                self.messages,
                methods=["GET"],
                endpoint=Endpoint.LOOK_UP,
            ),
            Route("/v1.0/me", self.me, methods=["GET"]),
            site.route("/oidc/userinfo", self.userinfo, methods=["GET", "POST"], endpoint=Endpoint.USERINFO),
        ]

    async def send_mail(self, request: Request) -> Response:
        """`POST /v1.0/me/sendMail`: 202 and nothing else, or an error."""
        try:
            account = self._authorize(request, "Mail.Send").account
            body = await _read(request)
            self._admit(account)
        except GraphRefusal as refusal:
            return error(request, refusal)
        self._in_flight[account.email] += 1
        try:
            return await self._send(request, account, body)
        except GraphRefusal as refusal:
            return error(request, refusal)
        finally:
            self._in_flight[account.email] -= 1

    async def messages(self, request: Request) -> Response:
        """`GET /v1.0/me/mailFolders/sentitems/messages`: what `$filter` finds there. Needs a permission to read."""
        try:
            token = self._authorize(request, *MAY_READ)
            self._count(token.account)
            found = graph_reading.find(request, token, self._world.found_in_sent(token.account))
        except GraphRefusal as refusal:
            return error(request, refusal)
        return JSONResponse(found, headers=_trace(request))

    async def me(self, request: Request) -> Response:
        """`GET /v1.0/me`: the profile; `$select` narrows it. Needs User.Read."""
        try:
            account = self._authorize(request, "User.Read").account
        except GraphRefusal as refusal:
            return error(request, refusal)
        profile = {
            "id": account.subject,
            "displayName": account.name,
            "givenName": account.given_name,
            "surname": account.family_name,
            "mail": account.email if account.has_mail_attribute else None,
            "userPrincipalName": account.email,
        }
        wanted = request.query_params.get("$select", "").replace(" ", "").split(",")
        shown = profile if wanted == [""] else {name: profile[name] for name in wanted if name in profile}
        context = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users/$entity"}
        return JSONResponse(context | shown, headers=_trace(request))

    async def userinfo(self, request: Request) -> Response:
        """`GET /oidc/userinfo`: what the id_token says, by the scopes of the access token."""
        try:
            token = self._authorize(request, "openid")
        except GraphRefusal as refusal:
            return error(request, refusal)
        account = token.account
        info = {"sub": pairwise_subject(account, token.client)}
        if "profile" in token.scopes:
            info |= {
                "name": account.name,
                "given_name": account.given_name,
                "family_name": account.family_name,
                "picture": "https://graph.microsoft.com/v1.0/me/photo/$value",
            }
        if "email" in token.scopes and account.has_mail_attribute:
            info["email"] = account.email
        return JSONResponse(info, headers=_trace(request))

    async def account_of(self, request: Request) -> str | None:
        """The account whose bearer token the request carries."""
        token = self._world.credentials.access_tokens.get(_bearer(request))
        return token.account.email if token else None

    def _authorize(self, request: Request, *scopes: str) -> AccessToken:
        """The bearer token. Raises GraphRefusal: 401 without a usable one, 403 when it has none of `scopes`."""
        shown = _bearer(request)
        if self._world.credentials.access_tokens.get(shown) is None:
            message = "CompactToken parsing failed with error code: 80049217"
            raise GraphRefusal(401, "InvalidAuthenticationToken", message)
        token = self._world.credentials.usable_access_token(shown)
        if token is None or token.client is not self._world.microsoft_client:
            raise GraphRefusal(401, *_FAULTS[401])
        if not set(scopes) & set(token.scopes):
            raise SEND_REFUSALS["access_denied"]
        return token

    def _count(self, account: Account) -> None:
        """Count a request of any kind. Raises GraphRefusal when it is one too many."""
        settings, now = self._world.settings[Vendor.MICROSOFT], self._world.clock.now()
        requests = self._requests[account.email]
        requests.append(now)
        while requests[0] <= now - REQUESTS_PERIOD:
            requests.popleft()
        if len(requests) > settings.units_per_minute * REQUESTS_PERIOD / timedelta(minutes=1):
            raise Throttled("Application is over its MailboxRequests limit.", seconds=60)

    def _admit(self, account: Account) -> None:
        """Count a send. Raises GraphRefusal where the account is throttled, blocked or at its limit."""
        settings = self._world.settings[Vendor.MICROSOFT]
        self._count(account)
        if self._in_flight[account.email] >= settings.max_in_flight:
            raise Throttled(_FAULTS[429][1], seconds=1)
        if account.switches.at_send in SEND_REFUSALS:
            raise SEND_REFUSALS[account.switches.at_send]
        limit = account.switches.daily_messages
        limit = DAILY_MESSAGES[account.is_personal] if limit is None else limit
        if len(self._world.accepted_in_a_day(account)) >= limit:
            raise SEND_REFUSALS["message_limit"]

    async def _send(self, request: Request, account: Account, body: bytes) -> Response:
        mail = _parse(request, body)
        if mail.sender is not None and not account.owns(mail.sender.address):
            raise SEND_REFUSALS["send_as_denied"]
        latency = self._world.settings[Vendor.MICROSOFT].send_latency_seconds
        if latency:
            await asyncio.sleep(latency)
        self._deliver(account, mail)
        return Response(status_code=202, headers=_trace(request))

    def _deliver(self, account: Account, mail: GraphMail) -> None:
        sent_copy = self._stamp(account, mail)
        send_ids = headers.header_values(mail.content, SEND_ID_HEADER)
        subjects = headers.header_values(mail.content, "Subject")
        self._world.accept(
            vendor=Vendor.MICROSOFT,
            account=account.email,
            handed=mail.content,
            delivered=headers.rewrite(sent_copy, drop={"Bcc"}, first={}),
            sent_copy=sent_copy,
            recipients=mail.recipients,
            bcc=[person.address for person in mail.bcc],
            subject=subjects[0] if subjects else "",
            send_id=send_ids[0] if send_ids else None,
            in_sent=mail.save_to_sent_items,
            properties=mail.properties,
        )

    def _stamp(self, account: Account, mail: GraphMail) -> bytes:
        """The message with the mailbox's own From, Date and Message-ID; the one it came with moves aside."""
        sender = mail.sender.address if mail.sender else account.email
        first = {
            "From": str(Address(account.name, addr_spec=sender)),
            "Date": format_datetime(self._world.clock.now()),
            "Message-ID": f"<{secrets.token_hex(12).upper()}@SANDBOX0001.namprd01.prod.outlook.com>",
        }
        for original in headers.header_values(mail.content, "Message-ID")[:1]:
            first["X-Microsoft-Original-Message-ID"] = original
        if mail.bcc:
            first["Bcc"] = ", ".join(
                str(Address(person.name, addr_spec=person.address)) for person in mail.bcc
            )
        replaced = {*first, "Auto-Submitted", "Return-Path", "Bcc", "Sender"}
        return headers.rewrite(mail.content, drop=replaced, first=first)


class Throttled(GraphRefusal):
    """429, with the whole seconds to wait."""

    def __init__(self, message: str, *, seconds: int) -> None:
        super().__init__(429, "ApplicationThrottled", message)
        self.seconds = seconds


def error(request: Request, refusal: GraphRefusal) -> Response:
    """Graph's error envelope; a request that is too large gets a page of the front end instead."""
    if refusal.status == 413:
        return HTMLResponse("<html><body><h1>413 Request Entity Too Large</h1></body></html>", 413)
    trace = _trace(request)
    if isinstance(refusal, Throttled):
        trace |= {"Retry-After": str(refusal.seconds), "RateLimit-Exceeded": "MailboxConcurrency"}
    return _envelope(refusal.status, refusal.code, refusal.message, trace)


def failure(fault: Fault) -> Response:
    """What Graph answers when the fault menu says so: its envelope, or a web page from a gateway.

    A Retry-After says that nothing was done, so a 503 after acceptance comes from a gateway and has none.
    """
    status, after = fault.menu.status, fault.menu.phase is Phase.AFTER
    if status not in _FAULTS or (after and status == 503):
        return HTMLResponse(
            f"<html><body><h1>{status} {HTTPStatus(status).phrase}</h1></body></html>", status
        )
    trace = {"request-id": str(uuid.uuid4())}
    if status in {429, 503}:
        trace["Retry-After"] = str(fault.retry_after_seconds)
    return _envelope(status, *_FAULTS[status], trace)


def _envelope(status: int, code: str, message: str, trace: dict[str, str]) -> Response:
    inner = {
        "date": datetime.now().astimezone().strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": trace["request-id"],
        "client-request-id": trace.get("client-request-id", trace["request-id"]),
    }
    body = {"error": {"code": code, "message": message, "innerError": inner}}
    return JSONResponse(body, status, headers=trace)


def _trace(request: Request) -> dict[str, str]:
    request_id = str(uuid.uuid4())
    diagnostic = {
        "ServerInfo": {"DataCenter": "Sandbox", "Slice": "E", "Ring": "1", "RoleInstance": "SANDBOX01"}
    }
    return {
        "request-id": request_id,
        "client-request-id": request.headers.get("client-request-id", request_id),
        "x-ms-ags-diagnostic": json.dumps(diagnostic),
    }


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _read(request: Request) -> bytes:
    body = await request.body()
    if len(body) > MAX_REQUEST_BYTES:
        raise GraphRefusal(413, "RequestEntityTooLarge", "The request is larger than 4 MB.")
    return body


def _parse(request: Request, body: bytes) -> GraphMail:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/plain":
        return read_mime(body)
    try:
        if kind != "application/json":
            raise ValueError(kind)
        parsed = json.loads(body)
    except ValueError:
        raise GraphRefusal(
            400,
            "BadRequest",
            "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of "
            "valid "
            "JSON format.",
        ) from None
    return read_json(parsed)
