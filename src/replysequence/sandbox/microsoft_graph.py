"""The Graph half of the Microsoft stand-in: sendMail, the Sent folder, the profile, and what they refuse.

Source: Microsoft Graph "user: sendMail", "Error responses", "Throttling limits" and "Best practices", checked
2026-11-22; bodies and statuses of errors from recorded exchanges.
"""

import asyncio
import json
import secrets
from collections import Counter
from email.headerregistry import Address
from email.utils import format_datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import graph_reading, headers
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.graph_access import ACCESS_DENIED, FAULTS, Access, Throttled, error, trace_of
from replysequence.sandbox.graph_message import GraphMail, GraphRefusal, read_json, read_mime
from replysequence.sandbox.graph_reading import MAY_READ
from replysequence.sandbox.microsoft_directory import pairwise_subject
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import SEND_ID_HEADER, World

MAX_REQUEST_BYTES = 4 * 1024 * 1024
DAILY_MESSAGES = {False: 10_000, True: 300}
"""Messages in 24 hours, by whether the account is personal. Outlook.com publishes no number: 300 is usual."""

_TOO_MANY = "You have exceeded the maximum number of messages that can be sent in a day."
SEND_REFUSALS = {
    "no_mailbox": GraphRefusal(
        404,
        "MailboxNotEnabledForRESTAPI",
        "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
    ),
    "access_denied": ACCESS_DENIED,
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


class Graph:
    """`/v1.0/me`, its sendMail and its Sent folder, and the OpenID userinfo endpoint that lives on the same host."""

    def __init__(self, world: World, access: Access) -> None:
        self._world = world
        self._access = access
        self._in_flight: Counter[str] = Counter()

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
            account = self._access.authorize(request, "Mail.Send").account
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
            token = self._access.authorize(request, *MAY_READ)
            self._access.count(token.account)
            found = graph_reading.find(request, token, self._world.found_in_sent(token.account))
        except GraphRefusal as refusal:
            return error(request, refusal)
        return JSONResponse(found, headers=trace_of(request))

    async def me(self, request: Request) -> Response:
        """`GET /v1.0/me`: the profile; `$select` narrows it. Needs User.Read."""
        try:
            account = self._access.authorize(request, "User.Read").account
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
        return JSONResponse(context | shown, headers=trace_of(request))

    async def userinfo(self, request: Request) -> Response:
        """`GET /oidc/userinfo`: what the id_token says, by the scopes of the access token."""
        try:
            token = self._access.authorize(request, "openid")
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
        return JSONResponse(info, headers=trace_of(request))

    def _admit(self, account: Account) -> None:
        """Count a send. Raises GraphRefusal where the account is throttled, blocked or at its limit."""
        settings = self._world.settings[Vendor.MICROSOFT]
        self._access.count(account)
        if self._in_flight[account.email] >= settings.max_in_flight:
            raise Throttled(FAULTS[429][1], seconds=1)
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
        return Response(status_code=202, headers=trace_of(request))

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
