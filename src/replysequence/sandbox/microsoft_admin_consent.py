"""The page where an administrator approves the app for everybody in a tenant.

Source: Microsoft identity platform, "Admin consent on the Microsoft identity platform", checked 2026-11-22.
"""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox import microsoft_errors as errors
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.credentials import Client
from replysequence.sandbox.microsoft_authorize import is_registered
from replysequence.sandbox.microsoft_directory import (
    PERMISSIONS,
    Directory,
    UnknownScope,
    read_scopes,
    write_scopes,
)
from replysequence.sandbox.microsoft_errors import Refusal
from replysequence.sandbox.rendering import page, redirect
from replysequence.sandbox.world import World


class AdminConsent:
    """Shows the request and records the administrator's decision."""

    def __init__(self, world: World, directory: Directory) -> None:
        self._world = world
        self._directory = directory

    def routes(self) -> list[BaseRoute]:
        """The link that an app offers, and the form behind it."""
        path = "/{segment}/v2.0/adminconsent"
        return [Route(path, self.show, methods=["GET"]), Route(path, self.decide, methods=["POST"])]

    async def show(self, request: Request) -> Response:
        """What the app asks for, and for which of the tenants."""
        parameters = dict(request.query_params) | {"segment": request.path_params["segment"]}
        checked = self._check(parameters)
        if isinstance(checked, Refusal):
            return self._error_page(checked, parameters)
        _, scopes = checked
        return page(
            "microsoft/admin_consent.html",
            permissions=[PERMISSIONS[scope] for scope in scopes],
            tenants=self._tenants(parameters["segment"]),
            parameters={name: value for name, value in parameters.items() if name != "segment"},
        )

    async def decide(self, request: Request) -> Response:
        """Record the approval, or the refusal, and go back to the app."""
        form = await request.form()
        parameters = {name: value for name, value in form.items() if isinstance(value, str)}
        parameters["segment"] = request.path_params["segment"]
        checked = self._check(parameters)
        if isinstance(checked, Refusal):
            return self._error_page(checked, parameters)
        client, scopes = checked
        tenant = parameters.get("tenant", "")
        if parameters.get("decision") != "accept" or tenant not in self._tenants(parameters["segment"]):
            description = errors.describe(errors.DECLINED, now=self._world.clock.now())
            return _return(parameters, {"error": errors.DECLINED.error, "error_description": description})
        self._directory.allow(tenant, client, scopes)
        return _return(parameters, {"tenant": tenant, "scope": write_scopes(scopes)})

    def _check(self, parameters: dict[str, str]) -> tuple[Client, tuple[str, ...]] | Refusal:
        client = self._world.credentials.client(Vendor.MICROSOFT, parameters.get("client_id", ""))
        if not self._tenants(parameters["segment"]):
            return errors.UNKNOWN_TENANT
        if client is None:
            return errors.UNKNOWN_APPLICATION
        if not is_registered(client, parameters.get("redirect_uri", "")):
            return errors.REDIRECT_NOT_REGISTERED
        try:
            return client, read_scopes(parameters.get("scope", ""))
        except UnknownScope:
            return errors.NO_SUCH_SCOPE

    def _tenants(self, segment: str) -> dict[str, str]:
        """The tenants whose administrator may decide here, id → domain; none under `common`."""
        tenants = self._directory.tenants()
        if segment == "organizations":
            return tenants
        found = self._directory.tenant_id(segment)
        return {found: tenants[found]} if found in tenants else {}

    def _error_page(self, refusal: Refusal, parameters: dict[str, str]) -> Response:
        description = errors.describe(refusal, parameters, now=self._world.clock.now())
        return page("microsoft/error.html", description=description)


def _return(parameters: dict[str, str], answer: dict[str, str]) -> Response:
    answer = {"admin_consent": "True"} | answer
    if "state" in parameters:
        answer["state"] = parameters["state"]
    return redirect(f"{parameters['redirect_uri']}?{urlencode(answer)}")
