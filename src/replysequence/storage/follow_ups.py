"""Which draft is the follow-up of which meeting."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select

from replysequence.storage.tables import drafts, follow_ups

AT_ONCE = 500
"""Ids in one question."""

_F = follow_ups.c


def link(connection: Connection, *, user_id: str, meeting_id: str, draft_id: str, at: datetime) -> None:
    """Note that this draft is the follow-up of that meeting."""
    connection.execute(
        insert(follow_ups).values(draft_id=draft_id, user_id=user_id, meeting_id=meeting_id, created_at=at)
    )


def of_meetings(connection: Connection, *, user_id: str, meeting_ids: Sequence[str]) -> dict[str, str]:
    """Meeting id → draft id of its follow-up, where there is one that was not deleted; the newest of several."""
    found: dict[str, str] = {}
    for start in range(0, len(meeting_ids), AT_ONCE):
        rows = connection.execute(
            select(_F.meeting_id, _F.draft_id)
            .join(drafts, drafts.c.id == _F.draft_id)
            .where(
                _F.user_id == user_id,
                _F.meeting_id.in_(meeting_ids[start : start + AT_ONCE]),
                drafts.c.deleted_at.is_(None),
            )
            .order_by(_F.created_at)
        )
        found |= {row.meeting_id: row.draft_id for row in rows}
    return found


def meeting_of(connection: Connection, *, user_id: str, draft_id: str) -> str | None:
    """The id of the meeting that a draft follows up."""
    wanted = select(_F.meeting_id).where(_F.user_id == user_id, _F.draft_id == draft_id)
    return connection.execute(wanted).scalar_one_or_none()
