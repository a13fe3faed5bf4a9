"""The reconciler's part of R2: its requests go wrong while a backup runs, which must end in its row all the same."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.faults.ground import HANG, Cell, Disturbance, Ground, Servers, fresh
from tests.fakes.velero import VELERO

WITHIN = 15.0
STEPS = ("connect", "list", "watch")
WATCH_FAULTS = (
    Disturbance("applied, then reset", "reset_after"),
    Disturbance("410", "expire"),
    Disturbance("429", "status", status=429, reason="TooManyRequests"),
    Disturbance("500", "status", status=500, reason="InternalError"),
    Disturbance("timeout", "hang", seconds=HANG),
    Disturbance("garbage", "garbage"),
    Disturbance("cut", "cut_watch"),
    Disturbance("ended", "end_watch"),
)


def watch_cells(both: Servers, share: int, seed: int) -> Iterator[Cell]:
    """One cell for each request of a watch and each fault that can strike it; every `share`th of them."""
    number = itertools.count(seed)
    for step, name in enumerate(STEPS):
        for fault in WATCH_FAULTS:
            possible = name == "watch" or not fault.action.endswith("_watch")
            if possible and next(number) % share == 0:
                yield _play(both, 0 if fault.action.endswith("_watch") else step, fault)


def _play(both: Servers, step: int, fault: Disturbance) -> Cell:
    from backups.reconcile import loop, watching
    from bench.faults.history import story
    from workspaces.models import Cluster

    ground = Ground(both)
    Cluster.objects.exclude(pk=ground.east.pk).update(watched_by="nobody", watched_until="2100-01-01T00:00Z")
    watching.REST = 0.05
    backup = _running(ground)
    reconciler = loop.Reconciler()
    try:
        with both.disturbed(step, fault):
            _rounds(reconciler, lambda: both.struck)
        _complete(ground, backup)
        _rounds(reconciler, lambda: not fresh(backup).is_open)
    finally:
        reconciler._stop()
    row = fresh(backup)
    broken = [] if row.state == "completed" else [f"I1: still {row.state} after {WITHIN:.0f} s"]
    return Cell("watch", step, fault.name, broken if both.struck else ["never struck"], story(row))


def _running(ground: Ground) -> Any:
    """A backup that Velero works on."""
    backup = ground.backup()
    simulated = ground.servers.api.clusters[ground.east.name]
    ground.velero[ground.east.name].phases = ["InProgress"]
    ground.servers.run(backup.job, backup.pk, backup.attempt)
    assert fresh(backup).state == "submitted", fresh(backup).message
    assert simulated.object("backups", backup.object_name, namespace=VELERO)
    return fresh(backup)


def _complete(ground: Ground, backup: Any) -> None:
    simulated = ground.servers.api.clusters[ground.east.name]
    simulated.patch("backups", backup.object_name, {"status": {"phase": "Completed"}}, namespace=VELERO)


def _rounds(reconciler: Any, over: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN
    while not over() and time.monotonic() < until:
        reconciler.round()
