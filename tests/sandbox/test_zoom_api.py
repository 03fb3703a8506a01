from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.week import HENRIK, MAYA
from replysequence.sandbox.zoom_scopes import LIST_MEETINGS, SUMMARY, USER
from support.plain_http import Answer, call
from support.zoom_app import KICK_OFF, ZoomApp, twice
from support.zoom_app import USER as DANA

PIPELINE = "4kBw9QfZSRmPz2/uD0hTLQ=="


@pytest.fixture
def token(zoom: ZoomApp) -> str:
    return str(zoom.connect()["access_token"])


def refused(answer: Answer) -> tuple[int, int]:
    return answer.status, answer.json["code"]


def add_call(zoom: ZoomApp, *, ends_in: timedelta, **changes: Any) -> Any:
    """One more Zoom meeting of the user; the sandbox's summary of the event."""
    end = datetime.now(UTC) + ends_in
    event = {
        "title": "Demo",
        "start": (end - timedelta(minutes=30)).isoformat(),
        "end": end.isoformat(),
        "guests": [{"email": "charlie@customer.example", "name": "Charlie"}],
        "platform": "zoom",
        "joined": ["charlie@customer.example"],
        "notes": {"overview": "Charlie wants an offer.", "next_steps": ["Send it."]},
    }
    url = f"{zoom.box.base_url}/_sandbox/calendars/google/{DANA}"
    [made] = call("POST", url, json_body={"events": [event | changes]}).json["ids"]
    return zoom.box.world.meetings.find(made)


def test_the_meetings_of_a_week_are_listed_by_their_kind(zoom: ZoomApp, token: str) -> None:
    def topics(kind: str) -> list[str]:
        return [each["topic"] for each in zoom.get(token, "/users/me/meetings", type=kind).json["meetings"]]

    assert topics("previous_meetings") == ["Pilot kick-off with Northwind", "Pipeline review"]
    assert topics("upcoming") == ["Next steps with Northwind"]
    assert topics("live") == []
    assert len(topics("scheduled")) == 3
    assert refused(zoom.get(token, "/users/me/meetings", type="colourful")) == (400, 300)


def test_a_listed_meeting_has_the_link_that_is_in_the_calendar(zoom: ZoomApp, token: str) -> None:
    [listed] = [
        each
        for each in zoom.get(token, "/users/me/meetings", type="previous_meetings").json["meetings"]
        if each["uuid"] == KICK_OFF
    ]
    world = zoom.box.world
    for vendor in (Vendor.GOOGLE, Vendor.MICROSOFT):
        calendar = world.calendars.of(world.accounts.of(vendor)[0])
        links = {event.meeting.join_url for event in calendar if event.meeting}
        assert listed["join_url"] in links
    assert isinstance(listed["id"], int)


def test_only_me_may_stand_for_the_user(zoom: ZoomApp, token: str) -> None:
    for user in (DANA, "zQ4xR7nTSk2mVbWc0eYh1g"):
        for path in ("", "/meetings", "/recordings"):
            answer = zoom.get(token, f"/users/{user}{path}")
            assert refused(answer) == (401, 4700)


def test_a_past_meeting_is_found_by_a_uuid_that_is_encoded_twice(zoom: ZoomApp, token: str) -> None:
    found = zoom.get(token, f"/past_meetings/{twice(KICK_OFF)}").json
    once = zoom.get(token, f"/past_meetings/{quote(KICK_OFF, safe='')}")
    plain = zoom.get(token, f"/past_meetings/{KICK_OFF}")

    assert (found["uuid"], found["participants_count"], found["has_meeting_summary"]) == (KICK_OFF, 3, True)
    assert refused(once) == (404, 3001)
    assert refused(plain) == (404, 3001)


@pytest.mark.parametrize("name", [quote(PIPELINE, safe=""), twice(PIPELINE), "84417720935"])
def test_a_past_meeting_with_one_slash_or_by_its_number_needs_no_care(
    zoom: ZoomApp, token: str, name: str
) -> None:
    assert zoom.get(token, f"/past_meetings/{name}").json["uuid"] == PIPELINE
    [instance] = zoom.get(token, "/past_meetings/84417720935/instances").json["meetings"]
    assert instance["uuid"] == PIPELINE


def test_guests_have_no_address(zoom: ZoomApp, token: str) -> None:
    page = zoom.get(token, f"/past_meetings/{twice(KICK_OFF)}/participants").json

    addresses = {each["name"]: each["user_email"] for each in page["participants"]}
    assert addresses == {"Dana Reyes": DANA, MAYA.name: "", "Elin Berg": ""}
    assert HENRIK.name not in addresses
    assert [each["internal_user"] for each in page["participants"]] == [True, False, False]
    assert (page["total_records"], page["next_page_token"]) == (3, "")


