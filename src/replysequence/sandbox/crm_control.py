"""Control routes of the CRMs: what was written, HubSpot's switches, the switches of each Salesforce org."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox.world import World


class _Switchable(Protocol):
    def change(self, changes: Mapping[str, object]) -> None: ...

    def switches(self) -> dict[str, object]: ...


def routes(world: World) -> list[BaseRoute]:
    """`/_sandbox/records`, `/_sandbox/hubspot` and `/_sandbox/salesforce`: JSON in, JSON out; 422 with the reason."""
    control = _Control(world)
    table = (
        ("/records", control.records, "GET"),
        ("/hubspot", control.hubspot, "GET"),
        ("/hubspot", control.change_hubspot, "POST"),
        ("/salesforce", control.salesforce, "GET"),
        ("/salesforce/{org}", control.org, "GET"),
        ("/salesforce/{org}", control.change_org, "POST"),
    )
    return [Route(f"/_sandbox{path}", do, methods=[method]) for path, do, method in table]


class _Control:
    def __init__(self, world: World) -> None:
        self._world = world

    async def records(self, request: Request) -> Response:
        """The ledger's records, oldest first; `?vendor=` and `?marker=` choose among them."""
        vendor, marker = request.query_params.get("vendor"), request.query_params.get("marker")
        found = [
            record
            for record in self._world.ledger.records
            if vendor in (None, record.vendor) and (marker is None or record.mentions(marker))
        ]
        return JSONResponse([asdict(record) for record in found])

    async def hubspot(self, _: Request) -> Response:
        portals = [{"hub_id": each.hub_id, "name": each.name} for each in self._world.hubspot]
        return JSONResponse({**self._world.hubspot.switches(), "portals": portals})

    async def change_hubspot(self, request: Request) -> Response:
        return await _change(self._world.hubspot, request)

    async def salesforce(self, _: Request) -> Response:
        orgs = [{"id": each.id, "name": each.name, **each.switches()} for each in self._world.salesforce]
        return JSONResponse({"orgs": orgs})

    async def org(self, request: Request) -> Response:
        found = self._world.salesforce.find(request.path_params["org"])
        return _no_such_org() if found is None else JSONResponse(found.switches())

    async def change_org(self, request: Request) -> Response:
        found = self._world.salesforce.find(request.path_params["org"])
        return _no_such_org() if found is None else await _change(found, request)


async def _change(target: _Switchable, request: Request) -> Response:
    try:
        changes: Any = await request.json()
        if not isinstance(changes, dict):
            raise ValueError("The body must be a JSON object.")  # answered like the others
        target.change(changes)
    except ValueError as error:
        return JSONResponse({"error": {"code": "invalid", "message": str(error)}}, 422)
    return JSONResponse(target.switches())


def _no_such_org() -> Response:
    return JSONResponse({"error": {"code": "not_found", "message": "There is no such org."}}, 404)
