"""For whoever runs the service: is it alive, is it ready, and its figures."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, cast

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from replysequence.domain.errors import NotAllowed
from replysequence.web.api.outputs import HealthAnswer
from replysequence.web.callers import SignedIn, TheServices

router = APIRouter(tags=["health"])

Problems = Callable[[], Awaitable[Sequence[str]]]
"""Why the service is not ready; empty when it is."""

_DOWN: Final = Gauge(
    "replysequence_provider_down",
    "1 while a provider fails for many at once and its sends wait.",
    ("provider",),
)


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> HealthAnswer:
    return HealthAnswer(status="ok")


@router.get("/readyz", summary="Can it serve?", responses={503: {"model": HealthAnswer}})
async def readyz(request: Request, response: Response) -> HealthAnswer:
    """503 while database, migrations or vault cannot be used. A provider that is down does not count."""
    problems = list(await cast(Problems, request.app.state.problems)())
    response.status_code = 503 if problems else 200
    return HealthAnswer(status="not_ready" if problems else "ok", problems=problems)


@router.get("/metrics", response_class=Response, summary="Figures for Prometheus")
async def metrics(caller: SignedIn, services: TheServices) -> Response:
    """For administrators: give Prometheus an administrator's API key as its bearer token."""
    if not caller.person.is_admin:
        raise NotAllowed("Only an administrator may read the figures.")
    for _, cards in await services.connecting.integrations(caller.id):
        for card in cards:
            _DOWN.labels(card.name).set(card.problem is not None)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
