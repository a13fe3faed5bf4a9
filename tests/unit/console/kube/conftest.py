"""A simulated API server for the unit tests of the Kubernetes door."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console.kube.connection import Connection, connect
from console.lib.addresses import AddressPolicy
from tests.fakes.apiserver import Cluster, FakeApiServer

POLICY = AddressPolicy(allow_loopback=True)


@pytest.fixture(scope="package")
def _server() -> Iterator[FakeApiServer]:
    with FakeApiServer(bookmark_seconds=0.2) as server:
        yield server


@pytest.fixture
def server(_server: FakeApiServer) -> Iterator[FakeApiServer]:
    yield _server
    _server.faults.clear()
    _server.requests.clear()


@pytest.fixture
def cluster(server: FakeApiServer) -> Cluster:
    return server.add_cluster("east")


@pytest.fixture
def connection(cluster: Cluster) -> Iterator[Connection]:
    with connect(cluster.access(), POLICY, connect_timeout=1, read_timeout=1) as connection:
        yield connection
