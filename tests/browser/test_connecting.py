"""Connecting, reconnecting and disconnecting an account at a real browser, and every way in which it goes wrong."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from support.at_the_browser import (
    LOCKED_OUTLOOK,
    OUTLOOK,
    PRIVATE_GMAIL,
    SEND_BOX,
    WORK_GMAIL,
    AtTheBrowser,
)
from support.browser import OpenPage


def connected_accounts(someone: AtTheBrowser) -> list[str]:
    """Addresses of everything that is connected, as the settings page shows them."""
    someone.open("/settings/integrations")
    return [row.inner_text().split()[0] for row in someone.page.locator("li.connection .title").all()]


def senders(someone: AtTheBrowser) -> list[str]:
    """From which accounts sends left; the mail about a broken account is none."""
    return [entry.account for entry in someone.app.box.world.ledger if entry.send_id]


def link_to_forward(someone: AtTheBrowser) -> str:
    """The administrator's link in the text that the notice offers."""
    letter = someone.notice.get_by_label("Text for your IT department").input_value()
    [link] = re.findall(r"https?://\S+", letter)
    return str(link)


@pytest.fixture
def with_broken_gmail(alice: AtTheBrowser) -> AtTheBrowser:
    """Alice, whose access was removed at Google after she had connected; one send waits."""
    alice.already(connected=WORK_GMAIL, draft="Waits for the account")
    act(alice.app.box.world, alice.google_account(), "remove_access")
    alice.send()
    alice.see_it_become("Waiting")
    return alice


def test_an_unticked_box_is_named_and_trying_again_helps(alice: AtTheBrowser) -> None:
    alice.begin("Gmail")
    alice.consent_at_google(WORK_GMAIL, untick=[SEND_BOX])

    expect(alice.notice.get_by_role("heading")).to_have_text("One box was left un-ticked")
    expect(alice.notice).to_contain_text(SEND_BOX)
    assert connected_accounts(alice) == []

    alice.begin("Gmail")
    alice.consent_at_google(WORK_GMAIL, untick=[SEND_BOX])
    alice.notice.get_by_role("link", name="Try again").click()
    alice.consent_at_google(WORK_GMAIL)

    expect(alice.notice).to_contain_text(f"{WORK_GMAIL} is connected")
    assert connected_accounts(alice) == [WORK_GMAIL]


def test_cancel_at_the_provider_connects_nothing(alice: AtTheBrowser) -> None:
    alice.begin("Gmail")
    alice.page.get_by_role("button", name=WORK_GMAIL).click()
    alice.page.get_by_role("button", name="Cancel").click()

    expect(alice.notice.get_by_role("heading")).to_have_text("Nothing was connected")
    alice.notice.get_by_role("link", name="Try again").click()
    expect(alice.page.get_by_role("heading", name="Choose an account")).to_be_visible()
    assert connected_accounts(alice) == []


def test_an_administrators_approval_is_explained_with_a_link_to_forward(alice: AtTheBrowser) -> None:
    outlook = alice.app.box.world.accounts.at(Vendor.MICROSOFT, LOCKED_OUTLOOK)
    outlook.switch({"at_consent": "admin_approval_reported"})
    alice.begin("Outlook")
    alice.page.get_by_role("button", name=LOCKED_OUTLOOK).click()

    expect(alice.notice.get_by_role("heading")).to_have_text(
        "Your IT administrator has to approve this first"
    )
    expect(alice.notice).to_contain_text("Microsoft's own number for this: 90094")
    alice.page.goto(link_to_forward(alice))
    expect(alice.page.get_by_role("heading", name="Permissions requested")).to_be_visible()
    assert connected_accounts(alice) == []


def test_a_return_from_need_admin_approval_without_a_reason_tells_both_possibilities(
    alice: AtTheBrowser,
) -> None:
    alice.begin("Outlook")
    alice.page.get_by_role("button", name=LOCKED_OUTLOOK).click()
    expect(alice.page.get_by_role("heading", name="Need admin approval")).to_be_visible()
    alice.page.get_by_role("button", name="Return to the application").click()

    expect(alice.notice).to_contain_text("Either you cancelled")
    expect(alice.notice).to_contain_text("an administrator has to approve")
    assert "adminconsent" in link_to_forward(alice)
    assert connected_accounts(alice) == []


def test_after_the_administrators_approval_the_account_connects(
    alice: AtTheBrowser, open_page: OpenPage
) -> None:
    alice.begin("Outlook")
    alice.page.get_by_role("button", name=LOCKED_OUTLOOK).click()
    alice.page.get_by_role("button", name="Return to the application").click()

    administrator = open_page()
    administrator.goto(link_to_forward(alice))
    administrator.get_by_label("You administer").select_option(label="lockdown.example")
    administrator.get_by_role("button", name="Accept").click()
    expect(administrator.get_by_text("nothing is left to do here")).to_be_visible()

    alice.begin("Outlook")
    alice.page.get_by_role("button", name=LOCKED_OUTLOOK).click()
    expect(alice.notice).to_contain_text(f"{LOCKED_OUTLOOK} is connected")


def test_a_provider_page_that_never_returns_leaves_nothing_behind(alice: AtTheBrowser) -> None:
    alice.google_account().switch({"at_consent": "admin_policy_enforced"})
    alice.begin("Gmail")
    alice.page.get_by_role("button", name=WORK_GMAIL).click()
    expect(alice.page.get_by_role("heading", name="Access blocked")).to_be_visible()

    alice.open("/settings/integrations")
    expect(alice.card("Gmail")).to_contain_text("Not connected")
    alice.connect_gmail(PRIVATE_GMAIL)


