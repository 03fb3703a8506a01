"""The one mail about a broken account: who gets it, what it says, and that it comes once whatever goes wrong."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import case, null, select, update

from replysequence.domain.address import Address
from replysequence.domain.connection import Connection
from replysequence.domain.errors import ReconnectNeeded
from replysequence.domain.event import Kind
from replysequence.domain.message import check_message
from replysequence.domain.send import State
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from replysequence.sandbox.faults import Fault
from replysequence.sandbox.mailbox import ReceivedMail, open_mail
from replysequence.sandbox.running import RunningSandbox
from replysequence.services import telling
from replysequence.services.telling import Telling, compose
from replysequence.services.tidying import tidy
from replysequence.storage.alerts import Alert
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import alerts, users
from support.ledger import NOON
from support.office import DANA, PUBLIC_URL, Office, Opening


def teller(it: Office) -> Telling:
    return it.app.worker._telling


async def broken(it: Office, user_id: str, *, sends: int = 2) -> Connection:
    """An account of which the person took the consent back at Google, noticed by the first of some sends."""
    mailbox = await it.connect(user_id)
    for _ in range(sends):
        await it.accept(user_id)
    act(it.box.world, it.box.world.accounts.at(Vendor.GOOGLE, DANA), "remove_access")
    await it.expire_access_tokens()
    await it.work()
    return mailbox


async def address(it: Office, user_id: str) -> str:
    asked = select(users.c.email).where(users.c.id == user_id)
    found: str = await it.app.database.read(lambda transaction: transaction.execute(asked).scalar_one())
    return found


def mails(box: RunningSandbox) -> list[ReceivedMail]:
    """What left through Resend."""
    return [
        open_mail(message.delivered)
        for message in box.world.messages.values()
        if message.vendor is Vendor.RESEND
    ]


def keys(box: RunningSandbox) -> list[str | None]:
    """Under which keys Resend accepted something."""
    return [entry.idempotency_key for entry in box.world.ledger if entry.vendor == "resend"]


def trouble(box: RunningSandbox, kind: str) -> None:
    box.world.faults.arm(Fault(kind=kind, vendor=Vendor.RESEND))


async def later(it: Office, *, age: timedelta = timedelta(0)) -> None:
    """As if the next attempt were due, and the break so old."""

    def work(transaction: Transaction) -> None:
        at = now(transaction)
        transaction.execute(
            update(alerts).values(
                created_at=at - age, next_at=case((alerts.c.next_at.is_not(None), at), else_=null())
            )
        )

    await it.app.database.transaction(work)


async def outcomes(it: Office) -> list[str | None]:
    asked = select(alerts.c.outcome).order_by(alerts.c.token_generation)
    return await it.app.database.read(lambda transaction: list(transaction.execute(asked).scalars()))


async def due_in(it: Office) -> timedelta:
    """How long until the next attempt."""

    def work(transaction: Transaction) -> timedelta:
        [due] = transaction.execute(select(alerts.c.next_at)).scalars()
        assert due is not None
        wait: timedelta = due - now(transaction)
        return wait

    return await it.app.database.read(work)


async def told(it: Office, user_id: str) -> int:
    events = (await it.app.services.history.events(user_id)).items
    return sum(event.kind is Kind.CONNECTION_OWNER_TOLD for event in events)


async def test_the_owner_is_told_once_by_mail_which_address_broke_why_and_how_much_waits(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        mailbox = await broken(it, alice, sends=3)
        assert await teller(it).tell() == 1
        assert await teller(it).tell() == 0
        [mail] = mails(box)
        assert mail.to == await address(it, alice)
        assert mail.sender_address in it.box.environment["RESEND_FROM"]
        assert DANA in mail.subject
        for said in (mail.text or "", mail.html or ""):
            assert f"can no longer send from {DANA}" in said
            assert "the access was removed or has expired" in said
            assert "3 messages wait for it" in said
            assert f"{PUBLIC_URL}/settings/integrations" in said
            assert "Our meeting" not in said
            assert "bob@customer.example" not in said
        assert keys(box) == [f"reconnect-{mailbox.id}-{mailbox.token_generation}"]
        assert (await told(it, alice), await outcomes(it)) == (1, ["sent"])


async def test_without_a_relay_nothing_is_mailed_and_nothing_breaks(
    office: Opening, box: RunningSandbox
) -> None:
    async with office(RESEND_API_KEY="") as it:
        alice = await it.person("Alice")
        await broken(it, alice)
        assert await teller(it).tell() == 0
        [held] = await it.app.services.deciding.held(alice)
        assert (held.broken, held.waiting) == (True, 2)
    assert mails(box) == []


@pytest.mark.parametrize(
    "kind", ["reset_after_acceptance", "error_500_after_acceptance", "reset_before_reading"]
)
async def test_an_answer_that_is_lost_is_asked_for_again_and_no_second_mail_comes(
    office: Opening, box: RunningSandbox, kind: str
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await broken(it, alice, sends=1)
        trouble(box, kind)
        assert await teller(it).tell() == 0
        assert await teller(it).tell() == 0, "it was tried again before its time"
        await it.accept(alice)  # more waits by now; the mail stays as it was, or the relay would refuse it
        await later(it)
        assert await teller(it).tell() == 1
        await later(it)
        assert await teller(it).tell() == 0
        [mail] = mails(box)
        assert "1 message waits" in (mail.text or "")
        assert len(keys(box)) == 1


async def test_a_process_that_dies_with_the_mail_in_hand_leaves_it_to_another(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await broken(it, alice)
        trouble(box, "hang_after_acceptance")
        dying = asyncio.create_task(teller(it).tell())
        while not mails(box):
            await asyncio.sleep(0.01)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        box.world.faults.clear(None)
        await later(it)
        assert await teller(it).tell() == 1
        assert len(mails(box)) == 1


async def test_several_workers_at_once_hand_it_over_once(office: Opening, box: RunningSandbox) -> None:
    async with office() as it, office() as other:
        alice = await it.person("Alice")
        await broken(it, alice)
        tellers = [teller(it), teller(other)] * 4
        assert sum(await asyncio.gather(*(each.tell() for each in tellers))) == 1
        assert len(mails(box)) == 1


async def test_however_many_sends_find_it_broken_at_once_it_is_one_mail(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it, office() as other:
        mailbox = await it.connect(await it.person("Alice"))
        usable = await it.tokens.usable(mailbox.id)
        gone = ReconnectNeeded("The access was removed.", code="grant_gone")
        await asyncio.gather(*(each.tokens.give_up(usable, error=gone) for each in [it, other] * 5))
        assert await teller(it).tell() + await teller(other).tell() == 1
        assert len(mails(box)) == 1


async def test_a_break_is_forgotten_after_a_month(office: Opening) -> None:
    async with office() as it:
        await broken(it, await it.person("Alice"))
        await teller(it).tell()
        await tidy(it.app.database)
        assert await outcomes(it) == ["sent"]
        await later(it, age=timedelta(days=31))
        await tidy(it.app.database)
        assert await outcomes(it) == []


def test_the_mail_holds_what_it_quotes_and_nothing_that_a_browser_would_run() -> None:
    alert = Alert(
        connection_id="01a204a3-e69a-7898-9116-400a1cfb818a",
        token_generation=3,
        user_id="u",
        email="dana@brightwave.example",
        problem="<b>Ask</b> “IT” & connect again.",
        owner=Address("", "alice@team.example"),
        repaired=False,
        attempts=1,
        created_at=NOON,
        message=None,
    )
    sender = Address("", "follow-up@relay.example")
    message = compose(alert, waiting=0, sender=sender, public_url="https://rs.example/?a=1&b", at=NOON)
    assert check_message(message) == []
    assert message.html is not None
    assert "<b>" not in message.html
    assert "&lt;b&gt;Ask&lt;/b&gt; “IT” &amp; connect again." in message.html
    assert 'href="https://rs.example/?a=1&amp;b/settings/integrations"' in message.html
    assert "<b>Ask</b> “IT” & connect again." in (message.text or "")
    assert "No message waits for it right now." in (message.text or "")
    assert (message.sender.name, message.to) == ("ReplySequence", (alert.owner,))


async def test_what_was_repaired_before_is_not_mailed(office: Opening, box: RunningSandbox) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await broken(it, alice)
        await it.connect(alice)
        assert await teller(it).tell() == 0
        assert (mails(box), await outcomes(it)) == ([], ["repaired"])


async def test_each_break_is_told_once(office: Opening, box: RunningSandbox) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        for number in (1, 2):
            await broken(it, alice, sends=1)
            assert await teller(it).tell() == 1
            assert len(set(keys(box))) == len(mails(box)) == number


async def test_a_disconnect_is_not_mailed_and_takes_the_alert_with_it(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice, bob = await it.person("Alice"), await it.person("Bob")
        await broken(it, alice)
        await it.app.services.disconnecting.disconnect(alice, provider="gmail")
        await it.connect(bob)
        await it.app.services.disconnecting.disconnect(bob, provider="gmail")
        assert await teller(it).tell() == 0
        assert (mails(box), await outcomes(it)) == ([], [])


async def test_a_relay_that_never_takes_it_is_left_alone_once_it_could_not_tell_a_second_copy(
    office: Opening, box: RunningSandbox
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await broken(it, alice)
        for hours in (0, 10, 19):
            trouble(box, "error_500_after_acceptance" if hours == 0 else "reset_before_reading")
            await later(it, age=timedelta(hours=hours))
            assert await teller(it).tell() == 0
        await later(it, age=timedelta(hours=20))
        assert await teller(it).tell() == 0
        assert (await outcomes(it), await told(it, alice), len(mails(box))) == (["given_up"], 0, 1)


async def test_a_mail_that_the_relay_refuses_is_not_tried_again(office: Opening, box: RunningSandbox) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await broken(it, alice)
        box.world.resend.at_send = "invalid_parameter"
        assert await teller(it).tell() == 0
        box.world.resend.at_send = ""
        await later(it)
        assert (await teller(it).tell(), await outcomes(it)) == (0, ["refused"])


async def test_a_relay_that_is_busy_says_when(office: Opening, box: RunningSandbox) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await broken(it, alice)
        trouble(box, "refused_429")
        assert await teller(it).tell() == 0
        assert timedelta(0) < await due_in(it) < timedelta(seconds=30)
        await later(it)
        assert await teller(it).tell() == 1


async def test_the_mail_does_not_disturb_the_sends_of_a_relay(office: Opening) -> None:
    async with office() as it:
        alice, bob = await it.person("Alice"), await it.person("Bob")
        await broken(it, alice)
        assert await teller(it).tell() == 1
        assert (await it.sent(bob)).state is State.SENT


def test_a_lease_is_longer_than_an_exchange() -> None:
    assert telling.PAUSES[0] > timedelta(seconds=10 + 30 + 120)
