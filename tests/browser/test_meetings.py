"""From a finished meeting to the mail of its follow-up, at a real browser: two clicks."""

import pytest
from playwright.sync_api import Locator, Page, expect

from support.at_the_browser import WORK_GMAIL, AtTheBrowser

MAYA = "maya.lindqvist@northwind.example"
KICK_OFF = "Pilot kick-off with Northwind"


def connect_calendar(someone: AtTheBrowser) -> None:
    someone.begin("Google Calendar")
    someone.consent_at_google(WORK_GMAIL)
    expect(someone.notice).to_contain_text(f"{WORK_GMAIL} is connected. Your meetings appear")


def connect_zoom(someone: AtTheBrowser) -> None:
    someone.begin("Zoom")
    someone.page.get_by_role("button", name=WORK_GMAIL).click()
    someone.page.get_by_role("button", name="Allow").click()
    expect(someone.notice).to_contain_text(f"{WORK_GMAIL} is connected")


def line(page: Page, title: str) -> Locator:
    return page.get_by_role("listitem").filter(has=page.get_by_text(title, exact=True)).first


def see_meetings(someone: AtTheBrowser) -> Page:
    """The first page, once everything was read."""
    page = someone.open("/")
    for _ in range(100):
        if not page.get_by_role("status").filter(has_text="Reading your calendars").count():
            break
        page.wait_for_timeout(200)
        page.reload()
    return page


@pytest.mark.parametrize("who", ["alice", "alice_without_script"])
def test_two_clicks_lead_from_a_finished_meeting_to_the_mail(
    request: pytest.FixtureRequest, *, who: str
) -> None:
    alice: AtTheBrowser = request.getfixturevalue(who)
    alice.already(connected=WORK_GMAIL)
    connect_calendar(alice)
    connect_zoom(alice)

    page = see_meetings(alice)
    kick_off = line(page, KICK_OFF)
    expect(kick_off).to_contain_text("45 min")
    expect(kick_off).to_contain_text("Google Calendar, Zoom")
    expect(kick_off).to_contain_text("Maya Lindqvist came")
    expect(kick_off).to_contain_text("Elin Berg came")
    expect(kick_off).to_contain_text("Henrik Dahl declined")
    expect(kick_off).not_to_contain_text("Fjord")
    expect(kick_off).to_contain_text("Summary")
    expect(kick_off).to_contain_text("Recording")
    expect(page.get_by_text(KICK_OFF, exact=True)).to_have_count(1)

    kick_off.get_by_role("button", name="Start follow-up").click()
    expect(page.get_by_role("heading", name=KICK_OFF)).to_be_visible()
    expect(alice.preview.locator("body")).to_contain_text("Hi Maya and Elin,")
    expect(alice.preview.locator("body")).to_contain_text("two teams in Malmö")
    expect(alice.preview.get_by_role("listitem").first).to_have_text(
        "Dana sets up the pilot for the two teams by Friday."
    )
    expect(alice.checks).to_contain_text("Ready to send.")
    alice.send()
    alice.see_it_become("Sent")

    page = see_meetings(alice)
    expect(line(page, KICK_OFF).get_by_role("link", name="Sent")).to_be_visible()
    fields = alice.outside_mail(mailbox=MAYA, subject=KICK_OFF)
    assert fields["From"] == f"Dana Reyes <{WORK_GMAIL}>"
    assert (
        " ".join(fields["To"].split()) == f"Maya Lindqvist <{MAYA}>, Elin Berg <elin.berg@northwind.example>"
    )


def test_a_template_is_written_and_seen_as_it_will_be(alice: AtTheBrowser) -> None:
    page = alice.open("/settings/templates/new")
    preview = page.frame_locator("iframe[title='Preview of the template']")
    expect(preview.locator("body")).to_contain_text("Hi Maya,")
    page.get_by_label("Subject").fill("{{ company }} – next steps")

    expect(preview.locator("p.subject")).to_have_text("Northwind – next steps")
    page.get_by_role("button", name="Save template").click()
    expect(alice.notice).to_have_text("The template is saved.")
    expect(page.get_by_role("listitem").filter(has_text="next steps")).to_contain_text("Default")


def test_a_template_is_previewed_without_script(alice_without_script: AtTheBrowser) -> None:
    page = alice_without_script.open("/settings/templates/new")
    page.get_by_label("Subject").fill("{{ price }}")
    page.get_by_role("button", name="Preview").click()
    preview = page.frame_locator("iframe[title='Preview of the template']")
    expect(preview.locator("body")).to_contain_text("There is no field called price.")

    page.get_by_label("Subject").fill("{{ meeting_title }}")
    page.get_by_role("button", name="Preview").click()
    expect(preview.locator("p.subject")).to_have_text("Pilot kick-off")
