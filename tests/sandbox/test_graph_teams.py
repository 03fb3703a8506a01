from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.meetings import Meeting
from support.microsoft_app import PERSONAL, WORK, MicrosoftApp, graph_get, reading_token
from support.plain_http import Answer, call

SCOPES = ("OnlineMeetings.Read", "OnlineMeetingTranscript.Read.All", "OnlineMeetingArtifact.Read.All")


@pytest.fixture
def token(microsoft: MicrosoftApp) -> str:
    return reading_token(microsoft, *SCOPES)


@pytest.fixture
def review(microsoft: MicrosoftApp) -> Meeting:
    """The Teams meeting of the week."""
    found = microsoft.box.world.meetings.find("security")
    assert found is not None
    return found


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["error"]["code"]


def find(microsoft: MicrosoftApp, token: str, join_url: str) -> Answer:
    return graph_get(
        microsoft, token, f"/me/onlineMeetings?$filter=JoinWebUrl%20eq%20'{quote(join_url, safe='')}'"
    )


@pytest.fixture
def path(microsoft: MicrosoftApp, token: str, review: Meeting) -> str:
    """The path of the Teams meeting of the week."""
    [found] = find(microsoft, token, review.join_url).json["value"]
    return f"/me/onlineMeetings/{found['id']}"


def test_a_meeting_is_found_by_the_link_in_the_calendar(
    microsoft: MicrosoftApp, token: str, review: Meeting
) -> None:
    calendar = microsoft.box.world.calendars.of(microsoft.account(WORK))
    links = [event.meeting.join_url for event in calendar if event.meeting]

    [found] = find(microsoft, token, review.join_url).json["value"]

    assert review.join_url in links
    assert (found["subject"], found["joinWebUrl"]) == (review.title, review.join_url)
    assert found["participants"]["organizer"]["upn"] == WORK
    assert found["chatInfo"]["threadId"] == review.code
    alone = graph_get(microsoft, token, f"/me/onlineMeetings/{found['id']}").json
    assert alone["id"] == found["id"]


def test_the_link_must_be_encoded_and_be_one_of_the_users_meetings(
    microsoft: MicrosoftApp, token: str, review: Meeting
) -> None:
    assert find(microsoft, token, "https://teams.microsoft.com/l/meetup-join/other").json["value"] == []
    once = graph_get(
        microsoft, token, f"/me/onlineMeetings?$filter=JoinWebUrl%20eq%20'{quote(review.join_url, safe='%')}'"
    )
    assert once.json["value"] == []
    assert refused(graph_get(microsoft, token, "/me/onlineMeetings")) == (400, "InvalidArgument")
    assert refused(graph_get(microsoft, token, "/me/onlineMeetings/none")) == (404, "NotFound")


def test_a_transcript_is_webvtt_with_voices(microsoft: MicrosoftApp, token: str, path: str) -> None:
    [listed] = graph_get(microsoft, token, f"{path}/transcripts").json["value"]
    alone = graph_get(microsoft, token, f"{path}/transcripts/{listed['id']}").json
    content = graph_get(microsoft, token, f"{path}/transcripts/{listed['id']}/content?$format=text/vtt")

    assert alone["id"] == listed["id"]
    assert content.headers["Content-Type"].startswith("text/vtt")
    assert content.text.startswith(
        "WEBVTT\n\n00:00:02.000 --> 00:00:12.000\n<v Priya Raman>We need the security review"
    )
    by_link = graph_get(microsoft, token, listed["transcriptContentUrl"])
    assert by_link.text == content.text
    assert refused(graph_get(microsoft, token, f"{path}/transcripts/none")) == (404, "NotFound")


