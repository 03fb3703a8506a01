import html
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from replysequence.sandbox.week import HOSTILE_TITLE
from support.google_app import WORKSPACE, GoogleApp
from support.meetings_app import control
from support.plain_http import Answer, call

WEEK = f"/calendars/google/{WORKSPACE}"


def get(app: GoogleApp, path: str) -> Answer:
    return call("GET", app.box.base_url + path)


def weeks(app: GoogleApp) -> str:
    """The week before, this one and the next: the seeded days lie in them, whatever day it is."""
    return "".join(get(app, f"{WEEK}?week={n}").text for n in (-1, 0, 1))


def test_the_front_page_leads_to_the_calendars_and_they_to_the_weeks(app: GoogleApp) -> None:
    assert 'href="/calendars"' in get(app, "/").text

    page = get(app, "/calendars").text

    assert f'href="/calendars/google/{quote(WORKSPACE)}"' in page
    assert 'href="/calendars/microsoft/dana.reyes%40contoso.example"' in page
    assert "Google Calendar" in page
    assert 'href="/meetings/kick-off"' in page
    assert "Pipeline review" in page


def test_a_week_shows_its_events_and_links_its_guests_to_their_mailboxes(app: GoogleApp) -> None:
    page = weeks(app)

    assert "Pilot kick-off with Northwind" in page
    assert "Fjord (8)</a>" not in page
    assert 'href="/mailbox/maya.lindqvist%40northwind.example"' in page
    assert "does not come" in page
    assert "has not answered" in page
    assert "<s>Lunch with Northwind</s>" in page
    assert "all day" in page
    assert "Stand-up (moved)" in page
    assert '<span class="tag">today</span>' in page
    assert "Nothing." in get(app, f"{WEEK}?week=9").text


def test_a_hostile_title_is_shown_as_text(app: GoogleApp) -> None:
    page = weeks(app)

    assert "<script" not in page
    assert "&lt;script&gt;alert(&#34;title&#34;)" in page
    assert HOSTILE_TITLE[:40] in html.unescape(page)
    assert "<img src=x" not in page


def test_a_call_shows_who_was_there_what_was_noted_and_what_was_said(app: GoogleApp) -> None:
    page = html.unescape(get(app, "/meetings/kick-off").text)

    assert 'href="/mailbox/elin.berg%40northwind.example"' in page
    assert "Northwind wants to try the product" in page
    assert "Maya sends the list of people who take part." in page
    assert "We have two teams in Malmö" in page
    assert "/pQ7vRk2TzaXm0dL//eWbg==" in page


def test_a_call_says_when_its_notes_come(app: GoogleApp) -> None:
    end = datetime.now(UTC) - timedelta(minutes=1)
    event = {
        "title": "Demo",
        "start": (end - timedelta(minutes=30)).isoformat(),
        "end": end.isoformat(),
        "platform": "zoom",
        "joined": [],
        "notes": {"overview": "A secret for five minutes."},
    }
    [made] = control(app, "POST", WEEK, {"events": [event]}).json["ids"]

    early = get(app, f"/meetings/{made}").text
    app.box.world.clock.advance(300)
    late = get(app, f"/meetings/{made}").text

    assert ("come at" in early, "secret" in early) == (True, False)
    assert ("come at" in late, "secret" in late) == (False, True)
    assert "not yet held" in get(app, "/meetings/next-steps").text


@pytest.mark.parametrize(
    "path",
    [
        "/meetings/none",
        "/calendars/google/nobody@nowhere.example",
        "/calendars/yahoo/nobody@nowhere.example",
        f"{WEEK}?week=soon",
        f"{WEEK}?week=99999999",
    ],
)
def test_what_is_not_there_is_not_found(app: GoogleApp, path: str) -> None:
    assert get(app, path).status == 404


def test_the_fault_page_offers_what_can_go_wrong_with_calendars_and_calls(app: GoogleApp) -> None:
    page = get(app, "/faults").text

    assert "Google says that the sync token is no longer valid" in page
    assert "Microsoft says that a permission is missing" in page
    assert "Zoom answers a page with nothing on it" in page
