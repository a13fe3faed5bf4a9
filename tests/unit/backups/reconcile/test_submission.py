"""Carrying a backup to its cluster, over a wire on which everything goes wrong: exactly one object per wish (I2), and
every wish ends in what is true (I1)."""

from __future__ import annotations

import pytest
from django.db import connection as database
from pytest_django import Settings

from backups.lifecycle import State
from backups.models import Backup, BackupLocation, PlacedLocation
from backups.reconcile import backup as backups
from backups.velero import names
from console.kube.connection import Connection
from console.lib import outbound
from tests.fakes.apiserver import FakeApiServer, Fault
from tests.unit.backups.reconcile.conftest import VELERO, Site, claim, expire, fresh, make_backup
from workspaces.models import Cluster, Project
from workspaces.models.cluster import ClusterState

pytestmark = pytest.mark.django_db
BACKUPS = r"/backups(/|$)"


def submit(backup: Backup) -> Backup:
    """One attempt, as a worker makes it. The row afterwards."""
    backups.submit(claim(backup))
    return fresh(backup)


def drive(backup: Backup, attempts: int = 8) -> Backup:
    """Attempts until the row needs no worker any more."""
    for _ in range(attempts):
        row = submit(backup)
        if row.due_at is None:
            return row
        Cluster.objects.update(retry_at=None)
    pytest.fail(f"still {row.state} after {attempts} attempts: {row.message}")


