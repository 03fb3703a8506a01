"""HubSpot's associations, at the dated paths and at v4, and the owners of records.

Source: HubSpot's OpenAPI files CRM/Associations and CRM/Owners, checked 2026-11-22.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox import hubspot_errors as errors
from replysequence.sandbox import hubspot_scopes as scopes
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.hubspot_errors import Failure, HubSpotRefusedError
from replysequence.sandbox.hubspot_gate import ROOTS, VERSIONS, Gate, Visit, object_type, paged, whole_number
from replysequence.sandbox.hubspot_links import types_between
from replysequence.sandbox.hubspot_portal import ASSOCIATION_TYPES, Owner
from replysequence.sandbox.hubspot_values import stamp
from replysequence.sandbox.records import Record
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World


class HubSpotAssociations:
    """Put, list and take away associations; list and read owners."""

    def __init__(self, world: World, gate: Gate) -> None:
        self._world = world
        self._gate = gate

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route."""
        guard, found = self._gate.guard, []
        pair = "/{type}/{id}/associations/{other_type}/{other_id}"
        table = (
            ("/{type}/{id}/associations/default/{other_type}/{other_id}", self.put, "PUT", Endpoint.LOG),
            (pair, self.remove, "DELETE", Endpoint.LOG),
            ("/{type}/{id}/associations/{other_type}", self.list, "GET", Endpoint.FIND),
        )
        for root in (*ROOTS, "/crm/v4/objects"):
            for path, work, method, where in table:
                found.append(site.route(root + path, guard(work), methods=[method], endpoint=where))
        for root in (*(f"/crm/owners/{version}" for version in VERSIONS), "/crm/v3/owners"):
            for path, work in (("", self.owners), ("/", self.owners), ("/{id}", self.owner)):
                found.append(site.route(root + path, guard(work), methods=["GET"], endpoint=Endpoint.FIND))
        return found

    async def put(self, request: Request, visit: Visit) -> Response:
        """Associate two records by the unlabelled types of their pair; again changes nothing."""
        record, other = await self._pair(request, visit)
        visit.portal.link(record, other)
        results = [_default(record, other), _default(other, record)]
        now = stamp(self._world.clock.now())
        return JSONResponse({"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now})

    async def remove(self, request: Request, visit: Visit) -> Response:
        """204, also where nothing was associated."""
        record, other = await self._pair(request, visit)
        visit.portal.unlink(record, other)
        return Response(status_code=204)

    async def _pair(self, request: Request, visit: Visit) -> tuple[Record, Record]:
        kind, other_kind = object_type(request), object_type(request, "other_type")
        await self._gate.admit_write(visit, scopes.to_write(kind))
        _check_pair(kind, other_kind)
        record = visit.portal.records.find(kind, request.path_params["id"])
        other = visit.portal.records.find(other_kind, request.path_params["other_id"])
        if record is None:
            raise HubSpotRefusedError(errors.not_found(kind, request.path_params["id"]))
        if other is None:
            raise HubSpotRefusedError(errors.not_found(other_kind, request.path_params["other_id"]))
        return record, other

    async def list(self, request: Request, visit: Visit) -> Response:
        """Ids and association types of what a record is associated with; up to 500 a page."""
        kind, other_kind = object_type(request), object_type(request, "other_type")
        visit.require(scopes.to_read(kind))
        _check_pair(kind, other_kind)
        record = visit.portal.records.find(kind, request.path_params["id"])
        if record is None:
            raise HubSpotRefusedError(errors.not_found(kind, request.path_params["id"]))
        asked = request.query_params
        after, limit = whole_number(asked.get("after", 0)), whole_number(asked.get("limit", 500))
        found = visit.portal.linked(record, other_kind)
        shown = [
            {"toObjectId": other.id, "associationTypes": types_between(record, other, visit.portal)}
            for other in found[after : after + limit]
        ]
        return JSONResponse(paged(shown, total=len(found), end=after + limit))

    async def owners(self, request: Request, visit: Visit) -> Response:
        """Every owner, or the one with the address in `email`."""
        visit.require([scopes.OWNERS])
        email = request.query_params.get("email", "").casefold()
        found = [each for each in visit.portal.owners if not email or each.email.casefold() == email]
        return JSONResponse({"results": [_owner(each) for each in found]})

    async def owner(self, request: Request, visit: Visit) -> Response:
        """One owner, by its id."""
        visit.require([scopes.OWNERS])
        for each in visit.portal.owners:
            if each.id == request.path_params["id"]:
                return JSONResponse(_owner(each))
        raise HubSpotRefusedError(errors.not_found("owners", request.path_params["id"]))


def _check_pair(kind: str, other_kind: str) -> None:
    if (kind, other_kind) not in ASSOCIATION_TYPES:
        message = f"{kind} and {other_kind} are not associated here"
        raise HubSpotRefusedError(Failure(status=400, message=message, category="VALIDATION_ERROR"))


def _default(record: Record, other: Record) -> dict[str, Any]:
    return {
        "from": {"id": record.id},
        "to": {"id": other.id},
        "associationSpec": {
            "associationCategory": "HUBSPOT_DEFINED",
            "associationTypeId": ASSOCIATION_TYPES[record.kind, other.kind],
        },
    }


def _owner(owner: Owner) -> dict[str, Any]:
    since = "2025-01-07T09:00:00.000Z"
    return {
        "id": owner.id,
        "email": owner.email,
        "type": "PERSON",
        "firstName": owner.first_name,
        "lastName": owner.last_name,
        "userId": int(owner.user_id),
        "createdAt": since,
        "updatedAt": since,
        "archived": False,
    }
