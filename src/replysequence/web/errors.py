"""Every error as one shape: JSON for programs, a page for browsers, never a stack trace.

{"error": {"code": "invalid_input", "message": "…", "details": {"field": "to.0", "fields": [{"field", "message"}]}}}
"""

import json
import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, JsonValue
from starlette.exceptions import HTTPException

from replysequence.domain import errors as domain
from replysequence.logs import logger
from replysequence.web.rendering import render_error

log = logger("web")

STATUS: Final[Mapping[type[domain.ReplySequenceError], int]] = {
    domain.InvalidInput: 422,
    domain.NotFound: 404,
    domain.Conflict: 409,
    domain.NotSignedIn: 401,
    domain.NotAllowed: 403,
    domain.TooManyRequests: 429,
    domain.ConnectFailed: 400,
    domain.DatabaseUnavailable: 503,
    domain.StorageFull: 507,
    domain.VaultError: 503,
    domain.NeverSent: 503,
    domain.TryLater: 503,
    domain.Rejected: 422,
    domain.ReconnectNeeded: 409,
    domain.AccessTokenRejected: 409,
    domain.Misconfigured: 502,
    domain.OutcomeUnknown: 502,
}

_TRY_AGAIN_SECONDS = 30
_MOST_FAULTS = 20
_LOCATIONS = frozenset({"body", "query", "header", "cookie"})

_PLAIN: Final[Mapping[int, tuple[str, str]]] = {
    400: ("bad_request", "The request could not be read."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take that method."),
    413: ("too_large", "The request is too large."),
    415: ("unsupported_media_type", "The request has a content type that cannot be used here."),
}


class ErrorBody(BaseModel):
    """``code`` is a stable word, ``message`` a sentence for people, ``details`` facts worth showing."""

    code: str
    message: str
    details: dict[str, JsonValue] | None = None


class ErrorAnswer(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorBody


@dataclass(frozen=True, slots=True)
class Problem:
    """An error on its way out."""

    status: int
    code: str
    message: str
    details: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error in our shape."""

    async def on_ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, domain.ReplySequenceError)  # noqa: S101 - registered for this type only
        return respond(request, of_ours(error))

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type only
        return respond(request, of_validation(error))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type only
        return respond(request, of_http(error))

    app.add_exception_handler(domain.ReplySequenceError, on_ours)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def of_ours(error: domain.ReplySequenceError) -> Problem:
    """One of our own errors. A kind without a status is a fault of ours, hence 500."""
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    details, headers = dict(error.details), {}
    if isinstance(error, domain.InvalidInput):
        details.setdefault("fields", [{"field": error.field, "message": error.message}])
    if isinstance(error, domain.TooManyRequests):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    elif status == 503:
        headers["Retry-After"] = str(_TRY_AGAIN_SECONDS)
    elif isinstance(error, domain.NotSignedIn):
        headers["WWW-Authenticate"] = "Bearer"
    return Problem(status, error.code, error.message, details, headers)


def of_validation(error: RequestValidationError) -> Problem:
    """Input of the wrong form. What was sent is not repeated: it may be huge, or secret."""
    faults: Sequence[Mapping[str, object]] = error.errors()[:_MOST_FAULTS]
    places = [_place(fault) for fault in faults]
    if any(fault.get("type") == "json_invalid" for fault in faults):
        return Problem(400, "malformed_json", "The body is not valid JSON.")
    if any(place[:1] == ("path",) for place in places):
        return Problem(404, "not_found", "There is nothing at this address.")
    fields = [
        {"field": _field_name(place), "message": str(fault.get("msg", "This value cannot be used."))}
        for place, fault in zip(places, faults, strict=True)
    ]
    first = fields[0] if fields else {"field": "body", "message": "The request cannot be used."}
    message = f"{first['field']}: {first['message']}"
    return Problem(422, "invalid_input", message, {"field": first["field"], "fields": fields})


def of_http(error: HTTPException) -> Problem:
    """An error of the framework: unknown address, wrong method, body that is too large or cannot be parsed."""
    code, message = _PLAIN.get(error.status_code, ("http_error", HTTPStatus(error.status_code).phrase))
    if (
        error.status_code in {400, 413}
        and error.detail
        and error.detail != HTTPStatus(error.status_code).phrase
    ):
        message = error.detail
    return Problem(error.status_code, code, message, {}, dict(error.headers or {}))


def of_fault(error: Exception) -> Problem:
    """A fault of ours. The log says what kind and where; neither log nor answer quotes what it was about."""
    log.error("request_failed", error=error, at=_place_of(error))
    return Problem(500, "internal_error", "Something went wrong on our side. Please try again.")


def respond(request: Request, problem: Problem) -> Response:
    """``problem`` as a page for a browser, else as JSON."""
    if wants_page(request):
        return Response(
            render_error(request, status=problem.status, message=problem.message, code=problem.code),
            status_code=problem.status,
            headers=dict(problem.headers),
            media_type="text/html",
        )
    body: dict[str, object] = {"code": problem.code, "message": problem.message}
    if problem.details:
        body["details"] = problem.details
    # ASCII on purpose: a field name that a stranger chose may hold half a surrogate pair.
    return Response(
        json.dumps({"error": body}, default=str),
        status_code=problem.status,
        headers=dict(problem.headers),
        media_type="application/json",
    )


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer in a browser window."""
    return "text/html" in request.headers.get("accept", "") and "hx-request" not in request.headers


def _place_of(error: Exception) -> list[str]:
    """File names, lines and functions of the innermost frames, without values or source text."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def _place(fault: Mapping[str, object]) -> tuple[str, ...]:
    location = fault.get("loc")
    return tuple(str(part) for part in location) if isinstance(location, tuple | list) else ()


def _field_name(place: tuple[str, ...]) -> str:
    inner = place[1:] if place[:1] and place[0] in _LOCATIONS else place
    # A union of forms adds the name of the form it tried; the field is what the caller wrote.
    return ".".join(part for part in inner if part not in {"str", "AddressObject"})[:200] or "body"
