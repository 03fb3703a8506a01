"""Looking whether a send of unknown outcome left after all: in the Sent folder, where its owner lets us.

Found settles it as sent. Not found settles nothing, ever, and sends nothing again: the folder may only be late. A look
that goes wrong changes nothing but the history of the send.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from replysequence import logs
from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import (
    AccessTokenRejected,
    Conflict,
    NotFound,
    ReplySequenceError,
    TooManyRequests,
)
from replysequence.domain.event import Event, Kind
from replysequence.domain.looking import next_look
from replysequence.domain.send import Send, State
from replysequence.providers.looking import Found, LookUp, Searchable, Sought
from replysequence.providers.registry import Registry
from replysequence.services.outcomes import Outcomes
from replysequence.services.tokens import Tokens, Usable
from replysequence.storage import connections, looks, sends, throttles
from replysequence.storage.database import Database, Transaction, now
from replysequence.storage.looks import Cost, CostOf, Look

_log = logs.logger("services.looking_up")

_LOOKED = Kind.SEND_LOOKED_FOR

AT_A_TIME = 20
"""Mailboxes that one worker looks into at the same time."""
_BUTTON = (3, 60.0)
"""Looks that a person may ask for in one mailbox: bucket size, and seconds until one more is allowed."""


@dataclass(frozen=True, slots=True)
class Done:
    """A look that did not find the message: so many minutes after it became unknown, at ``at``.

    ``problem`` is a stable word for why it could not look; none when it looked and there was nothing.
    """

    at: datetime
    minutes: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How looking stands for a send of unknown outcome. ``next_at`` is when the next planned look is due."""

    permission: LookUp
    allowed: bool
    connection: Connection
    done: tuple[Done, ...]
    next_at: datetime | None

    @property
    def in_vain(self) -> tuple[int, ...]:
        """After how many minutes it was not there; a look within the first one says nothing yet."""
        return tuple(each.minutes for each in self.done if each.problem is None and each.minutes)


class LookingUp:
    """Look for sends, by plan and when a person asks."""

    def __init__(self, *, database: Database, registry: Registry, tokens: Tokens, outcomes: Outcomes) -> None:
        self._database = database
        self._registry = registry
        self._tokens = tokens
        self._outcomes = outcomes
        self._scopes = {each.name: each.look_up.scope for each in registry.searchable()}

    async def look(self) -> int:
        """Do every planned look that is due; returns how many. For workers."""
        claimed = await self._database.transaction(
            _claim, scopes=self._scopes, cost_of=self._cost, limit=AT_A_TIME
        )
        await asyncio.gather(*(self._look(each) for each in claimed))
        return len(claimed)

    async def look_now(self, user_id: str, *, send_id: str) -> Send:
        """Look at once because its owner asks; returns the send as it is then.

        Raises :class:`NotFound`, :class:`Conflict` when it is not unknown or we may not look, and
        :class:`TooManyRequests`, also while the mailbox is paused.
        """
        taken = await self._database.transaction(
            _take, user_id=user_id, send_id=send_id, scopes=self._scopes, cost_of=self._cost
        )
        await self._look(taken)
        return await self._database.read(sends.get, user_id=user_id, send_id=send_id)

    async def standing(self, user_id: str, *, send: Send) -> Standing | None:
        """How looking stands for this send; none when it is not unknown, or cannot be looked for at all."""
        if send.state is not State.UNKNOWN or send.route.connection_id is None:
            return None
        mailbox = self._registry.mailbox(send.route.via)
        if not isinstance(mailbox, Searchable):
            return None
        try:
            mine, over, at = await self._database.read(
                _standing, user_id=user_id, connection_id=send.route.connection_id, send_id=send.id
            )
        except NotFound:  # disconnected meanwhile
            return None
        allowed = mine.look_up and mailbox.look_up.scope in mine.scopes
        usable = allowed and mine.status is ConnectionStatus.ACTIVE
        return Standing(
            permission=mailbox.look_up,
            allowed=usable,
            connection=mine,
            done=tuple(_done(event, since=send.updated_at) for event in send.events if event.kind is _LOOKED),
            next_at=next_look(unknown_since=send.updated_at, looks=over, at=at) if usable else None,
        )

    def _cost(self, via: str, email: str) -> Cost:
        mailbox = self._registry.mailbox(via)
        costs = mailbox.look_up.costs if isinstance(mailbox, Searchable) else 0
        return Cost(costs, self._registry.pace(via, email).rate, mailbox.shared_rate)

    async def _look(self, look: Look) -> None:
        """One look, and what it came to. Whatever goes wrong on the way there leaves the send as it is."""
        await asyncio.sleep(look.delay.total_seconds())
        try:
            found, problem = await self._found(look), None
        except ReplySequenceError as error:
            found, problem = None, error.code
        except Exception as error:  # noqa: BLE001 - a bug in looking must not hurt the worker
            _log.error("look.crashed", send_id=look.send_id, error=error)
            found, problem = None, "internal_error"
        new = await self._database.transaction(_record, look, found=found, problem=problem)
        _log.info("look.ended", send_id=look.send_id, found=found is not None, problem=problem, counts=new)
        if found is not None:
            self._outcomes.announce(look.send_id)

    async def _found(self, look: Look) -> Found | None:
        usable = await self._tokens.usable(look.connection_id)
        try:
            return await self._ask(look, usable)
        except AccessTokenRejected:
            return await self._ask(look, await self._tokens.renewed(usable))

    async def _ask(self, look: Look, usable: Usable) -> Found | None:
        mailbox = self._registry.mailbox(look.via)
        if not isinstance(mailbox, Searchable):
            raise NotFound("mailbox")

        async def known(ids: Sequence[str]) -> Collection[str]:
            return await self._database.read(looks.known, look=look, ids=ids)

        sought = Sought(look.send_id, look.message_id, look.since)
        return await mailbox.find_sent(sought, access_token=usable.access_token, known=known)


