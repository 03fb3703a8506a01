"""Letting us look in the Sent folder, what the pages say of it, and asking for a look."""

import re
from html import unescape

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from support.answers import error_of, made
from support.consent import approve, cancel
from support.plain_http import Answer
from support.webapp import RunningApp, Visitor

HTML = {"Accept": "text/html"}
INTEGRATIONS = "/settings/integrations"


@pytest.fixture
def account(web: RunningApp, alice: Visitor) -> str:
    """An account that Alice has connected, and that lets us do nothing but send."""
    email = web.new_google_account()
    web.connect(alice, "gmail", email)
    alice(
        "POST",
        "/api/integrations/email/default",
        json_body={"connection_id": web.connection_id(alice, email)},
    )
    return email


def consent_page(web: RunningApp, alice: Visitor, account: str) -> str:
    link = f"/api/auth/gmail?connection_id={web.connection_id(alice, account)}&look_up=true"
    assert link in page(alice, INTEGRATIONS)
    location: str = alice("GET", link).headers["Location"]
    return location


def allow(web: RunningApp, alice: Visitor, account: str) -> Answer:
    return web.come_back(alice, approve(consent_page(web, alice, account), account=account))


def page(who: Visitor, path: str) -> str:
    answer = who("GET", path, headers=HTML)
    assert answer.status == 200, answer.text
    return re.sub(r"\s+", " ", unescape(answer.text))


def unknown_send(web: RunningApp, alice: Visitor) -> str:
    """A send that Gmail took without saying so; its id."""
    web.box.world.faults.arm(Fault(kind="error_500_after_acceptance", vendor=Vendor.GOOGLE))
    written = {"to": ["ann@client.example"], "subject": "Pricing", "text": "Hi"}
    draft_id = made(alice("POST", "/api/drafts", json_body=written))["id"]
    send = made(alice("POST", "/api/drafts/send", json_body={"draft_id": draft_id}), status=200)
    assert send["state"] == "unknown"
    return str(send["id"])


def allowed(alice: Visitor, account: str) -> bool:
    sections = made(alice("GET", "/api/integrations"), status=200)["categories"]
    found = [
        each["look_up"]
        for section in sections
        for provider in section["providers"]
        for each in provider["connections"]
        if each["email"] == account
    ]
    return bool(found == [True])


def test_the_card_says_what_is_asked_for_and_takes_it_back(
    web: RunningApp, alice: Visitor, account: str
) -> None:
    said = page(alice, INTEGRATIONS)
    for words in (
        "Let ReplySequence look whether an unclear mail left",
        "View your email message metadata, but not the email body",
        "restricted permissions",
        "you can take it back at any time",
    ):
        assert words in said

    notice = web.notice_of(allow(web, alice, account))

    assert notice is not None
    assert (notice.tone, account in notice.text) == ("good", True)
    assert allowed(alice, account)
    path = f"{INTEGRATIONS}/{web.connection_id(alice, account)}/stop-looking"
    assert path in page(alice, INTEGRATIONS)
    stopped = web.notice_of(alice("POST", path))
    assert stopped is not None
    assert "no longer looks" in stopped.text
    assert not allowed(alice, account)


def test_who_cancels_is_told_that_nothing_changed(web: RunningApp, alice: Visitor, account: str) -> None:
    back = cancel(consent_page(web, alice, account), account=account)
    notice = web.notice_of(web.come_back(alice, back))

    assert notice is not None
    assert notice.code == "look_up_refused"
    assert f"messages from {account} leave as before" in notice.text


@pytest.mark.usefixtures("account")
def test_without_the_permission_the_page_of_a_send_offers_it(web: RunningApp, alice: Visitor) -> None:
    send_id = unknown_send(web, alice)
    said = page(alice, f"/sends/{send_id}")

    assert "See what it asks for" in said
    assert "Look now" not in said
    refused = alice("POST", f"/api/sends/{send_id}/look")
    assert (refused.status, error_of(refused)["code"]) == (409, "may_not_look")


def test_a_look_that_finds_nothing_changes_nothing_and_one_that_finds_it_settles(
    web: RunningApp, alice: Visitor, bob: Visitor, account: str
) -> None:
    allow(web, alice, account)
    settings = web.box.world.settings[Vendor.GOOGLE]
    settings.sent_lag_seconds = 600
    send_id = unknown_send(web, alice)
    assert "Look now" in page(alice, f"/sends/{send_id}")
    assert bob("POST", f"/sends/{send_id}/look").status == 404

    early = web.notice_of(alice("POST", f"/sends/{send_id}/look"))
    assert early is not None
    assert "not in your Sent folder yet" in early.text
    said = page(alice, f"/sends/{send_id}")
    assert "not found." in said
    assert "The next look is due" in said
    assert "It may or may not have been sent" in said

    settings.sent_lag_seconds = 0
    late = web.notice_of(alice("POST", f"/sends/{send_id}/look"))
    assert late is not None
    assert late.text == "It is there: the message was sent."
    said = page(alice, f"/sends/{send_id}")
    assert "Sent, confirmed later" in said
    assert "Found in the Sent folder" in said
    again = alice("POST", f"/api/sends/{send_id}/look")
    assert (again.status, error_of(again)["code"]) == (409, "not_unknown")
    assert len(web.box.world.ledger.of_send(send_id)) == 1
