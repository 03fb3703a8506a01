"""Outlook: mail through Microsoft Graph from a person's own Microsoft 365 or Outlook.com mailbox.

Sources, checked 2026-11-22: Graph's user: sendMail page, its throttling and error pages, the Graph metadata;
codes that only appear in practice from the issues named beside them. `Mail.Send` may send and nothing else; looking
whether something was sent takes `Mail.Read`, which is asked for on its own.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import ClassVar
from urllib.parse import quote, urlencode

import pybase64

from replysequence.domain.errors import ProviderError, ReconnectNeeded, Rejected, TryLater
from replysequence.domain.message import Address, Attachment, Message, Problem
from replysequence.domain.pacing import Pace, Rate
from replysequence.domain.secret import Secret
from replysequence.providers import microsoft
from replysequence.providers.answers import (
    hand_over,
    json_object,
    mapping,
    mappings,
    provider_id,
    retry_delay,
    word,
)
from replysequence.providers.base import (
    Category,
    Identity,
    Limits,
    OAuthSpec,
    Prepared,
    Receipt,
    Tokens,
    Variable,
    VariableKind,
)
from replysequence.providers.carrying import problems_of, write_mime
from replysequence.providers.http import Answer
from replysequence.providers.looking import SEND_ID_HEADER, Found, Known, LookUp, Searchable, Sought, ask
from replysequence.providers.meanings import Meaning, of_status

SEND_SCOPE = "Mail.Send"
MAX_REQUEST = 4_000_000
"""Bytes of a whole request, after base64 (Graph large-attachments page)."""
LOOK_SCOPE = "Mail.Read"
SEND_ID_PROPERTY = "String {43c179e1-fb7a-4b3d-8545-8605cb0aba1a} Name ReplySequenceSendId"
_HEADER_PROPERTY = f"String {{00020386-0000-0000-c000-000000000046}} Name {SEND_ID_HEADER.lower()}"

_PERSONAL_DOMAINS = frozenset({"outlook.com", "hotmail.com", "live.com", "msn.com"})

_HOUR = 3600.0

_SCOPE_MISSING = Meaning(
    ReconnectNeeded,
    "scope_missing",
    "Microsoft does not let ReplySequence send mail for this account. Connect it again and accept “Send mail "
    "as you”. If "
    "it stays so, a policy of your organisation forbids it: ask your administrator.",
)
_NO_MAILBOX = Meaning(
    ReconnectNeeded,
    "no_mailbox",
    "This account has no mailbox in Exchange Online that can send: none was set up yet, it has no licence, "
    "or it is kept "
    "elsewhere. Ask your administrator, then connect again; or connect another account.",
)
_BLOCKED = Meaning(
    ReconnectNeeded,
    "mailbox_blocked",
    "Microsoft has blocked sending from this mailbox. Sign in to Outlook, follow what it asks, then connect "
    "again.",
)
_DAILY_LIMIT = Meaning(
    TryLater,
    "sending_limit",
    "Microsoft takes no more messages from this mailbox for now: its sending limit is reached. What waits is "
    "tried again "
    "every hour.",
    delay=_HOUR,
    pauses_mailbox=True,
)
_MAILBOX_FULL = Meaning(
    TryLater,
    "mailbox_full",
    "The mailbox is full, so Microsoft sends nothing from it. Make room; what waits is tried again every "
    "hour.",
    delay=_HOUR,
    pauses_mailbox=True,
)
_BAD_RECIPIENT = Meaning(
    Rejected,
    "invalid_recipient",
    "Microsoft does not take one of the recipients. It was not sent. Check the addresses.",
)
_TOO_LARGE = Meaning(
    Rejected,
    "too_large",
    "The message is larger than Microsoft takes with the permission that ReplySequence has: files of about 3 "
    "MB in all. "
    "Share the file by a link.",
)
_BUG = Meaning(
    Rejected,
    "refused",
    "Microsoft could not read the request. The message was not sent. Please report this as a bug.",
)
_THROTTLED = Meaning(
    TryLater,
    "rate_limited",
    "Microsoft takes no more messages from this mailbox just now. It is tried again by itself.",
    pauses_mailbox=True,
)
_FORBIDDEN = Meaning(
    ReconnectNeeded,
    "forbidden",
    "Microsoft does not let ReplySequence send for this account. Connect it again, or ask your "
    "administrator.",
)
_EDGE = Meaning(
    TryLater,
    "refused_on_the_way",
    "Something before Microsoft refused the request. It is tried again by itself.",
)

_MEANINGS: Mapping[str, Meaning] = {
    "errorinvalidrecipients": _BAD_RECIPIENT,
    "errormimecontentinvalidbase64string": _BUG,
    "invalidinternetmessageheader": _BUG,
    "invalidinternetmessageheadercollection": _BUG,
    "requestbodyread": _BUG,
    "errorinvalidrequest": _BUG,
    "requestbroker--parseuri": _BUG,
    "errormessagesizeexceeded": _TOO_LARGE,
    "errormessageblocked": Meaning(
        Rejected,
        "judged_spam",
        "Microsoft takes this message for spam and refused it. Change its text or its links.",
    ),
    "errorsendasdenied": Meaning(
        Rejected, "send_as_denied", "This mailbox may not send from that address. Connect the account again."
    ),
    "erroraccessdenied": _SCOPE_MISSING,
    "errormessagesubmissionblocked": _BLOCKED,
    "erroraccountsuspend": _BLOCKED,
    "errorexceededmessagelimit": _DAILY_LIMIT,
    "errorexceededhourlymessagelimit": _DAILY_LIMIT,
    "errorexceededmaxrecipientlimit": _DAILY_LIMIT,
    "errorsubmissionquotaexceeded": _DAILY_LIMIT,
    "errorquotaexceeded": _MAILBOX_FULL,
    "mailboxnotenabledforrestapi": _NO_MAILBOX,
    "mailboxnotsupportedforrestapi": _NO_MAILBOX,
    "applicationthrottled": _THROTTLED,
    "toomanyrequests": _THROTTLED,
    "activitylimitreached": _THROTTLED,
    "commandconcurrencylimitreached": _THROTTLED,
    "errorserverbusy": _THROTTLED,
}
"""Graph's codes in lower case. They count before the status, which for some of them varies (400, 403, 429)."""

