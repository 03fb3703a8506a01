"""An OpenID provider's keys and tokens, made up by a test: true ones and forged ones."""

import base64
import functools
import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

TENANT = "5c1f0a3e-7d42-4b6a-9a55-2f6d1e9b7c30"
OBJECT_ID = "6f0d7a52-38c1-4f4e-9f0b-0d7c2f1b8a11"


@functools.cache
def private_key(kid: str, *, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The RSA key of that name; making one takes a tenth of a second."""
    del kid
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def public_jwk(kid: str, *, bits: int = 2048, **changes: Any) -> dict[str, Any]:
    """The public half as a provider publishes it."""
    numbers = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_key(kid, bits=bits).public_key()))
    published = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": numbers["n"], "e": numbers["e"]}
    return {name: value for name, value in (published | changes).items() if value is not None}


def key_set(*jwks: Mapping[str, Any]) -> dict[str, Any]:
    """A JWK set of these keys."""
    return {"keys": list(jwks)}


def signed(claims: Mapping[str, Any], *, kid: str = "key-1", bits: int = 2048, **header: Any) -> str:
    """`claims` as a compact JWS, signed with RS256."""
    return jwt.encode(
        dict(claims), private_key(kid, bits=bits), algorithm="RS256", headers={"kid": kid} | header
    )


def segment(value: Any) -> str:
    """One part of a compact JWS."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def alices_claims(*, issuer: str, client_id: str, nonce: str, now: float, **changes: Any) -> dict[str, Any]:
    """What any provider's id_token says of Alice; a change to None takes the claim away."""
    claims = {
        "iss": issuer,
        "aud": client_id,
        "sub": "alice-subject",
        "tid": TENANT,
        "oid": OBJECT_ID,
        "email": "alice@acme.example",
        "email_verified": True,
        "name": "Alice",
        "nonce": nonce,
        "iat": int(now),
        "exp": int(now) + 3600,
    }
    return {name: value for name, value in (claims | changes).items() if value is not None}
