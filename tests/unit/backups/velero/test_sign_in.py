"""The Secret and the configuration that each way of signing in gives to a cluster's Velero."""

from __future__ import annotations

import configparser
import json
from typing import Any

import pytest

from backups.velero.sign_in import SignedIn
from console.lib.errors import BadInput

KEYS = {"access_key": "AKIA", "secret_key": "s/e+c%ret="}
ROLE = {"role_arn": "arn:aws:iam::111122223333:role/velero", "external_id": "drydock-1"}
KEY_FILE = json.dumps({"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----"})


def signed_in(**fields: Any) -> SignedIn:
    values = {"provider": "aws", "sign_in": "keys", "credentials": KEYS, "region": "eu-west-1"}
    return SignedIn(**values | fields)


def profiles(made: SignedIn) -> dict[str, dict[str, str]]:
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(made.secret_text())
    return {name: dict(parsed[name]) for name in parsed.sections()}


def test_keys() -> None:
    made = signed_in()
    assert profiles(made)["default"]["aws_secret_access_key"] == "s/e+c%ret="
    assert made.config() == {"region": "eu-west-1", "profile": "default", "s3ForcePathStyle": "false"}
    assert "s/e+c" not in repr(made)


def test_a_role_with_keys_of_a_cloud_account() -> None:
    made = signed_in(sign_in="sts-keys", **ROLE)
    assert profiles(made) == {
        "base": {"aws_access_key_id": "AKIA", "aws_secret_access_key": "s/e+c%ret="},
        "default": {
            "region": "eu-west-1",
            **ROLE,
            "role_session_name": "drydock",
            "duration_seconds": "3600",
            "source_profile": "base",
        },
    }
    assert made.config()["profile"] == "default"


def test_a_role_with_the_clusters_own_identity_carries_no_key() -> None:
    made = signed_in(sign_in="sts-cluster", credentials={}, **ROLE)
    (profile,) = profiles(made).values()
    assert profile["credential_source"] == "Ec2InstanceMetadata"
    assert profile["external_id"] == "drydock-1"
    assert "source_profile" not in profile
    assert "aws_access_key_id" not in made.secret_text()
    left_over = signed_in(sign_in="sts-cluster", credentials=KEYS, **ROLE)
    assert "AKIA" not in left_over.secret_text()


def test_a_service_account() -> None:
    made = signed_in(provider="gcp", sign_in="service-account", region="", credentials={"service_account": KEY_FILE})
    assert made.secret_text() == KEY_FILE
    assert made.config() == {}
    here = signed_in(provider="gcp", sign_in="service-account", gcs_url="http://127.0.0.1:1")
    assert here.config() == {"storeEndpoint": "http://127.0.0.1:1/storage/v1/"}


@pytest.mark.parametrize("text", ["", "x", "[]", '{"type": "external_account"}'])
def test_json_of_another_kind_never_leaves(text: str) -> None:
    made = signed_in(provider="gcp", sign_in="service-account", credentials={"service_account": text})
    with pytest.raises(BadInput):
        made.secret_text()


@pytest.mark.parametrize("field", ["role_arn", "external_id"])
def test_nothing_adds_a_line_to_the_profile(field: str) -> None:
    with pytest.raises(BadInput):
        signed_in(sign_in="sts-keys", **ROLE | {field: "x\ncredential_process=/bin/sh"}).secret_text()
