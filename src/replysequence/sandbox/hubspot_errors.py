"""HubSpot's errors, as data, in its own envelopes: one of the API, one of OAuth.

Source: HubSpot's "Error handling", "Usage guidelines" and the changelog on OAuth v3, checked 2026-11-22.
Every field but `message` may be absent at HubSpot; the sandbox sends those that its documentation shows.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from replysequence.sandbox.faults import Fault


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An answer of the API other than success. `more` joins the body, `headers` the header section."""

    status: int
    message: str
    category: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The envelope, with a correlation id of its own."""
        body: dict[str, Any] = {
            "status": "error",
            "message": self.message,
            "correlationId": correlation_id(),
            **self.more,
        }
        if self.category:
            body["category"] = self.category
        return body

    def response(self) -> Response:
        """The whole answer."""
        return JSONResponse(self.body(), self.status, headers=dict(self.headers))


class HubSpotRefusedError(Exception):
    """HubSpot says no."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def correlation_id() -> str:
    """As HubSpot writes them: a random UUID."""
    raw = secrets.token_hex(16)
    return "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))


UNAUTHENTICATED = Failure(
    status=401,
    message="Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find "
    "more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
    category="INVALID_AUTHENTICATION",
)
EXPIRED = Failure(
    status=401,
    message="The OAuth token used to make this call expired some time ago.",
    category="EXPIRED_AUTHENTICATION",
    more={"errors": [{"message": "The OAuth token used to make this call expired some time ago."}]},
)
NO_SUCH_PATH = Failure(status=404, message="resource not found")
LOCKED = Failure(status=423, message="The resource is locked by another request. Try again later.")
MIGRATING = Failure(
    status=477,
    message="This account is being migrated between data centers.",
    headers={"Retry-After": "86400"},
)
VALIDATION_RULE = Failure(
    status=400,
    message="A validation rule of this account was not met: every record needs a phone number.",
    category="VALIDATION_ERROR",
)


def missing_scopes(needed: Sequence[str]) -> Failure:
    """A call that takes scopes which were not granted; the token is fine."""
    return Failure(
        status=403,
        message="This app hasn't been granted all required scopes to make this call. Read more about required "
        "scopes here: https://developers.hubspot.com/scopes.",
        category="MISSING_SCOPES",
        more={
            "errors": [
                {
                    "message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": list(needed)},
                }
            ],
            "links": {"scopes": "https://developers.hubspot.com/scopes"},
        },
    )


def rate_limited(policy: str) -> Failure:
    """Too many calls under `policy`. HubSpot says no time after which to come back."""
    return Failure(
        status=429,
        message=f"You have reached your {policy.lower()} limit.",
        more={"errorType": "RATE_LIMIT", "policyName": policy, "requestId": secrets.token_hex(16)},
    )


def invalid(problems: Sequence[Mapping[str, str]]) -> Failure:
    """Property values that were not valid: each problem has `name`, `error` and `message`."""
    told = [{"isValid": False, **problem} for problem in problems]
    return Failure(
        status=400,
        message=f"Property values were not valid: {json.dumps(told)}",
        category="VALIDATION_ERROR",
        more={
            "errors": [
                {
                    "message": problem["message"],
                    "code": problem["error"],
                    "context": {"propertyName": [problem["name"]]},
                }
                for problem in problems
            ]
        },
    )


def malformed(message: str) -> Failure:
    """A request that does not have the shape it must have."""
    return Failure(status=400, message=f"Invalid input JSON: {message}", category="VALIDATION_ERROR")


def not_found(kind: str, record_id: str) -> Failure:
    """A record that is not there."""
    return Failure(
        status=404,
        message=f"Object not found.  {kind} {record_id!r} does not exist.",
        category="OBJECT_NOT_FOUND",
    )


WRITE_FAILURES: dict[str, Failure] = {
    "missing_scopes": missing_scopes(["crm.objects.contacts.write", "sales-email-read"]),
    "locked": LOCKED,
    "migrating": MIGRATING,
    "daily_limit": rate_limited("DAILY"),
    "validation_rule": VALIDATION_RULE,
}
"""What `Switches.at_send` may name: every write of that person gets it."""

