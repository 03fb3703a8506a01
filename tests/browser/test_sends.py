"""What a person sees of a send: it moves by itself, an unknown one is settled by hand, nothing leaves twice."""

from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Request, expect

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from support.at_the_browser import WORK_GMAIL, AtTheBrowser
from support.browser import OpenPage

SUBJECT = "Thanks for today"
QUIET_MILLISECONDS = 2500
"""Longer than the time between two questions of a page that looks on."""
LATENCY_SECONDS = 6.0
"""Long enough for a page to be loaded and looked at while the provider thinks, also on a busy machine."""


def handed_over(someone: AtTheBrowser) -> int:
    """How often the providers accepted something."""
    return len(someone.app.box.world.ledger)


def send_into_the_unknown(someone: AtTheBrowser) -> None:
    """Send; Google takes the message and answers with an error."""
    someone.already(connected=WORK_GMAIL, draft=SUBJECT)
    someone.app.box.world.faults.arm(Fault(kind="error_500_after_acceptance", vendor=Vendor.GOOGLE))
    someone.send()
    someone.see_it_become("Unknown")


@pytest.fixture
def unknown(alice: AtTheBrowser) -> AtTheBrowser:
    """Alice before a send whose outcome nobody can know."""
    send_into_the_unknown(alice)
    return alice


def test_an_unknown_send_is_explained_and_stays_unknown(unknown: AtTheBrowser) -> None:
    page = unknown.page
    expect(page.get_by_text("It may or may not have been sent.")).to_be_visible()
    expect(page.get_by_text("We never send it again by ourselves")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="May have left")).to_contain_text("500")

    page.wait_for_timeout(QUIET_MILLISECONDS)
    unknown.open("/sends?show=unknown")
    expect(page.get_by_role("listitem").filter(has_text=SUBJECT)).to_contain_text("Unknown")
    assert handed_over(unknown) == 1


def test_the_link_at_an_unknown_send_shows_what_lies_in_the_sent_folder(unknown: AtTheBrowser) -> None:
    with unknown.page.expect_popup() as opened:
        unknown.page.get_by_role("link", name="Open your Sent folder at this subject").click()

    expect(opened.value.get_by_text(SUBJECT)).to_be_visible()


def test_it_is_there(unknown: AtTheBrowser) -> None:
    unknown.page.get_by_role("button", name="It is there").click()

    unknown.see_it_become("Sent, confirmed later")
    expect(unknown.page.get_by_role("region", name="What happened")).to_contain_text("By hand")
    assert handed_over(unknown) == 1


def test_it_is_not_there_leave_it(unknown: AtTheBrowser) -> None:
    unknown.page.get_by_role("button", name="It is not there, leave it").click()

    unknown.see_it_become("Not sent, confirmed later")
    assert handed_over(unknown) == 1


@pytest.mark.parametrize("who", ["alice", "alice_without_script"])
def test_it_is_not_there_send_again_makes_a_new_send_that_names_the_earlier_one(
    who: str, request: pytest.FixtureRequest
) -> None:
    alice: AtTheBrowser = request.getfixturevalue(who)
    send_into_the_unknown(alice)
    first = alice.page.url
    alice.page.get_by_role("button", name="It is not there – send again").click()

    expect(alice.notice).to_contain_text("This is the new send.")
    alice.see_it_become("Sent")
    assert alice.page.url != first
    alice.page.get_by_role("link", name="an earlier send").click()
    alice.see_it_become("Not sent, confirmed later")
    assert alice.page.url == first
    assert len({entry.send_id for entry in alice.app.box.world.ledger}) == handed_over(alice) == 2


def test_a_send_moves_on_the_page_without_a_reload_and_then_is_left_alone(alice: AtTheBrowser) -> None:
    alice.already(connected=WORK_GMAIL, draft=SUBJECT)
    alice.app.box.world.settings[Vendor.GOOGLE].send_latency_seconds = LATENCY_SECONDS
    loaded: list[str] = []
    asked: list[str] = []

    def note(request: Request) -> None:
        (loaded if request.is_navigation_request() else asked).append(request.url)

    alice.send()
    expect(alice.state).to_have_text("Sending")
    alice.page.on("request", note)
    expect(alice.state).to_have_text("Sent")
    assert any(url.endswith("/progress") for url in asked)

    asked.clear()
    alice.page.wait_for_timeout(QUIET_MILLISECONDS)
    assert (loaded, asked) == ([], [])


def test_the_list_of_sends_moves_too(alice: AtTheBrowser) -> None:
    alice.already(connected=WORK_GMAIL, draft=SUBJECT)
    alice.app.box.world.settings[Vendor.GOOGLE].send_latency_seconds = LATENCY_SECONDS
    alice.send()
    alice.open("/sends")
    line = alice.page.get_by_role("listitem").filter(has_text=SUBJECT)

    expect(line.get_by_text("Sending", exact=True)).to_be_visible()
    expect(line.get_by_text("Sent", exact=True)).to_be_visible()


def test_a_double_click_sends_once(alice: AtTheBrowser) -> None:
    alice.already(connected=WORK_GMAIL, draft=SUBJECT)
    alice.page.get_by_role("button", name="Send", exact=True).dblclick()

    alice.see_it_become("Sent")
    assert handed_over(alice) == 1


@pytest.mark.parametrize("who", ["alice", "alice_without_script"])
def test_back_and_send_again_is_still_one_mail(who: str, request: pytest.FixtureRequest) -> None:
    alice: AtTheBrowser = request.getfixturevalue(who)
    alice.already(connected=WORK_GMAIL, draft=SUBJECT)
    draft, button = alice.page.url, alice.page.get_by_role("button", name="Send", exact=True)
    form = alice.page.locator("#draft").evaluate(
        "form => new URLSearchParams(new FormData(form, form.querySelector('[value=send]'))).toString()"
    )
    alice.send()
    alice.see_it_become("Sent")
    first = alice.page.url

    while alice.page.url != draft:
        alice.page.go_back()
    if button.is_visible():
        button.click()
        alice.page.wait_for_url(first)
    # A page that the browser kept as it was sends the very same form.
    answer = alice.visitor("POST", draft.removeprefix(alice.app.base_url), form=dict(parse_qsl(form)))
    assert answer.headers["Location"] == first.removeprefix(alice.app.base_url)
    assert handed_over(alice) == 1


def test_nothing_of_a_send_is_shown_to_somebody_else(alice: AtTheBrowser, open_page: OpenPage) -> None:
    alice.already(connected=WORK_GMAIL, draft=SUBJECT)
    alice.send()
    bob = AtTheBrowser(open_page(), alice.app, visitor=alice.app.browser("Bob"))
    bob.page.goto(alice.page.url)

    expect(bob.page.get_by_role("heading", name="Nothing here")).to_be_visible()
    assert SUBJECT not in bob.page.content()
    assert WORK_GMAIL not in bob.page.content()
