"""Locations and their Secrets: configuration, credentials file, and what happens when something is there already."""

from __future__ import annotations

import base64
import configparser
from datetime import timedelta
from typing import Any

import pytest

from backups.velero import names
from backups.velero.location import (
    LocationRequest,
    aws_config,
    ensure_location,
    location_manifest,
    revalidate_location,
)
from backups.velero.secret import (
    AssumedRole,
    aws_credentials_file,
    aws_role_file,
    ensure_secret,
    keep_out_of_backups,
    repository_password,
    secret_manifest,
)
from console.lib.errors import BadInput, Missing, Refused
from tests.unit.backups.velero.fake import FakeApi

LABELS = {names.LOCATION: "loc-1", names.CLUSTER: "cluster-1"}


def location(**changes: Any) -> names.Json:
    wanted = {
        "name": "loc",
        "namespace": "velero",
        "bucket": "backups",
        "prefix": "/team/uid/",
        "config": aws_config("us-east-1", "http://127.0.0.1:9000/", path_style=True),
        "secret_name": "loc-keys",
        "ca_pem": "PEM",
        "labels": LABELS,
    }
    return location_manifest(LocationRequest(**{**wanted, **changes}))


def test_the_manifest() -> None:
    manifest = location(access_mode="ReadOnly", backup_sync_period=timedelta(0))
    assert manifest["metadata"]["labels"]["velero.io/exclude-from-backup"] == "true"
    assert manifest["spec"] == {
        "provider": "aws",
        "objectStorage": {"bucket": "backups", "prefix": "team/uid", "caCert": base64.b64encode(b"PEM").decode()},
        "credential": {"name": "loc-keys", "key": "cloud"},
        "config": {
            "region": "us-east-1",
            "profile": "default",
            "s3ForcePathStyle": "true",
            "s3Url": "http://127.0.0.1:9000",
            "checksumAlgorithm": "",
        },
        "accessMode": "ReadOnly",
        "backupSyncPeriod": "0h0m0s",
    }


def test_never_the_root_of_a_bucket() -> None:
    with pytest.raises(BadInput) as caught:
        location(prefix="/")
    assert caught.value.field == "prefix"


def test_aws_itself_keeps_its_checksums() -> None:
    assert aws_config("eu-west-1") == {"region": "eu-west-1", "profile": "default", "s3ForcePathStyle": "false"}


