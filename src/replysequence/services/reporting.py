"""Logging what was sent in the CRMs of who sent it: the worker's part.

Nothing here can hold up a send: it has its own loop, its own claims and its own pace. Before anything is written the
CRM is asked for an entry of this message, whoever made it; what may have been written is looked for once the CRM is
sure to show it. That is all that "once" rests on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from replysequence import logs
from replysequence.domain.address import Address
from replysequence.domain.errors import (
    AccessTokenRejected,
    DatabaseUnavailable,
    Misconfigured,
    OutcomeUnknown,
    ReconnectNeeded,
    Rejected,
    ReplySequenceError,
    TryLater,
    VaultError,
)
from replysequence.domain.report import CrmOptions, LoggedEmail, LogParts, ReportState
from replysequence.providers.base import Access
from replysequence.providers.crm import Crm, Entry, Person
from replysequence.providers.registry import Registry
from replysequence.services.tokens import PlatformTokens, Usable
from replysequence.storage import frozen, incarnations, platforms, report_claims
from replysequence.storage.database import Database, Transaction, now
from replysequence.storage.report_claims import ClaimedReport, ReportEnding, ReportLost
from replysequence.storage.reports import LOGGED_BY_ITSELF

T = TypeVar("T")

_log = logs.logger("services.reporting")

PAUSES = (
    timedelta(seconds=15),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
)
"""How long to wait after the first, second, … failure in a row when the CRM names no time."""
OPERATOR_ACTS_WITHIN = timedelta(minutes=5)
"""How long between two attempts while this installation is not set up correctly."""
GIVE_UP_AFTER = timedelta(days=7)
_MAY_BE_THERE = "An earlier attempt may have made the entry all the same; “Log again” looks for it first."
_SHORTEST_RETRY, _LONGEST_RETRY = 0.2, 5.0
"""Seconds between two tries to write an ending while the database is away."""


class Reporting:
    """The verbs of who logs: claim, carry out, reap. One object for each incarnation."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        tokens: PlatformTokens,
        incarnation: str,
        public_url: str,
    ) -> None:
        self._database = database
        self._registry = registry
        self._tokens = tokens
        self._incarnation = incarnation
        self._public_url = public_url
        self._settling = {crm.name: timedelta(seconds=crm.settling_seconds) for crm in registry.crms()}
        self._in_hand: set[tuple[str, str]] = set()
        self._may_hold_more = False

    @property
    def crms(self) -> tuple[str, ...]:
        """The CRMs that there are."""
        return tuple(self._settling)

    async def claim(self, *, room: Mapping[str, int]) -> tuple[list[ClaimedReport], float | None]:
        """Take reports that are due, by CRM at most ``room``; and the seconds until there may be more, as things stand,
        none when nothing is planned. One caller at a time.
        """
        if self._may_hold_more:
            await self._take_back()
        try:
            taken, again_in = await self._database.transaction(
                _claim, incarnation=self._incarnation, room=room
            )
        except DatabaseUnavailable as error:
            self._may_hold_more |= error.may_have_committed
            raise
        self._in_hand.update(claimed.key for claimed in taken)
        return taken, again_in

    async def reap(self) -> int:
        """Take over what dead processes held; returns how many reports that were."""
        count = 0
        for owner in await self._database.read(report_claims.owners):
            if owner != self._incarnation:
                count += await self._database.transaction(_reap, owner=owner, settling=self._settling)
        if count:
            _log.warning("reports.reaped", count=count)
        return count

    async def _take_back(self) -> None:
        """Let go of reports that are claimed in our name and that nobody here carries out."""
        self._may_hold_more = False  # before we look: what comes up meanwhile is for the next time
        try:
            await self._database.transaction(
                _reap_own, me=self._incarnation, settling=self._settling, in_hand=frozenset(self._in_hand)
            )
        except DatabaseUnavailable:
            self._may_hold_more = True
            raise

    async def carry_out(self, claimed: ClaimedReport) -> None:
        """Run one attempt from claim to ending. Whatever happens, the ending is written, or another one stands."""
        try:
            await self._write(claimed, await self._attempt(claimed))
        except ReportLost:
            _log.info("report.lost", send_id=claimed.send_id, connection_id=claimed.connection_id)
        except Exception:
            self._may_hold_more = True
            raise
        finally:
            self._in_hand.discard(claimed.key)

    async def _attempt(self, claimed: ClaimedReport) -> ReportEnding:
        crm = self._registry.crm(claimed.provider)
        line = _Line(self._database, self._tokens, claimed, title=crm.title)
        attempt = _Attempt(crm, line, claimed, url=f"{self._public_url}/sends/{claimed.send_id}")
        try:
            ending = await attempt.run(begin=partial(self._begin, claimed))
            return ending or _withdrawn(claimed, at=await self._database.read(now))
        except ReplySequenceError as error:
            _log.info("report.refused", send_id=claimed.send_id, code=error.code)
            return _ending_of(error, claimed, at=await self._database.read(now), settling=self._settling)
        except Exception as error:  # noqa: BLE001 - a bug must not lose the report, nor prove that nothing was written
            _log.error("report.crashed", send_id=claimed.send_id, error=error)
            unclear = OutcomeUnknown("ReplySequence had a fault while it logged this.", code="internal_error")
            return _ending_of(unclear, claimed, at=await self._database.read(now), settling=self._settling)

    async def _begin(self, claimed: ClaimedReport) -> bool:
        return await self._database.transaction(_begin, claimed, incarnation=self._incarnation)

    async def _write(self, claimed: ClaimedReport, ending: ReportEnding) -> None:
        state = await self._written(claimed, ending)
        _log.info(
            "report.ended",
            send_id=claimed.send_id,
            connection_id=claimed.connection_id,
            state=state,
            reason=ending.reason,
        )

    async def _written(self, claimed: ClaimedReport, ending: ReportEnding) -> ReportState:
        """Write the ending; the state that it led to. While the database is away it is kept here."""
        pause = _SHORTEST_RETRY
        while True:
            try:
                return await self._database.transaction(_end, claimed, ending)
            except DatabaseUnavailable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_RETRY)


