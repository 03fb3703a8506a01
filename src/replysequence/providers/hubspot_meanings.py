"""What HubSpot's answers mean, those of its API and those of its token endpoint.

Sources, checked 2026-11-22: HubSpot's "Error handling" and "Usage guidelines", its changelog on OAuth and
its OpenAPI files.
"""

import re
from collections.abc import Mapping

from replysequence.domain.errors import (
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ReconnectNeeded,
    Rejected,
    TryLater,
)
from replysequence.providers.answers import json_object, mapping, mappings, word
from replysequence.providers.base import CallbackRefusal, ConsentProblem, TokenRefusal
from replysequence.providers.http import Answer
from replysequence.providers.meanings import Meaning

REQUIRED_SCOPES = ("crm.objects.contacts.read", "crm.objects.contacts.write", "sales-email-read")
"""Creating and reading emails takes the last two together (2026-09 file)."""
OPTIONAL_SCOPES = ("crm.objects.owners.read", "crm.objects.companies.read", "crm.objects.deals.read")
"""Without them an email has no owner, and is on no company and no deal."""

_SCOPE = re.compile(r"[a-z][a-z0-9_.-]{0,79}")
_RATES: Mapping[str, float] = {"SECONDLY": 1, "TEN_SECONDLY_ROLLING": 10, "DAILY": 3600}
"""`policyName` of a 429, and seconds until it is worth another try; HubSpot names none."""

NO_ID = Meaning(
    OutcomeUnknown, "no_id", "HubSpot took it and did not say under which number. It is looked for by itself."
)
_LOCKED = Meaning(
    TryLater, "busy", "HubSpot is busy with the same record. It is tried again by itself.", delay=2
)
_MIGRATING = Meaning(
    TryLater,
    "migrating",
    "HubSpot is moving this account to another data centre, which can take a day. It is tried again by itself.",
    delay=3600,
    pauses_mailbox=True,
)
_INVALID = Meaning(
    Rejected,
    "invalid_entry",
    "HubSpot refused it: a value is not as HubSpot or a rule of your HubSpot account wants it. If your administrator "
    "has made a field required, a new contact has to be made in HubSpot itself.",
)
_BY_STATUS: Mapping[int, Meaning] = {400: _INVALID, 423: _LOCKED, 477: _MIGRATING}

_REFUSALS: Mapping[str, Meaning] = {
    "invalid_grant": Meaning(
        ReconnectNeeded,
        "grant_gone",
        "HubSpot no longer lets ReplySequence in for this account: the app was removed there, or the access has ended. "
        "Connect it again.",
    ),
    "invalid_client": Meaning(
        Misconfigured,
        "client_refused",
        "HubSpot does not take this server's client id and secret. The operator must check HUBSPOT_CLIENT_ID and "
        "HUBSPOT_CLIENT_SECRET. No account was disconnected.",
    ),
}
_REFUSED_OTHERWISE = Meaning(
    Misconfigured,
    "refused",
    "HubSpot refused a request for access in a way that only the operator can mend. No account was disconnected.",
)


def meaning_of(answer: Answer) -> Meaning | None:
    body = json_object(answer)
    if answer.status == 403 and word(body.get("category")) == "MISSING_SCOPES":
        return _scopes_missing(_missing_scopes(body))
    if answer.status == 429:
        delay = _RATES.get(str(body.get("policyName")), 10)
        return Meaning(
            TryLater,
            "rate_limited",
            "HubSpot takes no more calls for this account for now. It is tried again by itself.",
            delay=delay,
            pauses_mailbox=True,
        )
    return _BY_STATUS.get(answer.status)


def _missing_scopes(body: Mapping[str, object]) -> list[str]:
    """The scopes that HubSpot names, wherever it names them."""
    contexts = [mapping(each.get("context")) for each in (body, *mappings(body.get("errors")))]
    named = [
        scope
        for context in contexts
        for name in ("requiredGranularScopes", "missingScopes", "requiredScopes")
        for scope in _texts(context.get(name))
    ]
    return [each for each in dict.fromkeys(named) if _SCOPE.fullmatch(each)]


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _scopes_missing(named: list[str]) -> Meaning:
    """It depends on who can mend it: the person for what we ask for, nobody but the operator for anything else."""
    ours = [each for each in named if each in (*REQUIRED_SCOPES, *OPTIONAL_SCOPES)]
    if ours:
        return Meaning(
            ReconnectNeeded,
            "scope_missing",
            f"HubSpot did not give ReplySequence the permission {', '.join(ours)}. Connect HubSpot again and allow it.",
        )
    return Meaning(
        Rejected,
        "scope_missing",
        "HubSpot wants a permission that ReplySequence does not ask for: "
        f"{', '.join(named) or 'it does not say which'}. Tell who runs this server.",
    )


def refused(refusal: TokenRefusal) -> ProviderError:
    return _REFUSALS.get(refusal.error, _REFUSED_OTHERWISE).as_error(
        status=refusal.status, details={"error": refusal.error}
    )


def turned_back(refusal: CallbackRefusal) -> ConsentProblem:
    if refusal.error == "access_denied":
        return ConsentProblem(
            "access_denied",
            "Nothing was connected, because the access was not granted. Connect again and choose “Connect app” on "
            "HubSpot's page. If it does not let you, ask an administrator of your HubSpot account: installing an app "
            "takes a right of its own.",
        )
    return ConsentProblem(
        "provider_error",
        "HubSpot could not finish connecting the account. Nothing was connected. Please try again in a minute.",
        details={"error": refusal.error},
    )
