"""What a vendor's stand-in tells the sandbox about itself, and how faults reach its endpoints.

A vendor module offers `stand_in(world) -> StandIn`. A route that faults may strike is made by
`site.route("/token", token, methods=["POST"], endpoint=Endpoint.TOKEN)`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.connection import break_off, hang, hang_up, reset
from replysequence.sandbox.faults import Action, Endpoint, Fault, Faults, Phase

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Site:
    """How one vendor errs.

    `failure(endpoint, fault)` writes the vendor's own error for a fault whose menu line says `ANSWER`: by
    `fault.menu.answer` when set, else by `fault.menu.status`; `retry_after_seconds` goes where it fits.
    `account_of(request)` names the account a request acts for, or None; it may read the body.
    The three tables hold the values that `Switches.at_consent`, `.at_token` and `.at_send` may take, each
    with words for a person.
    """

    vendor: Vendor
    faults: Faults
    failure: Callable[[Endpoint, Fault], Response]
    account_of: Callable[[Request], Awaitable[str | None]]
    consent_failures: Mapping[str, str] = field(default_factory=dict)
    token_failures: Mapping[str, str] = field(default_factory=dict)
    send_failures: Mapping[str, str] = field(default_factory=dict)

    def route(self, path: str, handler: Handler, *, methods: list[str], endpoint: Endpoint) -> BaseRoute:
        """A route whose requests go through the fault menu."""
        return Route(path, FaultyEndpoint(self, handler, endpoint=endpoint), methods=methods)


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """One vendor, ready to be mounted: how it errs, and every route that it answers."""

    site: Site
    routes: list[BaseRoute]

    @property
    def endpoints(self) -> frozenset[Endpoint]:
        """Where faults may strike at this vendor."""
        applications = [route.endpoint for route in self.routes if isinstance(route, Route)]
        return frozenset(app.where for app in applications if isinstance(app, FaultyEndpoint))

    def arm(self, fault: Fault) -> Fault:
        """Arm `fault`. Raises `ValueError` when this vendor has no such endpoint."""
        if fault.endpoint not in self.endpoints:
            raise ValueError(
                f"{self.site.vendor.value} has no {fault.endpoint.value!r} for a fault to strike."
            )
        return self.site.faults.arm(fault)


class FaultyEndpoint:
    """An ASGI application around one handler: asks the fault menu before and after it."""

    def __init__(self, site: Site, handler: Handler, *, endpoint: Endpoint) -> None:
        self._site = site
        self._handler = handler
        self.where = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        fault = await self._strikes(request, Phase.BEFORE)
        if fault is not None:
            await self._strike_before(fault, request, send)
            return
        response = await self._handler(request)
        fault = await self._strikes(request, Phase.AFTER) if response.status_code < 400 else None
        if fault is None:
            await response(scope, receive, send)
        else:
            await self._strike_after(fault, response, request, send)

    async def _strikes(self, request: Request, phase: Phase) -> Fault | None:
        faults, where = self._site.faults, (self._site.vendor, self.where, phase)
        if not faults.concern(*where):
            return None
        account = await self._site.account_of(request) if faults.ask_who(*where) else None
        return faults.take(*where, account=account)

    async def _strike_before(self, fault: Fault, request: Request, send: Send) -> None:
        action = fault.menu.action
        if action is Action.RESET_UNREAD:
            await reset(request)
            return
        if action is Action.RESET_MID_BODY:
            await request.receive()
            await reset(request)
            return
        await request.body()
        await self._strike(fault, request, send)

    async def _strike_after(self, fault: Fault, response: Response, request: Request, send: Send) -> None:
        match fault.menu.action:
            case Action.SLOW:
                await asyncio.sleep(fault.delay_seconds)
                await response(request.scope, request.receive, send)
            case Action.TRUNCATE:
                await break_off(request, response, send)
            case Action.GARBAGE:
                response = Response(b'{"id": \xff\x00<', response.status_code, media_type="application/json")
                await response(request.scope, request.receive, send)
            case Action.RETRY_AFTER:
                response.status_code = 202
                response.headers["Retry-After"] = str(fault.retry_after_seconds)
                await response(request.scope, request.receive, send)
            case _:
                await self._strike(fault, request, send)

    async def _strike(self, fault: Fault, request: Request, send: Send) -> None:
        match fault.menu.action:
            case Action.RESET:
                await reset(request)
            case Action.CLOSE:
                await hang_up(request)
            case Action.HANG:
                await hang(request, seconds=fault.delay_seconds)
            case _:
                response = self._site.failure(self.where, fault)
                await response(request.scope, request.receive, send)
