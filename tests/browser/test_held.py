"""An account breaks, its messages wait, its owner is told and decides: the whole story at a real browser."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import update

from replysequence.domain.address import Address
from replysequence.domain.draft import DraftContent
from replysequence.domain.send import State
from replysequence.sandbox.actions import act
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import sends
from support.at_the_browser import BEN, PRIVATE_GMAIL, WORK_GMAIL, AtTheBrowser

AGES = {
    "Yesterday": timedelta(hours=24),
    "Today": timedelta(hours=1),
    "Last week": timedelta(days=7),
    "Just under two days": timedelta(hours=47),
    "Three days ago": timedelta(days=3),
}
"""When the messages were written, by their subjects, in the order in which they were accepted."""


def left(someone: AtTheBrowser) -> list[str]:
    """The subjects of what left from accounts, in order; the mail about the account is none of it."""
    return [entry.subject for entry in someone.app.box.world.ledger if entry.send_id]


def accept(someone: AtTheBrowser, subject: str) -> str:
    services = someone.app.app.services
    content = DraftContent(to=(Address(name="Ben", email=BEN),), subject=subject, text="Hi Ben")
    draft = someone.app.do(services.drafting.create(someone.visitor.id, content=content))
    send, _ = someone.app.do(services.sending.accept(someone.visitor.id, draft_id=draft.id))
    return send.id


def _age(transaction: Transaction, *, send_id: str, by: timedelta) -> None:
    transaction.execute(update(sends).where(sends.c.id == send_id).values(created_at=now(transaction) - by))


def break_gmail(someone: AtTheBrowser, *subjects: str) -> dict[str, str]:
    """Connect Gmail, lose the consent there, and accept messages with those subjects; their ids."""
    someone.already(connected=WORK_GMAIL)
    act(someone.app.box.world, someone.google_account(), "remove_access")
    ids = {subject: accept(someone, subject) for subject in subjects}
    for subject, send_id in ids.items():
        while not is_waiting(someone, send_id):
            someone.page.wait_for_timeout(20)
        work = someone.app.app.database.transaction(
            _age, send_id=send_id, by=AGES.get(subject, timedelta(hours=1))
        )
        someone.app.do(work)
    return ids


def is_waiting(someone: AtTheBrowser, send_id: str) -> bool:
    send = someone.app.do(someone.app.app.services.sending.get(someone.visitor.id, send_id=send_id))
    return send.state is State.WAITING


def leaves(someone: AtTheBrowser, *subjects: str) -> None:
    """Wait until that has left, and no more than that, in that order."""
    for _ in range(200):
        if len(left(someone)) >= len(subjects):
            break
        someone.page.wait_for_timeout(50)
    assert left(someone) == list(subjects)


@pytest.mark.parametrize("who", ["alice", "alice_without_script"])
def test_a_broken_account_from_the_mail_about_it_to_the_last_word(
    who: str, request: pytest.FixtureRequest
) -> None:
    alice: AtTheBrowser = request.getfixturevalue(who)
    page = alice.page
    break_gmail(alice, *AGES)

    banner = page.get_by_role("complementary", name="Accounts that need you")
    for path in ("/", "/sends", "/activity", "/settings/account"):
        alice.open(path)
        expect(banner).to_contain_text(f"{WORK_GMAIL} needs reconnecting. 5 messages wait for it.")
    assert left(alice) == []

    mailbox = alice.app.box.world.inbox
    while not mailbox("alice@example.com"):
        page.wait_for_timeout(50)
    fields = alice.outside_mail(mailbox="alice@example.com", subject=f"Connect {WORK_GMAIL} again")
    mail = page.locator("pre.text")
    expect(mail).to_contain_text(f"ReplySequence can no longer send from {WORK_GMAIL}.")
    expect(mail).to_contain_text("the access was removed or has expired")
    expect(mail).to_contain_text("Nothing is lost, and nothing leaves from another address.")
    assert "follow-up@" in fields["From"]
    [link] = re.findall(r"http\S+", mail.inner_text())
    page.goto(link)
    expect(alice.connection(WORK_GMAIL)).to_contain_text("Needs reconnecting")

    banner.get_by_role("link", name="Reconnect").click()
    page.get_by_role("button", name="Continue").click()
    expect(alice.notice).to_contain_text(
        "3 messages that waited go out now, 2 are older than two days and wait for your word."
    )
    leaves(alice, "Just under two days", "Yesterday", "Today")

    alice.open("/")
    expect(banner).to_contain_text(f"2 messages from {WORK_GMAIL} wait for your word.")
    banner.get_by_role("link", name="Decide").click()
    expect(page.get_by_text("These were written more than 48 hours ago")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Send now.*Last week")).click()
    expect(alice.notice).to_have_text("It leaves now.")
    page.get_by_role("button", name=re.compile("^Cancel.*Three days ago")).click()
    expect(alice.notice).to_have_text("Cancelled. The message was not sent.")
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    expect(banner).not_to_be_visible()
    leaves(alice, "Just under two days", "Yesterday", "Today", "Last week")
    assert len(mailbox("alice@example.com")) == 1


def test_one_that_asks_says_so_on_its_own_page_and_can_be_sent_there(alice: AtTheBrowser) -> None:
    ids = break_gmail(alice, "Last week")
    alice.open("/settings/integrations")
    alice.connection(WORK_GMAIL).get_by_role("link", name="Reconnect").click()
    alice.page.get_by_role("button", name="Continue").click()
    expect(alice.notice).to_contain_text("1 is older than two days and waits for your word.")

    alice.open(f"/sends/{ids['Last week']}")
    expect(alice.page.get_by_text("It leaves only if you say so.")).to_be_visible()
    alice.page.get_by_role("button", name="Send it now").click()
    alice.see_it_become("Sent")
    assert left(alice) == ["Last week"]


@pytest.mark.parametrize("who", ["alice", "alice_without_script"])
def test_a_disconnect_asks_and_sends_the_drafts_from_the_account_that_was_chosen(
    who: str, request: pytest.FixtureRequest
) -> None:
    alice: AtTheBrowser = request.getfixturevalue(who)
    break_gmail(alice, "One", "Two")
    alice.connect_gmail(PRIVATE_GMAIL)
    alice.connection(WORK_GMAIL).get_by_role("link", name="Disconnect").click()
    expect(alice.page.get_by_text("2 messages from this address have not left yet.")).to_be_visible()
    assert alice.page.get_by_role("radio", name=re.compile("^They wait")).is_checked()
    alice.page.get_by_role("radio", name="Send the drafts from another account, now").check()
    alice.page.get_by_label("Account", exact=True).select_option(label=PRIVATE_GMAIL)
    alice.page.get_by_role("button", name="Disconnect").click()

    expect(alice.notice).to_contain_text("Sending 2 messages from the other account now.")
    leaves(alice, "One", "Two")
    accounts = {entry.account for entry in alice.app.box.world.ledger if entry.send_id}
    assert accounts == {PRIVATE_GMAIL}
    alice.open("/sends?show=failed")
    expect(alice.page.get_by_role("listitem").filter(has_text="Cancelled")).to_have_count(2)


def test_a_disconnect_cancels_what_waits_when_told_so(alice: AtTheBrowser) -> None:
    ids = break_gmail(alice, "One", "Two")
    alice.open("/settings/integrations")
    alice.connection(WORK_GMAIL).get_by_role("link", name="Disconnect").click()
    alice.page.get_by_role("radio", name=re.compile("^Cancel them")).check()
    alice.page.get_by_role("button", name="Disconnect").click()

    expect(alice.notice).to_contain_text("Messages that were cancelled: 2.")
    alice.open(f"/sends/{ids['One']}")
    expect(alice.state).to_have_text("Cancelled")
    assert left(alice) == []
