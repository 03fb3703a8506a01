"""Sends of unknown outcome, leave to look for them, and time that passes: for tests of looking in the Sent folder."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from replysequence.domain.connection import Connection
from replysequence.domain.event import Event, Kind
from replysequence.domain.send import Send, State
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.services.connecting import Connected
from replysequence.storage.database import Transaction
from replysequence.storage.tables import events, routes, send_attempts, sends
from support.office import Office

DANA_AT_OUTLOOK = "dana.reyes@outlook.example"
_STARTED = send_attempts.c.started_at


async def allow(
    it: Office, mine: Connection, *, account: str | None = None, untick: tuple[str, ...] = ()
) -> Connected:
    """Its owner lets us look in the Sent folder of `mine`; the flow's end."""
    more: dict[str, Any] = {"untick": untick} if untick else {}
    parameters = await it.consent(
        mine.user_id,
        account=account or mine.email,
        provider=mine.provider,
        connection_id=mine.id,
        look_up=True,
        **more,
    )
    return await it.finish(mine.user_id, parameters, provider=mine.provider)


async def unknown(
    it: Office, user_id: str, *, left: bool, vendor: Vendor = Vendor.GOOGLE, **draft: Any
) -> Send:
    """A send of which nobody knows whether it left."""
    kind = "close_after_acceptance" if left else "close_before_acceptance"
    it.box.world.faults.arm(Fault(kind=kind, vendor=vendor))
    send = await it.sent(user_id, **draft)
    assert send.state is State.UNKNOWN
    return send


async def pass_minutes(it: Office, minutes: float) -> None:
    """As if so much time had passed, here and at the vendors."""
    it.box.world.clock.advance(minutes * 60)
    await it.app.database.transaction(_age, by=timedelta(minutes=minutes))


def _age(transaction: Transaction, *, by: timedelta) -> None:
    for table, column in ((sends, sends.c.updated_at), (events, events.c.at), (send_attempts, _STARTED)):
        for was in transaction.execute(select(column).distinct()).scalars().all():
            transaction.execute(update(table).where(column == was).values({column: was - by}))
    transaction.execute(update(routes).values(paced_until=None))


async def look(it: Office) -> int:
    """Every planned look that is due; how many."""
    return await it.app.services.looking_up.look()


def looked(send: Send) -> list[Event]:
    """The looks that did not find it."""
    return [event for event in send.events if event.kind is Kind.SEND_LOOKED_FOR]


def asked(it: Office) -> int:
    """How often anybody was asked what lies in a Sent folder, once `watch` was called."""
    return len([each for each in it.box.world.faults.strikes if each.endpoint is Endpoint.LOOK_UP])


def watch(it: Office) -> None:
    """Count from now on how often a Sent folder is asked for."""
    for vendor in (Vendor.GOOGLE, Vendor.MICROSOFT):
        it.box.world.faults.arm(
            Fault(kind="slow", vendor=vendor, endpoint=Endpoint.LOOK_UP, count=None, delay_seconds=0)
        )
