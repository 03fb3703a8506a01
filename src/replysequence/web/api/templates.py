"""Templates and the signature."""

from fastapi import APIRouter, Response

from replysequence.web.api.inputs import SignatureInput, TemplateId, TemplateInput
from replysequence.web.api.outputs_of_meetings import SignatureAnswer, TemplateAnswer, TemplatesAnswer
from replysequence.web.callers import SignedIn, TheServices

router = APIRouter(tags=["templates"])


@router.get("/api/templates", summary="List your templates")
async def list_templates(services: TheServices, caller: SignedIn) -> TemplatesAnswer:
    found = await services.templates.list(caller.id)
    return TemplatesAnswer(items=[TemplateAnswer.of(each) for each in found])


@router.post("/api/templates", status_code=201, summary="Write a template")
async def create(
    body: TemplateInput, response: Response, services: TheServices, caller: SignedIn
) -> TemplateAnswer:
    """The first one is the default. 422 names a merge field that does not exist."""
    made = await services.templates.create(
        caller.id, name=body.name, subject=body.subject, html=body.html, is_default=body.is_default
    )
    response.headers["Location"] = f"/api/templates/{made.id}"
    return TemplateAnswer.of(made)


@router.get("/api/templates/{template_id}", summary="Read a template")
async def read(template_id: TemplateId, services: TheServices, caller: SignedIn) -> TemplateAnswer:
    return TemplateAnswer.of(await services.templates.get(caller.id, template_id=str(template_id)))


@router.put("/api/templates/{template_id}", summary="Replace a template")
async def replace(
    template_id: TemplateId, body: TemplateInput, services: TheServices, caller: SignedIn
) -> TemplateAnswer:
    """The default stays it until another one becomes it."""
    changed = await services.templates.change(
        caller.id,
        template_id=str(template_id),
        name=body.name,
        subject=body.subject,
        html=body.html,
        is_default=body.is_default,
    )
    return TemplateAnswer.of(changed)


@router.delete("/api/templates/{template_id}", status_code=204, summary="Delete a template")
async def delete(template_id: TemplateId, services: TheServices, caller: SignedIn) -> None:
    await services.templates.remove(caller.id, template_id=str(template_id))


@router.get("/api/signature", summary="Read your signature")
async def signature(services: TheServices, caller: SignedIn) -> SignatureAnswer:
    return SignatureAnswer(html=await services.templates.signature(caller.id))


@router.put("/api/signature", summary="Change your signature")
async def sign(body: SignatureInput, services: TheServices, caller: SignedIn) -> SignatureAnswer:
    return SignatureAnswer(html=await services.templates.sign(caller.id, html=body.html))
