"""As much of Velero's server as the console waits for, in a cluster of the simulated API server."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.utils import timezone

from tests.fakes.apiserver import Cluster as FakeCluster
from tests.fakes.apiserver_rules import Refusal
from tests.fakes.apiserver_store import Change, now

Json = dict[str, Any]
VELERO = "velero"
STEPS = 4  # so often a running backup says how far it is
ITEMS = 100
ANSWER = {
    "phase": "Processed",
    "processedTimestamp": "2026-01-01T00:00:00Z",
    "serverVersion": "v1.18.2",
    "plugins": [{"name": "velero.io/aws", "kind": "ObjectStore"}],
}


class Velero:
    """What Velero's server does in one cluster, as far as the console waits for it.

    `verdict`: phase and message for every location that is made or changed; None while the server is stopped.
    `phases`: what a new Backup or Restore goes through, at once. `takes`: seconds it runs then, 0: not at all.
    """

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.verdict: tuple[str, str] | None = ("Available", "")
        self.phases: list[str] = []
        self.takes = 0.0
        self.links: Callable[[str, str], str] | None = None  # the link to a kind of file of something; None: silent
        self._ticks = itertools.count(1)
        cluster.store.listen(self._heard)

    def _heard(self, change: Change) -> None:
        # Not here: the store is locked, and who listens later would hear of our answer before the question.
        self.cluster.server.loop.call_soon_threadsafe(self._react, change)

    def _react(self, change: Change) -> None:
        kind = change.resource.plural
        if kind == "backupstoragelocations" and change.type != "DELETED" and self._is_new(change):
            self.judge(change.after.name)
        if kind == "serverstatusrequests" and change.type == "ADDED" and self.verdict:
            self.cluster.patch(kind, change.after.name, {"status": ANSWER}, namespace=VELERO)
        if kind == "downloadrequests" and change.type == "ADDED" and self.links:
            wanted = change.after.parsed()["spec"]["target"]
            status = {"phase": "Processed", "downloadURL": self.links(wanted["kind"], wanted["name"])}
            self.cluster.patch(kind, change.after.name, {"status": status}, namespace=VELERO)
        if kind == "schedules" and change.type == "ADDED" and self.verdict:
            self.cluster.patch(kind, change.after.name, {"status": {"phase": "Enabled"}}, namespace=VELERO)
        if kind in ("backups", "restores") and change.type == "ADDED":
            for phase in self.phases:
                self.cluster.patch(kind, change.after.name, {"status": {"phase": phase}}, namespace=VELERO)
            for seconds, status in course(kind, self.takes) if self.takes else ():
                self.cluster.server.loop.call_later(seconds, self._goes_on, kind, change.after.name, status)

    def _goes_on(self, kind: str, name: str, status: Json) -> None:
        with contextlib.suppress(Refusal):  # removed meanwhile
            self.cluster.patch(kind, name, {"status": stamped(status)}, namespace=VELERO)

    def _is_new(self, change: Change) -> bool:
        before = change.before.parsed().get("spec") if change.before else None
        return before != change.after.parsed().get("spec")

    def judge(self, name: str) -> None:
        """Look at a location now."""
        if self.verdict:
            phase, message = self.verdict
            moment = (timezone.now() + timedelta(seconds=next(self._ticks))).strftime("%Y-%m-%dT%H:%M:%SZ")
            status = {"phase": phase, "message": message, "lastValidationTime": moment}
            self.cluster.patch("backupstoragelocations", name, {"status": status}, namespace=VELERO)

    def objects(self, plural: str) -> list[Json]:
        return self.cluster.objects(plural, namespace=VELERO)


def course(kind: str, takes: float) -> Iterator[tuple[float, Json]]:
    """What the status of a Backup or Restore says while it runs, and after how many seconds; moments are left to fill.

    Begun at once, `STEPS` times how far it is, Completed at the end.
    """
    done = "itemsBackedUp" if kind == "backups" else "itemsRestored"
    yield 0.0, {"phase": "InProgress", "startTimestamp": None}
    for step in range(1, STEPS + 1):
        progress = {"totalItems": ITEMS, done: ITEMS * step // STEPS}
        yield takes * step / (STEPS + 1), {"phase": "InProgress", "progress": progress}
    yield takes, {"phase": "Completed", "completionTimestamp": None}


def stamped(status: Json) -> Json:
    """Moments that were left open are now."""
    return {key: now() if value is None else value for key, value in status.items()}