class TestHappyPath:
    def test_one_object_with_the_rows_name_and_labels(self, east: Site, backup: Backup) -> None:
        row = submit(backup)
        (made,) = east.velero.objects("backups")
        assert (row.state, row.due_at, row.message) == (State.SUBMITTED, None, "")
        assert (made["metadata"]["name"], made["metadata"]["uid"]) == (row.object_name, row.object_uid)
        assert row.submitted_at is not None
        labels = made["metadata"]["labels"]
        assert labels[names.REQUEST] == str(backup.pk)
        assert labels[names.CLUSTER] == str(east.row.pk)
        assert labels[names.PROJECT] == str(backup.project_id)
        assert labels[names.MANAGED_BY] == "drydock"

    def test_the_location_comes_before_it_and_the_keys_before_the_location(self, east: Site, backup: Backup) -> None:
        submit(backup)
        posts = [what for method, what in east.writes() if method == "POST"]
        assert posts == ["secrets", "backupstoragelocations", "backups"]

    def test_the_location_is_the_clusters_own_leaf(self, east: Site, backup: Backup) -> None:
        submit(backup)
        (location,) = east.velero.objects("backupstoragelocations")
        (made,) = east.velero.objects("backups")
        assert location["spec"]["objectStorage"] == {"bucket": "backups", "prefix": f"drydock/p/{east.row.uid}"}
        assert location["spec"]["accessMode"] == "ReadWrite"
        assert made["spec"]["storageLocation"] == location["metadata"]["name"]

    def test_what_we_made_stays_out_of_every_backup(self, east: Site, backup: Backup) -> None:
        east.fake.put("secrets", {"metadata": {"name": "velero-repo-credentials", "namespace": VELERO}, "data": {}})
        submit(backup)
        kept_out = [*east.velero.objects("secrets"), *east.velero.objects("backupstoragelocations")]
        assert len(kept_out) == 3
        assert all(one["metadata"]["labels"][names.EXCLUDE_FROM_BACKUP] == "true" for one in kept_out)
        (made,) = east.velero.objects("backups")
        assert made["spec"]["excludedNamespaces"] == [VELERO]
        assert made["spec"]["includeClusterResources"] is True

    def test_the_second_backup_brings_nothing_but_itself(
        self, east: Site, project: Project, store: BackupLocation, backup: Backup
    ) -> None:
        submit(backup)
        east.fake.server.requests.clear()
        submit(make_backup(project, east.row, store, name="second", object_name="second-abcd1234"))
        assert east.writes() == [("POST", "backups")]

    def test_no_transaction_is_open_round_a_network_call(
        self, east: Site, backup: Backup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """pytest holds one of its own; more than that would be ours."""
        outermost = len(database.savepoint_ids), database.in_atomic_block
        seen: list[tuple[int, bool]] = []
        plain = Connection._send

        def spied(self: Connection, *args: object) -> object:
            seen.append((len(database.savepoint_ids), database.in_atomic_block))
            return plain(self, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(Connection, "_send", spied)
        submit(backup)
        assert len(seen) >= 6
        assert set(seen) == {outermost}


class TestSomethingIsThereAlready:
    def test_ours_is_the_same_wish(self, east: Site, backup: Backup) -> None:
        """A worker died after its request took effect, and the row was written to disk from before."""
        submit(backup)
        Backup.objects.filter(pk=backup.pk).update(state=State.SUBMITTING, attempt=0, object_uid="", submitted_at=None)
        expire(backup)
        row = submit(backup)
        (made,) = east.velero.objects("backups")
        assert (row.state, row.object_uid) == (State.SUBMITTED, made["metadata"]["uid"])

    def test_somebody_elses_is_refused_with_a_sentence(self, east: Site, backup: Backup) -> None:
        east.fake.put(
            "backups", {"metadata": {"name": backup.object_name, "namespace": VELERO, "labels": {}}, "spec": {}}
        )
        row = submit(backup)
        assert row.state == State.REJECTED
        assert row.object_name in row.message
        assert row.finished_at is not None
        (theirs,) = east.velero.objects("backups")
        assert names.REQUEST not in theirs["metadata"].get("labels", {})

    def test_somebody_elses_found_by_name_later(self, east: Site, backup: Backup) -> None:
        east.fake.put("backups", {"metadata": {"name": backup.object_name, "namespace": VELERO}, "spec": {}})
        Backup.objects.filter(pk=backup.pk).update(state=State.UNKNOWN, attempt=3)
        row = submit(backup)
        assert row.state == State.REJECTED
        assert "not this request's" in row.message

    def test_ours_found_from_a_row_of_an_old_dump(self, east: Site, backup: Backup) -> None:
        """I10: the dump still says requested, at its second attempt; the object has been there for long."""
        submit(backup)
        Backup.objects.filter(pk=backup.pk).update(state=State.REQUESTED, attempt=1, object_uid="")
        expire(backup)
        row = submit(backup)
        assert row.state == State.SUBMITTED
        assert len(east.velero.objects("backups")) == 1


class TestUnanswered:
    """Not answered is not refused: look by name before anything is sent again."""

    @pytest.mark.parametrize("action", ["reset_after", "garbage"])
    def test_it_took_effect(self, api: FakeApiServer, east: Site, backup: Backup, action: str) -> None:
        api.add_faults(Fault(action, "POST", BACKUPS))  # type: ignore[arg-type]
        row = submit(backup)
        assert row.state == State.UNKNOWN
        assert "not known whether" in row.message
        assert row.due_at is not None
        east.fake.server.requests.clear()
        row = submit(backup)
        assert (row.state, row.message) == (State.SUBMITTED, "")
        assert east.writes() == []
        assert len(east.velero.objects("backups")) == 1

    def test_it_did_not(self, api: FakeApiServer, east: Site, backup: Backup) -> None:
        api.add_faults(Fault("reset_before", "POST", BACKUPS))
        assert submit(backup).state == State.UNKNOWN
        assert east.velero.objects("backups") == []
        row = submit(backup)
        assert row.state == State.SUBMITTED
        assert len(east.velero.objects("backups")) == 1

    @pytest.mark.slow
    @pytest.mark.usefixtures("quick_timeouts")
    def test_no_answer_in_time(self, api: FakeApiServer, east: Site, backup: Backup) -> None:
        api.add_faults(Fault("hang", "POST", BACKUPS))
        row = submit(backup)
        assert row.state == State.UNKNOWN
        assert "took too long" in row.message
        assert submit(backup).state == State.SUBMITTED

    @pytest.mark.slow
    def test_nobody_is_told_anything_while_it_is_unknown(self, api: FakeApiServer, east: Site, backup: Backup) -> None:
        """The question itself may fail, too; the answer stays open, however it fails."""
        api.add_faults(Fault("reset_after", "POST", BACKUPS))
        submit(backup)
        for fault in (
            Fault("status", "GET", BACKUPS, status=503),
            Fault("status", "GET", BACKUPS, status=403),
            Fault("status", "GET", BACKUPS, status=401),
            Fault("reset_before", "GET", BACKUPS),
            Fault("garbage", "GET", BACKUPS),
        ):
            api.faults.clear()
            api.add_faults(fault)
            row = submit(backup)
            assert (row.state, row.finished_at) == (State.UNKNOWN, None), fault
            assert row.message
        api.faults.clear()
        assert submit(backup).state == State.SUBMITTED
        assert len(east.velero.objects("backups")) == 1

    def test_a_worker_killed_after_its_request(self, api: FakeApiServer, east: Site, backup: Backup) -> None:
        with pytest.raises(SystemExit), pytest.MonkeyPatch.context() as patch:
            patch.setattr(backups, "note_submitted", lambda *_: (_ for _ in ()).throw(SystemExit))
            submit(backup)
        assert fresh(backup).state == State.SUBMITTING
        assert len(east.velero.objects("backups")) == 1
        expire(backup)
        row = submit(backup)
        assert row.state == State.SUBMITTED
        assert len(east.velero.objects("backups")) == 1

    def test_its_successor_who_may_not_ask_does_not_reject_it(
        self, api: FakeApiServer, east: Site, backup: Backup
    ) -> None:
        """The object is there; whoever cannot see it must not say that it is not."""
        submit(backup)
        Backup.objects.filter(pk=backup.pk).update(state=State.SUBMITTING, attempt=1)
        expire(backup)
        api.add_faults(Fault("status", "GET", BACKUPS, status=403, message="not you"))
        row = submit(backup)
        assert row.state == State.SUBMITTING
        assert row.due_at is not None
        assert "not you" in row.message
        assert submit(backup).state == State.SUBMITTED

    def test_a_worker_killed_by_the_clock_says_so_and_comes_back(
        self, east: Site, backup: Backup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """RQ raises inside the job when its time is over; anything unexpected ends the same way."""

        def late(*_: object) -> None:
            raise RuntimeError("planted-internal-detail")

        with monkeypatch.context() as patch:
            patch.setattr(backups, "create_backup", late)
            with pytest.raises(RuntimeError):
                submit(backup)
        row = fresh(backup)
        assert row.state == State.SUBMITTING
        assert "reference" in row.message
        assert "planted" not in row.message
        assert submit(backup).state == State.SUBMITTED


class TestTryLater:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_the_server_says_not_now(self, api: FakeApiServer, east: Site, backup: Backup, status: int) -> None:
        api.add_faults(Fault("status", "POST", BACKUPS, status=status, times=2))
        row = drive(backup)
        assert row.state == State.SUBMITTED
        assert len(east.velero.objects("backups")) == 1

    def test_how_long_to_wait_is_heeded(self, api: FakeApiServer, east: Site, backup: Backup) -> None:
        api.add_faults(Fault("status", "POST", BACKUPS, status=429, headers={"Retry-After": "45"}))
        row = submit(backup)
        assert row.message
        assert 40 < (row.due_at - row.updated_at).total_seconds() <= 46  # type: ignore[operator]

    @pytest.mark.slow
    def test_later_attempts_are_farther_apart(self, api: FakeApiServer, east: Site, backup: Backup) -> None:
        api.add_faults(Fault("status", "POST", BACKUPS, status=503, times=None))
        pauses = []
        for _ in range(8):
            row = submit(backup)
            pauses.append((row.due_at - row.updated_at).total_seconds())  # type: ignore[operator]
        assert [round(pause) for pause in pauses] == [2, 4, 8, 16, 32, 60, 60, 60]

    def test_a_wish_is_refused_for_good_only_by_a_no(self, api: FakeApiServer, east: Site, backup: Backup) -> None:
        api.add_faults(Fault("status", "POST", BACKUPS, status=403, message="backups is forbidden"))
        row = submit(backup)
        assert row.state == State.REJECTED
        assert "forbidden" in row.message
        assert east.velero.objects("backups") == []


class TestUnreachable:
    def test_it_waits_and_says_why_and_the_cluster_is_left_alone(
        self, east: Site, backup: Backup, project: Project, store: BackupLocation
    ) -> None:
        gone = {"kubeconfig": east.fake.kubeconfig().replace(str(east.fake.server.port), "1"), "context": ""}
        east.row.kubeconfig = gone
        east.row.save()
        row = submit(backup)
        assert (row.state, row.finished_at) == (State.REQUESTED, None)
        assert "refuses the connection" in row.message
        cluster = east.fresh()
        assert cluster.state == ClusterState.UNREACHABLE
        assert "refuses the connection" in cluster.state_reason
        assert cluster.retry_at is not None
        second = submit(make_backup(project, east.row, store, name="second", object_name="second-1"))
        assert "refuses the connection" in second.message
        assert second.due_at <= cluster.retry_at or second.due_at is not None  # type: ignore[operator]

    def test_others_do_not_notice(
        self, east: Site, west: Site, backup: Backup, project: Project, store: BackupLocation
    ) -> None:
        east.row.kubeconfig = {
            "kubeconfig": east.fake.kubeconfig().replace(str(east.fake.server.port), "1"),
            "context": "",
        }
        east.row.save()
        submit(backup)
        assert submit(make_backup(project, west.row, store, object_name="other-1")).state == State.SUBMITTED
        assert west.fresh().state == ClusterState.HEALTHY

    def test_it_goes_on_when_the_cluster_is_back(self, east: Site, backup: Backup) -> None:
        good = dict(east.row.kubeconfig)
        east.row.kubeconfig = {"kubeconfig": good["kubeconfig"].replace(str(east.fake.server.port), "1"), "context": ""}
        east.row.save()
        submit(backup)
        east.row.kubeconfig = good
        east.row.save()
        assert drive(backup).state == State.SUBMITTED

    def test_another_cluster_at_the_address(self, api: FakeApiServer, east: Site, backup: Backup) -> None:
        """The kubeconfig leads somewhere else than when it was registered: nothing may be written there."""
        Cluster.objects.update(uid="the-uid-it-had")
        row = submit(backup)
        assert row.state == State.REJECTED
        assert "Another cluster answers at the address of harbor-east" in row.message
        assert east.writes() == []

    def test_another_cluster_at_the_address_while_it_is_open(self, east: Site, backup: Backup) -> None:
        Backup.objects.filter(pk=backup.pk).update(state=State.UNKNOWN, attempt=2)
        Cluster.objects.update(uid="the-uid-it-had")
        row = submit(backup)
        assert (row.state, row.finished_at) == (State.UNKNOWN, None)
        assert "Another cluster" in row.message

    def test_credentials_that_are_not_accepted(self, east: Site, backup: Backup) -> None:
        east.fake.users.clear()
        row = submit(backup)
        assert row.state == State.REJECTED
        assert "does not accept the credentials" in row.message

    def test_the_consoles_own_addresses_are_never_asked(
        self, east: Site, backup: Backup, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.OUTBOUND_ALLOW_LOOPBACK = False
        outbound.policy.cache_clear()
        try:
            row = submit(backup)
        finally:
            settings.OUTBOUND_ALLOW_LOOPBACK = True
            outbound.policy.cache_clear()
        assert row.due_at is None or row.state == State.REQUESTED
        assert row.message
        assert east.fake.server.requests_to(east.fake.name) == []


class TestVelero:
    def test_a_location_that_velero_cannot_use(self, east: Site, backup: Backup) -> None:
        east.velero.verdict = ("Unavailable", "rpc error: code = Unknown desc = SignatureDoesNotMatch: planted")
        row = submit(backup)
        assert row.state == State.REJECTED
        assert "cannot use the location store" in row.message
        assert "secret key of the backup location is wrong" in row.message
        assert east.velero.objects("backups") == []
        placed = PlacedLocation.objects.get()
        assert placed.phase == "Unavailable"
        assert "secret key" in placed.message

    def test_an_old_verdict_is_asked_again(
        self, east: Site, backup: Backup, project: Project, store: BackupLocation
    ) -> None:
        """It was Unavailable a minute ago; the bucket is back, and Velero would find out at its next tick only."""
        east.velero.verdict = ("Unavailable", "NoSuchBucket")
        assert submit(backup).state == State.REJECTED
        east.velero.verdict = ("Available", "")
        again = make_backup(project, east.row, store, name="second", object_name="second-abcd1234")
        assert submit(again).state == State.SUBMITTED
        assert PlacedLocation.objects.get().phase == "Available"

    @pytest.mark.slow
    def test_a_server_that_does_not_answer(self, east: Site, backup: Backup) -> None:
        east.velero.verdict = None
        row = submit(backup)
        assert (row.state, row.finished_at) == (State.SUBMITTING, None)
        assert "has not looked at the location yet" in row.message
        assert "running" in row.message
        assert east.velero.objects("backups") == []
        east.velero.verdict = ("Available", "")
        east.velero.judge(PlacedLocation.objects.get().object_name)
        assert submit(backup).state == State.SUBMITTED

    def test_without_its_resource_definitions(self, east: Site, backup: Backup) -> None:
        east.fake.remove_group("velero.io")
        row = submit(backup)
        assert row.state == State.REJECTED
        assert "Velero is not installed in harbor-east (namespace velero)" in row.message

    def test_without_its_namespace(self, east: Site, backup: Backup) -> None:
        east.fake.remove("namespaces", VELERO)
        row = submit(backup)
        assert row.state == State.REJECTED
        assert "Velero is not installed in harbor-east (namespace velero)" in row.message

    def test_a_location_removed_by_hand_is_brought_again(
        self, east: Site, backup: Backup, project: Project, store: BackupLocation
    ) -> None:
        submit(backup)
        (location,) = east.velero.objects("backupstoragelocations")
        east.fake.remove("backupstoragelocations", location["metadata"]["name"], namespace=VELERO)
        again = submit(make_backup(project, east.row, store, name="second", object_name="second-abcd1234"))
        assert again.state == State.SUBMITTED
        assert len(east.velero.objects("backupstoragelocations")) == 1

    def test_new_keys_reach_the_cluster_before_the_next_backup(
        self, east: Site, backup: Backup, project: Project, store: BackupLocation
    ) -> None:
        submit(backup)
        store.credentials = {"access_key": "AKIANEW", "secret_key": "planted-new-secret"}
        store.credentials_version += 1
        store.save()
        before = east.velero.objects("secrets")[0]["data"]
        submit(make_backup(project, east.row, store, name="second", object_name="second-abcd1234"))
        assert east.velero.objects("secrets")[0]["data"] != before
        assert PlacedLocation.objects.get().credentials_version == 2

    def test_a_secret_of_somebody_else_is_not_overwritten(
        self, east: Site, backup: Backup, store: BackupLocation
    ) -> None:
        placed = PlacedLocation.objects.create(
            location=store, cluster=east.row, source=east.row, access="ReadWrite", object_name="taken", prefix="x/y"
        )
        east.fake.put("secrets", {"metadata": {"name": placed.object_name, "namespace": VELERO}, "data": {"a": "Yg=="}})
        row = submit(backup)
        assert row.state == State.REJECTED
        assert "this console did not make" in row.message
        assert east.velero.objects("secrets")[0]["data"] == {"a": "Yg=="}


@pytest.mark.slow
def test_no_message_ever_carries_a_key(
    api: FakeApiServer, east: Site, backup: Backup, caplog: pytest.LogCaptureFixture
) -> None:
    for status in (400, 401, 403, 404, 409, 422, 500):
        api.faults.clear()
        api.add_faults(Fault("status", "POST", "", status=status, message="no", times=None))
        Backup.objects.filter(pk=backup.pk).update(state=State.REQUESTED, finished_at=None, attempt=0)
        expire(backup)
        row = submit(backup)
        assert row.message
        told = row.message + caplog.text
        assert "planted" not in told
        assert "AKIA" not in told
        assert "fake-admin-token" not in told
