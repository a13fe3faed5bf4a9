"""Adding a location of each provider, with each way to sign in; and what stands beside the form for it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from backups.models import BackupLocation, CheckState, LocationCheck
from backups.storage.service_account import TOKEN_URIS
from tests.fakes.gcs import EMAIL, key_file
from tests.web.locations import (
    ACCESS,
    SECRET,
    SENT,
    STEPS,
    add_url,
    as_shown,
    draft_url,
    end,
    filled,
    no_secret,
    save_is_off,
    shown,
    text,
    validated,
)
from workspaces.models import Project

pytestmark = pytest.mark.usefixtures("commits_at_once")

ROLE = "arn:aws:iam::111122223333:role/velero"
KEY = key_file(TOKEN_URIS[0])
PRIVATE = json.loads(KEY)["private_key"].splitlines()[1]


def sts(**changes: Any) -> dict[str, Any]:
    """AWS's card with a role that is assumed with keys."""
    values = {"provider": "aws", "sign_in": "sts-keys", "role_arn": ROLE, "external_id": "drydock-1", "s3_url": ""}
    return {**values, "path_style": "", "region": "eu-west-1", "account": "1111-2222-3333", **changes}


def google(**changes: Any) -> dict[str, Any]:
    """Google's card as a browser sends it: with what stands hidden in the other cards."""
    values = {"provider": "gcp", "name": "google", "service_account": KEY, "access_key": "", "secret_key": ""}
    return {**values, "region": "", "s3_url": "", "path_style": "", "role_arn": "", "external_id": "x1", **changes}


def drafted(check: LocationCheck) -> dict[str, Any]:
    assert check.draft is not None
    return check.draft


def not_checkable(check: LocationCheck) -> None:
    """What a worker writes where only a cluster can sign in."""
    check.refresh_from_db()
    step = {"id": "sign_in", "title": "Sign in", "outcome": "not_checkable", "cause": "Only a cluster.", "remedy": ""}
    check.write(steps=[*STEPS, step], state=CheckState.NOT_CHECKABLE, message="Only a cluster.")


def error_at(response: Any, field: str) -> str:
    found = re.search(rf'id="id_{field}_error">(.*?)</div>', text(response), re.DOTALL)
    assert found, f"no error at {field}"
    return found.group(1)


# Without JavaScript


def test_everything_is_in_the_page_and_says_to_which_card_it_belongs(alices: Client, project: Project) -> None:
    body = text(alices.get(add_url(project)))
    for card in ("AWS S3", "S3-compatible (MinIO)", "Google Cloud"):
        assert card in body
    for field in ("sign_in", "role_arn", "external_id", "access_key", "service_account", "service_account_file"):
        assert f'name="{field}"' in body
    for mark in ('data-for="aws"', 'data-for="gcp"', 'data-sign-in="sts-cluster sts-keys"'):
        assert mark in body
    assert " hidden" not in re.sub(r"<p class=\"notice warn\" data-edited hidden>", "", body.split("<form class")[1])


# AWS with STS


def test_an_external_id_is_proposed_and_may_be_replaced(alices: Client, project: Project, sent: SENT) -> None:
    first, second = (as_shown(alices.get(add_url(project)))["external_id"] for _ in range(2))
    assert re.fullmatch(r"drydock-[0-9a-f]{20}", first)
    assert first != second
    mistake = alices.post(add_url(project), filled(**sts(external_id=first, name="")))
    assert as_shown(mistake)["external_id"] == first
    check = validated(alices, project, **sts(external_id="our-own"))
    assert drafted(check)["external_id"] == "our-own"
    assert as_shown(alices.get(draft_url(check)))["external_id"] == "our-own"


def test_a_role_with_keys_of_a_cloud_account(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project, **sts())
    tried = {name: drafted(check)[name] for name in ("provider", "sign_in", "role_arn", "external_id", "credentials")}
    assert tried == {
        "provider": "aws",
        "sign_in": "sts-keys",
        "role_arn": ROLE,
        "external_id": "drydock-1",
        "credentials": {"access_key": ACCESS, "secret_key": SECRET},
    }
    end(check, *STEPS)
    page = no_secret(alices.get(draft_url(check)))
    alices.post(draft_url(check), as_shown(page) | {"do": "save"})
    location = BackupLocation.objects.get()
    assert (location.sign_in, location.role_arn, location.external_id) == ("sts-keys", ROLE, "drydock-1")
    detail = no_secret(alices.get(reverse("location_detail", args=[location.pk])))
    for said in (ROLE, "drydock-1", "STS, with keys of a cloud account", "AWS S3"):
        assert said in text(detail)


