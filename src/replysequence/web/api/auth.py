"""OAuth from and back to the browser."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from replysequence.domain.errors import ReplySequenceError
from replysequence.services.connecting import Connected
from replysequence.web.api.inputs import ProviderName
from replysequence.web.callers import AtABrowser, TheCookies, TheServices, caller_or_none
from replysequence.web.notices import Notice, Tone, go
from replysequence.web.words import CATEGORIES

INTEGRATIONS = "/settings/integrations"
ELSEWHERE = "/not-connected"

router = APIRouter(tags=["integrations"])


@router.get(
    "/api/auth/{provider}",
    status_code=302,
    response_class=RedirectResponse,
    summary="Start connecting an account",
)
async def start(
    provider: ProviderName,
    *,
    request: Request,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    connection_id: Annotated[UUID | None, Query(description="Reconnect this account.")] = None,
    look_up: Annotated[
        bool, Query(description="Ask this account to let us look in its Sent folder as well.")
    ] = False,
) -> Response:
    """Send a signed-in browser to the provider's consent page.

    It is a GET because it must be a plain link (see ``security.PAGE_POLICY``). That is safe: all it leaves here is
    a pending attempt bound to this browser's session and person, which is worth nothing until that same person
    consents at the provider. A link on another site still does not get that far: it ends on the settings page.
    """
    if request.headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
        return RedirectResponse(INTEGRATIONS, status_code=303)
    wanted = str(connection_id) if connection_id else None
    try:
        url = await services.connecting.start(
            caller.id,
            provider=provider,
            session_hash=caller.session_hash,
            connection_id=wanted,
            look_up=look_up,
        )
    except ReplySequenceError as error:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        return go(INTEGRATIONS, cookies=cookies, notice=_failure(error, provider=provider))
    return RedirectResponse(url, status_code=302)


@router.get(
    "/api/auth/{provider}/callback",
    status_code=303,
    response_class=RedirectResponse,
    summary="Finish connecting an account",
)
async def finish(
    provider: ProviderName, request: Request, services: TheServices, cookies: TheCookies
) -> Response:
    """Take what the provider sends back, and go on to an address without it. Unknown parameters are no error."""
    caller = caller_or_none(request)
    if caller is None or caller.session_hash is None:
        return go(ELSEWHERE, cookies=cookies)
    try:
        connected = await services.connecting.finish(
            caller.id,
            session_hash=caller.session_hash,
            provider=provider,
            parameters=request.query_params.multi_items(),
        )
    except ReplySequenceError as error:
        return go(INTEGRATIONS, cookies=cookies, notice=_failure(error, provider=provider))
    return go(INTEGRATIONS, cookies=cookies, notice=_success(connected))


def _success(connected: Connected) -> Notice:
    email, wanted = connected.connection.email, connected.wanted_email
    if wanted is not None:
        text = f"You were about to reconnect {wanted}, and signed in as {email}."
        return Notice("info", text, code="other_account", details={"expected": wanted, "actual": email})
    if connected.released or connected.asking:
        return Notice("good", f"{email} is connected again. {_set_free(connected)}", code="held")
    if connected.may_look is not None:
        return _about_looking(email, may_look=connected.may_look)
    again = " again" if connected.reconnected else ""
    what_follows = CATEGORIES[connected.connection.category].connected
    return Notice("good", f"{email} is connected{again}. {what_follows}".rstrip())


def _about_looking(email: str, *, may_look: bool) -> Notice:
    if may_look:
        return Notice(
            "good", f"When it is unclear whether a message left, ReplySequence now looks for it in {email}."
        )
    text = f"ReplySequence was not allowed to look. Messages from {email} leave as before."
    return Notice("info", text)


def _set_free(connected: Connected) -> str:
    """What becomes of the messages that waited for this account."""
    going, asking = connected.released, connected.asking
    now = f"{going} message{'' if going == 1 else 's'} that waited {'goes' if going == 1 else 'go'} out now"
    old = f"{asking} {'is' if asking == 1 else 'are'} older than two days and {'waits' if asking == 1 else 'wait'}"
    if not asking:
        return f"{now}."
    return f"{now}, {old} for your word." if going else f"{old} for your word."


def _failure(error: ReplySequenceError, *, provider: str) -> Notice:
    details = {name: str(value) for name, value in error.details.items() if value is not None}
    tone: Tone = "good" if error.code == "admin_approved" else "bad"
    return Notice(tone, error.message, code=error.code, details={"provider": provider, **details})
