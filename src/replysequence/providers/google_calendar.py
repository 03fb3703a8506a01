"""Google Calendar: the events of a person's own calendar, read with ``calendar.events.readonly``.

Source: calendar.v3 discovery document, revision 20261030, and its guide on synchronising, checked 2026-11-22.
``timeMin`` is about the end of an event and ``timeMax`` about its start; a sync token takes neither, and knows them
from the reading that it ended. A page may be empty and not the last.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar
from urllib.parse import urlencode

from replysequence.domain.meeting import (
    MAX_NAME,
    MOST_ATTENDEES,
    Attendee,
    Entry,
    Response,
    Span,
    links_in,
    one_line,
)
from replysequence.domain.wall_clock import zone
from replysequence.providers import google
from replysequence.providers.accounts import account_address
from replysequence.providers.answers import mapping, mappings
from replysequence.providers.base import Access, Category, Variable, VariableKind
from replysequence.providers.calendar import Calendar, Page, Place
from replysequence.providers.google_reading import GoogleReading

SCOPE = "https://www.googleapis.com/auth/calendar.events.readonly"
PAGE_SIZE = 250

_RESPONSES = {
    "accepted": Response.ACCEPTED,
    "tentative": Response.TENTATIVE,
    "declined": Response.DECLINED,
}
_NO_MEETINGS = frozenset({"birthday", "focusTime", "outOfOffice", "workingLocation"})
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class GoogleCalendar(GoogleReading, Calendar):
    """The calendar of a Google account."""

    name: ClassVar = "google_calendar"
    title: ClassVar = "Google Calendar"
    category: ClassVar = Category.CALENDAR
    variables: ClassVar = (
        *google.VARIABLES,
        Variable(
            "GOOGLE_CALENDAR_API_URL",
            "The Google Calendar API.",
            "https://www.googleapis.com",
            VariableKind.URL,
        ),
    )
    scope: ClassVar = SCOPE
    box: ClassVar = "View events on all your calendars"

    @property
    def reachable_url(self) -> str:
        return self._values["GOOGLE_CALENDAR_API_URL"]

    async def events(self, access: Access, *, span: Span, place: Place) -> Page:
        parameters = {"singleEvents": "true", "maxResults": str(PAGE_SIZE)}
        if place.mark:
            parameters["syncToken"] = place.mark
        else:
            parameters |= {"timeMin": span.since.isoformat(), "timeMax": span.until.isoformat()}
        if place.cursor:
            parameters["pageToken"] = place.cursor
        url = f"{self._values['GOOGLE_CALENDAR_API_URL']}/calendar/v3/calendars/primary/events"
        body = await self._ask(access, f"{url}?{urlencode(parameters)}")
        events = [(event, _id(event)) for event in mappings(body.get("items"))]
        entries = {event_id: _entry(event, event_id) for event, event_id in events if event_id}
        return Page(
            entries=tuple(entry for entry in entries.values() if entry),
            gone=tuple(event_id for event_id, entry in entries.items() if entry is None),
            cursor=_text(body.get("nextPageToken")),
            mark=_text(body.get("nextSyncToken")),
        )


def _entry(event: Mapping[str, object], event_id: str) -> Entry | None:
    """None for what is no meeting of this person (any more)."""
    guests = mappings(event.get("attendees"))
    declined = any(each.get("self") is True and each.get("responseStatus") == "declined" for each in guests)
    if event.get("status") == "cancelled" or event.get("eventType") in _NO_MEETINGS or declined:
        return None
    start, end = mapping(event.get("start")), mapping(event.get("end"))
    starts_at, ends_at = _moment(start), _moment(end)
    if starts_at is None:
        return None
    places = [
        point.get("uri")
        for point in mappings(mapping(event.get("conferenceData")).get("entryPoints"))
        if point.get("entryPointType") == "video"
    ]
    return Entry(
        id=event_id,
        title=one_line(event.get("summary")),
        starts_at=starts_at,
        ends_at=max(ends_at or starts_at, starts_at),
        attendees=tuple(
            _attendee(each) for each in guests[:MOST_ATTENDEES] if each.get("resource") is not True
        ),
        links=links_in(*places, event.get("hangoutLink"), event.get("location"), event.get("description")),
        uid=(_text(event.get("iCalUID")) or "")[:500],
        url=next(iter(links_in(event.get("htmlLink"))), ""),
        all_day="dateTime" not in start,
    )


def _attendee(guest: Mapping[str, object]) -> Attendee:
    return Attendee(
        email=(account_address(guest.get("email")) or "").lower(),
        name=one_line(guest.get("displayName"), limit=MAX_NAME),
        response=_RESPONSES.get(str(guest.get("responseStatus")), Response.NONE),
    )


def _moment(told: Mapping[str, object]) -> datetime | None:
    """A `dateTime`, with an offset or on the clock of its `timeZone`; or a `date`, which begins at midnight UTC."""
    text = told.get("dateTime") or told.get("date")
    try:
        moment = datetime.fromisoformat(str(text))
        if "dateTime" not in told:
            moment = datetime.combine(date.fromisoformat(str(text)), moment.min.time(), tzinfo=UTC)
        elif moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone(_text(told.get("timeZone"))))
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if _EARLIEST <= moment <= _LATEST - timedelta(days=1) else None


def _id(event: Mapping[str, object]) -> str | None:
    text = _text(event.get("id"))
    return text if text and len(text) <= 1024 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
