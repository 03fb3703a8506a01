"""Google Meet's conference records: who was there, recordings, transcripts and notes (meet.v2 discovery document of
2026-10-29).

A participant has no address. What comes after the call is `ENDED` at first and `FILE_GENERATED` later. A record
vanishes 30 days after its end.
"""

import operator
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox import google_errors as errors
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.google_access import authorize
from replysequence.sandbox.google_errors import MEET, GoogleFailure, GoogleRefusedError, plain
from replysequence.sandbox.google_scopes import MAY_READ_CONFERENCES
from replysequence.sandbox.meetings import Meeting, Participant, Platform
from replysequence.sandbox.paging import cut, seal, unseal
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

KEPT_FOR: Final = timedelta(days=30)
INSUFFICIENT_SCOPES: Final = plain(errors.INSUFFICIENT_SCOPES, service=MEET)
NOT_FOUND: Final = GoogleFailure(404, "NOT_FOUND", "", "Requested entity was not found.", service=MEET)
_CONDITION: Final = re.compile(
    r"""\s*(space\.meeting_code|space\.name|start_time|end_time)\s*(>=|<=|=|>|<)\s*"([^"]*)"\s*"""
)
_ONGOING: Final = re.compile(r"\s*end_time\s+is\s+null\s*", re.IGNORECASE)
_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_RECORD: Final = "/v2/conferenceRecords/{record}"

_Answer = Callable[[Request, Account], dict[str, Any]]


