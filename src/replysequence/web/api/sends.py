"""Sending, and what became of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Response

from replysequence.domain.errors import InvalidInput
from replysequence.domain.send import OUTCOME_SHOWN, WAITED_FOR, State
from replysequence.services import Services
from replysequence.web.api.inputs import Cursor, Limit, SendChange, SendId, SendInput, SettleInput
from replysequence.web.api.outputs import Listing, SendAnswer, listing
from replysequence.web.api.prefer import read_prefer
from replysequence.web.callers import Caller, SignedIn, TheServices

router = APIRouter(tags=["sends"])

PATH: Final = "/api/drafts/send"

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Sent:
    """What is answered to who sends a draft."""

    status: int
    headers: Mapping[str, str]
    answer: SendAnswer


async def send_draft(
    body: SendInput, *, services: Services, caller: Caller, idempotency_key: str | None, prefer: str | None
) -> Sent:
    """Accept a send, and wait for its outcome as long as it was asked for."""
    if idempotency_key is not None and not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise InvalidInput("Idempotency-Key", "An idempotency key has 1 to 256 printable ASCII characters.")
    accepted, _ = await services.sending.accept(
        caller.id,
        draft_id=str(body.draft_id),
        version=body.version,
        send_at=body.send_at,
        idempotency_key=idempotency_key,
    )
    wait = read_prefer(prefer)
    headers = {"Preference-Applied": wait.applied} if wait.applied else {}
    headers["Location"] = f"/api/sends/{accepted.id}"
    found = accepted
    if wait.seconds and body.send_at is None and accepted.state in WAITED_FOR:
        found = await services.sending.wait_for_outcome(caller.id, send_id=accepted.id, seconds=wait.seconds)
    return Sent(200 if found.state in OUTCOME_SHOWN else 202, headers, SendAnswer.of(found))


@router.post(
    PATH,
    status_code=202,
    responses={200: {"model": SendAnswer, "description": "The outcome is known."}},
    summary="Send a draft",
)
async def send(
    body: SendInput,
    *,
    response: Response,
    services: TheServices,
    caller: SignedIn,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Up to 256 printable characters. The same key gives the same send, never a second one."
        ),
    ] = None,
    prefer: Annotated[
        str | None,
        Header(description="`wait=N`: seconds to wait for the outcome, 10 by default, 30 at most."),
    ] = None,
) -> SendAnswer:
    """Once this answers, the send is on disk. 200: its outcome is in the answer. 202: not known yet; ask `Location`."""
    sent = await send_draft(
        body, services=services, caller=caller, idempotency_key=idempotency_key, prefer=prefer
    )
    response.status_code = sent.status
    response.headers.update(sent.headers)
    return sent.answer


@router.get("/api/sends", summary="List sends, newest first")
async def list_sends(
    services: TheServices,
    caller: SignedIn,
    before: Cursor = None,
    limit: Limit = 50,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
) -> Listing[SendAnswer]:
    page = await services.sending.list(
        caller.id, before=before, limit=limit, states=(state,) if state else ()
    )
    return listing(page, SendAnswer.of)


@router.get("/api/sends/{send_id}", summary="Read a send with its attempts and events")
async def read(send_id: SendId, services: TheServices, caller: SignedIn) -> SendAnswer:
    return SendAnswer.of(await services.sending.get(caller.id, send_id=str(send_id)))


@router.patch("/api/sends/{send_id}", summary="Change when a scheduled send leaves")
async def change(send_id: SendId, body: SendChange, services: TheServices, caller: SignedIn) -> SendAnswer:
    """Answers 409 once it no longer waits for its time."""
    return SendAnswer.of(
        await services.sending.change_time(caller.id, send_id=str(send_id), send_at=body.send_at)
    )


@router.post("/api/sends/{send_id}/cancel", summary="Take a send back")
async def cancel(send_id: SendId, services: TheServices, caller: SignedIn) -> SendAnswer:
    """Answers 409 once it is on the wire: from then on a copy may be out."""
    return SendAnswer.of(await services.sending.cancel(caller.id, send_id=str(send_id)))


@router.post("/api/sends/{send_id}/release", summary="Let a send that asks first leave after all")
async def release(send_id: SendId, services: TheServices, caller: SignedIn) -> SendAnswer:
    """For a send that is ``waiting`` with the reason ``asks_first``: it was to leave more than 48 hours before its
    account was connected again, or its database was restored from an older copy. Answers 409 for any other.
    """
    return SendAnswer.of(await services.deciding.release(caller.id, send_id=str(send_id)))


@router.post("/api/sends/{send_id}/look", summary="Look for an unknown send in the Sent folder")
async def look(send_id: SendId, services: TheServices, caller: SignedIn) -> SendAnswer:
    """Found: it is settled as sent. Not found: it stays unknown, with an event. 409: the account does not allow it."""
    return SendAnswer.of(await services.looking_up.look_now(caller.id, send_id=str(send_id)))


@router.post("/api/sends/{send_id}/settle", summary="Say what became of an unknown send")
async def settle(send_id: SendId, body: SettleInput, services: TheServices, caller: SignedIn) -> SendAnswer:
    """With ``send_again`` the answer is the new send; its ``previous_send_id`` is this one."""
    settled = await services.settling.settle(
        caller.id, send_id=str(send_id), verdict=body.verdict, send_again=body.send_again
    )
    return SendAnswer.of(settled.again or settled.send)
