"""Every way a store can disappoint, told apart: cause and remedy at the step where a person looks for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from backups.storage import ProbeStep, aws, probe
from backups.storage.probe import TITLES
from console.lib.addresses import AddressPolicy
from tests.fakes import sts
from tests.unit.backups.storage.answers import LISTING, POLICY, Answer, certificate, error, served, target


def steps(url: str, policy: AddressPolicy = POLICY, **changes: Any) -> dict[str, ProbeStep]:
    changes.setdefault("s3_url", url)
    found = list(probe(target(**changes), policy))
    assert sorted(step.id for step in found) == sorted(TITLES)
    assert "SECRET-CANARY" not in repr(found)
    for step in found:
        assert step.outcome == "pass" or step.cause
    return {step.id: step for step in found}


def failed(found: dict[str, ProbeStep]) -> ProbeStep:
    (only,) = [step for step in found.values() if step.outcome == "fail"]
    return only


def listing(listed: Answer, rest: Answer | None = None) -> Callable[[str, str], Answer]:
    """A server whose listing is `listed`; everything else succeeds or gets `rest`."""

    def answer(method: str, path: str) -> Answer:
        if "list-type=2" in path:
            return listed
        return (rest or Answer()) if path != "/" else Answer(403, b"<Error><Code>AccessDenied</Code></Error>")

    return answer


REFUSALS = [
    (error(403, "InvalidAccessKeyId"), "sign_in", "does not know this access key"),
    (error(403, "SignatureDoesNotMatch"), "sign_in", "does not belong"),
    (error(400, "ExpiredToken"), "sign_in", "have run out"),
    (error(404, "NoSuchBucket"), "bucket", "no bucket bucket"),
    (error(301, "PermanentRedirect", x_amz_bucket_region="eu-west-3"), "region", "not in the region us-east-1"),
    (error(400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"), "region", "not in the region"),
    (error(503, "SlowDown"), "sign_in", "left alone"),
    (Answer(502, b"bad gateway"), "sign_in", "left alone"),
    (Answer(404, b"<html>not here</html>", {"Content-Type": "text/html"}), "bucket", "not an S3 store"),
    (Answer(403, b"<html>no</html>"), "bucket", "not an S3 store"),
    (Answer(200, b"<html>welcome</html>"), "bucket", "not an S3 store"),
    (Answer(200, b"{}"), "bucket", "not an S3 store"),
    (error(418, "Teapot"), "sign_in", "Teapot"),
]


@pytest.mark.parametrize(("answer", "step", "cause"), REFUSALS)
def test_refusals(answer: Answer, step: str, cause: str) -> None:
    with served(listing(answer)) as (url, _):
        found = failed(steps(url))
    assert found.id == step
    assert cause in found.cause
    assert found.remedy or step == "sign_in"


@pytest.mark.parametrize("answer", [REFUSALS[4][0], REFUSALS[5][0]])
def test_the_right_region_is_named_and_not_followed(answer: Answer) -> None:
    with served(listing(answer)) as (url, seen):
        found = failed(steps(url))
    assert found.remedy == "Set the region to eu-west-3."
    assert len(seen) == 2  # reach and one listing


def test_a_region_given_with_a_good_answer_is_compared() -> None:
    elsewhere = Answer(200, LISTING.encode(), {"x-amz-bucket-region": "eu-west-3"})
    with served(listing(elsewhere)) as (url, _):
        found = steps(url, region="eu-west-1")
    assert found["region"].outcome == "fail"
    assert found["region"].remedy == "Set the region to eu-west-3."


def test_a_redirect_is_not_followed() -> None:
    with served(lambda method, path: Answer()) as (elsewhere, reached):
        away = Answer(307, b"", {"Location": f"{elsewhere}/stolen"})
        with served(lambda method, path: away) as (url, _):
            found = failed(steps(url))
    assert (found.id, "does not follow" in found.cause) == ("bucket", True)
    assert reached == []


def test_clocks_that_differ() -> None:
    then = format_datetime(datetime.now(UTC) - timedelta(minutes=42), usegmt=True)

    def answer(method: str, path: str) -> Answer:
        return error(403, "RequestTimeTooSkewed", Date=then)

    with served(answer) as (url, _):
        found = failed(steps(url))
    assert found.id == "sign_in"
    assert "differ" in found.cause


def test_every_missing_right_is_named_in_one_go() -> None:
    denied = error(403, "AccessDenied")
    with served(listing(denied, denied)) as (url, _):
        found = steps(url)
    assert (found["sign_in"].outcome, found["bucket"].outcome) == ("pass", "skipped")
    assert "s3:ListBucket" in found["list"].cause
    assert "s3:PutObject" in found["write"].cause
    assert found["read"].outcome == "skipped"


@pytest.mark.parametrize(("verb", "step", "action"), [("GET", "read", "s3:GetObject"), ("DELETE", "delete", "s3:Del")])
def test_reading_or_deleting_denied(verb: str, step: str, action: str) -> None:
    def answer(method: str, path: str) -> Answer:
        if "list-type=2" in path:
            return Answer(200, LISTING.encode())
        return error(403, "AccessDenied") if method == verb else Answer(204 if method == "DELETE" else 200)

    with served(answer) as (url, seen):
        found = steps(url)
    assert action in found[step].cause
    assert any(line.startswith("DELETE /bucket/team/drydock-probe/") for line in seen)
    assert ("is left in the bucket" in found["delete"].cause) == (step == "delete")


def test_something_else_comes_back() -> None:
    def answer(method: str, path: str) -> Answer:
        body = LISTING.encode() if "list-type=2" in path else b"old"
        return Answer(200, body if method == "GET" else b"")

    with served(answer) as (url, _):
        assert "not what was written" in failed(steps(url)).cause


def test_turning_away_early_leaves_no_object() -> None:
    with served(listing(Answer(200, LISTING.encode()))) as (url, seen):
        run = probe(target(url), POLICY)
        while next(run).id != "write":
            continue
        run.close()  # type: ignore[attr-defined]
    assert [line.split("/")[0] for line in seen][-1] == "DELETE "


def test_plain_http_is_said() -> None:
    with served(listing(Answer(200, LISTING.encode()))) as (url, _):
        assert steps(url)["tls"].outcome == "warning"


def test_certificates(tmp_path: Path) -> None:
    good = certificate(tmp_path, authority=True)
    with served(listing(Answer(200, LISTING.encode())), good.context) as (url, _):
        assert steps(url, ca_pem=good.pem)["tls"].outcome == "pass"
        assert "does not know" in failed(steps(url)).cause
        assert failed(steps(url)).id == "tls"


@pytest.mark.parametrize(
    ("made", "trusted", "cause"),
    [
        ({}, False, "self-signed"),
        ({"name": "other.example"}, True, "another name"),
        ({"days": -1}, True, "not valid today"),
    ],
)
def test_certificates_that_do_not_hold(tmp_path: Path, made: dict, trusted: bool, cause: str) -> None:
    cert = certificate(tmp_path, authority=trusted, **made)
    with served(listing(Answer()), cert.context) as (url, _):
        found = failed(steps(url, ca_pem=cert.pem if trusted else None))
    assert found.id == "tls"
    assert cause in found.cause
    assert found.remedy


def test_https_where_http_is_spoken() -> None:
    with served(listing(Answer())) as (url, _):
        found = failed(steps(url.replace("http://", "https://")))
    assert found.id == "tls"
    assert "plain http" in found.cause


def test_http_where_https_is_wanted() -> None:
    def answer(method: str, path: str) -> Answer:
        return Answer(400, b"Client sent an HTTP request to an HTTPS server.\n")

    with served(answer) as (url, _):
        found = failed(steps(url))
    assert found.id == "tls"
    assert "wants https" in found.cause


@contextmanager
def silent(then: Callable[[socket.socket], None]) -> Iterator[str]:
    """A listener that does `then` with each connection and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            kept.append(connection)
            then(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in kept:
            connection.close()


def test_a_server_that_hangs_up() -> None:
    with silent(lambda connection: connection.close()) as url:
        assert "closed the connection" in failed(steps(url)).cause


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "READ_TIMEOUT", 0.1)
    with silent(lambda connection: None) as url:
        found = failed(steps(url))
    assert (found.id, "did not answer in time" in found.cause) == ("endpoint", True)


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = failed(steps(f"http://127.0.0.1:{port}"))
    assert found.id == "endpoint"
    assert f"Nothing listens at 127.0.0.1:{port}" in found.cause


