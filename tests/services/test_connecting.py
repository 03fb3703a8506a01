"""Connecting accounts: what goes through, what does not, and what is left behind."""

import asyncio
import threading
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import update

from replysequence.domain.connection import Connection
from replysequence.domain.errors import Conflict, ConnectFailed, NotFound, TooManyRequests
from replysequence.domain.send import State
from replysequence.providers import oauth
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.running import RunningSandbox
from replysequence.services import connecting, sending
from replysequence.storage import connection_tokens, connections
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import oauth_attempts
from support.consent import NoRedirectError, approve, cancel
from support.office import (
    BROWSER,
    DANA,
    DANA_AT_CONTOSO,
    DANA_AT_HOME,
    Office,
    Opening,
)

NINA = "nina.novak@lockdown.example"


async def refused(it: Office, user_id: str, parameters: list[tuple[str, str]], **more: str) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as failed:
        await it.finish(user_id, parameters, **more)
    return failed.value


def with_parameter(parameters: list[tuple[str, str]], name: str, value: str) -> list[tuple[str, str]]:
    return [*((key, old) for key, old in parameters if key != name), (name, value)]


async def test_a_box_that_was_not_ticked_stores_nothing_and_says_which(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        parameters = await it.consent(alice, untick=["gmail.send"])
        failed = await refused(it, alice, parameters)
        assert failed.code == "scope_missing"
        assert "Send email on your behalf" in failed.message
        assert await it.connections(alice) == []


async def test_cancelling_connects_nothing(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        url = await it.app.services.connecting.start(alice, provider="gmail", session_hash=BROWSER)
        back = await asyncio.to_thread(cancel, url, account=DANA)
        failed = await refused(it, alice, parse_qsl(urlsplit(back).query))
        assert (failed.code, await it.connections(alice)) == ("access_denied", [])


async def test_an_administrators_approval_comes_with_the_link_for_it(
    office: Opening, box: RunningSandbox
) -> None:
    box.world.accounts.at(Vendor.MICROSOFT, NINA).switch({"at_consent": "admin_approval_reported"})
    async with office() as it:
        alice = await it.person("Alice")
        parameters = await it.consent(alice, account=NINA, provider="outlook")
        failed = await refused(it, alice, parameters, provider="outlook")
        assert failed.code == "admin_consent"
        link = urlsplit(str(failed.details["admin_consent_url"]))
        asked = dict(parse_qsl(link.query))
        assert "adminconsent" in link.path
        assert asked["redirect_uri"] == it.app.services.connecting.redirect_uri("outlook")


async def test_an_administrator_who_comes_back_from_approving_is_told_so_and_nothing_is_connected(
    office: Opening,
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        approved = [("admin_consent", "True"), ("tenant", "any"), ("state", "never-kept")]
        failed = await refused(it, alice, approved, provider="outlook")
        assert failed.code == "admin_approved"
        assert await it.connections(alice) == []


async def test_a_provider_that_never_returns_leaves_an_attempt_that_expires(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        parameters = await it.consent(alice)
        box.world.faults.arm(
            Fault(kind="error_page", vendor=Vendor.GOOGLE, endpoint=Endpoint.AUTHORIZE, count=None)
        )
        url = await it.app.services.connecting.start(alice, provider="gmail", session_hash=BROWSER)
        with pytest.raises(NoRedirectError):
            await asyncio.to_thread(approve, url, account=DANA)
        await it.app.database.transaction(_expire_attempts)
        assert (await refused(it, alice, parameters)).code == "state_unknown"
        assert await it.connections(alice) == []


def _expire_attempts(transaction: Transaction) -> None:
    transaction.execute(update(oauth_attempts).values(expires_at=now(transaction)))


async def test_another_browser_or_another_person_cannot_finish_what_alice_began(office: Opening) -> None:
    async with office() as it:
        alice, charlie = await it.person("Alice"), await it.person("Charlie")
        parameters = await it.consent(alice)
        assert (await refused(it, charlie, parameters)).code == "other_browser"
        with pytest.raises(ConnectFailed) as failed:
            await it.app.services.connecting.finish(
                alice, session_hash="b" * 64, provider="gmail", parameters=parameters
            )
        assert failed.value.code == "other_browser"
        assert (await it.finish(alice, parameters)).connection.email == DANA
        assert await it.connections(charlie) == []


async def test_of_fifty_replays_at_once_one_wins(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        parameters = await it.consent(alice)
        outcomes = await asyncio.gather(
            *(it.finish(alice, parameters) for _ in range(50)), return_exceptions=True
        )
        failures = [each for each in outcomes if isinstance(each, ConnectFailed)]
        assert len(failures) == 49
        assert {failed.code for failed in failures} == {"state_unknown"}
        assert len(await it.connections(alice)) == 1


async def test_an_answer_of_another_issuer_is_refused(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        parameters = await it.consent(alice)
        failed = await refused(it, alice, with_parameter(parameters, "iss", "https://evil.example"))
        assert failed.code == "wrong_issuer"


async def test_a_code_that_was_changed_connects_nothing_and_is_not_shown(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        parameters = await it.consent(alice)
        failed = await refused(it, alice, with_parameter(parameters, "code", "canary-code"))
        assert failed.code == "exchange_failed"
        assert "canary-code" not in f"{failed.message} {failed.details}"
        assert await it.connections(alice) == []


async def test_an_answer_without_a_refresh_token_is_no_connection(
    office: Opening, box: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = oauth._read_tokens

    def without_refresh(answer: dict[str, object], *rest: object) -> object:
        return read({**answer, "refresh_token": ""}, *rest)  # type: ignore[arg-type]

    async with office() as it:
        alice = await it.person("Alice")
        with monkeypatch.context() as patched:
            patched.setattr(oauth, "_read_tokens", without_refresh)
            failed = await refused(it, alice, await it.consent(alice))
            assert (failed.code, await it.connections(alice)) == ("no_refresh_token", [])
        await it.connect(alice)
        with monkeypatch.context() as patched:
            patched.setattr(oauth, "_read_tokens", without_refresh)
            await it.finish(alice, await it.consent(alice))  # the one that is stored stays
            await it.expire_access_tokens()
            assert (await it.sent(alice)).state is State.SENT
            box.world.credentials.revoke_all(box.world.accounts.at(Vendor.GOOGLE, DANA))
            await it.expire_access_tokens()
            assert (await it.sent(alice)).state is State.WAITING
            failed = await refused(it, alice, await it.consent(alice))
            assert failed.code == "no_refresh_token"  # the stored one is known to be dead


async def test_signing_in_with_another_account_than_the_one_to_reconnect_says_which_was_wanted(
    office: Opening,
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        wanted = await it.connect(alice)
        parameters = await it.consent(alice, account=DANA_AT_HOME, connection_id=wanted.id)
        connected = await it.finish(alice, parameters)
        assert (connected.connection.email, connected.wanted_email) == (DANA_AT_HOME, DANA)
        assert not connected.reconnected
        again = await it.finish(alice, await it.consent(alice, connection_id=wanted.id))
        assert (again.connection.id, again.reconnected, again.wanted_email) == (wanted.id, True, None)


async def test_the_account_to_reconnect_may_have_been_disconnected_meanwhile(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        wanted = await it.connect(alice)
        parameters = await it.consent(alice, account=DANA_AT_HOME, connection_id=wanted.id)
        await it.app.services.disconnecting.disconnect(alice, provider="gmail")
        assert (await it.finish(alice, parameters)).wanted_email is None


async def test_somebody_elses_account_can_be_neither_reconnected_nor_disconnected_nor_made_default(
    office: Opening,
) -> None:
    async with office() as it:
        alice, charlie = await it.person("Alice"), await it.person("Charlie")
        mailbox = await it.connect(alice)
        verbs = it.app.services.connecting
        with pytest.raises(NotFound):
            await verbs.start(charlie, provider="gmail", session_hash=BROWSER, connection_id=mailbox.id)
        with pytest.raises(NotFound):
            await it.app.services.disconnecting.disconnect(
                charlie, provider="gmail", connection_id=mailbox.id
            )
        with pytest.raises(NotFound):
            await verbs.set_default(charlie, connection_id=mailbox.id)
        with pytest.raises(NotFound):
            await it.app.services.disconnecting.unfinished(charlie, connection_id=mailbox.id)
        assert len(await it.connections(alice)) == 1


async def test_of_several_accounts_exactly_one_is_the_default(office: Opening) -> None:
    def defaults(mine: list[Connection]) -> list[str]:
        return [each.email for each in mine if each.is_default]

    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        second = await it.connect(alice, provider="outlook", account=DANA_AT_CONTOSO)
        assert defaults(await it.connections(alice)) == [DANA]
        await it.app.services.connecting.set_default(alice, connection_id=second.id)
        assert defaults(await it.connections(alice)) == [DANA_AT_CONTOSO]
        assert (await it.accept(alice)).route.sender.email == DANA_AT_CONTOSO
        await it.app.services.disconnecting.disconnect(alice, provider="outlook")
        assert defaults(await it.connections(alice)) == [DANA]


async def test_a_reconnect_at_the_moment_of_accepting_leaves_no_send_waiting_for_ever(
    office: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    about_to_commit = threading.Event()

    def dawdle(*_: object) -> None:
        about_to_commit.set()
        time.sleep(0.3)

    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        await it.app.database.transaction(
            connection_tokens.mark_needs_reconnect,
            connection_id=mailbox.id,
            generation=mailbox.token_generation,
            reason="grant_gone",
            problem="Connect it again.",
        )
        draft = await it.draft(alice)
        parameters = await it.consent(alice)
        monkeypatch.setattr(connecting, "notify", dawdle)
        reconnecting = asyncio.create_task(it.finish(alice, parameters))
        await asyncio.to_thread(about_to_commit.wait)
        send, _ = await it.app.services.sending.accept(alice, draft_id=draft.id)
        await reconnecting
        assert send.state is State.QUEUED
        await it.work()
        assert (await it.get(send)).state is State.SENT


async def start_often(it: Office, user_id: str) -> None:
    for _ in range(21):
        await it.app.services.connecting.start(user_id, provider="gmail", session_hash=BROWSER)


async def test_starting_very_often_is_slowed_down(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        with pytest.raises(TooManyRequests) as slower:
            await start_often(it, alice)
        assert slower.value.retry_after > 0


async def test_every_category_is_shown_and_what_is_not_configured_says_what_is_missing(
    office: Opening,
) -> None:
    async with office(GOOGLE_CLIENT_ID="") as it:
        alice = await it.person("Alice")
        sections = await it.app.services.connecting.integrations(alice)
        assert [category.value for category, _ in sections] == ["meetings", "calendar", "email", "crm"]
        cards = {card.name: card for _, cards in sections for card in cards}
        assert (cards["gmail"].missing, cards["gmail"].can_connect) == (("GOOGLE_CLIENT_ID",), False)
        assert cards["outlook"].can_connect
        assert not cards["resend"].can_connect
        assert cards["gmail"].redirect_uri == "http://localhost:8000/api/auth/gmail/callback"


async def test_an_account_that_is_disconnected_while_a_send_is_accepted_refuses_it(
    office: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await it.connect(alice)
        draft = await it.draft(alice)
        material = await it.app.database.read(sending.read_material, user_id=alice, draft_id=draft.id)
        await it.app.database.transaction(
            connections.begin_disconnect, user_id=alice, connection_id=mailbox.id
        )
        monkeypatch.setattr(sending, "read_material", lambda *_, **__: material)
        with pytest.raises(Conflict) as refused_now:
            await it.app.services.sending.accept(alice, draft_id=draft.id)
        assert refused_now.value.code == "no_way_to_send"