def test_the_attendance_tells_who_was_there_and_for_how_long(
    microsoft: MicrosoftApp, token: str, path: str
) -> None:
    [report] = graph_get(microsoft, token, f"{path}/attendanceReports").json["value"]
    reports = f"{path}/attendanceReports/{report['id']}"
    records = graph_get(microsoft, token, f"{reports}/attendanceRecords").json["value"]
    expanded = graph_get(microsoft, token, f"{reports}?$expand=attendanceRecords").json

    assert report["totalParticipantCount"] == 4
    assert [each["role"] for each in records] == ["Organizer", "Attendee", "Attendee", "Attendee"]
    assert [each["emailAddress"] for each in records] == [
        WORK,
        "priya.raman@heliotrope.example",
        "omar.haddad@heliotrope.example",
        None,
    ]
    assert records[0]["totalAttendanceInSeconds"] == 3600
    assert expanded["attendanceRecords"] == records
    assert refused(graph_get(microsoft, token, f"{path}/attendanceReports/none")) == (404, "NotFound")


def test_papers_are_not_there_until_they_are_written(microsoft: MicrosoftApp, token: str) -> None:
    end = datetime.now(UTC) - timedelta(minutes=1)
    event: dict[str, Any] = {
        "title": "Demo",
        "start": (end - timedelta(minutes=30)).isoformat(),
        "end": end.isoformat(),
        "guests": [{"email": "charlie@customer.example"}],
        "platform": "teams",
        "joined": ["charlie@customer.example"],
        "lines": [[1, "Charlie", "Hello."]],
    }
    url = f"{microsoft.box.base_url}/_sandbox/calendars/microsoft/{WORK}"
    [made] = call("POST", url, json_body={"events": [event]}).json["ids"]
    meeting = microsoft.box.world.meetings.find(made)
    assert meeting is not None
    [found] = find(microsoft, token, meeting.join_url).json["value"]
    transcripts = f"/me/onlineMeetings/{found['id']}/transcripts"
    reports = f"/me/onlineMeetings/{found['id']}/attendanceReports"

    early = [graph_get(microsoft, token, path).json["value"] for path in (transcripts, reports)]
    microsoft.box.world.clock.advance(300)
    late = [graph_get(microsoft, token, path).json["value"] for path in (transcripts, reports)]

    assert early == [[], []]
    assert [len(each) for each in late] == [1, 1]


def test_an_invited_colleague_may_look_and_a_stranger_finds_nothing(
    microsoft: MicrosoftApp, review: Meeting
) -> None:
    world = microsoft.box.world
    tenant = microsoft.account(WORK).tenant
    for email in ("omar.haddad@heliotrope.example", "stranger@contoso.example"):
        world.accounts.add(
            Account(vendor=Vendor.MICROSOFT, email=email, name="Somebody", subject=email, tenant=tenant)
        )

    invited = reading_token(microsoft, *SCOPES, email="omar.haddad@heliotrope.example")
    stranger = reading_token(microsoft, *SCOPES, email="stranger@contoso.example")

    assert len(find(microsoft, invited, review.join_url).json["value"]) == 1
    assert find(microsoft, stranger, review.join_url).json["value"] == []


@pytest.mark.parametrize("scope", SCOPES)
def test_each_part_has_a_permission_of_its_own(microsoft: MicrosoftApp, path: str, scope: str) -> None:
    microsoft.box.world.credentials.revoke_all(microsoft.account(WORK))
    narrow = reading_token(microsoft, scope)
    needs = {
        path: "OnlineMeetings.Read",
        f"{path}/transcripts": "OnlineMeetingTranscript.Read.All",
        f"{path}/attendanceReports": "OnlineMeetingArtifact.Read.All",
    }

    for each, needed in needs.items():
        answer = graph_get(microsoft, narrow, each)
        if needed == scope:
            assert answer.status == 200
        else:
            assert refused(answer) == (403, "Forbidden")


def test_a_personal_account_has_no_online_meetings(microsoft: MicrosoftApp, review: Meeting) -> None:
    token = reading_token(microsoft, *SCOPES, email=PERSONAL)

    assert refused(find(microsoft, token, review.join_url)) == (403, "Forbidden")


def test_a_fault_strikes_the_meetings_and_spares_the_calendar(
    microsoft: MicrosoftApp, token: str, path: str
) -> None:
    microsoft.box.world.faults.arm(
        Fault(kind="refused_429", vendor=Vendor.MICROSOFT, endpoint=Endpoint.MEETINGS, account=WORK)
    )

    assert refused(graph_get(microsoft, token, path)) == (429, "ApplicationThrottled")
    assert graph_get(microsoft, token, path).status == 200
