"""Settings → Account: name and password."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from replysequence.domain.characters import uncarriable, unprintable
from replysequence.domain.errors import InvalidInput, NotSignedIn, ReplySequenceError, TooManyRequests
from replysequence.web.callers import AtABrowser, TheCookies, TheServices
from replysequence.web.notices import Notice, go
from replysequence.web.rendering import render

router = APIRouter(include_in_schema=False)

ACCOUNT = "/settings/account"

Typed = Annotated[str, Form(max_length=1000)]


@router.get(ACCOUNT)
async def account(request: Request, caller: AtABrowser) -> Response:
    return render(request, "account.html", name=caller.person.name, faults={})


@router.post("/settings/account/name")
async def change_name(
    request: Request, services: TheServices, cookies: TheCookies, caller: AtABrowser, name: Typed = ""
) -> Response:
    try:
        fault = unprintable(name)
        if fault:
            raise InvalidInput("name", f"The name holds {fault}. Remove it.")
        await services.signing_in.change_name(caller.id, name=name.strip())
    except InvalidInput as error:
        return render(request, "account.html", status=422, name=name, faults={"name": error.message})
    return go(ACCOUNT, cookies=cookies, notice=Notice("good", "Your name is changed. New messages carry it."))


@router.post("/settings/account/password")
async def change_password(
    request: Request,
    *,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    old: Typed = "",
    new: Typed = "",
) -> Response:
    try:
        if uncarriable(old) or uncarriable(new):
            raise InvalidInput("new", "The password holds a character that cannot be used.")
        await services.signing_in.change_password(
            caller.id, session_hash=caller.session_hash, old=old, new=new
        )
    except (InvalidInput, NotSignedIn, TooManyRequests) as error:
        faults = {_faulty(error): error.message}
        return render(request, "account.html", status=422, name=caller.person.name, faults=faults)
    notice = Notice("good", "Your password is changed. You are signed out everywhere else.")
    return go(ACCOUNT, cookies=cookies, notice=notice)


def _faulty(error: ReplySequenceError) -> str:
    return "new" if isinstance(error, InvalidInput) and error.field not in {"old", "old_password"} else "old"
