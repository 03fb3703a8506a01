"""Everything that happened, newest first."""

from fastapi import APIRouter, Request, Response

from replysequence.services import Services
from replysequence.web.api.events import EventCursor
from replysequence.web.callers import SignedIn, TheServices
from replysequence.web.rendering import render

router = APIRouter(include_in_schema=False)

RECENT = 200


@router.get("/activity")
async def activity(
    request: Request, services: TheServices, caller: SignedIn, before: EventCursor = None
) -> Response:
    page = await services.history.events(caller.id, before=before, limit=50)
    names = await _names(services, caller.id)
    return render(request, "activity.html", page=page, first=before is None, names=names)


async def _names(services: Services, user_id: str) -> dict[str, str]:
    """Id → what people call it: subjects of recent drafts and sends, addresses of accounts. Events hold ids only."""
    drafts = await services.drafting.list(user_id, limit=RECENT)
    sends = await services.sending.list(user_id, limit=RECENT)
    found = await services.connecting.integrations(user_id)
    return {
        **{draft.id: draft.subject for draft in drafts.items},
        **{send.id: send.subject for send in sends.items},
        **{each.id: each.email for _, cards in found for card in cards for each in card.connections},
    }
