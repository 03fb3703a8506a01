from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from support.google_app import CONSUMER, SEND, WORKSPACE, GoogleApp
from support.meetings_app import EVENTS, MEET, control, events, google_get, google_token
from support.plain_http import Answer

RECORD = "conferenceRecords/Zy3vQk1nTfC7"


@pytest.fixture
def token(app: GoogleApp) -> str:
    return google_token(app, MEET)


def records(app: GoogleApp, token: str, **query: Any) -> Answer:
    return google_get(app, token, "/v2/conferenceRecords", **query)


def names(answer: Answer) -> list[str]:
    return [each["name"] for each in answer.json.get("conferenceRecords", [])]


def refused(answer: Answer) -> tuple[int, str]:
    assert "errors" not in answer.json["error"]
    return answer.status, answer.json["error"]["status"]


def add_meeting(app: GoogleApp, *, ends_in: timedelta) -> str:
    """One more conference; its name."""
    end = datetime.now(UTC) + ends_in
    event = {
        "title": "Demo",
        "start": (end - timedelta(minutes=30)).isoformat(),
        "end": end.isoformat(),
        "guests": [{"email": "charlie@customer.example", "name": "Charlie"}],
        "platform": "meet",
        "joined": ["charlie@customer.example"],
        "lines": [[1, "Charlie", "Hello."]],
        "notes": {"overview": "Hello."},
        "is_recorded": True,
    }
    [made] = control(app, "POST", f"/calendars/google/{WORKSPACE}", {"events": [event]}).json["ids"]
    meeting = app.box.world.meetings.find(made)
    assert meeting is not None
    return f"conferenceRecords/{meeting.uuid}"


def test_a_conference_is_found_by_the_code_in_the_calendar(app: GoogleApp, token: str) -> None:
    both = google_token(app, EVENTS, MEET)
    [event] = events(app, both, q="oliveira").json["items"]
    code = event["conferenceData"]["conferenceId"]

    [record] = records(app, token, filter=f'space.meeting_code = "{code}"').json["conferenceRecords"]

    assert record["name"] == RECORD
    ended, expires = (datetime.fromisoformat(record[name]) for name in ("endTime", "expireTime"))
    assert expires - ended == timedelta(days=30)
    space = google_get(app, token, f"/v2/{record['space']}").json
    assert (space["meetingCode"], space["meetingUri"]) == (code, event["hangoutLink"])
    assert google_get(app, token, f"/v2/spaces/{code}").json == space
    assert google_get(app, token, f"/v2/{RECORD}").json == record


@pytest.mark.parametrize(
    ("condition", "is_found"),
    [
        ('start_time>="2020-01-01T00:00:00Z"', True),
        ('start_time>="2020-01-01T00:00:00Z" AND start_time<="2020-01-02T00:00:00Z"', False),
        ('end_time<"2100-01-01T00:00:00+02:00"', True),
        ('space.name = "spaces/skfpwqzndhe"', True),
        ('space.name = "spaces/other"', False),
        ("end_time IS NULL", False),
    ],
)
def test_conferences_can_be_filtered(app: GoogleApp, token: str, condition: str, is_found: bool) -> None:  # noqa: FBT001
    assert names(records(app, token, filter=condition)) == ([RECORD] if is_found else [])


