"""Graph's online meetings: found by their link, with transcripts and attendance (Teams).

Source: Microsoft Graph "Get onlineMeeting", "List transcripts", "List meetingAttendanceReports" and "List
attendanceRecords", checked 2026-11-22. Work accounts only. What a refusal says: microsoft-graph-explorer-v4#1884.
"""

import base64
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.graph_access import Access, error, trace_of
from replysequence.sandbox.graph_event import stamp
from replysequence.sandbox.graph_message import GraphRefusal
from replysequence.sandbox.meetings import Meeting, Participant, Platform
from replysequence.sandbox.site import Site
from replysequence.sandbox.transcripts import vtt
from replysequence.sandbox.world import World

MEETINGS: Final = ("OnlineMeetings.Read", "OnlineMeetings.ReadWrite")
TRANSCRIPTS: Final = ("OnlineMeetingTranscript.Read.All",)
ARTIFACTS: Final = ("OnlineMeetingArtifact.Read.All",)
FORBIDDEN: Final = GraphRefusal(403, "Forbidden", "An error has occurred.")
NOT_FOUND: Final = GraphRefusal(
    404, "NotFound", "The server responded with a Request Error, Status: NotFound"
)
_NO_FILTER: Final = GraphRefusal(
    400,
    "InvalidArgument",
    "Filter expression expected - /onlineMeetings?$filter={ParameterName} eq '{id}'.",
)
_FILTER: Final = re.compile(r"joinWebUrl eq '((?:[^']|'')*)'", re.IGNORECASE)
_PATH: Final = "/v1.0/me/onlineMeetings"
_CONTEXT: Final = "https://graph.microsoft.com/v1.0/$metadata#users('me')/onlineMeetings"

_Answer = Callable[[Request, Account], Response]


