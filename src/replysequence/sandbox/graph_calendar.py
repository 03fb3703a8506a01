"""Graph's calendarView and its delta: time range, pages, preferences, and links that nobody should take apart.

Source: Microsoft Graph "List calendarView", "event: delta" and "Get incremental changes to events in a calendar view",
checked 2026-11-22; an expired delta token as recorded in microsoft-graph-docs#2350 and #2877.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.calendars import Calendar, Event, Status
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.graph_access import Access, error, trace_of
from replysequence.sandbox.graph_event import event_id, resource, zone_named
from replysequence.sandbox.graph_message import GraphRefusal
from replysequence.sandbox.paging import cut, seal, unseal
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

MAY_READ: Final = ("Calendars.Read", "Calendars.ReadWrite", "Calendars.ReadBasic")
_PATH: Final = "/v1.0/me/calendarView"
DEFAULT_TOP, MOST_TOP = 10, 1000
_ORDERS: Final = {
    "start/dateTime": lambda event: event.start,
    "end/dateTime": lambda event: event.end,
    "subject": lambda event: event.title,
}
_NOT_SELECTABLE: Final = frozenset({"createdDateTime", "lastModifiedDateTime"})
_PREFERENCE: Final = re.compile(r'([\w.-]+)\s*=\s*"?([^",]*)"?')
_BOUNDS_MISSING: Final = GraphRefusal(
    400,
    "ErrorInvalidParameter",
    "This request requires a time window specified by the query string parameters StartDateTime and EndDateTime.",
)
_END_BEFORE_START: Final = GraphRefusal(
    400, "ErrorCalendarEndDateIsEarlierThanStartDate", "EndDate is earlier than StartDate"
)
_BAD_ORDER: Final = GraphRefusal(
    400, "BadRequest", "The $orderby expression must evaluate to a single value of primitive type."
)
_BAD_TOKEN: Final = GraphRefusal(400, "BadRequest", "Badly formed token.")
_NO_FILTER: Final = GraphRefusal(
    400, "ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes."
)


class GraphCalendar:
    """The two, for the own calendar."""

    def __init__(self, world: World, access: Access) -> None:
        self._world = world
        self._access = access

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the two."""
        return [
            site.route(_PATH, self.view, methods=["GET"], endpoint=Endpoint.CALENDAR),
            site.route(f"{_PATH}/delta", self.delta, methods=["GET"], endpoint=Endpoint.CALENDAR),
        ]

    async def view(self, request: Request) -> Response:
        """`GET /v1.0/me/calendarView`: every single event and occurrence in a range of time."""
        try:
            calendar, wishes = self._calendar(request), _wishes(request)
            query = _read(request)
            found = [
                event for event in calendar if _is_shown(event) and event.overlaps(query.begin, query.end)
            ]
            found.sort(key=_ORDERS[query.order], reverse=query.is_descending)
            events, following = cut(
                found, start=query.start, size=query.top, is_empty=self._is_empty(calendar)
            )
            shown = [_select(self._shown(event, calendar, wishes), query.select) for event in events]
        except GraphRefusal as refusal:
            return error(request, refusal)
        body: dict[str, Any] = {
            "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users('me')/calendarView",
            "value": shown,
        }
        if following is not None:
            body["@odata.nextLink"] = _link(request, _PATH, "$skiptoken", query.sealed(start=following))
        return JSONResponse(body, headers=trace_of(request) | wishes.applied)

    async def delta(self, request: Request) -> Response:
        """`GET /v1.0/me/calendarView/delta`: all at first, then what changed since a delta link."""
        try:
            calendar, wishes = self._calendar(request), _wishes(request)
            round_ = self._round(request, calendar)
            found = [event for event in calendar if round_.concerns(event)]
            events, following = cut(
                found, start=round_.start, size=wishes.page_size, is_empty=self._is_empty(calendar)
            )
            shown = [self._changed(event, calendar, wishes, round_) for event in events]
        except GraphRefusal as refusal:
            return error(request, refusal)
        body: dict[str, Any] = {
            "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#Collection(event)",
            "value": shown,
        }
        path = f"{_PATH}/delta"
        if following is not None:
            body["@odata.nextLink"] = _link(request, path, "$skiptoken", round_.sealed(start=following))
        else:
            body["@odata.deltaLink"] = _link(
                request, path, "$deltatoken", round_.sealed(since=round_.version)
            )
        return JSONResponse(body, headers=trace_of(request) | wishes.applied)

    def _calendar(self, request: Request) -> Calendar:
        account = self._access.authorize(request, *MAY_READ).account
        self._access.count(account)
        return self._world.calendars.of(account)

    def _is_empty(self, calendar: Calendar) -> bool:
        return self._world.faults.happens(
            "empty_page", Vendor.MICROSOFT, Endpoint.CALENDAR, account=calendar.owner.email
        )

    def _round(self, request: Request, calendar: Calendar) -> "_Round":
        """The round that the request begins or goes on with. Raises GraphRefusal for one that has expired."""
        asked = _folded(request)
        token = asked.get("$skiptoken") or asked.get("$deltatoken")
        if token is None:
            begin, end = _bounds(asked)
            return _Round(
                generation=calendar.generation,
                version=calendar.version,
                since=None,
                start=0,
                begin=begin,
                end=end,
            )
        held = _unsealed(token, "generation", "version", "since", "start", "begin", "end")
        struck = self._world.faults.happens(
            "sync_token_expired", Vendor.MICROSOFT, Endpoint.CALENDAR, account=calendar.owner.email
        )
        if struck or held["generation"] != calendar.generation:
            raise _state_not_found(held["generation"], calendar.generation + 1)
        return _Round(
            generation=calendar.generation,
            version=held["version"] if "$skiptoken" in asked else calendar.version,
            since=held["since"],
            start=held["start"],
            begin=datetime.fromisoformat(held["begin"]),
            end=datetime.fromisoformat(held["end"]),
        )

    def _shown(self, event: Event, calendar: Calendar, wishes: "_Wishes") -> dict[str, Any]:
        return resource(event, owner=calendar.owner.email, zone=wishes.zone, as_text=wishes.as_text)

    def _changed(
        self, event: Event, calendar: Calendar, wishes: "_Wishes", round_: "_Round"
    ) -> dict[str, Any]:
        if event.status is Status.REMOVED or not event.overlaps(round_.begin, round_.end):
            return {
                "@odata.type": "#microsoft.graph.event",
                "id": event_id(event),
                "@removed": {"reason": "deleted"},
            }
        return {"@odata.type": "#microsoft.graph.event"} | self._shown(event, calendar, wishes)


