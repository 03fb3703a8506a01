"""What a person sees in a Salesforce org: its records, and what is logged on them."""

from datetime import datetime
from typing import Final

from replysequence.sandbox.records import Activity, Card, Place, Record
from replysequence.sandbox.resend_message import to_text
from replysequence.sandbox.salesforce_email import people_of
from replysequence.sandbox.salesforce_ids import type_of
from replysequence.sandbox.salesforce_objects import value_of
from replysequence.sandbox.salesforce_org import Org

_STATUSES: Final = dict(zip("012345", ("New", "Read", "Replied", "Sent", "Forwarded", "Draft"), strict=True))
_PEOPLE: Final = ("Contact", "Lead")


def place(org: Org, record: Record) -> Place:
    """Where the page of `record` is: the path that it has at the org's own host."""
    href = f"/salesforce/{org.instance}/lightning/r/{record.kind}/{record.id}/view"
    return Place(kind=_word(record.kind), name=_name(record), href=href)


def card(org: Org, record: Record) -> Card:
    """The page of `record`."""
    mine = [each for each in _logged(org) if record.id in (each.id, *_lies_on(each))]
    made = [record] if record.by and record.kind in _PEOPLE else []
    facts = (
        (name, str(value)) for name, value in record.fields.items() if isinstance(value, str | float | int)
    )
    return Card(
        title=_name(record),
        kind=_word(record.kind),
        facts=tuple((name, value) for name, value in facts if value and len(value) < 200),
        places=tuple(place(org, other) for other in _related(org, record)),
        activities=_in_order([_activity(org, each) for each in (*mine, *made)]),
    )


def activities(org: Org) -> tuple[Activity, ...]:
    """Everything that was logged or made in the org, newest first."""
    made = [each for kind in _PEOPLE for each in org.records.of(kind) if each.by]
    return _in_order([_activity(org, each) for each in (*_logged(org), *made)])


def people(org: Org) -> tuple[Place, ...]:
    """Everybody in the org."""
    return tuple(place(org, each) for kind in _PEOPLE for each in org.records.of(kind))


def _logged(org: Org) -> list[Record]:
    """Emails, and the tasks that are not merely the shadow of one."""
    emails = org.records.of("EmailMessage")
    shadows = {each.fields.get("ActivityId") for each in emails}
    return [*emails, *(task for task in org.records.of("Task") if task.id not in shadows)]


def _lies_on(record: Record) -> list[str]:
    if record.kind == "EmailMessage":
        return [*people_of(record), str(record.fields.get("ActivityId"))]
    return [str(record.fields[name]) for name in ("WhoId", "WhatId") if record.fields.get(name)]


def _related(org: Org, record: Record) -> list[Record]:
    """The records that `record` leads to, and the deals of a contact."""
    ids = [str(value) for name, value in record.fields.items() if name.endswith("Id") and name != "OwnerId"]
    for role in org.records.of("OpportunityContactRole"):
        pair = str(role.fields["ContactId"]), str(role.fields["OpportunityId"])
        if record.id in pair:
            ids += [each for each in pair if each != record.id]
    found = [org.records.find(type_of(each), each) for each in dict.fromkeys(ids)]
    return [each for each in found if each is not None and each.kind != "User"]


def _activity(org: Org, record: Record) -> Activity:
    fields, on = record.fields, [org.records.find(type_of(each), each) for each in _lies_on(record)]
    places = tuple(place(org, each) for each in on if each is not None and each.kind != "Task")
    at, text, told = record.created_at, "", [("Email", fields.get("Email"))]
    if record.kind == "EmailMessage":
        at = datetime.fromisoformat(fields["MessageDate"]) if fields.get("MessageDate") else at
        text = str(fields.get("TextBody") or to_text(str(fields.get("HtmlBody") or "")))
        told = [
            ("From", fields.get("FromAddress")),
            ("Other recipients", fields.get("ToAddress")),
            ("Status", _STATUSES.get(str(fields.get("Status")))),
            ("Message-ID", fields.get("MessageIdentifier")),
        ]
    elif record.kind == "Task":
        text = str(fields.get("Description") or "")
        told = [("Status", fields.get("Status")), ("Due", fields.get("ActivityDate"))]
    else:
        places = (place(org, record),)
    return Activity(
        at=at,
        by=record.by,
        kind=f"{_word(record.kind)} created" if record.kind in _PEOPLE else _word(record.kind),
        title=_name(record),
        text=text,
        places=places,
        details=tuple((label, str(value)) for label, value in (*told, ("Id", record.id)) if value),
    )


def _word(kind: str) -> str:
    return {"EmailMessage": "Email", "OpportunityContactRole": "Contact role"}.get(kind, kind)


def _name(record: Record) -> str:
    if record.kind in _PEOPLE:
        return str(value_of(record, "Name"))
    return str(record.fields.get("Name") or record.fields.get("Subject") or record.id)


def _in_order(found: list[Activity]) -> tuple[Activity, ...]:
    return tuple(sorted(found, key=lambda each: each.at, reverse=True))
