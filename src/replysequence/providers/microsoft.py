"""A person's Microsoft account, at work or personal: how it is connected by OAuth, and who it is.

Sources, checked 2026-11-22: the Microsoft identity platform's pages on the authorization code flow, OpenID
Connect, access tokens, id_token claims, error codes and admin consent.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote, urlencode, urlsplit

from replysequence.domain.errors import ConnectFailed, Misconfigured, ProviderError, ReconnectNeeded, TryLater
from replysequence.domain.secret import Secret
from replysequence.providers.aadsts import EXPLANATIONS, Actor, read_number
from replysequence.providers.accounts import account_address, account_name
from replysequence.providers.base import (
    CallbackRefusal,
    ConsentProblem,
    Identity,
    OAuthSpec,
    TokenRefusal,
    Values,
    Variable,
    VariableKind,
)

PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant of every personal account."""

VARIABLES = (
    Variable("MICROSOFT_CLIENT_ID", "The application (client) id from Microsoft Entra.", needed=True),
    Variable(
        "MICROSOFT_CLIENT_SECRET",
        "The value (not the id) of a client secret of that application.",
        kind=VariableKind.SECRET,
        needed=True,
    ),
    Variable(
        "MICROSOFT_TENANT",
        "Whose accounts may connect: common, organizations, consumers, or the id of one organisation.",
        "common",
    ),
    Variable(
        "MICROSOFT_AUTHORIZE_URL",
        "Microsoft's authorization endpoint; {tenant} stands for MICROSOFT_TENANT.",
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        VariableKind.URL,
    ),
    Variable(
        "MICROSOFT_TOKEN_URL",
        "Microsoft's token endpoint; {tenant} stands for MICROSOFT_TENANT.",
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        VariableKind.URL,
    ),
    Variable(
        "MICROSOFT_JWKS_URL",
        "Microsoft's signing keys.",
        "https://login.microsoftonline.com/common/discovery/v2.0/keys",
        VariableKind.URL,
    ),
    Variable(
        "MICROSOFT_ISSUER",
        "Who signs Microsoft's id_tokens; {tenantid} stands for the organisation of the account.",
        "https://login.microsoftonline.com/{tenantid}/v2.0",
        VariableKind.URL,
    ),
)
"""What every provider that uses Microsoft accounts reads."""

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SIGN_IN = ("openid", "profile", "email", "offline_access")
_AUTHORIZE_PATH = re.compile(r"/[^/]+/oauth2/v2\.0/authorize")

_RECONNECT = frozenset({"invalid_grant", "interaction_required", "login_required", "consent_required"})
"""`error` values of the token endpoint that only the person can mend."""


def oauth_spec(values: Values, *, scope: str, optional: tuple[str, ...] = ()) -> OAuthSpec:
    """The OAuth data of a Microsoft account that grants the Graph permission ``scope`` beside saying who it is, and
    ``optional`` if its owner likes.
    """
    tenant = values["MICROSOFT_TENANT"]
    scopes = (*_SIGN_IN, scope, *optional)
    return OAuthSpec(
        client_id=values["MICROSOFT_CLIENT_ID"],
        client_secret=Secret(values["MICROSOFT_CLIENT_SECRET"]),
        authorize_url=_at_tenant(values["MICROSOFT_AUTHORIZE_URL"], tenant),
        token_url=_at_tenant(values["MICROSOFT_TOKEN_URL"], tenant),
        token_url_for=lambda issuer: _token_url_for(issuer, values=values),
        jwks_url=values["MICROSOFT_JWKS_URL"],
        revoke_url=None,  # there is none; the person removes the consent at `removal_url`
        issuer=_issuer(values["MICROSOFT_ISSUER"], tenant),
        scopes=scopes,
        required_scopes=frozenset({scope}),
        connect_parameters=MappingProxyType({"prompt": "select_account"}),
        reconnect_parameters=MappingProxyType({}),  # login_hint cannot be combined with select_account
        # Always the whole list: without offline_access a refresh brings no refresh token.
        token_parameters=MappingProxyType({"scope": " ".join(scopes)}),
        canonical_scopes=lambda text: canonical_scopes(text, graph_url=values["GRAPH_API_URL"], known=scopes),
        refused=_refused,
        turned_back=_turned_back,
    )


def identity(claims: Mapping[str, object]) -> Identity:
    """The account behind validated claims. Its key is tenant and object id; an address can be anything (nOAuth)."""
    tenant, object_id = str(claims.get("tid", "")).lower(), str(claims.get("oid", "")).lower()
    if not _GUID.fullmatch(tenant) or not _GUID.fullmatch(object_id):
        raise ConnectFailed(
            "Microsoft did not say which account this is. Nothing was connected. Please try again.",
            code="identity_invalid",
        )
    email = account_address(claims.get("email")) or account_address(claims.get("preferred_username"))
    if email is None:
        raise ConnectFailed(
            "Microsoft did not say which address this account has, so mail cannot be sent from it. Ask your "
            "administrator to enter an address for it, or choose another account.",
            code="identity_invalid",
        )
    return Identity(str(claims["iss"]), f"{tenant}.{object_id}", email, account_name(claims.get("name")))


def is_personal(issuer: str) -> bool:
    """Whether accounts of ``issuer`` are personal ones."""
    return PERSONAL_TENANT in issuer


