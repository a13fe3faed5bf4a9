"""Google Cloud Storage, when it disappoints: cause and remedy at the step where a person looks for it."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from backups.storage import ProbeStep, StorageTarget, gcs, probe, read_object
from backups.storage.probe import TITLES
from backups.storage.service_account import TOKEN_URIS
from backups.storage.store import Listing
from console.lib.addresses import AddressPolicy
from console.lib.errors import BadInput, Busy, ConsoleError, Missing, Unreachable
from tests.fakes.gcs import BUCKET, EMAIL, FakeGcs, Reply, key_file
from tests.unit.backups.storage.answers import POLICY, Answer, certificate, served


@pytest.fixture
def google() -> Iterator[FakeGcs]:
    with FakeGcs() as server:
        yield server


def target(google: FakeGcs, **changes: Any) -> StorageTarget:
    made: dict[str, Any] = {
        "provider": "gcp",
        "sign_in": "service-account",
        "bucket": BUCKET,
        "prefix": "team",
        "gcs_url": google.url,
        "service_account": key_file(google.token_uri),
    }
    return StorageTarget(**made | changes)


def steps(google: FakeGcs, policy: AddressPolicy = POLICY, **changes: Any) -> dict[str, ProbeStep]:
    found = {step.id: step for step in probe(target(google, **changes), policy)}
    assert sorted(found) == sorted(TITLES)
    assert "PRIVATE KEY" not in repr(found)
    assert "fake-token" not in repr(found)
    for step in found.values():
        assert step.outcome == "pass" or step.cause
    return found


def failed(found: dict[str, ProbeStep]) -> ProbeStep:
    (only,) = [step for step in found.values() if step.outcome == "fail"]
    return only


def test_a_good_bucket(google: FakeGcs) -> None:
    found = steps(google)
    assert {step.outcome for id, step in found.items() if id != "tls"} == {"pass"}
    assert found["region"].cause == "The bucket is in EU."
    assert google.objects == {}


def test_keys_that_google_does_not_accept(google: FakeGcs) -> None:
    other = failed(steps(google, service_account=key_file(google.token_uri, number=1)))
    assert (other.id, "deleted or disabled" in other.cause) == ("sign_in", True)
    google.accounts = ()
    gone = failed(steps(google))
    assert (gone.id, f"does not know the service account {EMAIL}" in gone.cause) == ("sign_in", True)


def test_clocks_that_differ(google: FakeGcs) -> None:
    google.instead = lambda method, path: (
        (400, json.dumps({"error": "invalid_grant", "error_description": WORDS}).encode(), "application/json")
        if path == "/token"
        else None
    )
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=3)):
        found = failed(steps(google))
    assert (found.id, "clock" in found.cause, found.remedy) == ("sign_in", True, "Set the clock (NTP).")


WORDS = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."


def test_a_private_key_that_is_none(google: FakeGcs) -> None:
    broken = json.loads(key_file(google.token_uri))
    broken["private_key"] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    found = failed(steps(google, service_account=json.dumps(broken)))
    assert "private key in the file cannot be read" in found.cause
    with pytest.raises(BadInput) as refusal:
        read_object(target(google, service_account=json.dumps(broken)), "k", POLICY, max_bytes=1)
    assert refusal.value.field == "service_account"


def test_a_bucket_that_is_not_there(google: FakeGcs) -> None:
    found = failed(steps(google, bucket="no-such-bucket"))
    assert (found.id, found.cause) == ("bucket", "There is no bucket no-such-bucket.")


RIGHTS = [
    ("storage.objects.list", "list"),
    ("storage.objects.create", "write"),
    ("storage.objects.get", "read"),
    ("storage.objects.delete", "delete"),
]


@pytest.mark.parametrize(("right", "step"), RIGHTS)
def test_a_missing_right_is_named(google: FakeGcs, right: str, step: str) -> None:
    google.denied = {right}
    found = failed(steps(google))
    assert found.id == step
    assert f"The service account {EMAIL} may not do this here: {right}." in found.cause
    assert "Storage Admin" in found.remedy


def test_what_the_bucket_does_by_itself_is_explained(google: FakeGcs) -> None:
    google.settings = {
        "versioning": {"enabled": True},
        "retentionPolicy": {"retentionPeriod": str(30 * 86400), "isLocked": True},
        "defaultEventBasedHold": True,
        "softDeletePolicy": {"retentionDurationSeconds": str(7 * 86400)},
        "encryption": {"defaultKmsKeyName": "projects/p/locations/eu/keyRings/r/cryptoKeys/k"},
    }
    google.locked = True
    found = steps(google)
    assert (found["delete"].outcome, "is left in the bucket" in found["delete"].cause) == ("warning", True)
    told = found["settings"]
    assert told.outcome == "warning"
    for words in ("for 30 days, permanent mode", "old versions", "puts a hold", "for 7 days", "cryptoKeys/k"):
        assert words in told.cause
    assert not [step for step in found.values() if step.outcome == "fail"]


def test_settings_that_may_not_be_seen_are_no_fault(google: FakeGcs) -> None:
    google.denied = {"storage.buckets.get"}
    found = steps(google)
    assert found["settings"].outcome == "skipped"
    assert "storage.buckets.get" in found["settings"].cause
    assert not [step for step in found.values() if step.outcome == "fail"]


ODD: list[tuple[Reply, str, str]] = [
    ((200, b"<html>welcome</html>", "text/html"), "bucket", "not Google Cloud Storage"),
    ((403, b"<html>blocked</html>", "text/html"), "bucket", "not Google Cloud Storage"),
    ((301, b"", "text/html"), "bucket", "does not follow"),
    ((404, b"<html>not here</html>", "text/html"), "bucket", "not Google Cloud Storage"),
    ((429, b"{}", "application/json"), "sign_in", "left alone"),
    ((503, b"", "text/plain"), "sign_in", "left alone"),
    ((418, b'{"error": {"message": "Teapot"}}', "application/json"), "sign_in", "Teapot"),
]


@pytest.mark.parametrize(("reply", "step", "cause"), ODD)
def test_odd_answers(google: FakeGcs, reply: Reply, step: str, cause: str) -> None:
    google.instead = lambda method, path: reply if "/b/" in path else None
    found = failed(steps(google))
    assert found.id == step
    assert cause in found.cause


@pytest.mark.parametrize("path", ["/token", "/storage/v1/", f"/storage/v1/b/{BUCKET}/o"])
def test_a_redirect_is_never_followed(google: FakeGcs, path: str) -> None:
    with served(lambda *_: Answer(200, b"{}")) as (elsewhere, seen):
        google.location = elsewhere
        google.instead = lambda method, asked: (302, b"", "text/html") if asked == path else None
        steps(google)
    assert seen == []


def test_the_policy_of_addresses(google: FakeGcs) -> None:
    for url, cause in (
        ("http://169.254.169.254", "metadata"),
        ("http://nobody.invalid", "cannot be resolved"),
        ("http://127.0.0.1:1", "Nothing listens"),
    ):
        found = failed(steps(google, gcs_url=url))
        assert (found.id, cause in found.cause) == ("endpoint", True)
    strict = failed(steps(google, AddressPolicy(), service_account=key_file(TOKEN_URIS[0])))
    assert "machine the console runs on" in strict.cause
    here = failed(steps(google, AddressPolicy(), service_account=key_file(google.token_uri)))
    assert "token_uri" in here.cause
    assert google.seen.count("POST /token") == 0


def test_the_token_cannot_be_fetched(google: FakeGcs) -> None:
    found = failed(steps(google, service_account=key_file("http://127.0.0.1:1/token")))
    assert (found.id, "Nothing listens at Google's sign-in" in found.cause) == ("sign_in", True)
    google.instead = lambda method, path: (200, b"<html>", "text/html") if path == "/token" else None
    assert failed(steps(google)).id == "sign_in"


def test_certificates(google: FakeGcs, tmp_path: Path) -> None:
    cert = certificate(tmp_path, authority=True)
    with served(lambda *_: Answer(404, b"{}"), cert.context) as (url, _):
        found = failed(steps(google, gcs_url=url))
        assert (found.id, "authority" in found.cause) == ("tls", True)
        assert steps(google, gcs_url=url, ca_pem=cert.pem)["tls"].outcome == "pass"


def test_pages_go_on_behind_a_key(google: FakeGcs) -> None:
    google.objects = {f"team/{number:03}": b"x" for number in range(25)}
    store = gcs.GcsStore(target(google), POLICY, attempts=1)
    seen: list[str] = []
    page = Listing((), (), more=True)
    while page.more:
        page = store.list("team/", limit=10, after=seen[-1] if seen else "")
        assert page.size == len(page.keys) <= 10
        seen.extend(page.keys)
    store.close()
    assert seen == sorted(google.objects)


def test_objects_come_as_they_lie_there(google: FakeGcs) -> None:
    google.objects["k"] = gzip.compress(b"text")
    assert read_object(target(google), "k", POLICY, max_bytes=100) == google.objects["k"]
    with pytest.raises(Missing):
        read_object(target(google), "none", POLICY, max_bytes=1)


def test_endless_answers_are_cut(google: FakeGcs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcs, "LARGEST_ANSWER", 100_000)
    google.instead = lambda method, path: (200, b" " * 1_000_000, "application/json") if path.endswith("/o") else None
    assert failed(steps(google)).id == "sign_in"


def test_reading_is_tried_again_and_ends(google: FakeGcs) -> None:
    google.instead = lambda method, path: (503, b"", "text/plain") if path.endswith("/k") else None
    with pytest.raises(Busy):
        read_object(target(google), "k", POLICY, max_bytes=1)


def test_the_consoles_own_identity_is_never_used(
    google: FakeGcs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with served(lambda *_: Answer(500)) as (elsewhere, seen):
        for name, value in {
            "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json"),
            "GOOGLE_CLOUD_PROJECT": "another",
            "GOOGLE_CLOUD_UNIVERSE_DOMAIN": "evil.example",
            "STORAGE_EMULATOR_HOST": elsewhere,
            "API_ENDPOINT_OVERRIDE": elsewhere,
            "GCE_METADATA_HOST": elsewhere.partition("//")[2],
            "GOOGLE_API_USE_CLIENT_CERTIFICATE": "true",
            "HTTP_PROXY": elsewhere,
            "http_proxy": elsewhere,
            "HTTPS_PROXY": elsewhere,
            "REQUESTS_CA_BUNDLE": str(tmp_path / "none.pem"),
        }.items():
            monkeypatch.setenv(name, value)
        assert not [step for step in steps(google).values() if step.outcome == "fail"]
    assert seen == []


def test_without_a_setting_google_itself_is_asked(google: FakeGcs) -> None:
    store = gcs.GcsStore(target(google, gcs_url=""), POLICY, attempts=1)
    assert store._client._connection.build_api_url("/b").startswith("https://storage.googleapis.com/storage/v1/b")
    store.close()


def test_no_key_and_no_token_in_logs(google: FakeGcs, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    steps(google)
    assert "PRIVATE KEY" not in caplog.text
    assert "fake-token" not in caplog.text


def test_every_error_is_one_of_ours(google: FakeGcs) -> None:
    google.instead = lambda method, path: (500, b"\xff\xfe", "x") if path == "/token" else None
    with pytest.raises((ConsoleError, Unreachable)):
        read_object(target(google), "k", POLICY, max_bytes=1)
