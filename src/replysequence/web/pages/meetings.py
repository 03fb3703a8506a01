"""The first page: the meetings of a person, and how each is followed up."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from replysequence.domain.errors import Conflict
from replysequence.web.api.inputs import Cursor, MeetingId
from replysequence.web.callers import AtABrowser, SignedIn, TheCookies, TheServices
from replysequence.web.notices import Notice, go
from replysequence.web.rendering import render, render_part

router = APIRouter(include_in_schema=False)

HOME = "/"


@router.get(HOME)
async def home(request: Request, services: TheServices, caller: SignedIn, before: Cursor = None) -> Response:
    await services.meetings.refresh(caller.id)
    found = await services.meetings.overview(caller.id, before=before)
    templates = await services.templates.list(caller.id)
    return render(request, "meetings.html", found=found, templates=templates, first=before is None)


@router.get("/meetings/list")
async def listed(request: Request, services: TheServices, caller: SignedIn) -> Response:
    """The part of the page that changes: nothing as long as something is being read."""
    found = await services.meetings.overview(caller.id)
    if found.is_read:
        return Response(status_code=204)
    templates = await services.templates.list(caller.id)
    return render_part(request, "_meetings.html", found=found, templates=templates, first=True)


@router.post("/meetings/refresh")
async def refresh(services: TheServices, cookies: TheCookies, caller: AtABrowser) -> Response:
    await services.meetings.refresh(caller.id, however_fresh=True)
    return go(HOME, cookies=cookies)


@router.post("/meetings/{meeting_id}/follow-up")
async def follow_up(
    meeting_id: MeetingId,
    *,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    template_id: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Make the draft, and go on in its editor: one more click sends it."""
    try:
        started = await services.following_up.start(
            caller.id, meeting_id=str(meeting_id), template_id=template_id or None
        )
    except Conflict as error:
        return go(HOME, cookies=cookies, notice=Notice("bad", error.message))
    notice = Notice("info", started.notes_problem) if started.notes_problem else None
    return go(f"/drafts/{started.draft.id}", cookies=cookies, notice=notice)
