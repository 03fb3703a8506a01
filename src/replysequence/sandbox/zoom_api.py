"""Zoom's API for one user: the person, meetings, past ones, summaries, recordings and transcripts.

Source: Zoom's Meetings API reference, "Using Zoom APIs" and "Rate limits", checked 2026-11-22. The stand-in is an
account on the Pro plan.
"""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import unquote, unquote_to_bytes

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox import zoom_errors as errors
from replysequence.sandbox import zoom_meeting as show
from replysequence.sandbox import zoom_scopes as scopes
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.carried import bearer
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.meetings import Meeting, Platform
from replysequence.sandbox.paging import cut, seal, unseal
from replysequence.sandbox.site import Site
from replysequence.sandbox.transcripts import vtt
from replysequence.sandbox.world import World
from replysequence.sandbox.zoom_authorize import PREFIX
from replysequence.sandbox.zoom_errors import ApiRefusedError

PER_SECOND: Final = {"Light": 30, "Medium": 20, "Heavy": 10}
"""Calls of an account on the Pro plan in one second, by the category of the endpoint."""
DEFAULT_PAGE, MOST_ON_PAGE = 30, 300

_Answer = Callable[[Request, Account], Awaitable[Response]]


class ZoomApi:
    """Everything below `/v2`. A token of one user reaches only what is under `me`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._recent: defaultdict[tuple[str, str], deque[datetime]] = defaultdict(deque)
        self._today: defaultdict[tuple[str, date], int] = defaultdict(int)

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the API."""
        table: tuple[tuple[str, _Answer, str, str, Endpoint], ...] = (
            ("/users/{user}", self.user, scopes.USER, "Light", Endpoint.USERINFO),
            ("/users/{user}/meetings", self.meetings, scopes.LIST_MEETINGS, "Medium", Endpoint.MEETINGS),
            (
                "/users/{user}/recordings",
                self.recordings,
                scopes.USER_RECORDINGS,
                "Medium",
                Endpoint.MEETINGS,
            ),
            ("/past_meetings/{rest:path}", self.past_meetings, "", "Medium", Endpoint.MEETINGS),
            ("/meetings/{rest:path}", self.papers, "", "Light", Endpoint.MEETINGS),
        )
        download = f"{PREFIX}/rec/download/{{id}}.{{kind}}"
        return [
            *(
                site.route(
                    f"{PREFIX}/v2{path}", self._guard(do, scope, category), methods=["GET"], endpoint=where
                )
                for path, do, scope, category, where in table
            ),
            site.route(
                download, self._guard(self.download, "", "Light"), methods=["GET"], endpoint=Endpoint.MEETINGS
            ),
        ]

    def _guard(self, do: _Answer, scope: str, category: str) -> Callable[[Request], Awaitable[Response]]:
        """`do` behind what every call goes through: the token, its scope, `me`, and the limits."""

        async def guarded(request: Request) -> Response:
            try:
                account = self._account(request)
                refused = self._limit(account, category)
                if refused is not None:
                    return refused
                if request.path_params.get("user", "me") != "me":
                    raise ApiRefusedError(errors.NOT_ME)
                self._check_scope(request, scope)
                response = await do(request, account)
            except ApiRefusedError as refusal:
                response = refusal.refusal.response()
            response.headers.update(self._headers(request, category))
            return response

        return guarded

    async def user(self, request: Request, account: Account) -> Response:  # noqa: ARG002 - a route's signature
        """`GET /users/me`: who the token belongs to."""
        return JSONResponse(
            {
                "id": account.subject,
                "first_name": account.given_name,
                "last_name": account.family_name,
                "display_name": account.name,
                "email": account.email,
                "type": 2,
                "account_id": account.tenant,
                "timezone": "Europe/Stockholm",
                "status": "active",
                "verified": 1,
            }
        )

    async def meetings(self, request: Request, account: Account) -> Response:
        """`GET /users/me/meetings`: `scheduled` (all), `upcoming`, `live` or `previous_meetings`."""
        kind, now = request.query_params.get("type", "scheduled"), self._world.clock.now()
        chosen: dict[str, Callable[[Meeting], bool]] = {
            "scheduled": lambda _: True,
            "upcoming": lambda each: each.end > now,
            "upcoming_meetings": lambda each: each.end > now,
            "live": lambda each: each.began <= now < each.ended,
            "previous_meetings": self._world.meetings.is_over,
        }
        if kind not in chosen:
            raise ApiRefusedError(errors.ApiRefusal(400, 300, f"Invalid field: type {kind}."))
        found = [each for each in self._hosted(account) if chosen[kind](each)]
        found.sort(key=lambda each: each.start, reverse=kind == "previous_meetings")
        return self._page(request, account, "meetings", [show.listed(each, account) for each in found])

    async def recordings(self, request: Request, account: Account) -> Response:
        """`GET /users/me/recordings?from&to`: a month at the most; without bounds the last day."""
        today = self._world.clock.now().date()
        first, last = _day(request, "from", today - timedelta(days=1)), _day(request, "to", today)
        if last - first > timedelta(days=31):
            raise ApiRefusedError(errors.ApiRefusal(400, 300, "The date range cannot be more than a month."))
        found = [
            each
            for each in self._hosted(account)
            if each.is_recorded and self._world.has_papers(each) and first <= each.began.date() <= last
        ]
        base = f"{str(request.base_url).rstrip('/')}{PREFIX}"
        shown = [show.recording(each, account, base_url=base) for each in found]
        return self._page(
            request, account, "meetings", shown, extra={"from": first.isoformat(), "to": last.isoformat()}
        )

    async def past_meetings(self, request: Request, account: Account) -> Response:
        """`GET /past_meetings/{id}`, and its `participants` and `instances`."""
        name, what = _path(request)
        match what:
            case "":
                self._check_scope(request, scopes.PAST_MEETING)
                meeting = self._past(account, name)
                return JSONResponse(
                    show.past(
                        meeting,
                        account,
                        has_summary=meeting.notes is not None and self._world.has_papers(meeting),
                    )
                )
            case "participants":
                self._check_scope(request, scopes.PAST_PARTICIPANTS)
                people = self._past(account, name).participants
                shown = [show.participant(each, account, number=n) for n, each in enumerate(people)]
                return self._page(request, account, "participants", shown)
            case "instances":
                self._check_scope(request, scopes.PAST_INSTANCES)
                held = [
                    each
                    for each in self._hosted(account)
                    if each.code == name and self._world.meetings.is_over(each)
                ]
                return JSONResponse(
                    {"meetings": [{"uuid": each.uuid, "start_time": show.stamp(each.began)} for each in held]}
                )
            case _:
                raise ApiRefusedError(errors.no_such_meeting(name))

    async def papers(self, request: Request, account: Account) -> Response:
        """`GET /meetings/{id}/meeting_summary`, `/recordings` and `/transcript`: 404 until they are there."""
        name, what = _path(request)
        base = f"{str(request.base_url).rstrip('/')}{PREFIX}"
        match what:
            case "meeting_summary":
                self._check_scope(request, scopes.SUMMARY)
                meeting = self._ready(account, name, lambda each: each.notes is not None)
                return JSONResponse(show.summary(meeting, account))
            case "recordings":
                self._check_scope(request, scopes.RECORDING_FILES)
                meeting = self._ready(account, name, lambda each: each.is_recorded)
                return JSONResponse(show.recording(meeting, account, base_url=base))
            case "transcript":
                self._check_scope(request, scopes.TRANSCRIPT)
                meeting = self._ready(account, name, lambda each: bool(each.lines))
                return JSONResponse(show.transcript(meeting, account, base_url=base))
            case _:
                raise ApiRefusedError(errors.no_such_meeting(name))

    async def download(self, request: Request, account: Account) -> Response:
        """The file of a recording: the transcript in full, and a stand-in for the picture."""
        found = self._world.meetings.find(request.path_params["id"])
        if found is None or found not in self._hosted(account) or not self._world.has_papers(found):
            raise ApiRefusedError(errors.no_such_meeting(request.path_params["id"]))
        if request.path_params["kind"] != "vtt":
            return Response(b"\0" * 1024, media_type="video/mp4")
        return PlainTextResponse(vtt(found, voices=False), media_type="text/vtt")

    def _account(self, request: Request) -> Account:
        shown = bearer(request)
        if not shown:
            raise ApiRefusedError(errors.TOKEN_MISSING)
        held = self._world.credentials.access_tokens.get(shown)
        if held is None or held.account.vendor is not Vendor.ZOOM or held.grant.revoked:
            raise ApiRefusedError(errors.ACCESS_TOKEN_INVALID)
        if self._world.credentials.usable_access_token(shown) is None:
            raise ApiRefusedError(errors.ACCESS_TOKEN_EXPIRED)
        return held.account

    def _check_scope(self, request: Request, scope: str) -> None:
        held = self._world.credentials.access_tokens[bearer(request)].scopes
        if scope and scope not in held:
            raise ApiRefusedError(errors.missing_scope(scope))

    def _limit(self, account: Account, category: str) -> Response | None:
        """Count a call; the refusal when it is one too many of this second or day."""
        now, limit = self._world.clock.now(), self._world.settings[Vendor.ZOOM].daily_requests
        today = account.tenant, now.date()
        if limit is not None and self._today[today] >= limit:
            midnight = datetime.combine(now.date() + timedelta(days=1), time(), now.tzinfo)
            return errors.daily_limit(midnight, category=category, limit=limit)
        self._today[today] += 1
        recent = self._recent[account.tenant, category]
        while recent and recent[0] <= now - timedelta(seconds=1):
            recent.popleft()
        if len(recent) >= PER_SECOND[category]:
            raise ApiRefusedError(errors.PER_SECOND)
        recent.append(now)
        return None

    def _headers(self, request: Request, category: str) -> dict[str, str]:
        held = self._world.credentials.access_tokens.get(bearer(request))
        used = len(self._recent[held.account.tenant, category]) if held else 0
        return {
            "X-RateLimit-Category": category,
            "X-RateLimit-Type": "QPS",
            "X-RateLimit-Limit": str(PER_SECOND[category]),
            "X-RateLimit-Remaining": str(max(PER_SECOND[category] - used, 0)),
            "X-RateLimit-Reset": str(self._world.clock.timestamp() + 1),
        }

    def _hosted(self, account: Account) -> list[Meeting]:
        mine = account.email.casefold()
        return [
            each
            for each in self._world.meetings
            if each.platform is Platform.ZOOM and each.host.casefold() == mine
        ]

    def _past(self, account: Account, name: str) -> Meeting:
        """The meeting by its uuid, or the latest one held under a number."""
        held = [each for each in self._hosted(account) if name in (each.uuid, each.code)]
        over = sorted(filter(self._world.meetings.is_over, held), key=lambda each: each.began)
        if not over:
            raise ApiRefusedError(errors.no_such_meeting(name))
        return over[-1]

    def _ready(self, account: Account, name: str, has: Callable[[Meeting], bool]) -> Meeting:
        meeting = self._past(account, name)
        if not has(meeting) or not self._world.has_papers(meeting):
            raise ApiRefusedError(errors.no_such_meeting(name))
        return meeting

    def _page(
        self,
        request: Request,
        account: Account,
        name: str,
        items: Sequence[dict[str, Any]],
        *,
        extra: dict[str, str] | None = None,
    ) -> Response:
        asked = request.query_params
        text, token = asked.get("page_size", str(DEFAULT_PAGE)), asked.get("next_page_token", "")
        size = min(int(text), MOST_ON_PAGE) if text.isdigit() and int(text) else DEFAULT_PAGE
        try:
            start = int(unseal(token, "start")["start"]) if token else 0
        except ValueError:
            raise ApiRefusedError(errors.INVALID_PAGE_TOKEN) from None
        is_empty = self._world.faults.happens(
            "empty_page", Vendor.ZOOM, Endpoint.MEETINGS, account=account.email
        )
        shown, following = cut(items, start=start, size=size, is_empty=is_empty)
        body = {
            "page_size": size,
            "page_count": -(-len(items) // size),
            "total_records": len(items),
            "next_page_token": "" if following is None else seal(start=following),
            name: shown,
        }
        return JSONResponse((extra or {}) | body)


def _path(request: Request) -> tuple[str, str]:
    """The number or uuid in the path, and what of it is asked for.

    A uuid that begins with a slash or holds two is found only when it was encoded twice.
    """
    raw: bytes = request.scope["raw_path"]
    segments = raw.partition(b"meetings/")[2].split(b"/")
    once = unquote_to_bytes(segments[0]).decode("utf-8", "replace")
    name = unquote(once)
    if once == name and (name.startswith("/") or "//" in name):
        raise ApiRefusedError(errors.no_such_meeting(name))
    return name, "/".join(segment.decode("ascii", "replace") for segment in segments[1:])


def _day(request: Request, name: str, usual: date) -> date:
    text = request.query_params.get(name)
    try:
        return date.fromisoformat(text) if text else usual
    except ValueError:
        raise ApiRefusedError(errors.ApiRefusal(400, 300, f"Invalid field: {name}.")) from None
