"""A sent message as Salesforce keeps it: an EmailMessage, or a Task where there are none.

Sources, checked 2026-11-22: the object and field references of EmailMessage and Task.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC

from replysequence.domain.address import Address
from replysequence.domain.plain_text import plain_text
from replysequence.domain.report import LoggedEmail
from replysequence.providers.crm import Person, bodies
from replysequence.providers.looking import SEND_ID_HEADER

CONTACT, LEAD, EMAIL, TASK = "Contact", "Lead", "EmailMessage", "Task"

_TEXT, _SUBJECT, _TASK_SUBJECT, _ADDRESSES, _SENDER, _IDENTIFIER = 32_000, 3000, 255, 4000, 1000, 255
"""Characters that fields hold."""
_SENT = "3"
"""`Status` of an EmailMessage."""


def email_message(
    email: LoggedEmail, people: Sequence[Person], *, related_to: str | None
) -> dict[str, object]:
    """The fields of an EmailMessage on ``people``. Records go in by their ids, which puts the message on them; only
    whom Salesforce does not know goes in by address. The Task beside it is made by Salesforce itself.
    """
    html, text = bodies(email, most=_TEXT)
    fields: dict[str, object] = {
        "Status": _SENT,
        "Incoming": False,
        "MessageDate": email.sent_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Subject": email.subject[:_SUBJECT],
        "HtmlBody": html,
        "TextBody": text,
        "FromAddress": email.sender.email,
        "FromName": email.sender.name[:_SENDER],
        "MessageIdentifier": identifiers(email)[0],
        "Headers": f"Message-ID: <{email.message_id}>\n{_mark(email)}",
        "RelatedToId": related_to,
    }
    for name, addresses in {"To": email.to, "Cc": email.cc, "Bcc": email.bcc}.items():
        known = {each.email.casefold(): each.id for each in people}
        fields[f"{name}Ids"] = [
            known[each.email.casefold()] for each in addresses if each.email.casefold() in known
        ]
        fields[f"{name}Address"] = _joined(each for each in addresses if each.email.casefold() not in known)
    return {name: value for name, value in fields.items() if value not in (None, "", [])}


def task(email: LoggedEmail, person: Person, *, related_to: str | None, status: str) -> dict[str, object]:
    """The fields of a Task on ``person``, for an org without EmailMessage. A Task is on one person only."""
    fields = {
        "Status": status,
        "Priority": "Normal",
        "TaskSubtype": "Email",
        "Subject": task_subject(email, "Email"),
        "WhoId": person.id,
        "WhatId": related_to,
        "ActivityDate": email.sent_at.astimezone(UTC).date().isoformat(),
        "Description": _description(email)[:_TEXT],
    }
    return {name: value for name, value in fields.items() if value}


def task_subject(email: LoggedEmail, what: str) -> str:
    """What a Task about ``email`` is called."""
    return f"{what}: {email.subject}"[:_TASK_SUBJECT]


def identifiers(email: LoggedEmail) -> tuple[str, str]:
    """How an EmailMessage of ``email`` may name it; whoever else logs it may leave the brackets out."""
    return f"<{email.message_id}>"[:_IDENTIFIER], email.message_id[:_IDENTIFIER]


def is_marked(text: object, email: LoggedEmail) -> bool:
    """Whether the headers of an EmailMessage, or the description of a Task, show that we made it of ``email``."""
    return isinstance(text, str) and _mark(email) in text.splitlines()


def _mark(email: LoggedEmail) -> str:
    return f"{SEND_ID_HEADER}: {email.send_id}"


def _description(email: LoggedEmail) -> str:
    """The message as text, below who it went to and our mark: what is too long is cut at its end."""
    head = [f"From: {email.sender}"]
    for name, addresses in {"To": email.to, "Cc": email.cc, "Bcc": email.bcc}.items():
        head += [f"{name}: {_joined(addresses)}"] if addresses else []
    text = email.text or (plain_text(email.html) if email.html else "")
    return "\n".join([*head, _mark(email), "", text]).rstrip()


def _joined(addresses: Iterable[Address]) -> str:
    """Addresses as one field holds them, as many as fit."""
    joined = ""
    for each in addresses:
        longer = f"{joined}; {each.email}" if joined else each.email
        if len(longer) > _ADDRESSES:
            break
        joined = longer
    return joined
