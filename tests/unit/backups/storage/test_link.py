"""Links that a cluster gives: followed to the location's own store and the very object, and nowhere else."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from backups.storage import StorageTarget
from backups.storage.link import refuse_foreign
from console.lib.addresses import AddressPolicy
from console.lib.errors import ConsoleError, Missing, NotPermitted, Refused, Unreachable
from tests.bodies import linked_json, linked_lines
from tests.fakes.apiserver_faults import Fault
from tests.fakes.oddservers import RawServer
from tests.fakes.s3 import NAME, FakeS3
from tests.fakes.s3 import client as fake_client

KEY = "team/backups/b/b-logs.gz"
MINIO = StorageTarget(
    bucket="harbor",
    prefix="team",
    region="us-east-1",
    s3_url="https://minio.example.com:9000",
    sign_in="sts-cluster",
    role_arn="arn:aws:iam::111122223333:role/r",
    external_id="ext",
)
AMAZON = replace(MINIO, s3_url="")
GOOGLE = replace(MINIO, provider="gcp", s3_url="")


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (MINIO, f"https://minio.example.com:9000/harbor/{KEY}?X-Amz-Signature=x"),
        (MINIO, f"https://harbor.minio.example.com:9000/{KEY}?X-Amz-Signature=x"),
        (AMAZON, f"https://harbor.s3.eu-west-1.amazonaws.com/{KEY}?X-Amz-Signature=x"),
        (AMAZON, f"https://s3.amazonaws.com/harbor/{KEY}"),
        (AMAZON, f"https://harbor.s3.dualstack.eu-west-1.amazonaws.com/{KEY}"),
        (AMAZON, f"https://harbor.s3.cn-north-1.amazonaws.com.cn/{KEY}"),
        (GOOGLE, f"https://storage.googleapis.com/harbor/{KEY}?X-Goog-Signature=x"),
    ],
)
def test_the_locations_own_store(target: StorageTarget, url: str) -> None:
    refuse_foreign(url, target, KEY)


@pytest.mark.parametrize(
    "url",
    [
        f"https://elsewhere.example.com:9000/harbor/{KEY}",
        f"http://minio.example.com:9000/harbor/{KEY}",
        f"https://minio.example.com/harbor/{KEY}",
        f"https://minio.example.com:9000@evil.example/harbor/{KEY}",
        f"https://user:pw@minio.example.com:9000/harbor/{KEY}",
        f"https://minio.example.com:9000/other/{KEY}",
        "https://minio.example.com:9000/harbor/team/backups/b/b.tar.gz",
        f"https://minio.example.com:9000/harbor/../harbor/{KEY}",
        f"https://minio.example.com.evil.example:9000/harbor/{KEY}",
        f"https://169.254.169.254:9000/harbor/{KEY}",
        f"https://minio.example.com:99999/harbor/{KEY}",
        "file:///etc/passwd",
        "",
        "https://[::1",
    ],
)
def test_anything_else_is_not_followed(url: str) -> None:
    with pytest.raises(Refused, match="leads somewhere else"):
        refuse_foreign(url, MINIO, KEY)


@pytest.mark.parametrize(
    "host",
    [
        "harbor.s3.evil.com",
        "s3.amazonaws.com.evil.com",
        "evil-s3.amazonaws.com",
        "ec2.amazonaws.com",
        "other.s3.amazonaws.com",
        "harbor.s3.amazonaws.com:8443",
    ],
)
def test_what_only_sounds_like_amazon(host: str) -> None:
    with pytest.raises(Refused):
        refuse_foreign(f"https://{host}/{KEY}", AMAZON, KEY)


@pytest.fixture(scope="module")
def s3() -> Iterator[FakeS3]:
    with FakeS3() as running:
        yield running


@pytest.fixture
def target(s3: FakeS3) -> Iterator[StorageTarget]:
    client(s3).create_bucket(Bucket="harbor")
    yield replace(MINIO, s3_url=s3.url, path_style=True)
    s3.faults.clear()


def client(s3: FakeS3) -> Any:
    return fake_client(s3.url, "AKIALINK", "link-secret")


def signed(s3: FakeS3, body: bytes, key: str = KEY) -> str:
    client(s3).put_object(Bucket="harbor", Key=key, Body=body)
    return str(client(s3).generate_presigned_url("get_object", {"Bucket": "harbor", "Key": key}))


POLICY = AddressPolicy(allow_loopback=True)


def test_lines_and_documents(s3: FakeS3, target: StorageTarget) -> None:
    url = signed(s3, gzip.compress(b"one\ntwo\n"))
    assert list(linked_lines(url, target, KEY, POLICY, max_bytes=100)) == ["one", "two"]
    url = signed(s3, gzip.compress(b'{"errors": {}}'))
    assert linked_json(url, target, KEY, POLICY) == {"errors": {}}


def test_bombs_stop_at_the_bound(s3: FakeS3, target: StorageTarget) -> None:
    url = signed(s3, gzip.compress(b"x" * 5_000_000))
    with pytest.raises(Refused, match="larger"):
        list(linked_lines(url, target, KEY, POLICY, max_bytes=100_000))
    with pytest.raises(Refused, match="larger"):
        linked_json(url, target, KEY, POLICY, max_bytes=100_000)
    with pytest.raises(Refused):
        list(linked_lines(signed(s3, b"no gzip"), target, KEY, POLICY, max_bytes=100))


def test_addresses_are_judged(s3: FakeS3, target: StorageTarget) -> None:
    url = signed(s3, gzip.compress(b"x"))
    with pytest.raises(ConsoleError) as refused:
        list(linked_lines(url, target, KEY, AddressPolicy(), max_bytes=100))
    assert "Signature" not in refused.value.sentence()


def test_redirects_are_not_followed(target: StorageTarget) -> None:
    there = RawServer(gzip.compress(b"x"))
    with there as elsewhere:
        answer = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}/x\r\nContent-Length: 0\r\n\r\n".encode()
        with RawServer(whole=answer) as url, pytest.raises(ConsoleError):
            list(linked_lines(f"{url}/harbor/{KEY}", replace(target, s3_url=url), KEY, POLICY, max_bytes=100))
    assert there.connections == 0


@pytest.mark.parametrize(("status", "kind"), [(404, Missing), (403, NotPermitted)])
def test_refusals(s3: FakeS3, target: StorageTarget, status: int, kind: type[ConsoleError]) -> None:
    url = signed(s3, gzip.compress(b"x"))
    s3.faults.add(Fault("status", "GET", cluster=NAME, status=status, message="no"))
    with pytest.raises(kind) as refused:
        list(linked_lines(url, target, KEY, POLICY, max_bytes=100))
    assert "Signature" not in refused.value.sentence()


def test_nobody_there(target: StorageTarget) -> None:
    away = replace(target, s3_url="http://127.0.0.1:1")
    with pytest.raises(Unreachable) as refused:
        list(linked_lines(f"http://127.0.0.1:1/harbor/{KEY}?Signature=x", away, KEY, POLICY, max_bytes=100))
    assert "Signature" not in refused.value.sentence()
