"""Every error that Resend documents, as data, in Resend's own envelope.

Source: Resend's API reference "Errors", checked 2026-11-22. For an unknown key the sources differ (400, 401,
403); the Python SDK 2.52 knows 403 `invalid_api_key`, and so does the sandbox.
"""

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from replysequence.sandbox.faults import Fault
from replysequence.sandbox.resend_message import ResendRefusal

REFUSALS: dict[str, ResendRefusal] = {
    refusal.name: refusal
    for refusal in (
        ResendRefusal(400, "invalid_idempotency_key", "The idempotency key must be between 1-256 chars."),
        ResendRefusal(400, "validation_error", "We found an error with one or more fields in the request."),
        ResendRefusal(401, "missing_api_key", "Missing API key in the authorization header."),
        ResendRefusal(401, "restricted_api_key", "This API key is restricted to only send emails."),
        ResendRefusal(403, "invalid_api_key", "API key is invalid."),
        ResendRefusal(403, "suspended_api_key", "This API key is suspended."),
        ResendRefusal(403, "invalid_permission", "The access token lacks the scope for this request."),
        ResendRefusal(404, "not_found", "The requested endpoint does not exist."),
        ResendRefusal(405, "method_not_allowed", "Method is not allowed for the requested path."),
        ResendRefusal(
            409,
            "concurrent_idempotent_requests",
            "Same idempotency key used while original request is running.",
        ),
        ResendRefusal(
            409, "invalid_idempotent_request", "Same idempotency key used with a different request payload."
        ),
        ResendRefusal(409, "resource_locked", "The resource is being changed by another request."),
        ResendRefusal(422, "invalid_attachment", "Attachment must have either a `content` or `path`."),
        ResendRefusal(422, "invalid_parameter", "The parameter must be a valid UUID."),
        ResendRefusal(
            422, "missing_required_field", "The request body is missing one or more required fields."
        ),
        ResendRefusal(422, "missing_required_parameter", "The request is missing a required parameter."),
        ResendRefusal(
            429, "rate_limit_exceeded", "Too many requests. You can only make 10 requests per second."
        ),
        ResendRefusal(429, "daily_quota_exceeded", "You have reached your daily email sending quota."),
        ResendRefusal(429, "monthly_quota_exceeded", "You have reached your monthly email sending quota."),
        ResendRefusal(500, "application_error", "An unexpected error occurred."),
        ResendRefusal(503, "service_unavailable", "The service is unavailable. Please try again later."),
    )
}
SEND_FAILURES = {name: f"{refusal.message} ({refusal.status})" for name, refusal in REFUSALS.items()}
"""What `Team.at_send` may name."""

INACTIVE_KEY = ResendRefusal(403, "restricted_api_key", "This API key is not active.")
NO_USER_AGENT = PlainTextResponse("error code: 1010", 403)
"""The edge's own answer to a request without User-Agent; it never reaches the API."""

_FAULTS = {
    401: "missing_api_key",
    429: "rate_limit_exceeded",
    500: "application_error",
    503: "service_unavailable",
}


def envelope(refusal: ResendRefusal) -> Response:
    """`{"statusCode", "name", "message"}`; a rate-limited caller is told how many seconds to wait."""
    body = {"statusCode": refusal.status, "message": refusal.message, "name": refusal.name}
    wait = {"retry-after": "1"} if refusal.name == "rate_limit_exceeded" else None
    return JSONResponse(body, refusal.status, headers=wait)


def failure(fault: Fault) -> Response:
    """What Resend answers when the fault menu says so: its envelope, or a web page from a gateway."""
    name = _FAULTS.get(fault.menu.status)
    if name is None:
        status = fault.menu.status or 503
        return HTMLResponse(f"<html><body><h1>{status}</h1></body></html>", status)
    response = envelope(REFUSALS[name])
    if fault.menu.status in {429, 503}:
        response.headers["retry-after"] = str(fault.retry_after_seconds)
    return response
