"""Microsoft's stand-in: Entra ID, and the parts of Graph that send mail, show the calendar and know of calls in Teams,
at their real paths.

There is no route that revokes a token, because Microsoft has none.
"""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox import graph_access
from replysequence.sandbox import microsoft_errors as errors
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.graph_access import Access
from replysequence.sandbox.graph_calendar import GraphCalendar
from replysequence.sandbox.graph_teams import GraphTeams
from replysequence.sandbox.microsoft_admin_consent import AdminConsent
from replysequence.sandbox.microsoft_authorize import APPLICATION, CONSENT_FAILURES, Authorization
from replysequence.sandbox.microsoft_directory import Directory
from replysequence.sandbox.microsoft_errors import Refusal, TokenRefused
from replysequence.sandbox.microsoft_graph import SEND_FAILURES, Graph
from replysequence.sandbox.microsoft_metadata import Metadata
from replysequence.sandbox.microsoft_token import TOKEN_FAILURES, TokenEndpoint, answer
from replysequence.sandbox.rendering import page
from replysequence.sandbox.signing import SigningKey
from replysequence.sandbox.site import Site, StandIn
from replysequence.sandbox.world import World

_REAL_ORIGIN = "https://login.microsoftonline.com"
_TOKEN_FAULTS: dict[str | int, Refusal] = {
    "invalid_grant": errors.REVOKED,
    "invalid_client": errors.WRONG_SECRET,
    429: errors.TENANT_THROTTLED,
    500: errors.SERVER_ERROR,
    503: errors.UNAVAILABLE,
}


def stand_in(world: World) -> StandIn:
    """Microsoft, around `world`."""
    directory = Directory(world)
    keys = {False: world.keys[Vendor.MICROSOFT], True: SigningKey("microsoft-sandbox-personal-1")}
    authorization = Authorization(world, directory)
    token_endpoint = TokenEndpoint(world, directory, keys)
    access = Access(world)
    graph = Graph(world, access)

    async def account_of(request: Request) -> str | None:
        return await access.account_of(request) or await token_endpoint.account_of(request)

    def failure(endpoint: Endpoint, fault: Fault) -> Response:
        return _failure(world, endpoint, fault)

    site = Site(
        vendor=Vendor.MICROSOFT,
        faults=world.faults,
        failure=failure,
        account_of=account_of,
        consent_failures=CONSENT_FAILURES,
        token_failures=TOKEN_FAILURES,
        send_failures=SEND_FAILURES,
    )
    routes: list[BaseRoute] = [
        *authorization.routes(site),
        *AdminConsent(world, directory).routes(),
        *token_endpoint.routes(site),
        *graph.routes(site),
        *GraphCalendar(world, access).routes(site),
        *GraphTeams(world, access).routes(site),
        *Metadata(world, directory, keys).routes(site),
    ]
    return StandIn(site=site, routes=routes)


def _failure(world: World, endpoint: Endpoint, fault: Fault) -> Response:
    match endpoint:
        case Endpoint.AUTHORIZE:
            return _page_failure(world, fault)
        case Endpoint.TOKEN | Endpoint.KEYS:
            return _token_failure(world, fault)
        case _:
            return graph_access.failure(fault)


def _page_failure(world: World, fault: Fault) -> Response:
    if fault.menu.answer == "admin_approval":
        description = errors.describe(errors.NEEDS_ADMIN, {"application": APPLICATION}, now=world.clock.now())
        return page(
            "microsoft/admin_approval.html",
            account=None,
            pending=None,
            description=description,
        )
    description = errors.describe(errors.SERVER_ERROR, now=world.clock.now())
    return page("microsoft/error.html", status=fault.menu.status or 200, description=description)


def _token_failure(world: World, fault: Fault) -> Response:
    refusal = _TOKEN_FAULTS.get(fault.menu.answer or fault.menu.status)
    if refusal is None:
        return HTMLResponse(
            "<html><body><h1>Our services aren't available right now</h1></body></html>",
            fault.menu.status or 200,
        )
    refused = TokenRefused(refusal, client_id=world.microsoft_client.client_id)
    body = errors.error_body(refused, now=world.clock.now(), origin=_REAL_ORIGIN)
    response = answer(body, status=refusal.status)
    if refusal.status in {429, 503}:
        response.headers["Retry-After"] = str(fault.retry_after_seconds)
    return response
