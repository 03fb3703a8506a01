"""Google's own API client reads the calendar and Meet's records of the sandbox: proof by a client that is not ours."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.world import World
from support.google_app import WORKSPACE, GoogleApp
from support.meetings_app import EVENTS, MEET, control, google_token


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    world = World()
    world.register_app("http://localhost:8000")
    with sandbox(world) as running:
        yield running


def client(box: RunningSandbox, api: str, version: str, scope: str) -> Any:
    credentials: Any = Credentials(token=google_token(GoogleApp(box), scope))  # type: ignore[no-untyped-call]
    return build(
        api,
        version,
        credentials=credentials,
        static_discovery=True,
        client_options={
            "api_endpoint": f"{box.base_url}/calendar/v3/" if api == "calendar" else box.base_url
        },
    )


@pytest.fixture
def calendar(box: RunningSandbox) -> Iterator[Any]:
    with client(box, "calendar", "v3", EVENTS) as service:
        yield service


@pytest.fixture
def meet(box: RunningSandbox) -> Iterator[Any]:
    with client(box, "meet", "v2", MEET) as service:
        yield service


def every(collection: Any, request: Any, name: str) -> tuple[list[Any], Any]:
    """All items over all pages, turned by the client itself, and the last page."""
    items: list[Any] = []
    page: Any = None
    while request is not None:
        page = request.execute(num_retries=0)
        items += page.get(name, [])
        request = collection.list_next(request, page)
    return items, page


def test_the_api_client_lists_the_week_page_by_page(box: RunningSandbox, calendar: Any) -> None:
    control(GoogleApp(box), "POST", f"/calendars/google/{WORKSPACE}", {"count": 600})
    events = calendar.events()

    found, last = every(events, events.list(calendarId="primary", singleEvents=True), "items")

    assert len(found) == 618
    assert last["nextSyncToken"]
    assert events.get(calendarId="primary", eventId=found[0]["id"]).execute()["id"] == found[0]["id"]


def test_the_api_client_synchronises_and_starts_over_when_the_token_is_gone(
    box: RunningSandbox, calendar: Any
) -> None:
    events, app = calendar.events(), GoogleApp(box)
    found, last = every(events, events.list(calendarId="primary", singleEvents=True), "items")
    path = f"/calendars/google/{WORKSPACE}"
    control(app, "PATCH", f"{path}/{found[0]['id']}", {"title": "Changed"})

    changed = events.list(calendarId="primary", syncToken=last["nextSyncToken"]).execute()
    control(app, "POST", f"{path}/expire")
    with pytest.raises(HttpError) as gone:
        events.list(calendarId="primary", syncToken=changed["nextSyncToken"]).execute()

    assert [event["summary"] for event in changed["items"]] == ["Changed"]
    assert gone.value.status_code == 410
    assert gone.value.error_details[0]["reason"] == "fullSyncRequired"


def test_the_api_client_goes_on_after_empty_pages(box: RunningSandbox, calendar: Any) -> None:
    fault = Fault(kind="empty_page", vendor=Vendor.GOOGLE, endpoint=Endpoint.CALENDAR, count=2)
    box.world.faults.arm(fault)
    events = calendar.events()

    found, _ = every(events, events.list(calendarId="primary", singleEvents=True), "items")

    assert len(found) == 18


def test_the_api_client_reads_a_conference_and_everything_in_it(meet: Any) -> None:
    records = meet.conferenceRecords()
    condition = 'space.meeting_code = "kfp-wqzn-dhe"'

    [record], _ = every(records, records.list(filter=condition), "conferenceRecords")
    people, _ = every(
        records.participants(), records.participants().list(parent=record["name"], pageSize=1), "participants"
    )
    [transcript] = records.transcripts().list(parent=record["name"]).execute()["transcripts"]
    entries, _ = every(
        records.transcripts().entries(),
        records.transcripts().entries().list(parent=transcript["name"], pageSize=1),
        "transcriptEntries",
    )

    assert len(people) == 4
    assert len(entries) == 2
    assert records.recordings().list(parent=record["name"]).execute()["recordings"]
    assert records.smartNotes().list(parent=record["name"]).execute()["smartNotes"]
    assert meet.spaces().get(name=record["space"]).execute()["meetingCode"] == "kfp-wqzn-dhe"


def test_the_api_client_reads_the_reason_of_a_refusal(box: RunningSandbox) -> None:
    with client(box, "meet", "v2", EVENTS) as service, pytest.raises(HttpError) as refused:
        service.conferenceRecords().list().execute()

    assert refused.value.status_code == 403
    assert refused.value.error_details[0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