class GraphTeams:
    """Everything below `/v1.0/me/onlineMeetings`."""

    def __init__(self, world: World, access: Access) -> None:
        self._world = world
        self._access = access

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the online meetings."""
        one = f"{_PATH}/{{meeting}}"
        table: tuple[tuple[str, _Answer, tuple[str, ...]], ...] = (
            (_PATH, self.find, MEETINGS),
            (one, self.get, MEETINGS),
            (f"{one}/transcripts", self.transcripts, TRANSCRIPTS),
            (f"{one}/transcripts/{{id}}", self.transcript, TRANSCRIPTS),
            (f"{one}/transcripts/{{id}}/content", self.content, TRANSCRIPTS),
            (f"{one}/attendanceReports", self.reports, ARTIFACTS),
            (f"{one}/attendanceReports/{{id}}", self.report, ARTIFACTS),
            (f"{one}/attendanceReports/{{id}}/attendanceRecords", self.records, ARTIFACTS),
        )
        return [
            site.route(path, self._guard(do, scopes), methods=["GET"], endpoint=Endpoint.MEETINGS)
            for path, do, scopes in table
        ]

    def _guard(self, do: _Answer, scopes: tuple[str, ...]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                account = self._access.authorize(request, *scopes, denied=FORBIDDEN).account
                self._access.count(account)
                if account.is_personal:
                    raise FORBIDDEN
                response = do(request, account)
            except GraphRefusal as refusal:
                return error(request, refusal)
            response.headers.update(trace_of(request))
            return response

        return guarded

    def find(self, request: Request, account: Account) -> Response:
        """The meeting with the link that `$filter` names: a list of one, or of none."""
        named = _FILTER.fullmatch(request.query_params.get("$filter", "").strip())
        if named is None:
            raise _NO_FILTER
        wanted = named[1].replace("''", "'")
        found = [each for each in self._meetings(account) if each.join_url == wanted]
        return JSONResponse({"@odata.context": _CONTEXT, "value": [self._shown(each) for each in found]})

    def get(self, request: Request, account: Account) -> Response:
        """One meeting by its id."""
        shown = self._shown(self._meeting(request, account))
        return JSONResponse({"@odata.context": f"{_CONTEXT}/$entity"} | shown)

    def transcripts(self, request: Request, account: Account) -> Response:
        """What was said, as a list of transcripts: none until it is written."""
        meeting = self._meeting(request, account)
        there = [meeting] if meeting.lines and self._world.has_papers(meeting) else []
        shown = [self._transcript(each, request) for each in there]
        return JSONResponse({"@odata.context": _CONTEXT, "@odata.count": len(shown), "value": shown})

    def transcript(self, request: Request, account: Account) -> Response:
        """One transcript."""
        return JSONResponse(
            {"@odata.context": _CONTEXT} | self._transcript(self._written(request, account), request)
        )

    def content(self, request: Request, account: Account) -> Response:
        """The transcript itself, as WebVTT with the speakers as voices."""
        return PlainTextResponse(vtt(self._written(request, account), voices=True), media_type="text/vtt")

    def reports(self, request: Request, account: Account) -> Response:
        """Who was there, as a list of reports: none until the meeting is over."""
        meeting = self._meeting(request, account)
        there = [_report(meeting)] if self._world.has_papers(meeting) else []
        return JSONResponse({"@odata.context": _CONTEXT, "value": there})

    def report(self, request: Request, account: Account) -> Response:
        """One report; with `$expand=attendanceRecords` the records too."""
        meeting = self._reported(request, account)
        shown = _report(meeting)
        if request.query_params.get("$expand") == "attendanceRecords":
            shown["attendanceRecords"] = self._records(meeting)
        return JSONResponse({"@odata.context": _CONTEXT} | shown)

    def records(self, request: Request, account: Account) -> Response:
        """One record for everybody who was there."""
        return JSONResponse(
            {"@odata.context": _CONTEXT, "value": self._records(self._reported(request, account))}
        )

    def _meetings(self, account: Account) -> list[Meeting]:
        return self._world.meetings.of(Platform.TEAMS, account.email)

    def _meeting(self, request: Request, account: Account) -> Meeting:
        for each in self._meetings(account):
            if self._id(each) == request.path_params["meeting"]:
                return each
        raise NOT_FOUND

    def _written(self, request: Request, account: Account) -> Meeting:
        meeting = self._meeting(request, account)
        is_written = meeting.lines and self._world.has_papers(meeting)
        if not is_written or request.path_params["id"] != _transcript_id(meeting):
            raise NOT_FOUND
        return meeting

    def _reported(self, request: Request, account: Account) -> Meeting:
        meeting = self._meeting(request, account)
        if not self._world.has_papers(meeting) or request.path_params["id"] != meeting.uuid:
            raise NOT_FOUND
        return meeting

    def _subject(self, meeting: Meeting) -> str:
        host = self._world.accounts.find(Vendor.MICROSOFT, meeting.host)
        return host.subject if host else ""

    def _id(self, meeting: Meeting) -> str:
        return _encoded(f"1*{self._subject(meeting)}*0**{meeting.code}")

    def _shown(self, meeting: Meeting) -> dict[str, Any]:
        organizer = {"id": self._subject(meeting), "displayName": meeting.host_name}
        return {
            "id": self._id(meeting),
            "creationDateTime": stamp(meeting.created),
            "startDateTime": stamp(meeting.start),
            "endDateTime": stamp(meeting.end),
            "joinWebUrl": meeting.join_url,
            "subject": meeting.title,
            "isBroadcast": False,
            "allowTranscription": True,
            "allowRecording": True,
            "chatInfo": {"threadId": meeting.code, "messageId": "0", "replyChainMessageId": None},
            "participants": {
                "organizer": {
                    "upn": meeting.host,
                    "role": "presenter",
                    "identity": {"user": organizer},
                },
                "attendees": [
                    {"upn": address, "role": "attendee", "identity": None}
                    for address in sorted(meeting.members - {meeting.host})
                ],
            },
        }

    def _transcript(self, meeting: Meeting, request: Request) -> dict[str, Any]:
        base = f"{str(request.base_url).rstrip('/')}{_PATH}/{self._id(meeting)}/transcripts"
        return {
            "id": _transcript_id(meeting),
            "meetingId": self._id(meeting),
            "callId": meeting.uuid,
            "contentCorrelationId": f"{meeting.uuid}-0",
            "transcriptContentUrl": f"{base}/{_transcript_id(meeting)}/content",
            "createdDateTime": stamp(meeting.began),
            "endDateTime": stamp(meeting.ended),
            "meetingOrganizer": {
                "user": {"id": self._subject(meeting), "displayName": meeting.host_name},
            },
        }

    def _records(self, meeting: Meeting) -> list[dict[str, Any]]:
        return [self._record(each, meeting) for each in meeting.participants]

    def _record(self, each: Participant, meeting: Meeting) -> dict[str, Any]:
        is_host = each.email == meeting.host
        seconds = int((each.left - each.joined).total_seconds())
        return {
            "emailAddress": each.email or None,
            "totalAttendanceInSeconds": seconds,
            "role": "Organizer" if is_host else "Presenter" if not each.is_guest else "Attendee",
            "identity": {
                "id": self._subject(meeting) if is_host else None,
                "displayName": each.name,
                "tenantId": None,
            },
            "attendanceIntervals": [
                {
                    "joinDateTime": stamp(each.joined),
                    "leaveDateTime": stamp(each.left),
                    "durationInSeconds": seconds,
                }
            ],
        }


def _report(meeting: Meeting) -> dict[str, Any]:
    return {
        "id": meeting.uuid,
        "totalParticipantCount": len(meeting.participants),
        "meetingStartDateTime": stamp(meeting.began),
        "meetingEndDateTime": stamp(meeting.ended),
    }


def _transcript_id(meeting: Meeting) -> str:
    return _encoded(f"1##0##{meeting.uuid}")


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
