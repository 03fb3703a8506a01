"""Errors that every Google API words alike, in the envelope of the APIs (Gmail and Calendar error guides, checked
2026-11-22).
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.responses import HTMLResponse, JSONResponse, Response

GMAIL: Final = "gmail.googleapis.com"
CALENDAR: Final = "calendar-json.googleapis.com"
MEET: Final = "meet.googleapis.com"

_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@dataclass(frozen=True)
class GoogleFailure:
    """One error answer. `inner` is the message inside `errors[]` where it differs.

    Without `reason` there is no `errors[]` (the newer APIs), without `status` no status (the older ones).
    """

    code: int
    status: str
    reason: str
    message: str
    domain: str = "global"
    inner: str = ""
    location: str = ""
    location_type: str = "header"
    detail: str = ""
    """Reason of the ErrorInfo among the details."""
    service: str = GMAIL

    def response(self) -> Response:
        """The JSON envelope."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.reason:
            error["errors"] = [self._item()]
        if self.status:
            error["status"] = self.status
        if self.detail:
            info = {"@type": _ERROR_INFO, "reason": self.detail, "domain": "googleapis.com"}
            error["details"] = [info | {"metadata": {"service": self.service}}]
        headers = (
            {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/"'} if self.code == 401 else {}
        )
        return JSONResponse({"error": error}, self.code, headers=headers)

    def _item(self) -> dict[str, str]:
        item = {"message": self.inner or self.message, "domain": self.domain, "reason": self.reason}
        if self.location:
            item |= {"location": self.location, "locationType": self.location_type}
        return item


class GoogleRefusedError(Exception):
    """A Google API says no."""

    def __init__(self, failure: GoogleFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


INVALID_CREDENTIALS = GoogleFailure(
    401,
    "UNAUTHENTICATED",
    "authError",
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
    "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    inner="Invalid Credentials",
    location="Authorization",
)
LOGIN_REQUIRED = GoogleFailure(
    401, "UNAUTHENTICATED", "required", "Login Required.", location="Authorization"
)
INSUFFICIENT_SCOPES = GoogleFailure(
    403,
    "PERMISSION_DENIED",
    "insufficientPermissions",
    "Request had insufficient authentication scopes.",
    inner="Insufficient Permission",
    detail="ACCESS_TOKEN_SCOPE_INSUFFICIENT",
)


def plain(failure: GoogleFailure, *, service: str) -> GoogleFailure:
    """`failure` as the newer APIs word it: without `errors[]`."""
    return replace(failure, reason="", service=service)


def gateway_page(status: int) -> Response:
    """An error of the infrastructure in front of every API: a web page."""
    return HTMLResponse(f"<html><title>Error {status} (Server Error)!!1</title></html>", status)
