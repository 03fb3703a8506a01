"""The extra consent to look in a Sent folder: asked apart, kept beside sending, and never at its cost."""

import asyncio
import re
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from replysequence.domain.errors import ConnectFailed
from replysequence.domain.send import State
from replysequence.providers.gmail import LOOK_SCOPE, SEND_SCOPE
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from support.consent import cancel
from support.looking import DANA_AT_OUTLOOK, allow, asked, look, pass_minutes, unknown, watch
from support.office import DANA, DANA_AT_CONTOSO, DANA_AT_HOME, Opening


async def test_the_extra_consent_asks_for_everything_so_that_nothing_is_lost(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        assert LOOK_SCOPE not in mine.scopes
        url = await it.app.services.connecting.start(
            alice, provider="gmail", session_hash="a" * 64, connection_id=mine.id, look_up=True
        )
        scopes = parse_qs(urlsplit(url).query)["scope"][0].split()
        assert {SEND_SCOPE, LOOK_SCOPE} <= set(scopes)

        done = await allow(it, mine)

        assert done.may_look is True
        [after] = await it.connections(alice)
        assert after.id == mine.id
        assert after.look_up
        assert after.scopes == mine.scopes | {LOOK_SCOPE}
        assert (await it.sent(alice)).state is State.SENT


async def test_who_does_not_let_us_look_can_send_as_before(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        assert (await allow(it, mine, untick=(LOOK_SCOPE,))).may_look is False
        [after] = await it.connections(alice)
        assert not after.look_up
        assert (await it.sent(alice)).state is State.SENT

        with pytest.raises(ConnectFailed) as refused:
            await allow(it, mine, untick=(SEND_SCOPE,))
        assert refused.value.code == "look_up_refused"
        assert refused.value.details["reason"] == "scope_missing"
        [same] = await it.connections(alice)
        assert same.token_generation == after.token_generation
        await it.expire_access_tokens()
        assert (await it.sent(alice)).state is State.SENT


async def test_a_cancelled_consent_to_look_changes_nothing(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        url = await it.app.services.connecting.start(
            alice, provider="gmail", session_hash="a" * 64, connection_id=mine.id, look_up=True
        )
        back = await asyncio.to_thread(cancel, re.sub(r"login_hint=[^&]*&", "", url), account=DANA)
        with pytest.raises(ConnectFailed) as refused:
            await it.finish(alice, parse_qsl(urlsplit(back).query))
        assert refused.value.code == "look_up_refused"
        assert "leave as before" in refused.value.message
        assert await it.connections(alice) == [mine]


async def test_another_account_that_is_chosen_is_not_looked_into(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        done = await allow(it, mine, account=DANA_AT_HOME)
        assert done.wanted_email == DANA
        assert [each.look_up for each in await it.connections(alice)] == [False, False]


async def test_a_reconnect_asks_again_for_what_was_allowed(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice)
        await allow(it, mine)
        act(it.box.world, it.box.world.accounts.at(Vendor.GOOGLE, DANA), "remove_access")
        await it.expire_access_tokens()
        send = await it.sent(alice)
        assert send.state is State.WAITING

        parameters = await it.consent(alice, connection_id=mine.id)
        await it.finish(alice, parameters)

        [after] = await it.connections(alice)
        assert after.look_up
        assert LOOK_SCOPE in after.scopes
        await it.work()
        assert (await it.get(send)).state is State.SENT


async def test_an_administrator_is_asked_for_what_looking_takes(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice, account=DANA_AT_CONTOSO, provider="outlook")
        with pytest.raises(ConnectFailed) as refused:
            await allow(it, mine)
        assert refused.value.code == "look_up_refused"
        link = parse_qs(urlsplit(str(refused.value.details["admin_consent_url"])).query)
        assert "https://graph.microsoft.com/Mail.Read" in link["scope"][0].split()
        assert (await it.sent(alice)).state is State.SENT


async def test_a_permission_that_was_taken_back_at_the_provider_costs_the_looks_only(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mine = await it.connect(alice, account=DANA_AT_OUTLOOK, provider="outlook")
        await allow(it, mine)
        [grant] = it.box.world.credentials.grants.values()
        assert "Mail.Read" in grant.scopes
        await it.expire_access_tokens()
        assert (await it.sent(alice)).state is State.SENT
        [still] = await it.connections(alice)
        assert "Mail.Read" in still.scopes

        grant.scopes.discard("Mail.Read")
        await it.expire_access_tokens()
        assert (await it.sent(alice)).state is State.SENT

        [after] = await it.connections(alice)
        assert after.status.value == "active"
        assert "Mail.Read" not in after.scopes
        watch(it)
        await unknown(it, alice, left=True, vendor=Vendor.MICROSOFT)
        await pass_minutes(it, 2)
        assert await look(it) == 0
        assert asked(it) == 0
