"""Restores: works, bad input at its field, strangers, and nothing leaves its project."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.models import AuditEvent, User
from backups.actions.restore import request_restore
from backups.lifecycle import RESTORABLE, State
from backups.models import Backup, BackupLocation, Restore
from console.lib.errors import BadInput, NotVisible
from tests.conftest import make_cluster
from workspaces.actions.cluster import deregister_cluster
from workspaces.actions.project import create_project
from workspaces.models import Cluster, Project
from workspaces.models.cluster import ClusterState

Sent = list[tuple[str, str, int, str]]
pytestmark = pytest.mark.django_db


@pytest.fixture
def backup(project: Project, east: Cluster, store: BackupLocation) -> Backup:
    made: Backup = Backup.objects.create(
        project=project,
        cluster=east,
        location=store,
        name="nightly",
        object_name="nightly-abcd1234",
        keep_for=timedelta(days=7),
        state=State.COMPLETED,
    )
    return made


def request(by: User, backup: Backup, target: Cluster, **fields: object) -> Restore:
    return request_restore(by=by, backup=backup, target=target, **fields)  # type: ignore[arg-type]


class TestWorks:
    def test_elsewhere(
        self,
        alice: User,
        backup: Backup,
        west: Cluster,
        sent: Sent,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            restore = request(
                alice, backup, west, namespaces=["shop"], namespace_mapping={"shop": "shop-copy"}, restore_volumes=False
            )
        stored = Restore.objects.get()
        assert stored == restore
        assert (stored.cluster, stored.is_elsewhere, stored.state) == (west, True, State.REQUESTED)
        assert (stored.namespace_mapping, stored.restore_volumes) == ({"shop": "shop-copy"}, False)
        assert stored.object_name.startswith("nightly-")
        assert stored.object_name != backup.object_name
        assert sent == [("backups.jobs.submit_restore", str(restore.pk), 0, "commands")]
        assert AuditEvent.objects.get(verb="restore.create").details == {"source": "harbor-east", "into": "harbor-west"}

    def test_in_place(self, alice: User, backup: Backup, east: Cluster) -> None:
        assert request(alice, backup, east).is_elsewhere is False

    def test_as_often_as_one_likes(self, alice: User, backup: Backup, east: Cluster) -> None:
        assert len({request(alice, backup, east).object_name for _ in range(3)}) == 3

    @pytest.mark.parametrize("state", sorted(State))
    def test_only_what_has_something_to_restore(self, alice: User, backup: Backup, east: Cluster, state: State) -> None:
        backup.state = state
        if state in RESTORABLE:
            assert request(alice, backup, east)
            return
        with pytest.raises(BadInput) as caught:
            request(alice, backup, east)
        assert caught.value.field == "backup"


class TestBadInput:
    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"namespaces": ["velero"]}, "namespaces"),
            ({"namespaces": ["*"]}, "namespaces"),
            ({"namespace_mapping": {"shop": "velero"}}, "namespace_mapping"),
            ({"namespace_mapping": {"velero": "shop"}}, "namespace_mapping"),
            ({"namespace_mapping": {"shop": ""}}, "namespace_mapping"),
            ({"namespace_mapping": {"shop": "Shop"}}, "namespace_mapping"),
            ({"namespace_mapping": {"shop": "x" * 64}}, "namespace_mapping"),
            ({"namespace_mapping": {"shop": "one", "intranet": "one"}}, "namespace_mapping"),
            ({"cluster_resources": "perhaps"}, "cluster_resources"),
            ({"existing_objects": "replace"}, "existing_objects"),
        ],
    )
    def test_it_is_said_at_its_field(
        self, alice: User, backup: Backup, west: Cluster, fields: dict[str, object], field: str
    ) -> None:
        with pytest.raises(BadInput) as caught:
            request(alice, backup, west, **fields)
        assert caught.value.field == field
        assert not Restore.objects.exists()

    def test_the_sources_velero_namespace_is_kept_out_too(
        self, alice: User, project: Project, store: BackupLocation
    ) -> None:
        """Source and target may call it differently; neither may be restored."""
        source = make_cluster(project, "source", velero_namespace="backup-system")
        backup = Backup.objects.create(
            project=project,
            cluster=source,
            location=store,
            name="b",
            object_name="b-1",
            keep_for=timedelta(days=1),
            state=State.COMPLETED,
        )
        for fields in ({"namespaces": ["backup-system"]}, {"namespace_mapping": {"backup-system": "copy"}}):
            with pytest.raises(BadInput, match="backup-system"):
                request(alice, backup, make_cluster(project, f"t-{uuid.uuid4().hex[:6]}"), **fields)

    def test_a_target_without_velero(self, alice: User, backup: Backup, project: Project) -> None:
        with pytest.raises(BadInput, match="Velero is not installed in bare") as caught:
            request(alice, backup, make_cluster(project, "bare", state=ClusterState.VELERO_MISSING))
        assert caught.value.field == "target"

    def test_a_deregistered_target(self, alice: User, backup: Backup, west: Cluster) -> None:
        deregister_cluster(by=alice, cluster=west, typed_name=west.name)
        with pytest.raises(BadInput, match="not registered any more") as caught:
            request(alice, backup, west)
        assert caught.value.field == "target"

    def test_a_source_that_is_deregistered_can_still_be_restored_elsewhere(
        self, alice: User, backup: Backup, east: Cluster, west: Cluster
    ) -> None:
        deregister_cluster(by=alice, cluster=east, typed_name=east.name)
        assert request(alice, backup, west)


class TestBorders:
    def test_a_target_in_another_project(self, alice: User, backup: Backup) -> None:
        second = create_project(by=alice, tenant=backup.project.tenant, name="Second")
        with pytest.raises(BadInput, match="of the backup's project") as caught:
            request(alice, backup, make_cluster(second, "other"))
        assert caught.value.field == "target"

    def test_a_target_in_another_tenant(self, alice: User, charlie: User, backup: Backup) -> None:
        theirs = create_project(by=charlie, tenant=charlie.memberships.get().tenant, name="Theirs")
        with pytest.raises(BadInput) as caught:
            request(alice, backup, make_cluster(theirs, "secret-name"))
        assert caught.value.field == "target"
        assert "secret-name" not in caught.value.sentence()

    def test_a_stranger(self, charlie: User, backup: Backup, west: Cluster) -> None:
        with pytest.raises(NotVisible):
            request(charlie, backup, west)
        theirs = create_project(by=charlie, tenant=charlie.memberships.get().tenant, name="Theirs")
        with pytest.raises(NotVisible):
            request(charlie, backup, make_cluster(theirs, "mine"))
        assert not Restore.objects.exists()


def test_twice_is_once(
    alice: User,
    backup: Backup,
    west: Cluster,
    sent: Sent,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    submission = uuid.uuid4()
    with django_capture_on_commit_callbacks(execute=True):
        made = [request(alice, backup, west, submission=submission) for _ in range(3)]
    assert len(set(made)) == Restore.objects.count() == len(sent) == 1
    assert AuditEvent.objects.filter(verb="restore.create").count() == 1
