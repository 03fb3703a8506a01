"""A person's meetings, as they are shown: put together from all sources, each with how its follow-up stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from replysequence.domain.connection import Connection
from replysequence.domain.errors import InvalidInput, NotFound
from replysequence.domain.meeting import Meeting, Span, merge
from replysequence.domain.send import State
from replysequence.providers.registry import Registry
from replysequence.services.page import Page
from replysequence.services.reading_meetings import AHEAD, BACK
from replysequence.storage import connections, follow_ups, meeting_sources, meetings, platforms, sends, users
from replysequence.storage.database import Database, Transaction, now

STALE = timedelta(minutes=1)
"""Sources that were read longer ago are read again when somebody looks."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """How the follow-up of a meeting stands. ``state`` is that of its latest send, none while it is a draft."""

    draft_id: str
    state: State | None
    send_id: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A meeting in a list. ``sources`` are the titles of who tells of it."""

    meeting: Meeting
    follow_up: FollowUp | None
    can_be_followed_up: bool
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceStanding:
    """A calendar or platform of this person: since when what is shown of it is as it is, and what is wrong with it."""

    connection: Connection
    title: str
    read_at: datetime | None
    is_read: bool
    problem: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page of meetings shows. ``earlier`` are newest first, ``later`` are soonest first."""

    earlier: Page[Line]
    later: tuple[Line, ...]
    sources: tuple[SourceStanding, ...]
    has_mailbox: bool

    @property
    def is_read(self) -> bool:
        """Whether something is being read right now, so that looking again is worth it."""
        return any(each.is_read for each in self.sources)


class MeetingLists:
    """Reading meetings. Nothing here waits for a provider."""

    def __init__(self, *, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry

    async def overview(self, user_id: str, *, before: str | None = None, limit: int = 30) -> Overview:
        """Recent meetings, a page from ``before`` on, and those of the next days."""
        found = await self._database.read(_everything, user_id=user_id)
        earlier = [each for each in found.meetings if each.starts_at <= found.at][::-1]
        later = [each for each in found.meetings if each.starts_at > found.at and not each.cancelled]
        page = _page(earlier, before=before, limit=limit)
        lines = await self._lines(user_id, [*page.items, *later[:limit]], at=found.at)
        return Overview(
            earlier=Page([*lines[: len(page.items)]], page.next),
            later=tuple(lines[len(page.items) :]),
            sources=tuple(self._standing(each, found.platforms) for each in found.standings),
            has_mailbox=found.has_mailbox,
        )

    async def list(self, user_id: str, *, before: str | None = None, limit: int = 50) -> Page[Line]:
        """All meetings that are known, also those to come, the latest first."""
        found = await self._database.read(_everything, user_id=user_id)
        page = _page(found.meetings[::-1], before=before, limit=limit)
        return Page([*await self._lines(user_id, page.items, at=found.at)], page.next)

    async def get(self, user_id: str, *, meeting_id: str) -> Meeting:
        """The meeting that the entry with this id belongs to. Raises :class:`NotFound`."""
        return await self._database.read(meeting_of, user_id=user_id, meeting_id=meeting_id)

    async def refresh(self, user_id: str, *, however_fresh: bool = False) -> bool:
        """Have what is stale read again, by a worker; whether anything is."""
        older_than = timedelta() if however_fresh else STALE
        return await self._database.transaction(_ask_for, user_id=user_id, older_than=older_than)

    async def _lines(self, user_id: str, shown: Sequence[Meeting], *, at: datetime) -> Sequence[Line]:
        found = await self._database.read(_follow_ups, user_id=user_id, shown=shown)
        titles = await self._database.read(_providers, user_id=user_id)
        return [
            Line(
                meeting=each,
                follow_up=found.get(each.id),
                can_be_followed_up=each.can_be_followed_up(at=at),
                sources=tuple(
                    self._registry.provider(titles[connection_id]).title
                    for connection_id in each.connection_ids
                    if connection_id in titles
                ),
            )
            for each in shown
        ]

    def _standing(self, standing: meeting_sources.Standing, mine: Sequence[Connection]) -> SourceStanding:
        connection = next(each for each in mine if each.id == standing.connection_id)
        return SourceStanding(
            connection=connection,
            title=self._registry.provider(connection.provider).title,
            read_at=standing.read_at,
            is_read=standing.is_read,
            problem=standing.problem,
        )


@dataclass(frozen=True, slots=True)
class _Everything:
    meetings: Sequence[Meeting]
    platforms: Sequence[Connection]
    standings: Sequence[meeting_sources.Standing]
    has_mailbox: bool
    at: datetime


def meeting_of(transaction: Transaction, *, user_id: str, meeting_id: str) -> Meeting:
    """The meeting that the entry with this id belongs to. Raises :class:`NotFound`."""
    starts_at = meetings.starts_at(transaction, user_id=user_id, meeting_id=meeting_id)
    if starts_at is not None:
        around = Span(starts_at - timedelta(days=1), starts_at + timedelta(days=1))
        for each in _merged(transaction, user_id=user_id, span=around):
            if meeting_id in each.ids:
                return each
    raise NotFound("meeting")


def follow_up_of(transaction: Transaction, *, user_id: str, meeting: Meeting) -> FollowUp | None:
    """The follow-up of a meeting, found by whatever is told of it."""
    return _follow_ups(transaction, user_id=user_id, shown=[meeting]).get(meeting.id)


def own_names(transaction: Transaction, *, user_id: str) -> set[str]:
    """Addresses and names under which a person may be in a meeting."""
    me = users.get(transaction, user_id=user_id)
    mine = [
        *connections.list_for_user(transaction, user_id=user_id),
        *platforms.list_for_user(transaction, user_id=user_id),
    ]
    return {me.email, me.name, *(each.email for each in mine), *(each.display_name for each in mine)} - {""}


def _merged(transaction: Transaction, *, user_id: str, span: Span) -> list[Meeting]:
    told = meetings.list_between(transaction, user_id=user_id, span=span)
    return merge(told, own=own_names(transaction, user_id=user_id))


def _everything(transaction: Transaction, *, user_id: str) -> _Everything:
    at = now(transaction)
    return _Everything(
        meetings=_merged(transaction, user_id=user_id, span=Span(at - BACK, at + AHEAD)),
        platforms=platforms.list_for_user(transaction, user_id=user_id),
        standings=meeting_sources.standing(transaction, user_id=user_id, at=at),
        has_mailbox=bool(connections.list_for_user(transaction, user_id=user_id)),
        at=at,
    )


def _follow_ups(transaction: Transaction, *, user_id: str, shown: Sequence[Meeting]) -> dict[str, FollowUp]:
    ids = [each for meeting in shown for each in meeting.ids]
    drafts = follow_ups.of_meetings(transaction, user_id=user_id, meeting_ids=ids)
    states = sends.latest_of_drafts(transaction, user_id=user_id, draft_ids=list(drafts.values()))
    found = {}
    for meeting in shown:
        draft_id = next((drafts[each] for each in meeting.ids if each in drafts), None)
        if draft_id is not None:
            send_id, state = states.get(draft_id, (None, None))
            found[meeting.id] = FollowUp(draft_id, state, send_id)
    return found


def _providers(transaction: Transaction, *, user_id: str) -> dict[str, str]:
    return {each.id: each.provider for each in platforms.list_for_user(transaction, user_id=user_id)}


def _ask_for(transaction: Transaction, *, user_id: str, older_than: timedelta) -> bool:
    at = now(transaction)
    return meeting_sources.ask_for(transaction, user_id=user_id, read_before=at - older_than, at=at)


def _page(newest_first: Sequence[Meeting], *, before: str | None, limit: int) -> Page[Meeting]:
    if before is not None:
        position = _cursor(before)
        newest_first = [each for each in newest_first if (each.starts_at, each.id) < position]
    shown = list(newest_first[:limit])
    more = len(newest_first) > limit
    return Page(shown, f"{shown[-1].starts_at.isoformat()}_{shown[-1].id}" if more else None)


def _cursor(text: str) -> tuple[datetime, str]:
    moment, _, meeting_id = text.rpartition("_")
    try:
        at = datetime.fromisoformat(moment)
        if at.tzinfo is not None:
            return at.astimezone(UTC), str(UUID(meeting_id))
    except (ValueError, OverflowError):
        pass
    raise InvalidInput("before", "This is not the cursor of a page.")
