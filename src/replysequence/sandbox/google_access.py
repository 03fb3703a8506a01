"""Who calls a Google API, and with which permission."""

from collections.abc import Collection

from starlette.requests import Request

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.carried import bearer
from replysequence.sandbox.credentials import AccessToken, Credentials
from replysequence.sandbox.google_errors import (
    INSUFFICIENT_SCOPES,
    INVALID_CREDENTIALS,
    LOGIN_REQUIRED,
    GoogleFailure,
    GoogleRefusedError,
)


def authorize(
    request: Request,
    credentials: Credentials,
    *,
    scopes: Collection[str],
    insufficient: GoogleFailure = INSUFFICIENT_SCOPES,
) -> AccessToken:
    """The token of `request`. Raises `GoogleRefusedError` unless it is alive and holds one of `scopes`."""
    shown = bearer(request)
    if not shown:
        raise GoogleRefusedError(LOGIN_REQUIRED)
    token = credentials.usable_access_token(shown)
    if token is None or token.account.vendor is not Vendor.GOOGLE:
        raise GoogleRefusedError(INVALID_CREDENTIALS)
    if not set(scopes) & set(token.scopes):
        raise GoogleRefusedError(insufficient)
    return token
