"""Restores, in place and into other clusters: what is brought there, in which order, from where, and what is left."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backups import storage
from backups.lifecycle import State
from backups.models import Backup, BackupLocation, PlacedLocation, Restore
from backups.reconcile import loop
from backups.reconcile import restore as restores
from backups.velero import names
from console.lib.errors import Missing, TryLater, Unreachable
from tests.fakes.apiserver import FakeApiServer, Fault
from tests.unit.backups.reconcile.conftest import (
    VELERO,
    Json,
    Sent,
    Site,
    claim,
    finished,
    fresh,
    make_backup,
    make_restore,
    object_of,
)
from workspaces.models import Cluster, Project
from workspaces.models.cluster import ClusterState

pytestmark = pytest.mark.django_db


@pytest.fixture
def done(backup: Backup) -> Backup:
    return finished(backup)


@pytest.fixture(autouse=True)
def bucket(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The bucket: nothing in it, and every look is counted. Values may be errors."""
    content: dict[str, Any] = {"backup": Missing("not there"), "volumes": [], "looks": 0}

    def give(name: str) -> Any:
        def look(*_: object) -> Any:
            content["looks"] += 1
            if isinstance(content[name], Exception):
                raise content[name]
            return content[name]

        return look

    monkeypatch.setattr(storage, "fetch_backup_object", give("backup"))
    monkeypatch.setattr(storage, "fetch_pod_volume_backups", give("volumes"))
    return content


def submit(restore: Restore) -> Restore:
    """One attempt, as a worker makes it. The row afterwards."""
    restores.submit(claim(restore))
    return fresh(restore)


def volume(backup: Backup, number: int, phase: str = "Completed") -> Json:
    """A PodVolumeBackup as the source has it."""
    labels = {"velero.io/backup-name": backup.object_name, "velero.io/backup-uid": "uid-there"}
    return {
        "apiVersion": "velero.io/v1",
        "kind": "PodVolumeBackup",
        "metadata": {"name": f"{backup.object_name}-{number}", "namespace": VELERO, "labels": labels},
        "spec": {
            "backupStorageLocation": "theirs",
            "volume": "data",
            "node": "n",
            "pod": {"kind": "Pod"},
            "repoIdentifier": "",
            "tags": {},
        },
        "status": {"phase": phase, "snapshotID": "abc"},
    }


def password(site: Site, text: str) -> None:
    data = {"repository-password": base64.b64encode(text.encode()).decode()}
    site.fake.put("secrets", {"metadata": {"name": "velero-repo-credentials", "namespace": VELERO}, "data": data})


def one(site: Site, plural: str) -> Json:
    (found,) = site.velero.objects(plural)
    return found


class TestInPlace:
    def test_the_restore_alone(self, east: Site, done: Backup) -> None:
        row = submit(make_restore(done, east.row, namespaces=["shop"], namespace_mapping={"shop": "copy"}))
        made = one(east, "restores")
        assert (row.state, row.object_uid) == (State.SUBMITTED, made["metadata"]["uid"])
        assert made["spec"]["backupName"] == done.object_name
        assert made["spec"]["namespaceMapping"] == {"shop": "copy"}
        assert made["spec"]["excludedNamespaces"] == [VELERO]
        assert "backupstoragelocations.velero.io" in made["spec"]["excludedResources"]
        assert east.velero.objects("backups") == []
        assert one(east, "backupstoragelocations")["spec"]["accessMode"] == "ReadWrite"


