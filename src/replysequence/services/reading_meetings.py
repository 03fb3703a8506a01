"""Reading calendars and meeting platforms in the background: page by page, changes only where the source can tell them.

One source that fails says so and is tried again later; it keeps no other from being read, and what was read stays.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from replysequence import logs
from replysequence.domain.errors import (
    AccessTokenRejected,
    ProviderError,
    ReconnectNeeded,
    ReplySequenceError,
    TryLater,
)
from replysequence.domain.meeting import Aftermath, Entry, Span, Told
from replysequence.providers.base import Access
from replysequence.providers.calendar import Calendar, Page, Place, StartOver
from replysequence.providers.meetings import Meetings
from replysequence.providers.registry import Registry
from replysequence.services.tokens import PlatformTokens
from replysequence.storage import meeting_sources, meetings
from replysequence.storage.database import Database, Transaction, now
from replysequence.storage.meeting_sources import Source

_log = logs.logger("services.reading_meetings")

T = TypeVar("T")

BACK, AHEAD = timedelta(days=14), timedelta(days=7)
"""What is shown, seen from now."""
ROOM = timedelta(days=7)
"""Read beyond that at once, so that changes alone are enough for a week."""
EVERY = timedelta(minutes=5)
"""Between two readings of a source."""
LONGEST_PAUSE = timedelta(hours=1)
"""Between two readings of a source that fails again and again."""
AT_A_TIME = 10
"""Sources that one process reads at the same time."""
WITHIN = 120.0
"""Seconds that one reading may take: less than its lease."""
MOST_PAGES = 400
"""Pages of one reading; the rest of a source that never ends is left out."""
ASKED_AT_ONCE = 20
"""Meetings that a platform is asked about after one reading."""
ASKED_AGAIN_FOR = timedelta(days=1)
ASKED_AGAIN_AFTER = timedelta(minutes=20)
"""How long after a meeting, and how often, its platform is asked again: a summary takes its time."""


class ReadingMeetings:
    """Keeps what is known of meetings up to date. ``owner`` is this process's incarnation."""

    def __init__(self, *, database: Database, registry: Registry, tokens: PlatformTokens, owner: str) -> None:
        self._database = database
        self._registry = registry
        self._tokens = tokens
        self._owner = owner

    async def read(self) -> int:
        """Read every source that is due; returns how many. For workers."""
        claimed = await self._database.transaction(_claim, owner=self._owner)
        await asyncio.gather(*(self._read(source) for source in claimed))
        return len(claimed)

    async def aftermath(self, told: Told, *, provider: str) -> Aftermath:
        """Ask the platform that told of this meeting what there is about it. Raises as a calendar does."""
        platform = self._registry.provider(provider)
        if not isinstance(platform, Meetings):
            return Aftermath()
        ask = partial(platform.aftermath, entry=told.entry)
        return await self._with_token(told.connection_id, None, ask)

    async def _read(self, source: Source) -> None:
        try:
            async with asyncio.timeout(WITHIN):
                await self._read_whole(source)
        except TimeoutError:
            await self._failed(source, TryLater("Reading took too long.", code="no_answer"))
        except ReplySequenceError as error:
            await self._failed(source, error)
        except Exception as error:  # noqa: BLE001 - a bug with one source must not hurt the others
            _log.error("meetings.crashed", connection_id=source.connection_id, error=error)
            fault = ReplySequenceError("A fault in ReplySequence kept it from reading this account.")
            await self._failed(source, fault)

    async def _read_whole(self, source: Source) -> None:
        began = await self._database.read(now)
        span = Span(began - BACK, began + AHEAD)
        mark = source.mark if meeting_sources.span_read(span, source) else None
        try:
            found = await self._pages(source, span, mark=mark, began=began)
        except StartOver:
            _log.info("meetings.mark_expired", connection_id=source.connection_id)
            await self._database.transaction(meeting_sources.forget_mark, source=source)
            mark = None
            found = await self._pages(source, span, mark=None, began=began)
        await self._ask_about(source)
        await self._database.transaction(
            _finish, source=source, mark=found or mark, whole=mark is None, span=span, began=began
        )
        _log.info("meetings.read", connection_id=source.connection_id, whole=mark is None)

    async def _pages(self, source: Source, span: Span, *, mark: str | None, began: datetime) -> str | None:
        """Read and keep page by page; returns the new mark. One page is in memory at a time."""
        wide = Span(span.since, span.until + ROOM)
        known = await self._known(source, wide)
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            place = Place(mark=mark, cursor=cursor)
            page = await self._with_token(
                source.connection_id, source.api_url, self._page(source, wide, place, known)
            )
            entries = [
                (each, self._registry.place_of(each.links))
                for each in page.entries
                if each.ends_at > wide.since and each.starts_at < wide.until
            ]
            outside = {each.id for each in page.entries} - {each.id for each, _ in entries}
            await self._database.transaction(
                _keep, source=source, entries=entries, gone=[*page.gone, *outside], at=began
            )
            if page.cursor is None or page.cursor == cursor:
                return page.mark
            cursor = page.cursor
        _log.warning("meetings.too_many", connection_id=source.connection_id)
        return None

    def _page(
        self, source: Source, span: Span, place: Place, known: Sequence[Entry]
    ) -> Callable[[Access], Awaitable[Page]]:
        provider = self._registry.provider(source.provider)
        if isinstance(provider, Calendar):
            return partial(provider.events, span=span, place=place)
        if isinstance(provider, Meetings):
            return partial(provider.meetings, span=span, place=place, known=known)
        raise ReplySequenceError("This account tells of no meetings.")

    async def _known(self, source: Source, span: Span) -> list[Entry]:
        """What calendars say takes place on a platform that does not list its meetings itself."""
        platform = self._registry.provider(source.provider)
        if not isinstance(platform, Meetings) or platform.lists_by_itself:
            return []
        told = await self._database.read(meetings.list_between, user_id=source.user_id, span=span)
        return [
            each.entry
            for each in told
            if each.from_calendar and any(platform.join_key(link) for link in each.entry.links)
        ]

    async def _ask_about(self, source: Source) -> None:
        """Ask a platform about meetings that are over. What one answer lacks, the next reading may bring."""
        platform = self._registry.provider(source.provider)
        if not isinstance(platform, Meetings):
            return
        for told in await self._database.read(_to_ask_about, source=source):
            ask = partial(platform.aftermath, entry=told.entry)
            found = await self._with_token(source.connection_id, source.api_url, ask)
            await self._database.transaction(
                _keep_aftermath, source=source, meeting_id=told.id, aftermath=found
            )

    async def _with_token(
        self, connection_id: str, api_url: str | None, ask: Callable[[Access], Awaitable[T]]
    ) -> T:
        """Ask with a usable token, once more with a fresh one when that one is no longer taken."""
        usable = await self._tokens.usable(connection_id)
        try:
            return await ask(Access(usable.access_token, api_url))
        except AccessTokenRejected:
            usable = await self._tokens.renewed(usable)
        try:
            return await ask(Access(usable.access_token, api_url))
        except AccessTokenRejected as error:
            gone = ReconnectNeeded(
                "This account no longer lets ReplySequence read. Connect it again.", code="grant_gone"
            )
            await self._tokens.give_up(usable, error=gone)
            raise gone from error

    async def _failed(self, source: Source, error: ReplySequenceError) -> None:
        _log.warning("meetings.not_read", connection_id=source.connection_id, code=error.code)
        await self._database.transaction(_fail, source=source, error=error)


