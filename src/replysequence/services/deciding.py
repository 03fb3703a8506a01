"""What waits for a person's word, and what that word does: send it after all, take it back, or write it anew from
another account.

Nothing here happens by itself. A send keeps its route for ever: from another account leaves a new send, linked to
the old one, which is taken back in the same transaction.
"""

from dataclasses import dataclass

from replysequence import logs
from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import Conflict, InvalidInput, NotFound, ReplySequenceError
from replysequence.domain.message import Address
from replysequence.domain.send import GIVE_UP_AFTER, Send
from replysequence.services.outcomes import Outcomes
from replysequence.services.sending import SENDS_CHANNEL, Sending, write
from replysequence.storage import connections, deciding, routes, sends
from replysequence.storage.accepting import NewSend
from replysequence.storage.database import Database, Transaction, notify, now

_log = logs.logger("services.deciding")

MOST = 10_000
"""Sends that are written anew from another account in one go."""


@dataclass(frozen=True, slots=True)
class Held:
    """What waits for one account until somebody acts. ``connection`` is none when the account is gone.

    ``waiting`` counts all of it, ``asking`` those that only ask whether they should still leave.
    """

    connection_id: str
    sender: Address
    connection: Connection | None
    waiting: int
    asking: int

    @property
    def broken(self) -> bool:
        """Whether connecting the account again would help."""
        return self.connection is not None and self.connection.status is ConnectionStatus.NEEDS_RECONNECT

    @property
    def gone(self) -> bool:
        """Whether the account was disconnected: then nothing of this ever leaves by itself."""
        return self.connection is None or self.connection.status is ConnectionStatus.DISCONNECTING


@dataclass(frozen=True, slots=True)
class Moved:
    """How many drafts leave from another account now, and how many could not be written anew and wait as before."""

    sent: int
    left: int
    why: str | None
    """The reason of the first that was left, in a sentence."""


class Deciding:
    """The verbs of a person about what waits for them."""

    def __init__(self, *, database: Database, sending: Sending, outcomes: Outcomes) -> None:
        self._database = database
        self._sending = sending
        self._outcomes = outcomes

    async def held(self, user_id: str) -> list[Held]:
        """A person's accounts that need reconnecting, and every account for which something waits."""
        return await self._database.read(_held, user_id=user_id)

    async def list(self, user_id: str, *, connection_id: str, limit: int = 100) -> list[Send]:
        """What waits for one account, the oldest first."""
        return await self._database.read(
            sends.held, user_id=user_id, connection_id=connection_id, limit=limit
        )

    async def release(self, user_id: str, *, send_id: str) -> Send:
        """Let a send that asks first leave after all. Raises :class:`NotFound`, and :class:`Conflict` when it does
        not ask.
        """
        await self._database.transaction(_release, user_id=user_id, send_id=send_id)
        return await self._sending.get(user_id, send_id=send_id)

    async def release_all(self, user_id: str, *, connection_id: str) -> int:
        """The same for everything of one account that asks; returns how many that were. Raises :class:`NotFound` when
        the account is not theirs.
        """
        return len(
            await self._database.transaction(_release_all, user_id=user_id, connection_id=connection_id)
        )

    async def cancel_all(self, user_id: str, *, connection_id: str) -> int:
        """Take back everything that waits for one account; returns how many that were. Raises :class:`NotFound`."""
        cancelled = await self._database.transaction(
            _cancel_all, user_id=user_id, connection_id=connection_id
        )
        for send_id in cancelled:
            self._outcomes.announce(send_id)
        return len(cancelled)

    async def require_other(self, user_id: str, *, connection_id: str, other_id: str) -> Connection:
        """The account ``other_id``, from which the drafts of ``connection_id`` can leave. Raises :class:`NotFound` for
        the one and :class:`InvalidInput` for the other.
        """
        return await self._database.read(
            _require_other, user_id=user_id, connection_id=connection_id, other_id=other_id
        )

    async def send_from_another(self, user_id: str, *, connection_id: str, other_id: str) -> Moved:
        """Take back what waits for ``connection_id``, and send the same drafts from ``other_id``, oldest first.

        One transaction a send: the old one is taken back and the new one written, or neither. A draft that was
        changed since, or cannot leave from there, is left as it is. What has an unknown outcome waits for nothing
        and is never among them. Raises as :meth:`require_other` does.
        """
        await self.require_other(user_id, connection_id=connection_id, other_id=other_id)
        sent = 0
        left: list[ReplySequenceError] = []
        for send in await self.list(user_id, connection_id=connection_id, limit=MOST):
            try:
                await self._write_anew(send, other_id=other_id)
            except (Conflict, InvalidInput, NotFound) as error:
                left.append(error)
            else:
                sent += 1
        _log.info(
            "sends.written_anew", connection_id=connection_id, other_id=other_id, sent=sent, left=len(left)
        )
        return Moved(sent=sent, left=len(left), why=left[0].message if left else None)

    async def _write_anew(self, send: Send, *, other_id: str) -> None:
        at = await self._database.read(now)
        following = await self._sending.freeze(
            send.user_id,
            draft_id=send.draft_id,
            version=send.draft_version,
            send_at=send.send_at if send.send_at and send.send_at > at else None,
            previous_send_id=send.id,
            connection_id=other_id,
        )
        await self._database.transaction(_replace, send=send, following=following)
        self._outcomes.announce(send.id)


