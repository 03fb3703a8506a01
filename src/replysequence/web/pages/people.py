"""Settings → People, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from replysequence.domain.characters import uncarriable
from replysequence.domain.errors import Conflict, InvalidInput
from replysequence.web.callers import AtABrowser, TheServices
from replysequence.web.rendering import render

router = APIRouter(include_in_schema=False)

PEOPLE = "/settings/people"


@router.get(PEOPLE)
async def people(request: Request, services: TheServices, caller: AtABrowser) -> Response:
    everybody = await services.signing_in.people(caller.person)
    return render(request, "people.html", everybody=everybody, email="", link=None, fault=None)


@router.post(PEOPLE)
async def invite(
    request: Request,
    services: TheServices,
    caller: AtABrowser,
    email: Annotated[str, Form(max_length=1000)] = "",
    role: Annotated[str, Form(max_length=20)] = "member",
) -> Response:
    """The link is shown on this answer, once: pass it on by a way that you trust."""
    link, fault, status = None, None, 201
    try:
        if uncarriable(email):
            raise InvalidInput("email", "The address holds a character that cannot be used.")
        token = await services.signing_in.invite(caller.person, email=email.strip(), is_admin=role == "admin")
        link = f"{services.public_url.rstrip('/')}/join/{token.reveal()}"
    except (InvalidInput, Conflict) as error:
        fault, status = error.message, 422
    everybody = await services.signing_in.people(caller.person)
    shown = {"everybody": everybody, "email": email, "link": link, "fault": fault}
    return render(request, "people.html", status=status, **shown)
