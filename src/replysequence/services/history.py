"""What happened, for the person it happened to."""

from replysequence.domain.event import Event
from replysequence.services.page import Page
from replysequence.storage import events
from replysequence.storage.database import Database


class History:
    """Reading events."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def events(
        self, user_id: str, *, before: int | None = None, limit: int = 50, draft_id: str | None = None
    ) -> Page[Event]:
        """A person's events, newest first; of one draft when ``draft_id`` is given."""
        found = await self._database.read(
            events.list_for_user, user_id=user_id, before=before, limit=limit + 1, draft_id=draft_id
        )
        return Page(items=found[:limit], next=str(found[limit - 1].id) if len(found) > limit else None)
