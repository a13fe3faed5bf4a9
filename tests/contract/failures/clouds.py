"""What only clouds have: roles, key files, Google's tokens and rights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import time_machine

from backups.storage import StorageTarget
from sandbox.clouds import stack as clouds
from sandbox.clouds.accounts import role_arn
from sandbox.clouds.google import new_key
from tests.contract.failures.case import UNSENT, Case, Place, at, group
from tests.contract.failures.ground import Ground, closed_port
from tests.unit.backups.storage.answers import Answer, served

# Roles


def roles() -> list[Case]:
    refused, sts = "AWS does not let these keys assume the role", "the stand-in for STS"
    return group(
        "roles",
        ("unknown role", "emulated", sts, "sign_in", refused, at(lambda g: g.role(role_arn=role_arn("nobody")))),
        (
            "role that does not trust us",
            "emulated",
            sts,
            "sign_in",
            refused,
            at(lambda g: g.role(role_arn=clouds.ELSEWHERE)),
        ),
        ("wrong External ID", "emulated", sts, "sign_in", refused, at(lambda g: g.role(external_id="somebody-elses"))),
        (
            "session too long for the role",
            "emulated",
            sts,
            "sign_in",
            "one hour",
            at(lambda g: g.role(role_arn=clouds.SHORT)),
        ),
        (
            "expired session",
            "emulated",
            "the gate in front of S3",
            "sign_in",
            "run out",
            at(lambda g: g.role(role_arn=clouds.ENDED)),
        ),
        (
            "unknown access key of the account",
            "emulated",
            sts,
            "sign_in",
            "does not know",
            at(lambda g: g.role(access_key="AKIANOBODY")),
        ),
        (
            "wrong secret key of the account",
            "emulated",
            sts,
            "sign_in",
            "does not belong",
            at(lambda g: g.role(secret_key="wrong")),
        ),
        ("not the ARN of a role", "real", UNSENT, "endpoint", "ARN", at(lambda g: g.role(role_arn="velero"))),
        ("STS out of reach", "real", "the kernel", "sign_in", "Nothing listens", _no_sts),
        ("a page in place of STS", "fake", "a page with status 200", "sign_in", "not AWS STS", _page_for_sts),
    )


@at
def _no_sts(ground: Ground) -> StorageTarget:
    return ground.role(sts_url=f"http://127.0.0.1:{closed_port()}")


@contextmanager
def _page_for_sts(ground: Ground) -> Iterator[StorageTarget]:
    with served(lambda method, path: Answer(200, b"<html>Welcome</html>")) as (url, _):
        yield ground.role(sts_url=url)


# Key files of Google Cloud


def files() -> list[Case]:
    person = {"type": "authorized_user", "client_id": "1", "client_secret": "s", "refresh_token": "r"}
    workload = {"type": "external_account", "audience": "//iam", "token_url": "https://sts.googleapis.com/v1/token"}
    return group(
        "JSON key",
        ("bad JSON", "real", UNSENT, "endpoint", "not JSON", _file('{"type": "service_acc')),
        ("JSON of a person's sign-in", "real", UNSENT, "endpoint", "person's own sign-in", _file(json.dumps(person))),
        ("JSON of a workload identity", "real", UNSENT, "endpoint", "workload identity", _file(json.dumps(workload))),
        ("a saved web page", "real", UNSENT, "endpoint", "web page", _file("<!doctype html><title>Sign in</title>")),
        ("a key that sends us elsewhere", "real", UNSENT, "endpoint", "does not lead to Google", _key_elsewhere),
    )


def _file(text: str) -> Place:
    return at(lambda ground: ground.gcs(service_account=text))


@at
def _key_elsewhere(ground: Ground) -> StorageTarget:
    key = json.loads(ground.keys[clouds.EMAIL]) | {"token_uri": "https://tokens.example.com/token"}
    return ground.gcs(service_account=json.dumps(key))


# Google Cloud


def google() -> list[Case]:
    gate, tokens = "gcp-storage-emulator behind a gate", "the stand-in for Google's sign-in"
    lacking = {right.rpartition(".")[2]: email for email, right in clouds.LACKING.items()}
    return group(
        "Google Cloud",
        (
            "missing bucket",
            "emulated",
            gate,
            "bucket",
            "There is no bucket",
            at(lambda g: g.gcs(bucket="no-such-bucket")),
        ),
        ("may not list", "emulated", gate, "list", "storage.objects.list", _of(lacking["list"])),
        ("may not write", "emulated", gate, "write", "storage.objects.create", _of(lacking["create"])),
        ("may not delete", "emulated", gate, "delete", "storage.objects.delete", _of(lacking["delete"])),
        ("a key that was deleted", "emulated", tokens, "sign_in", "deleted or disabled", _another_key),
        ("an account that is gone", "emulated", tokens, "sign_in", "does not know the service account", _no_account),
        ("skewed clock", "fake", "Google's words for it", "sign_in", "clock", _skewed_for_google),
    )


def _of(email: str) -> Place:
    return at(lambda ground: ground.gcs(service_account=ground.keys[email]))


@at
def _another_key(ground: Ground) -> StorageTarget:
    return ground.gcs(service_account=new_key(clouds.EMAIL, f"{ground.google}/token")[0])


@at
def _no_account(ground: Ground) -> StorageTarget:
    email = f"gone@{clouds.PROJECT}.iam.gserviceaccount.com"
    return ground.gcs(service_account=new_key(email, f"{ground.google}/token")[0])


@contextmanager
def _skewed_for_google(ground: Ground) -> Iterator[StorageTarget]:
    words = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
    body = json.dumps({"error": "invalid_grant", "error_description": words}).encode()
    with ExitStack() as stack:
        answer = Answer(400, body, {"Content-Type": "application/json"})
        url, _ = stack.enter_context(served(lambda method, path: answer))
        stack.enter_context(time_machine.travel(datetime.now(UTC) + timedelta(hours=3)))
        key = json.loads(ground.keys[clouds.EMAIL]) | {"token_uri": f"{url}/token"}
        yield ground.gcs(service_account=json.dumps(key))
