"""Where a browser ends that came back from a provider without being the one that began."""

from fastapi import APIRouter, Request, Response

from replysequence.web.rendering import render

router = APIRouter(include_in_schema=False)


@router.get("/not-connected")
async def not_connected(request: Request) -> Response:
    """Nothing was stored: an account is connected only in the browser, and by the person, that began it."""
    return render(request, "not_connected.html")