def test_participants_come_in_pages(zoom: ZoomApp, token: str) -> None:
    path = f"/past_meetings/{twice(KICK_OFF)}/participants"
    first = zoom.get(token, path, page_size=2).json
    second = zoom.get(token, path, page_size=2, next_page_token=first["next_page_token"]).json

    assert [len(page["participants"]) for page in (first, second)] == [2, 1]
    assert second["next_page_token"] == ""
    assert refused(zoom.get(token, path, next_page_token="made-up")) == (400, 300)


def test_a_summary_is_not_there_until_it_is_written(zoom: ZoomApp, token: str) -> None:
    meeting = add_call(zoom, ends_in=timedelta(minutes=-2))
    path = f"/meetings/{twice(meeting.uuid)}/meeting_summary"

    early = zoom.get(token, path)
    zoom.box.world.clock.advance(180)
    written = zoom.get(token, path)

    assert refused(early) == (404, 3001)
    assert early.json["message"] == f"Meeting does not exist: {meeting.uuid}."
    assert written.json["summary_overview"] == "Charlie wants an offer."
    assert written.json["next_steps"] == ["Send it."]


def test_how_long_a_summary_takes_can_be_set(zoom: ZoomApp, token: str) -> None:
    call("POST", f"{zoom.box.base_url}/_sandbox/vendors/zoom", json_body={"papers_seconds": 0})
    meeting = add_call(zoom, ends_in=timedelta(seconds=-1))

    assert zoom.get(token, f"/meetings/{twice(meeting.uuid)}/meeting_summary").status == 200


def test_a_summary_holds_what_was_agreed(zoom: ZoomApp, token: str) -> None:
    told = zoom.get(token, f"/meetings/{twice(KICK_OFF)}/meeting_summary").json

    assert told["meeting_uuid"] == KICK_OFF
    assert [detail["label"] for detail in told["summary_details"]] == ["Pilot", "Price"]
    assert len(told["next_steps"]) == 3
    assert told["summary_content"].startswith("## Key takeaways")
    assert "edited_summary" not in told


@pytest.mark.parametrize("paper", ["meeting_summary", "recordings", "transcript"])
def test_a_meeting_without_papers_never_gets_them(zoom: ZoomApp, token: str, paper: str) -> None:
    assert refused(zoom.get(token, f"/meetings/{twice(PIPELINE)}/{paper}")) == (404, 3001)
    assert refused(zoom.get(token, f"/meetings/86650183327/{paper}")) == (404, 3001)


def test_a_meeting_to_come_is_no_past_meeting(zoom: ZoomApp, token: str) -> None:
    later = add_call(zoom, ends_in=timedelta(hours=3))

    assert refused(zoom.get(token, "/past_meetings/86650183327")) == (404, 3001)
    assert refused(zoom.get(token, f"/past_meetings/{twice(later.uuid)}")) == (404, 3001)
    assert refused(zoom.get(token, "/past_meetings/1/nonsense")) == (404, 3001)
    assert refused(zoom.get(token, "/meetings/1/nonsense")) == (404, 3001)


def test_recordings_of_a_month_are_listed_and_the_transcript_can_be_read(zoom: ZoomApp, token: str) -> None:
    now = datetime.now(UTC).date()
    span = {"from": (now - timedelta(days=20)).isoformat(), "to": now.isoformat()}
    [listed] = zoom.get(token, "/users/me/recordings", **span).json["meetings"]
    told = zoom.get(token, f"/meetings/{twice(KICK_OFF)}/transcript").json
    files = zoom.get(token, f"/meetings/{twice(KICK_OFF)}/recordings").json["recording_files"]

    assert listed["uuid"] == KICK_OFF
    assert [file["file_type"] for file in files] == ["MP4", "TRANSCRIPT"]
    assert told["can_download"] is True
    path = told["download_url"].removeprefix(zoom.box.base_url)
    text = call("GET", told["download_url"], headers={"Authorization": f"Bearer {token}"})
    assert path.startswith("/zoom/rec/download/")
    assert text.headers["Content-Type"].startswith("text/vtt")
    assert text.text.startswith("WEBVTT\n\n1\n00:00:04.000 --> 00:00:11.000\nDana Reyes: Good morning")
    picture = call("GET", files[0]["download_url"], headers={"Authorization": f"Bearer {token}"})
    assert picture.headers["Content-Type"] == "video/mp4"
    assert call("GET", told["download_url"]).status == 401
    missing = call(
        "GET", f"{zoom.box.base_url}/zoom/rec/download/none.vtt", headers={"Authorization": f"Bearer {token}"}
    )
    assert missing.status == 404


