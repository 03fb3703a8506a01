"""One mail to a person whose account broke: a worker sends it through the relay, to the person's own address.

It is written down in the transaction that marks the connection, and handed over under one idempotency key for each
break. As long as the relay remembers that key the mail is repeated until the relay has taken it; after that it is
given up: the pages say the same. Without a relay they alone do.
"""

from datetime import datetime, timedelta
from html import escape

from replysequence import logs
from replysequence.domain.errors import Rejected, ReplySequenceError, TryLater
from replysequence.domain.event import Kind
from replysequence.domain.message import Address, Message, new_message_id
from replysequence.providers.base import Relay
from replysequence.providers.registry import Registry
from replysequence.storage import alerts, events, holding
from replysequence.storage.alerts import Alert
from replysequence.storage.database import Database, Transaction, now

_log = logs.logger("services.telling")

PAUSES = (timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
"""How long to wait after the first, second, … attempt when the relay names no time. The first is longer than an
exchange can take: until then nobody else tries."""
_AT_A_TIME = 20


class Telling:
    """Tells people by mail what they cannot see while they look elsewhere. For workers."""

    def __init__(self, *, database: Database, registry: Registry, public_url: str) -> None:
        self._database = database
        self._registry = registry
        self._public_url = public_url

    async def tell(self) -> int:
        """Send the mails that are due; returns how many the relay took. Any worker may do it at any time."""
        relay = self._registry.relay()
        if relay is None or not await self._database.read(alerts.something_due):
            return 0
        taken = await self._database.transaction(
            _take, sender=relay.sender, window=relay.repeatable_for, public_url=self._public_url
        )
        return sum([await self._hand_over(relay, alert, message) for alert, message in taken])

    async def _hand_over(self, relay: Relay, alert: Alert, message: Message) -> bool:
        try:
            await relay.send(relay.prepare(message), key=alert.key)
        except Rejected as error:
            _log.warning("alert.refused", connection_id=alert.connection_id, code=error.code)
            await self._database.transaction(alerts.close, alert, outcome="refused")
            return False
        except ReplySequenceError as error:
            _log.warning("alert.put_off", connection_id=alert.connection_id, code=error.code)
            await self._database.transaction(_put_off, alert, error=error)
            return False
        await self._database.transaction(_told, alert, via=relay.name)
        _log.info("alert.sent", connection_id=alert.connection_id, via=relay.name)
        return True


def _take(
    transaction: Transaction, *, sender: Address, window: timedelta, public_url: str
) -> list[tuple[Alert, Message]]:
    """What is to be handed over now, each with its mail; what is over is closed."""
    at = now(transaction)
    found = []
    for alert in alerts.take(transaction, limit=_AT_A_TIME, lease=PAUSES[0], at=at):
        if alert.repaired:
            alerts.close(transaction, alert, outcome="repaired")
        elif at >= alert.created_at + window:
            _log.warning("alert.given_up", connection_id=alert.connection_id, attempts=alert.attempts - 1)
            alerts.close(transaction, alert, outcome="given_up")
        else:
            found.append((alert, alert.message or _composed(transaction, alert, sender, public_url, at)))
    return found


def _composed(
    transaction: Transaction, alert: Alert, sender: Address, public_url: str, at: datetime
) -> Message:
    """The mail, frozen: under the same key the relay takes the same bytes only."""
    waiting = holding.held(transaction, connection_id=alert.connection_id)
    message = compose(alert, waiting=waiting, sender=sender, public_url=public_url, at=at)
    alerts.freeze(transaction, alert, message)
    return message


def compose(alert: Alert, *, waiting: int, sender: Address, public_url: str, at: datetime) -> Message:
    """The mail of one break: which address, why, how many sends wait, and where to repair it. Nothing of any draft."""
    link = f"{public_url}/settings/integrations"
    happened = f"ReplySequence can no longer send from {alert.email}."
    why = alert.problem or "The permission to send is no longer valid. Connect the account again."
    waits = _waits(waiting)
    closing = "This is the only mail about it."
    text = f"{happened}\n\n{why}\n\n{waits}\n\nConnect it again here:\n{link}\n\n{closing}\n"
    html = (
        f"<p>{escape(happened)}</p>\n<p>{escape(why)}</p>\n<p>{escape(waits)}</p>\n"
        f'<p><a href="{escape(link)}">Connect it again</a><br>{escape(link)}</p>\n<p>{escape(closing)}</p>\n'
    )
    return Message(
        sender=Address(sender.name or "ReplySequence", sender.email),
        to=(alert.owner,),
        cc=(),
        bcc=(),
        reply_to=(),
        subject=f"Connect {alert.email} again",
        html=html,
        text=text,
        attachments=(),
        message_id=new_message_id(alert.key, sender.domain),
        date=at,
    )


def _waits(count: int) -> str:
    if count == 0:
        return "No message waits for it right now. New ones wait, and leave from no other address."
    those = "1 message waits" if count == 1 else f"{count} messages wait"
    return f"{those} for it. Nothing is lost, and nothing leaves from another address."


def _put_off(transaction: Transaction, alert: Alert, *, error: ReplySequenceError) -> None:
    at = now(transaction)
    pause = PAUSES[min(alert.attempts, len(PAUSES)) - 1]
    until = at + pause
    if isinstance(error, TryLater):
        until = error.not_before or (at + timedelta(seconds=error.delay) if error.delay else until)
    alerts.put_off(transaction, alert, until=max(until, at))


def _told(transaction: Transaction, alert: Alert, *, via: str) -> None:
    if alerts.close(transaction, alert, outcome="sent"):
        events.append(
            transaction,
            user_id=alert.user_id,
            kind=Kind.CONNECTION_OWNER_TOLD,
            connection_id=alert.connection_id,
            data={"via": via},
        )
