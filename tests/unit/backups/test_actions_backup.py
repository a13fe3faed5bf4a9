"""Backup now: works, bad input at its field, strangers, twice is once."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import AuditEvent, User
from backups.actions.backup import request_backup
from backups.lifecycle import State
from backups.models import Backup, BackupLocation
from console.lib.errors import BadInput, NotVisible
from tests.conftest import make_cluster, make_location
from workspaces.actions.cluster import deregister_cluster
from workspaces.actions.project import create_project
from workspaces.models import Cluster, Project
from workspaces.models.cluster import ClusterState

Sent = list[tuple[str, str, int, str]]
pytestmark = pytest.mark.django_db


def request(by: User, cluster: Cluster, location: BackupLocation, **fields: object) -> Backup:
    values: dict[str, object] = {"name": "nightly", "keep_for": timedelta(days=7)}
    return request_backup(by=by, cluster=cluster, location=location, **values | fields)  # type: ignore[arg-type]


class TestWorks:
    def test_a_row_and_a_message(
        self,
        alice: User,
        east: Cluster,
        store: BackupLocation,
        sent: Sent,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            backup = request(alice, east, store, namespaces=["shop"], include_disks=False, cluster_resources="never")
        stored = Backup.objects.get()
        assert stored == backup
        assert (stored.state, stored.attempt, stored.project) == (State.REQUESTED, 0, east.project)
        assert (stored.namespaces, stored.include_disks, stored.cluster_resources) == (["shop"], False, "never")
        assert stored.object_name.startswith("nightly-")
        assert stored.requested_by_name == str(alice)
        assert sent == [("backups.jobs.submit_backup", str(backup.pk), 0, "commands")]

    def test_it_is_driven_again_if_the_message_is_lost(self, alice: User, east: Cluster, store: BackupLocation) -> None:
        backup = request(alice, east, store)
        assert backup.due_at is not None
        assert not Backup.objects.due().exists()
        Backup.objects.update(due_at=backup.created_at - timedelta(seconds=1))
        assert list(Backup.objects.due()) == [backup]

    @pytest.mark.parametrize("state", sorted(set(ClusterState) - {ClusterState.VELERO_MISSING}))
    def test_a_cluster_in_trouble_may_be_asked(
        self, alice: User, project: Project, store: BackupLocation, state: str
    ) -> None:
        """The wish waits until the cluster is back."""
        assert request(alice, make_cluster(project, "c", state=state), store).pk

    def test_the_name_is_free_again_after_a_rejected_one(
        self, alice: User, east: Cluster, store: BackupLocation
    ) -> None:
        request(alice, east, store)
        Backup.objects.update(state=State.REJECTED)
        assert request(alice, east, store).object_name != Backup.objects.earliest("created_at").object_name

    def test_two_clusters_may_use_one_name(
        self, alice: User, east: Cluster, west: Cluster, store: BackupLocation
    ) -> None:
        assert request(alice, east, store).object_name != request(alice, west, store).object_name


class TestBadInput:
    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": "x" * 39}, "name"),
            ({"name": "x" * 100}, "name"),
            ({"name": "x" * 5000}, "name"),
            ({"name": "Nightly"}, "name"),
            ({"name": "-nightly"}, "name"),
            ({"name": "nightly-"}, "name"),
            ({"name": "a b"}, "name"),
            ({"name": "ä"}, "name"),
            ({"name": "a\nb"}, "name"),
            ({"name": "nightly\n"}, "name"),
            ({"name": "../../etc"}, "name"),
            ({"keep_for": timedelta(0)}, "keep_for"),
            ({"keep_for": timedelta(minutes=59)}, "keep_for"),
            ({"keep_for": timedelta(days=-1)}, "keep_for"),
            ({"cluster_resources": "perhaps"}, "cluster_resources"),
            ({"namespaces": ["velero"]}, "namespaces"),
            ({"namespaces": ["shop", "velero"]}, "namespaces"),
            ({"namespaces": ["*"]}, "namespaces"),
            ({"namespaces": ["shop*"]}, "namespaces"),
            ({"namespaces": ["Shop"]}, "namespaces"),
            ({"namespaces": [""]}, "namespaces"),
            ({"namespaces": ["x" * 64]}, "namespaces"),
        ],
    )
    def test_it_is_said_at_its_field(
        self, alice: User, east: Cluster, store: BackupLocation, fields: dict[str, object], field: str
    ) -> None:
        with pytest.raises(BadInput) as caught:
            request(alice, east, store, **fields)
        assert caught.value.field == field
        assert caught.value.message.endswith(".")
        assert not Backup.objects.exists()

    @pytest.mark.parametrize("name", ["a", "0", "x" * 38, "a-b-c", "0-0"])
    def test_a_good_name(self, alice: User, east: Cluster, store: BackupLocation, name: str) -> None:
        assert len(request(alice, east, store, name=name).object_name) == len(name) + 9

    def test_velero_elsewhere_is_recognised_by_its_own_namespace(
        self, alice: User, project: Project, store: BackupLocation
    ) -> None:
        cluster = make_cluster(project, "c", velero_namespace="backup-system")
        with pytest.raises(BadInput, match="backup-system"):
            request(alice, cluster, store, namespaces=["backup-system"])
        assert request(alice, cluster, store, namespaces=["velero"])

    def test_a_taken_name(self, alice: User, east: Cluster, store: BackupLocation) -> None:
        request(alice, east, store)
        with pytest.raises(BadInput, match="has a backup of this name already"):
            request(alice, east, store)
        assert Backup.objects.count() == 1

    def test_without_velero(self, alice: User, project: Project, store: BackupLocation) -> None:
        cluster = make_cluster(project, "bare", state=ClusterState.VELERO_MISSING)
        with pytest.raises(BadInput, match="Velero is not installed in bare") as caught:
            request(alice, cluster, store)
        assert caught.value.field == "cluster"
        assert caught.value.remedy

    def test_a_deregistered_cluster(self, alice: User, east: Cluster, store: BackupLocation) -> None:
        deregister_cluster(by=alice, cluster=east, typed_name=east.name)
        with pytest.raises(BadInput, match="not registered any more") as caught:
            request(alice, east, store)
        assert caught.value.field == "cluster"


class TestBorders:
    def test_a_location_of_another_project(self, alice: User, east: Cluster) -> None:
        second = create_project(by=alice, tenant=east.project.tenant, name="Second")
        with pytest.raises(BadInput) as caught:
            request(alice, east, make_location(second))
        assert caught.value.field == "location"
        assert not Backup.objects.exists()

    def test_a_stranger(self, charlie: User, east: Cluster, store: BackupLocation) -> None:
        before = AuditEvent.objects.count()
        with pytest.raises(NotVisible) as caught:
            request(charlie, east, store)
        assert east.name not in caught.value.sentence()
        assert not Backup.objects.exists()
        assert AuditEvent.objects.count() == before

    def test_a_stranger_with_a_guessed_submission(
        self, alice: User, charlie: User, east: Cluster, store: BackupLocation
    ) -> None:
        submission = uuid.uuid4()
        request(alice, east, store, submission=submission)
        with pytest.raises(NotVisible):
            request(charlie, east, store, submission=submission)


class TestTwice:
    def test_the_same_form_makes_one_row(
        self,
        alice: User,
        east: Cluster,
        store: BackupLocation,
        sent: Sent,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        """I8, with one audit row and one message."""
        submission = uuid.uuid4()
        with django_capture_on_commit_callbacks(execute=True):
            made = [request(alice, east, store, submission=submission) for _ in range(3)]
        assert len(set(made)) == Backup.objects.count() == len(sent) == 1
        assert AuditEvent.objects.filter(verb="backup.create").count() == 1

    def test_also_after_it_has_ended(self, alice: User, east: Cluster, store: BackupLocation) -> None:
        submission = uuid.uuid4()
        first = request(alice, east, store, submission=submission)
        Backup.objects.update(state=State.REJECTED)
        assert request(alice, east, store, submission=submission) == first

    def test_a_form_for_another_cluster_is_another_form(
        self, alice: User, east: Cluster, west: Cluster, store: BackupLocation
    ) -> None:
        submission = uuid.uuid4()
        request(alice, east, store, submission=submission)
        with pytest.raises(BadInput):
            request(alice, west, store, submission=submission)
        assert Backup.objects.get().cluster == east
