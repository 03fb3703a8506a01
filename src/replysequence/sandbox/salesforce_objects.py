"""The objects of Salesforce: their fields, how long a value may be, what may be written, and what leads where.

Source: Salesforce's object reference and field reference for EmailMessage, EmailMessageRelation and Task, checked
2026-11-22; the other objects have their most common fields only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from replysequence.sandbox.records import Record
from replysequence.sandbox.salesforce_org import TASK_STATUSES


class Kind(Enum):
    """What a field holds."""

    TEXT = auto()
    LONG_TEXT = auto()
    """Text that queries can show but not filter."""
    EMAIL = auto()
    ID = auto()
    IDS = auto()
    BOOLEAN = auto()
    NUMBER = auto()
    DATE = auto()
    DATETIME = auto()
    PICKLIST = auto()


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field. `to` are the types that an id may be of, `options` the values of a restricted picklist."""

    kind: Kind = Kind.TEXT
    length: int = 255
    required: bool = False
    writable: bool = True
    changeable: bool = True
    """Whether it may be written after the record was made."""
    to: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def _id(*to: str, required: bool = False, changeable: bool = True) -> Field:
    return Field(kind=Kind.ID, length=18, to=to, required=required, changeable=changeable)


_FIXED: Final = Field(writable=False)
_SYSTEM: Final = {
    "Id": Field(kind=Kind.ID, length=18, writable=False),
    "CreatedDate": Field(kind=Kind.DATETIME, writable=False),
    "CreatedById": Field(kind=Kind.ID, length=18, to=("User",), writable=False),
    "LastModifiedDate": Field(kind=Kind.DATETIME, writable=False),
    "SystemModstamp": Field(kind=Kind.DATETIME, writable=False),
    "IsDeleted": Field(kind=Kind.BOOLEAN, writable=False),
}
_LONG: Final = Field(kind=Kind.LONG_TEXT, length=32_000)
_ADDRESSES: Final = Field(length=4000)
_PEOPLE: Final = ("Contact", "Lead", "User")
_PERSON: Final = {
    "FirstName": Field(length=40),
    "LastName": Field(length=80, required=True),
    "Name": _FIXED,
    "Title": Field(length=128),
    "Email": Field(kind=Kind.EMAIL, length=80),
    "Phone": Field(length=40),
    "OwnerId": _id("User"),
    "LeadSource": Field(length=40),
    "Description": _LONG,
}

