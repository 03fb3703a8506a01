"""An event as Google Calendar shows it (calendar.v3 discovery document of 2026-10-30)."""

import base64
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from replysequence.sandbox.calendars import ZONE, Event, Guest, Status
from replysequence.sandbox.meetings import Meeting, Platform


def resource(
    event: Event, *, owner: str, zone: str = ZONE, max_attendees: int | None = None
) -> dict[str, Any]:
    """The event as the calendar of `owner` holds it; times are written in `zone`."""
    shown: dict[str, Any] = {
        "kind": "calendar#event",
        "etag": f'"{int(event.updated.timestamp() * 1000)}{event.version:04d}"',
        "id": event.id,
        "status": "confirmed" if event.status is Status.CONFIRMED else "cancelled",
    }
    if event.series and event.original_start is not None:
        shown |= {
            "recurringEventId": event.series,
            "originalStartTime": _time(event, event.original_start, zone=zone),
        }
    if event.status is Status.REMOVED:
        return shown
    shown |= {
        "htmlLink": f"https://www.google.com/calendar/event?eid={_eid(event, owner)}",
        "created": stamp(event.created),
        "updated": stamp(event.updated),
        "creator": _person(event.organizer, owner=owner),
        "organizer": _person(event.organizer, owner=owner),
        "start": _time(event, event.start, zone=zone),
        "end": _time(event, event.end, zone=zone),
        "iCalUID": event.uid,
        "sequence": 0,
        "reminders": {"useDefault": True},
        "eventType": "default",
    }
    texts = {"summary": event.title, "description": _description(event), "location": _location(event)}
    shown |= {name: text for name, text in texts.items() if text}
    if event.rule:
        shown["recurrence"] = [f"RRULE:{event.rule}"]
    return shown | _attendees(event, owner=owner, most=max_attendees) | _conference(event.meeting)


def stamp(moment: datetime) -> str:
    """`moment` as in `created` and `updated`: UTC, with milliseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _eid(event: Event, owner: str) -> str:
    return base64.urlsafe_b64encode(f"{event.id} {owner}".encode()).decode().rstrip("=")


def _time(event: Event, moment: datetime, *, zone: str) -> dict[str, str]:
    if event.is_all_day:
        return {"date": moment.date().isoformat()}
    return {"dateTime": moment.astimezone(ZoneInfo(zone)).isoformat(), "timeZone": event.zone}


def _person(guest: Guest, *, owner: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"email": guest.email}
    if guest.name:
        shown["displayName"] = guest.name
    if guest.email.casefold() == owner.casefold():
        shown["self"] = True
    return shown


def _attendees(event: Event, *, owner: str, most: int | None) -> dict[str, Any]:
    shown = [_attendee(guest, event, owner=owner) for guest in event.guests]
    if most is not None and len(shown) > most:
        own = [attendee for attendee in shown if attendee.get("self")]
        return {"attendees": own, "attendeesOmitted": True}
    return {"attendees": shown} if shown else {}


def _attendee(guest: Guest, event: Event, *, owner: str) -> dict[str, Any]:
    shown = _person(guest, owner=owner) | {"responseStatus": guest.answer.value}
    if guest.email == event.organizer.email:
        shown["organizer"] = True
    if guest.is_room:
        shown["resource"] = True
    return shown


def _description(event: Event) -> str:
    """What was written; of a Teams meeting the invitation is a text with the link in it."""
    if event.meeting is not None and event.meeting.platform is Platform.TEAMS:
        link = event.meeting.join_url
        return f'{event.description}\n\n<a href="{link}">Join the meeting now</a>\nMicrosoft Teams'.strip()
    return event.description


def _location(event: Event) -> str:
    match event.meeting.platform if event.meeting and not event.location else None:
        case Platform.TEAMS:
            return "Microsoft Teams Meeting"
        case Platform.ZOOM:
            return event.meeting.join_url if event.meeting else ""
        case _:
            return event.location


def _conference(meeting: Meeting | None) -> dict[str, Any]:
    match meeting:
        case Meeting(platform=Platform.MEET):
            entry = {
                "entryPointType": "video",
                "uri": meeting.join_url,
                "label": f"meet.google.com/{meeting.code}",
            }
            return {
                "hangoutLink": meeting.join_url,
                "conferenceData": _solution(meeting, entry, kind="hangoutsMeet", name="Google Meet"),
            }
        case Meeting(platform=Platform.ZOOM):
            entry = {
                "entryPointType": "video",
                "uri": meeting.join_url,
                "label": meeting.join_url.removeprefix("https://"),
                "meetingCode": meeting.code,
            }
            return {"conferenceData": _solution(meeting, entry, kind="addOn", name="Zoom Meeting")}
        case _:
            return {}


def _solution(meeting: Meeting, entry: dict[str, str], *, kind: str, name: str) -> dict[str, Any]:
    return {
        "conferenceId": meeting.code,
        "conferenceSolution": {"key": {"type": kind}, "name": name},
        "entryPoints": [entry],
    }
