"""What every test stands on: two tenants with people, and nothing outside the test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from django.test import Client

from accounts.actions import add_tenant_admin, create_tenant
from accounts.models import Tenant, User
from backups.models import BackupLocation
from console.lib import queue
from workspaces.actions.project import create_project
from workspaces.models import Cluster, Project
from workspaces.models.cluster import ClusterState

pytest_plugins = ["tests.stack"]
PASSWORD = "a long enough password"


DATABASE_FIXTURES = frozenset({"db", "transactional_db", "live_server"})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database-only", action="store_true", help="only tests that touch the database")
    parser.addoption("--on-postgresql", action="store_true", help="the real stack's console on PostgreSQL")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is left out never touches the database: pytest-django refuses it to a test that does not ask for it."""
    if config.getoption("--database-only"):
        config.hook.pytest_deselected(items=[item for item in items if not touches_database(item)])
        items[:] = [item for item in items if touches_database(item)]


def touches_database(item: pytest.Item) -> bool:
    """Whether a test asks for the database, by mark or by fixture."""
    asked = DATABASE_FIXTURES.intersection(getattr(item, "fixturenames", ()))
    return bool(asked) or item.get_closest_marker("django_db") is not None


@pytest.fixture(autouse=True)
def _quick(settings: object) -> None:
    """Hashing and static manifests are not what these tests are about."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # type: ignore[attr-defined]
    settings.WHITENOISE_AUTOREFRESH = True  # type: ignore[attr-defined]  # nothing was collected
    settings.STORAGES = {  # type: ignore[attr-defined]
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture(autouse=True)
def _own_queues() -> Iterator[None]:
    """Each test says itself where Redis is."""
    queue._queue.cache_clear()
    yield
    queue._queue.cache_clear()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, int, str]]]:
    """Messages to workers, caught instead of sent: (job, pk, attempt, queue)."""
    messages: list[tuple[str, str, int, str]] = []
    monkeypatch.setattr(
        "console.lib.queue._send", lambda job, pk, attempt, queue, cause: messages.append((job, pk, attempt, queue))
    )
    return messages


@pytest.fixture
def tenant(db: None) -> Tenant:
    return create_tenant(by=None, name="Harbor")


@pytest.fixture
def alice(tenant: Tenant) -> User:
    """Tenant Admin of Harbor."""
    return add_tenant_admin(by=None, tenant=tenant, email="alice@harbor.example", password=PASSWORD)


@pytest.fixture
def charlie(db: None) -> User:
    """Tenant Admin of another tenant: to him nothing of Harbor exists."""
    other = create_tenant(by=None, name="Elsewhere")
    return add_tenant_admin(by=None, tenant=other, email="charlie@elsewhere.example", password=PASSWORD)


@pytest.fixture
def project(tenant: Tenant) -> Project:
    return create_project(by=None, tenant=tenant, name="Default")


@pytest.fixture
def alices(client: Client, alice: User) -> Client:
    """A browser in which Alice is signed in."""
    client.force_login(alice)
    return client


def make_cluster(project: Project, name: str, **fields: object) -> Cluster:
    """A registered cluster that is healthy."""
    values: dict[str, object] = {
        "kubeconfig": {"kubeconfig": "planted-kubeconfig-secret", "context": ""},
        "server": f"https://{name}.example:6443",
        "uid": str(uuid.uuid4()),
        "state": ClusterState.HEALTHY,
        "facts": {"state": ClusterState.HEALTHY, "namespaces": ["shop", "intranet"]},
    }
    return Cluster.objects.create(project=project, name=name, **values | fields)


def make_location(project: Project, name: str = "store", **fields: object) -> BackupLocation:
    """A saved location that is available."""
    values: dict[str, object] = {
        "bucket": "backups",
        "prefix": f"drydock/{uuid.uuid4()}",
        "credentials": {"access_key": "AKIAPLANTED", "secret_key": "planted-storage-secret"},
        "state": "available",
    }
    return BackupLocation.objects.create(project=project, name=name, **values | fields)


@pytest.fixture
def east(project: Project) -> Cluster:
    return make_cluster(project, "harbor-east")


@pytest.fixture
def west(project: Project) -> Cluster:
    return make_cluster(project, "harbor-west")


@pytest.fixture
def store(project: Project) -> BackupLocation:
    return make_location(project)