def _held(transaction: Transaction, *, user_id: str) -> list[Held]:
    counted = {each.connection_id: each for each in deciding.counts(transaction, user_id=user_id)}
    found = []
    for mine in connections.list_for_user(transaction, user_id=user_id):
        count = counted.pop(mine.id, None)
        if count is not None or mine.status is ConnectionStatus.NEEDS_RECONNECT:
            found.append(
                Held(
                    connection_id=mine.id,
                    sender=Address(mine.display_name, mine.email),
                    connection=mine,
                    waiting=count.waiting if count else 0,
                    asking=count.asking if count else 0,
                )
            )
    for count in counted.values():
        sender = deciding.sender(transaction, user_id=user_id, connection_id=count.connection_id)
        if sender is not None:
            found.append(Held(count.connection_id, sender, None, count.waiting, count.asking))
    return found


def _require_theirs(transaction: Transaction, *, user_id: str, connection_id: str) -> None:
    """Raises :class:`NotFound` unless the account is this person's, or was and something still waits for it."""
    mine = connections.list_for_user(transaction, user_id=user_id)
    if any(each.id == connection_id for each in mine):
        return
    if deciding.sender(transaction, user_id=user_id, connection_id=connection_id) is None:
        raise NotFound("account")


def _release(transaction: Transaction, *, user_id: str, send_id: str) -> None:
    at = now(transaction)
    deciding.release(transaction, user_id=user_id, send_id=send_id, give_up_at=at + GIVE_UP_AFTER, at=at)
    notify(transaction, SENDS_CHANNEL)


def _release_all(transaction: Transaction, *, user_id: str, connection_id: str) -> list[str]:
    _require_theirs(transaction, user_id=user_id, connection_id=connection_id)
    at = now(transaction)
    released = deciding.release_all(
        transaction, user_id=user_id, connection_id=connection_id, give_up_at=at + GIVE_UP_AFTER, at=at
    )
    notify(transaction, SENDS_CHANNEL)
    return released


def _cancel_all(transaction: Transaction, *, user_id: str, connection_id: str) -> list[str]:
    _require_theirs(transaction, user_id=user_id, connection_id=connection_id)
    return deciding.cancel_all(transaction, user_id=user_id, connection_id=connection_id, at=now(transaction))


def _require_other(
    transaction: Transaction, *, user_id: str, connection_id: str, other_id: str
) -> Connection:
    _require_theirs(transaction, user_id=user_id, connection_id=connection_id)
    mine = connections.list_for_user(transaction, user_id=user_id)
    for each in mine:
        if each.id == other_id != connection_id and each.status is ConnectionStatus.ACTIVE:
            return each
    raise InvalidInput("other_id", "Choose another account that is connected and can send.")


def _replace(transaction: Transaction, *, send: Send, following: NewSend) -> None:
    routes.lock_all(transaction, route_ids=[send.route.id, following.route.id])
    sends.cancel(transaction, user_id=send.user_id, send_id=send.id, at=now(transaction))
    write(transaction, following)
