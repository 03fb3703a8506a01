"""Meetings, and starting a follow-up: for people and for drafting engines."""

from fastapi import APIRouter, Response

from replysequence.services.following_up import Written
from replysequence.web.api.inputs import Cursor, FollowUpInput, Limit, MeetingId
from replysequence.web.api.outputs import DraftAnswer, Listing, listing
from replysequence.web.api.outputs_of_meetings import MeetingAnswer
from replysequence.web.callers import SignedIn, TheServices

router = APIRouter(tags=["meetings"])


@router.get("/api/meetings", summary="List meetings, the latest first")
async def list_meetings(
    services: TheServices, caller: SignedIn, before: Cursor = None, limit: Limit = 50
) -> Listing[MeetingAnswer]:
    """Those of the last 14 days and the next 7, as the connected calendars and meeting platforms tell them."""
    return listing(await services.meetings.list(caller.id, before=before, limit=limit), MeetingAnswer.of)


@router.post(
    "/api/meetings/{meeting_id}/follow-up",
    status_code=201,
    responses={200: {"model": DraftAnswer, "description": "There was one already: this is it."}},
    summary="Start a follow-up",
)
async def follow_up(
    meeting_id: MeetingId,
    response: Response,
    services: TheServices,
    caller: SignedIn,
    body: FollowUpInput | None = None,
) -> DraftAnswer:
    """Makes a draft to whoever came or had accepted. What is given stands in it; the rest comes of the template.

    409 with the code ``follow_up_exists`` and the ``draft_id`` when the meeting has a follow-up and something is given.
    """
    given = body or FollowUpInput()
    started = await services.following_up.start(
        caller.id,
        meeting_id=str(meeting_id),
        template_id=str(given.template_id) if given.template_id else None,
        written=Written(subject=given.subject, html=given.html, text=given.text),
    )
    response.status_code = 201 if started.is_new else 200
    response.headers["Location"] = f"/api/drafts/{started.draft.id}"
    return DraftAnswer.of(started.draft)
