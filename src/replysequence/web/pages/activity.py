"""Everything that happened, newest first."""

from fastapi import APIRouter, Request, Response

from replysequence.web.api.events import EventCursor
from replysequence.web.callers import SignedIn, TheServices
from replysequence.web.rendering import render

router = APIRouter(include_in_schema=False)


@router.get("/activity")
async def activity(
    request: Request, services: TheServices, caller: SignedIn, before: EventCursor = None
) -> Response:
    page = await services.history.events(caller.id, before=before, limit=50)
    return render(request, "activity.html", page=page, first=before is None)