class TestElsewhere:
    def test_the_order(self, east: Site, west: Site, done: Backup) -> None:
        """Location, its verdict, the Backup, its volumes, the Restore: a Restore posted earlier fails for good."""
        east.fake.put("podvolumebackups", volume(done, 1))
        submit(make_restore(done, west.row))
        made = [what for method, what in west.writes() if method == "POST"]
        assert made == ["secrets", "backupstoragelocations", "backups", "podvolumebackups", "restores"]

    def test_nothing_is_posted_before_the_location_is_available(self, west: Site, done: Backup) -> None:
        west.velero.verdict = ("Unavailable", "x509: certificate signed by unknown authority")
        row = submit(make_restore(done, west.row))
        assert row.state == State.REJECTED
        assert "does not trust the certificate" in row.message
        assert west.velero.objects("restores") == west.velero.objects("backups") == []

    def test_the_location_reads_the_sources_prefix_and_floods_nothing_in(
        self, east: Site, west: Site, done: Backup
    ) -> None:
        submit(make_restore(done, west.row))
        spec = one(west, "backupstoragelocations")["spec"]
        assert spec["accessMode"] == "ReadOnly"
        assert spec["backupSyncPeriod"] == "0h0m0s"
        assert spec["objectStorage"]["prefix"] == f"drydock/p/{east.row.uid}"

    def test_west_never_writes_at_the_sources_place(
        self, east: Site, west: Site, done: Backup, project: Project, store: BackupLocation
    ) -> None:
        """Its own backups go to a leaf of its own, through a location of its own."""
        from backups.reconcile import backup as backups

        submit(make_restore(done, west.row))
        own = make_backup(project, west.row, store, object_name="west-1")
        backups.submit(claim(own))
        by_mode = {
            one["spec"]["accessMode"]: one["spec"]["objectStorage"]["prefix"]
            for one in west.velero.objects("backupstoragelocations")
        }
        assert by_mode == {"ReadOnly": f"drydock/p/{east.row.uid}", "ReadWrite": f"drydock/p/{west.row.uid}"}

    def test_the_adopted_backup(self, west: Site, done: Backup) -> None:
        submit(make_restore(done, west.row))
        made = one(west, "backups")
        location = one(west, "backupstoragelocations")["metadata"]["name"]
        assert made["metadata"]["name"] == done.object_name
        assert made["spec"]["storageLocation"] == made["metadata"]["labels"][names.STORAGE_LOCATION] == location
        assert "hooks" not in made["spec"]
        assert made["status"]["phase"] == "Completed"
        assert made["metadata"]["uid"] != "uid-of-object"
        assert made["metadata"]["labels"][names.EXCLUDE_FROM_BACKUP] == "true"

    def test_its_volumes_belong_to_it(self, east: Site, west: Site, done: Backup) -> None:
        east.fake.put("podvolumebackups", volume(done, 1))
        east.fake.put("podvolumebackups", volume(done, 2, phase="Failed"))
        submit(make_restore(done, west.row))
        made, adopted = one(west, "podvolumebackups"), one(west, "backups")
        assert made["metadata"]["labels"]["velero.io/backup-uid"] == adopted["metadata"]["uid"]
        assert made["metadata"]["ownerReferences"][0]["uid"] == adopted["metadata"]["uid"]
        assert made["spec"]["backupStorageLocation"] == one(west, "backupstoragelocations")["metadata"]["name"]

    def test_no_volumes_when_none_are_wanted(self, east: Site, west: Site, done: Backup) -> None:
        east.fake.put("podvolumebackups", volume(done, 1))
        submit(make_restore(done, west.row, restore_volumes=False))
        assert west.velero.objects("podvolumebackups") == []

    def test_a_second_restore_finds_all_of_it_there(self, east: Site, west: Site, done: Backup) -> None:
        east.fake.put("podvolumebackups", volume(done, 1))
        submit(make_restore(done, west.row))
        west.fake.server.requests.clear()
        row = submit(make_restore(done, west.row, object_name="second-1"))
        assert row.state == State.SUBMITTED
        assert len(west.velero.objects("backups")) == len(west.velero.objects("podvolumebackups")) == 1
        assert ("POST", "backups") not in west.writes()

    def test_somebody_elses_backup_of_that_name_is_what_it_is(self, west: Site, done: Backup) -> None:
        """Velero's own sync may have brought it first; it is the same backup, by its name."""
        west.fake.put("backups", object_of(done, phase="Completed"))
        assert submit(make_restore(done, west.row)).state == State.SUBMITTED

    def test_broken_off_after_the_backup_it_goes_on(self, api: FakeApiServer, west: Site, done: Backup) -> None:
        restore = make_restore(done, west.row)
        api.add_faults(Fault("reset_after", "POST", r"/backups$"), Fault("reset_after", "POST", r"/restores$"))
        states = [submit(restore).state for _ in range(3)]
        assert states == [State.UNKNOWN, State.UNKNOWN, State.SUBMITTED]
        assert len(west.velero.objects("backups")) == len(west.velero.objects("restores")) == 1