_OWN: Final[dict[str, dict[str, Field]]] = {
    "Contact": {**_PERSON, "AccountId": _id("Account")},
    "Lead": {
        **_PERSON,
        "Company": Field(required=True),
        "Status": Field(length=40),
        "IsConverted": Field(kind=Kind.BOOLEAN, writable=False),
        "ConvertedContactId": Field(kind=Kind.ID, length=18, to=("Contact",), writable=False),
    },
    "EmailMessage": {
        "Status": Field(kind=Kind.PICKLIST, options=tuple("012345")),
        "Incoming": Field(kind=Kind.BOOLEAN),
        "MessageDate": Field(kind=Kind.DATETIME),
        "Subject": Field(length=3000),
        "TextBody": _LONG,
        "HtmlBody": _LONG,
        "Headers": _LONG,
        "FromAddress": Field(length=1000),
        "FromName": Field(length=1000),
        "ToAddress": _ADDRESSES,
        "CcAddress": _ADDRESSES,
        "BccAddress": _ADDRESSES,
        "ToIds": Field(kind=Kind.IDS, to=_PEOPLE),
        "CcIds": Field(kind=Kind.IDS, to=_PEOPLE),
        "BccIds": Field(kind=Kind.IDS, to=_PEOPLE),
        "RelatedToId": _id("Account", "Opportunity"),
        "ActivityId": _id("Task"),
        "MessageIdentifier": Field(),
        "ThreadIdentifier": Field(),
        "IsExternallyVisible": Field(kind=Kind.BOOLEAN),
        "IsClientManaged": Field(kind=Kind.BOOLEAN),
    },
    "EmailMessageRelation": {
        "EmailMessageId": _id("EmailMessage", required=True, changeable=False),
        "RelationType": Field(
            kind=Kind.PICKLIST,
            required=True,
            changeable=False,
            options=("ToAddress", "CcAddress", "BccAddress", "FromAddress", "OtherAddress"),
        ),
        "RelationId": _id(*_PEOPLE, changeable=False),
        "RelationAddress": Field(changeable=False),
        "RelationObjectType": _FIXED,
    },
    "Task": {
        "Subject": Field(),
        "Status": Field(kind=Kind.PICKLIST, options=tuple(label for label, _ in TASK_STATUSES)),
        "Priority": Field(kind=Kind.PICKLIST, options=("High", "Normal", "Low")),
        "TaskSubtype": Field(
            kind=Kind.PICKLIST,
            changeable=False,
            options=("Task", "Email", "ListEmail", "Call", "Cadence", "LinkedIn"),
        ),
        "ActivityDate": Field(kind=Kind.DATE),
        "Description": _LONG,
        "WhoId": _id("Contact", "Lead"),
        "WhatId": _id("Account", "Opportunity"),
        "OwnerId": _id("User"),
        "IsClosed": Field(kind=Kind.BOOLEAN, writable=False),
        "CompletedDateTime": Field(kind=Kind.DATETIME, writable=False),
    },
    "Account": {"Name": Field(), "OwnerId": _id("User")},
    "Opportunity": {
        "Name": Field(length=120),
        "AccountId": _id("Account"),
        "OwnerId": _id("User"),
        "StageName": Field(),
        "Amount": Field(kind=Kind.NUMBER),
        "CloseDate": Field(kind=Kind.DATE),
        "IsClosed": Field(kind=Kind.BOOLEAN, writable=False),
        "IsWon": Field(kind=Kind.BOOLEAN, writable=False),
    },
    "OpportunityContactRole": {
        "OpportunityId": _id("Opportunity"),
        "ContactId": _id("Contact"),
        "Role": Field(),
        "IsPrimary": Field(kind=Kind.BOOLEAN),
    },
    "User": {
        "Name": _FIXED,
        "FirstName": _FIXED,
        "LastName": _FIXED,
        "Email": Field(kind=Kind.EMAIL, writable=False),
        "Username": _FIXED,
        "IsActive": Field(kind=Kind.BOOLEAN, writable=False),
    },
    "TaskStatus": {
        "MasterLabel": _FIXED,
        "ApiName": _FIXED,
        "IsClosed": Field(kind=Kind.BOOLEAN, writable=False),
    },
}

FIELDS: Final[dict[str, dict[str, Field]]] = {kind: _SYSTEM | own for kind, own in _OWN.items()}
"""The fields of every object, by name."""

CREATABLE: Final = ("Contact", "Lead", "EmailMessage", "EmailMessageRelation", "Task")
"""What the sandbox lets an app make."""


def relationship(kind: str, name: str) -> tuple[str, str] | None:
    """The id field and the type behind a relationship such as `Account` or `Owner`; None where there is none."""
    wanted = f"{name}Id".casefold()
    for field_name, field in FIELDS[kind].items():
        if field_name.casefold() == wanted and len(field.to) == 1:
            return field_name, field.to[0]
    return None


def canonical(kind: str, name: str) -> str | None:
    """The name of a field as Salesforce spells it; None where there is no such field."""
    return next((known for known in FIELDS[kind] if known.casefold() == name.casefold()), None)


def value_of(record: Record, name: str) -> object:
    """The value of a field of `record`, what Salesforce works out itself included."""
    if name in _WORKED_OUT:
        return _WORKED_OUT[name](record)
    if name == "Name" and record.kind in ("Contact", "Lead"):
        return " ".join(
            str(record.fields[part]) for part in ("FirstName", "LastName") if record.fields.get(part)
        )
    value = record.fields.get(name)
    if value is None and FIELDS[record.kind][name].kind is Kind.BOOLEAN:
        return False
    return value


def stamp(record: Record, *, updated: bool = False) -> str:
    """When `record` was made, or last changed, as Salesforce writes it."""
    moment = record.updated_at if updated else record.created_at
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "+0000")


_WORKED_OUT: Final[Mapping[str, Callable[[Record], object]]] = {
    "Id": lambda record: record.id,
    "CreatedDate": stamp,
    "LastModifiedDate": lambda record: stamp(record, updated=True),
    "SystemModstamp": lambda record: stamp(record, updated=True),
    "IsDeleted": lambda record: record.deleted,
}
