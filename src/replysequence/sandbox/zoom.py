"""Zoom's stand-in: consent, tokens that rotate, and the API for one user, under `/zoom` instead of zoom.us."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from replysequence.sandbox import zoom_errors as errors
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.carried import bearer
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.site import Site, StandIn
from replysequence.sandbox.world import World
from replysequence.sandbox.zoom_api import ZoomApi
from replysequence.sandbox.zoom_authorize import CONSENT_FAILURES, ZoomAuthorize, error_page
from replysequence.sandbox.zoom_scopes import LIST_MEETINGS
from replysequence.sandbox.zoom_token import ZoomToken


def stand_in(world: World) -> StandIn:
    """Zoom, around `world`."""
    token = ZoomToken(world)

    async def account_of(request: Request) -> str | None:
        held = world.credentials.access_tokens.get(bearer(request))
        return held.account.email if held else await token.account_of(request)

    site = Site(
        vendor=Vendor.ZOOM,
        faults=world.faults,
        failure=lambda endpoint, fault: _failure(world, endpoint, fault),
        account_of=account_of,
        consent_failures=CONSENT_FAILURES,
        token_failures={name: refusal.reason for name, refusal in errors.TOKEN_FAILURES.items()},
    )
    routes = [*ZoomAuthorize(world).routes(site), *token.routes(site), *ZoomApi(world).routes(site)]
    return StandIn(site=site, routes=routes)


_FAILURES: dict[str, Callable[[], Response]] = {
    "admin_approval": lambda: error_page(CONSENT_FAILURES["admin_approval"], 0),
    "error_page": lambda: error_page("Creating authorization code error", 4732),
    "invalid_grant": errors.INVALID_TOKEN.response,
    "invalid_client": errors.INVALID_CLIENT.response,
    "missing_scope": errors.missing_scope(LIST_MEETINGS).response,
    "html": lambda: HTMLResponse("<html><title>Sorry</title><body>Something else answers.</body></html>"),
}


def _failure(world: World, endpoint: Endpoint, fault: Fault) -> Response:
    if fault.menu.answer:
        return _FAILURES[fault.menu.answer]()
    if endpoint is Endpoint.AUTHORIZE:
        return error_page("Something went wrong. Please try again later", 4700)
    return errors.failure_with_status(
        fault.menu.status, now=world.clock.now(), wait_seconds=fault.retry_after_seconds
    )
