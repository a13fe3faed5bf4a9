"""Project Settings > Backup locations: the list, one location, who may see them."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.actions import add_tenant_admin
from accounts.models import Tenant, User
from backups.actions import location_draft as drafts
from backups.actions.location import create_location, request_check
from backups.models import BackupLocation, LocationCheck
from tests.conftest import PASSWORD, make_cluster, make_location
from tests.fakes.pki import Authority
from tests.web.locations import (
    REFUSED,
    SENT,
    STEPS,
    add_url,
    draft_url,
    end,
    filled,
    no_secret,
    place,
    same_page,
    text,
    validated,
)
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.usefixtures("commits_at_once")


# The list


def test_settings_lead_to_the_locations(alices: Client, project: Project) -> None:
    response = alices.get(reverse("project_settings", args=[project.pk]))
    assert response.status_code == 302
    assert response["Location"] == reverse("location_list", args=[project.pk])


def test_empty_list_says_what_a_location_is(alices: Client, project: Project) -> None:
    body = text(alices.get(reverse("location_list", args=[project.pk])))
    assert "A backup location is a bucket" in body
    assert add_url(project) in body


def test_list_shows_both_sides(alices: Client, project: Project, east: Cluster, store: BackupLocation) -> None:
    place(store, east, phase="Unavailable", message="The bucket is not there.")
    make_location(project, "spare", bucket="spare", state="unavailable", state_reason="The secret key is wrong.")
    make_location(project, "untried", bucket="untried", state="unknown")
    body = text(no_secret(alices.get(reverse("location_list", args=[project.pk]))))
    for said in ("Available", "Unavailable", "The secret key is wrong.", "The bucket is not there.", "Not checked"):
        assert said in body
    assert body.count("Never used") == 2
    assert "harbor-east" in body


@pytest.mark.parametrize(
    ("search", "found"), [("stor", {"store"}), ("SPARE", {"spare"}), ("minio", {"spare"}), ("zzz", set())]
)
def test_search(alices: Client, project: Project, store: BackupLocation, search: str, found: set[str]) -> None:
    make_location(project, "spare", bucket="spare-bucket", s3_url="https://minio.example.com")
    body = text(alices.get(reverse("location_list", args=[project.pk]), {"q": search}))
    assert {name for name in ("store", "spare") if f'">{name}</a>' in body} == found
    assert ("No location matches" in body) == (not found)


def test_list_is_live(alices: Client, alice: User, project: Project, store: BackupLocation, sent: SENT) -> None:
    url = reverse("location_list", args=[project.pk])
    idle = alices.get(url, headers={"Live": "1"})
    assert idle["Live-Interval"] == "5000"
    assert "<html" not in idle.content.decode()
    drafts.recheck(by=alice, location=store)
    busy = alices.get(url, headers={"Live": "1", "If-None-Match": idle["ETag"]})
    assert (busy.status_code, busy["Live-Interval"]) == (200, "300")
    assert "Validating" in text(busy)


def test_list_costs_the_same_for_many(
    alices: Client, project: Project, django_assert_max_num_queries: Any, east: Cluster
) -> None:
    for number in range(30):
        place(make_location(project, f"store-{number:02}", bucket=f"b{number}"), east)
    alices.get(reverse("location_list", args=[project.pk]))  # the session learns which project one is in
    with django_assert_max_num_queries(10):
        body = text(alices.get(reverse("location_list", args=[project.pk])))
    assert "of 30 locations" in body


# One location


def test_detail_shows_everything_but_the_keys(
    alices: Client, project: Project, east: Cluster, west: Cluster, store: BackupLocation
) -> None:
    store.ca_certificate = Authority("Harbor CA").certificate.decode()
    store.save()
    place(store, east, phase="Available")
    place(store, west, source=east, phase="Unavailable", message="The keys are not accepted.")
    body = text(no_secret(alices.get(reverse("location_detail", args=[store.pk]))))
    for said in ("backups", store.prefix, "us-east-1", "Harbor CA", "The keys are not accepted.", "harbor-west"):
        assert said in body
    assert "Reads the backups of harbor-east" in body
    assert "Writes its backups" in body
    assert f">…/{east.uid}<" in body
    assert re.search(r"Secret key</dt><dd>Set", body)


def test_detail_counts_backups(
    alices: Client, alice: User, project: Project, east: Cluster, store: BackupLocation, sent: SENT
) -> None:
    from backups.actions.backup import request_backup

    request_backup(by=alice, cluster=east, location=store, name="first", keep_for=timedelta(days=1))
    body = text(alices.get(reverse("location_detail", args=[store.pk])))
    assert re.search(r"Backups</dt><dd>1</dd>", body)
    assert "A backup was asked for" in body
    assert "Not asked yet" in body


def test_recheck_is_sent_once_and_shown(alices: Client, store: BackupLocation, sent: SENT) -> None:
    for _ in range(2):
        response = alices.post(reverse("location_recheck", args=[store.pk]))
        assert response["Location"] == reverse("location_detail", args=[store.pk])
    check = LocationCheck.objects.get()
    assert len(sent) == 1
    page = alices.get(response["Location"], headers={"Live": "1"})
    assert page["Live-Interval"] == "300"
    assert "check-unoccupied" not in text(page)  # what is saved is ours
    end(check, REFUSED)
    BackupLocation.objects.update(state="unavailable", state_reason=REFUSED["cause"])
    page = alices.get(response["Location"])
    assert REFUSED["remedy"] in text(page)
    assert "The console cannot use this location" in text(page)


def test_detail_is_a_handful_of_queries(
    alices: Client, project: Project, store: BackupLocation, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        place(store, make_cluster(project, f"cluster-{number}"))
    alices.get(reverse("location_detail", args=[store.pk]))
    with django_assert_max_num_queries(13):
        alices.get(reverse("location_detail", args=[store.pk]))


def test_saved_draft_leads_to_its_location(alices: Client, project: Project, sent: SENT) -> None:
    check = validated(alices, project)
    end(check, *STEPS)
    alices.post(draft_url(check), filled(do="save"))
    assert alices.get(draft_url(check))["Location"] == reverse(
        "location_detail", args=[BackupLocation.objects.get().pk]
    )


# Who may


def every_url(project: Project, store: BackupLocation, check: LocationCheck) -> list[str]:
    own = [reverse(name, args=[project.pk]) for name in ("project_settings", "location_list", "location_create")]
    return [*own, draft_url(check), reverse("location_detail", args=[store.pk])]


def test_other_tenant_sees_nothing(
    client: Client, alice: User, charlie: User, project: Project, store: BackupLocation, sent: SENT
) -> None:
    client.force_login(alice)
    check = validated(client, project)
    client.force_login(charlie)
    nowhere = client.get(reverse("location_detail", args=[uuid.uuid4()]))
    for url in every_url(project, store, check):
        response = client.get(url)
        assert response.status_code == 404, url
        assert same_page(response) == same_page(nowhere)
    for url in (add_url(project), draft_url(check), reverse("location_recheck", args=[store.pk])):
        assert client.post(url, filled()).status_code == 404
    assert LocationCheck.objects.count() == 1


def test_draft_is_its_creators_only(client: Client, alice: User, tenant: Tenant, project: Project, sent: SENT) -> None:
    client.force_login(alice)
    check = validated(client, project)
    bob = add_tenant_admin(by=None, tenant=tenant, email="bob@harbor.example", password=PASSWORD)
    client.force_login(bob)
    assert client.get(draft_url(check)).status_code == 404
    assert client.post(draft_url(check), filled(do="save_anyway")).status_code == 404
    assert draft_url(check) not in text(client.get(add_url(project)))


def test_draft_of_another_project_is_not_here(alices: Client, tenant: Tenant, project: Project, sent: SENT) -> None:
    other = Project.objects.create(tenant=tenant, name="Other")
    check = validated(alices, project)
    assert alices.get(reverse("location_draft", args=[other.pk, check.pk])).status_code == 404


def test_stranger_signs_in_first(client: Client, project: Project, store: BackupLocation) -> None:
    check = LocationCheck.objects.create(project=project)
    for url in every_url(project, store, check):
        assert client.get(url)["Location"].startswith(reverse("login"))


def test_wrong_method(alices: Client, project: Project, store: BackupLocation) -> None:
    assert alices.get(reverse("location_recheck", args=[store.pk])).status_code == 405
    for url in (reverse("location_list", args=[project.pk]), reverse("location_detail", args=[store.pk])):
        assert alices.post(url).status_code == 405
    assert alices.put(add_url(project)).status_code == 405


def test_a_check_that_no_form_asked_for_is_no_draft_with_typing(alices: Client, alice: User, project: Project) -> None:
    """Such as the sandbox's own: a location made of it leaves nothing to go on with; before that it opens empty."""
    fields = {"bucket": "b", "region": "us-east-1", "credentials": {"access_key": "k", "secret_key": "s" * 20}}
    check = request_check(by=alice, project=project, **fields)
    assert alices.get(reverse("location_draft", args=[project.pk, check.pk])).status_code == 200
    create_location(by=alice, check=check, name="made", unvalidated=True)
    assert LocationCheck.objects.get(pk=check.pk).draft is None
    assert str(check.pk) not in alices.get(reverse("location_list", args=[project.pk])).text
