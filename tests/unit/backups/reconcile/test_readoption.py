"""A database restored from an old copy: what is in the clusters becomes rows again, and nothing is made twice (I10)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from backups.lifecycle import State
from backups.models import Backup, BackupLocation, ClusterResources, PlacedLocation, Restore
from backups.reconcile import backup as backups
from backups.reconcile import loop, readoption, submission
from backups.reconcile import restore as restores
from backups.reconcile.watching import Listed, Looked
from backups.velero import names
from backups.velero.location import read_location
from tests.fakes.apiserver import Fault
from tests.unit.backups.reconcile.conftest import VELERO, Sent, Site, claim, finished, fresh, make_backup, make_restore
from workspaces.models import Cluster, Project

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
BACKUP = ("name", "location_id", "include_disks", "keep_for")
RESTORE = ("backup_id", "namespace_mapping", "restore_volumes", "preserve_node_ports", "existing_objects")
BOTH = (
    *("pk", "project_id", "cluster_id", "object_name", "namespaces", "cluster_resources", "requested_by_name"),
    *("state", "phase", "object_uid", "items_done", "items_total", "errors", "warnings", "started_at", "completed_at"),
)


@dataclass
class Copy:
    """An old copy of the database: it knows the clusters and their location, and nothing that was made there."""

    sites: list[Site]

    def put_back(self) -> None:
        """With the reconciler stopped: the next one knows nothing."""
        readoption._settled.clear()
        for model in (Restore, Backup, PlacedLocation):
            model._default_manager.all().delete()

    def look(self) -> None:
        """One look at each cluster, as the reconciler has it when it starts."""
        for site in self.sites:
            objects = {
                kind: {one["metadata"]["name"]: one for one in site.velero.objects(plural)}
                for kind, plural in (("backup", "backups"), ("restore", "restores"))
            }
            reports = [read_location(raw) for raw in site.velero.objects("backupstoragelocations")]
            loop.write(Looked(site.row.pk, objects, timezone.now(), {report.name: report for report in reports}))


@pytest.fixture
def copy(east: Site, west: Site, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """Messages are caught as soon as they are sent: pytest's own transaction never commits."""
    monkeypatch.setattr("console.lib.queue.transaction.on_commit", lambda send: send())
    return Copy([east, west])


def kept(row: Any) -> dict[str, Any]:
    """What a row must say again."""
    return {name: getattr(row, name) for name in (*BOTH, *(BACKUP if isinstance(row, Backup) else RESTORE))}


def completed(site: Site, wish: Backup | Restore) -> Any:
    """The wish carried out and ended, as the watch sees it."""
    site.velero.phases = ["InProgress", "Completed"]
    carry_out = backups.submit if isinstance(wish, Backup) else restores.submit
    carry_out(claim(wish))
    plural = "backups" if isinstance(wish, Backup) else "restores"
    progress = {"itemsBackedUp": 7, "itemsRestored": 7, "totalItems": 9}
    times = {"startTimestamp": "2026-11-20T10:00:00Z", "completionTimestamp": "2026-11-20T10:00:05Z"}
    status = {"phase": "Completed", "progress": progress, "warnings": 2, **times}
    site.fake.patch(plural, wish.object_name, {"status": status}, namespace=VELERO)
    kind = "backup" if isinstance(wish, Backup) else "restore"
    loop.write(Listed(site.row.pk, kind, {wish.object_name: site.velero.objects(plural)[-1]}, timezone.now()))
    return fresh(wish)


def wishes(project: Project, east: Site, store: BackupLocation) -> Backup:
    return make_backup(
        project,
        east.row,
        store,
        namespaces=["intranet", "shop"],
        include_disks=True,
        keep_for=timedelta(days=90),
        cluster_resources=ClusterResources.NEVER,
        requested_by_name="Alice of Harbor",
    )


