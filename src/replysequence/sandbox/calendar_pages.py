"""The sandbox's own pages about calendars: somebody's week, and what is known of a call."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.calendars import ZONE, Answer, Calendar, Event, Status
from replysequence.sandbox.meetings import Platform
from replysequence.sandbox.rendering import page
from replysequence.sandbox.world import World

COMPANY: Final = {Vendor.GOOGLE: "Google Calendar", Vendor.MICROSOFT: "Outlook"}
PLATFORM: Final = {Platform.ZOOM: "Zoom", Platform.MEET: "Google Meet", Platform.TEAMS: "Teams"}
ANSWERS: Final = {
    Answer.ACCEPTED: "comes",
    Answer.DECLINED: "does not come",
    Answer.TENTATIVE: "comes perhaps",
    Answer.NONE: "has not answered",
}
MOST_WEEKS: Final = 520
"""How far from today a page goes: ten years."""


@dataclass(frozen=True)
class _Day:
    """One day of a week, in the time of the calendar."""

    date: date
    events: list[tuple[str, Event]]
    """When, in words, and what."""


class CalendarPages:
    """Plain pages, no script, no form."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[BaseRoute]:
        """Every page."""
        return [
            Route("/calendars", self.calendars, methods=["GET"]),
            Route("/calendars/{vendor}/{email}", self.week, methods=["GET"]),
            Route("/meetings/{id}", self.meeting, methods=["GET"]),
        ]

    async def calendars(self, _: Request) -> Response:
        """Whose calendars there are, and the calls that were held or are to come."""
        meetings = sorted(self._world.meetings, key=lambda each: each.start, reverse=True)
        return page(
            "calendars.html",
            here="calendars",
            calendars=[(calendar, _coming(calendar)) for calendar in self._calendars()],
            company=COMPANY,
            meetings=[
                (each, _written(each.began), self._world.meetings.is_over(each)) for each in meetings[:50]
            ],
            platform=PLATFORM,
        )

    async def week(self, request: Request) -> Response:
        """Seven days from a Monday; `week` counts from this one."""
        account = self._account(request)
        text = request.query_params.get("week", "0")
        if account is None or not text.removeprefix("-").isdigit() or abs(int(text)) > MOST_WEEKS:
            return _not_found("calendar")
        number, today = int(text), self._world.clock.now().astimezone(ZoneInfo(ZONE)).date()
        monday = today + timedelta(days=7 * number - today.weekday())
        calendar = self._world.calendars.of(account)
        return page(
            "week.html",
            here="calendars",
            account=account,
            company=COMPANY,
            days=_days(calendar, monday),
            today=today,
            week=number,
            answers=ANSWERS,
            platform=PLATFORM,
            is_cancelled=lambda event: event.status is Status.CANCELLED,
        )

    async def meeting(self, request: Request) -> Response:
        """A call: who was there, what was noted, what was said."""
        meeting = self._world.meetings.find(request.path_params["id"])
        if meeting is None:
            return _not_found("meeting")
        papers_at = meeting.ended + timedelta(
            seconds=self._world.settings[meeting.platform.vendor].papers_seconds
        )
        return page(
            "meeting.html",
            here="calendars",
            meeting=meeting,
            platform=PLATFORM,
            when=f"{_written(meeting.began)} to {_clock(meeting.ended)}",
            is_over=self._world.meetings.is_over(meeting),
            has_papers=self._world.has_papers(meeting),
            papers_at=_written(papers_at),
            minutes=[int((each.left - each.joined).total_seconds() // 60) for each in meeting.participants],
        )

    def _calendars(self) -> Iterable[Calendar]:
        accounts = (account for account in self._world.accounts if account.vendor in COMPANY)
        return [calendar for calendar in map(self._world.calendars.of, accounts) if len(calendar)]

    def _account(self, request: Request) -> Account | None:
        try:
            vendor = Vendor(request.path_params["vendor"])
        except ValueError:
            return None
        return self._world.accounts.find(vendor, request.path_params["email"])


def _coming(calendar: Calendar) -> int:
    return sum(not event.rule and event.status is Status.CONFIRMED for event in calendar)


def _days(calendar: Calendar, monday: date) -> list[_Day]:
    shown = sorted(
        (event for event in calendar if not event.rule and event.status is not Status.REMOVED),
        key=lambda event: (not event.is_all_day, event.start),
    )
    return [_Day(day, _of_day(shown, day)) for day in (monday + timedelta(days=n) for n in range(7))]


def _of_day(events: Iterable[Event], day: date) -> list[tuple[str, Event]]:
    def is_on(event: Event) -> bool:
        zone = UTC if event.is_all_day else ZoneInfo(ZONE)
        begin = datetime.combine(day, time(), zone)
        return event.overlaps(begin, begin + timedelta(days=1))

    return [(_when(event), event) for event in events if is_on(event)]


def _when(event: Event) -> str:
    return "all day" if event.is_all_day else f"{_clock(event.start)} to {_clock(event.end)}"


def _clock(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo(ZONE)).strftime("%H:%M")


def _written(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo(ZONE)).strftime("%a %d %b %H:%M")


def _not_found(what: str) -> Response:
    return PlainTextResponse(f"There is no such {what} here.", 404)
