from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.week import HOSTILE_TITLE
from support.google_app import CONSUMER, SEND, WORKSPACE, GoogleApp
from support.meetings_app import EVENTS, control, events, google_get, google_token, reason

CALENDAR = f"/calendars/google/{WORKSPACE}"


@pytest.fixture
def token(app: GoogleApp) -> str:
    return google_token(app, EVENTS)


def titled(page: Any, title: str) -> Any:
    [found] = [event for event in page["items"] if event.get("summary") == title]
    return found


def around_now(days: int = 8) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "timeMin": (now - timedelta(days=days)).isoformat(),
        "timeMax": (now + timedelta(days=days)).isoformat(),
    }


def test_the_week_holds_a_finished_call_with_guests_who_answered_differently_and_a_room(
    app: GoogleApp, token: str
) -> None:
    page = events(app, token, singleEvents="true", orderBy="startTime", **around_now()).json

    call = titled(page, "Pilot kick-off with Northwind")
    answers = {guest["email"]: guest["responseStatus"] for guest in call["attendees"]}
    assert answers["maya.lindqvist@northwind.example"] == "accepted"
    assert answers["henrik.dahl@northwind.example"] == "declined"
    assert answers["elin.berg@northwind.example"] == "needsAction"
    assert [guest["email"] for guest in call["attendees"] if guest.get("self")] == [WORKSPACE]
    assert [guest.get("resource") for guest in call["attendees"]].count(True) == 1
    assert datetime.fromisoformat(call["end"]["dateTime"]) < datetime.now(UTC)
    assert call["conferenceData"]["conferenceSolution"]["key"]["type"] == "addOn"
    assert call["conferenceData"]["entryPoints"][0]["uri"].startswith("https://us02web.zoom.us/j/")


def test_the_week_holds_every_kind_of_event(app: GoogleApp, token: str) -> None:
    page = events(app, token, singleEvents="true", orderBy="startTime", **around_now()).json

    assert (page["kind"], page["timeZone"], page["accessRole"]) == (
        "calendar#events",
        "Europe/Stockholm",
        "owner",
    )
    starts = [
        event["start"].get("dateTime") or f"{event['start']['date']}T00:00:00+00:00"
        for event in page["items"]
    ]
    assert [datetime.fromisoformat(each) for each in starts] == sorted(map(datetime.fromisoformat, starts))
    meet = titled(page, "Figures for Oliveira Logística")
    assert meet["hangoutLink"] == "https://meet.google.com/kfp-wqzn-dhe"
    assert meet["conferenceData"]["conferenceId"] == "kfp-wqzn-dhe"
    assert (
        "teams.microsoft.com/l/meetup-join/19%3a"
        in titled(page, "Security review with Heliotrope")["description"]
    )
    fair = titled(page, "Trade fair in Gothenburg")
    days = datetime.fromisoformat(fair["end"]["date"]) - datetime.fromisoformat(fair["start"]["date"])
    assert (days.days, "dateTime" in fair["start"]) == (2, False)
    assert "attendees" not in titled(page, "Write the offer")
    abroad = titled(page, "Call with Heliotrope, California")
    assert abroad["start"]["timeZone"] == "America/Los_Angeles"
    assert abroad["organizer"]["email"] == "priya.raman@heliotrope.example"
    moved = titled(page, "Stand-up (moved)")
    assert moved["start"]["dateTime"] != moved["originalStartTime"]["dateTime"]
    assert titled(page, HOSTILE_TITLE)
    assert not [event for event in page["items"] if event.get("status") != "confirmed"]


def test_a_series_is_its_master_and_its_exceptions_unless_it_is_expanded(app: GoogleApp, token: str) -> None:
    whole = events(app, token).json["items"]
    single = events(app, token, singleEvents="true").json["items"]

    [master] = [event for event in whole if "recurrence" in event]
    assert master["recurrence"] == ["RRULE:FREQ=DAILY;COUNT=10"]
    assert {event["status"] for event in whole if event.get("recurringEventId") == master["id"]} == {
        "confirmed",
        "cancelled",
    }
    assert not [event for event in single if "recurrence" in event]
    assert len([event for event in single if event.get("recurringEventId") == master["id"]]) == 9


