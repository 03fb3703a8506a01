"""Google Calendar's `events.list` and `get`: pages, sync tokens, and who may read (calendar.v3 discovery document of
2026-10-30; errors: "Handle API errors", checked 2026-11-22).

Of two errors the body is not published and worded here after their siblings: a sync token beside a parameter that
excludes it, and a token that was never given.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox import google_errors as errors
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.calendars import ZONE, Calendar, Event, Status
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.google_access import authorize
from replysequence.sandbox.google_errors import GoogleFailure, GoogleRefusedError
from replysequence.sandbox.google_event import resource, stamp
from replysequence.sandbox.google_scopes import MAY_READ_EVENTS
from replysequence.sandbox.paging import cut, seal, unseal
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

_PATH: Final = "/calendar/v3/calendars/{calendar}/events"
DEFAULT_RESULTS, MOST_RESULTS = 250, 2500

INSUFFICIENT_SCOPES: Final = replace(errors.INSUFFICIENT_SCOPES, service=errors.CALENDAR)
_NOT_BESIDE_SYNC: Final = (
    *("iCalUID", "orderBy", "privateExtendedProperty", "q", "sharedExtendedProperty"),
    *("timeMin", "timeMax", "updatedMin"),
)
_NO_SYNC_AFTER: Final = frozenset(_NOT_BESIDE_SYNC) - {"timeMin", "timeMax"}
"""A listing with one of these ends without `nextSyncToken`; Google's own sample synchronises after a `timeMin`."""
_TIME_RANGE_EMPTY: Final = "The specified time range is empty."
_SYNC_TOKEN_EXPIRED: Final = "Sync token is no longer valid, a full sync is required."
_NO_SUCH_ORDER: Final = "The requested ordering is not available for the particular query."


class GoogleCalendar:
    """The two reading methods, on the own calendar."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the two."""
        return [
            site.route(_PATH, self.list_events, methods=["GET"], endpoint=Endpoint.CALENDAR),
            site.route(f"{_PATH}/{{id}}", self.get_event, methods=["GET"], endpoint=Endpoint.CALENDAR),
        ]

    async def list_events(self, request: Request) -> Response:
        """A page of the events that the query describes, or of what changed since a sync token."""
        try:
            calendar = self._calendar(request)
            query = _read(request)
            return JSONResponse(self._page(calendar, query, request))
        except GoogleRefusedError as refused:
            return refused.failure.response()

    async def get_event(self, request: Request) -> Response:
        """One event, removed ones included."""
        try:
            calendar = self._calendar(request)
        except GoogleRefusedError as refused:
            return refused.failure.response()
        event = calendar.find(request.path_params["id"])
        if event is None:
            return NOT_FOUND.response()
        return JSONResponse(resource(event, owner=calendar.owner.email))

    def _calendar(self, request: Request) -> Calendar:
        token = authorize(
            request, self._world.credentials, scopes=MAY_READ_EVENTS, insufficient=INSUFFICIENT_SCOPES
        )
        wanted = request.path_params["calendar"]
        if wanted != "primary" and wanted.casefold() != token.account.email.casefold():
            raise GoogleRefusedError(NOT_FOUND)
        return self._world.calendars.of(token.account)

    def _page(self, calendar: Calendar, query: "_Query", request: Request) -> dict[str, Any]:
        since = self._since(calendar, query)
        # What changes while somebody turns the pages belongs to the next round.
        version = query.page.get("version", calendar.version)
        found = [event for event in calendar if _fits(event, query, since=since)]
        if query.order == "startTime":
            found.sort(key=lambda event: (event.start, event.id))
        elif query.order == "updated":
            found.sort(key=lambda event: event.version)
        events, following = cut(
            found, start=query.page.get("start", 0), size=query.size, is_empty=self._is_empty(calendar)
        )
        owner = calendar.owner.email
        body: dict[str, Any] = {
            "kind": "calendar#events",
            "etag": f'"p{calendar.version}"',
            "summary": owner,
            "description": "",
            "updated": stamp(max((event.updated for event in calendar), default=self._world.clock.now())),
            "timeZone": query.zone,
            "accessRole": "owner",
            "defaultReminders": [{"method": "popup", "minutes": 10}],
            "items": [
                resource(event, owner=owner, zone=query.zone, max_attendees=query.max_attendees)
                for event in events
            ],
        }
        if following is not None:
            body["nextPageToken"] = seal(start=following, version=version)
        elif not _NO_SYNC_AFTER & set(request.query_params):
            body["nextSyncToken"] = seal(
                generation=calendar.generation, version=version, bounds=query.bounds, single=query.is_single
            )
        return body

    def _is_empty(self, calendar: Calendar) -> bool:
        return self._world.faults.happens(
            "empty_page", Vendor.GOOGLE, Endpoint.CALENDAR, account=calendar.owner.email
        )

    def _since(self, calendar: Calendar, query: "_Query") -> int | None:
        """The version that the sync token of `query` holds. Raises `GoogleRefusedError` for one that has expired."""
        if query.sync is None:
            return None
        struck = self._world.faults.happens(
            "sync_token_expired", Vendor.GOOGLE, Endpoint.CALENDAR, account=calendar.owner.email
        )
        if struck or query.sync["generation"] != calendar.generation:
            raise GoogleRefusedError(SYNC_TOKEN_EXPIRED)
        return int(query.sync["version"])


