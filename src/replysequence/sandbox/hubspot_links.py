"""Which records of HubSpot may be associated, and by what types.

Source: HubSpot's own list in hubspot-api-nodejs (src/enums/AssociationTypes.ts), checked 2026-11-22.
"""

from typing import Any

from replysequence.sandbox import hubspot_errors as errors
from replysequence.sandbox.hubspot_errors import Failure, HubSpotRefusedError
from replysequence.sandbox.hubspot_portal import ASSOCIATION_TYPES, Portal
from replysequence.sandbox.records import Record

_PRIMARY_COMPANY = 1


def types_between(record: Record, other: Record, portal: Portal) -> list[dict[str, Any]]:
    """The association types of a pair: the unlabelled one; for a contact's first company also `Primary`."""
    found = [_spec(ASSOCIATION_TYPES[record.kind, other.kind])]
    if (record.kind, other.kind) == ("contacts", "companies") and portal.linked(record, other.kind)[
        0
    ] is other:
        found.insert(0, _spec(_PRIMARY_COMPANY, label="Primary"))
    return found


def _spec(type_id: int, label: str | None = None) -> dict[str, Any]:
    return {"category": "HUBSPOT_DEFINED", "typeId": type_id, "label": label}


def read_links(kind: str, given: object, *, portal: Portal) -> list[Record]:
    """The records that a new one of type `kind` is to be associated with.

    Raises `HubSpotRefusedError` (400) for a type that does not lead from `kind` anywhere, or a record that is not
    there.
    """
    if not isinstance(given, list):
        raise HubSpotRefusedError(errors.malformed('"associations" is not a list'))
    return [_read_link(kind, each, portal) for each in given]


def _read_link(kind: str, given: object, portal: Portal) -> Record:
    try:
        target = str(given["to"]["id"])  # type: ignore[index]
        types = [(each["associationCategory"], int(each["associationTypeId"])) for each in given["types"]]  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        raise HubSpotRefusedError(errors.malformed("an association has `to.id` and `types`")) from None
    leads_to = {number: pair[1] for pair, number in ASSOCIATION_TYPES.items() if pair[0] == kind}
    others = {leads_to.get(number) for category, number in types if category == "HUBSPOT_DEFINED"}
    if len(others) != 1 or None in others or len(types) != 1:
        raise HubSpotRefusedError(_no_such_type(kind, [number for _, number in types]))
    record = portal.records.find(str(others.pop()), target)
    if record is None:
        raise HubSpotRefusedError(_no_such_target(target))
    return record


def _no_such_type(kind: str, numbers: list[int]) -> Failure:
    return Failure(
        status=400,
        message=f"No association type of {kind} has one of these ids: {numbers}",
        category="VALIDATION_ERROR",
        more={"subCategory": "crm.associations.INVALID_ASSOCIATION_TYPE"},
    )


def _no_such_target(record_id: str) -> Failure:
    return Failure(
        status=400,
        message=f"The object with id {record_id} to be associated with does not exist.",
        category="VALIDATION_ERROR",
        more={"subCategory": "crm.associations.INVALID_OBJECT_ID"},
    )