class GoogleMeet:
    """Everything below `/v2/conferenceRecords`, and the spaces behind."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the conference records."""
        table: tuple[tuple[str, _Answer], ...] = (
            ("/v2/conferenceRecords", self.records),
            (_RECORD, self.record),
            (f"{_RECORD}/participants", self.participants),
            (f"{_RECORD}/recordings", self.recordings),
            (f"{_RECORD}/transcripts", self.transcripts),
            (f"{_RECORD}/transcripts/{{transcript}}/entries", self.entries),
            (f"{_RECORD}/smartNotes", self.smart_notes),
            ("/v2/spaces/{space}", self.space),
        )
        return [
            site.route(path, self._guard(do), methods=["GET"], endpoint=Endpoint.MEETINGS)
            for path, do in table
        ]

    def _guard(self, do: _Answer) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                token = authorize(
                    request,
                    self._world.credentials,
                    scopes=MAY_READ_CONFERENCES,
                    insufficient=INSUFFICIENT_SCOPES,
                )
                return JSONResponse(do(request, token.account))
            except GoogleRefusedError as refused:
                return plain(refused.failure, service=MEET).response()

        return guarded

    def records(self, request: Request, account: Account) -> dict[str, Any]:
        """The conferences that the account was in, the latest first; `filter` narrows them."""
        fits = _filter(request.query_params.get("filter", ""), now=self._world.clock.now())
        found = [each for each in self._records(account) if fits(each)]
        found.sort(key=lambda each: each.began, reverse=True)
        return self._page(
            request, account, "conferenceRecords", [self._record(each) for each in found], usual=25
        )

    def record(self, request: Request, account: Account) -> dict[str, Any]:
        """One conference."""
        return self._record(self._one(request, account))

    def participants(self, request: Request, account: Account) -> dict[str, Any]:
        """Who was there, by a name at the most."""
        meeting = self._one(request, account)
        shown = [
            _participant(each, _name(meeting), number=n) for n, each in enumerate(meeting.participants, 1)
        ]
        return self._page(request, account, "participants", shown, usual=100, most=250) | {
            "totalSize": len(shown)
        }

    def recordings(self, request: Request, account: Account) -> dict[str, Any]:
        """The recording, if there was one."""
        meeting = self._one(request, account)
        drive = {
            "file": f"drive-{meeting.uuid}",
            "exportUri": f"https://drive.google.com/file/d/drive-{meeting.uuid}/view",
        }
        shown = (
            [self._paper(meeting, "recordings", {"driveDestination": drive})] if meeting.is_recorded else []
        )
        return self._page(request, account, "recordings", shown, usual=10)

    def transcripts(self, request: Request, account: Account) -> dict[str, Any]:
        """The transcript, if there was one."""
        meeting = self._one(request, account)
        shown = (
            [self._paper(meeting, "transcripts", _document(meeting, "transcript"))] if meeting.lines else []
        )
        return self._page(request, account, "transcripts", shown, usual=10)

    def smart_notes(self, request: Request, account: Account) -> dict[str, Any]:
        """The notes that were taken, as a document elsewhere."""
        meeting = self._one(request, account)
        shown = [self._paper(meeting, "smartNotes", _document(meeting, "notes"))] if meeting.notes else []
        return self._page(request, account, "smartNotes", shown, usual=10)

    def entries(self, request: Request, account: Account) -> dict[str, Any]:
        """What was said, line by line: nothing until the transcript is written."""
        meeting = self._one(request, account)
        if request.path_params["transcript"] != meeting.uuid or not meeting.lines:
            raise GoogleRefusedError(NOT_FOUND)
        shown = self._entries(meeting) if self._world.has_papers(meeting) else []
        return self._page(request, account, "transcriptEntries", shown, usual=10)

    def space(self, request: Request, account: Account) -> dict[str, Any]:
        """The room, by its name or its meeting code."""
        wanted = request.path_params["space"]
        for each in self._world.meetings.of(Platform.MEET, account.email):
            if wanted in (_space(each), each.code):
                return {
                    "name": _space_name(each),
                    "meetingUri": each.join_url,
                    "meetingCode": each.code,
                    "config": {"accessType": "TRUSTED", "entryPointAccess": "ALL"},
                }
        raise GoogleRefusedError(NOT_FOUND)

    def _records(self, account: Account) -> list[Meeting]:
        oldest = self._world.clock.now() - KEPT_FOR
        return [
            each
            for each in self._world.meetings.of(Platform.MEET, account.email)
            if each.participants and each.began <= self._world.clock.now() and each.ended > oldest
        ]

    def _one(self, request: Request, account: Account) -> Meeting:
        for each in self._records(account):
            if each.uuid == request.path_params["record"]:
                return each
        raise GoogleRefusedError(NOT_FOUND)

    def _record(self, meeting: Meeting) -> dict[str, Any]:
        shown = {
            "name": _name(meeting),
            "startTime": stamp(meeting.began),
            "expireTime": stamp(meeting.ended + KEPT_FOR),
            "space": _space_name(meeting),
        }
        return shown | {"endTime": stamp(meeting.ended)} if self._world.meetings.is_over(meeting) else shown

    def _paper(self, meeting: Meeting, kind: str, where: dict[str, Any]) -> dict[str, Any]:
        """A recording, transcript or note in its state; where it lies is known once it is written."""
        shown = {"name": f"{_name(meeting)}/{kind}/{meeting.uuid}", "startTime": stamp(meeting.began)}
        if not self._world.meetings.is_over(meeting):
            return shown | {"state": "STARTED"}
        shown["endTime"] = stamp(meeting.ended)
        if not self._world.has_papers(meeting):
            return shown | {"state": "ENDED"}
        return shown | {"state": "FILE_GENERATED"} | where

    def _entries(self, meeting: Meeting) -> list[dict[str, Any]]:
        numbers = {each.name: n for n, each in enumerate(meeting.participants, 1)}
        base = f"{_name(meeting)}/transcripts/{meeting.uuid}/entries"
        return [
            {
                "name": f"{base}/{n}",
                "participant": f"{_name(meeting)}/participants/{numbers.get(line.speaker, 0)}",
                "text": line.text,
                "languageCode": "en-US",
                "startTime": stamp(meeting.began + timedelta(seconds=line.seconds)),
                "endTime": stamp(meeting.began + timedelta(seconds=line.seconds + 4)),
            }
            for n, line in enumerate(meeting.lines, 1)
        ]

    def _page(
        self,
        request: Request,
        account: Account,
        name: str,
        items: Sequence[dict[str, Any]],
        *,
        usual: int,
        most: int = 100,
    ) -> dict[str, Any]:
        asked = request.query_params
        text, token = asked.get("pageSize", "0"), asked.get("pageToken", "")
        if not text.isdigit():
            raise GoogleRefusedError(_invalid("Invalid value at 'page_size'."))
        try:
            start = int(unseal(token, "start")["start"]) if token else 0
        except ValueError:
            raise GoogleRefusedError(_invalid("The page token is invalid.")) from None
        is_empty = self._world.faults.happens(
            "empty_page", Vendor.GOOGLE, Endpoint.MEETINGS, account=account.email
        )
        shown, following = cut(items, start=start, size=min(int(text) or usual, most), is_empty=is_empty)
        body: dict[str, Any] = {name: shown} if shown else {}
        if following is not None:
            body["nextPageToken"] = seal(start=following)
        return body