class _Line:
    """One account at a CRM, spoken to with a fresh token where the present one is refused."""

    def __init__(
        self, database: Database, tokens: PlatformTokens, claimed: ClaimedReport, *, title: str
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._claimed = claimed
        self._title = title
        self._usable: Usable | None = None
        self._access: Access | None = None

    async def open(self) -> CrmOptions:
        """Have a usable token; what the owner of the account chose. Raises what tokens raise."""
        return await self._take(await self._tokens.usable(self._claimed.connection_id))

    async def _take(self, usable: Usable) -> CrmOptions:
        """Where the API is may have changed with the token, so both are read together."""
        connection = await self._database.read(
            platforms.get, user_id=self._claimed.user_id, connection_id=self._claimed.connection_id
        )
        self._usable, self._access = usable, Access(usable.access_token, connection.api_url)
        return CrmOptions.of(connection.options)

    async def ask(self, call: Callable[[Access], Awaitable[T]]) -> T:
        """Make one call; a second time only where it was provably refused for its token."""
        usable, access = self._opened()
        try:
            return await call(access)
        except AccessTokenRejected:
            await self._take(await self._tokens.renewed(usable))
        except ReconnectNeeded as error:
            await self._tokens.give_up(usable, error=error)
            raise
        usable, access = self._opened()
        try:
            return await call(access)
        except (AccessTokenRejected, ReconnectNeeded) as error:
            needed = ReconnectNeeded(
                f"{self._title} refuses this account. Connect it again.",
                code=error.code,
                status=error.status,
                request_id=error.request_id,
            )
            await self._tokens.give_up(usable, error=needed)
            raise needed from error

    def _opened(self) -> tuple[Usable, Access]:
        if self._usable is None or self._access is None:
            raise RuntimeError("a line is opened before it is used")
        return self._usable, self._access


class _Attempt:
    """One try to log one message, or to tell its entry what became known."""

    def __init__(self, crm: Crm, line: _Line, claimed: ClaimedReport, *, url: str) -> None:
        self._crm = crm
        self._line = line
        self._claimed = claimed
        self._url = url

    async def run(self, *, begin: Callable[[], Awaitable[bool]]) -> ReportEnding | None:
        """The ending. ``begin`` commits that something is about to be written; where it says that nothing is to be any
        more, nothing is, and there is none.
        """
        options = await self._line.open()
        email = logged_email(self._claimed, parts=options.parts, url=self._url)
        if self._claimed.entry_id is not None and self._claimed.correction is not None:
            return await self._correct(email, begin=begin)
        people = await self._line.ask(
            partial(self._crm.find_people, emails=[each.email for each in email.recipients])
        )
        if people:
            entry = await self._line.ask(partial(self._crm.find_entry, email=email, people=people))
            if entry is not None:
                return _logged(entry, people)
        missing = _missing(email, people) if options.create_contacts else []
        if not people and not missing:
            return ReportEnding(
                ReportState.SKIPPED, "nobody_there", f"Nobody in {self._crm.title} has this address."
            )
        if not await begin():
            return None
        for address in missing:
            people = [*people, await self._line.ask(partial(self._crm.create_person, address=address))]
        return _logged(await self._line.ask(partial(self._crm.log, email=email, people=people)), people)

    async def _correct(
        self, email: LoggedEmail, *, begin: Callable[[], Awaitable[bool]]
    ) -> ReportEnding | None:
        entry_id, correction = self._claimed.entry_id, self._claimed.correction
        if entry_id is None or correction is None or not await begin():
            return None
        await self._line.ask(
            partial(self._crm.correct, entry_id=entry_id, email=email, correction=correction)
        )
        return ReportEnding(ReportState.LOGGED, told=correction)


def logged_email(claimed: ClaimedReport, *, parts: LogParts, url: str) -> LoggedEmail:
    """The message of a report as its CRM is told of it, as much as its owner allows."""
    message = frozen.thaw(claimed.message, claimed.envelope, send_id=claimed.send_id, files=None)
    whole = parts is LogParts.BODY
    return LoggedEmail(
        send_id=claimed.send_id,
        message_id=message.message_id.strip("<>"),
        sent_at=claimed.sent_at,
        sender=message.sender,
        to=message.to,
        cc=message.cc,
        bcc=message.bcc,
        subject=message.subject,
        html=message.html if whole else None,
        text=message.text if whole else None,
        in_reply_to=message.in_reply_to,
        thread_id=claimed.thread_id,
        url=url,
    )


def _missing(email: LoggedEmail, people: Sequence[Person]) -> list[Address]:
    """Who is addressed and not there. Nobody is created for a copy: that may be a colleague, or a program."""
    known = {person.email.casefold() for person in people}
    to = {address.email.casefold(): address for address in email.to}
    return [address for folded, address in to.items() if folded not in known]


def _logged(entry: Entry, people: Sequence[Person]) -> ReportEnding:
    return ReportEnding(
        ReportState.LOGGED,
        reason=None if entry.is_ours else LOGGED_BY_ITSELF,
        entry_id=entry.id,
        entry_url=entry.url,
        person=", ".join(person.name or person.email for person in people),
    )


def _ending_of(
    error: ReplySequenceError, claimed: ClaimedReport, *, at: datetime, settling: Mapping[str, timedelta]
) -> ReportEnding:
    """What an error means for a report."""
    if isinstance(error, Rejected):
        return _failed(claimed, error.code, error.message)
    waits = partial(ReportEnding, ReportState.DUE, error.code, error.message)
    if isinstance(error, ReconnectNeeded | VaultError):
        return waits(next_at=at + PAUSES[0], failures=claimed.failures)
    if isinstance(error, Misconfigured):
        return waits(next_at=at + OPERATOR_ACTS_WITHIN, failures=claimed.failures)
    if at >= claimed.since + GIVE_UP_AFTER:
        return _failed(claimed, "given_up", f"It could not be logged for seven days. {error.message}")
    failures, until = _next_try(error, claimed, at=at)
    if isinstance(error, OutcomeUnknown):
        until = max(until, at + settling[claimed.provider])
    return waits(next_at=until, failures=failures)


def _next_try(error: ReplySequenceError, claimed: ClaimedReport, *, at: datetime) -> tuple[int, datetime]:
    """The failures in a row, and when to try again. A limit of the account is no failure of this report."""
    failures = claimed.failures + 1
    until = at + PAUSES[min(failures, len(PAUSES)) - 1]
    if isinstance(error, TryLater):
        failures -= error.pauses_mailbox
        until = error.not_before or (at + timedelta(seconds=error.delay) if error.delay else until)
    return failures, max(until, at)


def _withdrawn(claimed: ClaimedReport, *, at: datetime) -> ReportEnding:
    """Nothing was written, and nothing is wrong: what became known meanwhile says what follows."""
    return ReportEnding(ReportState.DUE, next_at=at + PAUSES[0], failures=claimed.failures)


def _failed(claimed: ClaimedReport, reason: str, explanation: str) -> ReportEnding:
    if claimed.look_first and claimed.entry_id is None:
        explanation = f"{explanation} {_MAY_BE_THERE}"
    return ReportEnding(ReportState.FAILED, reason, explanation)


def _claim(
    transaction: Transaction, *, incarnation: str, room: Mapping[str, int]
) -> tuple[list[ClaimedReport], float | None]:
    at = now(transaction)
    taken = report_claims.claim(transaction, incarnation=incarnation, room=room, at=at)
    return taken.reports, None if taken.again_at is None else max(0.0, (taken.again_at - at).total_seconds())


def _begin(transaction: Transaction, claimed: ClaimedReport, *, incarnation: str) -> bool:
    return report_claims.begin_logging(transaction, claimed, incarnation=incarnation, at=now(transaction))


def _end(transaction: Transaction, claimed: ClaimedReport, ending: ReportEnding) -> ReportState:
    return report_claims.end(transaction, claimed, ending, at=now(transaction))


def _reap(transaction: Transaction, *, owner: str, settling: Mapping[str, timedelta]) -> int:
    if not incarnations.is_dead(transaction, incarnation=owner):
        return 0
    return report_claims.reap(transaction, incarnation=owner, settling=settling, at=now(transaction))


def _reap_own(
    transaction: Transaction,
    *,
    me: str,
    settling: Mapping[str, timedelta],
    in_hand: Collection[tuple[str, str]],
) -> int:
    return report_claims.reap(
        transaction, incarnation=me, settling=settling, in_hand=in_hand, at=now(transaction)
    )