def test_deleted_events_are_stubs_and_shown_on_demand(app: GoogleApp, token: str) -> None:
    page = events(app, token, singleEvents="true", showDeleted="true").json

    gone = [event for event in page["items"] if event["status"] == "cancelled"]
    assert {event.get("summary") for event in gone} == {"Lunch with Northwind", None}
    [stub] = [event for event in gone if "summary" not in event]
    assert set(stub) == {"kind", "etag", "id", "status", "recurringEventId", "originalStartTime"}


def test_the_bounds_are_exclusive_on_the_end_and_on_the_start(app: GoogleApp, token: str) -> None:
    call = titled(events(app, token).json, "Figures for Oliveira Logística")
    start, end = call["start"]["dateTime"], call["end"]["dateTime"]

    def is_found(**bounds: str) -> bool:
        found = events(app, token, q="oliveira", **bounds).json["items"]
        return [event["id"] for event in found] == [call["id"]]

    later = (datetime.fromisoformat(start) + timedelta(seconds=1)).isoformat()
    assert not is_found(timeMin=end)
    assert is_found(timeMin=start)
    assert not is_found(timeMax=start)
    assert is_found(timeMax=later)


def test_pages_follow_each_other_and_the_last_one_has_the_sync_token(app: GoogleApp, token: str) -> None:
    control(app, "POST", CALENDAR, {"count": 10_000})
    query: dict[str, Any] = {"maxResults": 2500, "singleEvents": "true"}
    pages = [events(app, token, **query).json]
    while "nextPageToken" in pages[-1]:
        assert "nextSyncToken" not in pages[-1]
        pages.append(events(app, token, **query, pageToken=pages[-1]["nextPageToken"]).json)

    ids = [event["id"] for page in pages for event in page["items"]]
    assert [len(page["items"]) for page in pages] == [2500, 2500, 2500, 2500, 18]
    assert len(set(ids)) == len(ids)
    assert "nextSyncToken" in pages[-1]
    assert len(events(app, token).json["items"]) == 250


def test_a_sync_token_brings_what_changed_since_and_what_is_gone(app: GoogleApp, token: str) -> None:
    first = events(app, token, singleEvents="true", **around_now()).json
    changed, gone, hidden = (event["id"] for event in first["items"][:3])

    control(app, "PATCH", f"{CALENDAR}/{changed}", {"title": "Something else"})
    control(app, "PATCH", f"{CALENDAR}/{gone}", {"status": "removed"})
    control(app, "PATCH", f"{CALENDAR}/{hidden}", {"start": "2020-01-01T10:00Z", "end": "2020-01-01T11:00Z"})
    second = events(app, token, syncToken=first["nextSyncToken"]).json
    third = events(app, token, syncToken=second["nextSyncToken"]).json

    assert [(event["id"], event["status"]) for event in second["items"]] == [
        (changed, "confirmed"),
        (gone, "cancelled"),
    ]
    assert third["items"] == []


def test_what_changes_between_two_pages_is_in_the_next_round(app: GoogleApp, token: str) -> None:
    page = events(app, token, maxResults=5).json
    changed = page["items"][0]["id"]
    control(app, "PATCH", f"{CALENDAR}/{changed}", {"title": "Changed meanwhile"})
    while "nextPageToken" in page:
        page = events(app, token, maxResults=5, pageToken=page["nextPageToken"]).json

    again = events(app, token, syncToken=page["nextSyncToken"]).json["items"]

    assert [event["id"] for event in again] == [changed]


@pytest.mark.parametrize(
    "query",
    [
        {"timeMin": "2026-01-01T00:00:00Z"},
        {"timeMax": "2026-01-01T00:00:00Z"},
        {"updatedMin": "2026-01-01T00:00:00Z"},
        {"orderBy": "startTime", "singleEvents": "true"},
        {"q": "lunch"},
        {"showDeleted": "false"},
    ],
)
def test_a_sync_token_does_not_mix(app: GoogleApp, token: str, query: dict[str, str]) -> None:
    sync = events(app, token).json["nextSyncToken"]

    assert reason(events(app, token, syncToken=sync, **query)) == (400, "badRequest")


def test_a_listing_in_an_order_ends_without_a_sync_token(app: GoogleApp, token: str) -> None:
    page = events(app, token, singleEvents="true", orderBy="startTime").json

    assert "nextSyncToken" not in page
    assert "nextPageToken" not in page


