"""HubSpot's CRM search: filters, sorting, paging, and an index that lags behind ("Search the CRM", checked 2026-11-22).

Contacts are found by their primary address only: a further one is in `hs_additional_emails`.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from replysequence.sandbox import hubspot_errors as errors
from replysequence.sandbox.clock import Clock
from replysequence.sandbox.hubspot_errors import HubSpotRefusedError
from replysequence.sandbox.hubspot_gate import whole_number
from replysequence.sandbox.hubspot_portal import HubSpot, Portal
from replysequence.sandbox.records import Record

MOST_GROUPS, MOST_IN_GROUP, MOST_FILTERS = 5, 6, 18
MOST_PER_PAGE, MOST_RESULTS, MOST_QUERY = 200, 10_000, 3000
_LINKS: Final = {
    "associations.contact": "contacts",
    "associations.company": "companies",
    "associations.deal": "deals",
}


class Search:
    """One search in one portal. Raises `HubSpotRefusedError` (400) for a request that makes no sense."""

    def __init__(self, body: dict[str, Any], *, kind: str, portal: Portal) -> None:
        self._kind = kind
        self._portal = portal
        self._groups = _groups(body)
        self._query = str(body.get("query") or "").casefold()
        if len(self._query) > MOST_QUERY:
            raise _refused(f"the query is longer than {MOST_QUERY} characters")
        self._sorts = _sorts(body.get("sorts") or [])
        self.limit = whole_number(body.get("limit", 10), most=MOST_PER_PAGE)
        self.after = whole_number(body.get("after") or 0, most=MOST_RESULTS)

    def run(self, hubspot: HubSpot, clock: Clock) -> list[Record]:
        """Every record that fits and is in the index by now, in order."""
        seen = clock.now() - timedelta(seconds=hubspot.search_lag_seconds)
        found = [
            record
            for record in self._portal.records.of(self._kind)
            if record.created_at <= seen and self._fits(record)
        ]
        for name, backwards in reversed(self._sorts):
            found.sort(key=lambda record: _comparable(_value(record, name)), reverse=backwards)
        return found[:MOST_RESULTS]

    def _fits(self, record: Record) -> bool:
        if self._query and not any(self._query in str(value).casefold() for value in record.fields.values()):
            return False
        return not self._groups or any(
            all(self._passes(record, each) for each in group) for group in self._groups
        )

    def _passes(self, record: Record, wanted: dict[str, Any]) -> bool:
        name = wanted["propertyName"]
        if name in _LINKS:
            linked = {each.id for each in self._portal.linked(record, _LINKS[name])}
            return str(wanted.get("value")) in linked
        compared = _Wanted(
            value=str(wanted.get("value", "")),
            several=tuple(str(each).casefold() for each in wanted.get("values") or []),
            high=str(wanted.get("highValue", "")),
        )
        return _OPERATORS[wanted["operator"]](_value(record, name), compared)


@dataclass(frozen=True)
class _Wanted:
    """What a filter compares with: one value, several, and the upper end of a range."""

    value: str
    several: tuple[str, ...]
    high: str


_OPERATORS: Final[dict[str, Callable[[str, _Wanted], bool]]] = {
    "EQ": lambda value, wanted: value.casefold() == wanted.value.casefold(),
    "NEQ": lambda value, wanted: value.casefold() != wanted.value.casefold(),
    "IN": lambda value, wanted: value.casefold() in wanted.several,
    "NOT_IN": lambda value, wanted: value.casefold() not in wanted.several,
    "HAS_PROPERTY": lambda value, _: bool(value),
    "NOT_HAS_PROPERTY": lambda value, _: not value,
    "CONTAINS_TOKEN": lambda value, wanted: wanted.value.strip("*").casefold() in value.casefold(),
    "GT": lambda value, wanted: bool(value) and _comparable(value) > _comparable(wanted.value),
    "GTE": lambda value, wanted: bool(value) and _comparable(value) >= _comparable(wanted.value),
    "LT": lambda value, wanted: bool(value) and _comparable(value) < _comparable(wanted.value),
    "LTE": lambda value, wanted: bool(value) and _comparable(value) <= _comparable(wanted.value),
    "BETWEEN": lambda value, wanted: (
        bool(value) and _comparable(wanted.value) <= _comparable(value) <= _comparable(wanted.high)
    ),
}


def _groups(body: dict[str, Any]) -> list[list[dict[str, Any]]]:
    groups = [
        group.get("filters") if isinstance(group, dict) else None for group in body.get("filterGroups") or []
    ]
    if len(groups) > MOST_GROUPS or sum(len(group or []) for group in groups) > MOST_FILTERS:
        raise _refused(f"there are more than {MOST_GROUPS} groups or {MOST_FILTERS} filters")
    for group in groups:
        if not isinstance(group, list) or len(group) > MOST_IN_GROUP:
            raise _refused(f"a group has 1 to {MOST_IN_GROUP} filters")
        if not all(isinstance(each, dict) and {"propertyName", "operator"} <= each.keys() for each in group):
            raise _refused("a filter has a propertyName and an operator")
        if not all(each["operator"] in _OPERATORS for each in group):
            raise _refused(f"an operator is one of {', '.join(_OPERATORS)}")
    return [group for group in groups if group]


def _sorts(given: Sequence[Any]) -> list[tuple[str, bool]]:
    """Names with whether they run backwards: `"-name"`, `"name"`, or `{propertyName, direction}`."""
    found: list[tuple[str, bool]] = []
    for each in given:
        if isinstance(each, dict):
            found.append((str(each.get("propertyName")), each.get("direction") == "DESCENDING"))
        else:
            found.append((str(each).removeprefix("-"), str(each).startswith("-")))
    return found


def _value(record: Record, name: str) -> str:
    if name == "hs_object_id":
        return record.id
    if name in ("createdate", "hs_createdate"):
        return record.created_at.isoformat()
    if name in ("lastmodifieddate", "hs_lastmodifieddate"):
        return record.updated_at.isoformat()
    return str(record.fields.get(name) or "")


def _comparable(value: str) -> tuple[int, float | str]:
    """Numbers by their size and instants by their milliseconds, before texts by their letters."""
    for read in (float, lambda text: datetime.fromisoformat(text).timestamp() * 1000):
        with contextlib.suppress(ValueError):
            return (0, read(value))
    return (1, value.casefold())


def _refused(message: str) -> HubSpotRefusedError:
    return HubSpotRefusedError(errors.malformed(message))