@dataclass(frozen=True, kw_only=True)
class _Query:
    """What a listing asks for. `sync` and `page` are what its tokens hold."""

    time_min: datetime | None
    time_max: datetime | None
    updated_min: datetime | None
    is_single: bool
    shows_deleted: bool
    order: str
    size: int
    words: str
    uid: str
    zone: str
    max_attendees: int | None
    sync: dict[str, Any] | None
    page: dict[str, Any]

    @property
    def bounds(self) -> list[str | None]:
        """The time range, for the sync token that carries it on."""
        return [bound.isoformat() if bound else None for bound in (self.time_min, self.time_max)]


def _read(request: Request) -> _Query:
    """Raises `GoogleRefusedError` for what does not go together or cannot be read."""
    asked = request.query_params
    sync = _token(asked.get("syncToken"), "syncToken", holds=("generation", "version", "bounds", "single"))
    if sync is not None and (
        any(name in asked for name in _NOT_BESIDE_SYNC) or asked.get("showDeleted") == "false"
    ):
        raise GoogleRefusedError(BAD_REQUEST)
    low, high = _moment(asked.get("timeMin")), _moment(asked.get("timeMax"))
    if low is not None and high is not None and high <= low:
        raise GoogleRefusedError(
            _bad(_TIME_RANGE_EMPTY, "timeMax", reason="timeRangeEmpty", domain="calendar")
        )
    single = asked.get("singleEvents") == "true"
    order = asked.get("orderBy", "")
    if order not in ("", "updated", "startTime") or (order == "startTime" and not single):
        raise GoogleRefusedError(_bad(_NO_SUCH_ORDER, "orderBy"))
    if sync is not None:
        low, high = (_moment(bound) for bound in sync["bounds"])
        single = sync["single"]
    return _Query(
        time_min=low,
        time_max=high,
        updated_min=_moment(asked.get("updatedMin")),
        is_single=single,
        shows_deleted=asked.get("showDeleted") == "true",
        order=order,
        size=min(_count(asked, "maxResults") or DEFAULT_RESULTS, MOST_RESULTS),
        words=asked.get("q", "").casefold(),
        uid=asked.get("iCalUID", ""),
        zone=_zone(asked.get("timeZone", ZONE)),
        max_attendees=_count(asked, "maxAttendees"),
        sync=sync,
        page=_token(asked.get("pageToken"), "pageToken", holds=("start", "version")) or {},
    )


def _fits(event: Event, query: _Query, *, since: int | None) -> bool:
    if _is_hidden(event, is_single=query.is_single):
        return False
    is_gone = event.status is not Status.CONFIRMED
    if since is not None:
        return event.version > since and (is_gone or event.overlaps(query.time_min, query.time_max))
    if query.updated_min is not None:
        if event.updated < query.updated_min:
            return False
    elif is_gone and not query.shows_deleted and (query.is_single or not event.series):
        return False
    if query.uid and query.uid != event.uid:
        return False
    return query.words in _searched(event) and event.overlaps(query.time_min, query.time_max)


def _is_hidden(event: Event, *, is_single: bool) -> bool:
    """Series are shown as their occurrences, or as their master with the exceptions."""
    if is_single:
        return bool(event.rule)
    return bool(event.series) and not event.is_exception


def _searched(event: Event) -> str:
    people = (text for guest in event.guests for text in (guest.name, guest.email))
    return "\n".join((event.title, event.description, event.location, *people)).casefold()


def _moment(text: str | None) -> datetime | None:
    """RFC 3339, the offset included. Raises `GoogleRefusedError`."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GoogleRefusedError(BAD_REQUEST) from None
    if moment.tzinfo is None:
        raise GoogleRefusedError(BAD_REQUEST)
    return moment


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise GoogleRefusedError(_bad("Invalid time zone.", "timeZone")) from None
    return name


def _count(asked: Any, name: str) -> int | None:
    text = asked.get(name)
    if text is None:
        return None
    if not text.isdigit() or int(text) < 1:
        raise GoogleRefusedError(_bad(f"Invalid value for: {text} is not a valid value", name))
    return int(text)


def _token(text: str | None, name: str, *, holds: tuple[str, ...]) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        return unseal(text, *holds)
    except ValueError:
        words = "page token" if name == "pageToken" else "sync token"
        raise GoogleRefusedError(_bad(f"Invalid {words} value.", name)) from None


def _bad(message: str, name: str, *, reason: str = "invalid", domain: str = "global") -> GoogleFailure:
    return GoogleFailure(400, "", reason, message, domain=domain, location=name, location_type="parameter")


BAD_REQUEST: Final = GoogleFailure(400, "", "badRequest", "Bad Request")
NOT_FOUND: Final = GoogleFailure(404, "", "notFound", "Not Found")
SYNC_TOKEN_EXPIRED: Final = GoogleFailure(
    410,
    "",
    "fullSyncRequired",
    _SYNC_TOKEN_EXPIRED,
    domain="calendar",
    location="syncToken",
    location_type="parameter",
)


def failure_with_status(status: int) -> Response:
    """An error of the service as a whole: JSON as the error guide shows it, a web page from a gateway."""
    match status:
        case 401:
            return errors.INVALID_CREDENTIALS.response()
        case 429:
            limit = GoogleFailure(429, "", "rateLimitExceeded", "Rate Limit Exceeded", domain="usageLimits")
            return limit.response()
        case 500:
            return GoogleFailure(500, "", "backendError", "Backend Error").response()
        case 503:
            return GoogleFailure(503, "", "backendError", "Backend Error").response()
        case _:
            return errors.gateway_page(status)
