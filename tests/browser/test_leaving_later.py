"""What a person does with time: undo a send, plan it on their own clock, change their mind, choose how it is."""

import re
from datetime import datetime

import pytest
from playwright.sync_api import Locator, Request, expect

from support.at_the_browser import WORK_GMAIL, AtTheBrowser
from support.browser import PHONE, OpenPage, assert_no_axe_violations
from support.days_to_come import comes_twice, in_month, never_comes
from support.webapp import PASSWORD, RunningApp

SUBJECT = "Thanks for today"
BERLIN = "Europe/Berlin"
WINTER, SUMMER = in_month(2), in_month(6)
EITHER = pytest.mark.parametrize("who", ["alice", "alice_without_script"])
MOST_SECONDS = 30
QUIET_MILLISECONDS = 2500


def handed_over(someone: AtTheBrowser) -> int:
    return len(someone.app.box.world.ledger)


def with_a_draft(
    request: pytest.FixtureRequest, who: str, *, undo_seconds: int = 0, time_zone: str = BERLIN
) -> AtTheBrowser:
    """Alice before a draft, with these settings."""
    alice: AtTheBrowser = request.getfixturevalue(who)
    alice.app.prefer("Alice", time_zone=time_zone, undo_seconds=undo_seconds)
    alice.already(connected=WORK_GMAIL, draft=SUBJECT)
    return alice


def typed(wall: datetime) -> str:
    return wall.isoformat(timespec="minutes")


def said(wall: datetime) -> str:
    return f"{wall:%a} {wall.day} {wall:%b %Y}, {wall:%H:%M}"


def plan(someone: AtTheBrowser, wall: datetime) -> None:
    """Send the draft at that time on the wall."""
    someone.page.get_by_text("Send later").click()
    someone.page.get_by_label("Date and time").fill(typed(wall))
    someone.page.get_by_role("button", name="Send at this time").click()


def seconds_of(timer: Locator) -> int:
    """What the countdown shows."""
    found = re.search(r"\d+", timer.inner_text())
    return int(found[0]) if found else 0


@EITHER
def test_a_click_on_send_is_undone_and_the_draft_is_open_again(
    who: str, request: pytest.FixtureRequest
) -> None:
    alice = with_a_draft(request, who, undo_seconds=MOST_SECONDS)
    draft = alice.page.url
    alice.send()
    expect(alice.page.get_by_role("timer")).to_have_text(re.compile(r"Sending in \d+ s"))
    alice.page.get_by_role("button", name="Undo", exact=True).click()

    expect(alice.notice).to_contain_text("Undone. Nothing was sent")
    assert alice.page.url == draft
    alice.app.prefer("Alice", undo_seconds=0)
    alice.page.get_by_label("Subject").fill("Thanks again")
    alice.send()
    alice.see_it_become("Sent")
    assert handed_over(alice) == 1


def test_the_page_counts_down_without_asking_and_moves_on_by_itself(alice: AtTheBrowser) -> None:
    alice.app.prefer("Alice", undo_seconds=10)
    alice.already(connected=WORK_GMAIL, draft=SUBJECT)
    asked: list[str] = []
    loaded: list[str] = []

    def note(request: Request) -> None:
        if "/static/" not in request.url:
            (loaded if request.is_navigation_request() else asked).append(request.url)

    alice.send()
    alice.page.on("request", note)
    shown = alice.page.get_by_role("timer")
    first = seconds_of(shown)
    while seconds_of(shown) > first - 2:
        alice.page.wait_for_timeout(100)
    assert (loaded, asked) == ([], [])
    expect(alice.state).to_have_text("Sent", timeout=1000 * MOST_SECONDS)
    assert loaded == []
    assert handed_over(alice) == 1


def test_who_looks_at_the_list_can_undo_there(alice: AtTheBrowser) -> None:
    alice.app.prefer("Alice", undo_seconds=MOST_SECONDS)
    alice.already(connected=WORK_GMAIL, draft=SUBJECT)
    alice.send()
    alice.open("/sends")
    line = alice.page.get_by_role("listitem").filter(has_text=SUBJECT)
    undo = line.get_by_role("button", name=f"Undo sending {SUBJECT}")
    undo.focus()
    with alice.page.expect_request(re.compile("/line$")):  # the line asks how things stand
        pass
    alice.page.wait_for_timeout(QUIET_MILLISECONDS)
    expect(undo).to_be_focused()
    undo.press("Enter")
    expect(alice.notice).to_contain_text("Undone.")
    assert handed_over(alice) == 0


@EITHER
def test_a_planned_send_waits_shows_its_time_and_is_cancelled(
    who: str, request: pytest.FixtureRequest
) -> None:
    alice = with_a_draft(request, who)
    plan(alice, WINTER)

    alice.see_it_become("Waiting")
    expect(alice.page.get_by_text(f"Leaves {said(WINTER)} CET (UTC+1).")).to_be_visible()
    alice.page.get_by_role("button", name="Cancel this send").click()
    expect(alice.notice).to_have_text("Cancelled. The message was not sent.")
    expect(alice.state).to_have_text("Cancelled")
    assert handed_over(alice) == 0


