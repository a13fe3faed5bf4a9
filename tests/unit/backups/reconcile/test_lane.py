"""One bad cluster delays no other (I9): who may hold a worker of `commands`, for how long, and what is sent to whom."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone

from backups import jobs
from backups.models import Backup, BackupLocation, LocationCheck
from backups.reconcile import lane, loop
from backups.reconcile.watching import Listed
from tests.fakes.apiserver import FakeApiServer, Fault
from tests.unit.backups.reconcile.conftest import Sent, Site, expire, fresh, make_backup, make_restore
from workspaces.connections import note_slow, note_unreachable
from workspaces.models import Cluster, Project
from workspaces.models.cluster import ClusterState

pytestmark = pytest.mark.django_db
SUBMIT = "backups.jobs.submit_backup"


@pytest.fixture(autouse=True)
def _immediate(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are caught as soon as they are sent; jobs come through `commands`."""
    monkeypatch.setattr("console.lib.queue.transaction.on_commit", lambda send: send())
    monkeypatch.setattr(lane, "queue_of_this_job", lambda: "commands")
    monkeypatch.setattr(lane, "TIME", 30)


@pytest.fixture(autouse=True)
def inside(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Clusters that have a job just now, in place of Redis."""
    names: set[str] = set()

    @contextmanager
    def alone(name: str, seconds: float) -> Iterator[bool]:
        yield name not in names

    monkeypatch.setattr(lane, "alone", alone)
    return names


class TestWhoMayHoldAWorker:
    def test_a_row_of_a_cluster_that_is_well(self, east: Site, backup: Backup, sent: Sent) -> None:
        jobs.submit_backup(str(backup.pk), 0)
        assert (fresh(backup).state, sent) == ("submitted", [])

    def test_not_one_of_a_cluster_in_trouble(self, east: Site, backup: Backup, sent: Sent) -> None:
        note_slow(east.row)
        jobs.submit_backup(str(backup.pk), 0)
        assert (fresh(backup).state, fresh(backup).attempt) == ("requested", 0)
        assert sent == [(SUBMIT, str(backup.pk), 0, "slow")]

    def test_not_a_second_of_the_same_cluster(self, east: Site, backup: Backup, sent: Sent, inside: set[str]) -> None:
        inside.add(f"cluster-{east.row.pk}")
        jobs.submit_backup(str(backup.pk), 0)
        assert (fresh(backup).attempt, sent) == (0, [(SUBMIT, str(backup.pk), 0, "slow")])

    def test_on_the_slow_queue_nobody_is_sent_on(
        self, east: Site, backup: Backup, sent: Sent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        note_slow(east.row)
        monkeypatch.setattr(lane, "queue_of_this_job", lambda: "slow")
        jobs.submit_backup(str(backup.pk), 0)
        assert (fresh(backup).state, sent) == ("submitted", [])

    def test_what_concerns_no_cluster_is_not_asked_for_one(self, project: Project) -> None:
        check = LocationCheck.objects.create(project=project)
        with lane.lane(LocationCheck, check.pk, 0) as free:
            assert free

    def test_a_restore_is_its_targets(self, east: Site, west: Site, backup: Backup, sent: Sent) -> None:
        restore = make_restore(backup, west.row)
        note_slow(west.row)
        jobs.submit_restore(str(restore.pk), 0)
        assert sent == [("backups.jobs.submit_restore", str(restore.pk), 0, "slow")]


class TestTime:
    @pytest.mark.slow
    def test_what_takes_too_long_is_due_at_once_and_its_cluster_in_trouble(
        self, api: FakeApiServer, east: Site, backup: Backup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lane, "TIME", 0.2)
        api.add_faults(Fault("delay", seconds=3))
        began = time.monotonic()
        jobs.submit_backup(str(backup.pk), 0)
        assert time.monotonic() - began < 1
        row = fresh(backup)
        assert (row.state, row.attempt) == ("requested", 1)
        assert row.due_at <= timezone.now()  # type: ignore[operator]
        assert east.fresh().retry_at is not None
        assert east.fresh().state == ClusterState.HEALTHY, "that is for the reconciler to say"

    @pytest.mark.slow
    def test_interrupted_after_its_object_was_made_it_makes_no_second(
        self, east: Site, backup: Backup, sent: Sent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as held:
            held.setattr(lane, "TIME", 0.3)
            held.setattr("backups.reconcile.backup.note_submitted", lambda *_: time.sleep(5))
            jobs.submit_backup(str(backup.pk), 0)
        assert (fresh(backup).state, len(east.velero.objects("backups"))) == ("submitting", 1)
        assert loop.redrive() == 1
        assert sent == [(SUBMIT, str(backup.pk), 1, "slow")]
        monkeypatch.setattr(lane, "queue_of_this_job", lambda: "slow")
        jobs.submit_backup(str(backup.pk), 1)
        assert (fresh(backup).state, len(east.velero.objects("backups"))) == ("submitted", 1)


class TestWhatIsSent:
    def test_to_a_cluster_in_trouble_through_the_slow_queue(self, east: Site, backup: Backup, sent: Sent) -> None:
        note_slow(east.row)
        expire(backup)
        assert loop.redrive() == 1
        assert sent == [(SUBMIT, str(backup.pk), 0, "slow")]

    def test_nothing_while_it_is_left_alone(self, east: Site, backup: Backup, sent: Sent) -> None:
        note_unreachable(east.row, "It refuses the connection.")
        expire(backup)
        assert (loop.redrive(), sent) == (0, [])
        Cluster.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
        assert loop.redrive() == 1

    def test_others_meanwhile(
        self, east: Site, west: Site, backup: Backup, store: BackupLocation, project: Project, sent: Sent
    ) -> None:
        other = make_backup(project, west.row, store, object_name="other-abcd1234")
        note_unreachable(east.row, "It refuses the connection.")
        expire(backup)
        expire(other)
        assert loop.redrive() == 1
        assert sent == [(SUBMIT, str(other.pk), 0, "commands")]


class TestTrouble:
    def test_it_ends_with_a_quick_answer(self, east: Site) -> None:
        note_slow(east.row)
        loop.write(Listed(east.row.pk, "backup", {}, timezone.now()))
        assert (east.fresh().retry_at, east.fresh().state) == (None, ClusterState.HEALTHY)

    def test_not_with_a_slow_one_which_is_shown(self, east: Site) -> None:
        note_slow(east.row)
        loop.write(Listed(east.row.pk, "backup", {}, timezone.now(), slow=True))
        cluster = east.fresh()
        assert (cluster.state, cluster.retry_at is None) == (ClusterState.DEGRADED, False)
        assert "answers so slowly" in cluster.state_reason

    def test_a_slow_answer_alone_is_none(self, east: Site) -> None:
        """The reconciler itself may have been held up."""
        loop.write(Listed(east.row.pk, "backup", {}, timezone.now(), slow=True))
        assert (east.fresh().retry_at, east.fresh().state) == (None, ClusterState.HEALTHY)

    def test_slowness_does_not_end_the_breakers_rest(self, east: Site) -> None:
        note_unreachable(east.row, "It refuses the connection.")
        rest = east.fresh().retry_at
        note_slow(east.row)
        assert east.fresh().retry_at == rest
