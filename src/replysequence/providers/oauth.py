"""OAuth 2.0, once for every provider: authorization code with PKCE S256, `state` and `nonce`, always.

RFC 6749, RFC 7636, RFC 9207 and OpenID Connect Core; what differs between providers is an `OAuthSpec`.
"""

import base64
import hashlib
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus, urlencode

from replysequence.domain.errors import ConnectFailed, TryLater
from replysequence.domain.secret import Secret
from replysequence.providers.answers import json_object, retry_delay, word
from replysequence.providers.base import CallbackRefusal, ClientProof, OAuthSpec, TokenRefusal, Tokens
from replysequence.providers.http import Answer, Deadlines, ExchangeFailed, HttpClient
from replysequence.providers.id_token import issuer_pattern, validate

DEADLINES = Deadlines(connect=10, write=10, read=15, total=20)
"""Shorter than the lease under which one process refreshes for all."""
MAX_ANSWER = 128 * 1024
"""Bytes of a token answer; real ones have less than ten thousand."""
_SECRETS = frozenset({"access_token", "refresh_token", "id_token"})
LONGEST_LIFETIME = 86_400 * 366

TRANSIENT = frozenset({"temporarily_unavailable", "server_error", "internal_failure", "slow_down"})
"""`error` values that say "later" (RFC 6749 §4.1.2.1; google-auth 2.62 retries the same)."""


@dataclass(frozen=True, slots=True)
class Callback:
    """What came back on the redirect URI: for which attempt (`state`), and a code, or why there is none."""

    state: str
    answer: Secret | CallbackRefusal


