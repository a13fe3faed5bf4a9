"""Project Settings > Backup locations > Add a New Backup location."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, User
from backups.actions import location_draft as drafts
from backups.models import BackupLocation, LocationCheck
from backups.reconcile.location_draft import purge_drafts
from tests.conftest import make_location
from tests.fakes.pki import Authority
from tests.web.locations import (
    ACCESS,
    REFUSED,
    SECRET,
    SENT,
    STEPS,
    WRONG,
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


# Adding one


def test_form_offers_its_defaults_and_help(alices: Client, project: Project) -> None:
    response = alices.get(add_url(project))
    body = text(response)
    assert f"drydock/{project.pk}" in body
    assert "location_draft" not in body
    assert LocationCheck.objects.count() == 0
    policy = json.loads(shown(response, "policy-aws"))
    assert [statement["Resource"] for statement in policy["Statement"]] == [
        "*",
        "arn:aws:s3:::BUCKET/*",
        "arn:aws:s3:::BUCKET",
    ]
    assert "ec2:CreateSnapshot" in policy["Statement"][0]["Action"]


def test_validate_sends_what_was_typed(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project)
    assert sent == [("backups.jobs.check_location", str(check.pk), 0, "interactive")]
    assert check.draft is not None
    tried = {name: check.draft[name] for name in ("provider", "bucket", "region", "s3_url", "path_style", "prefix")}
    assert tried == {
        "provider": "aws",
        "bucket": "harbor-backups",
        "region": "us-east-1",
        "s3_url": "https://minio.example.com:9000",
        "path_style": True,
        "prefix": f"drydock/{project.pk}",
    }
    assert check.draft["credentials"] == {"access_key": ACCESS, "secret_key": SECRET}


def test_steps_appear_as_they_are_known(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project)
    first = alices.get(draft_url(check), headers={"Live": "1"})
    assert first["Live-Interval"] == "300"
    assert "check-endpoint" in text(first)
    assert re.search(r'class="running" id="check-endpoint"', text(first))
    assert re.search(r'class="waiting" id="check-unoccupied"', text(first))
    assert save_is_off(first)
    end(check, *STEPS)
    after = alices.get(draft_url(check), headers={"Live": "1", "If-None-Match": first["ETag"]})
    assert (after.status_code, after["Live-Interval"]) == (200, "5000")
    assert re.search(r'class="passed" id="check-endpoint"', text(after))
    assert not save_is_off(after)


def test_save_makes_what_was_validated(alices: Client, alice: User, project: Project, sent: SENT) -> None:
    check = validated(alices, project)
    end(check, *STEPS)
    response = alices.post(draft_url(check), filled(do="save", access_key="", secret_key=""), follow=True)
    location = BackupLocation.objects.get()
    assert response.redirect_chain[0][0] == reverse("location_detail", args=[location.pk])
    assert (location.name, location.state, location.project) == ("minio", "available", project)
    assert location.credentials == {"access_key": ACCESS, "secret_key": SECRET}
    assert "The backup location minio was added." in text(response)
    check.refresh_from_db()
    assert (check.location, check.draft) == (location, None)


def test_wrong_keys_then_right_ones_with_nothing_retyped(alices: Client, project: Project, sent: SENT) -> None:
    first = validated(alices, project, secret_key=WRONG, bucket="my-bucket", name="my store")
    end(first, *STEPS, REFUSED)
    page = no_secret(alices.get(draft_url(first)))
    body = text(page)
    assert REFUSED["cause"] in body
    assert REFUSED["remedy"] in body
    for typed in ("my store", "my-bucket", "https://minio.example.com:9000"):
        assert f'value="{typed}"' in body
    assert body.count("secret-set") == 2
    again = alices.post(draft_url(first), as_shown(page) | {"do": "validate", "secret_key": SECRET})
    second = LocationCheck.objects.exclude(pk=first.pk).get()
    assert again["Location"] == f"{draft_url(second)}#validation"
    end(second, *STEPS)
    page = no_secret(alices.get(draft_url(second)))
    saved = alices.post(draft_url(second), as_shown(page) | {"do": "save"})
    location = BackupLocation.objects.get()
    assert saved["Location"] == reverse("location_detail", args=[location.pk])
    assert (location.name, location.bucket) == ("my store", "my-bucket")
    assert location.credentials == {"access_key": ACCESS, "secret_key": SECRET}
    assert not LocationCheck.objects.filter(pk=first.pk).exists()  # its draft held a key


def test_secrets_survive_a_mistake_in_another_field(alices: Client, project: Project, sent: SENT) -> None:
    response = no_secret(alices.post(add_url(project), filled(bucket="s3://x/y")))
    assert response.status_code == 422
    body = text(response)
    assert "This is not the name of a bucket." in body
    assert 'value="s3://x/y"' in body
    assert body.count("secret-set") == 2
    kept = LocationCheck.objects.get()
    assert f'action="{draft_url(kept)}"' in body
    assert sent == []
    fixed = alices.post(draft_url(kept), as_shown(response) | {"do": "validate", "bucket": "right"})
    assert fixed.status_code == 302
    check = LocationCheck.objects.exclude(pk=kept.pk).get()
    assert check.draft is not None
    assert check.draft["credentials"] == {"access_key": ACCESS, "secret_key": SECRET}


def test_many_mistakes_keep_one_draft(alices: Client, project: Project, sent: SENT) -> None:
    url = add_url(project)
    for _ in range(3):
        response = alices.post(url, filled(name=""))
        assert "This field is required." in text(response)
        url = draft_url(LocationCheck.objects.get())


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"name": ""}, "name", "required"),
        ({"bucket": ""}, "bucket", "required"),
        ({"bucket": "a b"}, "bucket", "not the name of a bucket"),
        ({"s3_url": ""}, "s3_url", "Write the address of your store"),
        ({"s3_url": "minio.example.com"}, "s3_url", "The S3 URL is not one"),
        ({"s3_url": "https://minio.example.com/bucket"}, "s3_url", "behind the host"),
        ({"provider": "aws", "region": "", "s3_url": ""}, "region", "region is missing"),
        ({"region": "not a region"}, "region", "not the name of one"),
        ({"configuration": "region=us-east-1,s3url"}, "configuration", "is not a part of it"),
        ({"configuration": "region=eu-west-1", "region": "eu-west-2"}, "configuration", "say different things"),
        ({"certificate": "no certificate"}, "certificate", "not a certificate in PEM form"),
        ({"access_key": ""}, "access_key", "access key is missing"),
        ({"secret_key": "  "}, "secret_key", "secret key is missing"),
        ({"secret_key": "a b"}, "secret_key", "holds blanks"),
        ({"prefix": "a//b"}, "prefix", "The prefix cannot be used"),
        ({"provider": "azure"}, "provider", "valid choice"),
    ],
)
def test_bad_input_is_said_at_its_field(
    alices: Client, project: Project, sent: SENT, changes: dict[str, str], field: str, said: str
) -> None:
    response = no_secret(alices.post(add_url(project), filled(**changes)))
    assert response.status_code == 422
    error = re.search(rf'id="id_{field}_error">(.*?)</div>', text(response), re.DOTALL)
    assert error, f"no error at {field}"
    assert said in error.group(1)
    assert 'value="minio"' in text(response) or field == "name"
    assert sent == []


def test_line_and_fields_are_in_step(alices: Client, project: Project, sent: SENT) -> None:
    line = "region=eu-west-1,s3ForcePathStyle=true,s3Url=http://store.example:9000/"
    check = validated(alices, project, region="", path_style="", s3_url="", configuration=line)
    assert check.draft is not None
    assert (check.draft["region"], check.draft["path_style"]) == ("eu-west-1", True)
    assert check.draft["s3_url"] == "http://store.example:9000"
    shown_line = "region=eu-west-1,s3ForcePathStyle=true,s3Url=http://store.example:9000"
    page = alices.get(draft_url(check))
    assert f'value="{shown_line}"' in text(page)
    # then a field alone is changed, then the line alone
    alices.post(draft_url(check), as_shown(page) | {"do": "validate", "region": "eu-west-2"})
    second = LocationCheck.objects.order_by("created_at").last()
    assert second and second.draft
    assert second.draft["region"] == "eu-west-2"
    page = alices.get(draft_url(second))
    assert "region=eu-west-2," in text(page)
    changed = as_shown(page)["configuration"].replace("=true", "=false")
    alices.post(draft_url(second), as_shown(page) | {"do": "validate", "configuration": changed})
    third = LocationCheck.objects.order_by("created_at").last()
    assert third and third.draft
    assert third.draft["path_style"] is False


def test_store_without_regions_gets_one(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project, region="")
    assert check.draft is not None
    assert check.draft["region"] == "us-east-1"


def test_certificate_can_be_uploaded(alices: Client, project: Project, sent: SENT) -> None:
    pem = Authority("Harbor CA").certificate.decode()
    upload = SimpleUploadedFile("ca.pem", pem.encode())
    check = validated(alices, project, certificate_file=upload)
    assert check.draft is not None
    assert check.draft["ca_certificate"].strip() == pem.strip()
    assert pem.strip().splitlines()[1] in text(alices.get(draft_url(check)))


def test_uploaded_certificate_is_kept_through_a_mistake(alices: Client, project: Project, sent: SENT) -> None:
    pem = Authority("Harbor CA").certificate.decode()
    upload = SimpleUploadedFile("ca.pem", pem.encode())
    response = alices.post(add_url(project), filled(certificate_file=upload, name=""))
    assert response.status_code == 422
    assert pem.strip().splitlines()[1] in text(response)


def test_private_key_among_certificates_is_neither_kept_nor_shown(alices: Client, project: Project, sent: SENT) -> None:
    pasted = "-----BEGIN PRIVATE KEY-----\nplanted-storage-secret\n-----END PRIVATE KEY-----"
    response = no_secret(alices.post(add_url(project), filled(certificate=pasted)))
    assert "There is a private key among the certificates." in text(response)
    assert drafts.typed_in(LocationCheck.objects.get())["certificate"] == ""


def test_taken_name_is_said_before_anything_is_tried(
    alices: Client, project: Project, store: BackupLocation, sent: SENT
) -> None:
    response = alices.post(add_url(project), filled(name="store"))
    assert "A location of this name is in the project already." in text(response)
    assert sent == []


def test_taken_place_is_said_at_the_prefix(alices: Client, project: Project, sent: SENT) -> None:
    place = {"bucket": "harbor-backups", "s3_url": "https://minio.example.com:9000", "prefix": "drydock/here"}
    make_location(project, "first", **place)
    response = alices.post(add_url(project), filled(prefix="/drydock/here/"))
    assert "The location first uses this bucket and prefix already." in text(response)
    assert re.search(r'<details class="card fold" open>', text(response))


def test_validating_twice_at_once_is_one_check(alices: Client, project: Project, sent: SENT) -> None:
    for _ in range(2):
        alices.post(add_url(project), filled())
    assert LocationCheck.objects.count() == 1
    assert len(sent) == 1


def test_saving_twice_makes_one_location(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project)
    end(check, *STEPS)
    answers = [alices.post(draft_url(check), filled(do="save")) for _ in range(2)]
    location = BackupLocation.objects.get()
    assert {answer["Location"] for answer in answers} == {reverse("location_detail", args=[location.pk])}
    assert AuditEvent.objects.filter(verb="location.create").count() == 1


def test_save_before_the_check_has_passed_is_refused(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project)
    for steps in ((), (REFUSED,)):
        if steps:
            end(check, *steps)
        response = alices.post(draft_url(check), filled(do="save"))
        assert response.status_code == 422
        assert "Validate the location first" in text(response)
    assert not BackupLocation.objects.exists()


@pytest.mark.parametrize(
    "changes", [{"bucket": "another"}, {"secret_key": WRONG}, {"prefix": "elsewhere"}, {"path_style": ""}]
)
def test_save_of_something_else_is_validated_first(
    alices: Client, project: Project, sent: SENT, changes: dict[str, str]
) -> None:
    check = validated(alices, project)
    end(check, *STEPS)
    response = alices.post(draft_url(check), filled(do="save", **changes), follow=True)
    assert "Something was changed since it was validated" in text(response)
    assert not BackupLocation.objects.exists()
    assert len(sent) == 2


def test_name_alone_may_change_after_validation(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project)
    end(check, *STEPS)
    alices.post(draft_url(check), filled(do="save", name="another name"))
    assert BackupLocation.objects.get().name == "another name"


def test_taken_name_at_save_keeps_what_was_validated(
    alices: Client, project: Project, store: BackupLocation, sent: SENT
) -> None:
    check = validated(alices, project)
    end(check, *STEPS)
    response = no_secret(alices.post(draft_url(check), filled(do="save", name="store")))
    assert response.status_code == 422
    assert "A location of this name is in the project already." in text(response)
    assert not save_is_off(response)
    assert alices.post(draft_url(check), filled(do="save", name="free")).status_code == 302


def test_save_anyway_is_recorded(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project)
    end(check, *STEPS, REFUSED)
    assert "Save anyway" in text(alices.get(draft_url(check)))
    response = no_secret(alices.post(draft_url(check), filled(do="save_anyway"), follow=True))
    location = BackupLocation.objects.get()
    assert location.state == "unknown"
    assert "Saved without passing validation" in text(response)
    assert AuditEvent.objects.get(verb="location.create").details["validated"] is False


def test_form_that_was_only_kept_cannot_be_saved(alices: Client, project: Project, sent: SENT) -> None:
    alices.post(add_url(project), filled(name=""))
    kept = LocationCheck.objects.get()
    response = alices.post(draft_url(kept), filled(do="save_anyway"), follow=True)
    assert not BackupLocation.objects.exists()
    assert "validated once more" in text(response)


def test_unfinished_draft_is_offered_after_signing_in_again(
    client: Client, alice: User, project: Project, sent: SENT
) -> None:
    client.force_login(alice)
    check = validated(client, project)
    client.logout()
    lost = client.post(draft_url(check), filled())
    assert lost["Location"].startswith(reverse("login"))
    client.force_login(alice)
    assert draft_url(check) in text(client.get(add_url(project)))
    assert 'value="harbor-backups"' in text(no_secret(client.get(draft_url(check))))


def test_discarded_draft_is_gone(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project)
    response = alices.post(draft_url(check), filled(do="discard"))
    assert response["Location"] == reverse("location_list", args=[project.pk])
    assert not LocationCheck.objects.exists()


def test_old_drafts_are_purged(
    alices: Client, alice: User, project: Project, store: BackupLocation, sent: SENT
) -> None:
    old, young = validated(alices, project), validated(alices, project, bucket="other")
    drafts.recheck(by=alice, location=store)
    LocationCheck.objects.filter(location=store).update(created_at=timezone.now() - timedelta(days=9))
    LocationCheck.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=25))
    assert purge_drafts() == 1
    assert set(LocationCheck.objects.values_list("location", flat=True)) == {None, store.pk}
    assert LocationCheck.objects.filter(pk=young.pk).exists()


def test_commands_never_hold_a_key_and_quote_what_was_typed(alices: Client, project: Project, sent: SENT) -> None:
    response = no_secret(alices.post(add_url(project), filled(bucket="it's; rm -rf /", prefix="p")))
    assert "aws s3 ls s3://'it'\"'\"'s; rm -rf //p/'" in shown(response, "try-aws")
    policy = json.loads(shown(response, "policy-s3"))
    assert policy["Statement"][0]["Resource"] == "arn:aws:s3:::it's; rm -rf //*"


def test_what_is_typed_is_kept_before_it_is_complete(alices: Client, project: Project, sent: SENT) -> None:
    url = add_url(project)
    for typed in ({"name": "half"}, {"name": "half", "bucket": "a b", "secret_key": SECRET}):
        answer = no_secret(alices.post(url, filled(do="keep") | {"access_key": "", "secret_key": ""} | typed))
        assert answer.status_code == 204
        url = answer["Draft-Location"]
    assert url == draft_url(LocationCheck.objects.get())
    body = text(no_secret(alices.get(url)))
    assert 'value="half"' in body
    assert 'value="a b"' in body
    assert body.count("secret-set") == 1
    assert sent == []


def test_keeping_what_was_validated_changes_nothing(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project)
    end(check, *STEPS)
    same = alices.post(draft_url(check), filled(do="keep", name="another name", secret_key=""))
    assert same["Draft-Location"] == draft_url(check)
    changed = alices.post(draft_url(check), filled(do="keep", bucket="another"))
    assert changed["Draft-Location"] != draft_url(check)
    assert save_is_off(alices.get(changed["Draft-Location"]))
