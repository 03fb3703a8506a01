"""What becomes known after a send: a person's word, and a relay's notices."""

import json
from datetime import UTC, datetime

import pytest

from replysequence.domain.errors import Conflict, InvalidInput, NotAllowed, NotFound
from replysequence.domain.event import Kind
from replysequence.domain.send import GIVE_UP_AFTER, Send, State, Verdict
from replysequence.sandbox import svix
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from replysequence.sandbox.world import RESEND_WEBHOOK_SECRET
from support.office import Office, Opening


async def unknown(it: Office, user_id: str) -> Send:
    """A send through Gmail of which nobody knows whether it left (it did)."""
    await it.connect(user_id)
    it.box.world.faults.arm(Fault(kind="reset_after_acceptance", vendor=Vendor.GOOGLE))
    send = await it.sent(user_id)
    assert send.state is State.UNKNOWN
    return send


def notice(send: Send, *, kind: str, delivery: str = "msg_1", **data: object) -> tuple[dict[str, str], bytes]:
    """A webhook call of Resend about `send`, signed as Resend signs."""
    told = {
        "type": kind,
        "created_at": "2026-11-22T12:00:00Z",
        "data": {
            "email_id": send.provider_message_id or "e1",
            "tags": {"send_id": send.id},
            **data,
        },
    }
    body = json.dumps(told).encode()
    at = int(datetime.now(UTC).timestamp())
    headers = {
        "svix-id": delivery,
        "svix-timestamp": str(at),
        "svix-signature": svix.sign(body, secret=RESEND_WEBHOOK_SECRET, message_id=delivery, timestamp=at),
    }
    return headers, body


async def test_an_unknown_send_is_settled_by_its_owner_and_stays_so(office: Opening) -> None:
    async with office() as it:
        alice, charlie = await it.person("Alice"), await it.person("Charlie")
        send, settle = await unknown(it, alice), it.app.services.settling.settle
        with pytest.raises(NotFound):
            await settle(charlie, send_id=send.id, verdict=Verdict.NOT_SENT)
        with pytest.raises(InvalidInput):
            await settle(alice, send_id=send.id, verdict=Verdict.SENT, send_again=True)
        settled = await settle(alice, send_id=send.id, verdict=Verdict.SENT)
        assert (settled.send.state, settled.again) == (State.SETTLED_SENT, None)
        with pytest.raises(Conflict):
            await settle(alice, send_id=send.id, verdict=Verdict.NOT_SENT)


async def test_what_was_not_sent_can_be_sent_again_as_a_new_linked_send(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        send = await unknown(it, alice)
        settled = await it.app.services.settling.settle(
            alice, send_id=send.id, verdict=Verdict.NOT_SENT, send_again=True
        )
        assert settled.send.state is State.SETTLED_NOT_SENT
        assert settled.again is not None
        assert settled.again.previous_send_id == send.id
        await it.work()
        assert (await it.get(settled.again)).state is State.SENT
        assert [it.accepted_by_provider(each) for each in (send, settled.again)] == [1, 1]


async def test_the_sent_folder_is_linked_for_a_mailbox_and_not_for_a_relay(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        link = it.app.services.settling.sent_folder_url
        relayed = await it.accept(alice)
        assert await link(alice, send_id=relayed.id) is None
        await it.connect(alice)
        mailed = await it.accept(alice)
        assert "in%3Asent" in (await link(alice, send_id=mailed.id) or "")


async def test_a_relays_notices_are_kept_once_each(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        send = await it.sent(alice)
        for count in (1, 0):
            headers, body = notice(send, kind="email.delivered")
            assert await it.app.services.settling.notices("resend", headers=headers, body=body) == count
        headers, body = notice(send, kind="email.bounced", delivery="msg_2", bounce={"type": "Permanent"})
        await it.app.services.settling.notices("resend", headers=headers, body=body)
        told = (await it.get(send)).events[-2:]
        assert [event.kind for event in told] == [Kind.SEND_DELIVERED, Kind.SEND_BOUNCED]
        assert told[-1].data == {"detail": "Permanent"}


async def test_a_notice_about_an_unknown_send_proves_that_it_was_sent(
    office: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        it.box.world.faults.arm(Fault(kind="reset_after_acceptance", vendor=Vendor.RESEND))
        relay = it.app.registry.relay_named("resend")
        monkeypatch.setattr(type(relay), "repeatable_for", -GIVE_UP_AFTER)
        send = await it.sent(alice)
        assert send.state is State.UNKNOWN
        headers, body = notice(send, kind="email.delivered")
        assert await it.app.services.settling.notices("resend", headers=headers, body=body) == 1
        assert (await it.get(send)).state is State.SETTLED_SENT


async def test_a_notice_that_is_forged_or_of_no_relay_changes_nothing(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        send = await it.sent(alice)
        headers, body = notice(send, kind="email.bounced")
        notices = it.app.services.settling.notices
        with pytest.raises(NotAllowed):
            await notices("resend", headers=headers, body=body + b" ")
        for name in ("gmail", "nobody"):
            with pytest.raises(NotFound):
                await notices(name, headers=headers, body=body)
        assert (await it.get(send)).events == send.events


async def test_what_cannot_be_sent_again_stays_unknown(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        send = await unknown(it, alice)
        await it.app.services.drafting.delete(alice, draft_id=send.draft_id)

        with pytest.raises(NotFound):
            await it.app.services.settling.settle(
                alice, send_id=send.id, verdict=Verdict.NOT_SENT, send_again=True
            )

        kept = await it.app.services.sending.get(alice, send_id=send.id)
        assert kept.state is State.UNKNOWN