def stamp(moment: datetime) -> str:
    """UTC, with microseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _filter(text: str, *, now: datetime) -> Callable[[Meeting], bool]:
    """Conditions joined by AND. Raises `GoogleRefusedError` for what cannot be read."""
    tests = [_condition(part, now=now) for part in re.split(r"\s+AND\s+", text)] if text.strip() else []
    return lambda meeting: all(test(meeting) for test in tests)


def _condition(text: str, *, now: datetime) -> Callable[[Meeting], bool]:
    if _ONGOING.fullmatch(text):
        return lambda meeting: meeting.ended > now
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise GoogleRefusedError(_invalid(f"Invalid filter: {text}"))
    field, sign, value = found.groups()
    compare = _OPERATORS[sign]
    if field.startswith("space."):
        if sign != "=":
            raise GoogleRefusedError(_invalid(f"Invalid filter: {text}"))
        shown = _code if field.endswith("code") else _space_name
        return lambda meeting: shown(meeting) == value
    moment = _moment(value)
    if field == "start_time":
        return lambda meeting: compare(meeting.began, moment)
    return lambda meeting: compare(meeting.ended, moment)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise GoogleRefusedError(_invalid(f"Invalid timestamp: {text}")) from None
    if moment.tzinfo is None:
        raise GoogleRefusedError(_invalid(f"Invalid timestamp: {text}"))
    return moment


def _invalid(message: str) -> GoogleFailure:
    return GoogleFailure(400, "INVALID_ARGUMENT", "", message, service=MEET)


def _name(meeting: Meeting) -> str:
    return f"conferenceRecords/{meeting.uuid}"


def _space(meeting: Meeting) -> str:
    return f"s{meeting.code.replace('-', '')}"


def _code(meeting: Meeting) -> str:
    return meeting.code


def _space_name(meeting: Meeting) -> str:
    return f"spaces/{_space(meeting)}"


def _document(meeting: Meeting, kind: str) -> dict[str, Any]:
    document = f"{kind}-{meeting.uuid}"
    uri = f"https://docs.google.com/document/d/{document}/view"
    return {"docsDestination": {"document": document, "exportUri": uri}}


def _participant(each: Participant, record: str, *, number: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": f"{record}/participants/{number}",
        "earliestStartTime": stamp(each.joined),
        "latestEndTime": stamp(each.left),
    }
    if not each.email:
        return shown | {"phoneUser": {"displayName": each.name}}
    if each.is_guest:
        return shown | {"anonymousUser": {"displayName": each.name}}
    return shown | {"signedinUser": {"user": f"users/{10**20 + number}", "displayName": each.name}}


def failure_with_status(status: int) -> Response:
    """An error of the service as a whole."""
    match status:
        case 401:
            return plain(errors.INVALID_CREDENTIALS, service=MEET).response()
        case 429:
            return GoogleFailure(
                429,
                "RESOURCE_EXHAUSTED",
                "",
                f"Quota exceeded for quota metric 'Read requests' of service '{MEET}'.",
                detail="RATE_LIMIT_EXCEEDED",
                service=MEET,
            ).response()
        case 500:
            return GoogleFailure(500, "INTERNAL", "", "Internal error encountered.").response()
        case 503:
            return GoogleFailure(503, "UNAVAILABLE", "", "The service is currently unavailable.").response()
        case _:
            return errors.gateway_page(status)