@pytest.mark.parametrize(
    "condition",
    [
        "start_time>=yesterday",
        'start_time>="yesterday"',
        'start_time>="2026-01-01T00:00:00"',
        'colour="red"',
        'space.name>"x"',
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(app: GoogleApp, token: str, condition: str) -> None:
    assert refused(records(app, token, filter=condition)) == (400, "INVALID_ARGUMENT")


def test_a_participant_has_a_name_and_no_address(app: GoogleApp, token: str) -> None:
    page = google_get(app, token, f"/v2/{RECORD}/participants").json

    assert page["totalSize"] == 4
    kinds = [next(name for name in each if name.endswith("User")) for each in page["participants"]]
    assert kinds == ["signedinUser", "anonymousUser", "signedinUser", "phoneUser"]
    assert page["participants"][0]["signedinUser"]["user"].startswith("users/")
    assert "@" not in str(page)


def test_the_transcript_is_read_line_by_line_in_pages(app: GoogleApp, token: str) -> None:
    [transcript] = google_get(app, token, f"/v2/{RECORD}/transcripts").json["transcripts"]
    path = f"/v2/{transcript['name']}/entries"
    first = google_get(app, token, path, pageSize=1).json
    second = google_get(app, token, path, pageSize=1, pageToken=first["nextPageToken"]).json

    assert (transcript["state"], "document" in transcript["docsDestination"]) == ("FILE_GENERATED", True)
    assert first["transcriptEntries"][0]["text"].startswith("Hello Tomás")
    assert second["transcriptEntries"][0]["participant"] == f"{RECORD}/participants/2"
    assert "nextPageToken" not in second
    assert refused(google_get(app, token, f"/v2/{RECORD}/transcripts/none/entries")) == (404, "NOT_FOUND")


def test_recordings_and_notes_tell_where_they_lie(app: GoogleApp, token: str) -> None:
    [recording] = google_get(app, token, f"/v2/{RECORD}/recordings").json["recordings"]
    [notes] = google_get(app, token, f"/v2/{RECORD}/smartNotes").json["smartNotes"]

    assert (recording["state"], set(recording["driveDestination"])) == (
        "FILE_GENERATED",
        {"file", "exportUri"},
    )
    assert (notes["state"], set(notes["docsDestination"])) == ("FILE_GENERATED", {"document", "exportUri"})


def test_what_comes_after_a_call_comes_step_by_step(app: GoogleApp, token: str) -> None:
    name = add_meeting(app, ends_in=timedelta(seconds=20))

    def states() -> list[str]:
        pages = [
            google_get(app, token, f"/v2/{name}/{kind}").json
            for kind in ("transcripts", "smartNotes", "recordings")
        ]
        return [
            page[kind][0]["state"]
            for page, kind in zip(pages, ("transcripts", "smartNotes", "recordings"), strict=True)
        ]

    def lines() -> list[Any]:
        [transcript] = google_get(app, token, f"/v2/{name}/transcripts").json["transcripts"]
        found: list[Any] = google_get(app, token, f"/v2/{transcript['name']}/entries").json.get(
            "transcriptEntries", []
        )
        return found

    assert (states(), lines()) == (["STARTED"] * 3, [])
    assert names(records(app, token, filter="end_time IS NULL")) == [name]
    app.box.world.clock.advance(30)
    assert (states(), lines()) == (["ENDED"] * 3, [])
    app.box.world.clock.advance(300)
    assert states() == ["FILE_GENERATED"] * 3
    assert len(lines()) == 1
    assert names(records(app, token)) == [name, RECORD]


def test_a_record_vanishes_after_thirty_days(app: GoogleApp, token: str) -> None:
    app.box.world.settings[Vendor.GOOGLE].access_token_seconds = 100 * 86_400
    lasting = google_token(app, MEET)

    app.box.world.clock.advance(31 * 86_400)

    assert names(records(app, lasting)) == []
    assert refused(google_get(app, lasting, f"/v2/{RECORD}")) == (404, "NOT_FOUND")


def test_records_come_in_pages_the_latest_first(app: GoogleApp, token: str) -> None:
    made = [add_meeting(app, ends_in=timedelta(minutes=-n)) for n in range(40, 10, -1)]
    expected = [*reversed(made), RECORD]

    usual = records(app, token).json
    rest = records(app, token, pageToken=usual["nextPageToken"])

    assert [each["name"] for each in usual["conferenceRecords"]] == expected[:25]
    assert names(rest) == expected[25:]
    assert len(names(records(app, token, pageSize=100))) == 31
    assert refused(records(app, token, pageSize="many")) == (400, "INVALID_ARGUMENT")
    assert refused(records(app, token, pageToken="made-up")) == (400, "INVALID_ARGUMENT")


def test_only_who_was_asked_in_may_look(app: GoogleApp) -> None:
    control(
        app,
        "POST",
        "/accounts",
        {"vendor": "google", "email": "eve@evil.example", "name": "Eve", "subject": "6"},
    )

    assert names(records(app, google_token(app, MEET, account=CONSUMER))) == [RECORD]
    eve = google_token(app, MEET, account="eve@evil.example")
    assert names(records(app, eve)) == []
    assert refused(google_get(app, eve, f"/v2/{RECORD}/participants")) == (404, "NOT_FOUND")
    assert refused(google_get(app, eve, "/v2/spaces/kfp-wqzn-dhe")) == (404, "NOT_FOUND")


def test_meet_needs_its_scope(app: GoogleApp) -> None:
    answer = records(app, google_token(app, SEND))

    assert refused(answer) == (403, "PERMISSION_DENIED")
    assert answer.json["error"]["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    assert refused(records(app, "ya29.made-up")) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("refused_401", (401, "UNAUTHENTICATED")),
        ("refused_429", (429, "RESOURCE_EXHAUSTED")),
        ("refused_500", (500, "INTERNAL")),
        ("refused_503", (503, "UNAVAILABLE")),
        ("missing_scope", (403, "PERMISSION_DENIED")),
    ],
)
def test_a_fault_strikes_meet_once(app: GoogleApp, token: str, kind: str, told: tuple[int, str]) -> None:
    app.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.GOOGLE, endpoint=Endpoint.MEETINGS))

    assert refused(records(app, token)) == told
    assert names(records(app, token)) == [RECORD]


def test_an_empty_page_and_a_gateway(app: GoogleApp, token: str) -> None:
    for kind in ("empty_page", "refused_502"):
        app.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.GOOGLE, endpoint=Endpoint.MEETINGS))

    assert records(app, token).status == 502
    first = records(app, token).json
    assert set(first) == {"nextPageToken"}
    assert names(records(app, token, pageToken=first["nextPageToken"])) == [RECORD]