_BY_STATUS: Mapping[int, Meaning] = {
    403: _FORBIDDEN,
    404: _NO_MAILBOX,  # we name no mailbox but the person's own
    410: _NO_MAILBOX,
    413: _TOO_LARGE,
    429: _THROTTLED,
}
"""For codes that are not in the table."""


class Outlook(Searchable):
    """A Microsoft 365 or Outlook.com mailbox."""

    name: ClassVar = "outlook"
    title: ClassVar = "Outlook"
    category: ClassVar = Category.EMAIL
    variables: ClassVar = (
        *microsoft.VARIABLES,
        Variable("GRAPH_API_URL", "Microsoft Graph.", "https://graph.microsoft.com/v1.0", VariableKind.URL),
        Variable(
            "OUTLOOK_WEB_URL",
            "Where people at work read their mail.",
            "https://outlook.office.com/mail",
            VariableKind.URL,
        ),
        Variable(
            "OUTLOOK_PERSONAL_WEB_URL",
            "Where people with a personal account read their mail.",
            "https://outlook.live.com/mail/0",
            VariableKind.URL,
        ),
        Variable(
            "OUTLOOK_MAILBOX_SENDS_PER_MINUTE",
            "What Exchange lets one mailbox send; it delays what is faster.",
            "30",
            VariableKind.NUMBER,
        ),
    )
    # A request of 4 MB holds 3 MB once it is base64. Exchange Online limits, checked 2026-11-22: 500 recipients.
    limits: ClassVar = Limits(message_bytes=MAX_REQUEST * 3 // 4, recipients=500)
    # Permissions reference, checked 2026-11-22: Mail.ReadBasic shows no extended properties, and Graph gives no
    # headers of what lies in Sent Items (microsoft-graph-docs#2716, #18761; msgraph-sdk-dotnet#3025).
    look_up: ClassVar = LookUp(
        scope=LOOK_SCOPE,
        allows="It lets ReplySequence read your mail: Microsoft has no smaller permission with which one message can "
        "be found among those sent. ReplySequence asks for nothing but the message that carries the send's number.",
        note="In many organisations an administrator has to approve it first.",
        costs=0,  # Exchange paces what is sent, not what is read
    )

    @property
    def reachable_url(self) -> str:
        return self._values["GRAPH_API_URL"]

    @cached_property
    def oauth(self) -> OAuthSpec:
        self._require_configured()
        return microsoft.oauth_spec(self._values, scope=SEND_SCOPE)

    @cached_property
    def looking_oauth(self) -> OAuthSpec:
        self._require_configured()
        return microsoft.oauth_spec(self._values, scope=SEND_SCOPE, optional=(LOOK_SCOPE,))

    async def identify(self, tokens: Tokens) -> Identity:
        return self.identity(tokens.claims or {})

    def identity(self, claims: Mapping[str, object]) -> Identity:
        """The account behind validated id_token claims. Raises :class:`ConnectFailed`."""
        return microsoft.identity(claims)

    def scope_missing(self) -> str:
        return "Microsoft did not get your permission to send. Connect again and accept “Send mail as you”."

    def removal_url(self, issuer: str) -> str | None:
        return microsoft.removal_url(issuer)

    def admin_consent_url(self, spec: OAuthSpec, *, redirect_uri: str, state: str) -> str | None:
        tenant = self._values["MICROSOFT_TENANT"]
        return microsoft.admin_consent_url(spec, tenant=tenant, redirect_uri=redirect_uri, state=state)

    def pace(self, email: str) -> Pace:  # noqa: ARG002
        """One at a time: Graph takes four, Exchange puts them in a row. Limits of Exchange Online, checked
        2026-11-22; those of personal accounts are not published.
        """
        return Pace(
            concurrency=1,
            rate=Rate(int(self._values["OUTLOOK_MAILBOX_SENDS_PER_MINUTE"]), timedelta(minutes=1)),
            recipients_per_day=10_000,
        )

    def check(self, message: Message, *, thread_id: str | None) -> list[Problem]:
        problems = problems_of(
            message,
            provider=self.title,
            max_recipients=self.limits.recipients,
            max_bytes=MAX_REQUEST,
            size=lambda: len(_body(message)[1]),
        )
        if thread_id is not None and message.in_reply_to is None:
            text = "Outlook cannot put a message into a conversation by its id, so it starts a new one."
            problems.append(Problem("thread_id", text, "warning"))
        return problems

    def prepare(self, message: Message, *, thread_id: str | None) -> Prepared:  # noqa: ARG002
        content_type, body = _body(message)
        if len(body) > MAX_REQUEST:
            raise _TOO_LARGE.as_error(status=413)
        headers = {"Content-Type": content_type}
        if message.send_id is not None:
            # For the support desk: Graph drops no second copy by it.
            headers["client-request-id"] = message.send_id
        return Prepared(f"{self._values['GRAPH_API_URL']}/me/sendMail", headers, body)

    async def send(self, prepared: Prepared, *, access_token: Secret) -> Receipt:
        credentials = {"Authorization": f"Bearer {access_token.reveal()}"}
        answer = await hand_over(self._http, prepared, provider=self.title, headers=credentials)
        request_id = provider_id(answer.headers.get("request-id"))
        # Only 202, whatever else it says: with Retry-After it is still sent (msgraph-sdk-java#1487), while a
        # 200 has come for mail that never left (microsoft-graph-docs-contrib#3079).
        if answer.status == 202:
            return Receipt(202, request_id=request_id)
        raise _meaning(answer, request_id)

    async def find_sent(self, sought: Sought, *, access_token: Secret, known: Known) -> Found | None:  # noqa: ARG002
        url = f"{self._values['GRAPH_API_URL']}/me/mailFolders/sentitems/messages"
        for question, proves in _questions(sought):
            query = urlencode(question, quote_via=quote)
            answer = await ask(self._http, f"{url}?{query}", provider=self.title, access_token=access_token)
            for item in mappings(answer.get("value")):
                if proves(item):
                    return Found(provider_id(item.get("id")), provider_id(item.get("conversationId")))
        return None

    def sent_folder_url(self, *, email: str, subject: str) -> str:  # noqa: ARG002 - no link to a search there
        if email.rpartition("@")[2].lower() in _PERSONAL_DOMAINS:
            return f"{self._values['OUTLOOK_PERSONAL_WEB_URL']}/sentitems"
        return f"{self._values['OUTLOOK_WEB_URL']}/sentitems?login_hint={quote(email, safe='')}"


def _body(message: Message) -> tuple[str, bytes]:
    """Content type and body of the request.

    Graph's JSON has one form of the text and only `x-` headers, so a message with both forms, or in a
    conversation, goes as MIME. That is a third larger: where it does not fit, and no conversation needs it,
    Exchange makes the plain form.
    """
    in_conversation = message.in_reply_to is not None or bool(message.references)
    if in_conversation or (message.html and message.text):
        mime = pybase64.b64encode(write_mime(message))
        if in_conversation or len(mime) <= MAX_REQUEST:
            return "text/plain", mime
    return "application/json", _as_json(message)


def _as_json(message: Message) -> bytes:
    fields: dict[str, object] = {
        "subject": message.subject,
        "body": {
            "contentType": "html" if message.html else "text",
            "content": message.html or message.text or "",
        },
        "toRecipients": _recipients(message.to),
        "ccRecipients": _recipients(message.cc),
        "bccRecipients": _recipients(message.bcc),
        "replyTo": _recipients(message.reply_to),
        "attachments": [_attachment(file) for file in message.attachments],
    }
    if message.send_id is not None:
        fields["internetMessageHeaders"] = [{"name": SEND_ID_HEADER, "value": message.send_id}]
        # For finding it in Sent Items (microsoft-graph-docs#3766); it stays in the sender's mailbox.
        fields["singleValueExtendedProperties"] = [{"id": SEND_ID_PROPERTY, "value": message.send_id}]
    present = {name: value for name, value in fields.items() if value != []}
    return json.dumps({"message": present, "saveToSentItems": True}).encode()


def _questions(sought: Sought) -> Iterator[tuple[dict[str, str], Callable[[Mapping[str, object]], bool]]]:
    """What to ask Graph for, and how to tell that an item is what was asked for: each question fits one message only.

    The property of our own is on what went as JSON. A message that went as MIME may have kept the header, as a named
    property ([MS-OXCMAIL] 2.2.3.2.29), or its Message-ID. Checked 2026-11-22.
    """
    for name in (SEND_ID_PROPERTY, _HEADER_PROPERTY):
        which = f"id eq '{name}'"
        has_it = (
            f"singleValueExtendedProperties/any(ep: ep/{which} and ep/value eq '{_quoted(sought.send_id)}')"
        )
        expand = f"singleValueExtendedProperties($filter={which})"
        yield (
            {"$filter": has_it, "$expand": expand, "$select": "id,conversationId", "$top": "5"},
            lambda item: any(
                str(each.get("value")).lower() == sought.send_id.lower()
                for each in mappings(item.get("singleValueExtendedProperties"))
            ),
        )
    yield (
        {
            "$filter": f"internetMessageId eq '{_quoted(sought.message_id)}'",
            "$select": "id,conversationId,internetMessageId",
            "$top": "5",
        },
        lambda item: item.get("internetMessageId") == sought.message_id,
    )


def _quoted(text: str) -> str:
    """`text` as it stands between quotes in a filter (OData 4.01 URL conventions §5.1.1.14.2)."""
    return text.replace("'", "''")


def _recipients(addresses: tuple[Address, ...]) -> list[dict[str, object]]:
    return [
        {"emailAddress": {"address": each.email} | ({"name": each.name} if each.name else {})}
        for each in addresses
    ]


def _attachment(file: Attachment) -> dict[str, object]:
    inline = {"isInline": True, "contentId": file.content_id} if file.content_id is not None else {}
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": file.filename,
        "contentType": file.content_type,
        "contentBytes": pybase64.b64encode(file.content).decode(),
        **inline,
    }


def _meaning(answer: Answer, request_id: str | None) -> ProviderError:
    codes = _codes(mapping(json_object(answer).get("error")))
    return _classify(answer.status, codes).as_error(
        status=answer.status,
        request_id=request_id,
        details={"codes": codes} if codes else None,
        delay=retry_delay(answer.headers, now=datetime.now(UTC)),
    )


def _codes(error: Mapping[str, object]) -> list[str]:
    """The error's codes from outside in. One may be empty, and the inner ones come under two spellings."""
    codes = []
    for _ in range(5):
        codes.append(word(error.get("code")))
        error = mapping(error.get("innerError") or error.get("innererror"))
    return [code for code in codes if code]


def _classify(status: int, codes: list[str]) -> Meaning:
    by_status = of_status(status, Outlook.title)
    if by_status.error not in (Rejected, TryLater):
        return by_status
    keys = (code.lower().removesuffix("showtierupgrade") for code in codes)
    known = next((_MEANINGS[key] for key in keys if key in _MEANINGS), None)
    if known is not None:
        return known
    if status in (403, 404, 410) and not codes:
        return _EDGE
    return _BY_STATUS.get(status, by_status)