@EITHER
def test_a_suggested_time_is_one_press_and_changed_with_another(
    who: str, request: pytest.FixtureRequest
) -> None:
    alice = with_a_draft(request, who)
    alice.page.get_by_text("Send later").click()
    suggested = alice.page.get_by_role("button", name=re.compile("morning|afternoon"))
    days = suggested.all_inner_texts()
    suggested.last.click()
    alice.see_it_become("Waiting")
    shown = alice.page.locator(".leaves")
    assert re.search(r"\d\d:00", days[-1])[0] in shown.inner_text()  # type: ignore[index]

    alice.page.get_by_role("link", name="Change the time").click()
    alice.page.get_by_label("Date and time").fill(typed(SUMMER))
    alice.page.get_by_role("button", name="Change the time").click()
    expect(alice.notice).to_have_text("The time is changed.")
    expect(shown).to_have_text(f"Leaves {said(SUMMER)} CEST (UTC+2).")

    alice.page.get_by_role("button", name="Send now").click()
    expect(alice.notice).to_have_text("It leaves now.")
    alice.see_it_become("Sent")
    assert handed_over(alice) == 1


@EITHER
def test_a_time_that_the_clocks_leave_out_is_refused_and_what_was_typed_stays(
    who: str, request: pytest.FixtureRequest
) -> None:
    where, wall = never_comes()
    alice = with_a_draft(request, who, time_zone=where)
    plan(alice, wall)

    expect(alice.page.locator("#send_at-fault")).to_contain_text("the clocks go forward")
    expect(alice.page.get_by_label("Date and time")).to_have_value(typed(wall))
    assert handed_over(alice) == 0


def test_of_a_time_that_comes_twice_the_first_is_taken_and_said(alice: AtTheBrowser) -> None:
    where, wall = comes_twice()
    alice.app.prefer("Alice", time_zone=where)
    alice.already(connected=WORK_GMAIL, draft=SUBJECT)
    plan(alice, wall)
    expect(alice.notice).to_contain_text("this time comes twice. The first is taken: 02:30")


@EITHER
def test_enter_in_a_field_saves_and_sends_nothing(who: str, request: pytest.FixtureRequest) -> None:
    alice = with_a_draft(request, who)
    alice.page.get_by_label("Subject").fill("Changed")
    alice.page.get_by_label("Subject").press("Enter")
    expect(alice.notice).to_have_text("Saved.")
    assert alice.app.do(alice.app.app.services.sending.list(alice.visitor.id)).items == []


def test_the_zone_comes_from_the_browser_at_the_first_sign_in_and_is_changed_in_the_settings(
    web: RunningApp, open_page: OpenPage
) -> None:
    signing_in = web.app.services.signing_in
    web.do(signing_in.add(email="nora@example.com", name="Nora", password=PASSWORD, is_admin=False))
    page = open_page(time_zone="Asia/Tokyo")
    page.goto(f"{web.base_url}/sign-in")
    page.get_by_label("Email").fill("nora@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{web.base_url}/settings/account")
    zone = page.get_by_label("Your time zone")
    expect(zone).to_have_value("Asia/Tokyo")
    expect(page.get_by_label("Time to undo a send")).to_have_value("10")
    take = page.get_by_role("button", name="Take this browser's")
    expect(take).to_be_hidden()

    zone.fill("Atlantis")
    page.get_by_label("Time to undo a send").select_option("20 seconds")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#time_zone-fault")).to_contain_text("no such time zone")
    expect(zone).to_have_value("Atlantis")
    expect(page.get_by_label("Time to undo a send")).to_have_value("20")
    zone.fill("sao paulo")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("section.notice")).to_contain_text("Saved.")
    expect(zone).to_have_value("America/Sao_Paulo")

    expect(take).to_have_text("Take this browser's, Asia/Tokyo")
    take.click()
    expect(zone).to_have_value("Asia/Tokyo")


def test_axe_finds_nothing_while_a_send_waits_in_light_and_in_the_dark_on_a_phone(
    alice: AtTheBrowser, open_page: OpenPage
) -> None:
    alice.app.prefer("Alice", time_zone=BERLIN, undo_seconds=MOST_SECONDS)
    alice.already(connected=WORK_GMAIL, draft=SUBJECT)
    alice.send()
    undoable = alice.page.url
    alice.already(draft="Planned")
    plan(alice, WINTER)
    planned = alice.page.url
    phone = AtTheBrowser(open_page(viewport=PHONE, colour_scheme="dark"), alice.app, visitor=alice.visitor)
    for address in (undoable, planned, f"{planned}/time", f"{alice.app.base_url}/sends"):
        for page in (alice.page, phone.page):
            page.goto(address)
            assert_no_axe_violations(page)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), address
