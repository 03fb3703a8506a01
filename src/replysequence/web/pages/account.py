"""Settings → Account: name, time zone, time to undo, and password."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from replysequence.domain.characters import uncarriable, unprintable
from replysequence.domain.errors import InvalidInput, NotSignedIn, ReplySequenceError, TooManyRequests
from replysequence.domain.wall_clock import zone_names
from replysequence.services.signing_in import UNDO_CHOICES, Person
from replysequence.web.callers import AtABrowser, TheCookies, TheServices
from replysequence.web.notices import Notice, go
from replysequence.web.rendering import render

router = APIRouter(include_in_schema=False)

ACCOUNT = "/settings/account"
UNDO_BY_CHOICE = {str(seconds): seconds for seconds in UNDO_CHOICES}

Typed = Annotated[str, Form(max_length=1000)]


@router.get(ACCOUNT)
async def account(request: Request, caller: AtABrowser) -> Response:
    return _page(request, caller.person)


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
        return _page(request, caller.person, name=name, faults={"name": error.message})
    return go(ACCOUNT, cookies=cookies, notice=Notice("good", "Your name is changed. New messages carry it."))


@router.post("/settings/account/sending")
async def change_sending(
    request: Request,
    *,
    services: TheServices,
    cookies: TheCookies,
    caller: AtABrowser,
    time_zone: Typed = "",
    undo_seconds: Typed = "",
) -> Response:
    try:
        await services.signing_in.change_sending(
            caller.id, time_zone=time_zone, undo_seconds=UNDO_BY_CHOICE.get(undo_seconds, -1)
        )
    except InvalidInput as error:
        return _page(
            request,
            caller.person,
            time_zone=time_zone,
            undo_seconds=undo_seconds,
            faults={error.field: error.message},
        )
    return go(ACCOUNT, cookies=cookies, notice=Notice("good", "Saved. It holds from your next send on."))


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
        return _page(request, caller.person, faults={_faulty(error): error.message})
    notice = Notice("good", "Your password is changed. You are signed out everywhere else.")
    return go(ACCOUNT, cookies=cookies, notice=notice)


def _page(
    request: Request,
    person: Person,
    *,
    name: str | None = None,
    time_zone: str | None = None,
    undo_seconds: str | None = None,
    faults: Mapping[str, str] | None = None,
) -> Response:
    """The page, with what was typed where something is wrong with it."""
    return render(
        request,
        "account.html",
        status=422 if faults else 200,
        name=person.name if name is None else name,
        time_zone=(person.time_zone or "UTC") if time_zone is None else time_zone,
        zone_names=zone_names(),
        undo_seconds=str(person.undo_seconds) if undo_seconds is None else undo_seconds,
        undo_choices=UNDO_BY_CHOICE,
        faults=faults or {},
    )


def _faulty(error: ReplySequenceError) -> str:
    return "new" if isinstance(error, InvalidInput) and error.field not in {"old", "old_password"} else "old"
