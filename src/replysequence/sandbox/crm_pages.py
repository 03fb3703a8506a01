"""The sandbox's pages of the CRMs: what a colleague of the sender sees there."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import hubspot_timeline, salesforce_timeline
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.hubspot_portal import OBJECT_TYPES
from replysequence.sandbox.records import Activity, Card, Place
from replysequence.sandbox.rendering import page
from replysequence.sandbox.salesforce_ids import read_id
from replysequence.sandbox.world import World


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """One portal or org in a list: what it is called there, its name, its page, how much was logged."""

    vendor: Vendor
    name: str
    href: str
    number: str
    activities: int


def tenants(world: World) -> list[Tenant]:
    """Every portal and org."""
    portals = [
        Tenant(
            vendor=Vendor.HUBSPOT,
            name=portal.name,
            href=f"/crm/hubspot/{portal.hub_id}",
            number=f"account {portal.hub_id}",
            activities=len(hubspot_timeline.activities(portal)),
        )
        for portal in world.hubspot
    ]
    orgs = [
        Tenant(
            vendor=Vendor.SALESFORCE,
            name=org.name,
            href=f"/crm/salesforce/{org.id}",
            number=f"org {org.id}",
            activities=len(salesforce_timeline.activities(org)),
        )
        for org in world.salesforce
    ]
    return [*portals, *orgs]


def routes(world: World) -> list[BaseRoute]:
    """Every page; those of single records are at the paths where the CRMs have them."""
    pages = _Pages(world)
    table = (
        ("/crm", pages.overview),
        ("/crm/hubspot/{hub_id}", pages.portal),
        ("/crm/salesforce/{org}", pages.org),
        ("/contacts/{hub_id}/record/{type}/{id}", pages.hubspot_record),
        ("/salesforce/{instance}/lightning/r/{kind}/{id}/view", pages.salesforce_record),
    )
    return [Route(path, do, methods=["GET"]) for path, do in table]


class _Pages:
    def __init__(self, world: World) -> None:
        self._world = world

    async def overview(self, _: Request) -> Response:
        return page("crm/tenants.html", here="crm", tenants=tenants(self._world))

    async def portal(self, request: Request) -> Response:
        portal = self._world.hubspot.find(request.path_params["hub_id"])
        if portal is None:
            return _not_found()
        return _timeline(
            portal.name,
            "HubSpot",
            hubspot_timeline.activities(portal),
            people=hubspot_timeline.people(portal),
        )

    async def org(self, request: Request) -> Response:
        org = self._world.salesforce.find(request.path_params["org"])
        if org is None:
            return _not_found()
        return _timeline(
            org.name,
            "Salesforce",
            salesforce_timeline.activities(org),
            people=salesforce_timeline.people(org),
        )

    async def hubspot_record(self, request: Request) -> Response:
        asked = request.path_params
        portal, kind = self._world.hubspot.find(asked["hub_id"]), OBJECT_TYPES.get(asked["type"])
        record = portal.records.find(kind, asked["id"]) if portal and kind else None
        if portal is None or record is None:
            return _not_found()
        up = Place(kind="HubSpot", name=portal.name, href=f"/crm/hubspot/{portal.hub_id}")
        return _record(hubspot_timeline.card(portal, record), up)

    async def salesforce_record(self, request: Request) -> Response:
        asked = request.path_params
        org, record_id = self._world.salesforce.at(asked["instance"]), read_id(asked["id"])
        record = org.records.find(asked["kind"], record_id) if org and record_id else None
        if org is None or record is None:
            return _not_found()
        up = Place(kind="Salesforce", name=org.name, href=f"/crm/salesforce/{org.id}")
        return _record(salesforce_timeline.card(org, record), up)


def _timeline(name: str, vendor: str, found: Sequence[Activity], *, people: Sequence[Place]) -> Response:
    return page("crm/timeline.html", here="crm", name=name, vendor=vendor, activities=found, people=people)


def _record(card: Card, up: Place) -> Response:
    return page("crm/record.html", here="crm", card=card, up=up, activities=card.activities)


def _not_found() -> Response:
    return PlainTextResponse("There is no such record here.", 404)
