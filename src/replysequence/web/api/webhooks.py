"""What relays tell us later. The raw body is signed, so it is read before anybody parses it."""

from fastapi import APIRouter, Request

from replysequence.web.api.inputs import ProviderName
from replysequence.web.api.outputs import NoticesAnswer
from replysequence.web.callers import TheServices

router = APIRouter(tags=["webhooks"])


@router.post("/api/webhooks/{provider}", summary="Receive a relay's notices")
async def receive(provider: ProviderName, request: Request, services: TheServices) -> NoticesAnswer:
    """Signed by the relay: 403 when the signature is wrong. A delivery that was seen before changes nothing."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    accepted = await services.settling.notices(provider, headers=headers, body=await request.body())
    return NoticesAnswer(accepted=accepted)
