"""What Salesforce checks before it keeps or changes a record.

Source: object reference (EmailMessage, EmailMessageRelation, Task) and field reference, checked 2026-11-22.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from replysequence.sandbox.headers import is_address
from replysequence.sandbox.records import Record
from replysequence.sandbox.salesforce_errors import (
    DUPLICATE,
    READ_ONLY,
    Failure,
    SalesforceRefusedError,
    invalid_field,
    unwritable,
)
from replysequence.sandbox.salesforce_ids import read_id, type_of
from replysequence.sandbox.salesforce_objects import FIELDS, Field, Kind, canonical
from replysequence.sandbox.salesforce_org import Org

DRAFT: Final = "5"
_DATETIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})")


def check_new(kind: str, given: Mapping[str, Any], org: Org) -> dict[str, Any]:
    """The fields of a record that is to be made, ids in their long form. Raises `SalesforceRefusedError`."""
    fields = _known(kind, given)
    if kind == "EmailMessage" and fields.get("ActivityId") is not None:
        raise SalesforceRefusedError(READ_ONLY)
    blocked = [name for name in fields if not FIELDS[kind][name].writable]
    if blocked:
        raise SalesforceRefusedError(unwritable(blocked))
    missing = [name for name, field in FIELDS[kind].items() if field.required and not fields.get(name)]
    if missing:
        message = f"Required fields are missing: [{', '.join(missing)}]"
        raise SalesforceRefusedError(Failure(400, "REQUIRED_FIELD_MISSING", message, tuple(missing)))
    checked = {name: _value(name, FIELDS[kind][name], value, org) for name, value in fields.items()}
    _check_whole(kind, checked, org)
    return checked


def check_change(record: Record, given: Mapping[str, Any], org: Org) -> dict[str, Any]:
    """The fields of a change. Raises `SalesforceRefusedError`, also for an email that is no draft any more."""
    fields = _known(record.kind, given)
    blocked = [name for name in fields if not _may_change(record, name, fields[name])]
    if blocked:
        raise SalesforceRefusedError(unwritable(blocked))
    checked = {name: _value(name, FIELDS[record.kind][name], value, org) for name, value in fields.items()}
    _check_whole(record.kind, {**record.fields, **checked}, org, itself=record)
    return checked


def _may_change(record: Record, name: str, value: object) -> bool:
    field = FIELDS[record.kind][name]
    if not field.writable or not field.changeable:
        return False
    if record.kind != "EmailMessage" or record.fields.get("Status") == DRAFT:
        return True
    read = name == "Status" and (record.fields.get("Status"), value) == ("0", "1")
    return read or name == "IsExternallyVisible"


def _known(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in given.items():
        if name == "attributes":
            continue
        spelt = canonical(kind, name)
        if spelt is None:
            raise SalesforceRefusedError(invalid_field(f"No such column '{name}' on sobject of type {kind}"))
        fields[spelt] = value
    return fields


def _value(name: str, field: Field, value: Any, org: Org) -> Any:
    if value is None or (value == "" and field.kind is not Kind.IDS):
        return None
    reader = _READERS.get(field.kind)
    return reader(name, field, value, org) if reader else _text(name, field, value, org)


def _text(name: str, field: Field, value: Any, org: Org) -> str:  # noqa: ARG001  # a reader's signature
    if not isinstance(value, str):
        raise SalesforceRefusedError(_unparsable(name, "VALUE_STRING"))
    if len(value) > field.length:
        message = f"{name}: data value too large: {value[:40]} (max length={field.length})"
        raise SalesforceRefusedError(Failure(400, "STRING_TOO_LONG", message, (name,)))
    return value


def _picklist(name: str, field: Field, value: Any, org: Org) -> str:
    text = _text(name, field, value, org)
    if text not in field.options:
        message = f"{name}: bad value for restricted picklist field: {text}"
        raise SalesforceRefusedError(
            Failure(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, (name,))
        )
    return text


def _email(name: str, field: Field, value: Any, org: Org) -> str:
    text = _text(name, field, value, org)
    if not is_address(text):
        message = f"{name}: invalid email address: {text}"
        raise SalesforceRefusedError(Failure(400, "INVALID_EMAIL_ADDRESS", message, (name,)))
    return text


def _boolean(name: str, field: Field, value: Any, org: Org) -> bool:  # noqa: ARG001  # a reader's signature
    if not isinstance(value, bool):
        raise SalesforceRefusedError(_unparsable(name, "VALUE_TRUE"))
    return value


def _day(name: str, field: Field, value: Any, org: Org) -> str:
    text = _text(name, field, value, org)
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise SalesforceRefusedError(_unparsable(name, "VALUE_STRING")) from None


def _moment(name: str, field: Field, value: Any, org: Org) -> str:
    text = _text(name, field, value, org)
    try:
        if not _DATETIME.fullmatch(text):
            raise ValueError(text)
        return datetime.fromisoformat(text).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
    except ValueError:
        raise SalesforceRefusedError(_unparsable(name, "VALUE_STRING")) from None


def _reference(name: str, field: Field, value: Any, org: Org) -> str:
    record_id = read_id(_text(name, field, value, org))
    if record_id is None:
        message = f"{name}: id value of incorrect type: {value}"
        raise SalesforceRefusedError(Failure(400, "MALFORMED_ID", message, (name,)))
    kind = type_of(record_id)
    if kind not in field.to:
        message = f"{name}: id value of incorrect type: {value}"
        raise SalesforceRefusedError(Failure(400, "FIELD_INTEGRITY_EXCEPTION", message, (name,)))
    if org.records.find(kind, record_id) is None:
        message = "invalid cross reference id"
        raise SalesforceRefusedError(Failure(400, "INVALID_CROSS_REFERENCE_KEY", message, (name,)))
    return record_id


def _references(name: str, field: Field, value: Any, org: Org) -> list[str]:
    if not isinstance(value, list):
        raise SalesforceRefusedError(_unparsable(name, "VALUE_STRING"))
    return [_reference(name, field, each, org) for each in value]


_READERS: Final[dict[Kind, Callable[[str, Field, Any, Org], Any]]] = {
    Kind.PICKLIST: _picklist,
    Kind.EMAIL: _email,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _day,
    Kind.DATETIME: _moment,
    Kind.ID: _reference,
    Kind.IDS: _references,
}


def _unparsable(name: str, token: str) -> Failure:
    return Failure(400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of {name} from {token} value")


def _check_whole(kind: str, fields: Mapping[str, Any], org: Org, *, itself: Record | None = None) -> None:
    """What depends on more than one field, or on what is there already."""
    if kind == "EmailMessage":
        people = [each for name in ("ToIds", "CcIds", "BccIds") for each in fields.get(name) or []]
        if fields.get("RelatedToId") and any(type_of(each) == "Lead" for each in people):
            raise SalesforceRefusedError(
                _integrity("RelatedToId", "WhatId is not available for sending emails to Leads.")
            )
    if kind == "Task" and fields.get("WhatId") and type_of(fields.get("WhoId") or "") == "Lead":
        raise SalesforceRefusedError(
            _integrity("WhatId", "If this activity is related to a Lead, it cannot have another relation.")
        )
    if kind in ("Contact", "Lead") and org.blocks_duplicates and fields.get("Email"):
        wanted = str(fields["Email"]).casefold()
        same = [each for each in org.records.of(kind) if str(each.fields.get("Email")).casefold() == wanted]
        if any(each is not itself for each in same):
            raise SalesforceRefusedError(DUPLICATE)


def _integrity(name: str, message: str) -> Failure:
    return Failure(400, "FIELD_INTEGRITY_EXCEPTION", message, (name,))