def test_a_range_of_more_than_a_month_is_refused(zoom: ZoomApp, token: str) -> None:
    assert refused(zoom.get(token, "/users/me/recordings", **{"from": "2026-01-01", "to": "2026-03-01"})) == (
        400,
        300,
    )
    assert refused(zoom.get(token, "/users/me/recordings", to="soon")) == (400, 300)


def test_every_answer_tells_the_limits(zoom: ZoomApp, token: str) -> None:
    headers = zoom.get(token, "/users/me/meetings").headers

    assert headers["X-RateLimit-Category"] == "Medium"
    assert headers["X-RateLimit-Type"] == "QPS"
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("20", "19")
    assert "Retry-After" not in headers


def test_too_many_calls_in_one_second_are_refused(zoom: ZoomApp, token: str) -> None:
    zoom.box.world.clock.now = lambda: datetime(2026, 3, 2, tzinfo=UTC)  # type: ignore[method-assign]  # stands still

    answers = [zoom.get(token, "/users/me/meetings") for _ in range(21)]

    assert [answer.status for answer in answers] == [200] * 20 + [429]
    assert "Retry-After" not in answers[-1].headers
    assert answers[-1].headers["X-RateLimit-Remaining"] == "0"


def test_the_calls_of_a_day_run_out_until_midnight_as_an_iso_date(zoom: ZoomApp, token: str) -> None:
    call("POST", f"{zoom.box.base_url}/_sandbox/vendors/zoom", json_body={"daily_requests": 1})

    assert zoom.get(token, "/users/me").status == 200
    answer = zoom.get(token, "/users/me")

    midnight = datetime.fromisoformat(answer.headers["Retry-After"])
    assert answer.status == 429
    assert answer.headers["X-RateLimit-Type"] == "Daily-limit"
    assert (midnight.hour, midnight.minute) == (0, 0)
    zoom.box.world.clock.advance((midnight - datetime.now(UTC)).total_seconds() + 1)
    fresh = zoom.connect()["access_token"]
    assert zoom.get(fresh, "/users/me").status == 200


def test_a_token_that_is_missing_wrong_or_old_is_refused(zoom: ZoomApp, token: str) -> None:
    assert refused(call("GET", f"{zoom.box.environment['ZOOM_API_URL']}/users/me")) == (401, 4700)
    assert zoom.get("made-up", "/users/me").json == {"code": 124, "message": "Invalid access token."}
    zoom.box.world.clock.advance(3600)
    assert zoom.get(token, "/users/me").json == {"code": 124, "message": "Access token is expired."}


def test_a_scope_that_the_app_does_not_ask_for_is_missing(zoom: ZoomApp) -> None:
    zoom.box.world.zoom_client.scopes = (USER, LIST_MEETINGS)
    token = zoom.connect()["access_token"]

    assert zoom.get(token, "/users/me/meetings").status == 200
    answer = zoom.get(token, f"/meetings/{twice(KICK_OFF)}/meeting_summary")
    assert refused(answer) == (400, 4711)
    assert SUMMARY in answer.json["message"]
    for path in (
        "/users/me/recordings",
        f"/past_meetings/{twice(KICK_OFF)}",
        f"/past_meetings/{twice(KICK_OFF)}/participants",
        "/past_meetings/1/instances",
        f"/meetings/{twice(KICK_OFF)}/recordings",
        f"/meetings/{twice(KICK_OFF)}/transcript",
    ):
        assert refused(zoom.get(token, path)) == (400, 4711), path


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("refused_401", (401, 124)),
        ("refused_429", (429, 429)),
        ("refused_500", (500, 500)),
        ("refused_503", (503, 503)),
        ("missing_scope", (400, 4711)),
    ],
)
def test_a_fault_strikes_the_api_once(zoom: ZoomApp, token: str, kind: str, told: tuple[int, int]) -> None:
    zoom.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.ZOOM, endpoint=Endpoint.MEETINGS, account=DANA))

    answer = zoom.get(token, "/users/me/meetings")
    assert refused(answer) == told
    if kind == "refused_429":
        assert datetime.fromisoformat(answer.headers["Retry-After"]) > datetime.now(UTC)
    assert zoom.get(token, "/users/me/meetings").status == 200


def test_an_empty_page_leads_on(zoom: ZoomApp, token: str) -> None:
    zoom.box.world.faults.arm(Fault(kind="empty_page", vendor=Vendor.ZOOM, endpoint=Endpoint.MEETINGS))

    first = zoom.get(token, "/users/me/meetings").json
    second = zoom.get(token, "/users/me/meetings", next_page_token=first["next_page_token"]).json

    assert (first["meetings"], len(second["meetings"])) == ([], 3)
