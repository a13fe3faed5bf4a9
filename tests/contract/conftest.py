"""The two API servers that every case runs against: ours in memory, and the real one."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from console.kube.connection import Connection, connect
from console.kube.kubeconfig import ClusterAccess
from console.kube.paths import core, custom
from console.lib.addresses import AddressPolicy
from tests.contract import realkube
from tests.fakes.apiserver import ADMIN_TOKEN, Cluster, FakeApiServer, User

POLICY = AddressPolicy(allow_loopback=True)
LIMITED_TOKEN = realkube.LIMITED_TOKEN


@dataclass(frozen=True)
class Target:
    """One API server under test, with a fresh namespace for the case."""

    name: str
    admin: ClusterAccess
    limited: ClusterAccess
    by_certificate: ClusterAccess
    namespace: str
    fake: Cluster | None = None

    def connect(self, access: ClusterAccess | None = None) -> Connection:
        """As the admin unless told otherwise."""
        return connect(access or self.admin, POLICY)

    def backups(self, name: str | None = None) -> str:
        """The path of this case's backups."""
        return custom("velero.io", "v1", "backups", self.namespace, name)


@pytest.fixture(scope="session")
def fake_cluster() -> Iterator[Cluster]:
    with FakeApiServer(bookmark_seconds=1) as server:
        cluster = server.add_cluster("contract")
        cluster.add_user(LIMITED_TOKEN, User("bob", ("system:authenticated",), lambda right: False))
        yield cluster


@pytest.fixture(scope="session")
def real_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[realkube.RealCluster]:
    binaries = realkube.find_binaries()
    if binaries is None:
        pytest.fail(
            "kube-apiserver and velero are not built: run `python -m sandbox build` (about eight minutes, once)."
        )
    cluster = realkube.start(binaries, tmp_path_factory.mktemp("kube"))
    yield cluster
    cluster.stop()


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.sandbox)])
def target(request: pytest.FixtureRequest) -> Target:
    """The API server of this round."""
    namespace = f"case-{uuid.uuid4().hex[:8]}"
    if request.param == "fake":
        made = _fake_target(request.getfixturevalue("fake_cluster"), namespace)
    else:
        made = _real_target(request.getfixturevalue("real_cluster"), namespace)
    with made.connect() as connection:
        connection.create(
            core("namespaces"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        )
    return made


@pytest.fixture
def connection(target: Target) -> Iterator[Connection]:
    with target.connect() as connection:
        yield connection


def _fake_target(cluster: Cluster, namespace: str) -> Target:
    pair = cluster.add_certificate_user(User("carol", ("contract", "system:authenticated")))
    return Target(
        "fake",
        cluster.access(ADMIN_TOKEN),
        cluster.access(LIMITED_TOKEN),
        cluster.access(pair=pair),
        namespace,
        fake=cluster,
    )


def _real_target(cluster: realkube.RealCluster, namespace: str) -> Target:
    pair = cluster.client
    by_certificate = replace(cluster.access(), token="", client_certificate=pair.certificate, client_key=pair.key)
    return Target("real", cluster.access(), cluster.access(LIMITED_TOKEN), by_certificate, namespace)


def eventually(condition: object, seconds: float = 5.0) -> None:
    """Wait until a function returns something true."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
