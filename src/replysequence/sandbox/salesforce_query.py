"""Answers queries: looks fields up, compares as Salesforce compares, shows what was selected.

Texts are compared without regard to case, ids in either length, and a relationship such as `Account.Name` is followed.
Source: SOQL reference, "Comparison Operators" and "Relationship Queries", checked 2026-11-22.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Final

from replysequence.sandbox.records import Record
from replysequence.sandbox.salesforce_errors import Failure, SalesforceRefusedError, invalid_field
from replysequence.sandbox.salesforce_ids import read_id
from replysequence.sandbox.salesforce_objects import FIELDS, Field, Kind, canonical, relationship, value_of
from replysequence.sandbox.salesforce_org import Org
from replysequence.sandbox.salesforce_soql import Comparison, Condition, Junction, Literal, Query

_UNFILTERED: Final = (Kind.LONG_TEXT, Kind.IDS)
_QUOTED: Final = (Kind.TEXT, Kind.EMAIL, Kind.PICKLIST, Kind.ID)
_EXPECTED: Final[dict[Kind, tuple[type, ...]]] = {
    Kind.BOOLEAN: (bool,),
    Kind.NUMBER: (float,),
    Kind.DATE: (date,),
    Kind.DATETIME: (datetime,),
}
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda value, other: value == other,
    "!=": lambda value, other: value != other,
    "<": lambda value, other: value is not None and other is not None and value < other,
    ">": lambda value, other: value is not None and other is not None and value > other,
    "<=": lambda value, other: value is not None and other is not None and value <= other,
    ">=": lambda value, other: value is not None and other is not None and value >= other,
}


def run(query: Query, org: Org, *, path: str) -> dict[str, Any]:
    """The answer to `query`; `path` leads to the org's records. Raises `SalesforceRefusedError` (400)."""
    kind = object_named(query.kind, org)
    paths = [_Path(name, kind) for name in query.fields]
    order = [(_Path(name, kind), backwards) for name, backwards in query.order]
    if query.condition:
        _check(query.condition, kind)
    found = [
        each for each in org.records.of(kind) if not query.condition or _fits(query.condition, each, org)
    ]
    for by, backwards in reversed(order):
        found.sort(key=lambda each: _sortable(by.value(each, org)), reverse=backwards)  # used at once
    end = None if query.limit is None else query.offset + query.limit
    records = [_shown(each, paths, org, path) for each in found[query.offset : end]]
    return {"totalSize": len(records), "done": True, "records": records}


def object_named(name: str, org: Org) -> str:
    """The object as Salesforce spells it. Raises `SalesforceRefusedError` (400) where the org has none."""
    kind = next((known for known in FIELDS if known.casefold() == name.casefold()), "")
    if not kind or (kind.startswith("EmailMessage") and not org.enhanced_email):
        message = f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to "
        raise SalesforceRefusedError(
            Failure(400, "INVALID_TYPE", f"{message}append the '__c' after the entity name.")
        )
    return kind


class _Path:
    """A field, maybe of a record that another one leads to. Raises `SalesforceRefusedError` (400 INVALID_FIELD)."""

    def __init__(self, name: str, kind: str) -> None:
        *steps, last = name.split(".")
        self._steps: list[tuple[str, str, str]] = []
        for step in steps:
            found = relationship(kind, step)
            if found is None:
                raise SalesforceRefusedError(
                    invalid_field(f"Didn't understand relationship '{step}' in field path.")
                )
            self._steps.append((step, *found))
            kind = found[1]
        spelt = canonical(kind, last)
        if spelt is None:
            raise SalesforceRefusedError(invalid_field(f"No such column '{last}' on entity '{kind}'."))
        self.name, self.field = spelt, FIELDS[kind][spelt]

    def value(self, record: Record, org: Org) -> object:
        """The value that the path leads to from `record`; None where it leads nowhere."""
        owner: Record | None = record
        for _, id_field, kind in self._steps:
            owner = org.records.find(kind, str(owner.fields.get(id_field))) if owner else None
        return None if owner is None else value_of(owner, self.name)

    def put(self, shown: dict[str, Any], record: Record, org: Org, path: str) -> None:
        """Add the value to what is shown of `record`; what is not there is null, a whole relationship too."""
        owner: Record | None = record
        for step, id_field, kind in self._steps:
            owner = org.records.find(kind, str(owner.fields.get(id_field))) if owner else None
            if owner is None:
                shown[step] = None
                return
            shown = shown.setdefault(step, _attributes(owner, path))
        if owner is not None:
            shown[self.name] = value_of(owner, self.name)


