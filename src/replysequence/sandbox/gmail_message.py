"""What Gmail makes of a message that it is handed: recipients, rewritten headers, the two copies."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr

from replysequence.sandbox.accounts import Account
from replysequence.sandbox.gmail_errors import RECIPIENT_REQUIRED, bad_request
from replysequence.sandbox.google_errors import GoogleRefusedError
from replysequence.sandbox.headers import header_values, people, rewrite
from replysequence.sandbox.world import GOOGLE_PROJECT, SEND_ID_HEADER

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+\Z")
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
_REPLY_PREFIX = re.compile(r"\A(?:(?:re|fwd?)\s*:\s*)+", re.IGNORECASE)
_GOOGLE_ZONE = timezone(timedelta(hours=-8))


@dataclass(frozen=True)
class Submission:
    """What a send request hands over: the message, and the thread it wants to join."""

    raw: bytes
    thread_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A message that Gmail is ready to accept."""

    recipients: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    send_id: str | None
    delivered: bytes
    sent_copy: bytes


def read(raw: bytes, *, account: Account, now: datetime) -> Outgoing:
    """Check and rewrite a message as Gmail does for `account`.

    From is kept when it is the account's own address or alias and replaced otherwise; Message-ID and Date are
    always replaced; the recipients' copy has no Bcc and gains a Received line, the sender's keeps Bcc.
    Raises `GoogleRefusedError` for a message without recipients or with an unreadable address.
    """
    to, cc, bcc = (tuple(_addresses(raw, name)) for name in ("To", "Cc", "Bcc"))
    recipients = tuple(dict.fromkeys((*to, *cc, *bcc)))
    if not recipients:
        raise GoogleRefusedError(RECIPIENT_REQUIRED)
    date = format_datetime(now.astimezone(_GOOGLE_ZONE))
    first = {"Message-ID": f"<CA{secrets.token_urlsafe(38)}@mail.gmail.com>", "Date": date}
    drop = ["Message-ID", "Date"]
    if not _sends_as_itself(raw, account):
        drop.append("From")
        first["From"] = formataddr((account.name, account.email))
    if not header_values(raw, "MIME-Version"):
        first["MIME-Version"] = "1.0"
    sent_copy = rewrite(raw, drop=drop, first=first)
    route = {"Received": f"from {GOOGLE_PROJECT} named unknown by gmailapi.google.com with HTTPREST; {date}"}
    return Outgoing(
        recipients=recipients,
        bcc=tuple(address for address in bcc if address not in (*to, *cc)),
        subject=next(iter(header_values(raw, "Subject")), ""),
        send_id=next(iter(header_values(raw, SEND_ID_HEADER)), None),
        delivered=rewrite(sent_copy, drop=["Bcc"], first=route),
        sent_copy=sent_copy,
    )


def _addresses(raw: bytes, name: str) -> Iterator[str]:
    for _, address in people(raw, name):
        if not _ADDRESS.match(address):
            raise GoogleRefusedError(bad_request(f"Invalid {name} header"))
        yield address
    if any(header_values(raw, name)) and not people(raw, name):
        raise GoogleRefusedError(bad_request(f"Invalid {name} header"))


def _sends_as_itself(raw: bytes, account: Account) -> bool:
    senders = people(raw, "From")
    return len(senders) == 1 and account.owns(senders[0][1])


def same_thread(outgoing: Outgoing, earlier: bytes, earlier_subject: str) -> bool:
    """Whether `outgoing` names `earlier` in References or In-Reply-To, and the subjects agree."""
    known = {*_MESSAGE_ID.findall(" ".join([*header_values(earlier, "Message-ID"), *_named(earlier)]))}
    answers = not known.isdisjoint(_MESSAGE_ID.findall(" ".join(_named(outgoing.sent_copy))))
    return answers and _bare(outgoing.subject) == _bare(earlier_subject)


def _named(raw: bytes) -> list[str]:
    return [*header_values(raw, "References"), *header_values(raw, "In-Reply-To")]


def _bare(subject: str) -> str:
    return _REPLY_PREFIX.sub("", subject.strip()).casefold()


def bounce(account: Account, outgoing: Outgoing, *, now: datetime) -> tuple[str, bytes]:
    """Subject and bytes of the notice to a sender whose message was dropped over the limit."""
    notice = EmailMessage(policy=SMTP)
    notice["From"] = "Mail Delivery Subsystem <mailer-daemon@googlemail.com>"
    notice["To"] = account.email
    notice["Subject"] = "You have reached a limit for sending mail. Your message was not sent."
    notice["Date"] = format_datetime(now)
    notice["Auto-Submitted"] = "auto-replied"
    notice.set_content(f"Your message to {', '.join(outgoing.recipients)} was not sent.\n")
    return str(notice["Subject"]), notice.as_bytes()
