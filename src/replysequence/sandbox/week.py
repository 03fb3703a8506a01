"""The week that the sandbox begins with: meetings of the person of the demo, around now, on every platform."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from replysequence.sandbox.accounts import Account, Accounts, Vendor
from replysequence.sandbox.calendars import ZONE, Answer, Calendar, Calendars, Event, Guest, Status
from replysequence.sandbox.meetings import Line, Meeting, Meetings, Notes, Participant, Platform, teams_link

PERSON: Final = "Dana Reyes"
"""Whoever has this name has this week, in the calendar of each of her accounts."""

MAYA = Guest(email="maya.lindqvist@northwind.example", name="Maya Lindqvist", answer=Answer.ACCEPTED)
HENRIK = Guest(email="henrik.dahl@northwind.example", name="Henrik Dahl", answer=Answer.DECLINED)
ELIN = Guest(email="elin.berg@northwind.example", name="Elin Berg")
TOMAS = Guest(email="tomas@oliveira-logistica.example", name="Tomás Oliveira", answer=Answer.ACCEPTED)
PRIYA = Guest(email="priya.raman@heliotrope.example", name="Priya Raman", answer=Answer.ACCEPTED)
OMAR = Guest(email="omar.haddad@heliotrope.example", name="Omar Haddad", answer=Answer.TENTATIVE)
SAM = Guest(email="sam.okafor@brightwave.example", name="Sam Okafor", answer=Answer.ACCEPTED)
PHONE = Guest(email="", name="+46 70 *** ** 12")
"""Dialled in; nobody knows who it was."""
ROOM = Guest(email="", name="Fjord (8)", answer=Answer.ACCEPTED, is_room=True)
_ROOM_ADDRESSES: Final = {
    Vendor.GOOGLE: "c_188fjord@resource.calendar.google.com",
    Vendor.MICROSOFT: "fjord@contoso.example",
}

HOSTILE_TITLE: Final = (
    '<script>alert("title")</script> {{ 7 * 7 }} \u202etxt.exe\u202c 🎯 مرحبا\x07\x1b[31m'
    "\r\nBcc: eve@evil.example"
)

NOTES: Final = Notes(
    overview="Northwind wants to try the product in two teams in Malmö before the end of the quarter.",
    details=(
        ("Pilot", "Two teams with 24 people take part. They need single sign-on and a training of one hour."),
        ("Price", "The price per seat stays for the first year. Maya asks for monthly billing."),
    ),
    next_steps=(
        "Dana sets up the pilot for the two teams by Friday.",
        "Maya sends the list of people who take part.",
        "Both meet again on Thursday at 10:00.",
    ),
)
_LINES: Final = (
    Line(4, PERSON, "Good morning, everybody. Shall we begin with the pilot?"),
    Line(11, MAYA.name, "Yes. We have two teams in Malmö, 24 people in all."),
    Line(24, ELIN.name, "They would need single sign-on from the first day."),
    Line(38, PERSON, "That is included. I can have it ready by Friday."),
    Line(55, MAYA.name, "Good. Then I send you the list of people, and we talk again on Thursday at ten."),
)


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One meeting of the week. Days count from today, in the zone of the calendar."""

    id: str
    platform: Platform
    title: str
    day: int
    at: str
    minutes: int
    code: str
    uuid: str
    joined: tuple[Guest, ...] = ()
    """Who took part beside the host; nobody means that it was not held."""
    notes: Notes | None = None
    lines: tuple[Line, ...] = ()
    is_recorded: bool = False
    guests: tuple[Guest, ...] = ()


