"""Zoom's errors: numbers and words of its OAuth pages, its token endpoint and its API.

Sources, checked 2026-11-22: Zoom's "OAuth error messages" and "Rate limits"; bodies and statuses as recorded in public
issues (raycast/extensions#10896, JubaerHossain/zoom-laravel#3, #4 and #15, kyleboe/zoom_rb#382).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from starlette.responses import HTMLResponse, JSONResponse, Response


@dataclass(frozen=True)
class TokenRefusal:
    """What the token endpoint answers instead of tokens. `number` is Zoom's own for it."""

    number: int
    error: str
    reason: str
    status: int = 400

    def response(self) -> Response:
        """The flat JSON body."""
        return JSONResponse({"reason": self.reason, "error": self.error}, self.status)


class TokenRefusedError(Exception):
    """The token endpoint says no."""

    def __init__(self, refusal: TokenRefusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


INVALID_CLIENT: Final = TokenRefusal(4702, "invalid_client", "Invalid client_id or client_secret")
UNSUPPORTED_GRANT: Final = TokenRefusal(4705, "unsupported_grant_type", "unsupported grant type")
MISSING_GRANT: Final = TokenRefusal(4706, "invalid_request", "Missing grant type.")
REDIRECT_MISMATCH: Final = TokenRefusal(4709, "invalid_request", "Redirect URI mismatch.")
CODE_EXPIRED: Final = TokenRefusal(4733, "invalid_grant", "Code is expired")
CODE_UNKNOWN: Final = TokenRefusal(4734, "invalid_grant", "Invalid authorization code.")
WRONG_VERIFIER: Final = TokenRefusal(4734, "invalid_grant", "Invalid code verifier.")
OWNER_GONE: Final = TokenRefusal(4735, "invalid_grant", "The owner of the token does not exist.")
INVALID_TOKEN: Final = TokenRefusal(4741, "invalid_grant", "Invalid Token!")
"""A refresh token that was used, revoked, or overtaken by a newer authorization."""

TOKEN_FAILURES: Final[dict[str, TokenRefusal]] = {
    "revoked": INVALID_TOKEN,
    "owner_gone": OWNER_GONE,
    "disabled_by_admin": TokenRefusal(4738, "invalid_grant", "The token is disabled by admin."),
    "app_disabled": TokenRefusal(4717, "invalid_client", "The app has been disabled"),
}
"""The ways in which a refresh token can die, by the name that `Switches.at_token` takes."""


@dataclass(frozen=True)
class ApiRefusal:
    """One error answer of the API: its number and words, under an HTTP status."""

    status: int
    code: int
    message: str

    def response(self) -> Response:
        """`{"code", "message"}`."""
        return JSONResponse({"code": self.code, "message": self.message}, self.status)


class ApiRefusedError(Exception):
    """The API says no."""

    def __init__(self, refusal: ApiRefusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


TOKEN_MISSING: Final = ApiRefusal(401, 4700, "Token cannot be empty.")
ACCESS_TOKEN_INVALID: Final = ApiRefusal(401, 124, "Invalid access token.")
ACCESS_TOKEN_EXPIRED: Final = ApiRefusal(401, 124, "Access token is expired.")
NOT_ME: Final = ApiRefusal(401, 4700, "Invalid access token, does not contain scopes.")
"""A token of one user names a user id where only `me` may stand."""
INVALID_PAGE_TOKEN: Final = ApiRefusal(400, 300, "The next page token is invalid or expired.")
PER_SECOND: Final = ApiRefusal(
    429, 429, "You have reached the maximum per-second rate limit for this API. Try again later."
)
DAILY: Final = ApiRefusal(
    429,
    429,
    "You have reached the maximum daily rate limit for this API. Refer to the response header for details on when "
    "you can make another request.",
)


def missing_scope(scope: str) -> ApiRefusal:
    """The token was not granted `scope`."""
    return ApiRefusal(400, 4711, f"Invalid access token, does not contain scopes:[{scope}].")


def no_such_meeting(name: str) -> ApiRefusal:
    """No meeting has this number or id, or this user may not see it."""
    return ApiRefusal(404, 3001, f"Meeting does not exist: {name}.")


def daily_limit(until: datetime, *, category: str, limit: int) -> Response:
    """429: the calls of the day are used up. Here, and only here, `Retry-After` is an ISO date."""
    response = DAILY.response()
    response.headers.update(
        {
            "X-RateLimit-Category": category,
            "X-RateLimit-Type": "Daily-limit",
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": "0",
            "Retry-After": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )
    return response


def failure_with_status(status: int, *, now: datetime, wait_seconds: int) -> Response:
    """An error of the service as a whole: JSON, and a web page from a gateway."""
    match status:
        case 401:
            return ACCESS_TOKEN_EXPIRED.response()
        case 429:
            return daily_limit(now + timedelta(seconds=wait_seconds), category="Medium", limit=2000)
        case 500:
            return ApiRefusal(500, 500, "Internal Server Error").response()
        case 503:
            return ApiRefusal(503, 503, "Service Unavailable").response()
        case _:
            return HTMLResponse(f"<html><title>{status} Gateway Error</title></html>", status)
