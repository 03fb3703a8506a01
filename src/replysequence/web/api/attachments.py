"""Files on a draft."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Response, UploadFile
from starlette.datastructures import UploadFile as Upload

from replysequence.domain.errors import InvalidInput
from replysequence.domain.message import Attachment, media_type
from replysequence.services.drafting import MAX_ATTACHMENT
from replysequence.web.api.inputs import AttachmentId, DraftId, Line
from replysequence.web.api.outputs import AttachmentAnswer
from replysequence.web.callers import SignedIn, TheServices
from replysequence.web.security import DOWNLOAD_POLICY

router = APIRouter(tags=["drafts"])


async def read_upload(file: Upload, *, content_id: str | None = None) -> Attachment:
    """The file of a form, of a larger one as much as shows that it is too large. Raises :class:`InvalidInput`
    when it has no name.
    """
    if not file.filename:
        raise InvalidInput("file", "The file has no name. Send it as a form field with a file name.")
    content = await file.read(MAX_ATTACHMENT + 1)
    return Attachment(file.filename, media_type(file.content_type), content, content_id)


@router.post("/api/drafts/{draft_id}/attachments", status_code=201, summary="Attach a file")
async def attach(
    draft_id: DraftId,
    *,
    file: UploadFile,
    services: TheServices,
    caller: SignedIn,
    response: Response,
    content_id: Annotated[
        Line | None, Form(description="Set for an image that the HTML shows as `cid:…`.")
    ] = None,
) -> AttachmentAnswer:
    attachment = await read_upload(file, content_id=content_id or None)
    info = await services.drafting.attach(caller.id, draft_id=str(draft_id), attachment=attachment)
    response.headers["Location"] = f"/api/drafts/{draft_id}/attachments/{info.id}"
    return AttachmentAnswer.of(info)


@router.get(
    "/api/drafts/{draft_id}/attachments/{attachment_id}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
    summary="Download a file",
)
async def download(
    draft_id: DraftId, attachment_id: AttachmentId, services: TheServices, caller: SignedIn
) -> Response:
    """Always as a download, never shown in a page of ours."""
    found = await services.drafting.attachment(
        caller.id, draft_id=str(draft_id), attachment_id=str(attachment_id)
    )
    return Response(
        found.content,
        media_type="application/octet-stream",
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.filename, safe='', errors='replace')}",
            "Content-Security-Policy": DOWNLOAD_POLICY,
        },
    )


@router.delete(
    "/api/drafts/{draft_id}/attachments/{attachment_id}", status_code=204, summary="Take a file off"
)
async def detach(
    draft_id: DraftId, attachment_id: AttachmentId, services: TheServices, caller: SignedIn
) -> None:
    await services.drafting.detach(caller.id, draft_id=str(draft_id), attachment_id=str(attachment_id))
