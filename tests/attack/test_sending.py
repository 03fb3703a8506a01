"""Twenty hands on the same send: one message leaves, it is the one that was accepted, and every answer is true."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog

from replysequence.domain.send import State
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.world import World
from support.answers import made
from support.office import PUBLIC_URL, Opening, opening
from support.webapp import RunningApp, Visitor

DRAFT = {"to": ["ann@client.example"], "subject": "As accepted", "text": "Hi"}
FORM = {"to": "ann@client.example", "subject": "As accepted", "text": "Hi", "format": "text", "version": "1"}
HANDS = 20


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    """A fresh sandbox, with the callbacks of the app registered."""
    world = World()
    world.register_app(PUBLIC_URL)
    with sandbox(world) as running:
        yield running


@pytest.fixture
def office(database_url: str, tmp_path: Path, box: RunningSandbox) -> Opening:
    """async with office() as it: the parts of a process, on this test's database and sandbox."""
    return opening(database_url, tmp_path / "data", box)


@pytest.fixture(scope="module")
def seller(web: RunningApp) -> Visitor:
    """Alice, who sends from a Gmail account of her own."""
    alice = web.browser("Alice", is_admin=True)
    web.connect(alice, "gmail", web.new_google_account())
    return alice


def handed_over(web: RunningApp, send_id: str) -> int:
    return sum(entry.send_id == send_id for entry in web.box.world.ledger)


def test_twenty_clicks_on_page_and_api_at_once_send_one_message(web: RunningApp, seller: Visitor) -> None:
    draft_id = made(seller("POST", "/api/drafts", json_body=DRAFT))["id"]

    def click(number: int) -> int:
        if number % 2:
            return seller("POST", f"/drafts/{draft_id}", form={**FORM, "action": "send"}).status
        return seller("POST", "/api/drafts/send", json_body={"draft_id": draft_id}).status

    with ThreadPoolExecutor(HANDS) as hands:
        statuses = Counter(hands.map(click, range(HANDS)))
    assert statuses.keys() <= {200, 202, 303, 409, 422}
    assert statuses[200] + statuses[202] + statuses[303] == 1
    (send,) = web.do(web.app.services.sending.list(seller.id, draft_id=draft_id)).items
    found = web.do(web.app.services.sending.wait_for_outcome(seller.id, send_id=send.id, seconds=20))
    assert found.state is State.SENT
    assert handed_over(web, send.id) == 1


def test_twenty_verdicts_at_once_settle_a_send_once(web: RunningApp, seller: Visitor) -> None:
    web.box.world.faults.arm(Fault(kind="error_500_after_acceptance", vendor=Vendor.GOOGLE))
    draft_id = made(seller("POST", "/api/drafts", json_body=DRAFT))["id"]
    sent = seller("POST", "/api/drafts/send", json_body={"draft_id": draft_id}, headers={"Prefer": "wait=20"})
    assert sent.json["state"] == "unknown", sent.text
    bodies = [{"verdict": "sent"}, {"verdict": "not_sent", "send_again": True}] * (HANDS // 2)

    def settle(body: object) -> int:
        return seller("POST", f"/api/sends/{sent.json['id']}/settle", json_body=body).status

    with ThreadPoolExecutor(HANDS) as hands:
        statuses = Counter(hands.map(settle, bodies))
    assert statuses == {200: 1, 409: HANDS - 1}
    sends = web.do(web.app.services.sending.list(seller.id, draft_id=draft_id)).items
    assert len(sends) == (1 if sends[-1].state is State.SETTLED_SENT else 2)


def test_what_was_accepted_leaves_whatever_becomes_of_the_draft(web: RunningApp, seller: Visitor) -> None:
    file = {"filename": "offer.txt", "content": "b2ZmZXI="}
    draft = made(seller("POST", "/api/drafts", json_body={**DRAFT, "attachments": [file]}))
    path = f"/api/drafts/{draft['id']}"
    soon = "2026-01-01T00:00:00Z"
    send = seller(
        "POST",
        "/api/drafts/send",
        json_body={"draft_id": draft["id"], "send_at": soon},
        headers={"Prefer": "wait=0"},
    ).json
    assert seller("DELETE", f"{path}/attachments/{draft['attachments'][0]['id']}").status == 204
    assert seller("PATCH", path, json_body={"subject": "Changed", "to": ["eve@evil.example"]}).status == 200
    found = web.do(web.app.services.sending.wait_for_outcome(seller.id, send_id=send["id"], seconds=20))
    assert found.state is State.SENT
    (entry,) = (entry for entry in web.box.world.ledger if entry.send_id == send["id"])
    assert (entry.recipients, entry.subject) == (("ann@client.example",), "As accepted")


def test_a_connection_of_somebody_else_is_not_there(
    web: RunningApp, seller: Visitor, charlie: Visitor
) -> None:
    (theirs, *_) = (
        connection["id"]
        for category in seller("GET", "/api/integrations").json["categories"]
        for provider in category["providers"]
        for connection in provider["connections"]
    )
    draft = made(charlie("POST", "/api/drafts", json_body=DRAFT))
    named = {"connection_id": theirs}
    assert charlie("POST", "/api/drafts", json_body={**DRAFT, **named}).status == 422
    assert charlie("PATCH", f"/api/drafts/{draft['id']}", json_body=named).status == 422
    assert charlie("POST", "/api/integrations/email/default", json_body=named).status == 404
    assert charlie("POST", "/api/integrations/gmail/disconnect", json_body=named).status == 404
    assert charlie("GET", f"/api/auth/gmail?connection_id={theirs}").status == 404


async def test_a_send_cancelled_in_a_workers_hands_does_not_leave_and_is_no_crash(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        send = await it.accept(alice)
        with structlog.testing.capture_logs() as lines:
            (claimed,) = await it.claim()
            await it.app.services.sending.cancel(alice, send_id=send.id)
            await asyncio.gather(it.dispatching.carry_out(claimed))
        assert [line["event"] for line in lines if line["log_level"] == "error"] == []
        assert (await it.get(send)).state is State.CANCELLED
        assert it.accepted_by_provider(send) == 0