def _claim(transaction: Transaction, *, owner: str) -> list[Source]:
    return meeting_sources.claim(transaction, owner=owner, limit=AT_A_TIME, at=now(transaction))


def _keep(
    transaction: Transaction,
    *,
    source: Source,
    entries: Sequence[tuple[Entry, str]],
    gone: Sequence[str],
    at: datetime,
) -> None:
    meetings.keep(transaction, source=source, entries=entries, at=at)
    meetings.forget(transaction, source=source, gone=gone)


def _finish(
    transaction: Transaction, *, source: Source, mark: str | None, whole: bool, span: Span, began: datetime
) -> None:
    at = now(transaction)
    if whole:
        meetings.forget_unseen(transaction, source=source, since=began)
    meeting_sources.finish(
        transaction,
        source=source,
        mark=mark,
        read_until=span.until + ROOM if whole else None,
        at=at,
        next_at=at + EVERY,
    )


def _fail(transaction: Transaction, *, source: Source, error: ReplySequenceError) -> None:
    at = now(transaction)
    pause = min(EVERY * 2 ** min(source.failures, 4), LONGEST_PAUSE)
    if isinstance(error, TryLater) and error.delay is not None:
        pause = max(timedelta(seconds=error.delay), timedelta(seconds=30))
    message = error.message if isinstance(error, ProviderError) else "It could not be read just now."
    meeting_sources.fail(transaction, source=source, reason=error.code, problem=message, next_at=at + pause)


def _to_ask_about(transaction: Transaction, *, source: Source) -> list[Told]:
    at = now(transaction)
    return meetings.to_ask_about(
        transaction,
        source=source,
        over_since=at - ASKED_AGAIN_FOR,
        asked_before=at - ASKED_AGAIN_AFTER,
        at=at,
        limit=ASKED_AT_ONCE,
    )


def _keep_aftermath(
    transaction: Transaction, *, source: Source, meeting_id: str, aftermath: Aftermath
) -> None:
    meetings.keep_aftermath(
        transaction, source=source, meeting_id=meeting_id, aftermath=aftermath, at=now(transaction)
    )
