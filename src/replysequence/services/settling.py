"""What becomes known after a send: a person's word on an unknown one, and a relay's notices."""

from collections.abc import Mapping
from dataclasses import dataclass

from replysequence import logs
from replysequence.domain.errors import InvalidInput, NotFound
from replysequence.domain.event import Kind
from replysequence.domain.report import Correction
from replysequence.domain.send import Send, State, Verdict
from replysequence.providers.base import Relay, RelayNotice
from replysequence.providers.registry import Registry
from replysequence.services.sending import Sending, write
from replysequence.storage import events, reports, sends, webhook_deliveries
from replysequence.storage.accepting import NewSend
from replysequence.storage.database import Database, Transaction, now

_log = logs.logger("services.settling")


@dataclass(frozen=True, slots=True)
class Settled:
    """The send that was settled, and the one that follows it if it was to be sent again."""

    send: Send
    again: Send | None


class Settling:
    """Settle unknown sends, and read a relay's notices."""

    def __init__(self, *, database: Database, registry: Registry, sending: Sending) -> None:
        self._database = database
        self._registry = registry
        self._sending = sending

    async def settle(
        self, user_id: str, *, send_id: str, verdict: Verdict, send_again: bool = False
    ) -> Settled:
        """Record a person's word on an unknown send; with ``send_again`` a new send of its draft follows.

        Both or neither: when the draft cannot be sent, the send stays unknown. Raises :class:`NotFound`,
        :class:`Conflict` when it is not unknown, :class:`InvalidInput` when something that was sent is to be
        sent again, and what :meth:`Sending.accept` raises.
        """
        if send_again and verdict is Verdict.SENT:
            raise InvalidInput("send_again", "What was sent is not sent again. Write a new draft instead.")
        following = None
        if send_again:
            send = await self._sending.get(user_id, send_id=send_id)
            following = await self._sending.freeze(user_id, draft_id=send.draft_id, previous_send_id=send.id)
        await self._database.transaction(
            _settle, user_id=user_id, send_id=send_id, verdict=verdict, following=following
        )
        return Settled(
            send=await self._sending.get(user_id, send_id=send_id),
            again=await self._sending.get(user_id, send_id=following.id) if following else None,
        )

    async def sent_folder_url(self, user_id: str, *, send_id: str) -> str | None:
        """A link that opens the person's Sent folder at this send's subject; none for a relay."""
        send = await self._sending.get(user_id, send_id=send_id)
        if send.route.connection_id is None:
            return None
        return self._registry.mailbox(send.route.via).sent_folder_url(
            email=send.route.sender.email, subject=send.subject
        )

    async def notices(self, provider: str, *, headers: Mapping[str, str], body: bytes) -> int:
        """Record what a relay tells by webhook; returns how many notices were new.

        Raises :class:`NotFound` for a provider without webhooks, :class:`NotAllowed` for a wrong signature.
        """
        relay = self._registry.provider(provider)
        if not isinstance(relay, Relay) or relay.missing:
            raise NotFound("webhook")
        at = await self._database.read(now)
        told = relay.read_notices(headers=headers, body=body, now=at)
        return sum([await self._database.transaction(_note, notice, via=provider) for notice in told])


def _settle(
    transaction: Transaction, *, user_id: str, send_id: str, verdict: Verdict, following: NewSend | None
) -> None:
    sends.settle(
        transaction, user_id=user_id, send_id=send_id, verdict=verdict, by="person", at=now(transaction)
    )
    if following is not None:
        write(transaction, following)


def _note(transaction: Transaction, notice: RelayNotice, *, via: str) -> bool:
    at = now(transaction)
    if not webhook_deliveries.is_first(transaction, delivery_id=f"{via}:{notice.delivery_id}"):
        return False
    send = sends.by_provider_message(transaction, via=via, provider_message_id=notice.provider_message_id)
    if send is None and notice.send_id is not None:
        send = sends.by_id_for_notice(transaction, via=via, send_id=notice.send_id)
    if send is None:
        _log.info("notice.of_unknown_send", via=via, kind=notice.kind)
        return False
    if send.state is State.UNKNOWN:
        # The relay speaks of a message that we were not sure it had taken: that proves it.
        sends.settle(
            transaction, user_id=send.user_id, send_id=send.id, verdict=Verdict.SENT, by="notice", at=at
        )
    events.append(
        transaction,
        user_id=send.user_id,
        kind=notice.kind,
        send_id=send.id,
        draft_id=send.draft_id,
        data={"detail": notice.detail} if notice.detail else {},
        at=at,
    )
    if notice.kind is Kind.SEND_BOUNCED:
        reports.correct(
            transaction, user_id=send.user_id, send_id=send.id, correction=Correction.BOUNCED, at=at
        )
    return True