def test_a_name_that_does_not_resolve() -> None:
    found = failed(steps("http://nowhere.invalid:9000"))
    assert (found.id, found.cause) == ("endpoint", "The name nowhere.invalid cannot be resolved.")


@pytest.mark.parametrize("url", ["http://169.254.169.254", "http://127.0.0.1:1", "http://[::1]:1", "http://2130706433"])
def test_addresses_that_are_not_for_us(url: str) -> None:
    found = failed(steps(url, policy=AddressPolicy()))
    assert found.id == "endpoint"
    assert "does not connect" in found.cause


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"s3_url": "http://h/path"}, "behind the host"),
        ({"s3_url": "ftp://h"}, "S3 URL"),
        ({"s3_url": "http://user:pw@h"}, "S3 URL"),
        ({"s3_url": "http://h:99999"}, "S3 URL"),
        ({"bucket": "arn:aws:s3:us-east-1:1:accesspoint/x"}, "bucket"),
        ({"bucket": "b/../c"}, "bucket"),
        ({"prefix": "a/../b"}, "prefix"),
        ({"prefix": "a//b"}, "prefix"),
        ({"region": "evil.example#"}, "region"),
        ({"region": ""}, "region"),
        ({"access_key": "A\r\nHost: x"}, "key"),
        ({"secret_key": ""}, "key"),
        ({"ca_pem": "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----"}, "certificate"),
        ({"provider": "gcp"}, "JSON credentials"),
        ({"sign_in": "sts-keys", "role_arn": "velero", "external_id": "x1"}, "ARN of a role"),
        ({"sign_in": "sts-keys", "role_arn": sts.ROLE, "external_id": "x"}, "External ID"),
        ({"sign_in": "sts-cluster", "role_arn": sts.ROLE, "external_id": "a b"}, "External ID"),
    ],
)
def test_what_cannot_be_right_is_said_before_anything_is_sent(changes: dict, cause: str) -> None:
    with served(listing(Answer())) as (url, seen):
        found = failed(steps(url, **changes))
    assert found.id == "endpoint"
    assert cause in found.cause
    assert seen == []


