"""An attempt to connect belongs to one person in one browser: nobody else's account ends up in it."""

import re

import pytest
from playwright.sync_api import Page, expect

from support.at_the_browser import WORK_GMAIL, AtTheBrowser
from support.browser import OpenPage
from support.consent import approve


@pytest.fixture
def charlie(alice: AtTheBrowser, open_page: OpenPage) -> AtTheBrowser:
    """A stranger with an account here, at a browser of his own."""
    return AtTheBrowser(open_page(), alice.app, visitor=alice.app.browser("Charlie"))


def authorize_url(someone: AtTheBrowser) -> str:
    """Where Connect leads that person."""
    someone.begin("Gmail")
    someone.page.wait_for_url(f"{someone.app.box.base_url}/**")
    return someone.page.url


def callback_of(someone: AtTheBrowser) -> str:
    """The address at which the provider would have sent that person's browser back to us. It was not opened yet."""
    return approve(authorize_url(someone), account=WORK_GMAIL)


def assert_nothing_stored(*people: AtTheBrowser) -> None:
    for someone in people:
        someone.open("/settings/integrations")
        expect(someone.card("Gmail")).to_contain_text("Not connected")


def test_a_strangers_link_connects_the_account_of_its_victim_nowhere(
    alice: AtTheBrowser, charlie: AtTheBrowser
) -> None:
    alice.page.goto(authorize_url(charlie))
    alice.consent_at_google(WORK_GMAIL)

    expect(alice.notice.get_by_role("heading")).to_have_text("This was started in another browser")
    expect(alice.notice).to_contain_text("Start again here, and stay in this browser")
    assert_nothing_stored(alice, charlie)


def test_a_callback_opened_by_somebody_else_connects_nothing(
    alice: AtTheBrowser, charlie: AtTheBrowser
) -> None:
    callback = callback_of(charlie)
    alice.page.goto(callback)

    expect(alice.notice.get_by_role("heading")).to_have_text("This was started in another browser")
    assert_nothing_stored(alice, charlie)


def test_a_callback_in_the_same_persons_other_browser_connects_nothing(
    alice: AtTheBrowser, open_page: OpenPage
) -> None:
    callback = callback_of(alice)
    elsewhere = AtTheBrowser(open_page(), alice.app, visitor=alice.app.new_browser("Alice"))
    elsewhere.page.goto(callback)

    expect(elsewhere.notice.get_by_role("heading")).to_have_text("This was started in another browser")
    assert_nothing_stored(alice)


def test_a_callback_where_nobody_is_signed_in_is_explained(alice: AtTheBrowser, open_page: OpenPage) -> None:
    callback = callback_of(alice)
    page: Page = open_page()
    page.goto(callback)

    expect(page.get_by_role("heading", name="Nothing was connected")).to_be_visible()
    assert "code" not in page.url
    page.get_by_role("link", name="Sign in").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    assert_nothing_stored(alice)


def test_a_replayed_callback_is_explained_and_changes_nothing(alice: AtTheBrowser) -> None:
    callback = callback_of(alice)
    alice.page.goto(callback)
    expect(alice.notice).to_contain_text(f"{WORK_GMAIL} is connected")
    alice.page.goto(callback)

    expect(alice.notice.get_by_role("heading")).to_have_text("This link has been used, or is too old")
    expect(alice.card("Gmail")).to_contain_text("1 account")
