"""An event as Graph shows it (event resource of msgraph-sdk 1.65.0 and "List calendarView", checked 2026-11-22)."""

import hashlib
import html
import re
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from replysequence.sandbox.calendars import Answer, Event, Guest, Status
from replysequence.sandbox.graph_message import GraphRefusal
from replysequence.sandbox.meetings import Platform

_RESPONSES: Final = {
    Answer.ACCEPTED: "accepted",
    Answer.DECLINED: "declined",
    Answer.TENTATIVE: "tentativelyAccepted",
    Answer.NONE: "notResponded",
}
WINDOWS_ZONES: Final = {
    "UTC": "UTC",
    "GMT Standard Time": "Europe/London",
    "W. Europe Standard Time": "Europe/Stockholm",
    "Romance Standard Time": "Europe/Paris",
    "Eastern Standard Time": "America/New_York",
    "Pacific Standard Time": "America/Los_Angeles",
    "India Standard Time": "Asia/Kolkata",
    "Tokyo Standard Time": "Asia/Tokyo",
}
"""Windows' names of time zones, which Exchange prefers (Unicode CLDR); IANA's are understood as well."""
_WINDOWS_NAMES: Final = {zone: name for name, zone in WINDOWS_ZONES.items()}
_NEVER: Final = "0001-01-01T00:00:00Z"


def zone_named(name: str) -> ZoneInfo:
    """The zone that a `Prefer: outlook.timezone` names. Raises GraphRefusal."""
    try:
        return ZoneInfo(WINDOWS_ZONES.get(name, name))
    except (LookupError, ValueError, OSError):
        message = f"A valid TimeZone value must be specified. The following TimeZone value is not supported: '{name}'."
        raise GraphRefusal(400, "TimeZoneNotSupportedException", message) from None


def resource(event: Event, *, owner: str, zone: str = "UTC", as_text: bool = False) -> dict[str, Any]:
    """The event as the mailbox of `owner` holds it; times without an offset, in `zone`, whose name stands beside."""
    is_cancelled = event.status is Status.CANCELLED
    text = _text(event)
    is_own = event.organizer.email.casefold() == owner.casefold()
    online = event.meeting if event.meeting and event.meeting.platform is Platform.TEAMS else None
    return {
        "@odata.etag": f'W/"{_key(event)}"',
        "id": event_id(event),
        "createdDateTime": stamp(event.created),
        "lastModifiedDateTime": stamp(event.updated),
        "changeKey": _key(event),
        "categories": [],
        "transactionId": None,
        "originalStartTimeZone": _WINDOWS_NAMES.get(event.zone, event.zone),
        "originalEndTimeZone": _WINDOWS_NAMES.get(event.zone, event.zone),
        "iCalUId": _uid(event),
        "reminderMinutesBeforeStart": 15,
        "isReminderOn": not is_cancelled,
        "hasAttachments": False,
        "subject": f"Canceled: {event.title}" if is_cancelled else event.title,
        "bodyPreview": re.sub(r"<[^>]*>", "", text)[:255],
        "importance": "normal",
        "sensitivity": "normal",
        "isAllDay": event.is_all_day,
        "isCancelled": is_cancelled,
        "isOrganizer": is_own,
        "responseRequested": True,
        "seriesMasterId": f"AAMk{event.series}" if event.series else None,
        "showAs": "free" if is_cancelled or event.is_all_day else "busy",
        "type": _type(event),
        "webLink": f"https://outlook.office365.com/owa/?itemid=AAMk{event.id}&exvsurl=1&path=/calendar/item",
        "onlineMeetingUrl": None,
        "isOnlineMeeting": online is not None,
        "onlineMeetingProvider": "teamsForBusiness" if online else "unknown",
        "allowNewTimeProposals": True,
        "isDraft": False,
        "hideAttendees": False,
        "responseStatus": _own_response(event, owner),
        "body": {"contentType": "text", "content": text} if as_text else _html(event, text),
        "start": _time(event, event.start, zone=zone),
        "end": _time(event, event.end, zone=zone),
        "location": {"displayName": _location(event), "locationType": "default"},
        "locations": [],
        "recurrence": None,
        "attendees": [_attendee(guest, event) for guest in event.guests],
        "organizer": {"emailAddress": {"name": event.organizer.name, "address": event.organizer.email}},
        "onlineMeeting": {"joinUrl": online.join_url} if online else None,
    }


def event_id(event: Event) -> str:
    """The id at Graph."""
    return f"AAMk{event.id}"


def stamp(moment: datetime) -> str:
    """UTC with the seven digits of a second that Graph writes."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _key(event: Event) -> str:
    return f"EZ9r3czxY0m2jz8c45czkwAA{event.version:08d}=="


def _type(event: Event) -> str:
    if event.rule:
        return "seriesMaster"
    if not event.series:
        return "singleInstance"
    return "exception" if event.is_exception else "occurrence"


def _uid(event: Event) -> str:
    """As in the invitation; of an occurrence one of its own."""
    if not event.series:
        return event.uid
    return f"040000008200E00074C5B7101A82E008{hashlib.sha256(event.id.encode()).hexdigest()[:32].upper()}"


def _time(event: Event, moment: datetime, *, zone: str) -> dict[str, str]:
    local = moment if event.is_all_day else moment.astimezone(zone_named(zone))
    return {"dateTime": local.strftime("%Y-%m-%dT%H:%M:%S.0000000"), "timeZone": zone}


def _attendee(guest: Guest, event: Event) -> dict[str, Any]:
    is_organizer = guest.email == event.organizer.email
    has_answered = guest.answer is not Answer.NONE and not is_organizer
    return {
        "type": "resource" if guest.is_room else "required",
        "status": {
            "response": "organizer" if is_organizer else _RESPONSES[guest.answer],
            "time": stamp(event.updated) if has_answered else _NEVER,
        },
        "emailAddress": {"name": guest.name or guest.email, "address": guest.email},
    }


def _own_response(event: Event, owner: str) -> dict[str, str]:
    if event.organizer.email.casefold() == owner.casefold():
        return {"response": "organizer", "time": _NEVER}
    own = next((guest for guest in event.guests if guest.email.casefold() == owner.casefold()), None)
    return {"response": _RESPONSES[own.answer] if own else "none", "time": stamp(event.updated)}


def _text(event: Event) -> str:
    """What was written, and the link that lets in."""
    if event.meeting is None:
        return event.description
    return f"{event.description}\n\nJoin: {event.meeting.join_url}\n".lstrip()


def _html(event: Event, text: str) -> dict[str, str]:
    """The body as HTML. What was HTML already stays what it is."""
    is_html = event.description.startswith("<")
    inner = text if is_html else html.escape(text, quote=False).replace("\n", "<br>\r\n")
    return {"contentType": "html", "content": f"<html><head></head><body>\r\n{inner}\r\n</body></html>\r\n"}


def _location(event: Event) -> str:
    if event.location or event.meeting is None:
        return event.location
    return "Microsoft Teams Meeting" if event.meeting.platform is Platform.TEAMS else event.meeting.join_url
