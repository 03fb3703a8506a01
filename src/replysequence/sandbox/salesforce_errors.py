"""Salesforce's errors, as data: an array of objects from the REST API, one flat object from OAuth.

Source: "Status Codes and Error Responses" of the REST API guide, and the OAuth pages of the help, checked 2026-11-22.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import HTMLResponse, JSONResponse, Response

from replysequence.sandbox.faults import Fault


@dataclass(frozen=True)
class Failure:
    """An answer of the REST API other than success."""

    status: int
    code: str
    message: str
    fields: tuple[str, ...] | None = None
    """The fields that are to blame; None where the error is about none."""

    def response(self) -> Response:
        """`[{"message", "errorCode", "fields"?}]`."""
        body: dict[str, object] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            body["fields"] = list(self.fields)
        return JSONResponse([body], self.status)


class SalesforceRefusedError(Exception):
    """The REST API says no."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


INVALID_SESSION = Failure(401, "INVALID_SESSION_ID", "Session expired or invalid")
NOT_FOR_REST = Failure(401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API")
NOT_FOUND = Failure(404, "NOT_FOUND", "The requested resource does not exist")
LIMIT_EXCEEDED = Failure(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
NOT_JSON = Failure(
    400, "JSON_PARSER_ERROR", "The HTTP entity body is required, but this request has no entity body."
)
LOCKED = Failure(
    400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records", fields=()
)
MAINTENANCE = Failure(
    503,
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
    "An insert, update, or delete operation is not permitted during maintenance.",
)
NO_ACCESS = Failure(
    403, "INSUFFICIENT_ACCESS", "You don't have access to this record. Ask your administrator for help."
)
READ_ONLY = Failure(
    403, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", fields=()
)
STORAGE = Failure(403, "STORAGE_LIMIT_EXCEEDED", "storage limit exceeded", fields=())
VALIDATION_RULE = Failure(
    400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "A validation rule of this org was not met.", fields=()
)
DUPLICATE = Failure(400, "DUPLICATES_DETECTED", "Use one of these records?", fields=())

WRITE_FAILURES: dict[str, Failure] = {
    "no_access": NO_ACCESS,
    "locked": LOCKED,
    "maintenance": MAINTENANCE,
    "limit_exceeded": LIMIT_EXCEEDED,
    "storage_full": STORAGE,
    "validation_rule": VALIDATION_RULE,
}
"""What `Switches.at_send` may name: every write of that person gets it."""


def invalid_field(message: str) -> Failure:
    """A field that is not there, in a query or a record."""
    return Failure(400, "INVALID_FIELD", message)


def malformed_query(query: str, column: int, message: str) -> Failure:
    """A query that cannot be read, with where it goes wrong, as Salesforce prints it."""
    shown = query[max(0, column - 41) : column + 20]
    pointer = " " * min(column - 1, 40) + "^"
    return Failure(400, "MALFORMED_QUERY", f"\n{shown}\n{pointer}\nERROR at Row:1:Column:{column}\n{message}")


def unwritable(fields: Sequence[str]) -> Failure:
    """Fields that this person, or nobody, can write."""
    return Failure(
        400,
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        f"Unable to create/update fields: {', '.join(fields)}. Please check the security settings of this field and "
        "verify that it is read/write for your profile or permission set.",
        fields=tuple(fields),
    )


_BY_NAME = {
    "missing_scope": NO_ACCESS,
    "locked": LOCKED,
    "migrating": MAINTENANCE,
    "limit_exceeded": LIMIT_EXCEEDED,
}
_BY_STATUS = {
    401: INVALID_SESSION,
    429: Failure(429, "TOO_MANY_REQUESTS", "Too many concurrent requests."),
    500: Failure(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId."),
    503: Failure(503, "SERVER_UNAVAILABLE", "Too many requests waiting for connections."),
}


def failure(fault: Fault) -> Response:
    """What the API answers when the fault menu says so: its array, or a web page from the edge."""
    found = _BY_NAME.get(fault.menu.answer) or _BY_STATUS.get(fault.menu.status)
    if found is None:
        status = fault.menu.status or 200
        return HTMLResponse(
            f"<html><title>Error {status}</title><body>We are down for maintenance.</body></html>", status
        )
    return found.response()


@dataclass(frozen=True)
class OAuthFailure:
    """What an OAuth endpoint answers: one flat object."""

    status: int
    error: str
    description: str

    def response(self) -> Response:
        """The flat body."""
        return JSONResponse({"error": self.error, "error_description": self.description}, self.status)


class OAuthRefusedError(Exception):
    """An OAuth endpoint says no."""

    def __init__(self, failure: OAuthFailure) -> None:
        super().__init__(failure.error)
        self.failure = failure


EXPIRED_GRANT = OAuthFailure(400, "invalid_grant", "expired access/refresh token")
WRONG_SECRET = OAuthFailure(400, "invalid_client", "invalid client credentials")
WRONG_CLIENT = OAuthFailure(400, "invalid_client_id", "client identifier invalid")
WRONG_GRANT_TYPE = OAuthFailure(400, "unsupported_grant_type", "grant type not supported")
WRONG_CODE = OAuthFailure(400, "invalid_grant", "invalid authorization code")
EXPIRED_CODE = OAuthFailure(400, "invalid_grant", "expired authorization code")
WRONG_REDIRECT = OAuthFailure(400, "redirect_uri_mismatch", "redirect_uri must match configuration")
NO_VERIFIER = OAuthFailure(400, "invalid_grant", "missing required code verifier")
WRONG_VERIFIER = OAuthFailure(400, "invalid_request", "invalid code verifier")
NO_TOKEN = OAuthFailure(400, "invalid_token", "invalid token")
NO_SUCH_KIND = OAuthFailure(400, "unsupported_token_type", "this token type is not supported")

REFRESH_FAILURES: dict[str, OAuthFailure] = {
    "revoked": EXPIRED_GRANT,
    "inactive_user": OAuthFailure(400, "invalid_grant", "inactive user"),
    "inactive_org": OAuthFailure(400, "inactive_org", "this org is locked, closed or suspended"),
    "app_blocked": OAuthFailure(400, "invalid_grant", "user hasn't approved this consumer"),
    "ip_restricted": OAuthFailure(400, "invalid_grant", "ip restricted"),
}
"""The ways in which a refresh token can die, by the name that `Switches.at_token` takes."""

_OAUTH_BY_STATUS = {
    401: OAuthFailure(401, "invalid_client", "invalid client credentials"),
    429: OAuthFailure(429, "too_many_requests", "login rate exceeded"),
    500: OAuthFailure(500, "unknown_error", "retry your request"),
    503: OAuthFailure(503, "server_error", "the service is not available"),
}


def oauth_failure(fault: Fault) -> Response:
    """What an OAuth endpoint answers when the fault menu says so."""
    named = {"invalid_grant": EXPIRED_GRANT, "invalid_client": WRONG_SECRET}
    found = named.get(fault.menu.answer) or _OAUTH_BY_STATUS.get(fault.menu.status)
    return failure(fault) if found is None else found.response()
