"""What waits for the reader's word: every message of theirs that leaves only if they act."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import Conflict, InvalidInput
from replysequence.domain.send import Send
from replysequence.services import Services
from replysequence.services.deciding import Held, Moved
from replysequence.web.api.inputs import SendId, Uuid
from replysequence.web.callers import AtABrowser, SignedIn, TheCookies, TheServices
from replysequence.web.notices import Notice, go
from replysequence.web.rendering import render
from replysequence.web.standing import held_of

HELD = "/sends/held"
SHOWN = 100
"""Messages of one account that the page lists; what is done at once is done to all of them."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Group:
    """One account on the page, with the oldest of what waits for it."""

    of: Held
    sends: list[Send]


@router.get(HELD)
async def held(request: Request, services: TheServices, caller: SignedIn) -> Response:
    groups = [
        Group(one, await services.deciding.list(caller.id, connection_id=one.connection_id, limit=SHOWN))
        for one in held_of(request)
        if one.waiting
    ]
    others = await accounts_that_send(services, caller.id)
    return render(request, "held.html", groups=groups, others=others)


@router.post(HELD + "/{connection_id}/release")
async def release_all(
    connection_id: Uuid, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    count = await services.deciding.release_all(caller.id, connection_id=str(connection_id))
    notice = Notice("good", f"Sending {_messages(count)} now, the oldest first.")
    return go(HELD, cookies=cookies, notice=notice if count else _NOTHING)


@router.post(HELD + "/{connection_id}/cancel")
async def cancel_all(
    connection_id: Uuid, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    count = await services.deciding.cancel_all(caller.id, connection_id=str(connection_id))
    notice = Notice("good", f"Cancelled: {_messages(count)}. Nothing of it was sent.")
    return go(HELD, cookies=cookies, notice=notice if count else _NOTHING)


@router.post(HELD + "/{connection_id}/another")
async def send_from_another(
    connection_id: Uuid,
    other_id: Annotated[str, Form()],
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
) -> Response:
    try:
        moved = await services.deciding.send_from_another(
            caller.id, connection_id=str(connection_id), other_id=other_id
        )
    except InvalidInput as error:
        return go(HELD, cookies=cookies, notice=Notice("bad", error.message))
    return go(HELD, cookies=cookies, notice=said_of(moved))


@router.post("/sends/{send_id}/release")
async def release(
    send_id: SendId,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    then: Annotated[str, Form()] = "",
) -> Response:
    """Let one leave after all; ``then`` is ``held`` where the reader came from the list."""
    try:
        await services.deciding.release(caller.id, send_id=str(send_id))
        notice = Notice("good", "It leaves now.")
    except Conflict as error:
        notice = Notice("bad", error.message)
    return go(HELD if then == "held" else f"/sends/{send_id}", cookies=cookies, notice=notice)


async def accounts_that_send(services: Services, user_id: str) -> list[Connection]:
    """A person's accounts from which something can leave now."""
    return [
        connection
        for _, cards in await services.connecting.integrations(user_id)
        for card in cards
        for connection in card.connections
        if connection.category == "email" and connection.status is ConnectionStatus.ACTIVE
    ]


def said_of(moved: Moved) -> Notice:
    """What the reader is told after drafts were sent from another account."""
    if not moved.left:
        return Notice("good", f"Sending {_messages(moved.sent)} from the other account now.")
    text = (
        f"Sending {_messages(moved.sent)} from the other account now. {_messages(moved.left)} could not be: "
    )
    return Notice("info", f"{text}{moved.why}")


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


_NOTHING = Notice("info", "Nothing waited there any more.")