CALLS: Final = (
    _Call(
        id="kick-off",
        platform=Platform.ZOOM,
        title="Pilot kick-off with Northwind",
        day=0,
        at="09:00",
        minutes=45,
        code="85230946712",
        # Begins with a slash and holds two: such an id goes into an address encoded twice.
        uuid="/pQ7vRk2TzaXm0dL//eWbg==",
        joined=(MAYA, ELIN),
        notes=NOTES,
        lines=_LINES,
        is_recorded=True,
        guests=(MAYA, HENRIK, ELIN, ROOM),
    ),
    _Call(
        id="figures",
        platform=Platform.MEET,
        title="Figures for Oliveira Logística",
        day=-1,
        at="15:00",
        minutes=30,
        code="kfp-wqzn-dhe",
        uuid="Zy3vQk1nTfC7",
        joined=(TOMAS, SAM, PHONE),
        notes=Notes(overview="Tomás asks for the figures and an offer for 40 seats."),
        lines=(
            Line(3, PERSON, "Hello Tomás, here are the figures you asked for."),
            Line(9, TOMAS.name, "Thank you. Could you make us an offer for 40 seats?"),
        ),
        is_recorded=True,
        guests=(TOMAS, SAM),
    ),
    _Call(
        id="security",
        platform=Platform.TEAMS,
        title="Security review with Heliotrope",
        day=-2,
        at="14:00",
        minutes=60,
        code="19:meeting_NTQ0ZDk4YzEtMzBjYS00ZDk5LTg2ZDItZjE4ODZkNmI3Y2Y3@thread.v2",
        uuid="7f3c1d52-9a64-4c0b-8d1e-2b7a90c4e6f1",
        joined=(PRIYA, OMAR, PHONE),
        notes=None,
        lines=(
            Line(2, PRIYA.name, "We need the security review by the end of the month."),
            Line(12, PERSON, "You have the documents tomorrow. Single sign-on is in them."),
            Line(21, OMAR.name, "Then we decide in January."),
        ),
        is_recorded=True,
        guests=(PRIYA, OMAR),
    ),
    _Call(
        id="pipeline",
        platform=Platform.ZOOM,
        title="Pipeline review",
        day=-3,
        at="11:00",
        minutes=30,
        code="84417720935",
        uuid="4kBw9QfZSRmPz2/uD0hTLQ==",
        joined=(SAM,),
        guests=(SAM,),
    ),
    _Call(
        id="next-steps",
        platform=Platform.ZOOM,
        title="Next steps with Northwind",
        day=1,
        at="10:00",
        minutes=30,
        code="86650183327",
        uuid="Xn5tYc8JQ2SgVw1kEo3rMA==",
        guests=(MAYA, ELIN),
    ),
)


def furnish(accounts: Accounts, calendars: Calendars, meetings: Meetings, *, now: datetime) -> None:
    """Put the week around `now` into the calendars and on the platforms."""
    people = [account for account in accounts if account.name == PERSON]
    for call in CALLS:
        meetings.add(_held(call, people, now=now))
    for account in people:
        if account.vendor in (Vendor.GOOGLE, Vendor.MICROSOFT):
            fill(calendars.of(account), meetings, now=now)


def fill(calendar: Calendar, meetings: Meetings, *, now: datetime) -> None:
    """Put the week around `now` into one calendar."""
    for event in _events(calendar.owner, meetings, now=now):
        calendar.put(event)


def _held(call: _Call, people: list[Account], *, now: datetime) -> Meeting:
    host = next(account for account in people if account.vendor is call.platform.vendor)
    begin, end = _times(call, now=now)
    guests = tuple(
        Participant(
            name=guest.name,
            email=guest.email,
            joined=begin + timedelta(seconds=20 * (n + 1)),
            left=end - timedelta(seconds=15 * (n + 1)),
            is_guest=guest.email.rpartition("@")[2] != host.email.rpartition("@")[2],
        )
        for n, guest in enumerate(call.joined)
    )
    own = Participant(name=host.name, email=host.email, joined=begin, left=end, is_guest=False)
    return Meeting(
        id=call.id,
        platform=call.platform,
        code=call.code,
        uuid=call.uuid,
        join_url=_link(call, host),
        title=call.title,
        host=host.email,
        host_name=host.name,
        start=begin,
        end=end,
        created=begin - timedelta(days=6),
        zone=ZONE,
        members=frozenset([account.email for account in people] + [guest.email for guest in call.guests]),
        participants=(own, *guests) if guests else (),
        lines=call.lines,
        notes=call.notes,
        is_recorded=call.is_recorded,
    )


def _link(call: _Call, host: Account) -> str:
    match call.platform:
        case Platform.ZOOM:
            return f"https://us02web.zoom.us/j/{call.code}?pwd=Q2xhc3MtcGFzcw.1"
        case Platform.MEET:
            return f"https://meet.google.com/{call.code}"
        case Platform.TEAMS:
            return teams_link(call.code, tenant=host.tenant, subject=host.subject)


