"""Certificates that people paste."""

from __future__ import annotations

import random
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from console.lib.certificates import LARGEST_BUNDLE, read_bundle, read_pair
from console.lib.errors import BadInput
from tests.fakes.pki import Authority, pem_key


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("minio-ca", days=10)


def test_a_bundle_is_read_in_order(authority: Authority) -> None:
    server = authority.server(name="minio.example")
    ca, leaf = read_bundle(authority.certificate + b"\n# a remark\n" + server.certificate)
    assert (ca.subject, ca.issuer, ca.is_ca) == ("CN=minio-ca", "CN=minio-ca", True)
    assert (leaf.subject, leaf.issuer, leaf.is_ca) == ("CN=minio.example", "CN=minio-ca", False)
    assert timedelta(days=9) < ca.not_after - datetime.now(UTC) < timedelta(days=11)
    assert not ca.is_expired()
    assert ca.is_expired(datetime.now(UTC) + timedelta(days=11))


def test_text_and_bytes_are_the_same(authority: Authority) -> None:
    assert read_bundle(authority.certificate.decode()) == read_bundle(authority.certificate)


@pytest.mark.parametrize(
    ("pem", "word"),
    [
        ("", "not a certificate"),
        ("hello", "not a certificate"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "damaged"),
        ("-----BEGIN CERTIFICATE-----", "damaged"),
        ("x" * (LARGEST_BUNDLE + 1), "larger than 512 KiB"),
        ("-----BEGIN CERTIFICATE-----\n" * 401, "more than 400"),
    ],
)
def test_what_is_no_bundle(pem: str, word: str) -> None:
    with pytest.raises(BadInput, match=word) as raised:
        read_bundle(pem, field="ca_certificate")
    assert raised.value.field == "ca_certificate"


def test_a_private_key_does_not_belong_there(authority: Authority) -> None:
    server = authority.server()
    with pytest.raises(BadInput, match="private key"):
        read_bundle(server.certificate + server.key)


@pytest.mark.slow
def test_damage_of_any_kind_is_bad_input(authority: Authority) -> None:
    pair = authority.client("ops")
    der = ssl.PEM_cert_to_DER_cert(pair.certificate.decode())
    dice = random.Random(7)
    refused = 0
    for _ in range(3000):
        damaged = bytearray(der)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        pem = ssl.DER_cert_to_PEM_cert(bytes(damaged))
        for read in (lambda pem=pem: read_bundle(pem), lambda pem=pem: read_pair(pem, pair.key)):
            try:
                read()
            except BadInput:
                refused += 1
    assert refused > 3000


def test_a_pair(authority: Authority) -> None:
    pair = authority.client("ops", "team")
    assert read_pair(pair.certificate, pair.key).subject == "CN=ops,O=team"


def test_a_pair_with_its_chain(authority: Authority) -> None:
    pair = authority.client("ops")
    assert read_pair(pair.certificate + authority.certificate, pair.key).subject == "CN=ops"


def test_no_pair(authority: Authority) -> None:
    pair, other = authority.client("ops"), authority.client("other")
    encrypted = pem_key(ec.generate_private_key(ec.SECP256R1()), password=b"x")
    for key, word in ((other.key, "does not belong"), (encrypted, "passphrase"), (b"hello", "cannot be read")):
        with pytest.raises(BadInput, match=word):
            read_pair(pair.certificate, key)