class TestWhereTheObjectComesFrom:
    def test_the_rows_copy_first_and_nobody_is_asked(self, east: Site, west: Site, done: Backup, bucket: Json) -> None:
        submit(make_restore(done, west.row, restore_volumes=False))
        assert east.fake.server.requests_to("harbor-east") == []
        assert bucket["looks"] == 0

    def test_then_the_source_cluster(self, east: Site, west: Site, done: Backup, bucket: Json) -> None:
        Backup.objects.update(resource=None)
        east.fake.put("backups", object_of(done, phase="PartiallyFailed"))
        assert submit(make_restore(done, west.row)).state == State.SUBMITTED
        assert one(west, "backups")["status"]["phase"] == "PartiallyFailed"
        assert bucket["looks"] == 0

    def test_then_the_bucket(self, east: Site, west: Site, done: Backup, bucket: Json) -> None:
        Backup.objects.update(resource=None)
        bucket["backup"] = object_of(done, phase="Completed")
        assert submit(make_restore(done, west.row)).state == State.SUBMITTED
        assert one(west, "backups")["metadata"]["name"] == done.object_name

    def test_the_bucket_also_when_the_source_is_away(self, east: Site, west: Site, done: Backup, bucket: Json) -> None:
        Backup.objects.update(resource=None)
        unplug(east)
        bucket["backup"] = object_of(done, phase="Completed")
        bucket["volumes"] = [volume(done, 1)]
        assert submit(make_restore(done, west.row)).state == State.SUBMITTED
        assert one(west, "podvolumebackups")

    def test_at_last_veleros_own_sync(self, east: Site, west: Site, done: Backup, bucket: Json) -> None:
        Backup.objects.update(resource=None)
        restore = make_restore(done, west.row)
        row = submit(restore)
        assert (row.state, row.finished_at) == (State.SUBMITTING, None)
        assert "neither from harbor-east nor from the bucket" in row.message
        assert "about a minute" in row.message
        assert one(west, "backupstoragelocations")["spec"]["backupSyncPeriod"] == "10s"
        west.fake.put("backups", object_of(done, phase="Completed"))
        assert submit(restore).state == State.SUBMITTED

    def test_what_has_not_finished_there_is_refused(self, east: Site, west: Site, done: Backup) -> None:
        Backup.objects.update(resource=None)
        east.fake.put("backups", object_of(done, phase="InProgress"))
        row = submit(make_restore(done, west.row))
        assert row.state == State.REJECTED
        assert "not Completed" in row.message


def unplug(site: Site) -> None:
    """Nothing listens at the cluster's address any more."""
    text = site.fake.kubeconfig().replace(f":{site.fake.server.port}", ":1")
    site.row.kubeconfig = {"kubeconfig": text, "context": ""}
    site.row.save(update_fields=["kubeconfig"])


class TestWhoIsToBlame:
    """The target stays reachable in our eyes, whoever else does not answer."""

    def test_the_source_is_away(self, east: Site, west: Site, done: Backup, bucket: Json) -> None:
        unplug(east)
        assert submit(make_restore(done, west.row)).state == State.SUBMITTED
        assert west.fresh().state == ClusterState.HEALTHY
        assert east.fresh().state == ClusterState.UNREACHABLE

    def test_the_bucket_is_away_from_here(self, east: Site, west: Site, done: Backup, bucket: Json) -> None:
        unplug(east)
        bucket["volumes"] = Unreachable("Nothing listens at the store.")
        row = submit(make_restore(done, west.row))
        assert (row.state, row.finished_at) == (State.SUBMITTING, None)
        assert "Nothing listens at the store" in row.message
        assert west.fresh().state == ClusterState.HEALTHY
        assert west.fresh().retry_at is None

    def test_the_source_of_snapshot_locations_is_away(self, east: Site, west: Site, done: Backup, bucket: Json) -> None:
        raw = object_of(done, phase="Completed", volumeSnapshotsAttempted=1)
        raw["spec"]["volumeSnapshotLocations"] = ["default"]
        Backup.objects.update(resource=raw)
        unplug(east)
        row = submit(make_restore(done, west.row))
        assert (row.state, row.finished_at) == (State.SUBMITTING, None)
        assert west.fresh().state == ClusterState.HEALTHY


