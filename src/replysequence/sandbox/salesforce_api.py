"""Salesforce's REST API at an instance: versions, limits, queries and records.

An instance is a path of the sandbox, `/salesforce/{instance}`, where the real one is a host of its own.
Source: REST API guide, checked 2026-11-22.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import salesforce_email, salesforce_query
from replysequence.sandbox import salesforce_errors as errors
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.carried import bearer
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.records import Record
from replysequence.sandbox.salesforce_errors import Failure, SalesforceRefusedError
from replysequence.sandbox.salesforce_ids import read_id
from replysequence.sandbox.salesforce_objects import CREATABLE, FIELDS, canonical, value_of
from replysequence.sandbox.salesforce_org import Org
from replysequence.sandbox.salesforce_soql import read_query
from replysequence.sandbox.salesforce_writing import check_change, check_new
from replysequence.sandbox.site import Handler, Site
from replysequence.sandbox.world import World

VERSIONS: Final = tuple(range(59, 69))
"""59 is what simple-salesforce speaks, 68 is Winter '27."""
ROOT: Final = "/salesforce/{instance}/services/data"


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One call that was let in: whose token, to which org."""

    account: Account
    org: Org


Work = Callable[[Request, Visit], Awaitable[Response]]


class SalesforceApi:
    """Every route below `/services/data`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route."""
        table = (
            ("/limits", self.limits, "GET", Endpoint.FIND),
            ("/query", self.query, "GET", Endpoint.FIND),
            ("/query/", self.query, "GET", Endpoint.FIND),
            ("/sobjects", self.objects, "GET", Endpoint.FIND),
            ("/sobjects/{kind}/describe", self.describe, "GET", Endpoint.FIND),
            ("/sobjects/{kind}", self.create, "POST", Endpoint.LOG),
            ("/sobjects/{kind}/", self.create, "POST", Endpoint.LOG),
            ("/sobjects/{kind}/{id}", self.read, "GET", Endpoint.FIND),
            ("/sobjects/{kind}/{id}", self.update, "PATCH", Endpoint.LOG),
            ("/sobjects/{kind}/{id}", self.delete, "DELETE", Endpoint.LOG),
        )
        return [
            Route(ROOT, self.versions, methods=["GET"]),
            *(
                site.route(f"{ROOT}/{{version}}{path}", self._guard(work), methods=[method], endpoint=where)
                for path, work, method, where in table
            ),
        ]

    def _guard(self, work: Work) -> Handler:
        async def guarded(request: Request) -> Response:
            org = self._world.salesforce.at(request.path_params["instance"])
            try:
                visit = self._enter(request, org)
                if request.path_params["version"] not in {f"v{number}.0" for number in VERSIONS}:
                    raise SalesforceRefusedError(errors.NOT_FOUND)
                response = await work(request, visit)
            except SalesforceRefusedError as refused:
                response = refused.failure.response()
            if org is not None:
                used = f"api-usage={org.used_today}/{org.daily_requests}"
                response.headers["Sforce-Limit-Info"] = used
            return response

        return guarded

    def _enter(self, request: Request, org: Org | None) -> Visit:
        """The session slides: every use of a token makes its time begin anew."""
        token = self._world.credentials.usable_access_token(bearer(request))
        if token is None or org is None or token.account.tenant != org.id:
            raise SalesforceRefusedError(errors.INVALID_SESSION)
        if not {"api", "full"} & set(token.scopes):
            raise SalesforceRefusedError(errors.NOT_FOR_REST)
        if not org.charge():
            raise SalesforceRefusedError(errors.LIMIT_EXCEEDED)
        lifetime = self._world.settings[Vendor.SALESFORCE].access_token_seconds
        token.expires_at = self._world.clock.now() + timedelta(seconds=lifetime)
        return Visit(account=token.account, org=org)

    async def versions(self, request: Request) -> Response:  # noqa: ARG002  # a route's signature
        """Every version of the API; no token is needed."""
        return JSONResponse(
            [
                {
                    "label": f"{('Spring', 'Summer', 'Winter')[(number - 60) % 3]} '{24 + (number - 59) // 3}",
                    "url": f"/services/data/v{number}.0",
                    "version": f"{number}.0",
                }
                for number in VERSIONS
            ]
        )

    async def limits(self, request: Request, visit: Visit) -> Response:  # noqa: ARG002  # a route's signature
        """What is left of the day."""
        org = visit.org
        left = max(0, org.daily_requests - org.used_today)
        return JSONResponse({"DailyApiRequests": {"Max": org.daily_requests, "Remaining": left}})

    async def query(self, request: Request, visit: Visit) -> Response:
        """`?q=`, in SOQL."""
        query = read_query(request.query_params.get("q", ""))
        return JSONResponse(salesforce_query.run(query, visit.org, path=_data_path(request)))

    async def objects(self, request: Request, visit: Visit) -> Response:
        """Every object that this org has."""
        shown = [_object(kind, _data_path(request)) for kind in FIELDS if _has(visit.org, kind)]
        return JSONResponse({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": shown})

    async def describe(self, request: Request, visit: Visit) -> Response:
        """One object, with its fields."""
        kind = _object_type(request, visit)
        fields = [
            {
                "name": name,
                "length": field.length,
                "createable": field.writable and kind in CREATABLE,
                "updateable": field.writable and field.changeable,
                "nillable": not field.required,
                "picklistValues": [
                    {"active": True, "label": each, "value": each, "defaultValue": False}
                    for each in field.options
                ],
                "referenceTo": list(field.to),
            }
            for name, field in FIELDS[kind].items()
        ]
        return JSONResponse(_object(kind, _data_path(request)) | {"fields": fields})

    async def create(self, request: Request, visit: Visit) -> Response:
        """201 with the id."""
        kind, org = _object_type(request, visit), visit.org
        given = await _body(request)
        if kind not in CREATABLE:
            raise SalesforceRefusedError(errors.NO_ACCESS)
        await self._admit_write(visit)
        fields = check_new(kind, given, org)
        record = org.write(kind, _defaults(kind, visit) | fields, account=visit.account)
        if kind == "EmailMessage":
            salesforce_email.complete(record, org, visit.account)
        headers = {"Location": f"{_data_path(request)}/sobjects/{kind}/{record.id}"}
        return JSONResponse({"id": record.id, "success": True, "errors": []}, 201, headers=headers)

    async def read(self, request: Request, visit: Visit) -> Response:
        """Every field of a record, or those of `fields`."""
        record = _record(request, visit)
        asked = [each.strip() for each in request.query_params.get("fields", "").split(",") if each.strip()]
        names = [canonical(record.kind, each) for each in asked] if asked else list(FIELDS[record.kind])
        if None in names:
            raise SalesforceRefusedError(errors.invalid_field(f"No such column on entity '{record.kind}'."))
        url = f"{_data_path(request)}/sobjects/{record.kind}/{record.id}"
        shown = {str(name): value_of(record, str(name)) for name in names}
        return JSONResponse({"attributes": {"type": record.kind, "url": url}, **shown})

    async def update(self, request: Request, visit: Visit) -> Response:
        """204."""
        record, given = _record(request, visit), await _body(request)
        await self._admit_write(visit)
        visit.org.records.change(record, check_change(record, given, visit.org))
        return Response(status_code=204)

    async def delete(self, request: Request, visit: Visit) -> Response:
        """204."""
        record = _record(request, visit)
        await self._admit_write(visit)
        record.deleted = True
        return Response(status_code=204)

    async def _admit_write(self, visit: Visit) -> None:
        failure = errors.WRITE_FAILURES.get(visit.account.switches.at_send)
        if failure is not None:
            raise SalesforceRefusedError(failure)
        seconds = self._world.settings[Vendor.SALESFORCE].send_latency_seconds
        if seconds:
            await asyncio.sleep(seconds)


def _defaults(kind: str, visit: Visit) -> dict[str, Any]:
    """What Salesforce fills in where nothing was said."""
    mine = {"CreatedById": visit.account.subject}
    if kind == "EmailMessage":
        return mine | {"Status": "0", "Incoming": False}
    if kind == "Task":
        return mine | {"Status": "Not Started", "Priority": "Normal", "OwnerId": visit.account.subject}
    if kind in ("Contact", "Lead"):
        return mine | {"OwnerId": visit.account.subject}
    return mine


def _has(org: Org, kind: str) -> bool:
    return org.enhanced_email or not kind.startswith("EmailMessage")


def _object_type(request: Request, visit: Visit) -> str:
    wanted = request.path_params["kind"].casefold()
    kind = next((known for known in FIELDS if known.casefold() == wanted), None)
    if kind is None or not _has(visit.org, kind):
        raise SalesforceRefusedError(errors.NOT_FOUND)
    return kind


def _record(request: Request, visit: Visit) -> Record:
    kind = _object_type(request, visit)
    record_id = read_id(request.path_params["id"])
    found = visit.org.records.find(kind, record_id) if record_id else None
    if found is None and record_id and visit.org.records.was_deleted(kind, record_id):
        raise SalesforceRefusedError(Failure(404, "ENTITY_IS_DELETED", "entity is deleted", fields=()))
    if found is None:
        raise SalesforceRefusedError(errors.NOT_FOUND)
    return found


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise SalesforceRefusedError(errors.NOT_JSON) from None
    if not isinstance(body, dict):
        raise SalesforceRefusedError(errors.NOT_JSON)
    return body


def _data_path(request: Request) -> str:
    """The path as the instance itself calls it, where the sandbox's prefix is no part of it."""
    return f"/services/data/{request.path_params['version']}"


def _object(kind: str, path: str) -> dict[str, Any]:
    return {
        "name": kind,
        "label": kind,
        "createable": kind in CREATABLE,
        "queryable": True,
        "urls": {"sobject": f"{path}/sobjects/{kind}", "describe": f"{path}/sobjects/{kind}/describe"},
    }