def new_pkce() -> tuple[Secret, str]:
    """A fresh verifier of 256 random bits and its S256 challenge (RFC 7636 §4)."""
    verifier = secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    return Secret(verifier), base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorization_url(
    spec: OAuthSpec,
    *,
    redirect_uri: str,
    state: str,
    nonce: str,
    challenge: str,
    login_hint: str | None = None,
    reconnect: bool = False,
) -> str:
    """Where to send the browser. With `reconnect`, `login_hint` is the address of the account that is to be
    chosen again.
    """
    parameters = {
        **(spec.reconnect_parameters if reconnect else spec.connect_parameters),
        **({"login_hint": login_hint} if login_hint else {}),
        "client_id": spec.client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        **({"scope": " ".join(spec.scopes)} if spec.names_scopes else {}),
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    separator = "&" if "?" in spec.authorize_url else "?"
    # A space as %20, which everybody reads: HubSpot's own client joins scopes so (checked 2026-11-22).
    return f"{spec.authorize_url}{separator}{urlencode(parameters, quote_via=quote)}"


def read_callback(spec: OAuthSpec, parameters: Sequence[tuple[str, str]]) -> Callback:
    """Read the query of the redirect URI: unknown parameters are passed over, repeated ones refused (RFC 6749
    §3.1).

    Raises :class:`ConnectFailed`: `provider_error`, `state_unknown` when there is no `state`, and
    `wrong_issuer` when an `iss` was sent and is not the provider's (RFC 9207 §2.4).
    """
    if any(count > 1 for count in Counter(name for name, _ in parameters).values()):
        raise ConnectFailed(
            "The provider's answer holds something twice, so none of it was used. Please connect again.",
            code="provider_error",
        )
    given = dict(parameters)
    if not given.get("state"):
        raise ConnectFailed(
            "This answer belongs to no attempt to connect. Please start again under Settings → Integrations.",
            code="state_unknown",
        )
    if "iss" in given and not issuer_pattern(spec.issuer).fullmatch(given["iss"]):
        raise ConnectFailed(
            "The answer came from another provider than the one you chose. Nothing was connected. Try again.",
            code="wrong_issuer",
        )
    code = given.get("code")
    if code and "error" not in given:
        return Callback(given["state"], Secret(code))
    refusal = CallbackRefusal(word(given.get("error")), given.get("error_description", ""), given)
    return Callback(given["state"], refusal)


async def exchange_code(
    spec: OAuthSpec,
    http: HttpClient,
    *,
    code: Secret,
    verifier: Secret,
    redirect_uri: str,
    nonce: str,
    now: datetime,
) -> Tokens:
    """Redeem `code`, and validate the id_token that comes with it (its claims are in the answer).

    `redirect_uri` is the one of the authorization request; `now` is aware UTC. Raises :class:`TryLater`,
    :class:`ConnectFailed`, or what the provider makes of a refusal. None of them holds a secret.
    """
    fields = {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect_uri,
        "code_verifier": verifier.reveal(),
    }
    answer = await _ask_for_tokens(spec, http, spec.token_url, fields)
    return _read_tokens(answer, spec, await _claims(answer, spec, http, nonce=nonce, now=now))


async def refresh(spec: OAuthSpec, http: HttpClient, *, refresh_token: Secret, issuer: str) -> Tokens:
    """A fresh access token for an account of `issuer`. Store a refresh token that comes with it at once.

    Raises :class:`TryLater`, or what the provider makes of a refusal. None of them holds a secret.
    """
    url = spec.token_url_for(issuer) if spec.token_url_for else spec.token_url
    fields = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
    return _read_tokens(await _ask_for_tokens(spec, http, url, fields), spec, None)


async def revoke(spec: OAuthSpec, http: HttpClient, *, token: Secret) -> bool:
    """Revoke the grant behind `token` (RFC 7009), best a refresh token. Whether it is certainly gone.

    A token already dead counts as gone. Never raises: without an answer it is not certain.
    """
    if spec.revoke_url is None:
        return False
    fields, headers = _proof(spec) if spec.revoking_takes_proof else ({}, {})
    try:
        answer = await _post(http, spec.revoke_url, {"token": token.reveal(), **fields}, headers=headers)
    except ExchangeFailed:
        return False
    return answer.status in (200, 204) or (
        answer.status == 400 and json_object(answer).get("error") == "invalid_token"
    )


async def _claims(
    answer: Mapping[str, object], spec: OAuthSpec, http: HttpClient, *, nonce: str, now: datetime
) -> Mapping[str, object] | None:
    if "openid" not in spec.scopes:
        return None  # an id_token that nobody asked for proves nothing (HubSpot's answers may have one)
    id_token = answer.get("id_token")
    if isinstance(id_token, str) and id_token:
        return await validate(id_token, spec=spec, http=http, nonce=nonce, now=now)
    raise ConnectFailed(
        "The provider did not say who signed in. Nothing was connected. Please try again.",
        code="identity_invalid",
    )


async def _ask_for_tokens(
    spec: OAuthSpec, http: HttpClient, url: str, fields: Mapping[str, str]
) -> Mapping[str, object]:
    credentials, headers = _proof(spec)
    try:
        answer = await _post(http, url, {**spec.token_parameters, **fields, **credentials}, headers=headers)
    except ExchangeFailed as failure:
        reason = failure.reason
    else:
        return _accepted(answer, spec)
    raise TryLater(f"The provider could not be asked for access: {reason}.", code="not_reached")


def _proof(spec: OAuthSpec) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The fields and headers by which the provider knows that it is us (RFC 6749 §2.3.1)."""
    secret = spec.client_secret.reveal()
    if spec.client_proof is ClientProof.BODY:
        return {"client_id": spec.client_id, "client_secret": secret}, {}
    pair = f"{quote_plus(spec.client_id)}:{quote_plus(secret)}".encode()
    return {}, {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


async def _post(
    http: HttpClient, url: str, fields: Mapping[str, str], *, headers: Mapping[str, str]
) -> Answer:
    form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    body = urlencode(fields).encode()
    return await http.request(
        "POST", url, headers={**form, **headers}, body=body, deadlines=DEADLINES, max_body=MAX_ANSWER
    )


def _accepted(answer: Answer, spec: OAuthSpec) -> Mapping[str, object]:
    """The body of a success. Anything that is neither that nor a refusal by the protocol is taken for a
    passing fault.
    """
    body = json_object(answer)
    token = body.get("access_token")
    if answer.status == 200 and isinstance(token, str) and token:
        return body
    refusal = _refusal(answer, body)
    if refusal is not None:
        raise spec.refused(refusal)
    raise TryLater(
        f"The provider did not give access just now (status {answer.status}). It will be tried again.",
        code="provider_unavailable",
        delay=retry_delay(answer.headers, now=datetime.now(UTC)),
        status=answer.status,
    )


def _refusal(answer: Answer, body: Mapping[str, object]) -> TokenRefusal | None:
    error, description = word(body.get("error")), body.get("error_description")
    description = description if isinstance(description, str) else ""
    passing = answer.status in (408, 425, 429) or not 400 <= answer.status < 500
    if passing or not error or TRANSIENT.intersection((error, description)):
        return None
    return TokenRefusal(answer.status, error, description, body)


def _read_tokens(
    answer: Mapping[str, object], spec: OAuthSpec, claims: Mapping[str, object] | None
) -> Tokens:
    refresh_token = answer.get("refresh_token")
    api_url = answer.get(spec.api_url_field) if spec.api_url_field else None
    return Tokens(
        access_token=Secret(str(answer["access_token"])),
        expires_in=_seconds(answer.get("expires_in")) or spec.lifetime,
        refresh_token=Secret(refresh_token) if isinstance(refresh_token, str) and refresh_token else None,
        refresh_token_expires_in=_seconds(answer.get("refresh_token_expires_in")),
        scopes=spec.canonical_scopes(_granted(answer, spec)),
        claims=claims,
        told={name: value for name, value in answer.items() if name not in _SECRETS},
        api_url=api_url if isinstance(api_url, str) else None,
    )


def _granted(answer: Mapping[str, object], spec: OAuthSpec) -> str:
    """What was granted: `scope` as a text, or `scopes` as a list of texts (HubSpot, checked 2026-11-22). Neither means
    "as asked" (RFC 6749 §5.1).
    """
    scope, scopes = answer.get("scope"), answer.get("scopes")
    if isinstance(scope, str):
        return scope
    if isinstance(scopes, list):
        return " ".join(each for each in scopes if isinstance(each, str))
    return " ".join(spec.scopes)


def _seconds(value: object) -> int | None:
    """A lifetime as a number or as text; none when it is neither, or not positive."""
    if isinstance(value, str) and len(value) <= 15:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= LONGEST_LIFETIME:
        return None
    return int(value)