def test_the_clusters_own_identity_keeps_no_key_and_is_saved_only_anyway(
    alices: Client, project: Project, sent: SENT
) -> None:
    check = validated(alices, project, **sts(sign_in="sts-cluster"))  # keys of an earlier choice are still typed
    assert drafted(check)["credentials"] == {}
    not_checkable(check)
    page = alices.get(draft_url(check))
    assert save_is_off(page)
    assert "Not checkable from here" in text(page)
    refused = alices.post(draft_url(check), as_shown(page) | {"do": "save"})
    assert (refused.status_code, BackupLocation.objects.count()) == (422, 0)
    alices.post(draft_url(check), as_shown(page) | {"do": "save_anyway"})
    location = BackupLocation.objects.get()
    assert (location.sign_in, location.credentials, location.state) == ("sts-cluster", {}, "unknown")
    for name, where in (("location_detail", location.pk), ("location_list", project.pk)):
        assert "Not checkable from here" in text(no_secret(alices.get(reverse(name, args=[where]))))


MISTAKES = [
    (sts(role_arn=""), "role_arn", "not the ARN of a role"),
    (sts(role_arn="velero"), "role_arn", "not the ARN of a role"),
    (sts(role_arn=f"{ROLE}\ncredential_process=x"), "role_arn", "not the ARN of a role"),
    (sts(external_id=""), "external_id", "External ID is missing"),
    (sts(external_id="a b"), "external_id", "a character that AWS does not allow"),
    (sts(account="12"), "account", "12 digits"),
    (sts(access_key=""), "access_key", "access key is missing"),
    (sts(sign_in="root"), "sign_in", "valid choice"),
    (google(service_account=""), "service_account", "JSON key is missing"),
    (google(service_account="<html>"), "service_account", "web page"),
    (google(service_account='{"type": "authorized_user"}'), "service_account", "person's own sign-in"),
    (google(service_account='{"type": "external_account"}'), "service_account", "nothing can be signed"),
    (google(service_account=KEY[:300]), "service_account", "not JSON, or not all of it"),
    (google(service_account="x" * 40_000), "service_account", "at most 32768"),
    (google(service_account=key_file("https://evil.example/token")), "service_account", "token_uri"),
    (google(bucket="gs://b"), "bucket", "not the name of a bucket"),
]


@pytest.mark.parametrize(("fields", "field", "said"), MISTAKES)
def test_mistakes_are_said_at_their_field_and_nothing_is_lost(
    alices: Client, project: Project, sent: SENT, fields: dict[str, Any], field: str, said: str
) -> None:
    response = no_secret(alices.post(add_url(project), filled(**fields)))
    assert response.status_code == 422
    assert said in error_at(response, field)
    assert sent == []
    assert PRIVATE not in text(response)
    typed = as_shown(response)
    for name in {"name", "bucket", "provider", "external_id"} - {field}:
        assert typed[name] == filled(**fields)[name]


def test_another_card_takes_nothing_along(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project, **sts(provider="s3", s3_url="https://minio.example.com", service_account=KEY))
    plain = {name: drafted(check)[name] for name in ("sign_in", "role_arn", "external_id", "credentials")}
    keys = {"access_key": ACCESS, "secret_key": SECRET}
    assert plain == {"sign_in": "keys", "role_arn": "", "external_id": "", "credentials": keys}
    page = alices.get(draft_url(check))
    assert as_shown(page)["role_arn"] == ROLE  # it is there again when the card is
    alices.post(draft_url(check), as_shown(page) | {"do": "validate", "provider": "gcp"})
    second = LocationCheck.objects.order_by("created_at").last()
    assert second is not None
    fields = {name: drafted(second)[name] for name in ("provider", "region", "s3_url", "role_arn")}
    assert fields == {"provider": "gcp", "region": "", "s3_url": "", "role_arn": ""}
    assert set(drafted(second)["credentials"]) == {"service_account"}


# Google Cloud


