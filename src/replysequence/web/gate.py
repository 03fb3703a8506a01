"""The one gate before every route: who is it, may they be here, and did one of our own pages ask?

Routes are closed unless :data:`OPEN` names them, so a new route is never open by accident.
"""

import re
from dataclasses import dataclass
from typing import Final

from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from replysequence.domain.errors import NotAllowed, NotSignedIn
from replysequence.services import Services
from replysequence.web import errors
from replysequence.web.callers import Caller
from replysequence.web.security import SAFE_METHODS, Cookies, comes_from_us, local_path, origin_of

OPEN: Final = re.compile(
    r"/healthz|/readyz|/openapi\.json|/static/.*|/sign-in|/sign-in/link/[^/]+|/join/[^/]+|/not-connected"
    r"|/api/auth/[^/]+/callback|/api/webhooks/[^/]+"
)
"""Paths that need no sign-in. The callback says in words that the browser is the wrong one."""

SIGNED_BY_SENDER: Final = re.compile(r"/api/webhooks/[^/]+")
"""Unsafe paths whose callers are no browsers and prove themselves by a signature over the body."""

_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Gate:
    """ASGI middleware; leaves the caller in ``request.state.caller``.

    It judges the path that is routed: ``request.url`` is put together from the Host header too, and cut at ``?``.
    """

    app: ASGIApp
    services: Services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        caller = await self._recognise(request)
        request.state.caller = caller
        refusal = self._refusal(request, caller)
        await (refusal or self.app)(scope, receive, send)

    async def _recognise(self, request: Request) -> Caller | None:
        """An ``Authorization`` header speaks for itself; the session cookie counts only without one."""
        authorization = request.headers.get("authorization")
        if authorization is not None:
            key = _BEARER.fullmatch(authorization.strip())
            person = await self.services.signing_in.person_of_key(key[1]) if key else None
            return Caller(person=person, session_hash=None) if person else None
        token = request.cookies.get(self._cookies.session)
        session = await self.services.signing_in.session(token) if token else None
        return Caller(person=session.person, session_hash=session.hash) if session else None

    def _refusal(self, request: Request, caller: Caller | None) -> Response | None:
        path, safe = str(request.scope["path"]), request.method in SAFE_METHODS
        if caller is None and not OPEN.fullmatch(path):
            return self._ask_to_sign_in(request, safe=safe)
        if safe or SIGNED_BY_SENDER.fullmatch(path):
            return None
        if caller is not None and caller.session_hash is None and "cookie" not in request.headers:
            return None  # a program with a key: no browser adds that header by itself
        if comes_from_us(request.headers, origin=origin_of(self.services.public_url)):
            return None
        reason = "This request did not come from a page of ReplySequence, so nothing was done."
        return errors.respond(request, errors.of_ours(NotAllowed(reason, code="cross_site")))

    def _ask_to_sign_in(self, request: Request, *, safe: bool) -> Response:
        if safe and errors.wants_page(request):
            following = local_path(request.scope["path"], otherwise="/")
            return RedirectResponse(
                "/sign-in" if following == "/" else f"/sign-in?next={following}", status_code=303
            )
        return errors.respond(request, errors.of_ours(NotSignedIn()))

    @property
    def _cookies(self) -> Cookies:
        return Cookies(secure=self.services.secure_cookies)
