"""A draft as its recipient sees it, in a document that can do nothing."""

import base64
import re
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from replysequence.domain.draft import Draft
from replysequence.services import Services
from replysequence.web.api.inputs import DraftId
from replysequence.web.callers import SignedIn, TheServices
from replysequence.web.rendering import render_part
from replysequence.web.security import PREVIEW_POLICY

router = APIRouter(include_in_schema=False)

_INLINE_IMAGE = re.compile(r'(<img\b[^>]*?\bsrc=")cid:([^"]*)(")')
_MOST_SHOWN = 50_000_000
"""Characters of images in one preview: a picture that the text shows a thousand times is not sent a thousand times."""
_SHOWN_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


@router.get("/drafts/{draft_id}/preview")
async def preview(draft_id: DraftId, request: Request, services: TheServices, caller: SignedIn) -> Response:
    """For a frame without scripts and without our origin. Nothing in it is fetched: images stand in the text."""
    draft = await services.drafting.get(caller.id, draft_id=str(draft_id))
    html = await services.drafting.preview(caller.id, draft_id=draft.id)
    text = "" if html else await services.drafting.preview_text(caller.id, draft_id=draft.id)
    images = await _images(services, caller.id, draft=draft) if "cid:" in html else {}
    shown = _with_images(html, images) if images else html
    # The service has sanitised it, and the document that holds it can neither run nor fetch anything.
    page = render_part(request, "preview.html", html=Markup(shown), text=text)  # noqa: S704
    page.headers["Content-Security-Policy"] = PREVIEW_POLICY
    page.headers["X-Frame-Options"] = "SAMEORIGIN"
    return page


def _with_images(html: str, images: Mapping[str, str]) -> str:
    """``html`` with its images in place, as long as there is room for them."""
    room = _MOST_SHOWN

    def image(found: re.Match[str]) -> str:
        nonlocal room
        url = images.get(found[2], "")
        if not url or len(url) > room:
            return found[0]
        room -= len(url)
        return f"{found[1]}{url}{found[3]}"

    return _INLINE_IMAGE.sub(image, html)


async def _images(services: Services, user_id: str, *, draft: Draft) -> dict[str, str]:
    """Content-ID → the image as a ``data:`` URL."""
    found = {}
    for info in draft.attachments:
        if info.content_id and info.content_type in _SHOWN_TYPES:
            file = await services.drafting.attachment(user_id, draft_id=draft.id, attachment_id=info.id)
            found[info.content_id] = (
                f"data:{file.content_type};base64,{base64.b64encode(file.content).decode()}"
            )
    return found
