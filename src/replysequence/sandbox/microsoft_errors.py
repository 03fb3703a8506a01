"""Every refusal of the Microsoft identity platform that the sandbox can give, as data.

Codes and meanings: "Microsoft Entra authentication and authorization error codes"; HTTP statuses: recorded
exchanges; both checked 2026-11-22. Microsoft asks callers to branch on `error` alone.
"""

import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

NO_VALUES: Mapping[str, str] = MappingProxyType({})

PERSONAL_DENIED = "The user has denied access to the scope requested by the client application."


@dataclass(frozen=True)
class Refusal:
    """One AADSTS code: where it is a JSON answer, `status` is its HTTP status."""

    number: int
    error: str
    text: str
    status: int = 400
    suberror: str | None = None


class TokenRefused(Exception):
    """The token endpoint says no. `values` fill the blanks of the refusal's text."""

    def __init__(self, refusal: Refusal, **values: str) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal
        self.values = values


def describe(
    refusal: Refusal,
    values: Mapping[str, str] = NO_VALUES,
    *,
    now: datetime,
    trace_id: str = "",
    correlation_id: str = "",
) -> str:
    """The `error_description`: the AADSTS number and text, then three lines for the support desk.

    `values` fill the blanks of the text; the ids are made up where absent.
    """
    return "\r\n".join(
        (
            f"AADSTS{refusal.number}: {refusal.text.format_map(defaultdict(str, values))}",
            f"Trace ID: {trace_id or uuid.uuid4()}",
            f"Correlation ID: {correlation_id or uuid.uuid4()}",
            f"Timestamp: {_stamp(now)}",
        )
    )


def error_body(refused: TokenRefused, *, now: datetime, origin: str) -> dict[str, object]:
    """The JSON of the token endpoint; `origin` is where the sandbox is reached."""
    refusal = refused.refusal
    trace_id, correlation_id = str(uuid.uuid4()), str(uuid.uuid4())
    body: dict[str, object] = {
        "error": refusal.error,
        "error_description": describe(
            refusal, refused.values, now=now, trace_id=trace_id, correlation_id=correlation_id
        ),
        "error_codes": [refusal.number],
        "timestamp": _stamp(now),
        "trace_id": trace_id,
        "correlation_id": correlation_id,
        "error_uri": f"{origin}/error?code={refusal.number}",
    }
    return body | {"suberror": refusal.suberror} if refusal.suberror else body


def _stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%d %H:%M:%SZ")


# Shown on a page at Microsoft; the application never hears of them.
REDIRECT_NOT_REGISTERED = Refusal(
    50011,
    "invalid_request",
    "The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs configured "
    "for "
    "the application '{client_id}'. Make sure the redirect URI sent in the request matches one added to your "
    "application in the Azure portal.",
)
REDIRECT_MISSING = Refusal(900971, "invalid_request", "No reply address provided.")
UNKNOWN_APPLICATION = Refusal(
    700016,
    "unauthorized_client",
    "Application with identifier '{client_id}' was not found in the directory '{segment}'. This can happen "
    "if the "
    "application has not been installed by the administrator of the tenant or consented to by any user in "
    "the "
    "tenant.",
)
UNKNOWN_TENANT = Refusal(
    90002,
    "invalid_request",
    "Tenant '{segment}' not found. Check to make sure you have the correct tenant ID and are signing into "
    "the "
    "correct cloud.",
)
WRONG_ACCOUNT_KIND = Refusal(
    50020,
    "invalid_request",
    "User account '{account}' from identity provider does not exist in tenant '{segment}' and cannot access "
    "the "
    "application there. Sign out and sign in again with a different account.",
)
BLOCKED_BY_POLICY = Refusal(
    53003,
    "interaction_required",
    "Access has been blocked by Conditional Access policies. The access policy does not allow token "
    "issuance.",
)
NOT_ASSIGNED = Refusal(
    50105,
    "access_denied",
    "Your administrator has configured the application to block users unless they are specifically granted "
    "access to the application. The signed-in user '{account}' is blocked because they are not a direct "
    "member of "
    "a group with access, nor had access directly assigned by an administrator.",
)
REQUEST_LOST = Refusal(
    90033,
    "invalid_request",
    "This sign-in request is no longer known. Go back to the application and start again.",
)
NEEDS_ADMIN = Refusal(
    90094,
    "access_denied",
    "{application} needs permission to access resources in your organization that only an admin can grant. "
    "Please ask an admin to grant permission to this app before you can use it.",
)

