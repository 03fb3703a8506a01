"""Sign in, sign out, join."""

from typing import Annotated

from fastapi import APIRouter, Form, Path, Request, Response

from replysequence.domain.characters import uncarriable
from replysequence.domain.errors import (
    InvalidInput,
    NotFound,
    NotSignedIn,
    ReplySequenceError,
    TooManyRequests,
)
from replysequence.services.signing_in import Session
from replysequence.web.callers import AtABrowser, TheCookies, TheServices, caller_or_none
from replysequence.web.notices import Notice, go
from replysequence.web.rendering import render
from replysequence.web.security import Cookies, local_path

router = APIRouter(include_in_schema=False)

Typed = Annotated[str, Form(max_length=1000)]
Token = Annotated[str, Path(max_length=200)]


@router.get("/sign-in")
async def ask(request: Request, services: TheServices, cookies: TheCookies, next: str = "/") -> Response:  # noqa: A002
    """``next`` is the page that was asked for; it can only be one of ours."""
    if caller_or_none(request):
        return go(local_path(next, otherwise="/"), cookies=cookies)
    needs_setup = await services.signing_in.needs_setup()
    return render(
        request,
        "sign_in.html",
        next=local_path(next, otherwise="/"),
        email="",
        needs_setup=needs_setup,
        fault=None,
    )


@router.post("/sign-in")
async def sign_in(
    request: Request,
    *,
    services: TheServices,
    cookies: TheCookies,
    email: Typed = "",
    password: Typed = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002
    time_zone: Typed = "",
) -> Response:
    following = local_path(next, otherwise="/")
    client = request.client.host if request.client else "unknown"
    try:
        for typed in (email, password):
            if uncarriable(typed):
                raise NotSignedIn("The address or the password is not right.")
        session = await services.signing_in.sign_in(email.strip(), password=password, client=client)
    except (NotSignedIn, InvalidInput, TooManyRequests) as error:
        status = 429 if isinstance(error, TooManyRequests) else 401
        page = render(
            request,
            "sign_in.html",
            status=status,
            next=following,
            email=email,
            needs_setup=False,
            fault=error.message,
        )
        if isinstance(error, TooManyRequests):
            page.headers["Retry-After"] = str(max(1, round(error.retry_after)))
        return page
    await services.signing_in.learn_time_zone(session.person, name=time_zone)
    return _welcome(session, cookies=cookies, path=following)


@router.get("/sign-in/link/{token}")
async def offer_link(token: Token, request: Request) -> Response:
    """A one-time link from the command line. It counts when the button is pressed: a preview does not use it up."""
    return render(request, "sign_in_link.html", token=token)


@router.post("/sign-in/link/{token}")
async def follow_link(
    token: Token, *, request: Request, services: TheServices, cookies: TheCookies, time_zone: Typed = ""
) -> Response:
    """404 with the way in by password when the link was used or is too old."""
    try:
        session = await services.signing_in.sign_in_with_link(token)
    except NotFound:
        fault = "This link was used already, or it is too old. Sign in with your password."
        return render(request, "sign_in.html", status=404, next="/", email="", needs_setup=False, fault=fault)
    await services.signing_in.learn_time_zone(session.person, name=time_zone)
    return _welcome(session, cookies=cookies, path="/")


@router.post("/sign-out")
async def sign_out(services: TheServices, cookies: TheCookies, caller: AtABrowser) -> Response:
    await services.signing_in.sign_out(caller.session_hash)
    response = go("/sign-in", cookies=cookies)
    cookies.sign_out(response)
    return response


@router.get("/join/{token}")
async def show_invitation(token: Token, request: Request, services: TheServices) -> Response:
    """A set-up link or an invitation. 404 once it was used, and when it is too old."""
    invitation = await services.signing_in.invitation(token)
    email = invitation.email or ""
    return render(
        request,
        "join.html",
        token=token,
        invited=invitation.email,
        email=email,
        name="",
        fault=None,
        faulty=None,
    )


@router.post("/join/{token}")
async def join(
    token: Token,
    *,
    request: Request,
    services: TheServices,
    cookies: TheCookies,
    email: Typed = "",
    name: Typed = "",
    password: Typed = "",
    time_zone: Typed = "",
) -> Response:
    invitation = await services.signing_in.invitation(token)
    try:
        for field, typed in (("email", email), ("name", name), ("password", password)):
            if uncarriable(typed):
                raise InvalidInput(field, "This holds a character that cannot be used.")
        session = await services.signing_in.join(
            token, email=invitation.email or email.strip(), name=name.strip(), password=password
        )
    except ReplySequenceError as error:
        faulty = error.field if isinstance(error, InvalidInput) else None
        return render(
            request,
            "join.html",
            status=422 if faulty else 409,
            token=token,
            invited=invitation.email,
            email=invitation.email or email,
            name=name,
            fault=error.message,
            faulty=faulty,
        )
    await services.signing_in.learn_time_zone(session.person, name=time_zone)
    notice = Notice(
        "good",
        f"Welcome, {session.person.name}. Connect your email account, then write your first follow-up.",
    )
    return _welcome(session, cookies=cookies, path="/", notice=notice)


def _welcome(session: Session, *, cookies: Cookies, path: str, notice: Notice | None = None) -> Response:
    if session.token is None:
        raise NotSignedIn
    response = go(path, cookies=cookies, notice=notice)
    cookies.sign_in(response, token=session.token, expires_at=session.expires_at)
    return response
