"""Drafts."""

from dataclasses import replace

from fastapi import APIRouter, Response

from replysequence.domain.errors import ReplySequenceError
from replysequence.web.api.inputs import Cursor, DraftChange, DraftId, DraftInput, Limit
from replysequence.web.api.outputs import DraftAnswer, DraftLineAnswer, Listing, PreflightAnswer, listing
from replysequence.web.callers import SignedIn, TheServices

router = APIRouter(tags=["drafts"])


@router.get("/api/drafts", summary="List drafts, newest change first")
async def list_drafts(
    services: TheServices, caller: SignedIn, before: Cursor = None, limit: Limit = 50
) -> Listing[DraftLineAnswer]:
    page = await services.drafting.list(caller.id, before=before, limit=limit)
    return listing(page, DraftLineAnswer.of)


@router.post("/api/drafts", status_code=201, summary="Write a draft")
async def create(
    body: DraftInput, response: Response, services: TheServices, caller: SignedIn
) -> DraftAnswer:
    """It may be incomplete; preflight says what is missing. Files that cannot be kept leave no draft behind."""
    content, files = body.content(), body.files()
    draft = await services.drafting.create(caller.id, content=content)
    try:
        for file in files:
            await services.drafting.attach(caller.id, draft_id=draft.id, attachment=file)
    except ReplySequenceError:
        await services.drafting.delete(caller.id, draft_id=draft.id)
        raise
    if files:
        draft = await services.drafting.get(caller.id, draft_id=draft.id)
    response.headers["Location"] = f"/api/drafts/{draft.id}"
    return DraftAnswer.of(draft)


@router.get("/api/drafts/{draft_id}", summary="Read a draft")
async def read(draft_id: DraftId, services: TheServices, caller: SignedIn) -> DraftAnswer:
    return DraftAnswer.of(await services.drafting.get(caller.id, draft_id=str(draft_id)))


@router.patch("/api/drafts/{draft_id}", summary="Change a draft")
async def change(
    draft_id: DraftId, body: DraftChange, services: TheServices, caller: SignedIn
) -> DraftAnswer:
    """What is given replaces what was there, and ``version`` grows. 409 when a given ``version`` is not current."""
    changes = body.changes()
    draft = await services.drafting.get(caller.id, draft_id=str(draft_id))
    content = replace(draft.content, **changes)  # type: ignore[arg-type]  # the names are those of DraftFields
    changed = await services.drafting.update(
        caller.id, draft_id=draft.id, content=content, version=body.version or draft.version
    )
    return DraftAnswer.of(changed)


@router.delete("/api/drafts/{draft_id}", status_code=204, summary="Delete a draft")
async def delete(draft_id: DraftId, services: TheServices, caller: SignedIn) -> None:
    await services.drafting.delete(caller.id, draft_id=str(draft_id))


@router.post(
    "/api/drafts/{draft_id}/preflight", summary="Ask how a draft would leave, and what is in its way"
)
async def preflight(draft_id: DraftId, services: TheServices, caller: SignedIn) -> PreflightAnswer:
    return PreflightAnswer.of(await services.drafting.preflight(caller.id, draft_id=str(draft_id)))