def test_the_bucket_by_host_name_needs_path_style() -> None:
    def answer(method: str, path: str) -> Answer:
        return Answer(200, b"<ListAllMyBucketsResult></ListAllMyBucketsResult>")

    with served(answer) as (url, _):
        named = url.replace("127.0.0.1", "localhost")
        found = failed(steps(named, path_style=False))
    assert found.id == "bucket"
    assert "path style" in found.remedy


def test_endless_answers_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "LARGEST_ANSWER", 100_000)
    with served(listing(Answer(200, b"<x>" + b" " * 1_000_000))) as (url, _):
        assert failed(steps(url)).id == "sign_in"


LOCK = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
RULE = "<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule>"
KMS = (
    "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>"
    "<KMSMasterKeyID>arn:aws:kms:eu:1:key/k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule>"
    "</ServerSideEncryptionConfiguration>"
)
VERSIONS = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


def store_with(settings: dict[str, Answer]) -> Callable[[str, str], Answer]:
    """A store that takes every object and gives it back; `settings` by the question's name."""
    kept: dict[str, bytes] = {}

    def answer(method: str, path: str) -> Answer:
        for name, given in settings.items():
            if f"?{name}" in path:
                return given
        if "list-type=2" in path:
            return Answer(200, LISTING.encode())
        return Answer(200, kept.get(path, b""))

    return answer


def test_a_bucket_that_locks_and_keeps_versions_is_explained() -> None:
    settings = {
        "versioning": Answer(200, VERSIONS.encode()),
        "object-lock": Answer(200, LOCK.format(rule=RULE).encode()),
        "encryption": Answer(200, KMS.encode()),
    }
    with served(store_with(settings)) as (url, _):
        told = steps(url)["settings"]
    assert told.outcome == "warning"
    for words in ("for 30 days, compliance mode", "expiry fail", "old versions", "arn:aws:kms:eu:1:key/k"):
        assert words in told.cause
    assert "without a lock" in told.remedy


def test_a_lock_that_locks_nothing_is_no_warning() -> None:
    settings = {"object-lock": Answer(200, LOCK.format(rule="").encode())}
    with served(store_with(settings)) as (url, _):
        told = steps(url)["settings"]
    assert (told.outcome, told.cause) == ("pass", "Object lock is on, but locks nothing by itself.")


def test_settings_that_may_not_be_seen_are_no_fault() -> None:
    denied = {name: error(403, "AccessDenied") for name in ("versioning", "object-lock", "encryption")}
    with served(store_with(denied)) as (url, _):
        told = steps(url)["settings"]
    assert (told.outcome, "s3:GetBucketVersioning" in told.cause) == ("skipped", True)


def test_some_settings_are_enough() -> None:
    settings = {
        "versioning": error(501, "NotImplemented"),
        "object-lock": error(404, "ObjectLockConfigurationNotFoundError"),
        "encryption": error(404, "ServerSideEncryptionConfigurationNotFoundError"),
    }
    with served(store_with(settings)) as (url, _):
        assert steps(url)["settings"].outcome == "pass"