class TestRowsAgain:
    def test_a_backup(self, project: Project, east: Site, store: BackupLocation, copy: Copy, sent: Sent) -> None:
        before = completed(east, wishes(project, east, store))
        made = east.writes()
        sent.clear()
        copy.put_back()
        copy.look()
        row = Backup.objects.get()
        assert kept(row) == kept(before)
        assert (row.requested_by, row.due_at, row.is_open) == (None, None, False)
        assert row.finished_at == row.completed_at
        assert row.resource and row.resource["metadata"]["name"] == row.object_name
        assert ("backups.jobs.read_results", str(row.pk), row.attempt, "slow") in sent
        assert east.writes() == made

    def test_a_restore_into_the_other_cluster(
        self, project: Project, east: Site, west: Site, store: BackupLocation, copy: Copy
    ) -> None:
        source = completed(east, wishes(project, east, store))
        wanted = {"namespace_mapping": {"shop": "shop-2"}, "restore_volumes": False, "preserve_node_ports": True}
        wish = make_restore(source, west.row, existing_objects="update", requested_by_name="Bob", **wanted)
        before = completed(west, wish)
        copy.put_back()
        copy.look()
        assert kept(Restore.objects.get()) == kept(before)
        assert kept(Backup.objects.get()) == kept(source)

    def test_a_backup_that_a_restore_brought_is_none_of_the_target(
        self, project: Project, east: Site, west: Site, store: BackupLocation, copy: Copy
    ) -> None:
        """Even when it is all that is left of it."""
        source = completed(east, wishes(project, east, store))
        completed(west, make_restore(source, west.row))
        copy.put_back()
        east.fake.remove("backups", source.object_name, namespace=VELERO)
        copy.look()
        assert [one["metadata"]["name"] for one in west.velero.objects("backups")] == [source.object_name]
        assert not Backup.objects.exists()
        assert west.fresh().facts[readoption.LEFT] == {"restore": 1}

    def test_locations_with_who_writes_there(
        self, project: Project, east: Site, west: Site, store: BackupLocation, copy: Copy
    ) -> None:
        source = completed(east, wishes(project, east, store))
        completed(west, make_restore(source, west.row))
        fields = ("location_id", "cluster_id", "source_id", "access", "object_name", "prefix")
        before = set(PlacedLocation.objects.values_list(*fields))
        assert len(before) == 2
        copy.put_back()
        copy.look()
        assert set(PlacedLocation.objects.values_list(*fields)) == before
        assert set(PlacedLocation.objects.values_list("credentials_version", flat=True)) == {0}

    def test_one_that_runs_goes_on(self, project: Project, east: Site, store: BackupLocation, copy: Copy) -> None:
        backup = wishes(project, east, store)
        east.velero.phases = ["InProgress"]
        backups.submit(claim(backup))
        copy.put_back()
        copy.look()
        row = Backup.objects.get()
        assert (row.state, row.is_open, row.due_at) == (State.RUNNING, True, None)
        east.fake.patch("backups", row.object_name, {"status": {"phase": "Completed"}}, namespace=VELERO)
        copy.look()
        assert fresh(row).state == State.COMPLETED

    def test_one_that_failed_says_why(self, project: Project, east: Site, store: BackupLocation, copy: Copy) -> None:
        backup = completed(east, wishes(project, east, store))
        status = {"phase": "FailedValidation", "validationErrors": ["backup can't be created because BSL is gone"]}
        east.fake.patch("backups", backup.object_name, {"status": status}, namespace=VELERO)
        copy.put_back()
        copy.look()
        row = Backup.objects.get()
        assert row.state == State.REJECTED and row.message

    def test_each_leaves_one_audit_row(self, project: Project, east: Site, store: BackupLocation, copy: Copy) -> None:
        backup = completed(east, wishes(project, east, store))
        copy.put_back()
        for _ in range(3):
            copy.look()
        rows = AuditEvent.objects.filter(verb__endswith=".readopt")
        assert sorted(rows.values_list("verb", "actor", "target_id")) == [
            ("backup.readopt", "Drydock", str(backup.pk)),
            ("location.readopt", "Drydock", str(store.pk)),
        ]

    def test_what_has_its_row_is_left_alone(
        self, project: Project, east: Site, store: BackupLocation, copy: Copy
    ) -> None:
        completed(east, wishes(project, east, store))
        copy.look()
        assert not AuditEvent.objects.filter(verb__endswith=".readopt").exists()

    def test_a_name_that_was_taken_since(self, project: Project, east: Site, store: BackupLocation, copy: Copy) -> None:
        completed(east, wishes(project, east, store))
        copy.put_back()
        make_backup(project, east.row, store, object_name="nightly-elsewise")
        copy.look()
        assert set(Backup.objects.values_list("name", flat=True)) == {"nightly", "nightly-abcd1234"}

    def test_what_older_versions_made_has_no_annotations(
        self, project: Project, east: Site, store: BackupLocation, copy: Copy
    ) -> None:
        """Nor the label of its location, which is then found by its place."""
        backup = completed(east, wishes(project, east, store))
        raw = east.velero.objects("backups")[0]
        del raw["metadata"]["annotations"], raw["metadata"]["labels"][names.LOCATION]
        east.fake.put("backups", raw)
        copy.put_back()
        copy.look()
        row = Backup.objects.get()
        assert kept(row) | {"requested_by_name": "Alice of Harbor"} == kept(backup)
        assert row.requested_by_name == ""

    def test_a_restore_that_is_seen_before_its_backup(
        self, project: Project, east: Site, west: Site, store: BackupLocation, copy: Copy
    ) -> None:
        completed(west, make_restore(completed(east, wishes(project, east, store)), west.row))
        copy.put_back()
        copy.sites.reverse()
        copy.look()
        assert west.fresh().facts[readoption.LEFT] == {"restore": 1} and not Restore.objects.exists()
        copy.look()
        assert Restore.objects.exists() and readoption.LEFT not in _facts(west)


