"""Control routes of the calendars: events in bulk, changes to them, and sync tokens that expire."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.calendars import Answer, Calendar, Event, Guest, Status, new_id
from replysequence.sandbox.meetings import Line, Meeting, Notes, Participant, Platform, new_room
from replysequence.sandbox.week import fill
from replysequence.sandbox.world import World

MOST_EVENTS = 100_000
_EVENT = frozenset({"title", "start", "end", "zone", "is_all_day", "description", "location", "guests"})
_CHANGES = frozenset({*_EVENT, "status"})
_MEETING = frozenset({"platform", "joined", "notes", "lines", "is_recorded", "uuid"})


class CalendarControl:
    """`/_sandbox/calendars/{vendor}/{email}`: JSON in, JSON out. What makes no sense raises `ValueError`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def show(self, request: Request) -> Response:
        """Every event, removed ones too."""
        calendar = self._calendar(request)
        return JSONResponse(
            {"generation": calendar.generation, "events": [_summary(event) for event in calendar]}
        )

    async def add(self, request: Request) -> Response:
        """`{"week": true}` adds the seeded week, `{"count": N, "title"?, "start"?, "step_minutes"?}` so many events one
        after the other, `{"events": […]}` these. Answers how many there are, and the ids that were added.
        """
        calendar, given = self._calendar(request), await fields(request)
        before = {event.id for event in calendar}
        if given.get("week") is True:
            fill(calendar, self._world.meetings, now=self._world.clock.now())
        elif "count" in given:
            self._add_many(calendar, given)
        else:
            for event in given["events"]:
                calendar.put(self._event(calendar.owner, event))
        ids = [event.id for event in calendar if event.id not in before]
        return JSONResponse({"events": len(calendar), "ids": ids}, 201)

    async def change(self, request: Request) -> Response:
        """Change fields of one event, its `status` among them: `confirmed`, `cancelled` or `removed`."""
        calendar, given = self._calendar(request), await fields(request)
        _only(given, _CHANGES)
        changes = _read(given)
        if "status" in given:
            changes["status"] = Status(given["status"])
        try:
            return JSONResponse(_summary(calendar.change(request.path_params["id"], **changes)))
        except KeyError:
            raise KeyError(f"event {request.path_params['id']!r}") from None

    async def expire(self, request: Request) -> Response:
        """Let every sync token of the calendar expire now."""
        calendar = self._calendar(request)
        calendar.forget_changes()
        return JSONResponse({"generation": calendar.generation})

    def _calendar(self, request: Request) -> Calendar:
        vendor, email = Vendor(request.path_params["vendor"]), request.path_params["email"]
        account = self._world.accounts.find(vendor, email)
        if account is None:
            raise KeyError(f"account {email!r}")
        return self._world.calendars.of(account)

    def _add_many(self, calendar: Calendar, given: Mapping[str, Any]) -> None:
        _only(given, {"count", "title", "start", "step_minutes"})
        count, step = int(given["count"]), timedelta(minutes=float(given.get("step_minutes", 30)))
        if not 0 < count <= MOST_EVENTS:
            raise ValueError(f"Events are added by 1 to {MOST_EVENTS}.")
        now = self._world.clock.now().replace(microsecond=0)
        start = _moment(given["start"]) if "start" in given else now
        for n in range(count):
            begin = start + n * step
            event_id = new_id()
            calendar.put(
                Event(
                    id=event_id,
                    uid=f"{event_id}@google.com",
                    title=f"{given.get('title', 'Event')} {n + 1}",
                    start=begin,
                    end=begin + step,
                    organizer=_own(calendar.owner),
                    created=now,
                    updated=now,
                )
            )

    def _event(self, owner: Account, given: Mapping[str, Any]) -> Event:
        """An event, and the meeting behind it where a `platform` is named."""
        _only(given, _EVENT | _MEETING)
        now = self._world.clock.now()
        event_id = new_id()
        event = Event(
            id=event_id,
            uid=f"{event_id}@google.com",
            organizer=_own(owner),
            created=now,
            updated=now,
            **{"title": "", "guests": (), **_read(given)},
        )
        if "platform" not in given:
            return event
        return replace(event, meeting=self._world.meetings.add(self._meeting(owner, event, given)))

    def _meeting(self, owner: Account, event: Event, given: Mapping[str, Any]) -> Meeting:
        platform = Platform(given["platform"])
        host = next(
            (each for each in self._world.accounts.of(platform.vendor) if each.name == owner.name), owner
        )
        room = new_room(platform, host=host)
        joined = {str(email).casefold() for email in given.get("joined", [])}
        there = [guest for guest in event.guests if guest.email.casefold() in joined]
        people = [
            Participant(name=host.name, email=host.email, joined=event.start, left=event.end, is_guest=False)
        ]
        people += [
            Participant(name=guest.name or guest.email, email=guest.email, joined=event.start, left=event.end)
            for guest in there
        ]
        return Meeting(
            id=event.id,
            platform=platform,
            code=room.code,
            uuid=str(given.get("uuid") or room.uuid),
            join_url=room.join_url,
            title=event.title,
            host=host.email,
            host_name=host.name,
            start=event.start,
            end=event.end,
            created=event.created,
            zone=event.zone,
            members=frozenset([owner.email, *(guest.email for guest in event.guests)]),
            participants=tuple(people) if "joined" in given else (),
            lines=tuple(Line(int(at), str(who), str(text)) for at, who, text in given.get("lines", [])),
            notes=_notes(given.get("notes")),
            is_recorded=given.get("is_recorded") is True,
        )


async def fields(request: Request) -> dict[str, Any]:
    """The JSON object in the body. Raises `TypeError` for anything else."""
    read = await request.json()
    if not isinstance(read, dict):
        raise TypeError("The body must be a JSON object.")
    return read


def _only(given: Mapping[str, Any], known: frozenset[str] | set[str]) -> None:
    strange = set(given) - known
    if strange:
        raise ValueError(f"There is no {min(strange)!r}; there are {', '.join(sorted(known))}.")


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    read = {name: given[name] for name in ("title", "description", "location", "zone") if name in given}
    read |= {name: _moment(given[name]) for name in ("start", "end") if name in given}
    if "is_all_day" in given:
        read["is_all_day"] = given["is_all_day"] is True
    if "guests" in given:
        read["guests"] = tuple(_guest(guest) for guest in given["guests"])
    return read


def _guest(given: Mapping[str, Any]) -> Guest:
    _only(given, {"email", "name", "answer", "is_room"})
    return Guest(
        email=str(given["email"]),
        name=str(given.get("name", "")),
        answer=Answer(given.get("answer", Answer.NONE)),
        is_room=given.get("is_room") is True,
    )


def _notes(given: Mapping[str, Any] | None) -> Notes | None:
    if given is None:
        return None
    return Notes(
        overview=str(given.get("overview", "")),
        details=tuple((str(label), str(text)) for label, text in given.get("details", [])),
        next_steps=tuple(str(step) for step in given.get("next_steps", [])),
    )


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no zone.")
    return moment.astimezone(UTC)


def _own(owner: Account) -> Guest:
    return Guest(email=owner.email, name=owner.name, answer=Answer.ACCEPTED)


def _summary(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "title": event.title,
        "start": event.start.isoformat(),
        "end": event.end.isoformat(),
        "status": event.status,
        "guests": [guest.email for guest in event.guests],
        "meeting": event.meeting.id if event.meeting else None,
        "join_url": event.meeting.join_url if event.meeting else None,
        "version": event.version,
    }
