"""From a meeting to the draft of its follow-up: who came or had accepted, the person's template, and what the meeting
platform wrote down.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from replysequence import logs
from replysequence.domain.address import Address
from replysequence.domain.draft import Draft, DraftContent
from replysequence.domain.errors import Conflict, ReplySequenceError
from replysequence.domain.meeting import Aftermath, Meeting, recipients
from replysequence.domain.merge_values import company_of, day_of, first_names
from replysequence.domain.template import BUILT_IN, Items, Markup, Template, Value, fill
from replysequence.domain.wall_clock import zone
from replysequence.providers.registry import Registry
from replysequence.services.drafting import require_sizes
from replysequence.services.meetings import follow_up_of, meeting_of
from replysequence.services.reading_meetings import ReadingMeetings
from replysequence.services.sanitizing import sanitize
from replysequence.storage import drafts, follow_ups, platforms, templates, users
from replysequence.storage.database import Database, Transaction, now
from replysequence.storage.users import User

_log = logs.logger("services.following_up")

PATIENCE = 6.0
"""Seconds that a meeting platform gets to tell what it wrote down: a person waits for the draft."""


@dataclass(frozen=True, slots=True)
class Started:
    """A follow-up. ``is_new`` is false when the meeting had one already: then this is it, unchanged.

    ``notes_problem`` says why the platform's notes are not in it, where they should be.
    """

    draft: Draft
    is_new: bool
    notes_problem: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What somebody else has written for a follow-up, such as a drafting engine; what is none comes of the template."""

    subject: str | None = None
    html: str | None = None
    text: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is none of it."""
        return self.subject is None and self.html is None and self.text is None


class FollowingUp:
    """Starting follow-ups."""

    def __init__(self, *, database: Database, registry: Registry, reading: ReadingMeetings) -> None:
        self._database = database
        self._registry = registry
        self._reading = reading

    async def start(
        self,
        user_id: str,
        *,
        meeting_id: str,
        template_id: str | None = None,
        written: Written = Written(),
    ) -> Started:
        """Make the draft of a meeting's follow-up, or return the one that there is.

        Raises :class:`NotFound` (also for the template), and :class:`Conflict`: the meeting is still to come
        (``not_yet``), was called off (``cancelled``), or has a follow-up that ``written`` would not get into
        (``follow_up_exists``, with its ``draft_id``); :class:`InvalidInput` when ``written`` is too long for a draft.
        """
        material = await self._database.read(
            _material, user_id=user_id, meeting_id=meeting_id, template_id=template_id
        )
        if material.existing is not None:
            return _existing(material.existing, written=written)
        _require_over(material.meeting, at=material.at)
        notes, problem = Aftermath(), None
        if written.html is None and written.text is None:
            notes, problem = await self._notes(material)
        content = _content(material, notes=notes, written=written)
        require_sizes(content)
        draft, is_new = await self._database.transaction(
            _create, user_id=user_id, meeting=material.meeting, content=content
        )
        if not is_new:
            return _existing(draft, written=written)
        _log.info("follow_up.started", draft_id=draft.id, has_notes=notes.has_summary)
        return Started(draft, is_new=True, notes_problem=problem)

    async def _notes(self, material: "_Material") -> tuple[Aftermath, str | None]:
        """What the meeting's platforms wrote down. One that does not answer in time is done without."""
        problem = None
        for told in material.meeting.told:
            provider = material.providers.get(told.connection_id)
            if told.from_calendar or provider is None:
                continue
            try:
                async with asyncio.timeout(PATIENCE):
                    found = await self._reading.aftermath(told, provider=provider)
                if found.has_summary:
                    return found, None
            except (ReplySequenceError, TimeoutError) as error:
                _log.warning("follow_up.without_notes", connection_id=told.connection_id, error=error)
                title = self._registry.provider(provider).title
                problem = f"{title} did not tell what it wrote down, so the draft does without."
        return Aftermath(), problem


@dataclass(frozen=True, slots=True)
class _Material:
    """All that a follow-up is made from, but for what the platforms wrote down."""

    meeting: Meeting
    existing: Draft | None
    template: Template
    signature: str
    person: User
    providers: Mapping[str, str]
    at: datetime


def values_for(
    *, meeting: Meeting, to: tuple[Address, ...], notes: Aftermath, person: User, signature: str, at: datetime
) -> dict[str, Value]:
    """What a template's fields stand for; what is not known is empty."""
    there = zone(person.time_zone)
    return {
        "first_name": first_names(to),
        "meeting_title": meeting.title,
        "meeting_date": day_of(meeting.starts_at.astimezone(there), today=at.astimezone(there).date()),
        "company": company_of(to, own=person.email),
        "summary": notes.summary,
        "action_items": Items(notes.action_items),
        "my_name": person.name,
        "signature": Markup(signature),
    }


def _material(
    transaction: Transaction, *, user_id: str, meeting_id: str, template_id: str | None
) -> _Material:
    meeting = meeting_of(transaction, user_id=user_id, meeting_id=meeting_id)
    existing = follow_up_of(transaction, user_id=user_id, meeting=meeting)
    chosen = (
        templates.get(transaction, user_id=user_id, template_id=template_id)
        if template_id
        else templates.default(transaction, user_id=user_id)
    )
    mine = platforms.list_for_user(transaction, user_id=user_id)
    return _Material(
        meeting=meeting,
        existing=drafts.get(transaction, user_id=user_id, draft_id=existing.draft_id) if existing else None,
        template=chosen or BUILT_IN,
        signature=templates.signature(transaction, user_id=user_id),
        person=users.get(transaction, user_id=user_id),
        providers={each.id: each.provider for each in mine},
        at=now(transaction),
    )


def _existing(draft: Draft, *, written: Written) -> Started:
    if not written.is_empty:
        raise Conflict(
            "This meeting has a follow-up already. Change that draft, or delete it first.",
            code="follow_up_exists",
            details={"draft_id": draft.id},
        )
    return Started(draft, is_new=False)


def _require_over(meeting: Meeting, *, at: datetime) -> None:
    if meeting.cancelled:
        raise Conflict("This meeting was called off, so there is nothing to follow up.", code="cancelled")
    if not meeting.can_be_followed_up(at=at):
        raise Conflict("This meeting has not begun yet, or is a whole day in the calendar.", code="not_yet")


def _content(material: _Material, *, notes: Aftermath, written: Written) -> DraftContent:
    to = recipients(material.meeting)
    values = values_for(
        meeting=material.meeting,
        to=to,
        notes=notes,
        person=material.person,
        signature=material.signature,
        at=material.at,
    )
    filled = fill(material.template, values)
    content = DraftContent(to=to, subject=filled.subject, html=sanitize(filled.html))
    if written.html is not None or written.text is not None:
        content = replace(content, html=written.html, text=written.text)
    return content if written.subject is None else replace(content, subject=written.subject)


def _create(
    transaction: Transaction, *, user_id: str, meeting: Meeting, content: DraftContent
) -> tuple[Draft, bool]:
    """One follow-up a meeting, however often and fast the button is pressed."""
    users.lock(transaction, user_id=user_id)
    there = follow_up_of(transaction, user_id=user_id, meeting=meeting)
    if there is not None:
        return drafts.get(transaction, user_id=user_id, draft_id=there.draft_id), False
    draft = drafts.create(transaction, user_id=user_id, content=content)
    follow_ups.link(
        transaction, user_id=user_id, meeting_id=meeting.id, draft_id=draft.id, at=draft.created_at
    )
    return draft, True