@pytest.mark.parametrize("upload", [False, True])
def test_google_cloud_with_a_key_pasted_or_uploaded(alices: Client, project: Project, sent: SENT, upload: bool) -> None:
    odd = json.dumps(json.loads(KEY) | {"unheard_of": "x"})
    file = {
        "service_account": "",
        "service_account_file": SimpleUploadedFile("key.json", b"\xef\xbb\xbf" + odd.encode()),
    }
    check = validated(alices, project, **google(**(file if upload else {"service_account": odd})))
    stored = json.loads(drafted(check)["credentials"]["service_account"])
    assert stored == {name: value for name, value in json.loads(KEY).items() if name != "universe_domain"}
    page = no_secret(alices.get(draft_url(check)))
    assert f"Set: {EMAIL}" in text(page)
    assert PRIVATE not in text(page)
    end(check, *STEPS)
    page = alices.get(draft_url(check))
    alices.post(draft_url(check), as_shown(page) | {"do": "save"})
    location = BackupLocation.objects.get()
    assert (location.provider, location.sign_in, location.region) == ("gcp", "service-account", "")
    location.full_clean()
    detail = text(no_secret(alices.get(reverse("location_detail", args=[location.pk]))))
    assert "Google Cloud" in detail
    assert PRIVATE not in detail
    assert "Force S3 path style" not in detail
    assert "Google Cloud" in text(alices.get(reverse("location_list", args=[project.pk])))


# Beside the form


def test_trust_policy_names_the_account_and_requires_the_external_id(
    alices: Client, project: Project, sent: SENT
) -> None:
    page = alices.get(draft_url(validated(alices, project, **sts())))
    trust = json.loads(shown(page, "policy-trust"))["Statement"][0]
    assert trust["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": "drydock-1"}}
    assert trust["Action"] == "sts:AssumeRole"
    assert json.loads(shown(page, "policy-assume"))["Statement"][0]["Resource"] == ROLE
    policy = json.loads(shown(page, "policy-aws"))
    assert policy["Statement"][1]["Resource"] == "arn:aws:s3:::harbor-backups/*"
    command = shown(page, "try-sts")
    assert f"--role-arn {ROLE}" in command
    assert "--external-id drydock-1" in command


def test_other_parts_of_aws_have_their_own_names(alices: Client, project: Project, sent: SENT) -> None:
    role = "arn:aws-cn:iam::111122223333:role/velero"
    page = alices.get(draft_url(validated(alices, project, **sts(role_arn=role, region="cn-north-1"))))
    assert "arn:aws-cn:iam::" in shown(page, "policy-trust")
    assert json.loads(shown(page, "policy-aws"))["Statement"][1]["Resource"] == "arn:aws-cn:s3:::harbor-backups/*"
    keys = {"role_arn": "", "sign_in": "keys", "region": "us-gov-west-1"}
    page = alices.get(draft_url(validated(alices, project, **sts(**keys))))
    assert "arn:aws-us-gov:s3:::" in shown(page, "policy-aws")
    assert "arn:aws:s3:::" in shown(page, "policy-s3")


def test_google_role_and_commands(alices: Client, project: Project, sent: SENT) -> None:
    empty = alices.get(add_url(project))
    assert "serviceAccount:SERVICE-ACCOUNT-EMAIL" in shown(empty, "role-gcp")
    page = alices.get(draft_url(validated(alices, project, **google())))
    assert "gs://harbor-backups " in shown(page, "role-gcp")
    assert f"--member=serviceAccount:{EMAIL}" in shown(page, "role-gcp")
    assert "roles/storage.admin" in shown(page, "role-gcp")
    assert "gcloud storage ls gs://harbor-backups/drydock/" in shown(page, "try-gcp")


def test_what_is_typed_is_quoted_for_its_place(alices: Client, project: Project, sent: SENT) -> None:
    odd = {"role_arn": "arn:$(id)", "external_id": "\"'x", "account": '1"2', "bucket": "b'\"$"}
    page = no_secret(alices.post(add_url(project), filled(**sts(**odd))))
    assert json.loads(shown(page, "policy-trust"))["Statement"][0]["Condition"]["StringEquals"] == {
        "sts:ExternalId": "\"'x"
    }
    assert "--role-arn 'arn:$(id)'" in shown(page, "try-sts")
    assert """--external-id '"'"'"'x'""" in shown(page, "try-sts")
    assert json.loads(shown(page, "policy-assume"))["Statement"][0]["Resource"] == "arn:$(id)"
    assert """'gs://b'"'"'"$'""" in shown(page, "role-gcp")
