"""What was logged in CRMs, and what a person can do about what was not."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request, Response

from replysequence.domain.errors import Conflict, InvalidInput
from replysequence.domain.report import LogParts, ReportState
from replysequence.services import Services
from replysequence.web.api.auth import INTEGRATIONS
from replysequence.web.api.inputs import Cursor, SendId, Uuid
from replysequence.web.callers import AtABrowser, SignedIn, TheCookies, TheServices
from replysequence.web.notices import Notice, go
from replysequence.web.rendering import render

router = APIRouter(include_in_schema=False)

FILTERS: dict[str, tuple[ReportState, ...]] = {
    "waiting": (ReportState.DUE, ReportState.CLAIMED, ReportState.LOGGING),
    "failed": (ReportState.FAILED,),
    "skipped": (ReportState.SKIPPED,),
    "logged": (ReportState.LOGGED,),
}
"""The tabs of the list, in order, and the states that each shows."""

Show = Literal["all", "waiting", "failed", "skipped", "logged"]


def titles_of(services: Services) -> dict[str, str]:
    """What the CRMs are called, by name."""
    return {crm.name: crm.title for crm in services.registry.crms()}


@router.get("/reports")
async def list_reports(
    request: Request,
    services: TheServices,
    caller: SignedIn,
    *,
    before: Cursor = None,
    show: Annotated[Show, Query()] = "all",
    crm: Annotated[UUID | None, Query()] = None,
) -> Response:
    page = await services.logbook.list(
        caller.id,
        before=before,
        limit=30,
        connection_id=str(crm) if crm else None,
        states=FILTERS.get(show, ()),
    )
    return render(
        request,
        "reports.html",
        page=page,
        show=show,
        shows=("all", *FILTERS),
        crm=crm,
        first=before is None,
        titles=titles_of(services),
    )


@router.post("/sends/{send_id}/reports/{connection_id}/again")
async def again(
    send_id: SendId, connection_id: Uuid, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    try:
        await services.logbook.again(caller.id, send_id=str(send_id), connection_id=str(connection_id))
        notice = Notice("good", "It is logged again now. An entry that is there already stays the only one.")
    except Conflict as error:
        notice = Notice("bad", error.message)
    return go(f"/sends/{send_id}", cookies=cookies, notice=notice)


@router.post("/settings/integrations/{connection_id}/logging")
async def choose(
    connection_id: Uuid,
    *,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    parts: Annotated[LogParts, Form()] = LogParts.BODY,
    create_contacts: Annotated[bool, Form()] = False,
    senders: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """What one CRM is told. All addresses ticked means all, also those to come."""
    ticked = {sender.casefold() for sender in senders or ()}
    mine = await addresses_of(services, caller.id)
    if mine and not ticked:
        notice = Notice(
            "bad", "Nothing was changed. Tick at least one address; to log nothing, disconnect the CRM."
        )
        return go(INTEGRATIONS, cookies=cookies, notice=notice)
    try:
        await services.logbook.choose(
            caller.id,
            connection_id=str(connection_id),
            create_contacts=create_contacts,
            parts=parts,
            senders=[] if ticked >= {each.casefold() for each in mine} else senders,
        )
        notice = Notice("good", "Saved. It counts for what is sent from now on.")
    except InvalidInput as error:
        notice = Notice("bad", f"Nothing was changed. {error.message}")
    return go(INTEGRATIONS, cookies=cookies, notice=notice)


async def addresses_of(services: Services, user_id: str) -> list[str]:
    """The addresses that a person has connected to send from."""
    return [
        connection.email
        for _, cards in await services.connecting.integrations(user_id)
        for card in cards
        for connection in card.connections
        if connection.category == "email"
    ]