def test_an_expired_sync_token_is_gone_with_googles_own_words(app: GoogleApp, token: str) -> None:
    sync = events(app, token).json["nextSyncToken"]
    control(app, "POST", f"{CALENDAR}/expire")

    answer = events(app, token, syncToken=sync)

    message = "Sync token is no longer valid, a full sync is required."
    assert answer.status == 410
    assert answer.json["error"] == {
        "code": 410,
        "message": message,
        "errors": [
            {
                "message": message,
                "domain": "calendar",
                "reason": "fullSyncRequired",
                "location": "syncToken",
                "locationType": "parameter",
            }
        ],
    }
    assert events(app, token, syncToken=events(app, token).json["nextSyncToken"]).status == 200


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"timeMin": "2026-01-01T00:00:00"}, "badRequest"),
        ({"timeMin": "yesterday"}, "badRequest"),
        ({"timeMin": "2026-01-02T00:00:00Z", "timeMax": "2026-01-01T00:00:00Z"}, "timeRangeEmpty"),
        ({"orderBy": "startTime"}, "invalid"),
        ({"orderBy": "colour"}, "invalid"),
        ({"maxResults": "0"}, "invalid"),
        ({"maxResults": "many"}, "invalid"),
        ({"pageToken": "made-up"}, "invalid"),
        ({"syncToken": "made-up"}, "invalid"),
        ({"timeZone": "Mars/Olympus"}, "invalid"),
        ({"timeZone": "../../etc/passwd"}, "invalid"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(
    app: GoogleApp, token: str, query: dict[str, str], told: str
) -> None:
    assert reason(events(app, token, **query)) == (400, told)


def test_a_page_token_is_no_sync_token(app: GoogleApp, token: str) -> None:
    page = events(app, token, maxResults=1).json

    assert reason(events(app, token, syncToken=page["nextPageToken"])) == (400, "invalid")


def test_updated_min_brings_newer_changes_and_deletions_too(app: GoogleApp, token: str) -> None:
    before = datetime.now(UTC).isoformat()
    [first, second] = [event["id"] for event in events(app, token, maxResults=2).json["items"]]
    control(app, "PATCH", f"{CALENDAR}/{first}", {"title": "Newer"})
    control(app, "PATCH", f"{CALENDAR}/{second}", {"status": "cancelled"})

    found = events(app, token, updatedMin=before, orderBy="updated").json["items"]

    assert [event["id"] for event in found] == [first, second]


def test_one_event_can_be_read_and_attendees_can_be_left_out(app: GoogleApp, token: str) -> None:
    [call] = events(app, token, q="kick-off", maxAttendees=1).json["items"]
    assert ([guest["email"] for guest in call["attendees"]], call["attendeesOmitted"]) == ([WORKSPACE], True)

    alone = google_get(app, token, f"/calendar/v3/calendars/{WORKSPACE}/events/{call['id']}").json
    assert len(alone["attendees"]) == 5
    [by_uid] = events(app, token, iCalUID=call["iCalUID"]).json["items"]
    assert by_uid["id"] == call["id"]


def test_somebody_elses_calendar_is_not_found(app: GoogleApp, token: str) -> None:
    assert reason(google_get(app, token, f"/calendar/v3/calendars/{CONSUMER}/events")) == (404, "notFound")
    assert reason(google_get(app, token, "/calendar/v3/calendars/primary/events/none")) == (404, "notFound")


@pytest.mark.parametrize(
    "scope", ["calendar", "calendar.readonly", "calendar.events", "calendar.events.owned"]
)
def test_a_wider_scope_reads_events_too(app: GoogleApp, scope: str) -> None:
    wide = google_token(app, f"https://www.googleapis.com/auth/{scope}")

    assert events(app, wide).status == 200


def test_without_the_scope_the_calendar_is_closed(app: GoogleApp) -> None:
    refused = events(app, google_token(app, SEND))

    assert reason(refused) == (403, "insufficientPermissions")
    [detail] = refused.json["error"]["details"]
    assert detail["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    assert reason(google_get(app, "", "/calendar/v3/calendars/primary/events")) == (401, "required")
    assert reason(events(app, "ya29.made-up")) == (401, "authError")


def test_the_calendar_has_a_box_of_its_own_on_the_consent_page(app: GoogleApp) -> None:
    granted = app.connect(scope=f"openid email {SEND} {EVENTS}", untick=("calendar.events.readonly",))[
        "scope"
    ]

    assert EVENTS not in granted
    assert SEND in granted


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("refused_401", 401),
        ("refused_429", 429),
        ("refused_500", 500),
        ("refused_502", 502),
        ("refused_503", 503),
        ("missing_scope", 403),
        ("html", 200),
        ("slow", 200),
    ],
)
def test_a_fault_strikes_the_calendar_once(app: GoogleApp, token: str, kind: str, status: int) -> None:
    app.box.world.faults.arm(
        Fault(kind=kind, vendor=Vendor.GOOGLE, endpoint=Endpoint.CALENDAR, delay_seconds=0.01)
    )

    assert events(app, token).status == status
    assert events(app, token).json["kind"] == "calendar#events"


