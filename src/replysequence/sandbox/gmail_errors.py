"""Gmail's errors: the API envelope, and what can be wrong (Gmail API error guide, checked 2026-11-22)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from replysequence.sandbox.world import GOOGLE_PROJECT

_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@dataclass(frozen=True)
class GmailFailure:
    """One error answer of the Gmail API. `inner` is the message inside `errors[]` where it differs."""

    code: int
    status: str
    reason: str
    message: str
    domain: str = "global"
    inner: str = ""
    location: str = ""
    detail: str = ""
    """Reason of the ErrorInfo among the details."""

    def response(self) -> Response:
        """The JSON envelope."""
        item: dict[str, Any] = {
            "message": self.inner or self.message,
            "domain": self.domain,
            "reason": self.reason,
        }
        if self.location:
            item |= {"location": self.location, "locationType": "header"}
        error: dict[str, Any] = {"code": self.code, "message": self.message, "errors": [item]}
        if self.status:
            error["status"] = self.status
        if self.detail:
            info = {"@type": _ERROR_INFO, "reason": self.detail, "domain": "googleapis.com"}
            error["details"] = [info | {"metadata": {"service": "gmail.googleapis.com"}}]
        headers = (
            {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'} if self.code == 401 else {}
        )
        return JSONResponse({"error": error}, self.code, headers=headers)


class GmailRefusedError(Exception):
    """The Gmail API says no."""

    def __init__(self, failure: GmailFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


INVALID_CREDENTIALS = GmailFailure(
    401,
    "UNAUTHENTICATED",
    "authError",
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
    "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    inner="Invalid Credentials",
    location="Authorization",
)
LOGIN_REQUIRED = GmailFailure(401, "UNAUTHENTICATED", "required", "Login Required.", location="Authorization")
INSUFFICIENT_SCOPES = GmailFailure(
    403,
    "PERMISSION_DENIED",
    "insufficientPermissions",
    "Request had insufficient authentication scopes.",
    inner="Insufficient Permission",
    detail="ACCESS_TOKEN_SCOPE_INSUFFICIENT",
)
UNITS_PER_MINUTE = GmailFailure(
    403,
    "PERMISSION_DENIED",
    "rateLimitExceeded",
    "Quota exceeded for quota metric 'Total Query Cost' and limit 'Units per minute per user' of service "
    f"'gmail.googleapis.com' for consumer 'project_number:{GOOGLE_PROJECT}'.",
    domain="usageLimits",
    detail="RATE_LIMIT_EXCEEDED",
)
TOO_MANY_AT_ONCE = GmailFailure(
    429, "RESOURCE_EXHAUSTED", "rateLimitExceeded", "Too many concurrent requests for user"
)
UNKNOWN_THREAD = GmailFailure(404, "NOT_FOUND", "notFound", "Requested entity was not found.")
RAW_REQUIRED = GmailFailure(
    400,
    "INVALID_ARGUMENT",
    "invalidArgument",
    "'raw' RFC822 payload message string or uploading message via /upload/* URL required",
)
NO_QUERY_WITH_METADATA = GmailFailure(
    403, "PERMISSION_DENIED", "forbidden", "Metadata scope does not support 'q' parameter"
)
RECIPIENT_REQUIRED = GmailFailure(400, "INVALID_ARGUMENT", "invalidArgument", "Recipient address required")

SEND_FAILURES: dict[str, GmailFailure] = {
    "mail_service_not_enabled": GmailFailure(
        400, "FAILED_PRECONDITION", "failedPrecondition", "Mail service not enabled"
    ),
    "precondition_failed": GmailFailure(
        400, "FAILED_PRECONDITION", "failedPrecondition", "Precondition check failed."
    ),
    "domain_policy": GmailFailure(
        403, "PERMISSION_DENIED", "domainPolicy", "The domain administrators have disabled Gmail apps."
    ),
    "api_disabled": GmailFailure(
        403,
        "PERMISSION_DENIED",
        "accessNotConfigured",
        f"Gmail API has not been used in project {GOOGLE_PROJECT} before or it is disabled. Enable it by "
        "visiting the developer console then retry.",
        domain="usageLimits",
        detail="SERVICE_DISABLED",
    ),
    "project_daily_limit": GmailFailure(
        403, "", "dailyLimitExceeded", "Daily Limit Exceeded", domain="usageLimits"
    ),
    "user_rate_limit": GmailFailure(
        403, "", "userRateLimitExceeded", "User Rate Limit Exceeded", domain="usageLimits"
    ),
    "resource_exhausted": GmailFailure(
        429, "RESOURCE_EXHAUSTED", "rateLimitExceeded", "Resource has been exhausted (e.g. check quota)."
    ),
}
"""What a mailbox or a project can refuse every send with, by the name that `Switches.at_send` takes."""


def bad_request(message: str) -> GmailFailure:
    """400 invalidArgument."""
    return GmailFailure(400, "INVALID_ARGUMENT", "invalidArgument", message)


def delegation_denied(address: str) -> GmailFailure:
    """403: the path names somebody else's mailbox."""
    return GmailFailure(403, "PERMISSION_DENIED", "forbidden", f"Delegation denied for {address}")


def retry_after(moment: datetime) -> GmailFailure:
    """429: the sending limit of the mailbox; nothing goes before `moment`."""
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    return GmailFailure(
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
            return GmailFailure(500, "INTERNAL", "backendError", "Internal error encountered.").response()
        case 503:
            message = "The service is currently unavailable."
            return GmailFailure(503, "UNAVAILABLE", "backendError", message).response()
        case _:
            return HTMLResponse(f"<html><title>Error {status} (Server Error)!!1</title></html>", status)
