"""Settings → Integrations."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response

from replysequence.domain.connection import Connection
from replysequence.domain.errors import InvalidInput, NotFound
from replysequence.services import Services
from replysequence.services.cards import ProviderCard
from replysequence.services.deciding import Moved
from replysequence.services.disconnecting import Disconnected, Waiting
from replysequence.web.api.auth import INTEGRATIONS
from replysequence.web.api.inputs import Uuid
from replysequence.web.callers import AtABrowser, TheCookies, TheServices
from replysequence.web.notices import Notice, go
from replysequence.web.pages.held import accounts_that_send, said_of
from replysequence.web.rendering import render
from replysequence.web.standing import held_of

router = APIRouter(include_in_schema=False)


@router.get("/settings")
async def settings(cookies: TheCookies, _: AtABrowser) -> Response:
    return go(INTEGRATIONS, cookies=cookies)


@router.get(INTEGRATIONS)
async def integrations(request: Request, services: TheServices, caller: AtABrowser) -> Response:
    categories = await services.connecting.integrations(caller.id)
    waits = {one.connection_id: one.waiting for one in held_of(request)}
    addresses = [
        each.email
        for _, cards in categories
        for card in cards
        for each in card.connections
        if each.category == "email"
    ]
    counts = await services.logbook.counts(caller.id)
    return render(
        request,
        "integrations.html",
        categories=categories,
        waits=waits,
        counts=counts,
        addresses=addresses,
    )


@router.post("/settings/integrations/{connection_id}/default")
async def make_default(
    connection_id: Uuid, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    _, connection = await _find(services, caller.id, connection_id=str(connection_id))
    await services.connecting.set_default(caller.id, connection_id=connection.id)
    notice = Notice("good", f"New drafts now leave from {connection.email}.")
    return go(INTEGRATIONS, cookies=cookies, notice=notice)


@router.post("/settings/integrations/{connection_id}/stop-looking")
async def stop_looking(
    connection_id: Uuid, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    card, connection = await _find(services, caller.id, connection_id=str(connection_id))
    await services.connecting.stop_looking(caller.id, connection_id=connection.id)
    text = (
        f"ReplySequence no longer looks in {connection.email}. The permission itself ends when you remove it at "
        f"{card.title}, or disconnect the account."
    )
    return go(INTEGRATIONS, cookies=cookies, notice=Notice("info", text))


@router.get("/settings/integrations/{connection_id}/disconnect")
async def ask_to_disconnect(
    connection_id: Uuid, request: Request, services: TheServices, caller: AtABrowser
) -> Response:
    card, connection = await _find(services, caller.id, connection_id=str(connection_id))
    unfinished = await services.disconnecting.unfinished(caller.id, connection_id=connection.id)
    stays = await services.disconnecting.stays_at_provider(caller.id, connection_id=connection.id)
    count = (await services.logbook.counts(caller.id)).get(connection.id)
    others = [each for each in await accounts_that_send(services, caller.id) if each.id != connection.id]
    return render(
        request,
        "disconnect.html",
        card=card,
        connection=connection,
        unfinished=unfinished,
        others=others,
        stays=stays,
        not_logged=count.waiting if count else 0,
    )


@router.post("/settings/integrations/{connection_id}/disconnect")
async def disconnect(
    connection_id: Uuid,
    *,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    sends: Annotated[Literal["keep", "cancel", "another"], Form()] = "keep",
    other_id: Annotated[str, Form()] = "",
) -> Response:
    """Take an account down. ``sends`` says what becomes of what has not left; ``another``: its drafts are sent from
    the account ``other_id``.
    """
    card, connection = await _find(services, caller.id, connection_id=str(connection_id))
    if sends == "another":
        try:
            await services.deciding.require_other(caller.id, connection_id=connection.id, other_id=other_id)
        except InvalidInput as error:
            notice = Notice("bad", f"Nothing was disconnected. {error.message}")
            return go(f"{INTEGRATIONS}/{connection.id}/disconnect", cookies=cookies, notice=notice)
    waiting = Waiting.CANCEL if sends == "cancel" else Waiting.KEEP
    [done] = await services.disconnecting.disconnect(
        caller.id, provider=card.name, connection_id=connection.id, waiting=waiting
    )
    moved = None
    if sends == "another" and done.waiting:
        moved = await services.deciding.send_from_another(
            caller.id, connection_id=connection.id, other_id=other_id
        )
    return go(INTEGRATIONS, cookies=cookies, notice=_farewell(done, card=card, moved=moved))


async def _find(services: Services, user_id: str, *, connection_id: str) -> tuple[ProviderCard, Connection]:
    for _, cards in await services.connecting.integrations(user_id):
        for card in cards:
            for connection in card.connections:
                if connection.id == connection_id:
                    return card, connection
    raise NotFound("account")


def _farewell(done: Disconnected, *, card: ProviderCard, moved: Moved | None) -> Notice:
    gone = f"{done.email} is disconnected, and what we stored to use it is wiped."
    if done.cancelled:
        gone += f" Messages that were cancelled: {done.cancelled}."
    if moved is not None:
        gone += f" {said_of(moved).text}"
    elif done.waiting:
        gone += f" Messages that wait for your word: {done.waiting}. You find them under Sends."
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
