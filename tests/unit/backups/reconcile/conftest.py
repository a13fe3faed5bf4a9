"""Rows that point at clusters of a simulated API server, over real HTTPS, with as much of Velero as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from django.utils import timezone

from backups.lifecycle import State
from backups.models import Backup, BackupLocation, Restore
from backups.reconcile import location as locations
from backups.reconcile import loop
from tests.conftest import make_cluster, make_location
from tests.fakes.apiserver import Cluster as FakeCluster
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.velero import VELERO, Velero
from workspaces import connections
from workspaces.models import Cluster, Project, Wish

Json = dict[str, Any]
W = TypeVar("W", bound=Wish)
Sent = list[tuple[str, str, int, str]]


@pytest.fixture(scope="session")
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer(bookmark_seconds=1) as running:
        yield running


@pytest.fixture
def api(server: FakeApiServer) -> Iterator[FakeApiServer]:
    """The API server without clusters and faults of other tests."""
    server.faults.clear()
    server.requests.clear()
    yield server
    server.faults.clear()
    server.clusters.clear()
    server.drop_connections()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting is not what these tests are about."""
    monkeypatch.setattr(locations, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(locations, "VERDICT_WITHIN", 0.4)
    monkeypatch.setattr(locations, "VALIDATION_STAMP", 0.0)
    monkeypatch.setattr(loop, "reachable", lambda: True)


@pytest.fixture
def quick_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API server that does not answer is given up after 0.3 seconds."""
    plain = connections.connect
    monkeypatch.setattr(connections, "connect", lambda *a: plain(*a, connect_timeout=0.3, read_timeout=0.3))


class Site:
    """A registered cluster, its simulated API server and its Velero."""

    def __init__(self, row: Cluster, fake: FakeCluster) -> None:
        self.row, self.fake = row, fake
        self.velero = Velero(fake)

    def fresh(self) -> Cluster:
        return Cluster.objects.get(pk=self.row.pk)

    def writes(self) -> list[tuple[str, str]]:
        """What was sent that changes something: method and collection, in order."""
        sent = self.fake.server.requests_to(self.fake.name, ("POST", "PATCH", "DELETE"))
        return [(request.method, _collection(request.path)) for request in sent if "reviews" not in request.path]

    def allow_connecting(self) -> None:
        """End the breaker's rest."""
        Cluster.objects.filter(pk=self.row.pk).update(retry_at=None)


def _collection(path: str) -> str:
    parts = path.strip("/").split("/")
    if "namespaces" in parts[:-2]:
        return parts[parts.index("namespaces") + 2]
    return parts[-1]


@pytest.fixture
def make_site(api: FakeApiServer, project: Project) -> Callable[..., Site]:
    """Registers a cluster of the simulated API server."""

    def make(name: str, **fields: Any) -> Site:
        fake = api.add_cluster(name)
        kubeconfig = {"kubeconfig": fake.kubeconfig(), "context": ""}
        return Site(make_cluster(project, name, **{"kubeconfig": kubeconfig, "uid": fake.uid} | fields), fake)

    return make


@pytest.fixture
def east(make_site: Callable[..., Site]) -> Site:  # type: ignore[override]
    return make_site("harbor-east")


@pytest.fixture
def west(make_site: Callable[..., Site]) -> Site:  # type: ignore[override]
    return make_site("harbor-west")


@pytest.fixture
def store(project: Project) -> BackupLocation:
    return make_location(project, prefix="drydock/p", s3_url="http://127.0.0.1:1", path_style=True)


@pytest.fixture
def backup(project: Project, east: Site, store: BackupLocation) -> Backup:
    return make_backup(project, east.row, store)


def make_backup(project: Project, cluster: Cluster, location: BackupLocation, **fields: object) -> Backup:
    """A wish nobody has taken."""
    values: dict[str, object] = {
        "name": "nightly",
        "object_name": "nightly-abcd1234",
        "keep_for": timedelta(days=7),
        "include_disks": False,
    }
    made: Backup = Backup.objects.create(project=project, cluster=cluster, location=location, **values | fields)
    return made


def make_restore(backup: Backup, target: Cluster, **fields: object) -> Restore:
    """A wish nobody has taken."""
    values: dict[str, object] = {"object_name": "nightly-zyxw9876"}
    made: Restore = Restore.objects.create(project=backup.project, backup=backup, cluster=target, **values | fields)
    return made


def finished(backup: Backup, **fields: object) -> Backup:
    """The same, Completed, as a row that the watch has written last."""
    raw = object_of(backup, phase="Completed")
    values: dict[str, object] = {"state": State.COMPLETED, "phase": "Completed", "resource": raw, "due_at": None}
    Backup.objects.filter(pk=backup.pk).update(**values | fields)
    return fresh(backup)


def object_of(wish: Backup | Restore, *, phase: str = "", **status: object) -> Json:
    """The object in the cluster that a wish leads to."""
    kind = "Backup" if isinstance(wish, Backup) else "Restore"
    labels = {"drydock.backup/request": str(wish.pk)}
    found: Json = {"phase": phase, **status} if phase else dict(status)
    return {
        "apiVersion": "velero.io/v1",
        "kind": kind,
        "metadata": {"name": wish.object_name, "namespace": VELERO, "labels": labels, "uid": "uid-of-object"},
        "spec": {"includedNamespaces": ["shop"], "hooks": {"resources": []}, "storageLocation": "theirs"},
        "status": found,
    }


def fresh(wish: W) -> W:
    """The row as it is now."""
    return type(wish)._default_manager.get(pk=wish.pk)


def claim(wish: W) -> W:
    """Take the row as a worker does, whatever attempt it is at and even if its wait is not over."""
    taken = type(wish).objects.claim(wish.pk, fresh(wish).attempt)
    assert taken is not None, "somebody else has the row, or it has ended"
    found: W = taken
    return found


def expire(wish: Wish) -> None:
    """Let the lease or the wait pass."""
    type(wish)._default_manager.filter(pk=wish.pk).update(due_at=timezone.now() - timedelta(seconds=1))