def removal_url(issuer: str) -> str:
    """Where a person takes our access back."""
    return (
        "https://account.live.com/consent/Manage" if is_personal(issuer) else "https://myapps.microsoft.com"
    )


def admin_consent_url(spec: OAuthSpec, *, tenant: str, redirect_uri: str, state: str) -> str | None:
    """The page where an administrator approves us for the organisation; none where it cannot be derived."""
    authorize = urlsplit(spec.authorize_url)
    if not _AUTHORIZE_PATH.fullmatch(authorize.path):
        return None
    asked = (scope for scope in spec.scopes if scope not in _SIGN_IN)
    segment = "organizations" if tenant in ("common", "consumers") else quote(tenant, safe="")
    parameters = {
        "client_id": spec.client_id,
        "scope": " ".join([*(f"https://graph.microsoft.com/{each}" for each in asked), *_SIGN_IN]),
        "redirect_uri": redirect_uri,
        "state": state,
    }
    path = f"/{segment}/v2.0/adminconsent"
    return authorize._replace(path=path, query=urlencode(parameters)).geturl()


def canonical_scopes(text: str, *, graph_url: str, known: tuple[str, ...]) -> frozenset[str]:
    """The scopes in ``text`` by their short names.

    Graph's come bare, as full URLs or mixed, in any case; those of another service keep their prefix.
    """
    graph = urlsplit(graph_url)
    prefixes = ("https://graph.microsoft.com/", f"{graph.scheme}://{graph.netloc}/")
    spelling = {scope.lower(): scope for scope in known}
    found = set()
    for scope in text.split():
        short = next((scope[len(prefix) :] for prefix in prefixes if scope.lower().startswith(prefix)), scope)
        found.add(spelling.get(short.lower(), short))
    return frozenset(found)


def _at_tenant(url: str, tenant: str) -> str:
    return url.replace("{tenant}", quote(tenant, safe=""))


def _token_url_for(issuer: str, *, values: Values) -> str:
    """Refresh tokens of personal accounts were seen to fail at /common and to work at /consumers.

    Softeria/ms-365-mcp-server#522 and #528, checked 2026-11-22.
    """
    return _at_tenant(
        values["MICROSOFT_TOKEN_URL"], "consumers" if is_personal(issuer) else values["MICROSOFT_TENANT"]
    )


def _issuer(template: str, tenant: str) -> str:
    """The issuer that a token must have, as narrow as the tenant allows."""
    fixed = PERSONAL_TENANT if tenant == "consumers" else tenant.lower()
    return template.replace("{tenantid}", fixed) if _GUID.fullmatch(fixed) else template


def _refused(refusal: TokenRefusal) -> ProviderError:
    number = read_number(refusal.description, refusal.body.get("error_codes"))
    known = EXPLANATIONS.get(number) if number else None
    details = {"error": refusal.error} | ({"aadsts": number} if number else {})
    if known and known.actor is Actor.TIME:
        return TryLater(known.message, code="provider_unavailable", status=refusal.status)
    if refusal.error in _RECONNECT:
        message = (
            known.message if known else "Microsoft no longer gives access to this account. Connect it again."
        )
        code = "admin_needed" if known and known.actor is Actor.ADMINISTRATOR else "grant_gone"
        return ReconnectNeeded(message, code=code, status=refusal.status, details=details)
    message = (
        known.message if known else "Microsoft refused our request in a way that only the operator can mend."
    )
    return Misconfigured(
        f"{message} No account was disconnected.",
        code="client_refused",
        status=refusal.status,
        details=details,
    )


def _turned_back(refusal: CallbackRefusal) -> ConsentProblem:
    number = read_number(refusal.description)
    known = EXPLANATIONS.get(number) if number else None
    if not refusal.error and refusal.parameters.get("admin_consent", "").lower() == "true":
        return ConsentProblem(
            "admin_approved",
            "ReplySequence was approved for the organisation. Its people can connect their accounts now.",
            unasked=True,
        )
    details = {"error": refusal.error} | ({"aadsts": number} if number else {})
    if known:
        code = "admin_consent" if known.needs_consent else _consent_code(refusal.error)
        return ConsentProblem(code, known.message, admin_consent=known.needs_consent, details=details)
    if refusal.error == "access_denied":
        return _cancelled(refusal, details)
    return ConsentProblem(
        "provider_error",
        "Microsoft could not finish connecting the account. Nothing was connected. Please try again in a "
        "minute.",
        details=details,
    )


def _consent_code(error: str) -> str:
    return "access_denied" if error == "access_denied" else "provider_error"


def _cancelled(refusal: CallbackRefusal, details: Mapping[str, object]) -> ConsentProblem:
    """A cancel without a number. From the page “Need admin approval” it looks the same as a plain one."""
    if refusal.description:
        message = (
            "You declined on Microsoft's page, so nothing was connected. Connect again and choose “Accept”."
        )
        return ConsentProblem("access_denied", message, details=details)
    return ConsentProblem(
        "access_denied",
        "Nothing was connected. Either you cancelled on Microsoft's page, then simply connect again; or the "
        "page said "
        "that an administrator has to approve, then send yours the link.",
        admin_consent=True,
        details=details,
    )
