"""What Salesforce does by itself when an email is kept: its relations and its task.

Source: object reference, EmailMessage and EmailMessageRelation, checked 2026-11-22.
"""

from replysequence.sandbox.accounts import Account
from replysequence.sandbox.records import Record
from replysequence.sandbox.salesforce_ids import type_of
from replysequence.sandbox.salesforce_org import Org
from replysequence.sandbox.salesforce_writing import DRAFT

_RELATIONS = {"ToIds": "ToAddress", "CcIds": "CcAddress", "BccIds": "BccAddress"}


def complete(email: Record, org: Org, account: Account) -> None:
    """Relate `email` to the records in its ids, and make its task; a draft has none."""
    for name, relation in _RELATIONS.items():
        for record_id in email.fields.get(name) or []:
            person = org.records.find(type_of(record_id), record_id)
            org.make(
                "EmailMessageRelation",
                EmailMessageId=email.id,
                RelationType=relation,
                RelationId=record_id,
                RelationAddress=person.fields.get("Email") if person else None,
                RelationObjectType=type_of(record_id),
            )
    if email.fields.get("Status") != DRAFT:
        email.fields["ActivityId"] = _task(email, org, account).id


def _task(email: Record, org: Org, account: Account) -> Record:
    people = [each for name in _RELATIONS for each in email.fields.get(name) or []]
    who = next((each for each in people if type_of(each) in ("Contact", "Lead")), None)
    return org.make(
        "Task",
        Subject=f"Email: {email.fields.get('Subject') or ''}"[:255],
        Status="Completed",
        Priority="Normal",
        TaskSubtype="Email",
        IsClosed=True,
        ActivityDate=str(email.fields.get("MessageDate") or email.created_at.isoformat())[:10],
        Description=str(email.fields.get("TextBody") or "")[:32_000],
        WhoId=who,
        WhatId=email.fields.get("RelatedToId"),
        OwnerId=account.subject,
        CreatedById=account.subject,
    )


def people_of(email: Record) -> list[str]:
    """The ids of the records that `email` lies on: those it went to, and the one it is about."""
    found = [each for name in _RELATIONS for each in email.fields.get(name) or []]
    return [*found, *([email.fields["RelatedToId"]] if email.fields.get("RelatedToId") else [])]