@dataclass(frozen=True, kw_only=True)
class _Query:
    """What a calendarView asks for; what a next link carries on."""

    begin: datetime
    end: datetime
    select: tuple[str, ...]
    order: str
    is_descending: bool
    top: int
    start: int

    def sealed(self, *, start: int) -> str:
        """The token of the next link."""
        return seal(
            begin=self.begin.isoformat(),
            end=self.end.isoformat(),
            select=self.select,
            order=self.order,
            is_descending=self.is_descending,
            top=self.top,
            start=start,
        )


@dataclass(frozen=True, kw_only=True)
class _Round:
    """One round of a delta query: everything in the range, or what changed after the version `since`."""

    generation: int
    version: int
    since: int | None
    start: int
    begin: datetime
    end: datetime

    def concerns(self, event: Event) -> bool:
        """Whether the round tells of `event`."""
        if event.rule:
            return False
        if self.since is not None:
            return event.version > self.since
        return event.status is not Status.REMOVED and event.overlaps(self.begin, self.end)

    def sealed(self, *, start: int = 0, since: int | None = None) -> str:
        """The token of the next or of the delta link."""
        return seal(
            generation=self.generation,
            version=self.version,
            since=self.since if since is None else since,
            start=start,
            begin=self.begin.isoformat(),
            end=self.end.isoformat(),
        )


@dataclass(frozen=True, kw_only=True)
class _Wishes:
    """What `Prefer` asks for, and the header that says what was granted."""

    zone: str
    as_text: bool
    page_size: int
    applied: dict[str, str]