_BY_NAME = {
    "missing_scope": missing_scopes(["crm.objects.contacts.read", "crm.objects.contacts.write"]),
    "locked": LOCKED,
    "migrating": MIGRATING,
    "limit_exceeded": rate_limited("DAILY"),
}
_BY_STATUS = {
    401: EXPIRED,
    429: rate_limited("TEN_SECONDLY_ROLLING"),
    500: Failure(status=500, message="internal error"),
    503: Failure(status=503, message="Service Unavailable"),
}


def failure(fault: Fault) -> Response:
    """What the API answers when the fault menu says so: its envelope, or a web page from a gateway."""
    found = _BY_NAME.get(fault.menu.answer) or _BY_STATUS.get(fault.menu.status)
    if found is None:
        status = fault.menu.status or 200
        return HTMLResponse(
            f"<html><head><title>{status}</title></head><body>cloudflare</body></html>", status
        )
    return found.response()


@dataclass(frozen=True)
class OAuthFailure:
    """What an OAuth endpoint answers: RFC 6749's names beside HubSpot's older ones."""

    http_status: int
    error: str
    status: str
    message: str

    def response(self, *, v1: bool = False) -> Response:
        """The flat body; OAuth v1 knows the older names only."""
        body = {"status": self.status, "message": self.message, "correlationId": correlation_id()}
        if not v1:
            body |= {"error": self.error, "error_description": self.message}
        return JSONResponse(body, self.http_status)


class OAuthRefusedError(Exception):
    """An OAuth endpoint says no."""

    def __init__(self, failure: OAuthFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


BAD_REFRESH_TOKEN = OAuthFailure(
    400, "invalid_grant", "BAD_REFRESH_TOKEN", "missing or invalid refresh token"
)
BAD_CLIENT_SECRET = OAuthFailure(
    400, "invalid_client", "BAD_CLIENT_SECRET", "missing or invalid client secret"
)
BAD_CLIENT_ID = OAuthFailure(400, "invalid_client", "BAD_CLIENT_ID", "missing or invalid client id")
BAD_AUTH_CODE = OAuthFailure(400, "invalid_grant", "BAD_AUTH_CODE", "missing or unknown auth code")
EXPIRED_AUTH_CODE = OAuthFailure(400, "invalid_grant", "EXPIRED_AUTH_CODE", "auth code has expired")
BAD_REDIRECT_URI = OAuthFailure(
    400, "invalid_grant", "BAD_REDIRECT_URI", "redirect_uri does not match initial auth code URI"
)
BAD_CODE_VERIFIER = OAuthFailure(
    400, "invalid_grant", "BAD_CODE_VERIFIER", "code_verifier does not match the code_challenge"
)
BAD_GRANT_TYPE = OAuthFailure(
    400, "unsupported_grant_type", "BAD_GRANT_TYPE", "missing or unknown grant type"
)
BAD_REQUEST = OAuthFailure(400, "invalid_request", "BAD_REQUEST", "the parameters belong in a form body")
NOT_INSTALLED = OAuthFailure(
    400, "invalid_grant", "BAD_REFRESH_TOKEN", "the app is not installed in this account any more"
)
BAD_HUB = OAuthFailure(400, "invalid_grant", "BAD_HUB", "this account has been deactivated")

REFRESH_FAILURES: dict[str, OAuthFailure] = {
    "revoked": BAD_REFRESH_TOKEN,
    "not_installed": NOT_INSTALLED,
    "account_deactivated": BAD_HUB,
}
"""The ways in which a refresh token can die, by the name that `Switches.at_token` takes."""

_OAUTH_BY_STATUS = {
    401: OAuthFailure(401, "invalid_client", "UNAUTHORIZED", "not authorized"),
    429: OAuthFailure(429, "temporarily_unavailable", "RATE_LIMIT", "too many requests"),
    500: OAuthFailure(500, "server_error", "INTERNAL_ERROR", "internal error"),
    503: OAuthFailure(503, "temporarily_unavailable", "UNAVAILABLE", "service unavailable"),
}


def oauth_failure(fault: Fault) -> Response:
    """What an OAuth endpoint answers when the fault menu says so."""
    named = {"invalid_grant": BAD_REFRESH_TOKEN, "invalid_client": BAD_CLIENT_SECRET}
    found = named.get(fault.menu.answer) or _OAUTH_BY_STATUS.get(fault.menu.status)
    return failure(fault) if found is None else found.response()
