"""Settings → Integrations, for programs."""

from fastapi import APIRouter

from replysequence.web.api.inputs import (
    ConnectionId,
    CrmOptionsInput,
    DefaultInput,
    DisconnectInput,
    ProviderName,
)
from replysequence.web.api.outputs import (
    CategoryAnswer,
    ConnectionAnswer,
    DisconnectAnswer,
    DisconnectedAnswer,
    IntegrationsAnswer,
    ProviderAnswer,
)
from replysequence.web.callers import SignedIn, TheServices

router = APIRouter(tags=["integrations"])


@router.get("/api/integrations", summary="Every provider and connected account")
async def integrations(services: TheServices, caller: SignedIn) -> IntegrationsAnswer:
    """All categories in display order, also those without a provider."""
    return await _integrations(services, caller)


@router.post("/api/integrations/email/default", summary="Choose the account that drafts leave from")
async def set_default(body: DefaultInput, services: TheServices, caller: SignedIn) -> IntegrationsAnswer:
    await services.connecting.set_default(caller.id, connection_id=str(body.connection_id))
    return await _integrations(services, caller)


@router.patch("/api/integrations/crm/{connection_id}", summary="Choose what a CRM is told")
async def choose(
    connection_id: ConnectionId, body: CrmOptionsInput, services: TheServices, caller: SignedIn
) -> ConnectionAnswer:
    """Counts for what is sent from now on; whether the text is logged counts for what waits, too."""
    chosen = await services.logbook.choose(
        caller.id,
        connection_id=str(connection_id),
        create_contacts=body.create_contacts,
        parts=body.parts,
        senders=body.senders,
    )
    return ConnectionAnswer.of(chosen)


@router.post("/api/integrations/{provider}/disconnect", summary="Disconnect an account")
async def disconnect(
    provider: ProviderName, services: TheServices, caller: SignedIn, body: DisconnectInput | None = None
) -> DisconnectAnswer:
    """Without ``connection_id`` every account of that provider. Consent is revoked where that can be done."""
    asked = body or DisconnectInput()
    done = await services.disconnecting.disconnect(
        caller.id,
        provider=provider,
        connection_id=str(asked.connection_id) if asked.connection_id else None,
        waiting=asked.sends,
    )
    return DisconnectAnswer(disconnected=[DisconnectedAnswer.of(one) for one in done])


async def _integrations(services: TheServices, caller: SignedIn) -> IntegrationsAnswer:
    found = await services.connecting.integrations(caller.id)
    return IntegrationsAnswer(
        categories=[
            CategoryAnswer(category=category.value, providers=[ProviderAnswer.of(card) for card in cards])
            for category, cards in found
        ]
    )