def _wishes(request: Request) -> _Wishes:
    """Raises GraphRefusal for a time zone that nobody knows."""
    given = {
        name.lower(): value
        for name, value in _PREFERENCE.findall(", ".join(request.headers.getlist("prefer")))
    }
    zone = given.get("outlook.timezone", "UTC")
    zone_named(zone)
    size = given.get("odata.maxpagesize", "")
    granted = [
        f'{name}="{given[name]}"'
        for name in ("outlook.timezone", "outlook.body-content-type")
        if name in given
    ]
    return _Wishes(
        zone=zone,
        as_text=given.get("outlook.body-content-type", "").lower() == "text",
        page_size=min(int(size), MOST_TOP) if size.isdigit() and int(size) else DEFAULT_TOP,
        applied={"Preference-Applied": ", ".join(granted)} if granted else {},
    )


def _read(request: Request) -> _Query:
    """Raises GraphRefusal for what is missing or cannot be read."""
    asked = _folded(request)
    if "$skiptoken" in asked:
        held = _unsealed(
            asked["$skiptoken"], "begin", "end", "select", "order", "is_descending", "top", "start"
        )
        return _Query(
            begin=datetime.fromisoformat(held["begin"]),
            end=datetime.fromisoformat(held["end"]),
            select=tuple(held["select"]),
            order=held["order"],
            is_descending=held["is_descending"],
            top=held["top"],
            start=held["start"],
        )
    if "$filter" in asked:
        raise _NO_FILTER
    begin, end = _bounds(asked)
    order, _, direction = asked.get("$orderby", "start/dateTime").partition(" ")
    if order not in _ORDERS or direction.strip().lower() not in ("", "asc", "desc"):
        raise _BAD_ORDER
    return _Query(
        begin=begin,
        end=end,
        select=tuple(name for name in asked.get("$select", "").replace(" ", "").split(",") if name),
        order=order,
        is_descending=direction.strip().lower() == "desc",
        top=min(_count(asked.get("$top", str(DEFAULT_TOP)), "$top"), MOST_TOP) or DEFAULT_TOP,
        start=_count(asked.get("$skip", "0"), "$skip"),
    )


def _folded(request: Request) -> dict[str, str]:
    """The query by lower-case names: Graph does not mind the case of them."""
    return {name.lower(): value for name, value in request.query_params.items()}


def _bounds(asked: dict[str, str]) -> tuple[datetime, datetime]:
    if "startdatetime" not in asked or "enddatetime" not in asked:
        raise _BOUNDS_MISSING
    begin, end = (_moment(asked[name], name) for name in ("startdatetime", "enddatetime"))
    if end < begin:
        raise _END_BEFORE_START
    return begin, end


def _moment(text: str, name: str) -> datetime:
    """ISO 8601; without an offset it is UTC, whatever `Prefer` says."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"The value '{text}' of parameter '{name}' is invalid."
        raise GraphRefusal(400, "ErrorInvalidParameter", message) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _count(text: str, name: str) -> int:
    if not text.isdigit():
        raise GraphRefusal(400, "BadRequest", f"Invalid value '{text}' for {name} query option found.")
    return int(text)


def _unsealed(token: str, *names: str) -> dict[str, Any]:
    try:
        return unseal(token, *names)
    except ValueError:
        raise _BAD_TOKEN from None


def _is_shown(event: Event) -> bool:
    return not event.rule and event.status is not Status.REMOVED


def _select(shown: dict[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    """`shown` with what was wanted of it. Raises GraphRefusal for a name that there is not."""
    if not wanted:
        return shown
    for name in wanted:
        if name not in shown:
            message = f"Could not find a property named '{name}' on type 'microsoft.graph.event'."
            raise GraphRefusal(400, "RequestBroker--ParseUri", message)
    kept = {"@odata.etag", "id", *wanted} - _NOT_SELECTABLE
    return {name: value for name, value in shown.items() if name in kept}


def _link(request: Request, path: str, name: str, token: str) -> str:
    return f"{str(request.base_url).rstrip('/')}{path}?{name}={quote(token)}"


def _state_not_found(generation: int, highest: int) -> GraphRefusal:
    known = f"[highest={highest}][{highest}][{highest - 1}]"
    return GraphRefusal(
        410, "SyncStateNotFound", f"The sync state generation is not found; generation={generation};{known}."
    )
