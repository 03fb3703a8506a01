"""Every real provider from consent to delivery, against the sandbox's stand-in of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest

from replysequence.domain.errors import (
    AccessTokenRejected,
    ConnectFailed,
    NeverSent,
    OutcomeUnknown,
    ReconnectNeeded,
)
from replysequence.domain.message import Address, Attachment, Message
from replysequence.domain.secret import Secret
from replysequence.providers import oauth
from replysequence.providers.base import CallbackRefusal, Mailbox, Tokens
from replysequence.providers.http import HttpClient
from replysequence.providers.registry import Registry
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.world import World
from support.consent import approve, cancel
from support.messages import a_message

APP = "http://localhost:8000"
ACCOUNTS = [
    pytest.param("gmail", "dana.reyes@brightwave.example", id="gmail, at work"),
    pytest.param("gmail", "dana.reyes@gmail.example", id="gmail, personal"),
    pytest.param("outlook", "dana.reyes@contoso.example", id="outlook, at work"),
    pytest.param("outlook", "dana.reyes@outlook.example", id="outlook, personal"),
]
VENDORS = {"gmail": Vendor.GOOGLE, "outlook": Vendor.MICROSOFT}
SEND_ID = "0193b2c4-0000-7000-8000-000000000001"

every_account = pytest.mark.parametrize(("name", "account"), ACCOUNTS)


@pytest.fixture
def vendors() -> Iterator[RunningSandbox]:
    world = World()
    world.register_app(APP)
    with sandbox(world) as running:
        yield running


class Person:
    """Somebody who connects an account and sends from it."""

    def __init__(self, running: RunningSandbox, *, name: str, account: str) -> None:
        self.running, self.account = running, account
        self.http = HttpClient()
        self.mailbox: Mailbox = Registry(running.environment, self.http).mailbox(name)
        self.verifier, self.challenge = oauth.new_pkce()
        self.redirect_uri = f"{APP}/api/auth/{name}/callback"

    async def __aenter__(self) -> "Person":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    def authorization_url(self) -> str:
        return oauth.authorization_url(
            self.mailbox.oauth,
            redirect_uri=self.redirect_uri,
            state="our-state",
            nonce="our-nonce",
            challenge=self.challenge,
        )

    def callback(self, url: str) -> oauth.Callback:
        return oauth.read_callback(self.mailbox.oauth, parse_qsl(urlsplit(url).query, keep_blank_values=True))

    async def exchange(self, code: Secret, *, nonce: str = "our-nonce") -> Tokens:
        return await oauth.exchange_code(
            self.mailbox.oauth,
            self.http,
            code=code,
            verifier=self.verifier,
            redirect_uri=self.redirect_uri,
            nonce=nonce,
            now=datetime.now(UTC),
        )

    async def connect(self) -> Tokens:
        callback = self.callback(approve(self.authorization_url(), account=self.account))
        assert callback.state == "our-state"
        assert isinstance(callback.answer, Secret)
        return await self.exchange(callback.answer)

    def letter(self, **changes: object) -> Message:
        return a_message(sender=Address("Dana Reyes", self.account), send_id=SEND_ID, **changes)


@every_account
async def test_an_account_is_connected_and_its_letter_arrives(
    *, vendors: RunningSandbox, name: str, account: str
) -> None:
    async with Person(vendors, name=name, account=account) as dana:
        tokens = await dana.connect()
        assert dana.mailbox.oauth.required_scopes <= tokens.scopes
        assert tokens.refresh_token is not None
        assert tokens.claims is not None
        identity = await dana.mailbox.identify(tokens)
        assert (identity.email, identity.display_name) == (account, "Dana Reyes")

        prepared = dana.mailbox.prepare(dana.letter(text="Hello Bob"), thread_id=None)
        receipt = await dana.mailbox.send(prepared, access_token=tokens.access_token)

        assert receipt.status in (200, 202)
        arrived = vendors.world.inbox("bob@customer.example")
        assert [message.subject for message in arrived] == ["Our meeting"]
        assert len(vendors.world.ledger.of_send(SEND_ID)) == 1


@every_account
@pytest.mark.parametrize("size", [10, 1_500_000])
async def test_a_letter_with_a_file_in_a_conversation_arrives_whole(
    *, vendors: RunningSandbox, name: str, account: str, size: int
) -> None:
    async with Person(vendors, name=name, account=account) as dana:
        tokens = await dana.connect()
        file = Attachment("Angebot für Bob.pdf", "application/pdf", bytes(size))
        letter = dana.letter(
            attachments=(file,), in_reply_to="<first@customer.example>", bcc=(Address("", "log@x.example"),)
        )
        await dana.mailbox.send(
            dana.mailbox.prepare(letter, thread_id=None), access_token=tokens.access_token
        )

        (arrived,) = vendors.world.inbox("bob@customer.example")
        assert b"In-Reply-To: <first@customer.example>" in arrived.delivered
        assert len(arrived.delivered) > size
        assert len(vendors.world.inbox("log@x.example")) == 1


@every_account
async def test_a_refresh_keeps_the_account_going_and_a_dead_grant_asks_for_the_person(
    *, vendors: RunningSandbox, name: str, account: str
) -> None:
    async with Person(vendors, name=name, account=account) as dana:
        tokens = await dana.connect()
        assert tokens.refresh_token is not None
        assert tokens.claims is not None
        issuer = (await dana.mailbox.identify(tokens)).issuer
        spec = dana.mailbox.oauth
        fresh = await oauth.refresh(spec, dana.http, refresh_token=tokens.refresh_token, issuer=issuer)
        assert spec.required_scopes <= fresh.scopes
        prepared = dana.mailbox.prepare(dana.letter(), thread_id=None)
        assert (await dana.mailbox.send(prepared, access_token=fresh.access_token)).status in (200, 202)

        vendors.world.faults.arm(Fault(kind="invalid_grant", vendor=VENDORS[name], endpoint=Endpoint.TOKEN))
        with pytest.raises(ReconnectNeeded):
            await oauth.refresh(spec, dana.http, refresh_token=tokens.refresh_token, issuer=issuer)


@every_account
async def test_a_cancelled_consent_comes_back_as_one(
    *, vendors: RunningSandbox, name: str, account: str
) -> None:
    async with Person(vendors, name=name, account=account) as dana:
        callback = dana.callback(cancel(dana.authorization_url(), account=account))

        assert isinstance(callback.answer, CallbackRefusal)
        assert dana.mailbox.oauth.turned_back(callback.answer).code == "access_denied"


@every_account
async def test_a_stolen_code_or_another_attempts_nonce_connects_nobody(
    *, vendors: RunningSandbox, name: str, account: str
) -> None:
    async with Person(vendors, name=name, account=account) as dana:
        callback = dana.callback(approve(dana.authorization_url(), account=account))
        assert isinstance(callback.answer, Secret)
        with pytest.raises(ConnectFailed):
            await dana.exchange(callback.answer, nonce="of-another-attempt")
        callback = dana.callback(approve(dana.authorization_url(), account=account))
        assert isinstance(callback.answer, Secret)
        dana.verifier, _ = oauth.new_pkce()
        with pytest.raises(ReconnectNeeded):
            await dana.exchange(callback.answer)


async def test_a_person_who_unticks_the_box_is_seen_not_to_have_granted_it(
    *, vendors: RunningSandbox
) -> None:
    async with Person(vendors, name="gmail", account="dana.reyes@gmail.example") as dana:
        url = approve(dana.authorization_url(), account=dana.account, untick=["gmail.send"])
        callback = dana.callback(url)
        assert isinstance(callback.answer, Secret)
        tokens = await dana.exchange(callback.answer)

        assert not dana.mailbox.oauth.required_scopes <= tokens.scopes
        prepared = dana.mailbox.prepare(dana.letter(), thread_id=None)
        with pytest.raises(ReconnectNeeded) as caught:
            await dana.mailbox.send(prepared, access_token=tokens.access_token)
        assert caught.value.code == "scope_missing"


@every_account
async def test_a_token_that_is_none_is_told_apart_from_a_message_that_is_none(
    *, vendors: RunningSandbox, name: str, account: str
) -> None:
    async with Person(vendors, name=name, account=account) as dana:
        prepared = dana.mailbox.prepare(dana.letter(), thread_id=None)
        with pytest.raises(AccessTokenRejected):
            await dana.mailbox.send(prepared, access_token=Secret("made-up"))
        assert not list(vendors.world.ledger)


@every_account
@pytest.mark.parametrize(
    "fault", ["reset_before_acceptance", "error_503_after_acceptance", "close_after_acceptance"]
)
async def test_a_fault_around_the_acceptance_is_unknown_and_sent_once_at_most(
    *, vendors: RunningSandbox, name: str, account: str, fault: str
) -> None:
    async with Person(vendors, name=name, account=account) as dana:
        tokens = await dana.connect()
        vendors.world.faults.arm(Fault(kind=fault, vendor=VENDORS[name]))
        prepared = dana.mailbox.prepare(dana.letter(), thread_id=None)
        with pytest.raises(OutcomeUnknown):
            await dana.mailbox.send(prepared, access_token=tokens.access_token)

        assert len(vendors.world.ledger.of_send(SEND_ID)) == (1 if "after" in fault else 0)


async def test_a_thread_of_another_mailbox_was_not_sent_and_goes_without(*, vendors: RunningSandbox) -> None:
    async with Person(vendors, name="gmail", account="dana.reyes@gmail.example") as dana:
        tokens = await dana.connect()
        prepared = dana.mailbox.prepare(dana.letter(), thread_id="00000000deadbeef")
        with pytest.raises(NeverSent) as caught:
            await dana.mailbox.send(prepared, access_token=tokens.access_token)
        assert caught.value.code == "thread_not_found"
        again = dana.mailbox.prepare(dana.letter(), thread_id=None)
        assert (await dana.mailbox.send(again, access_token=tokens.access_token)).thread_id


async def test_a_revoked_account_is_gone_and_revoking_it_again_changes_nothing(
    *, vendors: RunningSandbox
) -> None:
    async with Person(vendors, name="gmail", account="dana.reyes@gmail.example") as dana:
        tokens = await dana.connect()
        assert tokens.refresh_token is not None
        spec = dana.mailbox.oauth
        for _ in range(2):
            assert await oauth.revoke(spec, dana.http, token=tokens.refresh_token)
        with pytest.raises(ReconnectNeeded):
            await oauth.refresh(spec, dana.http, refresh_token=tokens.refresh_token, issuer=spec.issuer)


async def test_a_relay_sends_one_mail_however_often_it_is_asked(*, vendors: RunningSandbox) -> None:
    http = HttpClient()
    relay = Registry(vendors.environment, http).relay()
    assert relay is not None
    letter = replace(a_message(send_id=SEND_ID), sender=replace(relay.sender, name="Alice"))
    vendors.world.faults.arm(Fault(kind="close_after_acceptance", vendor=Vendor.RESEND))
    with pytest.raises(OutcomeUnknown):
        await relay.send(relay.prepare(letter), key=SEND_ID)
    first = await relay.send(relay.prepare(letter), key=SEND_ID)
    second = await relay.send(relay.prepare(letter), key=SEND_ID)
    await http.close()

    assert first.provider_message_id == second.provider_message_id
    assert len(vendors.world.ledger.of_send(SEND_ID)) == 1
    assert len(vendors.world.inbox("bob@customer.example")) == 1
