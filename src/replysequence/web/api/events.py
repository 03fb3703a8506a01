"""What happened."""

from typing import Annotated

from fastapi import APIRouter, Query

from replysequence.web.api.inputs import Limit
from replysequence.web.api.outputs import EventAnswer, Listing, listing
from replysequence.web.callers import SignedIn, TheServices

router = APIRouter(tags=["events"])

EventCursor = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="`next` of the page before.")]


@router.get("/api/events", summary="List events, newest first")
async def list_events(
    services: TheServices, caller: SignedIn, before: EventCursor = None, limit: Limit = 50
) -> Listing[EventAnswer]:
    return listing(await services.history.events(caller.id, before=before, limit=limit), EventAnswer.of)
