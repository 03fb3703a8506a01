from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.week import HOSTILE_TITLE
from support.microsoft_app import (
    CALLBACK,
    PERSONAL,
    WORK,
    MicrosoftApp,
    admin_allows,
    graph_get,
    reading_token,
)
from support.plain_http import Answer, call

ALWAYS = "startDateTime=2020-01-01&endDateTime=2100-01-01"
CALENDAR = f"/_sandbox/calendars/microsoft/{WORK}"


@pytest.fixture
def token(microsoft: MicrosoftApp) -> str:
    return reading_token(microsoft, "Calendars.Read")


def span(days: int = 8) -> str:
    now = datetime.now(UTC)
    bounds = {
        "startDateTime": (now - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S"),
        "endDateTime": (now + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S"),
    }
    return urlencode(bounds)


def view(microsoft: MicrosoftApp, token: str, query: str = "", *, prefer: str = "") -> Answer:
    return graph_get(microsoft, token, f"/me/calendarView?{span()}{query}", prefer=prefer)


def whole(microsoft: MicrosoftApp, token: str) -> list[Any]:
    found: list[Any] = view(microsoft, token, "&$top=100").json["value"]
    return found


def titled(events: list[Any], title: str) -> Any:
    [found] = [event for event in events if event["subject"] == title]
    return found


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["error"]["code"]


def follow(microsoft: MicrosoftApp, token: str, first: Any, *, prefer: str = "") -> list[Any]:
    pages = [first]
    while "@odata.nextLink" in pages[-1]:
        pages.append(graph_get(microsoft, token, pages[-1]["@odata.nextLink"], prefer=prefer).json)
    return pages


def test_the_week_is_the_same_as_in_the_other_calendar(microsoft: MicrosoftApp, token: str) -> None:
    call_ = titled(whole(microsoft, token), "Pilot kick-off with Northwind")

    answers = {each["emailAddress"]["address"]: each["status"]["response"] for each in call_["attendees"]}
    assert answers == {
        WORK: "organizer",
        "maya.lindqvist@northwind.example": "accepted",
        "henrik.dahl@northwind.example": "declined",
        "elin.berg@northwind.example": "notResponded",
        "fjord@contoso.example": "accepted",
    }
    assert [each["type"] for each in call_["attendees"]].count("resource") == 1
    assert (call_["isOnlineMeeting"], call_["onlineMeeting"]) == (False, None)
    assert "https://us02web.zoom.us/j/85230946712" in call_["body"]["content"]
    world = microsoft.box.world
    ids = {event.uid for event in world.calendars.of(world.accounts.of(Vendor.GOOGLE)[0])}
    assert call_["iCalUId"] in ids


def test_every_kind_of_event_is_there_and_series_are_expanded(microsoft: MicrosoftApp, token: str) -> None:
    events = whole(microsoft, token)

    teams = titled(events, "Security review with Heliotrope")
    assert (teams["isOnlineMeeting"], teams["onlineMeetingProvider"]) == (True, "teamsForBusiness")
    assert teams["onlineMeeting"]["joinUrl"].startswith("https://teams.microsoft.com/l/meetup-join/19%3a")
    cancelled = titled(events, "Canceled: Lunch with Northwind")
    assert (cancelled["isCancelled"], cancelled["showAs"]) == (True, "free")
    fair = titled(events, "Trade fair in Gothenburg")
    assert (fair["isAllDay"], fair["start"]["dateTime"][11:]) == (True, "00:00:00.0000000")
    assert titled(events, "Write the offer")["attendees"] == []
    abroad = titled(events, "Call with Heliotrope, California")
    assert abroad["originalStartTimeZone"] == "Pacific Standard Time"
    assert (abroad["isOrganizer"], abroad["responseStatus"]["response"]) == (False, "accepted")
    assert titled(events, HOSTILE_TITLE)["type"] == "singleInstance"
    kinds = [event["type"] for event in events if event["subject"].startswith("Stand-up")]
    assert sorted(kinds) == ["exception"] + ["occurrence"] * 8
    assert "seriesMaster" not in {event["type"] for event in events}


def test_times_are_utc_without_an_offset_unless_another_zone_is_preferred(
    microsoft: MicrosoftApp, token: str
) -> None:
    def start(prefer: str = "") -> Any:
        answer = view(microsoft, token, "&$top=100", prefer=prefer)
        return titled(answer.json["value"], "Figures for Oliveira Logística")["start"], answer

    plain, _ = start()
    local, answer = start('outlook.timezone="Tokyo Standard Time"')
    iana, _ = start('outlook.timezone="Asia/Tokyo"')

    assert plain["timeZone"] == "UTC"
    assert plain["dateTime"].endswith(":00.0000000")
    assert local["timeZone"] == "Tokyo Standard Time"
    assert iana == {"dateTime": local["dateTime"], "timeZone": "Asia/Tokyo"}
    assert answer.headers["Preference-Applied"] == 'outlook.timezone="Tokyo Standard Time"'
    hours = datetime.fromisoformat(local["dateTime"]) - datetime.fromisoformat(plain["dateTime"])
    assert hours == timedelta(hours=9)


def test_bodies_are_html_unless_text_is_preferred(microsoft: MicrosoftApp, token: str) -> None:
    prefer = 'outlook.timezone="UTC", outlook.body-content-type="text"'
    html = titled(whole(microsoft, token), "Pilot kick-off with Northwind")["body"]
    events = view(microsoft, token, "&$top=100", prefer=prefer).json["value"]
    text = titled(events, "Pilot kick-off with Northwind")["body"]

    assert html["contentType"] == "html"
    assert html["content"].startswith("<html><head></head><body>\r\nAgenda:<br>")
    assert text["contentType"] == "text"
    assert text["content"].startswith("Agenda:\n1. Where we are")


def test_bounds_without_an_offset_mean_utc_whatever_zone_is_preferred(
    microsoft: MicrosoftApp, token: str
) -> None:
    call_ = titled(whole(microsoft, token), "Figures for Oliveira Logística")
    start, end = call_["start"]["dateTime"], call_["end"]["dateTime"]

    def is_found(begin: str, until: str) -> bool:
        query = f"/me/calendarView?startDateTime={quote(begin)}&endDateTime={quote(until)}&$top=50"
        prefer = 'outlook.timezone="Tokyo Standard Time"'
        found = graph_get(microsoft, token, query, prefer=prefer).json["value"]
        return call_["id"] in [event["id"] for event in found]

    assert is_found(start, end)
    assert is_found(f"{start[:19]}+00:00", f"{end[:19]}Z")
    assert not is_found(f"{start[:19]}-09:00", f"{end[:19]}-09:00")


def test_ten_events_are_on_a_page_and_the_links_lead_on(microsoft: MicrosoftApp, token: str) -> None:
    pages = follow(microsoft, token, view(microsoft, token).json)

    ids = [event["id"] for page in pages for event in page["value"]]
    assert [len(page["value"]) for page in pages] == [10, 9]
    assert ids == [event["id"] for event in whole(microsoft, token)]
    assert "startDateTime" not in pages[0]["@odata.nextLink"]


def test_ten_thousand_events_come_in_pages(microsoft: MicrosoftApp, token: str) -> None:
    start = (datetime.now(UTC) + timedelta(days=10)).isoformat()
    body = {"count": 10_000, "start": start, "step_minutes": 1}
    call("POST", microsoft.box.base_url + CALENDAR, json_body=body)
    later = span(days=30)

    pages = follow(microsoft, token, graph_get(microsoft, token, f"/me/calendarView?{later}&$top=1000").json)

    assert [len(page["value"]) for page in pages][:10] == [1000] * 10
    assert len({event["id"] for page in pages for event in page["value"]}) == 10_000 + 19


def test_fields_can_be_chosen_and_the_order_turned(microsoft: MicrosoftApp, token: str) -> None:
    query = "&$select=subject,start,createdDateTime&$orderby=start/dateTime%20desc&$top=3"
    page = view(microsoft, token, query).json

    starts = [event["start"]["dateTime"] for event in page["value"]]
    assert starts == sorted(starts, reverse=True)
    assert set(page["value"][0]) == {"@odata.etag", "id", "subject", "start"}
    [second, *_] = graph_get(microsoft, token, page["@odata.nextLink"]).json["value"]
    assert set(second) == {"@odata.etag", "id", "subject", "start"}
    assert second["start"]["dateTime"] <= starts[-1]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", (400, "ErrorInvalidParameter")),
        ("startDateTime=2026-01-01", (400, "ErrorInvalidParameter")),
        ("startDateTime=soon&endDateTime=later", (400, "ErrorInvalidParameter")),
        (
            "startDateTime=2026-01-02&endDateTime=2026-01-01",
            (400, "ErrorCalendarEndDateIsEarlierThanStartDate"),
        ),
        (f"{ALWAYS}&$orderby=start", (400, "BadRequest")),
        (f"{ALWAYS}&$orderby=start/dateTime%20sideways", (400, "BadRequest")),
        (f"{ALWAYS}&$top=many", (400, "BadRequest")),
        (f"{ALWAYS}&$filter=subject%20eq%20'x'", (400, "ErrorInvalidUrlQueryFilter")),
        (f"{ALWAYS}&$select=colour", (400, "RequestBroker--ParseUri")),
        ("$skiptoken=made-up", (400, "BadRequest")),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(
    microsoft: MicrosoftApp, token: str, query: str, told: tuple[int, str]
) -> None:
    assert refused(graph_get(microsoft, token, f"/me/calendarView?{query}")) == told


def test_an_unknown_time_zone_is_refused(microsoft: MicrosoftApp, token: str) -> None:
    answer = view(microsoft, token, prefer='outlook.timezone="Mars"')

    assert refused(answer) == (400, "TimeZoneNotSupportedException")


def test_a_delta_brings_everything_and_then_what_changed(microsoft: MicrosoftApp, token: str) -> None:
    prefer = "odata.maxpagesize=7"
    first = graph_get(microsoft, token, f"/me/calendarView/delta?{span()}", prefer=prefer).json
    pages = follow(microsoft, token, first, prefer=prefer)
    events = [event for page in pages for event in page["value"]]
    changed, removed, moved = (event["id"].removeprefix("AAMk") for event in events[:3])
    base = microsoft.box.base_url + CALENDAR
    call("PATCH", f"{base}/{changed}", json_body={"title": "Something else"})
    call("PATCH", f"{base}/{removed}", json_body={"status": "removed"})
    call("PATCH", f"{base}/{moved}", json_body={"start": "2020-01-01T10:00Z", "end": "2020-01-01T11:00Z"})

    second = graph_get(microsoft, token, pages[-1]["@odata.deltaLink"]).json
    third = graph_get(microsoft, token, second["@odata.deltaLink"]).json

    assert [len(page["value"]) for page in pages] == [7, 7, 5]
    assert {event["@odata.type"] for event in events} == {"#microsoft.graph.event"}
    assert [(event["id"][4:], event.get("@removed")) for event in second["value"]] == [
        (changed, None),
        (removed, {"reason": "deleted"}),
        (moved, {"reason": "deleted"}),
    ]
    assert second["value"][0]["subject"] == "Something else"
    assert (third["value"], "@odata.nextLink" in third) == ([], False)


def test_a_change_between_two_pages_of_a_delta_is_in_the_next_round(
    microsoft: MicrosoftApp, token: str
) -> None:
    first = graph_get(microsoft, token, f"/me/calendarView/delta?{span()}").json
    changed = first["value"][0]["id"]
    path = f"{microsoft.box.base_url}{CALENDAR}/{changed.removeprefix('AAMk')}"
    call("PATCH", path, json_body={"title": "Changed meanwhile"})

    last = follow(microsoft, token, first)[-1]
    again = graph_get(microsoft, token, last["@odata.deltaLink"]).json

    assert [event["id"] for event in again["value"]] == [changed]


def test_an_expired_delta_token_is_gone(microsoft: MicrosoftApp, token: str) -> None:
    first = graph_get(microsoft, token, f"/me/calendarView/delta?{span()}").json
    link = follow(microsoft, token, first)[-1]["@odata.deltaLink"]
    call("POST", f"{microsoft.box.base_url}{CALENDAR}/expire")

    answer = graph_get(microsoft, token, link)

    assert refused(answer) == (410, "SyncStateNotFound")
    assert answer.json["error"]["message"].startswith("The sync state generation is not found; generation=1;")
    assert refused(graph_get(microsoft, token, "/me/calendarView/delta")) == (400, "ErrorInvalidParameter")
    made_up = graph_get(microsoft, token, "/me/calendarView/delta?$deltatoken=made-up")
    assert refused(made_up) == (400, "BadRequest")


def test_the_calendar_needs_its_permission(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect()["access_token"]

    assert refused(view(microsoft, token)) == (403, "ErrorAccessDenied")
    assert refused(view(microsoft, "made-up")) == (401, "InvalidAuthenticationToken")


def test_a_work_account_needs_its_administrator_and_a_personal_one_does_not(microsoft: MicrosoftApp) -> None:
    scope = "openid profile email offline_access Calendars.Read"
    assert microsoft.authorize(scope=scope).pick(WORK).heading == "Need admin approval"

    token = reading_token(microsoft, "Calendars.Read", email=PERSONAL)
    assert titled(whole(microsoft, token), "Write the offer")["isOrganizer"] is True


def test_the_consent_page_says_what_the_calendar_permission_is(microsoft: MicrosoftApp) -> None:
    page = microsoft.authorize(scope="openid Calendars.Read", login_hint=PERSONAL)

    assert "Read your calendars" in page.text


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("refused_401", (401, "InvalidAuthenticationToken")),
        ("refused_429", (429, "ApplicationThrottled")),
        ("refused_500", (500, "ErrorInternalServerError")),
        ("refused_503", (503, "ErrorServerBusy")),
        ("missing_scope", (403, "ErrorAccessDenied")),
    ],
)
def test_a_fault_strikes_the_calendar_once(
    microsoft: MicrosoftApp, token: str, kind: str, told: tuple[int, str]
) -> None:
    microsoft.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.MICROSOFT, endpoint=Endpoint.CALENDAR))

    answer = view(microsoft, token)
    assert refused(answer) == told
    assert ("Retry-After" in answer.headers) is (told[0] in (429, 503))
    assert view(microsoft, token).status == 200


