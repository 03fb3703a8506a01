"""Who makes a request, and what routes ask of them.

What FastAPI calls is a coroutine, though it waits for nothing: a plain function would be run on another thread.
"""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from replysequence.domain.errors import NotAllowed, NotSignedIn
from replysequence.services import Services
from replysequence.services.signing_in import Person
from replysequence.web.security import Cookies


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, and the hash of their browser session; none when a program called with an API key."""

    person: Person
    session_hash: str | None

    @property
    def id(self) -> str:
        return self.person.id


@dataclass(frozen=True, slots=True)
class BrowserCaller:
    """A person at a browser."""

    person: Person
    session_hash: str

    @property
    def id(self) -> str:
        return self.person.id


def caller_or_none(request: Request) -> Caller | None:
    """Whom the gate recognised."""
    return cast(Caller | None, getattr(request.state, "caller", None))


async def signed_in(request: Request) -> Caller:
    """The caller. Raises :class:`NotSignedIn`."""
    caller = caller_or_none(request)
    if caller is None:
        raise NotSignedIn
    return caller


async def at_a_browser(request: Request) -> BrowserCaller:
    """The caller, who must be at a browser. Raises :class:`NotSignedIn` or :class:`NotAllowed`."""
    caller = await signed_in(request)
    if caller.session_hash is None:
        raise NotAllowed("This can only be done in a browser where you are signed in.", code="browser_needed")
    return BrowserCaller(person=caller.person, session_hash=caller.session_hash)


async def the_services(request: Request) -> Services:
    """The verbs, given to :func:`replysequence.web.server.create`."""
    return cast(Services, request.app.state.services)


async def the_cookies(request: Request) -> Cookies:
    """How our cookies are written here."""
    return cast(Cookies, request.app.state.cookies)


SignedIn = Annotated[Caller, Depends(signed_in)]
AtABrowser = Annotated[BrowserCaller, Depends(at_a_browser)]
TheServices = Annotated[Services, Depends(the_services)]
TheCookies = Annotated[Cookies, Depends(the_cookies)]