def test_an_empty_page_leads_on_and_nothing_is_lost(app: GoogleApp, token: str) -> None:
    expected = [event["id"] for event in events(app, token).json["items"]]
    fault = Fault(kind="empty_page", vendor=Vendor.GOOGLE, endpoint=Endpoint.CALENDAR, count=2)
    app.box.world.faults.arm(fault)

    pages = [events(app, token).json]
    while "nextPageToken" in pages[-1]:
        pages.append(events(app, token, pageToken=pages[-1]["nextPageToken"]).json)

    assert [len(page["items"]) for page in pages] == [0, 0, len(expected)]
    assert [event["id"] for event in pages[-1]["items"]] == expected


def test_a_fault_lets_a_sync_token_expire_and_spares_a_full_listing(app: GoogleApp, token: str) -> None:
    sync = events(app, token).json["nextSyncToken"]
    app.box.world.faults.arm(
        Fault(kind="sync_token_expired", vendor=Vendor.GOOGLE, endpoint=Endpoint.CALENDAR)
    )

    assert events(app, token).status == 200
    assert events(app, token, syncToken=sync).status == 410
    assert events(app, token, syncToken=sync).status == 200


def test_an_account_of_ones_own_begins_with_an_empty_calendar(app: GoogleApp) -> None:
    control(
        app,
        "POST",
        "/accounts",
        {"vendor": "google", "email": "sal@x.example", "name": "Sal", "subject": "7"},
    )
    token = google_token(app, EVENTS, account="sal@x.example")

    assert events(app, token).json["items"] == []
    added = control(
        app,
        "POST",
        "/calendars/google/sal@x.example",
        {
            "events": [
                {
                    "title": "Demo",
                    "start": "2026-03-02T09:00:00+01:00",
                    "end": "2026-03-02T09:30:00+01:00",
                    "guests": [{"email": "charlie@customer.example", "answer": "tentative"}],
                    "platform": "meet",
                    "joined": ["charlie@customer.example"],
                }
            ]
        },
    )
    [event] = events(app, token).json["items"]
    assert added.json == {"events": 1, "ids": [event["id"]]}
    assert event["attendees"] == [{"email": "charlie@customer.example", "responseStatus": "tentative"}]
    assert event["hangoutLink"].startswith("https://meet.google.com/")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (CALENDAR, {"count": 0}, 400),
        (CALENDAR, {"count": 1, "colour": "red"}, 400),
        (CALENDAR, {}, 404),
        (CALENDAR, {"events": [{"title": "No time"}]}, 400),
        (CALENDAR, {"events": [{"start": "2026-03-02T09:00", "end": "2026-03-02T10:00"}]}, 400),
        ("/calendars/google/nobody@nowhere.example", {"count": 1}, 404),
        ("/calendars/yahoo/nobody@nowhere.example", {"count": 1}, 400),
    ],
)
def test_a_wrong_order_for_a_calendar_is_refused_with_words(
    app: GoogleApp, path: str, body: dict[str, Any], status: int
) -> None:
    answer = control(app, "POST", path, body)

    assert answer.status == status
    assert answer.json["error"]


def test_the_calendar_can_be_listed_and_an_unknown_event_cannot_be_changed(app: GoogleApp) -> None:
    listed = control(app, "GET", CALENDAR).json

    assert len(listed["events"]) == 21
    assert control(app, "PATCH", f"{CALENDAR}/none", {"title": "x"}).status == 404
    assert control(app, "PATCH", f"{CALENDAR}/{listed['events'][0]['id']}", {"version": 3}).status == 400
    assert control(app, "POST", CALENDAR, {"week": True}).json == {"events": 21, "ids": []}
