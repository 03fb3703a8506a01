"""Disconnecting accounts: what is revoked, what may still end, and what is left waiting."""

import asyncio
from datetime import UTC, datetime

import pytest

from replysequence.domain.errors import ReconnectNeeded
from replysequence.domain.event import Kind
from replysequence.domain.send import State
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.running import RunningSandbox
from replysequence.services import disconnecting
from replysequence.storage import claims, connections
from replysequence.storage.ids import new_id
from support.office import DANA, DANA_AT_CONTOSO, Office, Opening, eventually

LATE = datetime(2100, 1, 1, tzinfo=UTC)


def google_grant_stands(box: RunningSandbox) -> bool:
    account = box.world.accounts.at(Vendor.GOOGLE, DANA)
    return box.world.credentials.grant(account, box.world.google_client.project) is not None


async def test_disconnecting_at_google_revokes_the_grant(office: Opening, box: RunningSandbox) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        (gone,) = await it.app.services.disconnecting.disconnect(alice, provider="gmail")
        assert (gone.email, gone.revoked, gone.finished, gone.removal_url) == (DANA, True, True, None)
        assert not google_grant_stands(box)
        assert await it.connections(alice) == []
        kinds = [event.kind for event in (await it.app.services.history.events(alice)).items]
        assert kinds.count(Kind.CONNECTION_DISCONNECTED) == 1


async def test_an_account_that_somebody_else_uses_too_is_not_revoked(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice, bob = await it.person("Alice"), await it.person("Bob")
        await it.connect(alice)
        await it.connect(bob)
        (gone,) = await it.app.services.disconnecting.disconnect(alice, provider="gmail")
        assert not gone.revoked
        assert gone.removal_url
        assert google_grant_stands(box)
        assert (await it.sent(bob)).state is State.SENT
        await it.app.services.disconnecting.disconnect(bob, provider="gmail")
        assert not google_grant_stands(box)


async def test_a_provider_that_does_not_revoke_shows_where_to_remove_the_consent(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice, provider="outlook", account=DANA_AT_CONTOSO)
        (gone,) = await it.app.services.disconnecting.disconnect(alice, provider="outlook")
        assert not gone.revoked
        assert gone.removal_url == "https://myapps.microsoft.com"


async def test_sends_of_a_disconnected_account_wait_for_a_decision_and_are_not_rerouted(
    office: Opening,
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        send = await it.accept(alice)
        found = await it.app.services.disconnecting.unfinished(alice, connection_id=mailbox.id)
        assert (found.waiting, found.unknown) == (1, 0)
        (gone,) = await it.app.services.disconnecting.disconnect(alice, provider="gmail")
        assert gone.waiting == 1
        await it.work()
        send = await it.get(send)
        assert (send.state, send.reason, send.route.via) == (State.WAITING, "disconnected", "gmail")
        cancelled = await it.app.services.sending.cancel(alice, send_id=send.id)
        assert cancelled.state is State.CANCELLED
        again, _ = await it.app.services.sending.accept(alice, draft_id=send.draft_id)
        assert again.route.via == "resend"


async def test_a_send_that_meets_a_disconnect_waits_with_the_words_of_those_it_has_held(
    office: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disconnecting, "_PATIENCE", 0.0)
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        claimed, held = await it.accept(alice), await it.accept(alice)
        await it.app.database.transaction(
            claims.claim,
            incarnation=new_id(),
            room={"gmail": 1},
            pace_of=it.app.registry.pace,
            shared={},
            at=LATE,
        )
        (gone,) = await it.app.services.disconnecting.disconnect(alice, provider="gmail")
        assert (gone.finished, (await it.get(claimed)).state) == (False, State.CLAIMED)
        with pytest.raises(ReconnectNeeded) as refused:
            await it.tokens.usable(mailbox.id)
        held = await it.get(held)
        assert (refused.value.code, refused.value.message) == (held.reason, held.explanation)


async def test_a_disconnect_during_a_send_lets_it_end_and_is_finished_by_the_worker(
    office: Opening, box: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disconnecting, "_PATIENCE", 0.0)
    box.world.settings[Vendor.GOOGLE].send_latency_seconds = 0.5
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        send = await it.accept(alice)
        working = asyncio.create_task(it.work())
        await eventually(lambda: _is_sending(it, alice, send.id))
        (gone,) = await it.app.services.disconnecting.disconnect(alice, provider="gmail")
        assert not gone.finished
        assert google_grant_stands(box)
        assert await it.app.services.disconnecting.finish_disconnects() == 0
        await working
        assert (await it.get(send)).state is State.SENT
        assert await it.app.services.disconnecting.finish_disconnects() == 1
        assert not google_grant_stands(box)
        assert await it.connections(alice) == []
        assert await it.app.services.disconnecting.finish_disconnects() == 0


async def _is_sending(it: Office, user_id: str, send_id: str) -> bool:
    return (await it.app.services.sending.get(user_id, send_id=send_id)).state is State.SENDING


async def test_an_account_that_was_connected_again_is_not_taken_down_by_an_old_disconnect(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        await it.app.database.transaction(
            connections.begin_disconnect, user_id=alice, connection_id=mailbox.id
        )
        await it.connect(alice)
        spec = it.app.registry.connectable("gmail")
        assert not await it.app.services.disconnecting._take_down(spec, mailbox)
        assert google_grant_stands(box)
        assert (await it.sent(alice)).state is State.SENT


async def test_two_disconnects_at_once_both_end_well(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        verbs = it.app.services.disconnecting
        await asyncio.gather(
            verbs.disconnect(alice, provider="gmail"),
            verbs.finish_disconnects(),
            verbs.finish_disconnects(),
        )
        assert await it.connections(alice) == []
