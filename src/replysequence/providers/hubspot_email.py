"""An email as HubSpot keeps it: what of a message goes into it, and how it is known again.

Sources, checked 2026-11-22: HubSpot's guide "Emails" and its OpenAPI file of emails (2026-09).
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from replysequence.domain.address import Address
from replysequence.domain.report import LoggedEmail
from replysequence.providers.answers import parse_object
from replysequence.providers.crm import bodies, first_and_last_name

MOST_CHARACTERS = 65_536
"""Of one property."""
READ = (
    *("hs_timestamp", "hs_email_direction", "hs_email_subject", "hs_email_headers", "hs_email_to_email"),
    "hs_email_message_id",
)
"""The properties that tell which message an email is."""

_SEND_ID = "replysequence_send_id"
"""In the headers of an email: whose entry it is."""
_SAME_TIME = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def properties_of(email: LoggedEmail, *, owner: str | None) -> dict[str, str]:
    """Every value is a text. What is derived from the headers cannot be written itself."""
    html, text = bodies(email, most=MOST_CHARACTERS)
    fields = {
        "hs_timestamp": str(_milliseconds(email.sent_at)),
        "hs_email_direction": "EMAIL",
        "hs_email_status": "SENT",
        "hs_email_subject": email.subject,
        "hs_email_html": html,
        "hs_email_text": text,
        "hs_email_headers": json.dumps(_headers(email)),
        "hubspot_owner_id": owner,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _headers(email: LoggedEmail) -> dict[str, object]:
    several = {"to": email.to, "cc": email.cc, "bcc": email.bcc}
    return {
        "from": _one(email.sender),
        **{name: [_one(each) for each in addresses] for name, addresses in several.items() if addresses},
        "message_id": f"<{email.message_id}>",
        _SEND_ID: email.send_id,
    }


def _one(address: Address) -> dict[str, str]:
    first, last = first_and_last_name(address.name)
    return {"email": address.email, "firstName": first, "lastName": last}


def is_same(properties: Mapping[str, object], email: LoggedEmail) -> bool:
    """Whether an email at HubSpot is this message: by our mark, its Message-ID, or all that identifies it to people.

    Gmail and Exchange replace a Message-ID, so HubSpot's own copy of a message may have another one.
    """
    headers = _headers_of(properties)
    if _SEND_ID in headers:
        return headers[_SEND_ID] == email.send_id
    message_ids = (properties.get("hs_email_message_id"), headers.get("message_id"), headers.get("messageId"))
    if email.message_id in {str(each).strip().strip("<>") for each in message_ids}:
        return True
    moment = _moment(properties.get("hs_timestamp"))
    sent_to = {each.strip().casefold() for each in str(properties.get("hs_email_to_email")).split(";")}
    return (
        properties.get("hs_email_direction") == "EMAIL"
        and properties.get("hs_email_subject") == email.subject
        and sent_to == {each.email.casefold() for each in email.to}
        and moment is not None
        and abs(moment - email.sent_at) <= _SAME_TIME
    )


def is_ours(properties: Mapping[str, object], email: LoggedEmail) -> bool:
    """Whether we made it: by our mark, or, should HubSpot not keep that, by the very millisecond that we gave it."""
    moment = _moment(properties.get("hs_timestamp"))
    exactly = moment is not None and _milliseconds(moment) == _milliseconds(email.sent_at)
    return exactly or _headers_of(properties).get(_SEND_ID) == email.send_id


def _headers_of(properties: Mapping[str, object]) -> Mapping[str, object]:
    return parse_object(str(properties.get("hs_email_headers") or "").encode())


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _moment(value: object) -> datetime | None:
    """A time as HubSpot writes it: ISO 8601, or milliseconds since 1970."""
    text = str(value)
    try:
        if text.isascii() and text.isdigit():
            return _EPOCH + timedelta(milliseconds=int(text))
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else None
