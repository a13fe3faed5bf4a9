"""Restoring what a scan found, and reading it; and that nothing is ever written to where it lies by us."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from backups import storage
from backups.actions.backup import request_backup
from backups.actions.location_delete import delete_location
from backups.actions.restore import request_restore
from backups.lifecycle import State
from backups.models import Backup, BackupLocation, FoundPlace, LocationCheck, Origin, PlacedLocation, Restore
from backups.reconcile import found, loop
from backups.reconcile import location as locations
from backups.reconcile import restore as restores
from backups.reconcile.bucket import place_of
from console.lib.errors import BadInput, Missing, Refused
from tests.conftest import make_cluster, make_location
from tests.unit.backups.reconcile.conftest import Json, Sent, Site, claim, finished, fresh, make_backup, make_restore
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.django_db
PREFIX = "team/6f1d3a52"


@pytest.fixture
def opened(project: Project) -> BackupLocation:
    return make_location(project, "opened", prefix="", read_only=True, s3_url="http://127.0.0.1:1", path_style=True)


@pytest.fixture
def place(opened: BackupLocation) -> FoundPlace:
    return found.note_place(opened, PREFIX)


def make_found(place: FoundPlace, name: str = "daily-20260301000000", **fields: Any) -> Backup:
    now = timezone.now()
    values: dict[str, Any] = {"state": State.COMPLETED, "phase": "Completed", "due_at": None, "resource": raw(name)}
    values |= {"origin": Origin.FOUND, "found_in": place, "found_at": now, "keep_for": timedelta(days=30)}
    made: Backup = Backup.objects.create(
        project=place.location.project,
        cluster=place.source,
        location=place.location,
        name=name,
        object_name=name,
        **values | fields,
    )
    return made


def raw(name: str, **spec: Any) -> Json:
    meta = {"name": name, "namespace": "velero", "labels": {"theirs": "yes"}, "uid": "there"}
    held = {"hooks": {"resources": [{"name": "run"}]}, "storageLocation": "default", **spec}
    return {"kind": "Backup", "metadata": meta, "spec": held, "status": {"phase": "Completed"}}


@pytest.fixture
def lost(place: FoundPlace) -> Backup:
    return make_found(place)


@pytest.fixture(autouse=True)
def bucket(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    content: dict[str, Any] = {"backup": Missing("not there"), "asked": []}

    def fetch(target: Any, prefix: str, name: str, policy: Any) -> Json:
        content["asked"].append((target.bucket, prefix, name))
        if isinstance(content["backup"], Exception):
            raise content["backup"]
        return dict(content["backup"])

    monkeypatch.setattr(storage, "fetch_backup_object", fetch)
    monkeypatch.setattr(storage, "fetch_pod_volume_backups", lambda *_: ())
    return content


def submit(restore: Restore) -> Restore:
    restores.submit(claim(restore))
    return fresh(restore)


def one(site: Site, plural: str) -> Json:
    (only,) = site.velero.objects(plural)
    return only


class TestRestore:
    def test_the_bucket_is_brought_read_only_at_the_place(self, west: Site, lost: Backup) -> None:
        row = submit(make_restore(lost, west.row))
        assert (row.state, row.message) == (State.SUBMITTED, "")
        spec = one(west, "backupstoragelocations")["spec"]
        assert (spec["accessMode"], spec["objectStorage"]["prefix"]) == ("ReadOnly", PREFIX)
        assert spec["backupSyncPeriod"] == "0h0m0s"
        brought = one(west, "backups")
        assert brought["metadata"]["labels"]["drydock.backup/request"] == str(lost.pk)
        assert "hooks" not in brought["spec"]
        assert one(west, "restores")["spec"]["backupName"] == lost.object_name

    def test_what_was_too_large_for_the_row_comes_from_the_bucket(
        self, west: Site, lost: Backup, bucket: dict[str, Any]
    ) -> None:
        Backup.objects.update(resource=None)
        bucket["backup"] = raw(lost.object_name)
        assert submit(make_restore(fresh(lost), west.row)).state == State.SUBMITTED
        assert bucket["asked"] == [("backups", PREFIX, lost.object_name)]

    def test_the_root_of_the_bucket(self, opened: BackupLocation, west: Site) -> None:
        root = make_found(found.note_place(opened, ""))
        assert submit(make_restore(root, west.row)).state == State.SUBMITTED
        assert one(west, "backupstoragelocations")["spec"]["objectStorage"] == {"bucket": "backups"}

    def test_into_the_very_cluster_that_wrote_it(self, project: Project, west: Site, opened: BackupLocation) -> None:
        mine = found.note_place(opened, f"any/{west.row.uid}")
        assert mine.known == west.row
        assert submit(make_restore(make_found(mine), west.row)).state == State.SUBMITTED
        assert one(west, "backupstoragelocations")["spec"]["accessMode"] == "ReadOnly"

    def test_another_backup_of_the_same_name_is_not_restored_instead(self, west: Site, lost: Backup) -> None:
        other = raw(lost.object_name) | {"apiVersion": "velero.io/v1"}
        west.fake.put("backups", other)
        row = submit(make_restore(lost, west.row))
        assert row.state == State.REJECTED
        assert "has another backup named" in row.message
        assert west.velero.objects("restores") == []

    def test_the_same_backup_by_another_location_is_the_same(self, west: Site, lost: Backup) -> None:
        spec = {"objectStorage": {"bucket": "backups", "prefix": PREFIX}, "config": {"s3Url": "http://127.0.0.1:1"}}
        theirs = {"metadata": {"name": "default", "namespace": "velero"}, "spec": {"provider": "aws"} | spec}
        west.fake.put("backupstoragelocations", theirs | {"apiVersion": "velero.io/v1"})
        west.fake.put("backups", raw(lost.object_name) | {"apiVersion": "velero.io/v1"})
        assert submit(make_restore(lost, west.row)).state == State.SUBMITTED

    def test_snapshots_whose_place_nobody_knows(self, west: Site, place: FoundPlace) -> None:
        held = raw("snaps", volumeSnapshotLocations=["ebs"]) | {
            "status": {"phase": "Completed", "volumeSnapshotsAttempted": 1}
        }
        row = submit(make_restore(make_found(place, "snaps", resource=held), west.row, restore_volumes=True))
        assert row.state == State.REJECTED
        assert "VolumeSnapshotLocation ebs" in row.message

    def test_tidying_takes_everything_out_of_the_cluster_again(self, west: Site, lost: Backup) -> None:
        row = submit(make_restore(lost, west.row))
        Restore.objects.update(state=State.COMPLETED)
        restores.tidy(fresh(row))
        assert [west.velero.objects(kind) for kind in ("restores", "backups", "backupstoragelocations")] == [[], [], []]
        assert Backup.objects.get().is_restorable

    def test_a_lost_row_of_a_placed_location_is_made_again(self, west: Site, lost: Backup) -> None:
        submit(make_restore(lost, west.row))
        before = PlacedLocation.objects.values("object_name", "source", "prefix", "access").get()
        PlacedLocation.objects.all().delete()
        Restore.objects.all().delete()
        with west_connection(west) as connection:
            locations.ready(connection, lost.location, cluster=west.row, source=lost.cluster)
        assert PlacedLocation.objects.values("object_name", "source", "prefix", "access").get() == before

    def test_a_lost_row_of_a_restore_finds_its_backup_among_those_of_one_name(
        self, west: Site, opened: BackupLocation, lost: Backup
    ) -> None:
        make_found(found.note_place(opened, "copy"), lost.object_name)
        row = submit(make_restore(lost, west.row))
        objects = {item["metadata"]["name"]: item for item in west.velero.objects("restores")}
        Restore.objects.all().delete()
        loop.readoption.readopt(west.row.pk, "restore", objects)
        assert Restore.objects.get(pk=row.pk).backup == lost


def west_connection(site: Site) -> Any:
    from workspaces.connections import connected

    return connected(site.row)


class TestNeverWritten:
    def test_no_backup_can_be_asked_for(self, alice: User, west: Site, opened: BackupLocation, sent: Sent) -> None:
        with pytest.raises(BadInput, match="only read from"):
            request_backup(by=alice, cluster=west.row, location=opened, name="new", keep_for=timedelta(days=1))

    def test_no_cluster_is_ever_given_it_to_write(self, west: Site, opened: BackupLocation) -> None:
        with west_connection(west) as connection, pytest.raises(Refused, match="opened to read from"):
            locations.ready(connection, opened, cluster=west.row, source=west.row)
        assert west.writes() == []

    @pytest.mark.parametrize("look_only", [False, True])
    def test_checks_write_nothing(
        self, opened: BackupLocation, monkeypatch: pytest.MonkeyPatch, look_only: bool
    ) -> None:
        asked: list[bool] = []

        def probe(*_: Any, write: bool, **__: Any) -> Any:
            asked.append(write)
            return iter([storage.ProbeStep("list", "List objects", "pass")])

        monkeypatch.setattr(storage, "probe", probe)
        check = LocationCheck.objects.create(project=opened.project, location=opened, look_only=look_only)
        locations.check(claim(check))
        opened.refresh_from_db()
        assert (asked, opened.state, LocationCheck.objects.count()) == ([False], "available", 1)

    def test_a_check_before_it_is_saved_expects_others_to_be_there(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(storage, "occupied", None)
        monkeypatch.setattr(storage, "probe", lambda *_, **__: iter([storage.ProbeStep("list", "List", "pass")]))
        draft = {"bucket": "b", "prefix": "", "credentials": {"access_key": "a", "secret_key": "s"}, "read_only": True}
        check = LocationCheck.objects.create(project=project, draft=draft)
        locations.check(claim(check))
        assert fresh(check).state == "completed"

    def test_a_foreign_place_that_is_read_stays_foreign_to_those_who_write(
        self, project: Project, west: Site, lost: Backup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        submit(make_restore(lost, west.row))
        known: list[set[str]] = []
        monkeypatch.setattr(storage, "occupied", lambda *_, known: known_of(known))
        monkeypatch.setattr(storage, "probe", lambda *_, **__: iter([storage.ProbeStep("list", "List", "pass")]))

        def known_of(given: set[str]) -> None:
            known.append(given)

        credentials = {"access_key": "a", "secret_key": "s"}
        draft = {"bucket": "backups", "prefix": "team", "credentials": credentials}
        locations.check(claim(LocationCheck.objects.create(project=project, draft=draft)))
        assert known == [set()]


class TestAsking:
    def test_what_has_gone_cannot_be_restored(self, alice: User, west: Site, lost: Backup, sent: Sent) -> None:
        Backup.objects.update(gone_at=timezone.now())
        with pytest.raises(BadInput, match="not in its bucket any more"):
            request_restore(by=alice, backup=fresh(lost), target=west.row)

    def test_into_clusters_of_the_project_alone(self, alice: User, lost: Backup, charlie: User, sent: Sent) -> None:
        from accounts.models import Tenant
        from workspaces.actions.project import create_project

        other = create_project(by=None, tenant=Tenant.objects.get(name="Elsewhere"), name="Theirs")
        with pytest.raises(BadInput, match="of the backup's project"):
            request_restore(by=alice, backup=lost, target=make_cluster(other, "theirs"))

    def test_not_into_the_stand_in(self, alice: User, lost: Backup, sent: Sent) -> None:
        with pytest.raises(BadInput, match="not registered any more"):
            request_restore(by=alice, backup=lost, target=lost.cluster)

    def test_names_of_others_give_names_that_can_be_used(
        self, alice: User, west: Site, place: FoundPlace, sent: Sent
    ) -> None:
        odd = make_found(place, "weekly.prod." + "x" * 60)
        made = request_restore(by=alice, backup=odd, target=west.row)
        assert made.object_name.startswith("weekly-prod-xxx")
        assert len(made.object_name) <= 63

    def test_deleting_the_location_forgets_what_was_found(
        self, alice: User, opened: BackupLocation, lost: Backup, sent: Sent
    ) -> None:
        delete_location(by=alice, location=opened, typed_name="opened")
        assert not BackupLocation.objects.filter(pk=opened.pk).exists()
        assert not fresh(lost).is_restorable


class TestReading:
    def test_where_its_log_lies(self, lost: Backup) -> None:
        place = place_of(lost)
        assert (place.prefix, place.target.prefix, place.target.bucket) == (PREFIX, PREFIX, "backups")

    def test_of_a_restore_of_it(self, west: Site, lost: Backup) -> None:
        assert place_of(make_restore(lost, west.row)).prefix == PREFIX

    def test_ours_lie_where_the_cluster_writes(self, east: Site, backup: Backup, store: BackupLocation) -> None:
        with pytest.raises(Missing):
            place_of(finished(backup))


def test_two_of_ours_never_share_a_name(project: Project, east: Site, west: Site, store: BackupLocation) -> None:
    from django.db import IntegrityError, transaction

    make_backup(project, east.row, store)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_backup(project, west.row, store)


def test_stand_ins_are_no_clusters(project: Project, lost: Backup) -> None:
    assert not Cluster.objects.registered().exists()