# Sent back to the application's callback.
DECLINED = Refusal(
    65004,
    "access_denied",
    "User declined to consent to access the app. The user chose not to consent to the app; they should try "
    "again "
    "and accept.",
)
NO_SESSION = Refusal(50058, "login_required", "A silent sign-in request was sent but no user is signed in.")
NOT_CONSENTED = Refusal(
    65001,
    "invalid_grant",
    "The user or administrator has not consented to use the application with ID '{client_id}'. Send an "
    "interactive authorization request for this user and resource.",
    suberror="consent_required",
)
NOT_CONSENTED_SILENT = Refusal(65001, "consent_required", NOT_CONSENTED.text)
NO_SUCH_SCOPE = Refusal(
    650053,
    "invalid_client",
    "The application '{client_id}' asked for scope '{scope}' that doesn't exist on the resource "
    "'00000003-0000-0000-c000-000000000000'. Contact the app vendor.",
)
BAD_CHALLENGE = Refusal(
    501491, "invalid_request", "The PKCE code challenge or its method '{code_challenge_method}' is not valid."
)
BAD_RESPONSE_TYPE = Refusal(
    700054, "unsupported_response_type", "response_type '{response_type}' is not enabled for the application."
)
BAD_PROMPT = Refusal(90023, "invalid_request", "The value '{prompt}' of the parameter 'prompt' is not valid.")

# Token endpoint, the request.
MISSING_FIELD = Refusal(
    900144, "invalid_request", "The request body must contain the following parameter: '{name}'."
)
WRONG_VERB = Refusal(
    900561, "invalid_request", "The endpoint only accepts POST requests. Received a GET request."
)
WRONG_GRANT_TYPE = Refusal(
    70003, "unsupported_grant_type", "The app requested an unsupported grant type '{grant_type}'."
)
NO_SECRET = Refusal(
    7000218,
    "invalid_client",
    "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    401,
)
WRONG_SECRET = Refusal(
    7000215,
    "invalid_client",
    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
    "not "
    "the client secret ID, for a secret added to app '{client_id}'.",
    401,
)
EXPIRED_SECRET = Refusal(
    7000222,
    "invalid_client",
    "The provided client secret keys for app '{client_id}' are expired. Create new keys for your app, or use "
    "a "
    "certificate credential for added security.",
    401,
)
UNKNOWN_CLIENT = Refusal(700016, "unauthorized_client", UNKNOWN_APPLICATION.text)
NO_SCOPE = Refusal(
    28003, "invalid_scope", "The provided value for the input parameter 'scope' cannot be empty."
)
UNKNOWN_SCOPE = Refusal(
    70011,
    "invalid_scope",
    "The provided request must include a 'scope' input parameter. The scope {scope} is not valid.",
)

# Token endpoint, the code.
CODE_SPENT = Refusal(
    54005,
    "invalid_grant",
    "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing "
    "refresh token.",
)
CODE_EXPIRED = Refusal(
    70008,
    "invalid_grant",
    "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive "
    "authorization request for this user and resource.",
)
CODE_UNKNOWN = Refusal(9002313, "invalid_grant", "Invalid request. Request is malformed or invalid.")
CODE_OF_ANOTHER_TENANT = Refusal(
    700005,
    "invalid_grant",
    "The provided authorization code is intended to use against other tenant, thus rejected.",
)
OTHER_REDIRECT = Refusal(
    500112,
    "invalid_grant",
    "The reply address in the token request does not match the reply address provided when requesting the "
    "authorization code.",
)
OTHER_CLIENT = Refusal(
    70000,
    "invalid_grant",
    "Provided grant is invalid or malformed: it was issued to another client.",
    suberror="client_mismatch",
)
WRONG_VERIFIER = Refusal(
    501481,
    "invalid_grant",
    "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
)

# Token endpoint, the refresh token. The switches of an account name these.
BAD_TOKEN = Refusal(
    70000,
    "invalid_grant",
    "The user could not be authenticated or the grant is expired. The user must first sign in and if needed "
    "grant the client application access to the requested scope.",
    suberror="bad_token",
)
UNUSED_TOO_LONG = Refusal(
    700082,
    "invalid_grant",
    "The refresh token has expired due to inactivity. The token was issued on {issued} and was inactive for "
    "90.00:00:00.",
)
REVOKED = Refusal(
    50173,
    "invalid_grant",
    "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might "
    "have "
    "changed or reset their password.",
    suberror="bad_token",
)
NEEDS_MFA = Refusal(
    50076,
    "interaction_required",
    "Due to a configuration change made by your administrator, or because you moved to a new location, you "
    "must "
    "use multi-factor authentication to access '00000003-0000-0000-c000-000000000000'.",
    suberror="basic_action",
)
UNAVAILABLE = Refusal(
    90033,
    "temporarily_unavailable",
    "A transient error has occurred. Please try again.",
    503,
)
TENANT_THROTTLED = Refusal(
    90055,
    "temporarily_unavailable",
    "The tenant has received too many requests. Please wait and try again.",
    429,
)
SERVER_ERROR = Refusal(90012, "server_error", "The request timed out. Please try again.", 500)
