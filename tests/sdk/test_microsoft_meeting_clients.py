"""Microsoft's own Graph client reads the calendar and the calls in Teams: proof by a client that is not ours."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from kiota_abstractions.api_error import APIError
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.models.online_meeting_provider_type import OnlineMeetingProviderType
from msgraph.generated.models.response_type import ResponseType

from replysequence.sandbox.running import RunningSandbox, sandbox
from support.graph_client import graph_http, graph_of
from support.microsoft_app import CALLBACK, WORK, MicrosoftApp, reading_token
from support.plain_http import call

# Microsoft's kiota warns about itself while it is imported, and Graph's client imports late.
pytestmark = pytest.mark.filterwarnings(r"ignore:.* deprecated\.:DeprecationWarning")

BOUNDS = urlencode(
    {
        "startDateTime": (datetime.now(UTC) - timedelta(days=9)).isoformat(),
        "endDateTime": (datetime.now(UTC) + timedelta(days=9)).isoformat(),
    }
)
CALENDAR = f"/_sandbox/calendars/microsoft/{WORK}"


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    with sandbox() as running:
        running.world.microsoft_client.redirect_uris.add(CALLBACK)
        yield running


def link(box: RunningSandbox, path: str) -> str:
    """A link of Graph: the request builders of the SDK warn of themselves where a test module imports them."""
    return f"{box.environment['GRAPH_API_URL']}{path}"


async def test_the_graph_sdk_reads_the_week_page_by_page(box: RunningSandbox) -> None:
    token = reading_token(MicrosoftApp(box), "Calendars.Read")
    wishes: RequestConfiguration[Any] = RequestConfiguration()
    wishes.headers.add("Prefer", 'outlook.timezone="Pacific Standard Time"')
    async with graph_http() as http:
        calendar = graph_of(box, token, http).me.calendar_view
        first = link(box, f"/me/calendarView?{BOUNDS}&$orderby=start/dateTime")
        pages: list[Any] = [await calendar.with_url(first).get(wishes)]
        while pages[-1].odata_next_link:
            pages.append(await calendar.with_url(pages[-1].odata_next_link).get(wishes))

    events = {event.subject: event for page in pages for event in page.value}
    assert [len(page.value) for page in pages] == [10, 9]
    teams = events["Security review with Heliotrope"]
    assert teams.online_meeting_provider is OnlineMeetingProviderType.TeamsForBusiness
    assert teams.online_meeting.join_url.startswith("https://teams.microsoft.com/l/meetup-join/")
    assert teams.start.time_zone == "Pacific Standard Time"
    kick_off = events["Pilot kick-off with Northwind"]
    answers = [each.status.response for each in kick_off.attendees]
    assert answers == [
        ResponseType.Organizer,
        ResponseType.Accepted,
        ResponseType.Declined,
        ResponseType.NotResponded,
        ResponseType.Accepted,
    ]
    assert events["Trade fair in Gothenburg"].is_all_day is True


async def test_the_graph_sdk_follows_a_delta_and_hears_that_it_is_gone(box: RunningSandbox) -> None:
    token = reading_token(MicrosoftApp(box), "Calendars.Read")
    async with graph_http() as http:
        delta = graph_of(box, token, http).me.calendar_view.delta
        page: Any = await delta.with_url(link(box, f"/me/calendarView/delta?{BOUNDS}")).get()
        first = page.value[0]
        while page.odata_next_link:
            page = await delta.with_url(page.odata_next_link).get()
        call(
            "PATCH",
            f"{box.base_url}{CALENDAR}/{first.id.removeprefix('AAMk')}",
            json_body={"status": "removed"},
        )
        changed: Any = await delta.with_url(page.odata_delta_link).get()
        call("POST", f"{box.base_url}{CALENDAR}/expire")
        with pytest.raises(APIError) as gone:
            await delta.with_url(changed.odata_delta_link).get()

    assert [event.id for event in changed.value] == [first.id]
    assert changed.value[0].additional_data["@removed"] == {"reason": "deleted"}
    told: Any = gone.value
    assert (told.response_status_code, told.error.code) == (410, "SyncStateNotFound")


async def test_the_graph_sdk_finds_a_call_its_transcript_and_who_was_there(box: RunningSandbox) -> None:
    scopes = ("OnlineMeetings.Read", "OnlineMeetingTranscript.Read.All", "OnlineMeetingArtifact.Read.All")
    token = reading_token(MicrosoftApp(box), *scopes)
    review = box.world.meetings.find("security")
    assert review is not None
    condition = quote(f"JoinWebUrl eq '{review.join_url}'", safe="")
    async with graph_http() as http:
        meetings = graph_of(box, token, http).me.online_meetings
        found: Any = await meetings.with_url(link(box, f"/me/onlineMeetings?$filter={condition}")).get()
        [meeting] = found.value
        one = meetings.by_online_meeting_id(meeting.id)
        transcripts: Any = await one.transcripts.get()
        content = await one.transcripts.by_call_transcript_id(transcripts.value[0].id).content.get()
        reports: Any = await one.attendance_reports.get()
        report = one.attendance_reports.by_meeting_attendance_report_id(reports.value[0].id)
        records: Any = await report.attendance_records.get()

    assert meeting.join_web_url == review.join_url
    assert content is not None
    assert content.startswith(b"WEBVTT")
    assert reports.value[0].total_participant_count == 4
    assert [each.email_address for each in records.value][:2] == [WORK, "priya.raman@heliotrope.example"]
    assert records.value[0].attendance_intervals[0].duration_in_seconds == 3600
