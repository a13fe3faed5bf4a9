"""What the tables themselves refuse."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from backups.models import Access, Backup, BackupLocation, PlacedLocation, Reading, Restore
from tests.conftest import make_location
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.django_db


def backup(project: Project, cluster: Cluster, store: BackupLocation, **fields: object) -> Backup:
    values: dict[str, object] = {
        "name": "n",
        "object_name": f"n-{uuid.uuid4().hex[:8]}",
        "keep_for": timedelta(days=1),
    }
    made: Backup = Backup.objects.create(project=project, cluster=cluster, location=store, **values | fields)
    return made


def refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(IntegrityError), transaction.atomic():
        make()


def test_an_unknown_state(project: Project, east: Cluster, store: BackupLocation) -> None:
    refused(lambda: backup(project, east, store, state="nearly"))
    done = backup(project, east, store)
    refused(lambda: Restore.objects.create(project=project, backup=done, cluster=east, object_name="r", state="x"))


def test_one_object_name_twice_in_the_whole_fleet(
    project: Project, east: Cluster, west: Cluster, store: BackupLocation
) -> None:
    """Velero matches backups by name only, across clusters and locations."""
    backup(project, east, store, object_name="n-1")
    refused(lambda: backup(project, west, store, object_name="n-1"))


def test_one_form_twice(project: Project, east: Cluster, store: BackupLocation) -> None:
    submission = uuid.uuid4()
    backup(project, east, store, submission=submission)
    refused(lambda: backup(project, east, store, name="other", submission=submission))


def test_a_location_at_the_root_of_a_bucket(project: Project) -> None:
    refused(lambda: make_location(project, prefix=""))


def test_two_locations_at_one_place(project: Project) -> None:
    make_location(project, "one", prefix="p")
    refused(lambda: make_location(project, "two", prefix="p"))
    assert make_location(project, "three", prefix="p", s3_url="https://other.example")


class TestPlaced:
    def place(self, store: BackupLocation, cluster: Cluster, source: Cluster, access: str) -> PlacedLocation:
        name = f"drydock-{uuid.uuid4().hex}"
        return PlacedLocation.objects.create(
            location=store, cluster=cluster, source=source, access=access, object_name=name, prefix="p"
        )

    def test_only_the_source_writes_below_its_prefix(self, east: Cluster, west: Cluster, store: BackupLocation) -> None:
        refused(lambda: self.place(store, west, east, Access.READ_WRITE))
        refused(lambda: self.place(store, east, east, Access.READ_ONLY))
        assert self.place(store, east, east, Access.READ_WRITE)
        assert self.place(store, west, east, Access.READ_ONLY)

    def test_once(self, east: Cluster, store: BackupLocation) -> None:
        self.place(store, east, east, Access.READ_WRITE)
        refused(lambda: self.place(store, east, east, Access.READ_WRITE))


def test_a_reading_is_of_one_thing(project: Project, east: Cluster, store: BackupLocation) -> None:
    done = backup(project, east, store)
    restore = Restore.objects.create(project=project, backup=done, cluster=east, object_name="r")
    refused(lambda: Reading.objects.create(project=project))
    refused(lambda: Reading.objects.create(project=project, backup=done, restore=restore))
    assert str(Reading.objects.create(project=project, restore=restore)) == "log of n into harbor-east"


KEYLESS = {"provider": "gcp", "region": "", "credentials": {"service_account": "{}"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"sign_in": "service-account"},
        KEYLESS | {"sign_in": "keys"},
        {"sign_in": "sts-keys", "role_arn": "arn:aws:iam::1:role/r"},
        {"sign_in": "sts-cluster", "external_id": "x"},
        {"sign_in": "keys", "role_arn": "arn:aws:iam::1:role/r", "external_id": "x"},
    ],
)
def test_a_sign_in_that_does_not_fit(project: Project, fields: dict[str, object]) -> None:
    refused(lambda: make_location(project, **fields))


def test_every_sign_in(project: Project) -> None:
    role = {"role_arn": "arn:aws:iam::111122223333:role/velero", "external_id": "x"}
    for fields in (
        KEYLESS | {"sign_in": "service-account"},
        {"sign_in": "sts-cluster", "credentials": {}, **role},
        {"sign_in": "sts-keys", **role},
    ):
        made = make_location(project, fields["sign_in"], **fields)
        made.full_clean()
        assert made.is_checkable == (made.sign_in != "sts-cluster")
