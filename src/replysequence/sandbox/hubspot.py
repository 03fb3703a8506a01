"""HubSpot's stand-in: consent, tokens, and the CRM's emails, contacts, companies, deals, associations and owners."""

from starlette.requests import Request
from starlette.responses import Response

from replysequence.sandbox import hubspot_authorize, hubspot_errors
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.carried import bearer
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.hubspot_associations import HubSpotAssociations
from replysequence.sandbox.hubspot_authorize import CONSENT_FAILURES, HubSpotAuthorize
from replysequence.sandbox.hubspot_errors import REFRESH_FAILURES, WRITE_FAILURES
from replysequence.sandbox.hubspot_gate import Gate
from replysequence.sandbox.hubspot_objects import HubSpotObjects
from replysequence.sandbox.hubspot_token import HubSpotToken
from replysequence.sandbox.site import Site, StandIn
from replysequence.sandbox.world import World


def stand_in(world: World) -> StandIn:
    """HubSpot, around `world`."""
    token, gate = HubSpotToken(world), Gate(world)

    async def account_of(request: Request) -> str | None:
        held = world.credentials.access_tokens.get(bearer(request))
        return held.account.email if held else await token.account_of(request)

    site = Site(
        vendor=Vendor.HUBSPOT,
        faults=world.faults,
        failure=_failure,
        account_of=account_of,
        consent_failures=CONSENT_FAILURES,
        token_failures={name: failure.message for name, failure in REFRESH_FAILURES.items()},
        send_failures={name: failure.message for name, failure in WRITE_FAILURES.items()},
    )
    return StandIn(
        site=site,
        routes=[
            *HubSpotAuthorize(world).routes(site),
            *token.routes(site),
            *HubSpotAssociations(world, gate).routes(site),
            *HubSpotObjects(world, gate).routes(site),
        ],
    )


def _failure(endpoint: Endpoint, fault: Fault) -> Response:
    match endpoint:
        case Endpoint.AUTHORIZE:
            return hubspot_authorize.failure(fault)
        case Endpoint.TOKEN | Endpoint.REVOKE | Endpoint.USERINFO:
            return hubspot_errors.oauth_failure(fault)
        case _:
            return hubspot_errors.failure(fault)