def _times(call: _Call, *, now: datetime) -> tuple[datetime, datetime]:
    """Begin and end; a call of this morning that would not be over by now is moved to where it is."""
    begin = moment(now, day=call.day, at=call.at)
    length = timedelta(minutes=call.minutes)
    if call.day == 0:
        latest = now - length - timedelta(minutes=15)
        begin = min(begin, latest.replace(minute=latest.minute // 15 * 15, second=0, microsecond=0))
    return begin, begin + length


def moment(now: datetime, *, day: int, at: str, zone: str = ZONE) -> datetime:
    """The instant, in UTC, of the wall-clock time `at`, so many days from today in `zone`."""
    local = now.astimezone(ZoneInfo(zone))
    wall = datetime.combine(local.date() + timedelta(days=day), time.fromisoformat(at), ZoneInfo(zone))
    return wall.astimezone(now.tzinfo)


def _events(owner: Account, meetings: Meetings, *, now: datetime) -> Iterator[Event]:
    own = Guest(email=owner.email, name=owner.name, answer=Answer.ACCEPTED)

    def entry(name: str, title: str, begin: datetime, *, minutes: int, **rest: object) -> Event:
        made = Event(
            id=_id(owner, name),
            uid=_uid(name),
            title=title,
            start=begin,
            end=begin + timedelta(minutes=minutes),
            organizer=own,
            created=now - timedelta(days=8),
            updated=now - timedelta(days=2),
        )
        return replace(made, **rest)  # type: ignore[arg-type]  # fields of an event

    for call in CALLS:
        meeting = meetings.find(call.id)
        if meeting is not None:
            yield entry(
                call.id,
                call.title,
                meeting.start,
                minutes=call.minutes,
                guests=(own, *(_placed(guest, owner) for guest in call.guests)),
                meeting=meeting,
                description="Agenda:\n1. Where we are\n2. What comes next",
                location=ROOM.name if ROOM in call.guests else "",
            )
    yield entry(
        "fair",
        "Trade fair in Gothenburg",
        moment(now, day=2, at="00:00", zone="UTC"),
        minutes=2 * 24 * 60,
        is_all_day=True,
        location="Svenska Mässan, Göteborg",
    )
    yield entry(
        "cancelled",
        "Lunch with Northwind",
        moment(now, day=-1, at="12:00"),
        minutes=60,
        guests=(own, MAYA),
        status=Status.CANCELLED,
    )
    yield entry("focus", "Write the offer", moment(now, day=0, at="16:00"), minutes=90)
    yield entry(
        "california",
        "Call with Heliotrope, California",
        moment(now, day=3, at="09:30", zone="America/Los_Angeles"),
        minutes=45,
        zone="America/Los_Angeles",
        organizer=PRIYA,
        guests=(PRIYA, own, OMAR),
    )
    yield entry(
        "hostile",
        HOSTILE_TITLE,
        moment(now, day=-2, at="17:00"),
        minutes=30,
        guests=(own, Guest(email="mallory@evil.example", name='"><img src=x onerror=alert(1)>')),
        description='<p onclick="alert(2)">Click <a href="javascript:alert(3)">here</a></p>',
    )
    yield from _series(owner, own, now=now)


def _placed(guest: Guest, owner: Account) -> Guest:
    """The guest; a room with the address that it has in this calendar."""
    return replace(guest, email=_ROOM_ADDRESSES[owner.vendor]) if guest.is_room else guest


def _series(owner: Account, own: Guest, *, now: datetime) -> Iterator[Event]:
    """A stand-up on ten days from four days ago; yesterday's was left out, tomorrow's was moved."""
    first = moment(now, day=-4, at="08:30")
    master = Event(
        id=_id(owner, "stand-up"),
        uid=_uid("stand-up"),
        title="Stand-up",
        start=first,
        end=first + timedelta(minutes=15),
        organizer=own,
        guests=(own, SAM),
        rule="FREQ=DAILY;COUNT=10",
        created=now - timedelta(days=30),
        updated=now - timedelta(days=30),
    )
    yield master
    for day in range(-4, 6):
        planned = moment(now, day=day, at="08:30")
        occurrence = replace(
            master,
            id=f"{master.id}_{planned:%Y%m%dT%H%M%SZ}",
            start=planned,
            end=planned + timedelta(minutes=15),
            rule="",
            series=master.id,
            original_start=planned,
        )
        match day:
            case -1:
                yield replace(occurrence, status=Status.REMOVED, is_exception=True)
            case 1:
                moved = moment(now, day=day, at="11:15")
                yield replace(
                    occurrence,
                    title="Stand-up (moved)",
                    start=moved,
                    end=moved + timedelta(minutes=15),
                    is_exception=True,
                )
            case _:
                yield occurrence


def _id(owner: Account, name: str) -> str:
    return hashlib.sha256(f"{owner.vendor}/{owner.email}/{name}".encode()).hexdigest()[:26]


def _uid(name: str) -> str:
    return f"{hashlib.sha256(name.encode()).hexdigest()[:26]}@google.com"
