"""Certificates for test servers on this machine, made anew for each run."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)

Kind = Literal["good", "untrusted", "other name", "expired"]


@dataclass(frozen=True)
class Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@cache
def authority(name: str = "Trusted by the tests") -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        _begin(subject, subject, key.public_key(), signer=key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
    )
    return Authority(key, certificate.sign(key, hashes.SHA256()))


def trusting() -> ssl.SSLContext:
    """A client's context that trusts the tests' authority and nobody else."""
    return ssl.create_default_context(cadata=authority().pem.decode())


@cache
def serving(kind: Kind = "good") -> ssl.SSLContext:
    """A server's context for 127.0.0.1, or one that a client must refuse."""
    issuer = authority("Trusted by nobody") if kind == "untrusted" else authority()
    key = ec.generate_private_key(ec.SECP256R1())
    name = (
        x509.DNSName("charlie.invalid") if kind == "other name" else x509.IPAddress(ip_address("127.0.0.1"))
    )
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test server")])
    certificate = (
        _begin(
            subject,
            issuer.certificate.subject,
            key.public_key(),
            signer=issuer.key.public_key(),
            expired=kind == "expired",
        )
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "server.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context.load_cert_chain(path)
    return context


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    *,
    signer: ec.EllipticCurvePublicKey,
    expired: bool = False,
) -> x509.CertificateBuilder:
    end = datetime.now(UTC) + timedelta(days=-1 if expired else 1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=2))
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )
