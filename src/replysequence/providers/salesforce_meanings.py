"""What Salesforce's answers mean, those of its API and those of its token endpoint.

Sources, checked 2026-11-22: "Status Codes and Error Responses" of the REST API guide and the OAuth pages of the help.
An error of the API is an array, one of OAuth an object.
"""

from collections.abc import Mapping

from replysequence.domain.errors import (
    AccessTokenRejected,
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ReconnectNeeded,
    Rejected,
    TryLater,
)
from replysequence.providers.answers import mappings, word
from replysequence.providers.base import CallbackRefusal, ConsentProblem, TokenRefusal
from replysequence.providers.http import Answer
from replysequence.providers.meanings import Meaning

NO_EMAIL_MESSAGE = frozenset(
    {"NOT_FOUND", "INVALID_TYPE", "INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY"}
)
"""What an org without Enhanced Email, or a profile without the right to it, answers to a new EmailMessage."""

NO_ID = Meaning(
    OutcomeUnknown, "no_id", "Salesforce took it and did not say under which id. It is looked for by itself."
)
DUPLICATE = Meaning(
    Rejected,
    "duplicate",
    "A duplicate rule of your Salesforce takes this person for one that is there already, under another address. Add "
    "the address to that record, or make the new one in Salesforce itself.",
)
AMBIGUOUS = Meaning(
    Rejected,
    "ambiguous",
    "Several records in your Salesforce have this address, and none or more than one is yours. Merge them there, or "
    "make one yours.",
)
NOTHING_TO_CHANGE = Meaning(
    Rejected,
    "nothing_to_change",
    "Salesforce does not let a logged message be changed, and has no task beside this one that could say what became "
    "of it.",
)

_FORBIDDEN = Meaning(
    Rejected,
    "forbidden",
    "Your Salesforce user may not do that. Ask your Salesforce administrator for the right to make email messages and "
    "tasks, and for access to the record.",
)
_RULE = Meaning(
    Rejected,
    "invalid_entry",
    "Salesforce refused it because of a rule of your organisation, such as a required field. Ask your Salesforce "
    "administrator, or make the record in Salesforce itself.",
)
_NO_OBJECT = Meaning(
    Rejected, "no_such_object", "Your Salesforce does not have such records, or does not show them to you."
)
_GONE = Meaning(Rejected, "record_gone", "Salesforce no longer has a record that this is about.")
_API_OFF = Meaning(
    Rejected,
    "api_disabled",
    "The edition of your Salesforce, or your profile, has no access by API. Ask your Salesforce administrator.",
)

_MEANINGS: Mapping[str, Meaning] = {
    "INVALID_SESSION_ID": Meaning(
        AccessTokenRejected, "access_token_rejected", "Salesforce asks for a fresh proof of access."
    ),
    "REQUEST_LIMIT_EXCEEDED": Meaning(
        TryLater,
        "daily_limit",
        "Your organisation has used up its calls to Salesforce for the last 24 hours. It is tried again every hour.",
        delay=3600,
        pauses_mailbox=True,
    ),
    "STORAGE_LIMIT_EXCEEDED": Meaning(
        TryLater,
        "storage_full",
        "Your Salesforce has no room left. It is tried again every hour; tell your Salesforce administrator.",
        delay=3600,
        pauses_mailbox=True,
    ),
    "UNABLE_TO_LOCK_ROW": Meaning(
        TryLater, "busy", "Salesforce is busy with the same record. It is tried again by itself.", delay=10
    ),
    "DUPLICATES_DETECTED": DUPLICATE,
    "API_DISABLED_FOR_ORG": _API_OFF,
    "API_CURRENTLY_DISABLED": _API_OFF,
    "INSUFFICIENT_ACCESS": _FORBIDDEN,
    "INSUFFICIENT_ACCESS_OR_READONLY": _FORBIDDEN,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": _FORBIDDEN,
    "REQUIRED_FIELD_MISSING": _RULE,
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": _RULE,
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": _RULE,
    "INVALID_TYPE": _NO_OBJECT,
    "NOT_FOUND": _GONE,
    "ENTITY_IS_DELETED": _GONE,
    "INVALID_CROSS_REFERENCE_KEY": _GONE,
}

_OTHER_CLIENT = Meaning(
    Misconfigured,
    "client_refused",
    "Salesforce does not take this server's client id and secret. The operator must check SALESFORCE_CLIENT_ID and "
    "SALESFORCE_CLIENT_SECRET. No account was disconnected.",
)
_ORG_CLOSED = Meaning(
    ReconnectNeeded,
    "account_restricted",
    "This Salesforce user or organisation is locked or closed. Ask your Salesforce administrator, then connect it "
    "again.",
)
_REFUSALS: Mapping[str, Meaning] = {
    "invalid_grant": Meaning(
        ReconnectNeeded,
        "grant_gone",
        "Salesforce no longer lets ReplySequence in for this account: the access was removed, has expired, or a policy "
        "of your organisation ended it. Connect it again.",
    ),
    "inactive_user": _ORG_CLOSED,
    "inactive_org": _ORG_CLOSED,
    "invalid_client": _OTHER_CLIENT,
    "invalid_client_id": _OTHER_CLIENT,
    "redirect_uri_mismatch": Meaning(
        Misconfigured,
        "redirect_uri_mismatch",
        "Salesforce does not know this server's redirect URI. The operator must register it exactly as PUBLIC_URL has "
        "it.",
    ),
}
_REFUSED_OTHERWISE = Meaning(
    Misconfigured,
    "refused",
    "Salesforce refused a request for access in a way that only the operator can mend. No account was disconnected.",
)


def codes_of(answer: Answer) -> list[str]:
    """The error codes of an answer of the API."""
    try:
        errors = mappings(answer.json())
    except (ValueError, RecursionError):
        return []
    return [code for each in errors if (code := word(each.get("errorCode")))]


def meaning_of(answer: Answer) -> Meaning | None:
    """What an error of the API means; none where its code says nothing."""
    return next((_MEANINGS[code] for code in codes_of(answer) if code in _MEANINGS), None)


def refused(refusal: TokenRefusal) -> ProviderError:
    """What a refusal of the token endpoint means."""
    return _REFUSALS.get(refusal.error, _REFUSED_OTHERWISE).as_error(
        status=refusal.status, details={"error": refusal.error}
    )


def turned_back(refusal: CallbackRefusal) -> ConsentProblem:
    """Why a consent did not come about. Since September 2025 an app that is not installed in an organisation can be
    approved there by its administrator only (help article 005132365).
    """
    if refusal.error == "access_denied":
        return ConsentProblem(
            "access_denied",
            "Nothing was connected, because the access was not granted. Connect again and choose “Allow” on "
            "Salesforce's page.",
        )
    if refusal.error.startswith("OAUTH_"):
        return ConsentProblem(
            "admin_consent",
            "Salesforce does not let ReplySequence in yet. An administrator of your Salesforce has to install or "
            "approve the app first; then connect again.",
            admin_consent=True,
            details={"error": refusal.error},
        )
    return ConsentProblem(
        "provider_error",
        "Salesforce could not finish connecting the account. Nothing was connected. Please try again in a minute.",
        details={"error": refusal.error},
    )
