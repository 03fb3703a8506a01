"""The properties of HubSpot's objects: which there are, what they may hold, what HubSpot works out itself.

Source: HubSpot's guides "Emails" and "Contacts", checked 2026-11-22.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from replysequence.sandbox import hubspot_errors as errors
from replysequence.sandbox.headers import is_address
from replysequence.sandbox.hubspot_errors import Failure, HubSpotRefusedError
from replysequence.sandbox.hubspot_portal import Portal

_EVERYWHERE: Final = frozenset(
    {"hs_object_id", "createdate", "lastmodifieddate", "hs_createdate", "hs_lastmodifieddate"}
)
_DERIVED: Final = frozenset(
    {
        *("hs_email_from_email", "hs_email_from_firstname", "hs_email_from_lastname"),
        *("hs_email_to_email", "hs_email_to_firstname", "hs_email_to_lastname"),
    }
)
"""Worked out from `hs_email_headers`; writing them does nothing."""
BODIES: Final = ("hs_email_subject", "hs_email_text", "hs_email_html", "hs_email_headers")
"""What is redacted for who may not read emails."""

_KNOWN: Final[dict[str, frozenset[str]]] = {
    "emails": _DERIVED
    | {
        *("hs_timestamp", "hs_email_direction", "hs_email_status", "hs_email_subject", "hs_email_text"),
        *("hs_email_html", "hs_email_headers", "hubspot_owner_id", "hs_attachment_ids"),
    },
    "contacts": frozenset(
        {
            *("email", "firstname", "lastname", "phone", "mobilephone", "company", "jobtitle", "website"),
            *("lifecyclestage", "hs_lead_status", "hubspot_owner_id", "hs_additional_emails"),
        }
    ),
    "companies": frozenset({"name", "domain", "phone", "city", "country", "industry", "hubspot_owner_id"}),
    "deals": frozenset(
        {
            *("dealname", "dealstage", "pipeline", "amount", "closedate", "hubspot_owner_id"),
            "hs_is_closed",
        }
    ),
}
_REQUIRED: Final = {"emails": ("hs_timestamp",)}
_OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "hs_email_direction": ("EMAIL", "INCOMING_EMAIL", "FORWARDED_EMAIL"),
    "hs_email_status": ("SENT", "SENDING", "SCHEDULED", "FAILED", "BOUNCED"),
}
_SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "emails": ("hs_createdate", "hs_lastmodifieddate", "hs_object_id"),
    "contacts": ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    "companies": ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
    "deals": (
        *("amount", "closedate", "createdate", "dealname", "dealstage", "hs_lastmodifieddate"),
        *("hs_object_id", "pipeline"),
    ),
}
"""What an answer shows of each type when nothing else was asked for."""


def default_properties(kind: str) -> tuple[str, ...]:
    """The properties that are shown when none are asked for."""
    return _SHOWN[kind]


def read_properties(kind: str, given: object, *, portal: Portal, partial: bool = False) -> dict[str, str]:
    """The properties to be written, checked, derived ones included. A partial write may leave required ones out.

    Raises `HubSpotRefusedError` (400), naming every property that is not as it must be.
    """
    if not isinstance(given, dict):
        raise HubSpotRefusedError(errors.malformed('"properties" is not an object'))
    written = {name: _text(name, value) for name, value in given.items() if name not in _DERIVED}
    unknown = [name for name in written if name not in _KNOWN[kind]]
    if unknown:
        raise HubSpotRefusedError(
            errors.invalid(
                [_problem(n, "PROPERTY_DOESNT_EXIST", f'Property "{n}" does not exist') for n in unknown]
            )
        )
    missing = [name for name in _REQUIRED.get(kind, ()) if not written.get(name) and not partial]
    if missing:
        raise HubSpotRefusedError(_missing(kind, missing))
    problems = [each for name, value in written.items() if (each := _check(name, value, portal))]
    if problems:
        raise HubSpotRefusedError(errors.invalid(problems))
    if "hs_timestamp" in written:
        written["hs_timestamp"] = _instant(written["hs_timestamp"]) or ""
    return written | _derived(written.get("hs_email_headers", ""))


def stamp(moment: datetime) -> str:
    """An instant as HubSpot writes it: UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(name: str, value: object) -> str:
    """A value as text. Numbers and truth values become text at HubSpot too; what has parts is refused."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        raise HubSpotRefusedError(
            errors.malformed(f"Cannot deserialize value of type `java.lang.String` (property {name})")
        )
    return json.dumps(value)


def _problem(name: str, error: str, message: str) -> dict[str, str]:
    return {"name": name, "error": error, "message": message}


def _missing(kind: str, names: list[str]) -> Failure:
    return Failure(
        status=400,
        message=f"Error creating {kind.upper()}. Some required properties were not set.",
        category="VALIDATION_ERROR",
        more={
            "errors": [
                {
                    "message": "One or more required properties were not set",
                    "code": "REQUIRED_PROPERTIES_MISSING",
                    "context": {"properties": names},
                }
            ]
        },
    )


def _check(name: str, value: str, portal: Portal) -> dict[str, str] | None:
    """What is wrong with a value, if anything. An empty one clears the property."""
    if value and name in _OPTIONS and value not in _OPTIONS[name]:
        allowed = ", ".join(_OPTIONS[name])
        return _problem(name, "INVALID_OPTION", f"{value} was not one of the allowed options: [{allowed}]")
    if value and name == "hubspot_owner_id" and value not in {owner.id for owner in portal.owners}:
        return _problem(name, "INVALID_OWNER_ID", f"Owner {value} does not exist")
    if value and name in _SHAPES:
        fits, error, words = _SHAPES[name]
        return None if fits(value) else _problem(name, error, f"{value} {words}")
    return None


def _instant(value: str) -> str | None:
    """Epoch milliseconds or an ISO instant in UTC, as HubSpot gives it back; None for anything else."""
    try:
        if re.fullmatch(r"-?\d{1,14}", value):
            return stamp(datetime.fromtimestamp(int(value) / 1000, UTC))
        moment = datetime.fromisoformat(value)
    except (ValueError, OverflowError, OSError):
        return None
    return stamp(moment) if moment.tzinfo is not None else None


def _is_headers(value: str) -> bool:
    try:
        read = json.loads(value)
    except ValueError:
        return False
    if not isinstance(read, dict):
        return False
    people = [read[name] for name in ("from", "sender") if name in read]
    for name in ("to", "cc", "bcc"):
        listed = read.get(name, [])
        if not isinstance(listed, list):
            return False
        people += listed
    return all(isinstance(person, dict) for person in people)


def _derived(headers: str) -> dict[str, str]:
    """`hs_email_from_*` of the sender, `hs_email_to_*` of all recipients, joined with `;`."""
    if not headers:
        return {}
    read: dict[str, Any] = json.loads(headers)
    found = _of_people("hs_email_from", [read["from"]] if "from" in read else [])
    return found | _of_people("hs_email_to", read.get("to", []))


def _of_people(prefix: str, people: list[Mapping[str, Any]]) -> dict[str, str]:
    fields = {"email": "email", "firstname": "firstName", "lastname": "lastName"}
    values = {
        f"{prefix}_{name}": ";".join(str(person.get(key) or "") for person in people).strip(";")
        for name, key in fields.items()
    }
    return {name: value for name, value in values.items() if value}


_SHAPES: Final[dict[str, tuple[Callable[[str], bool], str, str]]] = {
    "hs_timestamp": (
        lambda value: _instant(value) is not None,
        "INVALID_DATE",
        "was not a valid timestamp",
    ),
    "hs_email_headers": (_is_headers, "INVALID_JSON", "is not a valid JSON document of email headers"),
    "email": (is_address, "INVALID_EMAIL", "is not a valid email address"),
}
"""What a value must be like, with HubSpot's name and words for one that is not."""
