"""Who may call HubSpot's API, how often, and for what (usage guidelines and "Error handling", checked 2026-11-22)."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from replysequence.sandbox import hubspot_errors as errors
from replysequence.sandbox import hubspot_scopes as scopes
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.carried import bearer
from replysequence.sandbox.credentials import AccessToken
from replysequence.sandbox.hubspot_errors import Failure, HubSpotRefusedError
from replysequence.sandbox.hubspot_portal import OBJECT_TYPES, Portal
from replysequence.sandbox.site import Handler
from replysequence.sandbox.world import World


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One call that was let in: by which token, to which portal."""

    token: AccessToken
    portal: Portal

    @property
    def account(self) -> Account:
        """Whose token it is."""
        return self.token.account

    def require(self, needed: Sequence[str]) -> None:
        """Raises `HubSpotRefusedError` unless all scopes of `needed` were granted."""
        missing = [scope for scope in needed if scope not in self.token.scopes]
        if missing:
            raise HubSpotRefusedError(errors.missing_scopes(missing))

    @property
    def sees_bodies(self) -> bool:
        """Whether the contents of emails are shown."""
        return scopes.READ_EMAIL in self.token.scopes


VERSIONS: Final = ("2025-09", "2026-03", "2026-09")
"""The dated versions of objects, associations and owners."""
ROOTS: Final = tuple(f"/crm/objects/{version}" for version in VERSIONS)

Work = Callable[[Request, Visit], Awaitable[Response]]


class Gate:
    """What every call goes through."""

    def __init__(self, world: World) -> None:
        self._world = world

    def guard(self, work: Work, *, search: bool = False) -> Handler:
        """`work` behind the token and the rate limit; a search has a limit of its own, and no headers about it."""

        async def guarded(request: Request) -> Response:
            portal = None
            try:
                token = self._authenticate(request)
                portal = self._world.hubspot.portal(token.account.tenant)
                self._charge(portal, search=search)
                response = await work(request, Visit(token=token, portal=portal))
            except HubSpotRefusedError as refused:
                response = refused.failure.response()
            if portal is not None and not search:
                response.headers.update(self._limits(portal))
            return response

        return guarded

    async def admit_write(self, visit: Visit, needed: Sequence[str]) -> None:
        """What stands before every write: scopes, whatever is switched on for this person, and its time."""
        visit.require(needed)
        failure = errors.WRITE_FAILURES.get(visit.account.switches.at_send)
        if failure is not None:
            raise HubSpotRefusedError(failure)
        seconds = self._world.settings[Vendor.HUBSPOT].send_latency_seconds
        if seconds:
            await asyncio.sleep(seconds)

    def _authenticate(self, request: Request) -> AccessToken:
        held = self._world.credentials.access_tokens.get(bearer(request))
        if held is None or held.account.vendor is not Vendor.HUBSPOT:
            raise HubSpotRefusedError(errors.UNAUTHENTICATED)
        if self._world.credentials.usable_access_token(held.value) is None:
            raise HubSpotRefusedError(errors.EXPIRED)
        return held

    def _charge(self, portal: Portal, *, search: bool) -> None:
        now, hubspot = self._world.clock.now(), self._world.hubspot
        if search and not portal.searches.admit(now, limit=hubspot.searches_per_second):
            raise HubSpotRefusedError(errors.rate_limited("SECONDLY"))
        if not search and not portal.calls.admit(now, limit=hubspot.calls_per_10_seconds):
            raise HubSpotRefusedError(errors.rate_limited("TEN_SECONDLY_ROLLING"))

    def _limits(self, portal: Portal) -> dict[str, str]:
        limit = self._world.hubspot.calls_per_10_seconds
        return {
            "X-HubSpot-RateLimit-Max": str(limit),
            "X-HubSpot-RateLimit-Remaining": str(portal.calls.left(limit=limit)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
        }


async def json_object(request: Request) -> dict[str, Any]:
    """The body of `request`. Raises `HubSpotRefusedError` when it is no JSON object."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise HubSpotRefusedError(errors.malformed("the body is not JSON")) from None
    if not isinstance(body, dict):
        raise HubSpotRefusedError(errors.malformed("the body is not an object"))
    return body


def object_type(request: Request, name: str = "type") -> str:
    """The object type that the path names. Raises `HubSpotRefusedError` (400) for one that is not here."""
    return type_named(request.path_params[name])


def type_named(name: str) -> str:
    """The object type that is written as `name`: `contacts`, `contact` or `0-1`. Raises `HubSpotRefusedError` (400)."""
    singular = {"contact": "contacts", "company": "companies", "deal": "deals", "email": "emails"}
    kind = OBJECT_TYPES.get(name) or singular.get(name, name)
    if kind not in OBJECT_TYPES.values():
        raise HubSpotRefusedError(
            Failure(
                status=400, message=f"Unable to infer object type from: {name}", category="VALIDATION_ERROR"
            )
        )
    return kind


def paged(results: Sequence[dict[str, Any]], *, total: int, end: int) -> dict[str, Any]:
    """A page of a collection; `paging` only where there is more."""
    more = {"paging": {"next": {"after": str(end)}}} if end < total else {}
    return {"results": list(results), **more}


def whole_number(value: object, *, most: int = 500) -> int:
    """A number for paging. Raises `HubSpotRefusedError` (400) for anything but 0 to `most`."""
    text = str(value)
    if not text.isascii() or not text.isdigit() or int(text) > most:
        raise HubSpotRefusedError(errors.malformed(f"{text!r} is no number from 0 to {most}"))
    return int(text)
