"""Roles that are assumed before the bucket is looked at: what AWS refuses, and what it leaves unsaid."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from backups.storage import ProbeStep, probe, read_object
from backups.storage.probe import ASSUME, TITLES
from console.lib.addresses import AddressPolicy
from console.lib.errors import SignInRefused
from tests.fakes.s3 import FakeS3
from tests.fakes.sts import ACCOUNT, EXTERNAL_ID, KEYS, ROLE, FakeSts, Role
from tests.unit.backups.storage.answers import LISTING, POLICY, Answer, served, target

CLOUD = "cloud-secret"


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    with FakeSts() as server:
        yield server


@pytest.fixture
def bucket() -> Iterator[str]:
    """A store that takes any key."""
    from tests.contract.realstore import client

    with FakeS3() as server:
        client(server.url).create_bucket(Bucket="bucket")
        yield server.url


def wanted(sts: FakeSts, **changes: Any) -> dict[str, Any]:
    role = {"sign_in": "sts-keys", "role_arn": ROLE, "external_id": EXTERNAL_ID, "sts_url": sts.url}
    return {**KEYS, **role, **changes}


def steps(sts: FakeSts, bucket: str, policy: AddressPolicy = POLICY, **changes: Any) -> dict[str, ProbeStep]:
    found = {step.id: step for step in probe(target(bucket, **wanted(sts, **changes)), policy)}
    assert sorted(found) == sorted(TITLES)
    assert CLOUD not in repr(found)
    assert "session-" not in repr(found)
    return found


def test_the_role_is_assumed_for_an_hour_and_the_bucket_seen_with_its_keys(sts: FakeSts, bucket: str) -> None:
    found = steps(sts, bucket)
    assert {step.outcome for id, step in found.items() if id != "tls"} == {"pass"}
    assert found["sign_in"].title == ASSUME
    asked = sts.asked[0]
    assert (asked["RoleArn"], asked["ExternalId"], asked["DurationSeconds"]) == (ROLE, EXTERNAL_ID, "3600")
    assert asked["RoleSessionName"] == "drydock"


def test_requests_to_the_bucket_are_signed_by_the_session(sts: FakeSts) -> None:
    with served(lambda method, path: Answer(200, b"v")) as (url, seen):
        assert read_object(target(url, **wanted(sts)), "k", POLICY, max_bytes=10) == b"v"
    assert "Credential=ASIASESSION1/" in seen[0]
    assert "x-amz-security-token" in seen[0]


def test_a_session_that_ends_soon_is_made_anew(sts: FakeSts) -> None:
    sts.lasts = timedelta(minutes=4)
    with served(lambda method, path: Answer(200, LISTING.encode())) as (url, seen):
        steps(sts, url)
    keys = {line.split("Credential=")[1].split("/")[0] for line in seen if "Credential=" in line}
    assert len(keys) > 1
    assert all(key.startswith("ASIASESSION") for key in keys)


UNSAID = "AWS does not let these keys assume the role"
REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({"external_id": "another-one"}, UNSAID, "External ID"),
    ({"role_arn": f"arn:aws:iam::{ACCOUNT}:role/nobody"}, UNSAID, "trust policy"),
    ({"access_key": "AKIASTRANGER", "secret_key": "stranger-secret"}, "name the account 999988887777", "trust policy"),
    ({"access_key": "AKIANOBODY"}, "does not know the access key", "access key"),
    ({"secret_key": "wrong"}, "does not belong", "secret key"),
]


@pytest.mark.parametrize(("changes", "cause", "remedy"), REFUSALS)
def test_refusals(sts: FakeSts, bucket: str, changes: dict[str, Any], cause: str, remedy: str) -> None:
    found = steps(sts, bucket, **changes)
    assert found["sign_in"].outcome == "fail"
    assert cause in found["sign_in"].cause
    assert remedy in found["sign_in"].remedy
    assert found["list"].outcome == "skipped"


NOT_ALLOWED = (
    f"User: arn:aws:iam::{ACCOUNT}:user/cloud is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
)
SAID = [
    (403, "AccessDenied", f"{NOT_ALLOWED} because no identity-based policy allows it", "may not assume roles"),
    (
        403,
        "AccessDenied",
        f"{NOT_ALLOWED} because no resource-based policy allows it",
        "does not trust the account 1111",
    ),
    (403, "AccessDenied", "The ExternalId does not match.", "wants another External ID"),
    (404, "NoSuchEntity", "The role cannot be found.", "There is no role arn:aws:iam"),
    (400, "ExpiredToken", "The security token included in the request is expired", "session of the role has run out"),
    (503, "Throttling", "Rate exceeded", "left alone"),
    (403, "SignatureDoesNotMatch", "Signature not yet current: 2030 is still later than", "clocks"),
    (418, "Teapot", "no", "Teapot"),
]


@pytest.mark.parametrize(("status", "code", "message", "cause"), SAID)
def test_what_aws_says_more_of(sts: FakeSts, bucket: str, status: int, code: str, message: str, cause: str) -> None:
    sts.refusal = (status, code, message)
    found = steps(sts, bucket)["sign_in"]
    assert found.outcome == "fail"
    assert cause in found.cause


def test_a_session_longer_than_the_role_allows(sts: FakeSts, bucket: str) -> None:
    sts.roles[ROLE] = Role(longest=900)
    found = steps(sts, bucket)["sign_in"]
    assert "does not allow sessions of one hour" in found.cause
    assert "maximum session duration" in found.remedy


def test_a_role_that_anybody_else_could_have_us_use(sts: FakeSts, bucket: str) -> None:
    """The confused deputy: seen before a location is saved, and not tried again at every look."""
    sts.roles[ROLE] = Role(external_id=None)
    found = steps(sts, bucket)
    assert found["sign_in"].outcome == "warning"
    assert "without this External ID" in found["sign_in"].cause
    assert found["delete"].outcome == "pass"
    sts.asked.clear()
    again = list(probe(target(bucket, **wanted(sts)), POLICY, thoroughly=False))
    assert [step.outcome for step in again if step.id == "sign_in"] == ["pass"]
    assert len(sts.asked) == 1


def test_a_session_that_the_store_calls_expired(sts: FakeSts) -> None:
    gone = Answer(400, b"<Error><Code>ExpiredToken</Code><Message>no</Message></Error>")
    with served(lambda method, path: gone if "list-type" in path else Answer(403)) as (url, _):
        assert "session of the role has run out" in steps(sts, url)["sign_in"].cause


def test_clocks_that_differ(sts: FakeSts, bucket: str) -> None:
    sts.refusal = (403, "SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than")
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=3)):
        assert "clocks" in steps(sts, bucket)["sign_in"].cause


def test_the_policy_of_addresses_holds_for_sts_too(sts: FakeSts) -> None:
    for url, cause in (("http://169.254.169.254", "metadata"), ("http://nobody.invalid", "cannot be resolved")):
        with served(lambda method, path: Answer(403)) as (store, seen):
            found = steps(sts, store, sts_url=url)["sign_in"]
        assert cause in found.cause
        assert len(seen) == 1  # reached, nothing signed


def test_a_proxy_in_place_of_sts(sts: FakeSts, bucket: str) -> None:
    with served(lambda method, path: Answer(200, b"<html>welcome</html>")) as (url, _):
        assert "is not AWS STS" in steps(sts, bucket, sts_url=url)["sign_in"].cause


def test_the_clusters_own_identity_is_not_checkable_from_here(sts: FakeSts) -> None:
    with served(lambda method, path: Answer(403)) as (url, seen):
        found = steps(sts, url, sign_in="sts-cluster", access_key="", secret_key="")
        with pytest.raises(SignInRefused, match="Only the cluster"):
            own = wanted(sts, sign_in="sts-cluster", access_key="", secret_key="")
            read_object(target(url, **own), "k", POLICY, max_bytes=1)
    assert (found["endpoint"].outcome, found["tls"].outcome) == ("pass", "warning")
    assert {step.outcome for id, step in found.items() if id not in ("endpoint", "tls")} == {"not_checkable"}
    assert sts.asked == []
    assert len(seen) == 1


def test_a_store_inside_a_cluster_is_not_checkable_from_here(sts: FakeSts) -> None:
    found = {s.id: s for s in probe(target("http://minio.velero.svc:9000", region="us-east-1"), POLICY)}
    assert {step.outcome for step in found.values()} == {"not_checkable"}
    assert "inside a cluster" in found["endpoint"].cause
