"""HubSpot's CRM objects: create, read, change, archive, search, and batches, at the dated paths and at v3.

Source: HubSpot's OpenAPI files CRM/Emails and CRM/Contacts (2026-09 and v3), checked 2026-11-22. A contact is found by
`idProperty=email` with its primary address, whatever its case; HubSpot does not document this for a further address.
"""

from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox import hubspot_errors as errors
from replysequence.sandbox import hubspot_scopes as scopes
from replysequence.sandbox import hubspot_values as values
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.hubspot_errors import Failure, HubSpotRefusedError
from replysequence.sandbox.hubspot_gate import (
    ROOTS,
    Gate,
    Visit,
    json_object,
    object_type,
    paged,
    type_named,
    whole_number,
)
from replysequence.sandbox.hubspot_links import read_links, types_between
from replysequence.sandbox.hubspot_portal import ASSOCIATION_TYPES, Portal
from replysequence.sandbox.hubspot_search import Search
from replysequence.sandbox.records import Record
from replysequence.sandbox.site import Site
from replysequence.sandbox.world import World

MOST_IN_BATCH: Final = 100
_UNIQUE: Final = {"contacts": "email"}


class HubSpotObjects:
    """The routes of every object type."""

    def __init__(self, world: World, gate: Gate) -> None:
        self._world = world
        self._gate = gate

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route."""
        guard, found = self._gate.guard, []
        table = (
            ("", guard(self.create), "POST", Endpoint.LOG),
            ("", guard(self.list), "GET", Endpoint.FIND),
            ("/search", guard(self.search, search=True), "POST", Endpoint.FIND),
            ("/batch/create", guard(self.batch_create), "POST", Endpoint.LOG),
            ("/batch/upsert", guard(self.batch_upsert), "POST", Endpoint.LOG),
            ("/batch/read", guard(self.batch_read), "POST", Endpoint.FIND),
            ("/{id}", guard(self.read), "GET", Endpoint.FIND),
            ("/{id}", guard(self.update), "PATCH", Endpoint.LOG),
            ("/{id}", guard(self.archive), "DELETE", Endpoint.LOG),
        )
        for root in (*ROOTS, "/crm/v3/objects"):
            for path, handler, method, where in table:
                found.append(site.route(f"{root}/{{type}}{path}", handler, methods=[method], endpoint=where))
        return found

    async def create(self, request: Request, visit: Visit) -> Response:
        """201 with the record; a contact whose address is taken is a 409 that names the other one."""
        kind, body = object_type(request), await json_object(request)
        await self._gate.admit_write(visit, scopes.to_write(kind))
        return JSONResponse(show(self._create(kind, body, visit), visit), 201)

    def _create(self, kind: str, body: dict[str, Any], visit: Visit) -> Record:
        portal = visit.portal
        properties = values.read_properties(kind, body.get("properties"), portal=portal)
        links = read_links(kind, body.get("associations") or [], portal=portal)
        if kind == "contacts" and properties.get("email"):
            other = portal.contact_with(properties["email"])
            if other is not None:
                raise HubSpotRefusedError(_taken(other))
        record = portal.write(kind, properties, account=visit.account)
        for other in links:
            portal.link(record, other)
        return record

    async def list(self, request: Request, visit: Visit) -> Response:
        """A page of records, oldest first."""
        kind = object_type(request)
        visit.require(scopes.to_read(kind))
        asked = request.query_params
        limit, after = whole_number(asked.get("limit", 10)), whole_number(asked.get("after", 0))
        found = visit.portal.records.of(kind)
        page = found[after : after + limit]
        shown = [show(each, visit, wanted=_wanted(request)) for each in page]
        return JSONResponse(paged(shown, total=len(found), end=after + limit))

    async def search(self, request: Request, visit: Visit) -> Response:
        """What fits, by the index."""
        kind, body = object_type(request), await json_object(request)
        visit.require(scopes.to_read(kind))
        search = Search(body, kind=kind, portal=visit.portal)
        found = search.run(self._world.hubspot, self._world.clock)
        end = search.after + search.limit
        wanted = [str(name) for name in body.get("properties") or []]
        shown = [show(each, visit, wanted=wanted) for each in found[search.after : end]]
        return JSONResponse({"total": len(found), **paged(shown, total=len(found), end=end)})

    async def read(self, request: Request, visit: Visit) -> Response:
        """One record, by id or by the property that `idProperty` names."""
        kind = object_type(request)
        visit.require(scopes.to_read(kind))
        by = request.query_params.get("idProperty", "")
        record = self._find(kind, request.path_params["id"], by=by, portal=visit.portal)
        body = show(record, visit, wanted=_wanted(request))
        asked = [type_named(each) for each in _several(request, "associations")]
        if asked:
            body["associations"] = {
                each: {"results": _associated(record, each, visit.portal)} for each in asked
            }
        return JSONResponse(body)

    async def update(self, request: Request, visit: Visit) -> Response:
        """Change the properties that are given."""
        kind, body = object_type(request), await json_object(request)
        await self._gate.admit_write(visit, scopes.to_write(kind))
        by = request.query_params.get("idProperty", "")
        record = self._find(kind, request.path_params["id"], by=by, portal=visit.portal)
        self._change(record, body, visit)
        return JSONResponse(show(record, visit))

    def _change(self, record: Record, body: dict[str, Any], visit: Visit) -> None:
        portal = visit.portal
        properties = values.read_properties(record.kind, body.get("properties"), portal=portal, partial=True)
        if record.kind == "contacts" and properties.get("email"):
            other = portal.contact_with(properties["email"])
            if other is not None and other is not record:
                raise HubSpotRefusedError(_taken(other))
        portal.records.change(record, properties)

    async def archive(self, request: Request, visit: Visit) -> Response:
        """204, also when it is archived already."""
        kind = object_type(request)
        await self._gate.admit_write(visit, scopes.to_write(kind))
        record = visit.portal.records.find(kind, request.path_params["id"])
        if record is not None:
            record.deleted = True
        return Response(status_code=204)

    async def batch_create(self, request: Request, visit: Visit) -> Response:
        """201, or 207 with what failed beside what did not."""
        kind, inputs = object_type(request), _inputs(await json_object(request))
        await self._gate.admit_write(visit, scopes.to_write(kind))
        made, failed = [], []
        for each in inputs:
            try:
                made.append(show(self._create(kind, each, visit), visit))
            except HubSpotRefusedError as refused:
                failed.append(refused.failure.body())
        return self._batch(made, failed, status=201)

    async def batch_upsert(self, request: Request, visit: Visit) -> Response:
        """Create or change by a unique property; only contacts have one here, their `email`."""
        kind, inputs = object_type(request), _inputs(await json_object(request))
        await self._gate.admit_write(visit, scopes.to_write(kind))
        made, failed = [], []
        for each in inputs:
            try:
                made.append(self._upsert(kind, each, visit))
            except HubSpotRefusedError as refused:
                failed.append(refused.failure.body())
        return self._batch(made, failed, status=200)

    def _upsert(self, kind: str, each: dict[str, Any], visit: Visit) -> dict[str, Any]:
        unique = _UNIQUE.get(kind)
        if unique is None or each.get("idProperty") != unique:
            raise HubSpotRefusedError(errors.malformed("idProperty is no unique property of this type"))
        record = visit.portal.contact_of(str(each.get("id")))
        if record is not None:
            self._change(record, each, visit)
            return show(record, visit) | {"new": False}
        given = {unique: each.get("id"), **(each.get("properties") or {})}
        return show(self._create(kind, {"properties": given}, visit), visit) | {"new": True}

    async def batch_read(self, request: Request, visit: Visit) -> Response:
        """200, or 207 when some are not there."""
        kind, body = object_type(request), await json_object(request)
        visit.require(scopes.to_read(kind))
        found, failed = [], []
        wanted = [str(name) for name in body.get("properties") or []]
        by = str(body.get("idProperty") or "")
        for each in _inputs(body):
            try:
                record = self._find(kind, str(each.get("id")), by=by, portal=visit.portal)
                found.append(show(record, visit, wanted=wanted))
            except HubSpotRefusedError as refused:
                failed.append(refused.failure.body())
        return self._batch(found, failed, status=200)

    def _batch(
        self, results: Sequence[dict[str, Any]], failed: Sequence[dict[str, Any]], *, status: int
    ) -> Response:
        now = values.stamp(self._world.clock.now())
        body: dict[str, Any] = {
            "status": "COMPLETE",
            "results": list(results),
            "startedAt": now,
            "completedAt": now,
        }
        if failed:
            body |= {"numErrors": len(failed), "errors": list(failed)}
        return JSONResponse(body, 207 if failed else status)

    def _find(self, kind: str, record_id: str, *, by: str, portal: Portal) -> Record:
        if by and by not in ("hs_object_id", _UNIQUE.get(kind)):
            raise HubSpotRefusedError(errors.malformed(f"{by} is no unique property of {kind}"))
        by_email = by == "email"
        record = portal.contact_of(record_id) if by_email else portal.records.find(kind, record_id)
        if record is None:
            raise HubSpotRefusedError(errors.not_found(kind, record_id))
        return record


def show(record: Record, visit: Visit, *, wanted: Sequence[str] | None = None) -> dict[str, Any]:
    """A record as the API shows it: the properties of `wanted` beside those that always come.

    Without `wanted`, after a write, everything that is set. Who may not read emails gets null for their contents.
    """
    created, updated = values.stamp(record.created_at), values.stamp(record.updated_at)
    known: dict[str, Any] = {
        **{name: value for name, value in record.fields.items() if value != ""},
        "hs_object_id": record.id,
        "createdate": created,
        "lastmodifieddate": updated,
        "hs_createdate": created,
        "hs_lastmodifieddate": updated,
    }
    if record.kind == "emails" and not visit.sees_bodies:
        known |= dict.fromkeys(values.BODIES)
    names = [*values.default_properties(record.kind), *(record.fields if wanted is None else wanted)]
    return {
        "id": record.id,
        "properties": {name: known.get(name) for name in dict.fromkeys(names)},
        "createdAt": created,
        "updatedAt": updated,
        "archived": False,
    }


def _associated(record: Record, kind: str, portal: Portal) -> list[dict[str, str]]:
    if (record.kind, kind) not in ASSOCIATION_TYPES:
        return []
    return [
        {"id": other.id, "type": each["label"] or f"{record.kind}_to_{kind}".lower()}
        for other in portal.linked(record, kind)
        for each in types_between(record, other, portal)
    ]


def _several(request: Request, name: str) -> list[str]:
    found = [each for value in request.query_params.getlist(name) for each in value.split(",")]
    return [each.strip() for each in found if each.strip()]


def _wanted(request: Request) -> list[str]:
    return _several(request, "properties")


def _inputs(body: dict[str, Any]) -> list[dict[str, Any]]:
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= MOST_IN_BATCH:
        raise HubSpotRefusedError(errors.malformed(f"inputs are 1 to {MOST_IN_BATCH} objects"))
    if not all(isinstance(each, dict) for each in inputs):
        raise HubSpotRefusedError(errors.malformed("an input is no object"))
    return inputs


def _taken(other: Record) -> Failure:
    """409; the id of the contact that is there stands only in the words."""
    return Failure(
        status=409, message=f"Contact already exists. Existing ID: {other.id}", category="CONFLICT"
    )
