"""From claim to ending: what each answer of a provider leads to, judged by the ledger on the provider's side."""

import asyncio
import random
import threading
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import update

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.errors import DatabaseUnavailable
from replysequence.domain.event import Kind
from replysequence.domain.send import Outcome, Send, State
from replysequence.providers import resend
from replysequence.providers.gmail import Gmail
from replysequence.providers.resend import Resend
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.running import RunningSandbox
from replysequence.services import dispatching
from replysequence.storage import endings, routes
from replysequence.storage.claims import Claimed
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import sends
from support.office import DANA, DANA_AT_CONTOSO, DANA_AT_HOME, Office, Opening

GOOGLE, MICROSOFT, RESEND = Vendor.GOOGLE, Vendor.MICROSOFT, Vendor.RESEND
MAILBOXES = [
    pytest.param("gmail", DANA, GOOGLE, id="gmail"),
    pytest.param("outlook", DANA_AT_CONTOSO, MICROSOFT, id="outlook"),
]
AFTER_ACCEPTANCE = [
    "reset_after_acceptance",
    "close_after_acceptance",
    "error_500_after_acceptance",
    "error_502_after_acceptance",
    "error_503_after_acceptance",
    "error_504_after_acceptance",
]
NOTHING_DONE_BUT_WHO_KNOWS = ["reset_before_acceptance", "close_before_acceptance", "refused_503"]
ACCEPTED_ALL_THE_SAME = {
    GOOGLE: ["truncated_after_acceptance", "garbage_after_acceptance"],
    MICROSOFT: ["accepted_with_retry_after", "garbage_after_acceptance"],  # a 202 has no body to break off
}


def arm(box: RunningSandbox, kind: str, vendor: Vendor, **more: object) -> None:
    box.world.faults.arm(Fault(kind=kind, vendor=vendor, **more))  # type: ignore[arg-type]