@pytest.mark.parametrize(("kind", "status"), [("html", 200), ("refused_502", 502), ("refused_504", 504)])
def test_a_fault_can_answer_with_a_web_page(
    microsoft: MicrosoftApp, token: str, kind: str, status: int
) -> None:
    microsoft.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.MICROSOFT, endpoint=Endpoint.CALENDAR))

    answer = view(microsoft, token)

    assert (answer.status, answer.headers["Content-Type"].startswith("text/html")) == (status, True)


def test_an_empty_page_leads_on_in_a_view_and_in_a_delta(microsoft: MicrosoftApp, token: str) -> None:
    for path in ("/me/calendarView", "/me/calendarView/delta"):
        fault = Fault(kind="empty_page", vendor=Vendor.MICROSOFT, endpoint=Endpoint.CALENDAR)
        microsoft.box.world.faults.arm(fault)
        pages = follow(microsoft, token, graph_get(microsoft, token, f"{path}?{span()}").json)
        assert [len(page["value"]) for page in pages] == [0, 10, 9], path


def test_a_fault_lets_a_delta_token_expire(microsoft: MicrosoftApp, token: str) -> None:
    first = graph_get(microsoft, token, f"/me/calendarView/delta?{span()}").json
    link = follow(microsoft, token, first)[-1]["@odata.deltaLink"]
    fault = Fault(kind="sync_token_expired", vendor=Vendor.MICROSOFT, endpoint=Endpoint.CALENDAR)
    microsoft.box.world.faults.arm(fault)

    assert refused(graph_get(microsoft, token, link)) == (410, "SyncStateNotFound")
    assert graph_get(microsoft, token, link).status == 200


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("Calendars.Read", "Read your calendars"),
        ("OnlineMeetings.Read", "Read your online meetings"),
        ("OnlineMeetingTranscript.Read.All", "Read all transcripts of online meetings"),
        ("OnlineMeetingArtifact.Read.All", "Read the attendance and other artifacts of your online meetings"),
    ],
)
def test_an_administrator_is_asked_for_and_reads_what_it_is_about(
    microsoft: MicrosoftApp, scope: str, words: str
) -> None:
    query = {
        "client_id": microsoft.box.environment["MICROSOFT_CLIENT_ID"],
        "redirect_uri": CALLBACK,
        "scope": scope,
    }
    page = call("GET", microsoft.url(f"/organizations/v2.0/adminconsent?{urlencode(query)}"))

    assert microsoft.authorize(scope=f"openid {scope}").pick(WORK).heading == "Need admin approval"
    assert words in page.text
    admin_allows(microsoft, scope)
    assert "code" in microsoft.authorize(scope=f"openid {scope}").pick(WORK).accept().callback
