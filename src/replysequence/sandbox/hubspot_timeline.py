"""What a person sees in a HubSpot portal: its records, and what is logged on them."""

from datetime import datetime
from typing import Final

from replysequence.sandbox.hubspot_portal import OBJECT_TYPES, Portal
from replysequence.sandbox.records import Activity, Card, Place, Record
from replysequence.sandbox.resend_message import to_text

_NUMBERS: Final = {name: number for number, name in OBJECT_TYPES.items()}
_WORDS: Final = {"contacts": "Contact", "companies": "Company", "deals": "Deal", "emails": "Email"}
_OTHERS: Final = ("contacts", "companies", "deals")


def place(portal: Portal, record: Record) -> Place:
    """Where the page of `record` is: the path that it has at app.hubspot.com."""
    href = f"/contacts/{portal.hub_id}/record/{_NUMBERS[record.kind]}/{record.id}"
    return Place(kind=_WORDS[record.kind], name=_name(record), href=href)


def card(portal: Portal, record: Record) -> Card:
    """The page of `record`."""
    lying = [record] if record.kind == "emails" else portal.linked(record, "emails")
    made = [record] if record.by and record.kind != "emails" else []
    return Card(
        title=_name(record),
        kind=_WORDS[record.kind],
        facts=tuple(
            (name, str(value)) for name, value in record.fields.items() if value and len(str(value)) < 200
        ),
        places=tuple(place(portal, other) for kind in _OTHERS for other in _related(portal, record, kind)),
        activities=_in_order([_activity(portal, each) for each in (*lying, *made)]),
    )


def _related(portal: Portal, record: Record, kind: str) -> list[Record]:
    return [] if kind == record.kind else portal.linked(record, kind)


def activities(portal: Portal) -> tuple[Activity, ...]:
    """Everything that was logged or made in the portal, newest first."""
    made = [each for kind in _OTHERS for each in portal.records.of(kind) if each.by]
    return _in_order([_activity(portal, each) for each in (*portal.records.of("emails"), *made)])


def people(portal: Portal) -> tuple[Place, ...]:
    """Everybody in the portal."""
    return tuple(place(portal, each) for each in portal.records.of("contacts"))


def _activity(portal: Portal, record: Record) -> Activity:
    fields = record.fields
    if record.kind != "emails":
        return Activity(
            at=record.created_at,
            by=record.by,
            kind=f"{_WORDS[record.kind]} created",
            title=_name(record),
            text="",
            places=(place(portal, record),),
            details=(("Id", record.id),),
        )
    told = (
        ("From", fields.get("hs_email_from_email")),
        ("To", fields.get("hs_email_to_email")),
        ("Direction", fields.get("hs_email_direction")),
        ("Status", fields.get("hs_email_status")),
        ("Owner", _owner(portal, str(fields.get("hubspot_owner_id") or ""))),
        ("Headers", fields.get("hs_email_headers")),
        ("Id", record.id),
    )
    return Activity(
        at=datetime.fromisoformat(fields["hs_timestamp"]),
        by=record.by,
        kind="Email",
        title=_name(record),
        text=str(fields.get("hs_email_text") or to_text(str(fields.get("hs_email_html") or ""))),
        places=tuple(place(portal, other) for kind in _OTHERS for other in portal.linked(record, kind)),
        details=tuple((label, str(value)) for label, value in told if value),
    )


def _name(record: Record) -> str:
    fields = record.fields
    match record.kind:
        case "contacts":
            full = " ".join(str(fields[part]) for part in ("firstname", "lastname") if fields.get(part))
            return full or str(fields.get("email") or record.id)
        case "companies":
            return str(fields.get("name") or record.id)
        case "deals":
            return str(fields.get("dealname") or record.id)
        case _:
            return str(fields.get("hs_email_subject") or "(no subject)")


def _owner(portal: Portal, owner_id: str) -> str:
    return next((f"{o.first_name} {o.last_name}" for o in portal.owners if o.id == owner_id), "")


def _in_order(found: list[Activity]) -> tuple[Activity, ...]:
    return tuple(sorted(found, key=lambda each: each.at, reverse=True))
