"""A backup location's own page and menu: editing it, which clusters are behind, its checks, deleting it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Tenant, User
from accounts.roles import ProjectViewer
from backups.actions.backup import request_backup
from backups.models import BackupLocation, LocationChange, LocationCheck, PlacedLocation
from tests.conftest import make_cluster, make_location
from tests.people import person
from tests.web.locations import REFUSED, SECRET, SENT, STEPS, as_shown, end, no_secret, place, text
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.usefixtures("commits_at_once", "sent")


@pytest.fixture
def store(project: Project) -> BackupLocation:
    return make_location(project, s3_url="https://minio.example.com:9000", path_style=True)


def url(name: str, *args: object) -> str:
    return reverse(name, args=[getattr(each, "pk", each) for each in args])


def posted(client: Client, store: BackupLocation, check: LocationCheck | None = None, **changes: str) -> LocationCheck:
    """*Validate* on what the page shows, with something changed."""
    where = url("location_edit_draft", store, check) if check else url("location_edit", store)
    shown = as_shown(client.get(where))
    before = set(LocationCheck.objects.values_list("pk", flat=True))
    response = client.post(where, shown | {"do": "validate"} | changes)
    assert response.status_code == 302, text(response)
    made: LocationCheck = LocationCheck.objects.exclude(pk__in=before).get()
    assert response["Location"] == url("location_edit_draft", store, made) + "#validation"
    return made


class TestEditing:
    def test_keys_left_blank_stay(self, alices: Client, store: BackupLocation, east: Cluster) -> None:
        place(store, east, credentials_version=1)
        body = text(no_secret(alices.get(url("location_edit", store))))
        assert body.count("It is never shown. Leave this blank to keep it.") == 2
        check = posted(alices, store, region="eu-west-1")
        assert check.draft is not None
        assert check.draft["credentials"] == {"access_key": "AKIAPLANTED", "secret_key": SECRET}
        end(check, *STEPS)
        where = url("location_edit_draft", store, check)
        shown = no_secret(alices.get(where))
        response = alices.post(where, as_shown(shown) | {"do": "save"}, follow=True)
        assert "The backup location store was changed." in text(response)
        saved = BackupLocation.objects.get()
        assert (saved.region, saved.credentials["secret_key"], saved.credentials_version) == ("eu-west-1", SECRET, 2)
        assert alices.get(where)["Location"] == url("location_detail", store)

    def test_what_is_tried_shows_its_steps(self, alices: Client, store: BackupLocation) -> None:
        check = posted(alices, store, region="eu-west-1")
        end(check, REFUSED)
        live = alices.get(url("location_edit_draft", store, check), headers={"Live": "1"})
        assert REFUSED["cause"] in text(no_secret(live))
        assert "<html" not in text(live)

    def test_another_name_needs_no_validation(self, alices: Client, store: BackupLocation) -> None:
        shown = as_shown(alices.get(url("location_edit", store)))
        alices.post(url("location_edit", store), shown | {"name": "renamed", "do": "save"})
        assert BackupLocation.objects.get().name == "renamed"
        assert LocationCheck.objects.count() == 0

    def test_save_of_what_was_not_tried_tries_it(self, alices: Client, store: BackupLocation) -> None:
        shown = as_shown(alices.get(url("location_edit", store)))
        alices.post(url("location_edit", store), shown | {"region": "eu-west-1", "do": "save"})
        assert (BackupLocation.objects.get().region, LocationCheck.objects.count()) == ("us-east-1", 1)

    def test_the_place_is_shown_and_a_posted_change_refused(
        self, alices: Client, store: BackupLocation, east: Cluster
    ) -> None:
        place(store, east)
        page = alices.get(url("location_edit", store))
        assert "Provider, bucket, prefix and S3 URL are fixed. Clusters write there already." in text(page)
        assert not re.search(r'<input[^>]*type="(text|radio)"[^>]*name="(bucket|prefix|s3_url|provider)"', text(page))
        for change in ({"bucket": "elsewhere"}, {"s3_url": "https://evil.example", "configuration": ""}):
            # the keys are typed again, or they would be missed first
            typed = {"access_key": "A", "secret_key": "B"}
            response = alices.post(url("location_edit", store), as_shown(page) | typed | change | {"do": "validate"})
            assert response.status_code == 422
            assert "cannot change any more. Clusters write there already." in text(response)
        assert not LocationCheck.objects.open().exists()

    def test_kept_keys_do_not_go_to_another_address(self, alices: Client, store: BackupLocation) -> None:
        shown = as_shown(alices.get(url("location_edit", store)))
        moved = {"s3_url": "https://evil.example", "configuration": "", "do": "validate"}
        response = alices.post(url("location_edit", store), shown | moved)
        assert response.status_code == 422
        assert "The secret key is missing." in text(response)
        assert SECRET not in str([row.draft for row in LocationCheck.objects.all()])

    def test_save_anyway_only_where_the_tenant_lets_people(
        self, alices: Client, tenant: Tenant, store: BackupLocation
    ) -> None:
        check = posted(alices, store, region="eu-west-1")
        end(check, REFUSED)
        where = url("location_edit_draft", store, check)
        page = alices.get(where)
        assert 'value="save_anyway"' in text(page)
        Tenant.objects.update(unvalidated_location_by="nobody")
        assert 'value="save_anyway"' not in text(alices.get(where))
        response = alices.post(where, as_shown(page) | {"do": "save_anyway"})
        assert (response.status_code, BackupLocation.objects.get().region) == (422, "us-east-1")
        assert "Your organisation does not let anybody" in text(response)
        Tenant.objects.update(unvalidated_location_by="admins")
        alices.post(where, as_shown(page) | {"do": "save_anyway"})
        assert BackupLocation.objects.get().region == "eu-west-1"

    def test_an_unfinished_edit_is_taken_up_again(self, alices: Client, store: BackupLocation) -> None:
        check = posted(alices, store, region="eu-west-1")
        assert url("location_edit_draft", store, check) in text(alices.get(url("location_edit", store)))
        response = alices.post(url("location_edit_draft", store, check), {"do": "discard"})
        assert response["Location"] == url("location_detail", store)
        assert LocationCheck.objects.count() == 0

    def test_not_while_it_is_being_deleted(self, alices: Client, store: BackupLocation) -> None:
        BackupLocation.objects.update(deleting_at=timezone.now())
        assert alices.get(url("location_edit", store))["Location"] == url("location_detail", store)


class TestDetail:
    def test_which_clusters_are_behind(
        self, alices: Client, store: BackupLocation, east: Cluster, west: Cluster
    ) -> None:
        place(store, east, credentials_version=2, put_at=timezone.now())
        place(store, west, credentials_version=1, behind_since=timezone.now() - timedelta(hours=2))
        BackupLocation.objects.update(credentials_version=2)
        LocationChange.objects.create(location=store, cluster=west, kind="roll_out", message="It does not answer.")
        body = text(alices.get(url("location_detail", store)))
        assert "1 cluster has not heard yet of what was changed here." in body
        for said in ("Up to date", "Being updated", "It does not answer.", url("location_retry", store, west)):
            assert said in body
        assert url("location_retry", store, east) not in body
        assert ">behind</span>" in text(alices.get(url("location_list", store.project)))
        assert alices.get(url("location_detail", store), headers={"Live": "1"})["Live-Interval"] == "300"

    def test_retry(self, alices: Client, store: BackupLocation, east: Cluster, sent: SENT) -> None:
        place(store, east, credentials_version=1)
        response = alices.post(url("location_retry", store, east))
        assert response["Location"] == url("location_detail", store)
        change = LocationChange.objects.get()
        assert sent == [("backups.jobs.change_location", str(change.pk), 0, "slow")]
        other = make_cluster(Project.objects.create(tenant=store.project.tenant, name="Other"), "other")
        assert alices.post(url("location_retry", store, other)).status_code == 404

    def test_since_when_it_is_unavailable_and_the_last_checks(self, alices: Client, store: BackupLocation) -> None:
        since = timezone.now() - timedelta(hours=3)
        BackupLocation.objects.update(state="unavailable", state_reason="No bucket.", unavailable_since=since)
        done = {"project": store.project, "location": store, "finished_at": timezone.now()}
        LocationCheck.objects.create(**done, state="failed", message="No bucket.", look_only=True)
        LocationCheck.objects.create(**done, state="completed", requested_by_name="alice")
        for name, where in (("location_detail", store), ("location_list", store.project)):
            assert "3 h ago" in text(alices.get(url(name, where)))
        body = text(alices.get(url("location_detail", store)))
        for said in ("Last checks", "Looked, up to the listing", "Every step", "alice", "No bucket."):
            assert said in body


class TestDeleting:
    def test_what_uses_it_is_listed(self, alices: Client, alice: User, store: BackupLocation, east: Cluster) -> None:
        request_backup(by=alice, cluster=east, location=store, name="first", keep_for=timedelta(days=1))
        page = alices.get(url("location_delete", store))
        assert "This location cannot be deleted yet" in text(page)
        assert re.search(rf'href="{url("cluster_backups", east)}">harbor-east</a>: 1 backup<', text(page))
        assert 'name="typed_name"' not in text(page)
        assert alices.post(url("location_delete", store), {"typed_name": "store"}).status_code == 422
        assert BackupLocation.objects.get().deleting_at is None

    def test_by_typing_its_name(self, alices: Client, store: BackupLocation) -> None:
        assert alices.post(url("location_delete", store), {"typed_name": "other"}).status_code == 422
        response = alices.post(url("location_delete", store), {"typed_name": "store"}, follow=True)
        assert "The backup location store is deleted. The bucket was not touched." in text(response)
        assert alices.get(url("location_detail", store)).status_code == 404
        assert "No backup location yet" in text(alices.get(url("location_list", store.project)))

    def test_progress_is_shown_by_cluster(
        self, alices: Client, store: BackupLocation, east: Cluster, west: Cluster
    ) -> None:
        for cluster in (east, west):
            place(store, cluster, credentials_version=1)
        alices.post(url("location_delete", store), {"typed_name": "store"})
        LocationChange.objects.filter(cluster=west).update(message="It does not answer.")
        body = text(alices.get(url("location_detail", store)))
        assert "Being deleted" in body
        assert url("location_forget", store, west) in body
        assert url("location_forget", store, east) not in body, "it has not been tried"
        assert url("location_edit", store) not in body
        assert "Deleting" in text(alices.get(url("location_list", store.project)))
        alices.post(url("location_forget", store, east))
        assert PlacedLocation.objects.count() == 2
        alices.post(url("location_forget", store, west))
        assert PlacedLocation.objects.get().cluster == east
        assert "Left there" in text(alices.get(url("location_detail", store)))

    def test_the_last_one_left_ends_it(self, alices: Client, store: BackupLocation, east: Cluster) -> None:
        place(store, east, credentials_version=1)
        alices.post(url("location_delete", store), {"typed_name": "store"})
        LocationChange.objects.update(message="It does not answer.")
        assert alices.post(url("location_forget", store, east))["Location"] == url("location_list", store.project)
        assert not BackupLocation.objects.exists()


def test_menu_is_for_those_who_may(client: Client, alices: Client, project: Project, store: BackupLocation) -> None:
    names = ("location_edit", "location_delete", "location_recheck")
    body = text(alices.get(url("location_list", project)))
    assert all(url(name, store) in body for name in names)
    client.force_login(person(role=ProjectViewer, on=project))
    for where in (url("location_list", project), url("location_detail", store)):
        body = text(client.get(where))
        assert not any(url(name, store) in body for name in names)
    for name in names[:2]:
        assert client.get(url(name, store)).status_code == 403
