"""What a worker does with a claimed send. The heart of the promise: never lost, never twice, never a guess.

Decrypting, refreshing and building happen while the send is ``claimed``; a crash there is repeated freely.
``sending`` is committed before the first byte; only the bare exchange happens inside it. The type of the
error that comes back decides what follows, and nothing else is looked at.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from replysequence import logs
from replysequence.domain.errors import (
    AccessTokenRejected,
    DatabaseUnavailable,
    NeverSent,
    OutcomeUnknown,
    ReconnectNeeded,
    ReplySequenceError,
)
from replysequence.domain.message import Message
from replysequence.domain.pacing import PaceOf, Rate
from replysequence.domain.send import Outcome, State
from replysequence.providers.base import Mailbox, Prepared, Receipt, Relay
from replysequence.providers.registry import Registry
from replysequence.services import verdicts
from replysequence.services.batching import Batch
from replysequence.services.outcomes import Outcomes
from replysequence.services.tokens import Tokens, Usable
from replysequence.services.watching import Exchange, Watching
from replysequence.storage import attachments, claims, endings, frozen, incarnations
from replysequence.storage.claims import AttemptLost, Claimed
from replysequence.storage.database import Database, Transaction, now
from replysequence.storage.endings import Ending

_log = logs.logger("services.dispatching")

_SHORTEST_RETRY = 0.2
_LONGEST_RETRY = 5.0


class Dispatching:
    """The verbs of a worker: claim, carry out, reap. One object for each incarnation."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        tokens: Tokens,
        outcomes: Outcomes,
        watching: Watching,
        incarnation: str,
    ) -> None:
        self._database = database
        self._registry = registry
        self._tokens = tokens
        self._outcomes = outcomes
        self._watching = watching
        self._incarnation = incarnation
        self._in_hand: set[tuple[str, int]] = set()
        self._may_hold_more = False
        self._beginnings: Batch[Claimed] = Batch(database, self._begin)
        self._endings: Batch[tuple[Claimed, Ending]] = Batch(database, _end)

    @property
    def senders(self) -> tuple[str, ...]:
        """The providers that sends can leave by."""
        return self._registry.senders()

    async def claim(self, *, room: Mapping[str, int]) -> tuple[list[Claimed], float | None]:
        """Take sends that are due, by provider at most ``room``; and the seconds until there may be more, as things
        stand, none when nothing is planned. One caller at a time.
        """
        if self._may_hold_more:
            await self._take_back()
        try:
            sends, again_in = await self._database.transaction(
                _claim,
                incarnation=self._incarnation,
                room=room,
                pace_of=self._registry.pace,
                shared=self._registry.shared_rates(),
            )
        except DatabaseUnavailable as error:
            self._may_hold_more |= error.may_have_committed
            raise
        self._in_hand.update((send.id, send.attempt) for send in sends)
        return sends, again_in

    async def reap(self) -> dict[State, int]:
        """Take over what dead processes held; returns how many sends went to which state."""
        counts: Counter[State] = Counter()
        for owner in await self._database.read(endings.owners):
            if owner != self._incarnation:
                counts.update(
                    await self._database.transaction(
                        _reap, owner=owner, repeatable=self._registry.repeatable()
                    )
                )
        if counts:
            _log.warning("sends.reaped", **{str(state): count for state, count in counts.items()})
        return dict(counts)

    def _begin(self, transaction: Transaction, beginning: Sequence[Claimed]) -> None:
        claims.begin_sending(transaction, beginning, incarnation=self._incarnation, at=now(transaction))

    async def _take_back(self) -> None:
        """Let go of sends that are claimed in our name and that nobody here carries out: the database took a claim
        and its answer was lost, or a verdict could not be written.
        """
        self._may_hold_more = False  # before we look: what comes up meanwhile is for the next time
        try:
            counts = await self._database.transaction(
                _reap_own,
                me=self._incarnation,
                in_hand=frozenset(self._in_hand),
                repeatable=self._registry.repeatable(),
            )
        except DatabaseUnavailable:
            self._may_hold_more = True
            raise
        if counts:
            _log.warning("sends.taken_back", **{str(state): count for state, count in counts.items()})

    async def carry_out(self, claimed: Claimed) -> None:
        """Run one attempt from claim to ending. Whatever happens, the ending is written, or another one
        stands.
        """
        try:
            ending = await self._attempt(claimed)
            await self._write(claimed, self._watching.while_down(claimed, ending))
        except AttemptLost:
            _log.info("attempt.lost", send_id=claimed.id, attempt=claimed.attempt)
        except Exception:
            self._may_hold_more = True
            raise
        finally:
            self._in_hand.discard((claimed.id, claimed.attempt))

    async def _attempt(self, claimed: Claimed) -> Ending:
        try:
            too_late = await self._too_late(claimed)
            if too_late is not None:
                return too_late
            exchange = await self._prepare(claimed)
            await self._beginnings.write(claimed)
        except AttemptLost:  # cancelled, or taken over: nothing of ours is wrong
            raise
        except ReplySequenceError as error:
            self._watching.not_begun(claimed, error)
            return verdicts.ending_of(error, claimed=claimed, at=await self._clock(), phase="claimed")
        except Exception as error:  # noqa: BLE001 - a bug must not lose the send; not a byte has left
            _log.error("attempt.crashed", send_id=claimed.id, phase="claimed", error=error)
            return verdicts.again(claimed, at=await self._clock(), reason="internal_error", phase="claimed")
        return await self._exchange(claimed, self._watching.watched(claimed, exchange))

    async def _too_late(self, claimed: Claimed) -> Ending | None:
        """The ending of what may not leave any more: its time is over, or a relay would no longer know its key."""
        expired = claimed.at >= claimed.give_up_at
        if not expired and self._repeatable(claimed, at=claimed.at):
            return None
        if await self._database.read(endings.may_be_out, send_id=claimed.id, attempt=claimed.attempt):
            return verdicts.LEFT_OPEN
        return verdicts.EXPIRED if expired else None

    def _repeatable(self, claimed: Claimed, *, at: datetime) -> bool:
        """Whether handing this over (again) can bring no second mail."""
        window = self._registry.repeatable().get(claimed.via)
        return window is None or at < (claimed.first_attempt_at or at) + window

    async def _exchange(self, claimed: Claimed, exchange: Exchange) -> Ending:
        try:
            receipt = await exchange()
        except OutcomeUnknown as error:
            return self._unknown(claimed, error=error, at=await self._clock())
        except NeverSent as error:
            return verdicts.ending_of(error, claimed=claimed, at=await self._clock(), phase="sending")
        except ReplySequenceError as error:
            return verdicts.ending_of(error, claimed=claimed, at=await self._clock(), phase="answered")
        except Exception as error:  # noqa: BLE001 - a bug in the exchange proves nothing about the message
            _log.error("attempt.crashed", send_id=claimed.id, phase="sending", error=error)
            return self._unknown(claimed, error=verdicts.CRASHED, at=await self._clock())
        return Ending(
            state=State.SENT,
            outcome=Outcome.SENT,
            phase="answered",
            status=receipt.status,
            provider_request_id=receipt.request_id,
            provider_message_id=receipt.provider_message_id,
            thread_id=receipt.thread_id,
            per_minute=receipt.per_minute,
        )

    async def _clock(self) -> datetime:
        """The database's time; this machine's while the database is away, because a verdict must not be
        lost to that.
        """
        try:
            return await self._database.read(now)
        except DatabaseUnavailable:
            return datetime.now(UTC)

    async def _prepare(self, claimed: Claimed) -> Exchange:
        """All that may fail without consequence: decrypt, refresh, build. What is left is the exchange."""
        message = await self._thaw(claimed)
        if claimed.connection_id is None:
            relay = self._registry.relay_named(claimed.via)
            return _relayed(relay, relay.prepare(message), key=claimed.id)
        mailbox = self._registry.mailbox(claimed.via)
        prepared = mailbox.prepare(message, thread_id=claimed.thread_id)
        without_thread = None if claimed.thread_id is None else mailbox.prepare(message, thread_id=None)
        known = None if claimed.tokens is None else (claimed.tokens, claimed.at)
        usable = await self._tokens.usable(claimed.connection_id, known=known)
        return self._mailed(mailbox, prepared, usable=usable, without_thread=without_thread)

    async def _thaw(self, claimed: Claimed) -> Message:
        stored = frozen.Frozen(claimed.message, claimed.envelope)
        needed = stored.attachment_ids
        files = (
            await self._database.read(attachments.load, user_id=claimed.user_id, attachment_ids=needed)
            if needed
            else {}
        )
        return stored.thaw(send_id=claimed.id, files=files)

    def _mailed(
        self, mailbox: Mailbox, prepared: Prepared, *, usable: Usable, without_thread: Prepared | None
    ) -> Exchange:
        """One exchange; a second one only where the first was provably refused for its token or its
        thread.
        """

        async def exchange() -> Receipt:
            try:
                return await self._with_token(mailbox, prepared, usable=usable)
            except NeverSent as error:
                if error.code != "thread_not_found" or without_thread is None:
                    raise
            return await self._with_token(mailbox, without_thread, usable=usable)

        return exchange

    async def _with_token(self, mailbox: Mailbox, prepared: Prepared, *, usable: Usable) -> Receipt:
        try:
            return await mailbox.send(prepared, access_token=usable.access_token)
        except AccessTokenRejected:
            fresh = await self._tokens.renewed(usable)
        except ReconnectNeeded as error:
            await self._tokens.give_up(usable, error=error)
            raise
        try:
            return await mailbox.send(prepared, access_token=fresh.access_token)
        except (AccessTokenRejected, ReconnectNeeded) as error:
            needed = ReconnectNeeded(
                f"{mailbox.title} refuses this account. Connect it again.",
                code=error.code,
                status=error.status,
                request_id=error.request_id,
            )
            await self._tokens.give_up(fresh, error=needed)
            raise needed from error

    def _unknown(self, claimed: Claimed, *, error: OutcomeUnknown, at: datetime) -> Ending:
        """An outcome that nobody knows: for a relay that drops the second copy of a key, simply the same
        again.
        """
        if claimed.connection_id is None and self._repeatable(claimed, at=at):
            return replace(
                verdicts.again(claimed, at=at, reason=error.code, phase="sending", error=error),
                outcome=Outcome.UNKNOWN,
            )
        return Ending(
            state=State.UNKNOWN,
            outcome=Outcome.UNKNOWN,
            reason=error.code,
            explanation=error.message,
            phase="sending",
            status=error.status,
            provider_request_id=error.request_id,
        )

    async def _write(self, claimed: Claimed, ending: Ending) -> None:
        """Write the ending. While the database is away the verdict is kept here, and printed once for
        people.
        """
        pause = _SHORTEST_RETRY
        while True:
            try:
                await self._endings.write((claimed, ending))
                break
            except DatabaseUnavailable:
                if pause == _SHORTEST_RETRY:
                    _log.error(
                        "verdict.kept", send_id=claimed.id, attempt=claimed.attempt, verdict=ending.state
                    )
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_RETRY)
        _log.info(
            "attempt.ended",
            send_id=claimed.id,
            attempt=claimed.attempt,
            via=claimed.via,
            state=ending.state,
            reason=ending.reason,
            status=ending.status,
        )
        self._outcomes.announce(claimed.id)