def _shown(record: Record, paths: list[_Path], org: Org, path: str) -> dict[str, Any]:
    shown = _attributes(record, path)
    for each in paths:
        each.put(shown, record, org, path)
    return shown


def _attributes(record: Record, path: str) -> dict[str, Any]:
    return {"attributes": {"type": record.kind, "url": f"{path}/sobjects/{record.kind}/{record.id}"}}


def _check(condition: Condition, kind: str) -> None:
    """Raises `SalesforceRefusedError` (400) for a field that is not there, not to be filtered, or of another kind."""
    if isinstance(condition, Junction):
        for each in condition.conditions:
            _check(each, kind)
        return
    path = _Path(condition.field, kind)
    if path.field.kind in _UNFILTERED:
        message = f"field '{path.name}' can not be filtered in a query call"
        raise SalesforceRefusedError(invalid_field(message))
    for value in condition.values:
        _check_literal(path, value)


def _check_literal(path: _Path, value: Literal) -> None:
    if value is None:
        return
    kind = path.field.kind
    said = f"value of filter criterion for field '{path.name}' must be of type"
    if kind in _QUOTED and not isinstance(value, str):
        message = f"{said} string and should be enclosed in quotes"
        raise SalesforceRefusedError(invalid_field(message))
    if kind is Kind.ID and read_id(str(value)) is None:
        raise SalesforceRefusedError(
            Failure(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {value}")
        )
    if kind in _EXPECTED and (type(value) not in _EXPECTED[kind]):
        message = f"{said} {kind.name.lower()} and should not be enclosed in quotes"
        raise SalesforceRefusedError(invalid_field(message))


def _fits(condition: Condition, record: Record, org: Org) -> bool:
    if isinstance(condition, Comparison):
        return _compare(condition, record, org)
    held = (_fits(each, record, org) for each in condition.conditions)
    match condition.word:
        case "OR":
            return any(held)
        case "NOT":
            return not any(held)
        case _:
            return all(held)


def _compare(comparison: Comparison, record: Record, org: Org) -> bool:
    path = _Path(comparison.field, record.kind)
    value = _comparable(path.value(record, org), path.field)
    others = [_comparable(each, path.field) for each in comparison.values]
    match comparison.operator:
        case "IN":
            return value in others
        case "NOT IN":
            return value not in others
        case "LIKE":
            return isinstance(value, str) and _like(str(others[0])).fullmatch(value) is not None
        case operator:
            return _COMPARE[operator](value, others[0])


def _comparable(value: object, field: Field) -> object:
    if value is None or value == "":
        return None
    return _FORMS.get(field.kind, lambda given: str(given).casefold())(value)


_FORMS: Final[dict[Kind, Callable[[Any], object]]] = {
    Kind.ID: lambda value: read_id(str(value)),
    Kind.DATETIME: lambda value: (
        value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    ).astimezone(UTC),
    Kind.DATE: lambda value: value if isinstance(value, date) else date.fromisoformat(str(value)),
    Kind.NUMBER: lambda value: float(str(value)),
    Kind.BOOLEAN: lambda value: value,
}
"""In which form values of a kind are compared; texts without regard to case."""


def _like(pattern: str) -> re.Pattern[str]:
    """`%` stands for any text and `_` for one character, unless a backslash stands before."""
    meaning = {"%": ".*", "_": "."}
    pieces = re.findall(r"\\[%_]|.", pattern, re.DOTALL)
    return re.compile(
        "".join(meaning.get(each, re.escape(each.removeprefix("\\"))) for each in pieces), re.DOTALL
    )


def _sortable(value: object) -> tuple[bool, str]:
    return value is not None, str(value).casefold()