async def test_a_send_leaves_from_the_persons_own_mailbox(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        send = await it.sent(alice)
        assert (send.state, send.route.via, send.route.sender.email) == (State.SENT, "gmail", DANA)
        assert send.provider_message_id is not None
        (entry,) = it.box.world.ledger.of_send(send.id)
        assert (entry.account, entry.recipients) == (DANA, ("bob@customer.example",))
        kinds = [event.kind for event in send.events]
        assert kinds == [Kind.SEND_ACCEPTED, Kind.SEND_SENT]


async def test_who_has_connected_nothing_is_sent_by_the_relay_and_answered_at_their_own_address(
    office: Opening,
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        send = await it.sent(alice)
        assert (send.state, send.route.via) == (State.SENT, "resend")
        assert send.route.reply_to is not None
        (entry,) = it.box.world.ledger.of_send(send.id)
        assert entry.idempotency_key == send.id


@pytest.mark.parametrize(("provider", "account", "vendor"), MAILBOXES)
async def test_what_may_have_been_accepted_is_unknown_and_never_repeated(
    office: Opening, box: RunningSandbox, provider: str, account: str, vendor: Vendor
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice, provider=provider, account=account)
        for kind in AFTER_ACCEPTANCE + NOTHING_DONE_BUT_WHO_KNOWS:
            arm(box, kind, vendor)
            send = await it.sent(alice, subject=kind)
            assert (send.state, send.attempts[0].outcome) == (State.UNKNOWN, Outcome.UNKNOWN), kind
            assert send.reason, kind
            assert send.explanation, kind
            await it.skip_waits()
            assert await it.work() == 0, kind
            assert it.accepted_by_provider(send) == (kind in AFTER_ACCEPTANCE), kind


@pytest.mark.parametrize(("provider", "account", "vendor"), MAILBOXES)
async def test_what_was_accepted_is_sent_however_broken_the_answer(
    office: Opening, box: RunningSandbox, provider: str, account: str, vendor: Vendor
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice, provider=provider, account=account)
        for kind in ACCEPTED_ALL_THE_SAME[vendor]:
            arm(box, kind, vendor)
            send = await it.sent(alice, subject=kind)
            assert send.state is State.SENT, kind
            assert it.accepted_by_provider(send) == 1, kind


@pytest.mark.parametrize(("provider", "account", "vendor"), MAILBOXES)
async def test_what_was_provably_not_sent_is_tried_again(
    office: Opening, box: RunningSandbox, provider: str, account: str, vendor: Vendor
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice, provider=provider, account=account)
        content = {"text": "large " * 200_000}
        arm(box, "reset_before_reading", vendor)
        send = await it.sent(alice, **content)
        assert (send.state, send.attempts[0].outcome) == (State.QUEUED, Outcome.NEVER_SENT)
        assert send.attempts[0].phase == "sending", "nobody answered"
        await it.skip_waits()
        await it.work()
        assert (await it.get(send)).state is State.SENT
        assert it.accepted_by_provider(send) == 1


async def test_a_429_with_a_time_pauses_the_mailbox_and_no_other(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice, bob = await it.person("Alice"), await it.person("Bob")
        await it.connect(alice)
        await it.connect(bob, account=DANA_AT_HOME)
        arm(box, "refused_429", GOOGLE, account=DANA, retry_after_seconds=600)
        first = await it.sent(alice)
        assert (first.state, first.reason) == (State.QUEUED, "rate_limited")
        assert first.next_at is not None
        assert first.next_at - first.updated_at > timedelta(minutes=9)
        second = await it.sent(alice)
        assert (second.state, second.attempts) == (State.QUEUED, ())
        assert (await it.sent(bob)).state is State.SENT
        await it.skip_waits()
        await it.work()
        assert [it.accepted_by_provider(send) for send in (first, second)] == [1, 1]


async def test_a_refused_access_token_is_refreshed_once_and_the_message_is_sent_once(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        box.world.credentials.expire_access_tokens(box.world.accounts.at(GOOGLE, DANA))
        send = await it.sent(alice)
        assert (send.state, len(send.attempts)) == (State.SENT, 1)
        assert it.accepted_by_provider(send) == 1
        assert (await it.connections(alice))[0].token_generation == 2


async def test_a_token_that_is_refused_twice_needs_a_reconnect_and_everything_waits_for_it(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        arm(box, "refused_401", GOOGLE, count=2)
        first, second = await it.accept(alice), await it.accept(alice)
        await it.work()
        for send in (await it.get(first), await it.get(second)):
            assert (send.state, send.next_at) == (State.WAITING, None)
        (mailbox,) = await it.connections(alice)
        assert mailbox.status is ConnectionStatus.NEEDS_RECONNECT
        third = await it.sent(alice)
        assert third.state is State.WAITING
        await it.connect(alice)
        await it.work()
        for send in (first, second, third):
            assert (await it.get(send)).state is State.SENT
            assert it.accepted_by_provider(send) == 1


@pytest.mark.parametrize(
    ("provider", "account", "failure"),
    [
        ("gmail", DANA, "domain_policy"),
        ("outlook", DANA_AT_CONTOSO, "access_denied"),
        ("outlook", DANA_AT_CONTOSO, "no_mailbox"),
    ],
)
async def test_a_mailbox_that_may_not_send_needs_its_owner_and_is_not_replaced_by_the_relay(
    office: Opening, box: RunningSandbox, provider: str, account: str, failure: str
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice, provider=provider, account=account)
        vendor = GOOGLE if provider == "gmail" else MICROSOFT
        box.world.accounts.at(vendor, account).switch({"at_send": failure})
        send = await it.sent(alice)
        assert (send.state, send.route.via) == (State.WAITING, provider)
        (mailbox,) = await it.connections(alice)
        assert mailbox.status is ConnectionStatus.NEEDS_RECONNECT
        assert (await it.accept(alice)).route.via == provider
        assert len(box.world.ledger) == 0


async def test_a_conversation_that_is_gone_does_not_keep_the_message_from_leaving(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        send = await it.sent(alice, thread_id="0123456789abcdef", in_reply_to="<1@customer.example>")
        assert (send.state, len(send.attempts)) == (State.SENT, 1)
        assert it.accepted_by_provider(send) == 1
        assert send.thread_id != "0123456789abcdef"


async def test_an_operators_fault_pauses_the_route_and_blames_nobody(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        account = box.world.accounts.at(GOOGLE, DANA)
        account.switch({"at_send": "api_disabled"})
        first, second = await it.accept(alice), await it.accept(alice)
        await it.work()
        assert ((await it.get(first)).state, (await it.get(first)).reason) == (State.QUEUED, "api_disabled")
        assert (await it.get(second)).attempts == ()
        assert (await it.connections(alice))[0].status is ConnectionStatus.ACTIVE
        account.switch({"at_send": ""})
        await it.skip_waits()
        await it.work()
        assert [it.accepted_by_provider(send) for send in (first, second)] == [1, 1]


@pytest.mark.parametrize("kind", ["error_503_after_acceptance", "reset_after_acceptance", "refused_500"])
async def test_a_relay_gets_the_same_key_again_and_the_mail_goes_once(
    office: Opening, box: RunningSandbox, kind: str
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        arm(box, kind, RESEND)
        send = await it.sent(alice)
        assert (send.state, send.attempts[0].outcome) == (State.QUEUED, Outcome.UNKNOWN)
        await it.skip_waits()
        await it.work()
        assert (await it.get(send)).state is State.SENT
        assert it.accepted_by_provider(send) == 1


async def test_a_send_that_could_not_leave_in_time_fails_and_says_so(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        send = await it.accept(alice)
        await it.app.database.transaction(_its_time_is_over, send)
        await it.work()
        send = await it.get(send)
        assert (send.state, send.reason, len(it.box.world.ledger)) == (State.FAILED, "expired", 0)


async def test_a_relay_send_that_may_be_out_does_not_expire_as_if_it_were_not(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        arm(box, "reset_after_acceptance", RESEND)
        send = await it.sent(alice)
        await it.skip_waits()
        await it.app.database.transaction(_its_time_is_over, send)
        await it.work()
        send = await it.get(send)
        assert (send.state, send.reason) == (State.UNKNOWN, "no_longer_repeatable")
        assert it.accepted_by_provider(send) == 1


async def test_a_relay_send_that_may_be_out_does_not_fail_when_its_repetition_is_refused(
    office: Opening, box: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        arm(box, "reset_after_acceptance", RESEND)
        send = await it.sent(alice)
        await it.skip_waits()
        monkeypatch.setattr(resend, "MAX_REQUEST", 10)
        await it.work()
        send = await it.get(send)
        assert (send.state, send.reason) == (State.UNKNOWN, "too_large")
        assert send.explanation is not None
        assert "look whether it arrived" in send.explanation
        assert it.accepted_by_provider(send) == 1


async def test_a_relay_send_is_not_repeated_once_its_key_may_be_forgotten(
    office: Opening, box: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        arm(box, "reset_after_acceptance", RESEND)
        send = await it.sent(alice)
        monkeypatch.setattr(Resend, "repeatable_for", timedelta())
        await it.skip_waits()
        await it.work()
        assert (await it.get(send)).state is State.UNKNOWN
        assert it.accepted_by_provider(send) == 1


def _its_time_is_over(transaction: Transaction, send: Send) -> None:
    transaction.execute(update(sends).where(sends.c.id == send.id).values(give_up_at=now(transaction)))


async def test_a_verdict_outlives_a_database_that_is_away(
    office: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        write, away = endings.end, Counter[str]()

        def no_database(*given: object, **more: object) -> None:
            away["tries"] += 1
            if away["tries"] < 3:
                raise DatabaseUnavailable("away", may_have_committed=False)
            write(*given, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(endings, "end", no_database)
        monkeypatch.setattr(dispatching, "_SHORTEST_RETRY", 0.01)
        send = await it.sent(alice)
        assert (send.state, away["tries"], it.accepted_by_provider(send)) == (State.SENT, 3, 1)


async def test_a_claim_whose_confirmation_was_lost_is_given_back(
    office: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        send = await it.accept(alice)
        transaction = it.app.database.transaction

        async def unconfirmed(*given: object, **more: object) -> object:
            await transaction(*given, **more)  # type: ignore[arg-type]
            raise DatabaseUnavailable("no answer to COMMIT", may_have_committed=True)

        with monkeypatch.context() as patched:
            patched.setattr(it.app.database, "transaction", unconfirmed)
            with pytest.raises(DatabaseUnavailable):
                await it.claim()
        assert (await it.get(send)).state is State.CLAIMED
        await it.work()
        assert (await it.get(send)).state is State.SENT


async def test_a_bug_in_the_exchange_leaves_the_outcome_unknown(
    office: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*given: object, **more: object) -> None:
        raise ZeroDivisionError

    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        monkeypatch.setattr(Gmail, "send", broken)
        send = await it.sent(alice)
        assert (send.state, send.reason) == (State.UNKNOWN, "internal_error")


async def test_a_bug_before_the_exchange_loses_nothing(
    office: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object, **more: object) -> None:
        raise ZeroDivisionError

    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        with monkeypatch.context() as patched:
            patched.setattr(Gmail, "prepare", broken)
            send = await it.sent(alice)
        assert (send.state, send.reason) == (State.QUEUED, "internal_error")
        await it.skip_waits()
        await it.work()
        assert it.accepted_by_provider(send) == 1


async def test_over_a_mixed_run_nothing_is_lost_nothing_doubled_and_every_unknown_explained(
    office: Opening, box: RunningSandbox
) -> None:
    for vendor in Vendor:
        box.world.settings[vendor].units_per_minute = 1_000_000
        for number, kind in enumerate((*AFTER_ACCEPTANCE, *NOTHING_DONE_BUT_WHO_KNOWS, "refused_429")):
            arm(box, kind, vendor, count=None, probability=0.03, seed=number, retry_after_seconds=1)
    arm(box, "refused_503", GOOGLE, endpoint=Endpoint.TOKEN, count=None, probability=0.2, seed=7)
    box.world.resend.requests_per_second = 1_000
    choice = random.Random(11)
    async with office() as it:
        alice, bob, charlie = [await it.person(name) for name in ("Alice", "Bob", "Charlie")]
        await it.connect(alice)
        await it.connect(bob, provider="outlook", account=DANA_AT_CONTOSO)
        made = [await it.accept(choice.choice([alice, bob, charlie])) for _ in range(150)]
        await it.expire_access_tokens()
        while await _unfinished(it, made):
            await it.work()
            await it.skip_waits()
        ended = [await it.get(send) for send in made]
        states = Counter(send.state for send in ended)
        assert set(states) == {State.SENT, State.UNKNOWN}
        for send in ended:
            accepted = it.accepted_by_provider(send)
            assert accepted == 1 if send.state is State.SENT else accepted <= 1
            assert send.state is State.SENT or (send.reason and send.explanation)
            assert send.state is State.SENT or send.route.via != "resend"
        assert states[State.SENT] > 100
        assert len(box.world.faults.strikes) > 20


async def _unfinished(it: Office, made: list[Send]) -> bool:
    return any([(await it.get(send)).state in (State.QUEUED, State.WAITING) for send in made])


async def test_what_breaks_while_other_sends_are_taken_back_is_taken_back_the_next_time(
    office: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        sent = [await it.accept(alice), await it.accept(alice)]
        broken, forgotten = [*await it.claim(), *await it.claim()]
        locked, go_on = threading.Event(), threading.Event()

        def hold_the_route(transaction: Transaction) -> None:
            routes.lock(transaction, route_id=broken.route_id)
            locked.set()
            go_on.wait(timeout=10)

        async def break_down(_: Claimed) -> None:
            raise RuntimeError("a bug")

        it.dispatching._in_hand.discard((forgotten.id, forgotten.attempt))
        it.dispatching._may_hold_more = True
        monkeypatch.setattr(it.dispatching, "_attempt", break_down)
        holding = asyncio.create_task(it.app.database.transaction(hold_the_route))
        await asyncio.to_thread(locked.wait, 10)
        taking_back = asyncio.create_task(it.dispatching.claim(room={}))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="a bug"):
            await it.dispatching.carry_out(broken)
        go_on.set()
        await asyncio.gather(holding, taking_back)
        await it.dispatching.claim(room={})
        assert [(await it.get(each)).state for each in sent] == [State.QUEUED, State.QUEUED]
