"""What was logged in CRMs, and what was not."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from replysequence.domain.report import ReportState
from replysequence.web.api.inputs import ConnectionId, Cursor, Limit, SendId
from replysequence.web.api.outputs import Listing, ReportAnswer, listing
from replysequence.web.callers import SignedIn, TheServices

router = APIRouter(tags=["reports"])


@router.get("/api/reports", summary="List what was logged in CRMs, newest first")
async def list_reports(
    services: TheServices,
    caller: SignedIn,
    *,
    before: Cursor = None,
    limit: Limit = 50,
    send_id: Annotated[UUID | None, Query(description="Only those of this send.")] = None,
    state: Annotated[ReportState | None, Query(description="Only those in this state.")] = None,
) -> Listing[ReportAnswer]:
    page = await services.logbook.list(
        caller.id,
        before=before,
        limit=limit,
        send_id=str(send_id) if send_id else None,
        states=(state,) if state else (),
    )
    return listing(page, ReportAnswer.of)


@router.post("/api/reports/{send_id}/{connection_id}/again", summary="Log a send in a CRM again")
async def again(
    send_id: SendId, connection_id: ConnectionId, services: TheServices, caller: SignedIn
) -> ReportAnswer:
    """For a report that failed or was skipped; 409 for any other. An entry that is there already stays the only one."""
    return ReportAnswer.of(
        await services.logbook.again(caller.id, send_id=str(send_id), connection_id=str(connection_id))
    )
