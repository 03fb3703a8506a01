"""Gmail: mail through the Gmail API from a person's own Google account.

Sources, checked 2026-11-22: Google's web-server OAuth guide, OpenID Connect guide, Gmail error guide
("handle-errors"), usage limits, and the gmail.v1 discovery document. `gmail.send` may send and nothing else:
no reading, no profile. Looking whether something was sent takes `gmail.metadata`, which is asked for on its own.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import ClassVar
from urllib.parse import quote

import pybase64

from replysequence.domain.errors import (
    Misconfigured,
    NeverSent,
    ProviderError,
    ReconnectNeeded,
    Rejected,
    TryLater,
)
from replysequence.domain.message import Message, Problem
from replysequence.domain.pacing import Pace, Rate
from replysequence.domain.secret import Secret
from replysequence.providers import google
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
    Variable,
    VariableKind,
)
from replysequence.providers.carrying import problems_of, write_mime
from replysequence.providers.http import Answer
from replysequence.providers.looking import SEND_ID_HEADER, Found, Known, LookUp, Searchable, Sought, ask
from replysequence.providers.meanings import Meaning, of_status

SEND_SCOPE = "https://www.googleapis.com/auth/gmail.send"
LOOK_SCOPE = "https://www.googleapis.com/auth/gmail.metadata"
SEND_UNITS, LIST_UNITS, READ_UNITS = 100, 5, 20
"""What a call takes of the quota (Gmail API usage limits, checked 2026-11-22)."""
MOST_LISTED, MOST_READ = 500, 20
"""Messages that one look lists, which is all that Gmail lists at once, and of which it reads the headers."""
CLOCKS_DIFFER = timedelta(minutes=10)
JSON_UP_TO = 4_000_000
"""Bytes of a message that still goes as JSON: 6.5 MiB are refused (google-api-go-client#374)."""
LONGEST_PAUSE = timedelta(hours=24)
"""The longest that Gmail locks an account for sending too much (Workspace help 166852)."""

_MINUTE = timedelta(minutes=1)
_CONSUMER = frozenset({"gmail.com", "googlemail.com"})
"""Domains whose mailboxes are people's own; all others belong to a Workspace."""

_AS_METADATA = f"format=metadata&metadataHeaders={SEND_ID_HEADER}&metadataHeaders=Message-ID"
_RETRY_AFTER = re.compile(r"retry\s+after\s+(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)\s*Z?", re.IGNORECASE)

_QUOTA = Meaning(
    TryLater,
    "rate_limited",
    "Gmail takes no more messages from this account for now. What waits is sent by itself when Gmail allows "
    "it.",
    pauses_mailbox=True,
)
_SCOPE_MISSING = Meaning(
    ReconnectNeeded,
    "scope_missing",
    "Google does not let ReplySequence send mail for this account. Connect it again and tick “Send email on "
    "your behalf”.",
)
_API_OFF = Meaning(
    Misconfigured,
    "api_disabled",
    "The Gmail API is switched off in this server's Google Cloud project. The operator must switch it on.",
)
_NO_MAILBOX = Meaning(
    ReconnectNeeded,
    "no_mailbox",
    "This Google account has no Gmail mailbox that can send. Switch Gmail on for it, or connect another "
    "account.",
)
_FORBIDDEN = Meaning(
    ReconnectNeeded,
    "forbidden",
    "Google does not let ReplySequence send for this account. Connect it again.",
)
_EDGE = Meaning(
    TryLater, "refused_on_the_way", "Something before Gmail refused the request. It is tried again by itself."
)
# The thread id is another mailbox's, or the thread was deleted (relaticle/relaticle#667).
_NO_THREAD = Meaning(
    NeverSent, "thread_not_found", "Gmail no longer has this conversation. The message is sent as a new one."
)

_MEANINGS: Mapping[str, Meaning] = {
    "dailyLimitExceeded": Meaning(
        TryLater,
        "project_quota",
        "This server's daily quota at Google is used up.",
        delay=3600,
        pauses_mailbox=True,
    ),
    "rateLimitExceeded": _QUOTA,
    "userRateLimitExceeded": _QUOTA,
    "quotaExceeded": _QUOTA,
    "RATE_LIMIT_EXCEEDED": _QUOTA,
    "RESOURCE_EXHAUSTED": _QUOTA,
    "insufficientPermissions": _SCOPE_MISSING,
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": _SCOPE_MISSING,
    "accessNotConfigured": _API_OFF,
    "SERVICE_DISABLED": _API_OFF,
    "domainPolicy": Meaning(
        ReconnectNeeded,
        "blocked_by_admin",
        "The administrator of this Google Workspace has switched Gmail off for apps. Ask them, then connect "
        "again.",
    ),
    "failedPrecondition": _NO_MAILBOX,
    "FAILED_PRECONDITION": _NO_MAILBOX,
    "invalidArgument": Meaning(
        Rejected,
        "invalid_message",
        "Gmail cannot use the message as it is, most often because of an address. It was not sent. Check the "
        "recipients.",
    ),
}
"""Gmail's reasons, the telling ones first: an answer may hold several."""


class Gmail(Searchable):
    """A Gmail or Google Workspace mailbox."""

    name: ClassVar = "gmail"
    title: ClassVar = "Gmail"
    category: ClassVar = Category.EMAIL
    variables: ClassVar = (
        *google.VARIABLES,
        Variable("GMAIL_API_URL", "The Gmail API.", "https://gmail.googleapis.com", VariableKind.URL),
        Variable(
            "GMAIL_WEB_URL", "Where people read their mail.", "https://mail.google.com", VariableKind.URL
        ),
        Variable(
            "GMAIL_SENDS_PER_MINUTE",
            "What Google's project quota allows, all mailboxes together: units a minute divided by 100.",
            "12000",
            VariableKind.NUMBER,
        ),
        Variable(
            "GMAIL_MAILBOX_SENDS_PER_MINUTE",
            "The same for one mailbox. Projects that used the Gmail API before May 2026 have 150.",
            "60",
            VariableKind.NUMBER,
        ),
    )
    limits: ClassVar = Limits(message_bytes=36_700_160, recipients=100)  # both checked 2026-11-22
    # Scopes and usage limits, checked 2026-11-22. A search would need gmail.readonly, which reads every text; under
    # gmail.metadata we list what was sent and compare headers. That takes 5 units, and 20 a message; a send takes 100.
    look_up: ClassVar = LookUp(
        scope=LOOK_SCOPE,
        allows="It lets ReplySequence see who your mail goes to and comes from, when, and its subjects, and no text or "
        "file in it. Google calls it “View your email message metadata, but not the email body”.",
        note="Google counts it among its restricted permissions. An app that anybody may connect needs Google's yearly "
        "security assessment for it, and until then Google warns or refuses.",
        costs=1 + (LIST_UNITS + MOST_READ * READ_UNITS) // SEND_UNITS,
    )

    @property
    def reachable_url(self) -> str:
        return self._values["GMAIL_API_URL"]

    @cached_property
    def oauth(self) -> OAuthSpec:
        self._require_configured()
        return google.oauth_spec(self._values, scope=SEND_SCOPE)

    @cached_property
    def looking_oauth(self) -> OAuthSpec:
        self._require_configured()
        return google.oauth_spec(self._values, scope=SEND_SCOPE, optional=(LOOK_SCOPE,))

    def identity(self, claims: Mapping[str, object]) -> Identity:
        return google.identity(claims, issuer=self.oauth.issuer)

    def scope_missing(self) -> str:
        return (
            "Google did not get your permission to send. Connect again and tick the box “Send email on your "
            "behalf” "
            "on Google's page."
        )

    def removal_url(self, issuer: str) -> str | None:  # noqa: ARG002
        return google.REMOVAL_URL

    def pace(self, email: str) -> Pace:
        """One at a time. Usage limits and mail limits (Workspace help 166852, answer 22839), checked 2026-11-22."""
        messages, recipients = (500, 500) if email.rpartition("@")[2] in _CONSUMER else (2_000, 10_000)
        return Pace(
            concurrency=1,
            rate=Rate(int(self._values["GMAIL_MAILBOX_SENDS_PER_MINUTE"]), _MINUTE),
            messages_per_day=messages,
            recipients_per_day=recipients,
        )

    @property
    def shared_rate(self) -> Rate:
        return Rate(int(self._values["GMAIL_SENDS_PER_MINUTE"]), _MINUTE)

    def check(self, message: Message, *, thread_id: str | None) -> list[Problem]:
        problems = problems_of(
            message,
            provider=self.title,
            max_recipients=self.limits.recipients,
            max_bytes=self.limits.message_bytes,
            size=lambda: len(write_mime(message)),
        )
        if thread_id is not None and message.in_reply_to is None:
            problems.append(
                Problem(
                    "thread_id",
                    "The message joins the conversation in your mailbox only: without In-Reply-To it starts "
                    "a new one "
                    "at the recipient.",
                    "warning",
                )
            )
        return problems

    def prepare(self, message: Message, *, thread_id: str | None) -> Prepared:
        raw = write_mime(message)
        if len(raw) > self.limits.message_bytes:
            raise Rejected(of_status(413, self.title).message, code="too_large")
        if len(raw) <= JSON_UP_TO:
            return self._as_json(raw, thread_id)
        return self._as_upload(raw, thread_id)

    async def send(self, prepared: Prepared, *, access_token: Secret) -> Receipt:
        credentials = {"Authorization": f"Bearer {access_token.reveal()}"}
        answer = await hand_over(self._http, prepared, provider=self.title, headers=credentials)
        body = json_object(answer)
        if answer.status == 200:  # accepted, whatever became of the body
            return Receipt(200, provider_id(body.get("id")), provider_id(body.get("threadId")))
        raise _meaning(answer, mapping(body.get("error")), in_thread=prepared.thread_id is not None)

    async def find_sent(self, sought: Sought, *, access_token: Secret, known: Known) -> Found | None:
        url = f"{self._values['GMAIL_API_URL']}/gmail/v1/users/me/messages"
        ask_gmail = partial(ask, self._http, provider=self.title, access_token=access_token)
        listed = await ask_gmail(f"{url}?labelIds=SENT&maxResults={MOST_LISTED}")
        ids = [each for item in mappings(listed.get("messages")) if (each := provider_id(item.get("id")))]
        others = await known(ids[:MOST_LISTED])
        candidates = [each for each in dict.fromkeys(ids[:MOST_LISTED]) if each not in others]
        for each in candidates[:MOST_READ]:
            message = await ask_gmail(f"{url}/{each}?{_AS_METADATA}")
            if _is(message, sought):
                return Found(each, provider_id(message.get("threadId")))
            if _is_older(message, than=sought.since - CLOCKS_DIFFER):
                break  # the list begins with the newest
        return None

    def sent_folder_url(self, *, email: str, subject: str) -> str:
        search = f'in:sent subject:"{subject.replace(chr(34), " ")}"'
        account = f"{self._values['GMAIL_WEB_URL']}/mail/?authuser={quote(email, safe='')}"
        return f"{account}#search/{quote(search, safe='')}"

    def _as_json(self, raw: bytes, thread_id: str | None) -> Prepared:
        in_thread = "" if thread_id is None else f', "threadId": {json.dumps(thread_id)}'
        return Prepared(
            url=f"{self._values['GMAIL_API_URL']}/gmail/v1/users/me/messages/send",
            headers={"Content-Type": "application/json"},
            # No character of base64 has to be escaped, so the message is not looked through for any.
            body=b"".join((b'{"raw": "', pybase64.urlsafe_b64encode(raw), b'"', in_thread.encode(), b"}")),
            thread_id=thread_id,
        )

    def _as_upload(self, raw: bytes, thread_id: str | None) -> Prepared:
        url = f"{self._values['GMAIL_API_URL']}/upload/gmail/v1/users/me/messages/send?uploadType="
        if thread_id is None:
            return Prepared(f"{url}media", {"Content-Type": "message/rfc822"}, raw)
        boundary = f"replysequence-{hashlib.sha256(raw).hexdigest()}"
        start = (
            f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
            f"{json.dumps({'threadId': thread_id})}\r\n"
            f"--{boundary}\r\nContent-Type: message/rfc822\r\n\r\n"
        )
        return Prepared(
            url=f"{url}multipart",
            headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
            body=b"".join((start.encode(), raw, f"\r\n--{boundary}--\r\n".encode())),
            thread_id=thread_id,
        )


def _meaning(answer: Answer, error: Mapping[str, object], *, in_thread: bool) -> ProviderError:
    reasons = [
        word(item.get("reason")) for item in (*mappings(error.get("errors")), *mappings(error.get("details")))
    ]
    reasons = [*filter(None, reasons), *filter(None, [word(error.get("status"))])]
    now = datetime.now(UTC)
    return _classify(answer.status, reasons, in_thread=in_thread).as_error(
        status=answer.status,
        details={"reasons": reasons} if reasons else None,
        delay=retry_delay(answer.headers, now=now),
        not_before=_told_time(error.get("message"), now=now),
    )


def _classify(status: int, reasons: list[str], *, in_thread: bool) -> Meaning:
    by_status = of_status(status, Gmail.title)
    if by_status.error is not Rejected:
        return by_status
    known = next((meaning for reason, meaning in _MEANINGS.items() if reason in reasons), None)
    if known is not None:
        return known
    if status in (403, 404) and not reasons:
        return _EDGE
    if status == 403:
        return _FORBIDDEN
    return _NO_THREAD if status == 404 and in_thread else by_status


def _is(message: Mapping[str, object], sought: Sought) -> bool:
    headers = mappings(mapping(message.get("payload")).get("headers"))
    said = {(str(header.get("name")).lower(), str(header.get("value")).strip()) for header in headers}
    return (SEND_ID_HEADER.lower(), sought.send_id) in said or ("message-id", sought.message_id) in said


def _is_older(message: Mapping[str, object], *, than: datetime) -> bool:
    """By `internalDate`, milliseconds since 1970. A message without one may be anything."""
    moment = str(message.get("internalDate", ""))[:15]
    return moment.isascii() and moment.isdigit() and int(moment) < than.timestamp() * 1000


def _told_time(message: object, *, now: datetime) -> datetime | None:
    """The time in “Retry after 2026-08-11T11:38:10.449Z”, with one or two spaces and sometimes a suffix."""
    found = _RETRY_AFTER.search(message[:1000]) if isinstance(message, str) else None
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return min(max(moment, now), now + LONGEST_PAUSE)