def test_connecting_again_lets_go_what_waited(with_broken_gmail: AtTheBrowser) -> None:
    alice = with_broken_gmail
    waiting = alice.page.url
    alice.page.get_by_role("link", name="Go to your accounts").click()
    row = alice.connection(WORK_GMAIL)
    expect(row).to_contain_text("Needs reconnecting")
    expect(row).to_contain_text("Messages from this address wait")
    assert senders(alice) == []

    row.get_by_role("link", name="Reconnect").click()
    alice.page.get_by_role("button", name="Continue").click()

    expect(alice.notice).to_contain_text("1 message that waited goes out now")
    alice.page.goto(waiting)
    alice.see_it_become("Sent")
    assert senders(alice) == [WORK_GMAIL]


def test_the_wrong_account_at_a_reconnect_is_told_with_both_addresses(
    with_broken_gmail: AtTheBrowser,
) -> None:
    alice = with_broken_gmail
    waiting = alice.page.url
    alice.open("/settings/integrations")
    alice.connection(WORK_GMAIL).get_by_role("link", name="Reconnect").click()
    # Google offers the account that we hint at; the person chooses another one there.
    alice.page.goto(re.sub(r"&login_hint=[^&]+", "", alice.page.url))
    alice.consent_at_google(PRIVATE_GMAIL)

    expect(alice.notice.get_by_role("heading")).to_have_text("That was another account")
    expect(alice.notice).to_contain_text(WORK_GMAIL)
    expect(alice.notice).to_contain_text(PRIVATE_GMAIL)
    expect(alice.connection(WORK_GMAIL)).to_contain_text("Needs reconnecting")
    alice.page.goto(waiting)
    expect(alice.state).to_have_text("Waiting")
    assert senders(alice) == []


def test_of_two_accounts_the_default_is_the_senders_unless_the_draft_says_otherwise(
    alice: AtTheBrowser,
) -> None:
    alice.already(connected=WORK_GMAIL)
    alice.connect_gmail(PRIVATE_GMAIL)
    expect(alice.connection(WORK_GMAIL)).to_contain_text("Default")
    alice.connection(PRIVATE_GMAIL).get_by_role("button", name="Make default").click()
    expect(alice.notice).to_contain_text(f"New drafts now leave from {PRIVATE_GMAIL}")
    expect(alice.connection(PRIVATE_GMAIL)).to_contain_text("Default")
    expect(alice.connection(WORK_GMAIL)).not_to_contain_text("Default")

    alice.already(draft="From the default")
    expect(alice.checks).to_contain_text(PRIVATE_GMAIL)
    alice.page.get_by_label("From", exact=True).select_option(label=WORK_GMAIL)
    alice.send()
    alice.see_it_become("Sent")

    assert senders(alice) == [WORK_GMAIL]


def test_disconnecting_says_what_happens_and_keeps_what_waits(with_broken_gmail: AtTheBrowser) -> None:
    alice = with_broken_gmail
    waiting = alice.page.url
    alice.open("/settings/integrations")
    alice.connection(WORK_GMAIL).get_by_role("link", name="Disconnect").click()
    expect(alice.page.get_by_role("heading", name=f"Disconnect {WORK_GMAIL}?")).to_be_visible()
    expect(alice.page.get_by_text("1 message from this address has not left yet.")).to_be_visible()

    alice.page.get_by_role("link", name="Keep it").click()
    assert connected_accounts(alice) == [WORK_GMAIL]
    alice.connection(WORK_GMAIL).get_by_role("link", name="Disconnect").click()
    alice.page.get_by_role("button", name="Disconnect").click()

    expect(alice.notice).to_contain_text(f"{WORK_GMAIL} is disconnected")
    assert connected_accounts(alice) == []
    alice.page.goto(waiting)
    expect(alice.state).to_have_text("Waiting")
    expect(alice.page.get_by_text(f"{WORK_GMAIL} was disconnected")).to_be_visible()
    assert senders(alice) == []


def test_disconnecting_takes_the_permission_back_at_google(alice: AtTheBrowser) -> None:
    alice.already(connected=WORK_GMAIL)
    alice.open("/settings/integrations")
    alice.connection(WORK_GMAIL).get_by_role("link", name="Disconnect").click()
    expect(alice.page.get_by_text("No message is on its way from it.")).to_be_visible()
    alice.page.get_by_role("button", name="Disconnect").click()

    expect(alice.notice).to_contain_text("Gmail took the permission back")
    expect(alice.card("Gmail")).to_contain_text("Not connected")


def test_disconnecting_outlook_shows_where_the_person_removes_the_permission(alice: AtTheBrowser) -> None:
    alice.connect_outlook()
    alice.connection(OUTLOOK).get_by_role("link", name="Disconnect").click()
    alice.page.get_by_role("button", name="Disconnect").click()

    expect(alice.notice).to_contain_text(f"{OUTLOOK} is disconnected")
    link = alice.notice.get_by_role("link", name="Remove the permission at Outlook").get_attribute("href")
    assert link is not None
    assert urlsplit(link).hostname in {"myapps.microsoft.com", "myapplications.microsoft.com"}


def test_the_categories_stand_in_their_order(alice: AtTheBrowser) -> None:
    page = alice.open("/settings/integrations")

    headings = page.get_by_role("heading", level=2).all_inner_texts()
    assert headings == ["Meeting platforms", "Calendar", "Email accounts", "CRM"]
