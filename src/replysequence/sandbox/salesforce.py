"""Salesforce's stand-in: the login host at its real paths, and the REST API of each org at `/salesforce/{instance}`."""

from starlette.responses import Response

from replysequence.sandbox import salesforce_authorize, salesforce_errors
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.salesforce_api import SalesforceApi
from replysequence.sandbox.salesforce_authorize import CONSENT_FAILURES, SalesforceAuthorize
from replysequence.sandbox.salesforce_errors import REFRESH_FAILURES, WRITE_FAILURES
from replysequence.sandbox.salesforce_token import SalesforceToken
from replysequence.sandbox.site import Site, StandIn
from replysequence.sandbox.world import World


def stand_in(world: World) -> StandIn:
    """Salesforce, around `world`."""
    token = SalesforceToken(world)

    site = Site(
        vendor=Vendor.SALESFORCE,
        faults=world.faults,
        failure=_failure,
        account_of=token.account_of,
        consent_failures=CONSENT_FAILURES,
        token_failures={name: failure.description for name, failure in REFRESH_FAILURES.items()},
        send_failures={name: failure.message for name, failure in WRITE_FAILURES.items()},
    )
    return StandIn(
        site=site,
        routes=[
            *SalesforceAuthorize(world).routes(site),
            *token.routes(site),
            *SalesforceApi(world).routes(site),
        ],
    )


def _failure(endpoint: Endpoint, fault: Fault) -> Response:
    match endpoint:
        case Endpoint.AUTHORIZE:
            return salesforce_authorize.failure(fault)
        case Endpoint.TOKEN | Endpoint.REVOKE | Endpoint.USERINFO | Endpoint.KEYS:
            return salesforce_errors.oauth_failure(fault)
        case _:
            return salesforce_errors.failure(fault)