@pytest.mark.parametrize("url", ["http://h/path", "ftp://h", "h:9000", "https://", "http://h/?x=1"])
def test_s3_urls_that_velero_would_misread(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        aws_config("us-east-1", url)
    assert caught.value.field == "s3_url"


def test_static_keys_as_the_aws_sdks_read_them() -> None:
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(aws_credentials_file("AKIA", "s/e+c%ret=", "eu-west-1"))
    assert dict(parsed["default"]) == {
        "aws_access_key_id": "AKIA",
        "aws_secret_access_key": "s/e+c%ret=",
        "region": "eu-west-1",
    }


def test_an_assumed_role_with_keys_and_with_the_clusters_own_identity() -> None:
    role = AssumedRole(role_arn="arn:aws:iam::1:role/v", external_id="x", access_key="AK", secret_key="SK")
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(aws_role_file(role, "eu-west-1"))
    assert parsed["base"]["aws_secret_access_key"] == "SK"
    assert parsed["default"]["source_profile"] == "base"
    assert parsed["default"]["external_id"] == "x"
    own = aws_role_file(AssumedRole(role_arn="arn", external_id="x", source="Ec2InstanceMetadata"), "r")
    assert "credential_source=Ec2InstanceMetadata" in own
    assert "source_profile" not in own
    assert "SK" not in repr(role)


@pytest.mark.parametrize("secret", ["", "a\ncredential_process=/bin/sh", "q7 z9", "a\r", "ä"])
def test_a_key_cannot_add_a_line_and_is_not_repeated(secret: str) -> None:
    with pytest.raises(BadInput) as caught:
        aws_credentials_file("AKIA", secret, "r")
    assert caught.value.field == "secret_key"
    assert not secret or secret not in caught.value.sentence()


def test_a_secret_is_written_once_and_changed_when_it_differs() -> None:
    api = FakeApi()
    assert ensure_secret(api, secret_manifest("s", "velero", {"cloud": "one", "old": "x"}, LABELS))
    assert not ensure_secret(api, secret_manifest("s", "velero", {"cloud": "one", "old": "x"}, LABELS))
    assert ensure_secret(api, secret_manifest("s", "velero", {"cloud": "two"}, LABELS))
    stored = api.objects["/api/v1/namespaces/velero/secrets/s"]
    assert stored["data"] == {"cloud": base64.b64encode(b"two").decode()}
    assert stored["type"] == "Opaque"
    assert stored["metadata"]["labels"]["velero.io/exclude-from-backup"] == "true"


def test_a_foreign_secret_is_left_alone() -> None:
    api = FakeApi()
    path = "/api/v1/namespaces/velero/secrets/s"
    api.objects[path] = {"metadata": {"name": "s"}, "data": {"cloud": "dGhlaXJz"}}
    with pytest.raises(Refused, match="did not make"):
        ensure_secret(api, secret_manifest("s", "velero", {"cloud": "ours"}, LABELS))
    assert api.objects[path]["data"] == {"cloud": "dGhlaXJz"}


def test_another_clusters_or_locations_secret_is_foreign() -> None:
    api = FakeApi()
    ensure_secret(api, secret_manifest("s", "velero", {"cloud": "one"}, LABELS))
    with pytest.raises(Refused):
        ensure_secret(api, secret_manifest("s", "velero", {"cloud": "two"}, {**LABELS, names.LOCATION: "loc-2"}))


def test_a_location_is_created_then_left_then_patched() -> None:
    api = FakeApi()
    assert ensure_location(api, location()).bucket == "backups"
    ensure_location(api, location())
    assert api.count("merge_patch") == 0
    changed = ensure_location(api, location(ca_pem=None, secret_name="new", config=aws_config("us-west-2")))
    assert changed.config == aws_config("us-west-2")
    spec = api.objects["/apis/velero.io/v1/namespaces/velero/backupstoragelocations/loc"]["spec"]
    assert spec["credential"]["name"] == "new"
    assert spec["objectStorage"] == {"bucket": "backups", "prefix": "team/uid"}


@pytest.mark.parametrize("change", [{"bucket": "other"}, {"prefix": "other"}, {"provider": "gcp"}])
def test_the_place_of_a_location_never_changes(change: dict[str, str]) -> None:
    api = FakeApi()
    ensure_location(api, location())
    with pytest.raises(Refused, match="another place"):
        ensure_location(api, location(**change))
    assert api.count("merge_patch") == 0


def test_a_foreign_location_is_left_alone() -> None:
    api = FakeApi()
    path = "/apis/velero.io/v1/namespaces/velero/backupstoragelocations/loc"
    api.objects[path] = {"metadata": {"name": "loc"}, "spec": {"objectStorage": {}}}
    with pytest.raises(Refused, match="did not make"):
        ensure_location(api, location())


def test_a_look_again_always_changes_the_spec() -> None:
    api = FakeApi()
    ensure_location(api, location())
    path = "/apis/velero.io/v1/namespaces/velero/backupstoragelocations/loc"
    seen = set()
    for _ in range(3):
        before = api.objects[path]["spec"].get("validationFrequency")
        revalidate_location(api, "velero", "loc")
        assert api.objects[path]["spec"]["validationFrequency"] != before
        seen.add(api.objects[path]["spec"]["validationFrequency"])
    assert seen == {"1m0s", "1m1s"}


def test_the_repository_password() -> None:
    api = FakeApi()
    assert repository_password(api, "velero") is None
    with pytest.raises(Missing):
        keep_out_of_backups(api, "velero")
    path = "/api/v1/namespaces/velero/secrets/velero-repo-credentials"
    api.objects[path] = {"metadata": {"name": "x"}, "data": {"repository-password": base64.b64encode(b"pw").decode()}}
    assert repository_password(api, "velero") == "pw"
    keep_out_of_backups(api, "velero")
    assert api.objects[path]["metadata"]["labels"] == {"velero.io/exclude-from-backup": "true"}