class TestSnapshotLocations:
    def test_they_come_along_with_our_secret(self, east: Site, west: Site, done: Backup) -> None:
        raw = object_of(done, phase="Completed", volumeSnapshotsAttempted=1)
        raw["spec"]["volumeSnapshotLocations"] = ["default"]
        Backup.objects.update(resource=raw)
        there = {
            "metadata": {"name": "default", "namespace": VELERO},
            "spec": {"provider": "aws", "config": {"region": "r"}},
        }
        east.fake.put("volumesnapshotlocations", there)
        assert submit(make_restore(done, west.row)).state == State.SUBMITTED
        made = one(west, "volumesnapshotlocations")
        assert (made["metadata"]["name"], made["spec"]["config"]) == ("default", {"region": "r"})
        assert made["spec"]["credential"]["name"] == one(west, "backupstoragelocations")["metadata"]["name"]


class TestRepositoryPassword:
    def test_the_same(self, east: Site, west: Site, done: Backup) -> None:
        east.fake.put("podvolumebackups", volume(done, 1))
        password(east, "planted-same")
        password(west, "planted-same")
        assert submit(make_restore(done, west.row)).state == State.SUBMITTED

    def test_another_one_cannot_read_the_volumes(self, east: Site, west: Site, done: Backup) -> None:
        east.fake.put("podvolumebackups", volume(done, 1))
        password(east, "planted-one")
        password(west, "planted-other")
        row = submit(make_restore(done, west.row))
        assert row.state == State.REJECTED
        assert "velero-repo-credentials" in row.message
        assert "without PVs" in row.message
        assert "planted" not in row.message
        assert west.velero.objects("restores") == []

    def test_which_does_not_matter_without_volumes(self, east: Site, west: Site, done: Backup) -> None:
        password(east, "planted-one")
        password(west, "planted-other")
        assert submit(make_restore(done, west.row)).state == State.SUBMITTED

    def test_unknown_is_not_different(self, east: Site, west: Site, done: Backup, bucket: Json) -> None:
        bucket["volumes"] = [volume(done, 1)]
        password(west, "planted-other")
        unplug(east)
        assert submit(make_restore(done, west.row)).state == State.SUBMITTED