def _relayed(relay: Relay, prepared: Prepared, *, key: str) -> Exchange:
    async def exchange() -> Receipt:
        return await relay.send(prepared, key=key)

    return exchange


def _claim(
    transaction: Transaction,
    *,
    incarnation: str,
    room: Mapping[str, int],
    pace_of: PaceOf,
    shared: Mapping[str, Rate],
) -> tuple[list[Claimed], float | None]:
    at = now(transaction)
    taken = claims.claim(
        transaction, incarnation=incarnation, room=room, pace_of=pace_of, shared=shared, at=at
    )
    return taken.sends, None if taken.again_at is None else max(0.0, (taken.again_at - at).total_seconds())


def _end(transaction: Transaction, ended: Sequence[tuple[Claimed, Ending]]) -> None:
    endings.end(
        transaction,
        [(claimed, _unless_out(transaction, claimed, ending)) for claimed, ending in ended],
        at=now(transaction),
    )


def _unless_out(transaction: Transaction, claimed: Claimed, ending: Ending) -> Ending:
    """What an earlier attempt may have brought out cannot simply fail."""
    if ending.state is not State.FAILED:
        return ending
    if not endings.may_be_out(transaction, send_id=claimed.id, attempt=claimed.attempt):
        return ending
    return replace(ending, state=State.UNKNOWN, explanation=f"{verdicts.MAY_BE_OUT} {ending.explanation}")


def _reap(transaction: Transaction, *, owner: str, repeatable: Mapping[str, timedelta]) -> dict[State, int]:
    if not incarnations.is_dead(transaction, incarnation=owner):
        return {}
    return endings.reap(transaction, incarnation=owner, repeatable=repeatable, at=now(transaction))


def _reap_own(
    transaction: Transaction,
    *,
    me: str,
    in_hand: Collection[tuple[str, int]],
    repeatable: Mapping[str, timedelta],
) -> dict[State, int]:
    return endings.reap(
        transaction, incarnation=me, in_hand=in_hand, repeatable=repeatable, at=now(transaction)
    )
