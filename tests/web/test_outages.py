"""What pages and programs say while a provider is down."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from replysequence.services import watching
from replysequence.storage import routes
from replysequence.storage.claims import PROVIDER_DOWN
from support.answers import made
from support.webapp import RunningApp, Visitor

HTML = {"Accept": "text/html"}
DRAFT = {"to": [{"email": "ann@client.example"}], "subject": "Hello", "text": "Hi"}


@pytest.fixture
def account(web: RunningApp, bob: Visitor) -> str:
    """Bob's Gmail account."""
    email = web.new_google_account()
    assert web.connect(bob, "gmail", email).status == 303
    return email


@pytest.fixture
def outage(web: RunningApp) -> Iterator[None]:
    """Gmail is down, and not tried while we look."""
    assert web.app.database.run(watching._begin, provider="gmail", title="Gmail")
    web.app.database.run(
        routes.pause,
        route_id="gmail",
        until=datetime.now(UTC) + timedelta(hours=1),
        reason=PROVIDER_DOWN,
        explanation="Gmail is not answering at the moment.",
    )
    yield
    web.app.database.run(watching._end, provider="gmail")


def provider(who: Visitor, name: str) -> dict[str, Any]:
    categories = who("GET", "/api/integrations").json["categories"]
    (found,) = [each for one in categories for each in one["providers"] if each["provider"] == name]
    return dict(found)


def test_while_a_provider_works_nothing_is_said(bob: Visitor, account: str) -> None:
    assert (provider(bob, "gmail")["problem"], provider(bob, "gmail")["down_since"]) == (None, None)
    assert "Out of order" not in bob("GET", "/settings/integrations", headers=HTML).text
    assert account in bob("GET", "/settings/integrations", headers=HTML).text


@pytest.mark.usefixtures("account", "outage")
def test_programs_read_which_provider_is_down_since_when_and_what_waits_for_it(bob: Visitor) -> None:
    gmail = provider(bob, "gmail")
    assert gmail["problem"].startswith("Gmail is not answering")
    assert datetime.fromisoformat(gmail["down_since"]).tzinfo is not None
    assert [one["status"] for one in gmail["connections"]] == ["active"] * len(gmail["connections"])
    assert provider(bob, "outlook")["problem"] is None
    draft = made(bob("POST", "/api/drafts", json_body=DRAFT))
    send = bob(
        "POST", "/api/drafts/send", json_body={"draft_id": draft["id"]}, headers={"Prefer": "wait=0"}
    ).json
    found = bob("GET", f"/api/sends/{send['id']}").json
    assert (found["state"], found["reason"]) == ("queued", PROVIDER_DOWN)
    assert found["explanation"] == gmail["problem"]


@pytest.mark.usefixtures("account", "outage")
def test_the_card_says_since_when_and_how_many_messages_wait(bob: Visitor, charlie: Visitor) -> None:
    draft = made(bob("POST", "/api/drafts", json_body=DRAFT))
    bob("POST", "/api/drafts/send", json_body={"draft_id": draft["id"]}, headers={"Prefer": "wait=0"})
    text = bob("GET", "/settings/integrations", headers=HTML).text
    assert "Out of order" in text
    assert "Gmail is not answering at the moment." in text
    assert "You need not reconnect anything." in text
    assert "1 message waits" in text or "messages wait" in text
    theirs = charlie("GET", "/settings/integrations", headers=HTML).text
    assert "Out of order" in theirs
    assert "message waits" not in theirs, "somebody else's message was counted"


@pytest.mark.usefixtures("outage")
def test_prometheus_reads_which_provider_is_down(web: RunningApp, alice: Visitor) -> None:
    figures = alice("GET", "/metrics").text
    assert 'replysequence_provider_down{provider="gmail"} 1.0' in figures
    assert 'replysequence_provider_down{provider="outlook"} 0.0' in figures
    web.app.database.run(watching._end, provider="gmail")
    assert 'replysequence_provider_down{provider="gmail"} 0.0' in alice("GET", "/metrics").text
