"""Settings → Templates & signature."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from markupsafe import Markup

from replysequence.domain.errors import InvalidInput
from replysequence.domain.template import BUILT_IN, FIELDS
from replysequence.services import Services
from replysequence.services.signing_in import Person
from replysequence.web.api.inputs import TemplateId
from replysequence.web.callers import AtABrowser, TheCookies, TheServices
from replysequence.web.notices import Notice, go
from replysequence.web.rendering import render, render_part
from replysequence.web.security import PREVIEW_POLICY

router = APIRouter(include_in_schema=False)

TEMPLATES = "/settings/templates"

Line = Annotated[str, Form(max_length=1000)]
Html = Annotated[str, Form(max_length=400_000)]


@router.get(TEMPLATES)
async def listed(request: Request, services: TheServices, caller: AtABrowser) -> Response:
    return await _list(request, services, caller.person)


@router.post("/settings/signature")
async def sign(
    request: Request, services: TheServices, cookies: TheCookies, caller: AtABrowser, html: Html = ""
) -> Response:
    try:
        await services.templates.sign(caller.id, html=html)
    except InvalidInput as error:
        return await _list(request, services, caller.person, typed=html, faults={"html": error.message})
    return go(TEMPLATES, cookies=cookies, notice=Notice("good", "Your signature is saved."))


@router.get("/settings/templates/new")
async def new(request: Request, services: TheServices, caller: AtABrowser) -> Response:
    """Begins with the one that comes with the program."""
    mine = await services.templates.list(caller.id)
    name = f"{BUILT_IN.name} {len(mine) + 1}" if mine else BUILT_IN.name
    return _editor(request, name=name, subject=BUILT_IN.subject, html=BUILT_IN.html, is_default=not mine)


@router.post(TEMPLATES)
async def create(
    request: Request,
    *,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    name: Line = "",
    subject: Line = "",
    html: Html = "",
    is_default: Line = "",
) -> Response:
    try:
        await services.templates.create(
            caller.id, name=name, subject=subject, html=html, is_default=bool(is_default)
        )
    except InvalidInput as error:
        return _editor(
            request, name=name, subject=subject, html=html, is_default=bool(is_default), fault=error
        )
    return go(TEMPLATES, cookies=cookies, notice=Notice("good", "The template is saved."))


@router.post("/settings/templates/preview")
async def preview(
    request: Request,
    *,
    services: TheServices,
    caller: AtABrowser,
    name: Line = "",  # noqa: ARG001 - part of the form
    subject: Line = "",
    html: Html = "",
) -> Response:
    """What the template makes of an example, for a frame that can do nothing."""
    try:
        filled = await services.templates.preview(
            caller.id, subject=subject, html=html, my_name=caller.person.name
        )
        # The service has cleaned it, and the document that holds it can neither run nor fetch anything.
        shown, said, fault = Markup(filled.html), filled.subject, None  # noqa: S704
    except InvalidInput as error:
        shown, said, fault = Markup(""), "", error.message
    page = render_part(request, "template_preview.html", subject=said, html=shown, fault=fault)
    page.headers["Content-Security-Policy"] = PREVIEW_POLICY
    page.headers["X-Frame-Options"] = "SAMEORIGIN"
    return page


@router.get("/settings/templates/{template_id}")
async def edit(
    template_id: TemplateId, request: Request, services: TheServices, caller: AtABrowser
) -> Response:
    found = await services.templates.get(caller.id, template_id=str(template_id))
    return _editor(
        request,
        template_id=found.id,
        name=found.name,
        subject=found.subject,
        html=found.html,
        is_default=found.is_default,
    )


@router.post("/settings/templates/{template_id}")
async def save(
    template_id: TemplateId,
    *,
    request: Request,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    name: Line = "",
    subject: Line = "",
    html: Html = "",
    is_default: Line = "",
) -> Response:
    typed = {"name": name, "subject": subject, "html": html}
    try:
        await services.templates.change(
            caller.id, template_id=str(template_id), is_default=bool(is_default), **typed
        )
    except InvalidInput as error:
        return _editor(
            request, template_id=str(template_id), is_default=bool(is_default), fault=error, **typed
        )
    return go(TEMPLATES, cookies=cookies, notice=Notice("good", "The template is saved."))


@router.post("/settings/templates/{template_id}/delete")
async def remove(
    template_id: TemplateId, services: TheServices, cookies: TheCookies, caller: AtABrowser
) -> Response:
    await services.templates.remove(caller.id, template_id=str(template_id))
    return go(TEMPLATES, cookies=cookies, notice=Notice("good", "The template is deleted."))


async def _list(
    request: Request,
    services: Services,
    person: Person,
    *,
    typed: str | None = None,
    faults: Mapping[str, str] | None = None,
) -> Response:
    return render(
        request,
        "templates.html",
        status=422 if faults else 200,
        templates=await services.templates.list(person.id),
        built_in=BUILT_IN,
        signature=await services.templates.signature(person.id) if typed is None else typed,
        faults=faults or {},
    )


def _editor(
    request: Request,
    *,
    name: str,
    subject: str,
    html: str,
    is_default: bool,
    template_id: str = "",
    fault: InvalidInput | None = None,
) -> Response:
    return render(
        request,
        "template.html",
        status=422 if fault else 200,
        template_id=template_id,
        name=name,
        subject=subject,
        html=html,
        is_default=is_default,
        fields=FIELDS,
        faults={fault.field: fault.message} if fault else {},
    )