def logged_by(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What our own code logged, as structlog hands it on."""
    return [record.msg for record in caplog.records if isinstance(record.msg, dict)]


def _facts(site: Site) -> dict[str, Any]:
    return {key: value for key, value in site.fresh().facts.items() if value}


class TestNotGuessedAt:
    @pytest.fixture
    def object(self, project: Project, east: Site, store: BackupLocation, copy: Copy) -> dict[str, Any]:
        """A Backup of ours in the cluster, whose row is gone."""
        completed(east, wishes(project, east, store))
        copy.put_back()
        return dict(east.velero.objects("backups")[0])

    def test_a_location_that_was_made_after_the_copy(
        self, object: dict[str, Any], east: Site, store: BackupLocation, copy: Copy, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.delete()
        for _ in range(3):
            copy.look()
        assert not Backup.objects.exists()
        assert east.fresh().facts[readoption.LEFT] == {"backup": 1, "location": 1}
        logged = [record["kind"] for record in logged_by(caplog) if "has no row" in str(record["event"])]
        assert sorted(logged) == ["backup", "location"]

    @pytest.mark.parametrize(
        "label",
        [
            {names.MANAGED_BY: "helm"},
            {names.REQUEST: ""},
            {names.REQUEST: "not-a-uuid"},
            {names.CLUSTER: str(uuid.uuid4())},
        ],
        ids=["another tool", "no request", "no uuid", "another cluster"],
    )
    def test_somebody_elses(self, object: dict[str, Any], east: Site, copy: Copy, label: dict[str, str]) -> None:
        object["metadata"]["labels"] |= label
        east.fake.put("backups", object)
        copy.look()
        assert not Backup.objects.exists() and readoption.LEFT not in _facts(east)

    @pytest.mark.parametrize(
        "change",
        [
            {"metadata": {"labels": {names.PROJECT: str(uuid.uuid4())}}},
            {"metadata": {"labels": {names.LOCATION: str(uuid.uuid4())}}},
            {"spec": {"ttl": "0s"}},
            {"spec": None},
            {"spec": {"includedNamespaces": ["shop\x00"]}, "metadata": {"annotations": {names.REQUESTED_BY: "\x00"}}},
            {"status": None},
            {"status": {"phase": "Whatever\x00", "progress": {"totalItems": -3}}},
        ],
        ids=["project", "location", "no time", "no spec", "NUL", "no status", "odd status"],
    )
    def test_an_odd_one_keeps_no_other_back(
        self,
        object: dict[str, Any],
        project: Project,
        east: Site,
        store: BackupLocation,
        copy: Copy,
        change: dict[str, Any],
    ) -> None:
        other = {**object, "metadata": {**object["metadata"], "name": "other-zyxw9876"}}
        other["metadata"]["labels"] = {**object["metadata"]["labels"], names.REQUEST: str(uuid.uuid4())}
        east.fake.put("backups", other)
        east.fake.patch("backups", object["metadata"]["name"], change, namespace=VELERO)
        copy.look()
        assert Backup.objects.filter(object_name="other-zyxw9876").exists()

    def test_a_reader_of_an_unknown_source(
        self, project: Project, east: Site, west: Site, store: BackupLocation, copy: Copy
    ) -> None:
        source = completed(east, wishes(project, east, store))
        completed(west, make_restore(source, west.row))
        copy.put_back()
        Cluster.objects.filter(pk=east.row.pk).update(uid=str(uuid.uuid4()))
        copy.look()
        assert not PlacedLocation.objects.exists()
        assert west.fresh().facts[readoption.LEFT]["location"] == 1


class TestNothingTwice:
    def test_a_wish_the_copy_knows_as_not_sent(
        self, project: Project, east: Site, store: BackupLocation, copy: Copy
    ) -> None:
        """Its attempt is 0 in the copy, so nobody looks first: the name decides."""
        backup = wishes(project, east, store)
        before = completed(east, backup)
        uid = east.velero.objects("backups")[0]["metadata"]["uid"]
        Backup.objects.update(state=State.REQUESTED, attempt=0, due_at=timezone.now(), submitted_at=None, object_uid="")
        backups.submit(claim(backup))
        assert [one["metadata"]["uid"] for one in east.velero.objects("backups")] == [uid]
        copy.look()
        assert kept(fresh(backup)) == kept(before)

    def test_its_place_is_found_again_before_another_is_made(
        self, project: Project, east: Site, store: BackupLocation, copy: Copy
    ) -> None:
        """A worker is faster than the reconciler's first look."""
        completed(east, wishes(project, east, store))
        copy.put_back()
        again = make_backup(project, east.row, store, object_name="again-abcd1234")
        backups.submit(claim(again))
        assert fresh(again).state == State.SUBMITTED
        assert len(east.velero.objects("backupstoragelocations")) == 1
        assert len(east.velero.objects("backups")) == 2
        assert PlacedLocation.objects.get().credentials_version == store.credentials_version

    @pytest.mark.parametrize("attempt", [0, 3])
    def test_a_wish_of_long_ago_is_not_carried_out(
        self, project: Project, east: Site, store: BackupLocation, copy: Copy, attempt: int
    ) -> None:
        """What it led to may have ended and been removed since."""
        backup = self.old(wishes(project, east, store), attempt)
        backups.submit(claim(backup))
        row = fresh(backup)
        assert row.state == State.REJECTED and "more than 24 hours ago" in row.message
        assert east.velero.objects("backups") == []

    def test_nor_a_restore(self, east: Site, west: Site, backup: Backup, copy: Copy) -> None:
        wish = self.old(make_restore(finished(backup), west.row), 0)
        restores.submit(claim(wish))
        assert fresh(wish).state == State.REJECTED and west.writes() == []

    def test_unless_it_is_there(self, project: Project, east: Site, store: BackupLocation, copy: Copy) -> None:
        backup = wishes(project, east, store)
        before = completed(east, backup)
        Backup.objects.update(state=State.REQUESTED, submitted_at=None)
        backups.submit(claim(self.old(fresh(backup), 0)))
        copy.look()
        assert kept(fresh(backup)) == kept(before)

    def test_one_whose_cluster_is_away_waits(
        self, project: Project, east: Site, store: BackupLocation, quick_timeouts: None
    ) -> None:
        """Whether it is there can be told only by the cluster."""
        backup = self.old(wishes(project, east, store), 0)
        east.fake.server.add_faults(Fault("reset_before", times=None))
        backups.submit(claim(backup))
        assert fresh(backup).state == State.REQUESTED and fresh(backup).due_at

    def test_a_day_is_not_yet_long_ago(self, project: Project, east: Site, store: BackupLocation) -> None:
        backup = wishes(project, east, store)
        Backup.objects.update(created_at=timezone.now() - submission.LATEST + timedelta(minutes=1))
        backups.submit(claim(fresh(backup)))
        assert fresh(backup).state == State.SUBMITTED

    def old(self, wish: Any, attempt: int) -> Any:
        """The wish as an old copy holds it."""
        long_ago = timezone.now() - submission.LATEST - timedelta(minutes=1)
        values = {"created_at": long_ago, "attempt": attempt, "due_at": long_ago}
        type(wish)._default_manager.filter(pk=wish.pk).update(**values)
        return fresh(wish)