class TestTidy:
    @pytest.fixture
    def old(self, west: Site, done: Backup) -> Restore:
        """A finished restore into west, older than restores are kept."""
        row = submit(make_restore(done, west.row))
        end(row)
        west.fake.server.requests.clear()
        return fresh(row)

    def test_restore_backup_location_secret_in_this_order(self, west: Site, old: Restore) -> None:
        restores.tidy(old)
        assert [what for _, what in west.writes()] == ["restores", "backups", "backupstoragelocations", "secrets"]
        assert fresh(old).tidied_at is not None
        for plural in ("restores", "backups", "backupstoragelocations", "secrets"):
            assert west.velero.objects(plural) == []
        assert not PlacedLocation.objects.filter(cluster=west.row).exists()

    def test_velero_is_waited_for(self, west: Site, old: Restore) -> None:
        """Its finalizer removes the restore's files from the bucket, through the location."""
        held = one(west, "restores")
        held["metadata"]["finalizers"] = ["restores.velero.io/external-resources-finalizer"]
        west.fake.put("restores", held)
        with pytest.raises(TryLater, match="has not removed the restore yet"):
            restores.tidy(old)
        assert fresh(old).tidied_at is None
        assert one(west, "backupstoragelocations")
        west.fake.patch("restores", old.object_name, {"metadata": {"finalizers": None}}, namespace=VELERO)
        restores.tidy(old)
        assert west.velero.objects("backupstoragelocations") == []

    def test_what_another_restore_needs_stays(self, west: Site, done: Backup, old: Restore) -> None:
        submit(make_restore(done, west.row, object_name="second-1"))
        restores.tidy(old)
        assert len(west.velero.objects("backups")) == len(west.velero.objects("backupstoragelocations")) == 1

    def test_a_restore_of_another_backup_keeps_the_location_alone(
        self, east: Site, west: Site, done: Backup, old: Restore, project: Project, store: BackupLocation
    ) -> None:
        other = finished(make_backup(project, east.row, store, name="other", object_name="other-1"))
        submit(make_restore(other, west.row, object_name="second-1"))
        restores.tidy(old)
        assert [one["metadata"]["name"] for one in west.velero.objects("backups")] == ["other-1"]
        assert one(west, "backupstoragelocations")

    def test_one_in_place_leaves_the_backup_and_its_location(self, east: Site, done: Backup) -> None:
        row = submit(make_restore(done, east.row))
        end(row)
        east.fake.put("backups", object_of(done, phase="Completed"))
        restores.tidy(fresh(row))
        assert east.velero.objects("restores") == []
        assert one(east, "backups")
        assert one(east, "backupstoragelocations")

    def test_what_is_gone_already_is_gone(self, west: Site, old: Restore) -> None:
        west.fake.remove("restores", old.object_name, namespace=VELERO)
        west.fake.remove("backups", old.backup.object_name, namespace=VELERO)
        restores.tidy(old)
        assert fresh(old).tidied_at is not None

    def test_a_rejected_one_does_not_hold_the_location_for_ever(
        self, west: Site, old: Restore, done: Backup, sent: Sent, django_capture_on_commit_callbacks: Any
    ) -> None:
        """It has no Restore in the cluster, but may have brought the location there."""
        rejected = make_restore(done, west.row, object_name="rejected-1", state=State.REJECTED)
        end(rejected)
        restores.tidy(old)
        assert one(west, "backupstoragelocations")
        with django_capture_on_commit_callbacks(execute=True):
            loop.send_tidying()
        assert [message[1] for message in sent] == [str(rejected.pk)]
        restores.tidy(fresh(rejected))
        assert west.velero.objects("backupstoragelocations") == []

    def test_somebody_elses_restore_of_that_name_stays(self, west: Site, done: Backup) -> None:
        row = make_restore(done, west.row, state=State.REJECTED)
        west.fake.put("restores", {"metadata": {"name": row.object_name, "namespace": VELERO}, "spec": {}})
        restores.tidy(row)
        assert one(west, "restores")

    def test_who_is_tidied_when(
        self, west: Site, old: Restore, done: Backup, sent: Sent, django_capture_on_commit_callbacks: Any
    ) -> None:
        make_restore(done, west.row, object_name="running-1", state=State.RUNNING, object_uid="u")
        young = make_restore(done, west.row, object_name="young-1", state=State.COMPLETED, object_uid="u")
        Restore.objects.filter(pk=young.pk).update(finished_at=timezone.now() - timedelta(days=29))
        with django_capture_on_commit_callbacks(execute=True):
            loop.send_tidying()
        assert sent == [("backups.jobs.tidy_restore", str(old.pk), old.attempt, "slow")]

    @pytest.mark.parametrize("away", [{"retry_at": "soon"}, {"deregistered_at": "now"}])
    def test_clusters_that_are_away_hold_no_others_up(
        self, west: Site, old: Restore, sent: Sent, away: Json, django_capture_on_commit_callbacks: Any
    ) -> None:
        Cluster.objects.filter(pk=west.row.pk).update(**dict.fromkeys(away, timezone.now() + timedelta(hours=1)))
        with django_capture_on_commit_callbacks(execute=True):
            loop.send_tidying()
        assert sent == []


def end(restore: Restore) -> None:
    """It ended longer ago than restores are kept."""
    state = restore.state if restore.state == State.REJECTED else State.COMPLETED
    Restore.objects.filter(pk=restore.pk).update(state=state, finished_at=timezone.now() - timedelta(days=31))


def test_the_whole_of_it_asks_no_more_than_it_must(east: Site, west: Site, done: Backup) -> None:
    """A warm restore elsewhere: few round trips, because each costs the person's waiting."""
    submit(make_restore(done, west.row))
    west.fake.server.requests.clear()
    submit(make_restore(done, west.row, object_name="second-1", restore_volumes=False))
    sent = west.fake.server.requests_to("harbor-west")
    assert len(sent) <= 4, [(request.method, request.path) for request in sent]