def _done(event: Event, *, since: datetime) -> Done:
    problem = event.data.get("reason")
    return Done(
        event.at,
        round((event.at - since).total_seconds() / 60),
        str(problem) if problem is not None else None,
    )


def _claim(transaction: Transaction, *, scopes: dict[str, str], cost_of: CostOf, limit: int) -> list[Look]:
    return looks.claim(transaction, scopes=scopes, cost_of=cost_of, limit=limit, at=now(transaction))


def _take(
    transaction: Transaction, *, user_id: str, send_id: str, scopes: dict[str, str], cost_of: CostOf
) -> Look:
    if sends.state_of(transaction, user_id=user_id, send_id=send_id) is not State.UNKNOWN:
        raise Conflict("Its outcome is known by now, so there is nothing to look for.", code="not_unknown")
    size, refill = _BUTTON
    wait = throttles.take(transaction, key=f"look:{user_id}", capacity=size, refill_seconds=refill)
    if wait > 0:
        raise TooManyRequests("You have just looked several times. Please wait a moment.", retry_after=wait)
    taken = looks.take(
        transaction,
        user_id=user_id,
        send_id=send_id,
        scopes=scopes,
        cost_of=cost_of,
        at=now(transaction),
    )
    if taken is None:
        raise Conflict(
            "ReplySequence may not look in this account's Sent folder. You can allow it under Settings → "
            "Integrations.",
            code="may_not_look",
        )
    if not isinstance(taken, Look):
        raise TooManyRequests(
            "The provider takes no more questions about this account for now. Please try again later.",
            retry_after=taken.total_seconds(),
        )
    return taken


def _standing(
    transaction: Transaction, *, user_id: str, connection_id: str, send_id: str
) -> tuple[Connection, int, datetime]:
    mine = connections.get(transaction, user_id=user_id, connection_id=connection_id)
    return mine, looks.over(transaction, send_id=send_id), now(transaction)


def _record(transaction: Transaction, look: Look, *, found: Found | None, problem: str | None) -> bool:
    at = now(transaction)
    if found is None:
        return looks.note(transaction, look=look, problem=problem, at=at)
    return looks.settle_found(
        transaction,
        look=look,
        provider_message_id=found.provider_message_id,
        thread_id=found.thread_id,
        at=at,
    )
