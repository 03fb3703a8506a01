"""The web application, built from the verbs it offers."""

from collections.abc import Sequence

from fastapi import Depends, FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from replysequence import __version__
from replysequence.services import Services
from replysequence.web import api, errors, pages
from replysequence.web.admission import Admission
from replysequence.web.api.health import Problems
from replysequence.web.body_limit import BodyLimit
from replysequence.web.charset import Utf8Forms
from replysequence.web.envelope import Envelope
from replysequence.web.gate import Gate
from replysequence.web.rendering import STATIC
from replysequence.web.security import Cookies
from replysequence.web.short_way import ShortWay
from replysequence.web.standing import look

_A_YEAR = "public, max-age=31536000, immutable"


async def _no_problems() -> Sequence[str]:
    return ()


def create(services: Services, *, problems: Problems = _no_problems) -> FastAPI:
    """Build the application. ``problems`` says in sentences why the service is not ready to serve (``/readyz``);
    an empty answer means that it is.
    """
    app = FastAPI(
        title="ReplySequence",
        version=__version__,
        description="Follow-up drafts leave from the sales person's own address. "
        "Authenticate with `Authorization: Bearer rs_…`.",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses={"4XX": {"model": errors.ErrorAnswer}, "5XX": {"model": errors.ErrorAnswer}},
        # It would record the values that failed validation.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.services = services
    app.state.cookies = Cookies(secure=services.secure_cookies)
    app.state.problems = problems
    errors.install(app)
    for router in api.ROUTERS:
        app.include_router(router)
    for router in pages.ROUTERS:
        app.include_router(router, dependencies=[Depends(look)])
    app.mount("/static", _Static(directory=STATIC), name="static")
    # The last one added is the outermost.
    app.add_middleware(Utf8Forms)
    app.add_middleware(BodyLimit)
    app.add_middleware(ShortWay, services=services)
    app.add_middleware(Gate, services=services)
    app.add_middleware(Admission, make_room=services.sending.let_one_go)
    app.add_middleware(Envelope, secure=services.secure_cookies)
    return app


class _Static(StaticFiles):
    """Files whose addresses carry a mark of their content, so a browser need never ask again."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = (
                _A_YEAR if b"v=" in scope["query_string"] else "public, max-age=300"
            )
        return response
