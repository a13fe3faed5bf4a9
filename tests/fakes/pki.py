"""Certificates made up for tests: a CA, server certificates for this machine, client pairs. Quick elliptic keys."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A CA that lives in memory."""

    def __init__(self, name: str = "test-ca", *, days: int = 1) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._certificate = self._signed(self._name, self._key.public_key(), days=days, ca=True)
        self.certificate = self._certificate.public_bytes(Encoding.PEM)

    def server(self, *, address: str = "127.0.0.1", name: str = "localhost", days: int = 1) -> Pair:
        """A server certificate for an address and a name."""
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(address))]
        return self._pair(_name(name), days=days, alternatives=names)

    def client(self, user: str, *groups: str, days: int = 1) -> Pair:
        """A client certificate: the common name is the user, organisations are the groups."""
        return self._pair(_name(user, *groups), days=days)

    def _pair(self, subject: x509.Name, *, days: int, alternatives: list[x509.GeneralName] | None = None) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(subject, key.public_key(), days=days, alternatives=alternatives)
        return Pair(certificate.public_bytes(Encoding.PEM), pem_key(key))

    def _signed(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        *,
        days: int,
        ca: bool = False,
        alternatives: list[x509.GeneralName] | None = None,
    ) -> x509.Certificate:
        end = datetime.now(UTC) + timedelta(days=days)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(datetime.now(UTC), end) - timedelta(hours=1))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def pem_key(key: ec.EllipticCurvePrivateKey, *, password: bytes | None = None) -> bytes:
    """A key as PKCS#8 PEM, encrypted if a password is given."""
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def _name(common: str, *organisations: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation) for organisation in organisations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])
