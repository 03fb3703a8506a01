"""Settings → Integrations."""

from fastapi import APIRouter, Request, Response

from replysequence.domain.connection import Connection
from replysequence.domain.errors import NotFound
from replysequence.services import Services
from replysequence.services.connecting import ProviderCard
from replysequence.services.disconnecting import Disconnected
from replysequence.web.api.auth import INTEGRATIONS
from replysequence.web.api.inputs import Uuid
from replysequence.web.callers import AtABrowser, TheCookies, TheServices
from replysequence.web.notices import Notice, go
from replysequence.web.rendering import render

router = APIRouter(include_in_schema=False)


@router.get("/settings")
async def settings(cookies: TheCookies, _: AtABrowser) -> Response:
    return go(INTEGRATIONS, cookies=cookies)


@router.get(INTEGRATIONS)
async def integrations(request: Request, services: TheServices, caller: AtABrowser) -> Response:
    categories = await services.connecting.integrations(caller.id)
    return render(request, "integrations.html", categories=categories)


@router.post("/settings/integrations/{connection_id}/default")
async def make_default(
    connection_id: Uuid, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    _, connection = await _find(services, caller.id, connection_id=str(connection_id))
    await services.connecting.set_default(caller.id, connection_id=connection.id)
    notice = Notice("good", f"New drafts now leave from {connection.email}.")
    return go(INTEGRATIONS, cookies=cookies, notice=notice)


@router.get("/settings/integrations/{connection_id}/disconnect")
async def ask_to_disconnect(
    connection_id: Uuid, request: Request, services: TheServices, caller: AtABrowser
) -> Response:
    card, connection = await _find(services, caller.id, connection_id=str(connection_id))
    waiting = await services.disconnecting.unfinished(caller.id, connection_id=connection.id)
    return render(request, "disconnect.html", card=card, connection=connection, waiting=waiting)


@router.post("/settings/integrations/{connection_id}/disconnect")
async def disconnect(
    connection_id: Uuid, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    card, connection = await _find(services, caller.id, connection_id=str(connection_id))
    done = await services.disconnecting.disconnect(caller.id, provider=card.name, connection_id=connection.id)
    return go(INTEGRATIONS, cookies=cookies, notice=_farewell(done[0], card=card) if done else None)


async def _find(services: Services, user_id: str, *, connection_id: str) -> tuple[ProviderCard, Connection]:
    for _, cards in await services.connecting.integrations(user_id):
        for card in cards:
            for connection in card.connections:
                if connection.id == connection_id:
                    return card, connection
    raise NotFound("account")


def _farewell(done: Disconnected, *, card: ProviderCard) -> Notice:
    gone = f"{done.email} is disconnected, and what we stored to use it is wiped."
    if done.waiting:
        gone += f" Messages that wait for it: {done.waiting}. You find them under Sends."
    if done.revoked:
        return Notice("good", f"{gone} {card.title} took the permission back.")
    if done.removal_url is None:
        return Notice("good", gone)
    text = (
        f"{gone} {card.title} has no way for us to take the permission back; you can do that there yourself."
    )
    return Notice(
        "info", text, code="removal", details={"removal_url": done.removal_url, "title": card.title}
    )
