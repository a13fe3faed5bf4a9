"""The Velero double of the simulated clusters: a backup that takes time goes through what Velero's would."""

from __future__ import annotations

import queue

import pytest

from backups.velero.backup import read_backup
from backups.velero.restore import read_restore
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.apiserver_store import Change
from tests.fakes.velero import ITEMS, VELERO, Velero

READERS = {"backups": read_backup, "restores": read_restore}


@pytest.mark.parametrize("kind", READERS)
def test_what_takes_time_is_begun_says_how_far_it_is_and_completes(kind: str) -> None:
    with FakeApiServer(tls=False) as server:
        cluster, seen = server.add_cluster("east"), queue.SimpleQueue[Change]()
        velero = Velero(cluster)
        velero.takes = 0.1
        cluster.store.listen(seen.put)
        cluster.put(kind, {"metadata": {"name": "one", "namespace": VELERO}})
        reports = [READERS[kind](_next(seen)) for _ in range(7)]
    assert [report.phase for report in reports] == ["", *["InProgress"] * 5, "Completed"]
    assert [report.items_done for report in reports] == [0, 0, 25, 50, 75, ITEMS, ITEMS]
    assert reports[-1].started_at
    assert reports[-1].completed_at >= reports[-1].started_at


def test_one_that_is_removed_meanwhile_stays_removed(caplog: pytest.LogCaptureFixture) -> None:
    with FakeApiServer(tls=False) as server:
        cluster, seen = server.add_cluster("east"), queue.SimpleQueue[Change]()
        velero = Velero(cluster)
        velero.takes = 0.05
        cluster.store.listen(seen.put)
        cluster.put("backups", {"metadata": {"name": "one", "namespace": VELERO}})
        cluster.remove("backups", "one", namespace=VELERO)
        cluster.put("backups", {"metadata": {"name": "two", "namespace": VELERO}})
        while _next(seen).get("status", {}).get("phase") != "Completed":
            continue
        assert [found["metadata"]["name"] for found in velero.objects("backups")] == ["two"]
    assert not caplog.records


def _next(seen: queue.SimpleQueue[Change]) -> dict:
    return seen.get(timeout=5).after.parsed()
