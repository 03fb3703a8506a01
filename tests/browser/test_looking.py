"""Letting ReplySequence look whether an unclear mail left, at a real browser: asked apart, found, and taken back."""

import pytest
from playwright.sync_api import expect

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from support.at_the_browser import SEND_BOX, WORK_GMAIL, AtTheBrowser
from support.browser import assert_no_axe_violations

LOOK_BOX = "View your email message metadata, but not the email body"


def send_into_the_unknown(someone: AtTheBrowser, *, left: bool) -> str:
    """Send; the connection breaks before an answer comes. The address of the send's page."""
    someone.already(connected=WORK_GMAIL, draft="Thanks for today")
    kind = "close_after_acceptance" if left else "close_before_acceptance"
    someone.app.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.GOOGLE))
    someone.send()
    someone.see_it_become("Unknown")
    return someone.page.url


def allow(someone: AtTheBrowser, *, untick: str | None = None) -> None:
    """From the page of an unknown send to Google and back."""
    someone.page.get_by_role("link", name="See what it asks for").click()
    asks = someone.page.get_by_text("restricted permissions")
    expect(asks).to_be_visible()  # the link opens what it points to
    assert_no_axe_violations(someone.page)
    someone.page.get_by_role("link", name="Allow it at Gmail").click()
    expect(someone.page.get_by_label(SEND_BOX)).to_be_checked()
    if untick:
        someone.page.get_by_label(untick).uncheck()
    someone.page.get_by_role("button", name="Continue").click()


@pytest.mark.parametrize("who", ["alice", "alice_without_script"])
def test_what_left_is_found_once_its_owner_lets_us_look(who: str, request: pytest.FixtureRequest) -> None:
    alice: AtTheBrowser = request.getfixturevalue(who)
    send = send_into_the_unknown(alice, left=True)
    alice.page.get_by_role("link", name="See what it asks for").click()
    alice.page.get_by_role("link", name="Allow it at Gmail").click()
    alice.page.get_by_role("button", name="Continue").click()
    expect(alice.notice).to_contain_text(f"ReplySequence now looks for it in {WORK_GMAIL}")

    alice.page.goto(send)
    alice.page.get_by_role("button", name="Look now").click()

    expect(alice.notice).to_have_text("It is there: the message was sent.")
    alice.see_it_become("Sent, confirmed later")
    assert len(alice.app.box.world.ledger) == 1


def test_what_is_not_there_stays_unknown(alice: AtTheBrowser) -> None:
    send = send_into_the_unknown(alice, left=False)
    allow(alice)
    alice.page.goto(send)
    alice.page.get_by_role("button", name="Look now").click()

    expect(alice.notice).to_contain_text("It is not in your Sent folder yet")
    alice.see_it_become("Unknown")
    expect(alice.page.get_by_text("The next look is due")).to_be_visible()
    expect(alice.page.get_by_role("button", name="It is not there – send again")).to_be_visible()
    assert_no_axe_violations(alice.page)
    assert len(alice.app.box.world.ledger) == 0


def test_who_unticks_the_box_goes_on_sending(alice: AtTheBrowser) -> None:
    send_into_the_unknown(alice, left=True)
    allow(alice, untick=LOOK_BOX)

    expect(alice.notice).to_contain_text(f"Messages from {WORK_GMAIL} leave as before")
    expect(alice.connection(WORK_GMAIL)).to_contain_text("Connected")
    expect(alice.connection(WORK_GMAIL)).to_contain_text("Let ReplySequence look")


def test_looking_is_stopped_again(alice: AtTheBrowser) -> None:
    send = send_into_the_unknown(alice, left=True)
    allow(alice)
    alice.connection(WORK_GMAIL).get_by_role("button", name="Stop looking").click()

    expect(alice.notice).to_contain_text(f"no longer looks in {WORK_GMAIL}")
    alice.page.goto(send)
    expect(alice.page.get_by_role("link", name="See what it asks for")).to_be_visible()
