"""Editing a location: only what was tried, only its own place, only the latest; and who may save what did not pass."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, Tenant, User
from accounts.roles import ProjectViewer
from backups.actions import location_draft as drafts
from backups.actions.location import create_location, rename_location, update_location
from backups.actions.location_delete import delete_location
from backups.models import BackupLocation, LocationChange, LocationCheck, PlacedLocation
from console.lib.errors import BadInput, Forbidden, NotVisible
from tests.conftest import make_location
from tests.people import person
from workspaces.models import Cluster, Project

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sent")]


def typed(store: BackupLocation, **changes: Any) -> dict[str, Any]:
    return {**drafts.saved_as_typed(store), "external_id": "", **changes}


def tried(by: User, store: BackupLocation, state: str = "completed", **changes: Any) -> LocationCheck:
    """A draft of an edit whose check has ended."""
    check = drafts.validate(by=by, project=store.project, edits=store, typed=typed(store, **changes))
    LocationCheck.objects.filter(pk=check.pk).update(state=state, message="" if state == "completed" else "No bucket.")
    return LocationCheck.objects.get(pk=check.pk)  # type: ignore[no-any-return]


def place(store: BackupLocation, cluster: Cluster) -> PlacedLocation:
    where = {"location": store, "cluster": cluster, "source": cluster, "access": "ReadWrite"}
    return PlacedLocation.objects.create(
        **where, object_name=f"o-{cluster.name}", prefix="p", credentials_version=store.credentials_version
    )


def test_new_keys_are_saved_and_sent_to_every_cluster(
    alice: User, store: BackupLocation, east: Cluster, west: Cluster
) -> None:
    for cluster in (east, west):
        place(store, cluster)
    check = tried(alice, store, secret_key="planted-new", name="renamed")
    saved = drafts.save(by=alice, check=check, name="renamed")
    assert (saved.pk, saved.name, saved.credentials_version) == (store.pk, "renamed", 2)
    assert saved.credentials == {"access_key": "AKIAPLANTED", "secret_key": "planted-new"}
    assert LocationChange.objects.filter(kind="roll_out").count() == 2
    assert all(placed.is_behind and placed.behind_since for placed in PlacedLocation.objects.all())
    row = AuditEvent.objects.get(verb="location.update")
    assert row.details == {"changed": ["credentials", "name"], "validated": True}
    assert "planted" not in repr((row.target, row.details))
    assert drafts.save(by=alice, check=check, name="renamed") == saved, "asked for twice, done once"
    assert BackupLocation.objects.get().credentials_version == 2


def test_another_name_alone_reaches_no_cluster(alice: User, store: BackupLocation, east: Cluster) -> None:
    place(store, east)
    assert drafts.only_renames(store, typed(store, name="new"))
    rename_location(by=alice, location=store, name="new")
    assert (BackupLocation.objects.get().name, LocationChange.objects.count()) == ("new", 0)
    make_location(store.project, "taken", bucket="b")
    with pytest.raises(BadInput) as caught:
        rename_location(by=alice, location=store, name="taken")
    assert "already" in caught.value.message


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bucket": "elsewhere"}, "bucket"),
        ({"prefix": "elsewhere"}, "prefix"),
        ({"s3_url": "https://elsewhere.example"}, "s3_url"),
    ],
)
def test_the_place_is_fixed_once_it_is_used(
    alice: User, store: BackupLocation, east: Cluster, change: dict[str, str], field: str
) -> None:
    early = tried(alice, store, **change)
    place(store, east)
    with pytest.raises(BadInput) as caught:
        tried(alice, store, **change)
    assert caught.value.field == field
    assert "Clusters write there" in caught.value.message
    with pytest.raises(BadInput, match="cannot change"):
        drafts.save(by=alice, check=early, name="store")
    assert BackupLocation.objects.get().credentials_version == 1


def test_before_it_is_used_it_may_move(alice: User, store: BackupLocation) -> None:
    assert drafts.save(by=alice, check=tried(alice, store, bucket="elsewhere"), name="store").bucket == "elsewhere"


def test_an_edit_of_what_somebody_changed_meanwhile_is_refused(alice: User, store: BackupLocation) -> None:
    """It would bring back the keys that were just replaced."""
    stale = tried(alice, store, region="eu-west-1")
    fresh = tried(alice, store, secret_key="planted-new")
    update_location(by=alice, check=fresh, name="store")
    with pytest.raises(BadInput, match="meanwhile"):
        update_location(by=alice, check=stale, name="store")
    assert BackupLocation.objects.get().credentials["secret_key"] == "planted-new"


class TestUnvalidated:
    def test_is_recorded(self, alice: User, store: BackupLocation) -> None:
        check = tried(alice, store, "failed", secret_key="planted-new")
        with pytest.raises(BadInput, match="Validate"):
            drafts.save(by=alice, check=check, name="store")
        saved = drafts.save(by=alice, check=check, name="store", unvalidated=True)
        assert (saved.state, saved.state_reason) == ("unknown", "No bucket.")
        assert AuditEvent.objects.get(verb="location.update").details["validated"] is False

    def test_by_nobody_where_the_tenant_says_so(self, alice: User, store: BackupLocation) -> None:
        """In the action, whatever the page offers."""
        edit = tried(alice, store, "failed", secret_key="planted-new")
        new = LocationCheck.objects.create(project=store.project, state="failed", draft={"bucket": "b"})
        Tenant.objects.update(unvalidated_location_by="nobody")
        for pk, write in ((edit.pk, update_location), (new.pk, create_location)):
            with pytest.raises(BadInput, match="organisation"):
                write(by=alice, check=LocationCheck.objects.get(pk=pk), name="n", unvalidated=True)
        assert BackupLocation.objects.get().credentials_version == 1
        passed = tried(alice, store, secret_key="planted-new")
        assert drafts.save(by=alice, check=passed, name="store").credentials_version == 2


def test_who_may(alice: User, charlie: User, project: Project, store: BackupLocation) -> None:
    check = tried(alice, store, secret_key="planted-new")
    viewer = person(role=ProjectViewer, on=project)
    for by, error in ((viewer, Forbidden), (charlie, NotVisible)):
        with pytest.raises(error):
            drafts.validate(by=by, project=project, edits=store, typed=typed(store))
        with pytest.raises(error):
            drafts.keep(by=by, project=project, edits=store, typed=typed(store))
        with pytest.raises(error):
            update_location(by=by, check=check, name="x")
        with pytest.raises(error):
            rename_location(by=by, location=store, name="x")
        with pytest.raises(error):
            delete_location(by=by, location=store, typed_name="store")


def test_nothing_is_edited_while_it_is_being_deleted(alice: User, store: BackupLocation) -> None:
    check = tried(alice, store, secret_key="planted-new")
    BackupLocation.objects.update(deleting_at=timezone.now())
    with pytest.raises(BadInput, match="being deleted"):
        drafts.save(by=alice, check=check, name="store")
    with pytest.raises(BadInput, match="being deleted"):
        delete_location(by=alice, location=store, typed_name="store")


def test_drafts_of_an_edit_are_not_those_of_a_new_one(alice: User, store: BackupLocation) -> None:
    check = tried(alice, store, secret_key="planted-new")
    assert drafts.unfinished(by=alice, project=store.project) is None
    assert drafts.unfinished(by=alice, project=store.project, edits=store) == check
    with pytest.raises(NotVisible):
        drafts.own_draft(by=alice, project=store.project, pk=check.pk)
