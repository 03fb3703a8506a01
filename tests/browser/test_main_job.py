"""The main job as a newcomer does it: from the set-up link to the mail on the other side."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from replysequence.sandbox.running import RunningSandbox
from support.at_the_browser import OUTLOOK, WORK_GMAIL, AtTheBrowser
from support.browser import OpenPage
from support.webapp import PASSWORD, RunningApp, running_app

CUSTOMER = "maya@northwind.example"
SUBJECT = "Nächste Schritte – the pilot"
TEXT = "Hi Maya,\n\nthank you for today. We start on Friday.\n\nDana"


@pytest.fixture
def installation(database_url: str, tmp_path: Path, box: RunningSandbox) -> Iterator[RunningApp]:
    """The app as it is after its first start, on each of the two databases."""
    with running_app(database_url, tmp_path, box=box) as app:
        yield app


def set_up(page: Page, app: RunningApp) -> None:
    """Follow the link that the console prints."""
    token = app.do(app.app.services.signing_in.setup_token())
    assert token is not None
    page.goto(f"{app.base_url}/sign-in")
    expect(page.get_by_text("Open the set-up link")).to_be_visible()
    page.goto(f"{app.base_url}/join/{token.reveal()}")
    page.get_by_label("Email").fill("alice@example.com")
    page.get_by_label("Your name").fill("Alice Example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_text("Welcome, Alice Example.")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False], ids=["with script", "without script"])
def test_a_newcomer_connects_gmail_and_sends(
    installation: RunningApp, open_page: OpenPage, *, javascript: bool
) -> None:
    page = open_page(javascript=javascript)
    alice = AtTheBrowser(page, installation)
    set_up(page, installation)

    expect(page.get_by_role("heading", name="Two steps to your first follow-up")).to_be_visible()
    alice.open("/sends")
    expect(page.get_by_role("heading", name="Nothing was sent yet")).to_be_visible()
    alice.connect_gmail()
    expect(alice.connection(WORK_GMAIL)).to_contain_text("Default")
    alice.open("/")
    expect(page.get_by_role("heading", name="Your meetings appear here")).to_be_visible()
    alice.open("/drafts")
    expect(page.get_by_role("heading", name="No drafts yet")).to_be_visible()

    alice.write(to=f"Maya Lindqvist <{CUSTOMER}>", subject=SUBJECT, text=TEXT)
    expect(alice.preview.locator("body")).to_contain_text("We start on Friday.")
    expect(alice.checks).to_contain_text(f"Dana Reyes <{WORK_GMAIL}>")
    expect(alice.checks).to_contain_text("Gmail")
    expect(alice.checks).to_contain_text("Ready to send.")

    alice.send()
    alice.see_it_become("Sent")
    expect(page.get_by_role("region", name="What happened")).to_contain_text("Accepted for sending")
    expect(page.get_by_role("link", name="Open in your Sent folder")).to_be_visible()

    fields = alice.outside_mail(mailbox=CUSTOMER, subject=SUBJECT)
    expect(page.locator("pre.text")).to_contain_text("thank you for today. We start on Friday.")
    assert fields["From"] == f"Dana Reyes <{WORK_GMAIL}>"
    assert fields["To"] == f"Maya Lindqvist <{CUSTOMER}>"
    assert fields["Subject"].startswith("=?utf-8?")
    assert "Reply-To" not in fields
    assert len(installation.box.world.ledger) == 1


def test_a_follow_up_leaves_from_the_persons_own_outlook_address(alice: AtTheBrowser) -> None:
    alice.connect_outlook()
    alice.write(to=CUSTOMER, subject=SUBJECT, text=TEXT)
    expect(alice.checks).to_contain_text(OUTLOOK)
    expect(alice.checks).to_contain_text("Outlook")

    alice.send()
    alice.see_it_become("Sent")

    fields = alice.outside_mail(mailbox=CUSTOMER, subject=SUBJECT)
    expect(alice.page.locator("pre.text")).to_contain_text("We start on Friday.")
    assert fields["From"] == f"Dana Reyes <{OUTLOOK}>"
    assert len(alice.app.box.world.ledger) == 1


def test_with_nothing_connected_the_relay_carries_it_and_replies_come_to_the_person(
    alice: AtTheBrowser,
) -> None:
    alice.write(to=CUSTOMER, subject=SUBJECT, text=TEXT)
    expect(alice.page.get_by_role("link", name="Connect your mailbox")).to_be_visible()
    expect(alice.checks).to_contain_text("Alice Example <follow-up@replysequence.example>")
    expect(alice.checks).to_contain_text("Resend")
    expect(alice.checks).to_contain_text("Alice Example <alice@example.com>")

    alice.send()
    alice.see_it_become("Sent")

    fields = alice.outside_mail(mailbox=CUSTOMER, subject=SUBJECT)
    assert fields["From"] == "Alice Example <follow-up@replysequence.example>"
    assert fields["Reply-To"] == "Alice Example <alice@example.com>"
    assert len(alice.app.box.world.ledger) == 1
