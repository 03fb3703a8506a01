"""The JSON control API under `/_sandbox/`: what a test in another process drives the sandbox with."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.actions import ACTIONS, act, switch
from replysequence.sandbox.calendar_control import CalendarControl
from replysequence.sandbox.faults import MENU, Endpoint, Fault
from replysequence.sandbox.mailbox import open_mail
from replysequence.sandbox.site import StandIn
from replysequence.sandbox.world import Message, VendorSettings, World


def routes(world: World, stand_ins: Mapping[Vendor, StandIn]) -> list[BaseRoute]:
    """Every route of the control API."""
    api, calendars = _Control(world, stand_ins), CalendarControl(world)
    table = (
        ("/state", api.state, ["GET"]),
        ("/ledger", api.ledger, ["GET"]),
        ("/messages", api.messages, ["GET"]),
        ("/messages/{id}", api.message, ["GET"]),
        ("/messages/{id}/raw", api.raw, ["GET"]),
        ("/clock", api.advance, ["POST"]),
        ("/clients", api.register, ["POST"]),
        ("/faults", api.menu, ["GET"]),
        ("/faults", api.arm, ["POST"]),
        ("/faults", api.disarm, ["DELETE"]),
        ("/accounts", api.add_account, ["POST"]),
        ("/accounts/{email}", api.switch_account, ["POST"]),
        ("/vendors/{vendor}", api.set_vendor, ["POST"]),
        ("/calendars/{vendor}/{email}", calendars.show, ["GET"]),
        ("/calendars/{vendor}/{email}", calendars.add, ["POST"]),
        ("/calendars/{vendor}/{email}/expire", calendars.expire, ["POST"]),
        ("/calendars/{vendor}/{email}/{id}", calendars.change, ["PATCH"]),
    )
    return [Route(f"/_sandbox{path}", _checked(do), methods=methods) for path, do, methods in table]


def _checked(do: Any) -> Any:
    async def answer(request: Request) -> Response:
        try:
            result: Response = await do(request)
        except KeyError as error:
            return JSONResponse({"error": f"There is no {error.args[0]}."}, 404)
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return result

    return answer


async def _fields(request: Request) -> dict[str, Any]:
    read = json.loads(await request.body() or b"{}")
    if not isinstance(read, dict):
        raise TypeError("The body must be a JSON object.")
    return read


class _Control:
    def __init__(self, world: World, stand_ins: Mapping[Vendor, StandIn]) -> None:
        self._world = world
        self._stand_ins = stand_ins

    async def state(self, _: Request) -> Response:
        world = self._world
        return JSONResponse(
            {
                "now": world.clock.now().isoformat(),
                "ahead_seconds": world.clock.ahead_seconds,
                "accepted": len(world.ledger),
                "mailboxes": world.mailboxes(),
                "accounts": [_account(account) for account in world.accounts],
                "faults": [_fault(fault) for fault in world.faults],
                "strikes": [
                    {**asdict(strike), "at": strike.at.isoformat()} for strike in world.faults.strikes
                ],
                "settings": {vendor.value: asdict(settings) for vendor, settings in world.settings.items()},
                "clients": [
                    {
                        "vendor": c.vendor.value,
                        "client_id": c.client_id,
                        "redirect_uris": sorted(c.redirect_uris),
                    }
                    for c in world.credentials.clients.values()
                ],
                "grants": [
                    {
                        "vendor": grant.account.vendor.value,
                        "account": grant.account.email,
                        "scopes": sorted(grant.scopes),
                        "revoked": grant.revoked,
                    }
                    for grant in world.credentials.grants.values()
                ],
            }
        )

    async def ledger(self, _: Request) -> Response:
        return JSONResponse([asdict(entry) for entry in self._world.ledger])

    async def messages(self, request: Request) -> Response:
        address = request.query_params.get("mailbox")
        found = self._world.inbox(address) if address else reversed(self._world.messages.values())
        return JSONResponse([_summary(message) for message in found])

    async def message(self, request: Request) -> Response:
        message = self._message(request)
        mail = open_mail(message.delivered)
        return JSONResponse(
            {
                **_summary(message),
                "from": {"name": mail.sender, "address": mail.sender_address},
                "to": mail.to,
                "cc": mail.cc,
                "reply_to": mail.reply_to,
                "date": mail.date,
                "message_id": mail.message_id,
                "html": mail.html,
                "text": mail.text,
                "attachments": [
                    {"filename": a.filename, "content_type": a.content_type, "size": len(a.content)}
                    for a in mail.attachments
                ],
                "headers": [list(pair) for pair in mail.headers],
            }
        )

    async def raw(self, request: Request) -> Response:
        return Response(self._message(request).delivered, media_type="message/rfc822")

    def _message(self, request: Request) -> Message:
        message = self._world.messages.get(request.path_params["id"])
        if message is None:
            raise KeyError(f"message {request.path_params['id']!r}")
        return message

    async def advance(self, request: Request) -> Response:
        self._world.clock.advance(float((await _fields(request))["advance_seconds"]))
        return JSONResponse({"now": self._world.clock.now().isoformat()})

    async def register(self, request: Request) -> Response:
        """`{"public_url"}` registers an app's callbacks, `{"redirect_uris": […]}` any others."""
        given = await _fields(request)
        if "public_url" in given:
            self._world.register_app(given["public_url"])
        for client in self._world.credentials.clients.values():
            client.redirect_uris.update(given.get("redirect_uris", []))
        return JSONResponse({"redirect_uris": sorted(self._world.google_client.redirect_uris)})

    async def menu(self, _: Request) -> Response:
        return JSONResponse(
            [
                {
                    "kind": kind.name,
                    "phase": kind.phase,
                    "endpoints": list(kind.endpoints),
                    "words": kind.words,
                }
                for kind in MENU.values()
            ]
        )

    async def arm(self, request: Request) -> Response:
        given = await _fields(request)
        given["vendor"] = Vendor(given.get("vendor", ""))
        given["endpoint"] = Endpoint(given.get("endpoint", Endpoint.SEND))
        return JSONResponse(_fault(self._stand_ins[given["vendor"]].arm(Fault(**given))), 201)

    async def disarm(self, request: Request) -> Response:
        wanted = request.query_params.get("id")
        self._world.faults.clear(int(wanted) if wanted else None)
        return Response(status_code=204)

    async def add_account(self, request: Request) -> Response:
        """`{"vendor", "email", "name", "subject", "tenant"?}`; one with the same vendor and address is replaced."""
        given = await _fields(request)
        known = {"email", "name", "subject", "tenant"}
        if set(given) - known != {"vendor"} or not all(isinstance(value, str) for value in given.values()):
            raise ValueError(f"An account has a vendor and {', '.join(sorted(known))}, each a text.")
        account = Account(**{**given, "vendor": Vendor(given["vendor"])})
        if account.vendor is Vendor.HUBSPOT and not (account.tenant.isdigit() and account.subject.isdigit()):
            raise ValueError("At HubSpot a portal (tenant) and a user (subject) are numbers.")
        if account.vendor is Vendor.SALESFORCE and not account.tenant:
            raise ValueError("At Salesforce a user (subject) belongs to an org (tenant).")
        return JSONResponse(_account(self._world.accounts.add(account)), 201)

    async def switch_account(self, request: Request) -> Response:
        """Switches by name, and `"do": action` for what happens once."""
        given = await _fields(request)
        vendor = given.pop("vendor", None)
        account = self._account(request.path_params["email"], vendor)
        action = given.pop("do", None)
        if action is not None and action not in ACTIONS:
            raise ValueError(f"There is no action {action!r}; the actions are {', '.join(ACTIONS)}.")
        switch(account, given, site=self._stand_ins[account.vendor].site)
        if action is not None:
            act(self._world, account, action)
        return JSONResponse(_account(account))

    def _account(self, email: str, vendor: str | None) -> Account:
        for account in self._world.accounts:
            if account.email.casefold() == email.casefold() and vendor in (None, account.vendor.value):
                return account
        raise KeyError(f"account {email!r}")

    async def set_vendor(self, request: Request) -> Response:
        vendor, given = Vendor(request.path_params["vendor"]), await _fields(request)
        unknown = set(given) - {item.name for item in fields(VendorSettings)}
        if unknown:
            raise ValueError(f"There is no setting {min(unknown)!r}.")
        for name, value in asdict(replace(self._world.settings[vendor], **given)).items():
            setattr(self._world.settings[vendor], name, value)
        return JSONResponse(asdict(self._world.settings[vendor]))


def _summary(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "vendor": message.vendor.value,
        "account": message.account,
        "recipients": list(message.recipients),
        "bcc": list(message.bcc),
        "subject": message.subject,
        "thread_id": message.thread_id,
        "arrived": message.arrived,
        "at": message.at.isoformat(),
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "vendor": account.vendor.value,
        "email": account.email,
        "name": account.name,
        "subject": account.subject,
        "tenant": account.tenant,
        "switches": asdict(account.switches),
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {item.name: getattr(fault, item.name) for item in fields(Fault) if not item.name.startswith("_")}
