"""Validation of id_tokens (OpenID Connect Core §3.1.3.7). The one user of PyJWT.

Google and Microsoft sign with RS256 and publish their keys as a JWK set, to be kept for as long as
`Cache-Control` says and fetched again for an unknown `kid` (Google OpenID Connect guide, Microsoft
access-token reference, checked 2026-11-22).
"""

import asyncio
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeGuard
from weakref import WeakKeyDictionary

import jwt

from replysequence.domain.errors import ConnectFailed, TryLater
from replysequence.providers.answers import json_object, mappings
from replysequence.providers.base import OAuthSpec
from replysequence.providers.http import Deadlines, ExchangeFailed, HttpClient

ALGORITHM = "RS256"
LEEWAY = 120
"""Seconds that our clock and the provider's may differ."""
MAX_TOKEN = 16 * 1024
"""Characters of an id_token; real ones have one or two thousand."""
MAX_KEY_SET = 256 * 1024
"""Bytes of a JWK set; real ones have two to twenty thousand."""
SHORTEST_KEY = 2048
"""Bits of an RSA modulus (RFC 7518 §3.3)."""

_DEADLINES = Deadlines(connect=10, write=10, read=10, total=20)
_FRESH_AT_LEAST, _FRESH_AT_MOST, _FRESH_USUALLY = 300, 86_400, 3_600
_REFETCH_EVERY = 60
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,;])", re.IGNORECASE)
_TENANT = "{tenantid}"


@dataclass(frozen=True, slots=True)
class Key:
    """A public signing key; ``issuer`` is its own claim of whose tokens it signs (Microsoft), none without one."""

    jwk: jwt.PyJWK = field(repr=False)
    issuer: str | None


