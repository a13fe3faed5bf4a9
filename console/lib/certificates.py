"""Reading of certificates and keys that people paste: what they are, whether they belong together, when they end.

With `console.lib.crypto` the only door to `cryptography`. Nothing here touches a file or checks a chain: that is the
TLS library's work at connect time; these checks exist so that a mistake is named at the form and not met later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from console.lib.errors import BadInput, clip

LARGEST_BUNDLE = 512 * 1024
_MOST_CERTIFICATES = 400


@dataclass(frozen=True)
class CertificateFacts:
    """What a person wants to know about one certificate. Times are UTC."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    is_ca: bool

    def is_expired(self, now: datetime | None = None) -> bool:
        """Whether its time is over."""
        return self.not_after <= (now or datetime.now(UTC))


def read_bundle(pem: str | bytes, *, field: str = "certificate") -> list[CertificateFacts]:
    """The certificates of a PEM bundle, in order.

    Raises: BadInput (not PEM, no certificate, a private key among them, too large).
    """
    with _damage_named(field):
        return [_facts(certificate) for certificate in _certificates(pem, field)]


def read_pair(certificate_pem: str | bytes, key_pem: str | bytes, *, field: str = "certificate") -> CertificateFacts:
    """Facts about a client certificate (the first of its chain), after checking that the key belongs to it.

    Raises: BadInput (unreadable, encrypted key, key of another certificate).
    """
    with _damage_named(field):
        leaf = _certificates(certificate_pem, field)[0]
        facts, public = _facts(leaf), _public_bytes(leaf)
    if public != _public_half(key_pem, field):
        raise BadInput(
            "The client key does not belong to the client certificate.",
            field=field,
            remedy="Copy both from the same kubeconfig user.",
        )
    return facts


@contextmanager
def _damage_named(field: str) -> Iterator[None]:
    """cryptography reads lazily and raises half a dozen unrelated classes for damage; to a person all are the same."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            "One of the certificates is damaged and cannot be read.", field=field, remedy="Copy it again, as a whole."
        ) from error


def _certificates(pem: str | bytes, field: str) -> Sequence[x509.Certificate]:
    data = pem.encode() if isinstance(pem, str) else pem
    if len(data) > LARGEST_BUNDLE:
        raise BadInput(f"The certificates are larger than {LARGEST_BUNDLE // 1024} KiB.", field=field)
    if b"PRIVATE KEY-----" in data:
        raise BadInput(
            "There is a private key among the certificates.", field=field, remedy="Paste the certificates alone."
        )
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise BadInput(
            "This is not a certificate in PEM form.",
            field=field,
            remedy="A PEM certificate starts with “-----BEGIN CERTIFICATE-----”.",
        )
    if data.count(b"-----BEGIN CERTIFICATE-----") > _MOST_CERTIFICATES:
        raise BadInput(f"There are more than {_MOST_CERTIFICATES} certificates.", field=field)
    return x509.load_pem_x509_certificates(data)


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    return CertificateFacts(
        subject=_name(certificate, "subject"),
        issuer=_name(certificate, "issuer"),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        is_ca=_is_ca(certificate),
    )


def _name(certificate: x509.Certificate, which: str) -> str:
    """The distinguished name, for display only: an odd one does not make the certificate useless."""
    try:
        name: x509.Name = getattr(certificate, which)
        return clip(name.rfc4514_string(), 200)
    except (ValueError, TypeError):
        return "(unreadable name)"


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _public_bytes(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public_half(key_pem: str | bytes, field: str) -> bytes:
    data = key_pem.encode() if isinstance(key_pem, str) else key_pem
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as error:
        raise BadInput(
            "The client key is protected by a passphrase.", field=field, remedy="Use an unencrypted key."
        ) from error
    except Exception as error:
        raise BadInput("The client key cannot be read.", field=field, remedy="Copy it again, as a whole.") from error
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
