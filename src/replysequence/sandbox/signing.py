"""RSA keys and signed tokens of an OpenID provider (RFC 7515, RFC 7517)."""

import base64
import functools
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


@functools.cache
def _private_key(kid: str) -> rsa.RSAPrivateKey:  # noqa: ARG001  # the id is the key of the cache
    """One key per id and process: making one takes a tenth of a second, and tests start many sandboxes."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class SigningKey:
    """An RS256 key with its id."""

    def __init__(self, kid: str) -> None:
        self.kid = kid

    def jwk(self) -> dict[str, Any]:
        """The public half as a JSON Web Key."""
        public = _private_key(self.kid).public_key()
        numbers = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public))
        return {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": self.kid,
            "n": numbers["n"],
            "e": numbers["e"],
        }

    def certificate(self) -> x509.Certificate:
        """A self-signed X.509 certificate of the public half, valid for a year."""
        key = _private_key(self.kid)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox.example")])
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(int.from_bytes(hashlib.sha256(self.kid.encode()).digest()[:8], "big"))
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=365))
            .sign(key, hashes.SHA256())
        )

    def certificate_pem(self) -> str:
        """`certificate()` in PEM."""
        return self.certificate().public_bytes(serialization.Encoding.PEM).decode()

    def certificate_der_base64(self) -> str:
        """`certificate()` in base64 DER, as in the `x5c` member of a JWK."""
        return base64.b64encode(self.certificate().public_bytes(serialization.Encoding.DER)).decode()

    def sign(self, claims: dict[str, Any]) -> str:
        """`claims` as a compact JWS."""
        return jwt.encode(claims, _private_key(self.kid), algorithm="RS256", headers={"kid": self.kid})


def half_hash(value: str) -> str:
    """The `at_hash` of an access token: left half of its SHA-256 (OpenID Connect Core §3.1.3.6)."""
    return base64.urlsafe_b64encode(hashlib.sha256(value.encode()).digest()[:16]).rstrip(b"=").decode()