@dataclass(slots=True)
class _KeySet:
    keys: Mapping[str, Key] = field(default_factory=dict)
    fresh_until: float = float("-inf")
    fetched_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Keys:
    """The providers' signing keys, each set fetched when needed and kept for as long as its provider says."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sets: dict[str, _KeySet] = {}

    async def find(self, http: HttpClient, url: str, kid: str) -> Key | None:
        """The key ``kid`` of the set at ``url``, or none.

        An unknown ``kid`` fetches the set again, at most once a minute. Raises :class:`TryLater` when it
        cannot be had.
        """
        key_set = self._sets.setdefault(url, _KeySet())
        async with key_set.lock:
            now = self._clock()
            unknown = kid not in key_set.keys and now >= key_set.fetched_at + _REFETCH_EVERY
            if unknown or now >= key_set.fresh_until:
                key_set.keys, lifetime = await _fetch(http, url)
                key_set.fetched_at = now
                key_set.fresh_until = now + lifetime
        return key_set.keys.get(kid)


_keys: WeakKeyDictionary[HttpClient, Keys] = WeakKeyDictionary()
"""The keys that were fetched through each client."""


async def validate(
    token: str, *, spec: OAuthSpec, http: HttpClient, nonce: str, now: datetime
) -> Mapping[str, object]:
    """The claims of ``token``, once everything about it is proved.

    ``now`` is aware UTC. Raises :class:`ConnectFailed` (``identity_invalid`` or ``wrong_issuer``) for a token
    that proves nothing, :class:`TryLater` when the provider's keys cannot be had.
    """
    key = await _keys.setdefault(http, Keys()).find(http, spec.jwks_url, _key_id(token))
    if key is None:
        raise _invalid("it was signed with a key that the provider does not publish")
    claims = _verified(token, key)
    _check_audience(claims, client_id=spec.client_id)
    _check_times(claims, now=now.timestamp())
    if not _same(claims.get("nonce"), nonce):
        raise _invalid("it answers another request than ours")
    if not _issuer_fits(claims, key, spec):
        raise ConnectFailed(
            "The answer came from another provider than the one you chose. Nothing was connected. Try again.",
            code="wrong_issuer",
        )
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise _invalid("it does not say who signed in")
    return claims


def issuer_pattern(issuer: str) -> re.Pattern[str]:
    """What ``issuer`` allows: itself, with any GUID in place of ``{tenantid}``."""
    return re.compile(
        re.escape(issuer).replace(re.escape(_TENANT), "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    )


def _key_id(token: str) -> str:
    if len(token) > MAX_TOKEN:
        raise _invalid("it is too large")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        header = {}
    kid = header.get("kid")
    if header.get("alg") != ALGORITHM or not isinstance(kid, str) or not kid or "crit" in header:
        raise _invalid("it is not signed in the agreed way")
    return kid


def _verified(token: str, key: Key) -> Mapping[str, object]:
    try:
        payload = jwt.PyJWS(algorithms=[ALGORITHM]).decode(token, key.jwk, algorithms=[ALGORITHM])
        claims = json.loads(payload)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise _invalid("its signature is wrong")
    return claims


def _check_audience(claims: Mapping[str, object], *, client_id: str) -> None:
    if claims.get("aud") not in (client_id, [client_id]) or claims.get("azp", client_id) != client_id:
        raise _invalid("it was made for another application")


def _check_times(claims: Mapping[str, object], *, now: float) -> None:
    expires, not_before, issued = claims.get("exp"), claims.get("nbf", 0), claims.get("iat")
    if not _is_time(expires) or not _is_time(not_before) or not _is_time(issued):
        raise _invalid("it does not say when it is valid")
    if now >= expires + LEEWAY:
        raise _invalid("it has expired; check the clock of this server")
    if now < max(not_before, issued) - LEEWAY:
        raise _invalid("it is not valid yet; check the clock of this server")


def _is_time(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53


def _same(given: object, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def _issuer_fits(claims: Mapping[str, object], key: Key, spec: OAuthSpec) -> bool:
    """Whether `iss` is the provider's, made for this token's tenant, and the key signs for it (Microsoft,
    checked 2026-11-22).
    """
    issuer, tenant = claims.get("iss"), claims.get("tid", "")
    if not isinstance(issuer, str) or not isinstance(tenant, str):
        return False
    allowed = (spec.issuer, *spec.other_issuers)
    fits = any(
        issuer == each.replace(_TENANT, tenant) and issuer_pattern(each).fullmatch(issuer) for each in allowed
    )
    return fits and (key.issuer is None or issuer == key.issuer.replace(_TENANT, tenant))


async def _fetch(http: HttpClient, url: str) -> tuple[Mapping[str, Key], int]:
    headers = {"Accept": "application/json"}
    try:
        answer = await http.request("GET", url, headers=headers, deadlines=_DEADLINES, max_body=MAX_KEY_SET)
    except ExchangeFailed:
        answer = None
    keys = _read_keys(json_object(answer)) if answer and answer.status == 200 else {}
    if not answer or not keys:
        raise TryLater(
            "The provider's signing keys could not be fetched. Nothing was connected. Try again in a minute.",
            code="no_keys",
        )
    return keys, _lifetime(answer.headers.get("cache-control", ""))


def _read_keys(key_set: Mapping[str, object]) -> Mapping[str, Key]:
    """The RSA signing keys of a JWK set by `kid`; entries that are anything else are passed over (RFC 7517 §5)."""
    found = {}
    for entry in mappings(key_set.get("keys")):
        kid, issuer = entry.get("kid"), entry.get("issuer")
        if (
            isinstance(kid, str)
            and entry.get("kty") == "RSA"
            and entry.get("use", "sig") == "sig"
            and entry.get("alg", ALGORITHM) == ALGORITHM
        ):
            jwk = _read_key(entry)
            if jwk is not None:
                found[kid] = Key(jwk, issuer if isinstance(issuer, str) else None)
    return found


def _read_key(entry: Mapping[str, object]) -> jwt.PyJWK | None:
    try:
        jwk = jwt.PyJWK(dict(entry), algorithm=ALGORITHM)
        return jwk if jwk.key.key_size >= SHORTEST_KEY and not hasattr(jwk.key, "private_numbers") else None
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None


def _lifetime(cache_control: str) -> int:
    found = _MAX_AGE.search(cache_control)
    return min(max(int(found[1]), _FRESH_AT_LEAST), _FRESH_AT_MOST) if found else _FRESH_USUALLY


def _invalid(reason: str) -> ConnectFailed:
    return ConnectFailed(
        f"The provider's proof of who signed in was refused: {reason}. Nothing was connected. Try again.",
        code="identity_invalid",
    )
