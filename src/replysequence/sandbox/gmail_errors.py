"""Gmail's errors: what can be wrong at its API (Gmail API error guide, checked 2026-11-22)."""

from datetime import datetime, timedelta

from starlette.responses import HTMLResponse, Response

from replysequence.sandbox.google_errors import INVALID_CREDENTIALS, GoogleFailure, gateway_page
from replysequence.sandbox.world import GOOGLE_PROJECT

UNITS_PER_MINUTE = GoogleFailure(
    403,
    "PERMISSION_DENIED",
    "rateLimitExceeded",
    "Quota exceeded for quota metric 'Total Query Cost' and limit 'Units per minute per user' of service "
    f"'gmail.googleapis.com' for consumer 'project_number:{GOOGLE_PROJECT}'.",
    domain="usageLimits",
    detail="RATE_LIMIT_EXCEEDED",
)
TOO_MANY_AT_ONCE = GoogleFailure(
    429, "RESOURCE_EXHAUSTED", "rateLimitExceeded", "Too many concurrent requests for user"
)
UNKNOWN_THREAD = GoogleFailure(404, "NOT_FOUND", "notFound", "Requested entity was not found.")
RAW_REQUIRED = GoogleFailure(
    400,
    "INVALID_ARGUMENT",
    "invalidArgument",
    "'raw' RFC822 payload message string or uploading message via /upload/* URL required",
)
NO_QUERY_WITH_METADATA = GoogleFailure(
    403, "PERMISSION_DENIED", "forbidden", "Metadata scope does not support 'q' parameter"
)
RECIPIENT_REQUIRED = GoogleFailure(400, "INVALID_ARGUMENT", "invalidArgument", "Recipient address required")

SEND_FAILURES: dict[str, GoogleFailure] = {
    "mail_service_not_enabled": GoogleFailure(
        400, "FAILED_PRECONDITION", "failedPrecondition", "Mail service not enabled"
    ),
    "precondition_failed": GoogleFailure(
        400, "FAILED_PRECONDITION", "failedPrecondition", "Precondition check failed."
    ),
    "domain_policy": GoogleFailure(
        403, "PERMISSION_DENIED", "domainPolicy", "The domain administrators have disabled Gmail apps."
    ),
    "api_disabled": GoogleFailure(
        403,
        "PERMISSION_DENIED",
        "accessNotConfigured",
        f"Gmail API has not been used in project {GOOGLE_PROJECT} before or it is disabled. Enable it by "
        "visiting the developer console then retry.",
        domain="usageLimits",
        detail="SERVICE_DISABLED",
    ),
    "project_daily_limit": GoogleFailure(
        403, "", "dailyLimitExceeded", "Daily Limit Exceeded", domain="usageLimits"
    ),
    "user_rate_limit": GoogleFailure(
        403, "", "userRateLimitExceeded", "User Rate Limit Exceeded", domain="usageLimits"
    ),
    "resource_exhausted": GoogleFailure(
        429, "RESOURCE_EXHAUSTED", "rateLimitExceeded", "Resource has been exhausted (e.g. check quota)."
    ),
}
"""What a mailbox or a project can refuse every send with, by the name that `Switches.at_send` takes."""


def bad_request(message: str) -> GoogleFailure:
    """400 invalidArgument."""
    return GoogleFailure(400, "INVALID_ARGUMENT", "invalidArgument", message)


def delegation_denied(address: str) -> GoogleFailure:
    """403: the path names somebody else's mailbox."""
    return GoogleFailure(403, "PERMISSION_DENIED", "forbidden", f"Delegation denied for {address}")


def retry_after(moment: datetime) -> GoogleFailure:
    """429: the sending limit of the mailbox; nothing goes before `moment`."""
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    return GoogleFailure(
        429,
        "RESOURCE_EXHAUSTED",
        "userRateLimitExceeded",
        f"User-rate limit exceeded.  Retry after {stamp} (Mail sending)",
        domain="usageLimits",
    )


def too_large() -> Response:
    """413, in HTML as the front end sends it."""
    return HTMLResponse(
        "<html><title>Error 413 (Request Entity Too Large)!!1</title><body>Your client issued a request that "
        "was too large.</body></html>",
        413,
    )


def failure_with_status(status: int, *, now: datetime, wait_seconds: int) -> Response:
    """An error of the infrastructure: JSON for 401, 429, 500 and 503, a web page for 502 and 504."""
    match status:
        case 401:
            return INVALID_CREDENTIALS.response()
        case 429:
            return retry_after(now + timedelta(seconds=wait_seconds)).response()
        case 500:
            return GoogleFailure(500, "INTERNAL", "backendError", "Internal error encountered.").response()
        case 503:
            message = "The service is currently unavailable."
            return GoogleFailure(503, "UNAVAILABLE", "backendError", message).response()
        case _:
            return gateway_page(status)
