"""A person's Google account: how it is connected by OAuth, and who it is.

Sources, checked 2026-11-22: Google's web-server OAuth guide, OpenID Connect guide and granular-permissions
guide.
"""

from collections.abc import Mapping
from types import MappingProxyType

from replysequence.domain.errors import ConnectFailed, Misconfigured, ProviderError, ReconnectNeeded
from replysequence.domain.secret import Secret
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
from replysequence.providers.meanings import Meaning

REMOVAL_URL = "https://myaccount.google.com/permissions"
"""Where a person sees and removes the apps that have access."""

VARIABLES = (
    Variable("GOOGLE_CLIENT_ID", "The client id from the Google Cloud console.", needed=True),
    Variable("GOOGLE_CLIENT_SECRET", "The secret of that client.", kind=VariableKind.SECRET, needed=True),
    Variable(
        "GOOGLE_AUTHORIZE_URL",
        "Google's authorization endpoint.",
        "https://accounts.google.com/o/oauth2/v2/auth",
        VariableKind.URL,
    ),
    Variable(
        "GOOGLE_TOKEN_URL",
        "Google's token endpoint.",
        "https://oauth2.googleapis.com/token",
        VariableKind.URL,
    ),
    Variable(
        "GOOGLE_REVOKE_URL",
        "Google's revocation endpoint.",
        "https://oauth2.googleapis.com/revoke",
        VariableKind.URL,
    ),
    Variable(
        "GOOGLE_JWKS_URL",
        "Google's signing keys.",
        "https://www.googleapis.com/oauth2/v3/certs",
        VariableKind.URL,
    ),
    Variable(
        "GOOGLE_ISSUER", "Who signs Google's id_tokens.", "https://accounts.google.com", VariableKind.URL
    ),
)
"""What every provider that uses Google accounts reads."""

_CANONICAL = {
    "email": "https://www.googleapis.com/auth/userinfo.email",
    "profile": "https://www.googleapis.com/auth/userinfo.profile",
}
_OFFLINE = MappingProxyType({"access_type": "offline", "prompt": "consent"})
"""Without a consent screen in this very run Google gives no refresh token."""

_REFUSALS: Mapping[str, Meaning] = {
    "invalid_grant": Meaning(
        ReconnectNeeded,
        "grant_gone",
        "Google no longer lets ReplySequence send for this account: the access was removed or has expired, "
        "or the password was changed. Connect it again.",
    ),
    "admin_policy_enforced": Meaning(
        ReconnectNeeded,
        "blocked_by_admin",
        "The administrator of this Google Workspace does not allow ReplySequence. Ask them to trust the app, "
        "then "
        "connect the account again.",
    ),
    "access_denied": Meaning(
        ReconnectNeeded,
        "account_restricted",
        "Google has restricted this account. Sign in to Google and follow its instructions. Then connect it "
        "again.",
    ),
    "unauthorized_client": Meaning(
        ReconnectNeeded,
        "other_client",
        "This account was connected with another registration of ReplySequence at Google. Connect it again.",
    ),
    "invalid_client": Meaning(
        Misconfigured,
        "client_refused",
        "Google does not take this server's client id and secret. The operator must check GOOGLE_CLIENT_ID "
        "and "
        "GOOGLE_CLIENT_SECRET. No account was disconnected.",
    ),
    "deleted_client": Meaning(
        Misconfigured,
        "client_deleted",
        "This server's registration at Google was deleted. The operator can restore it in the Google Cloud "
        "console "
        "for about 30 days. No account was disconnected.",
    ),
    "redirect_uri_mismatch": Meaning(
        Misconfigured,
        "redirect_uri_mismatch",
        "Google does not know this server's redirect URI. The operator must register it exactly as "
        "PUBLIC_URL has it.",
    ),
}
_REFUSED_OTHERWISE = Meaning(
    Misconfigured,
    "refused",
    "Google refused a request for access in a way that only the operator can mend. No account was "
    "disconnected.",
)


def oauth_spec(values: Values, *, scope: str, optional: tuple[str, ...] = ()) -> OAuthSpec:
    """The OAuth data of a Google account that grants ``scope`` beside saying who it is, and ``optional`` if its owner
    likes.
    """
    issuer = values["GOOGLE_ISSUER"]
    return OAuthSpec(
        client_id=values["GOOGLE_CLIENT_ID"],
        client_secret=Secret(values["GOOGLE_CLIENT_SECRET"]),
        authorize_url=values["GOOGLE_AUTHORIZE_URL"],
        token_url=values["GOOGLE_TOKEN_URL"],
        jwks_url=values["GOOGLE_JWKS_URL"],
        revoke_url=values["GOOGLE_REVOKE_URL"],
        issuer=issuer,
        other_issuers=(issuer.removeprefix("https://"),),
        scopes=("openid", "email", "profile", scope, *optional),
        required_scopes=frozenset({scope}),
        connect_parameters=_OFFLINE,
        reconnect_parameters=_OFFLINE,
        canonical_scopes=canonical_scopes,
        refused=_refused,
        turned_back=_turned_back,
    )


def identity(claims: Mapping[str, object], *, issuer: str) -> Identity:
    """The account behind validated claims; ``issuer`` is the one spelling of Google that is stored."""
    if claims.get("email_verified") is False:
        raise ConnectFailed(
            "Google has not verified the address of this account, so mail cannot leave from it. Verify it at "
            "Google, or choose another account.",
            code="identity_invalid",
        )
    email = account_address(claims.get("email"))
    if email is None:
        raise ConnectFailed(
            "Google did not say which address this account has. Connect again and allow it to be seen.",
            code="identity_invalid",
        )
    return Identity(issuer, str(claims["sub"]), email, account_name(claims.get("name")))


def canonical_scopes(text: str) -> frozenset[str]:
    """The scopes in ``text`` as Google's token endpoint names them, whichever way they were asked for."""
    return frozenset(_CANONICAL.get(scope, scope) for scope in text.split())


def _refused(refusal: TokenRefusal) -> ProviderError:
    return _REFUSALS.get(refusal.error, _REFUSED_OTHERWISE).as_error(
        status=refusal.status, details={"error": refusal.error}
    )


def _turned_back(refusal: CallbackRefusal) -> ConsentProblem:
    if refusal.error == "access_denied":
        return ConsentProblem(
            "access_denied",
            "Nothing was connected, because the access was not granted. Connect again and choose “Continue” "
            "on Google's "
            "page. If you did not cancel, your administrator may not allow it.",
        )
    return ConsentProblem(
        "provider_error",
        "Google could not finish connecting the account. Nothing was connected. Please try again in a "
        "minute.",
        details={"error": refusal.error},
    )
