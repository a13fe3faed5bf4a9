"""What becomes of Schedules in their cluster: what Velero says of them, what others did to them, when they run next.

1. A look at a cluster lists its Schedules. One that a change is under way for is left alone: it is about to differ.
2. A Schedule that is gone, or says something else than was put there, has drifted. The row says how, until a person
   mends it (it is put again) or adopts it (the policy becomes what the cluster has).
3. An anchor that a run has moved is set again, in nobody's name.
4. `next_run_at` is moved on as time goes by; a cluster with a run due is watched, so that the run is seen at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from backups.models import BackupPolicy, PlacedLocation, PolicyChange, PolicyChangeKind, PolicyChangeState
from backups.reconcile import policy as policies
from backups.reconcile.observation import keepable
from backups.velero.schedule import differences, is_ours, read_schedule

Raw = dict[str, Any]
SOON = timedelta(seconds=20)  # before a run its cluster is watched already
SINCE = timedelta(minutes=2)  # Velero looks once a minute
GONE = "Schedule"
WHAT = {
    "schedule": "Schedule expression",
    "paused": "Paused",
    "ttl": "Period until expiry",
    "storageLocation": "Backup location",
    "includedNamespaces": "Namespaces",
    "excludedNamespaces": "Namespaces left out",
    "includeClusterResources": "Cluster resources",
    "snapshotVolumes": "Volume snapshots",
    "defaultVolumesToFsBackup": "File-system backup of volumes",
    "metadata": "Labels of its backups",
}


def observe(cluster: uuid.UUID, schedules: Mapping[str, Raw], settled: datetime) -> None:
    """Write what the cluster has of each policy. `settled`: what was put after this may not be among `schedules`."""
    there = BackupPolicy.objects.filter(cluster_id=cluster, put_version__gt=0, deleting_at=None)
    for policy in there.select_related("cluster", "location"):
        busy = PolicyChange.objects.filter(policy=policy, state=PolicyChangeState.REQUESTED).exists()
        if policy.is_behind or busy or policy.put_at is None or policy.put_at >= settled:
            continue
        raw = schedules.get(policy.object_name)
        if raw is None or not is_ours(raw, {"metadata": {"labels": policies.labels_of(policy)}}):
            _note(policy, None, [{"what": GONE, "wanted": "there", "found": "not there"}])
        else:
            _look_at(policy, raw)


def _look_at(policy: BackupPolicy, raw: Raw) -> None:
    placed = PlacedLocation.objects.filter(location=policy.location, cluster=policy.cluster, source=policy.cluster)
    report = read_schedule(raw)
    drift = []
    if where := placed.first():
        found = differences(raw, policies.manifest(policy, where))
        drift = [
            {"what": WHAT.get(key, key), "wanted": _said(mine), "found": _said(theirs)} for key, mine, theirs in found
        ]
    values = {"phase": report.phase[:60], "trouble": " ".join(report.validation_errors)}
    _note(policy, raw if drift else None, drift, **values)
    if not drift and policies.anchor_due(policy, report):
        policies.ask(policy, PolicyChangeKind.PUT, None)


def _said(value: object) -> str:
    if value is None or value == "":
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))[:300]
    return str(value)[:300]


def _note(policy: BackupPolicy, found: Raw | None, drift: list[dict[str, str]], **values: Any) -> None:
    """`seen_at` is written with the rest: most looks find nothing new."""
    drift = keepable(drift)
    values |= {"drift": drift, "found": keepable(found)}
    if all(getattr(policy, name) == value for name, value in values.items()):
        return
    now = timezone.now()
    values |= {"drift_since": (policy.drift_since or now) if drift else None, "seen_at": now}
    BackupPolicy.objects.filter(pk=policy.pk, version=policy.version, put_version=policy.put_version).update(**values)


def move_on(now: datetime | None = None) -> int:
    """Say when each policy runs next, once its run is over; how many were moved on."""
    now = now or timezone.now()
    moved = 0
    for policy in BackupPolicy.objects.filter(next_run_at__lt=now - SINCE, deleting_at=None)[:500]:
        row = BackupPolicy.objects.filter(pk=policy.pk, next_run_at=policy.next_run_at)
        moved += row.update(next_run_at=policy.next_from_now())
    return moved


def running_now(holder: str) -> list[uuid.UUID]:
    """The clusters of a reconciler in which a policy runs about now."""
    due = {"next_run_at__lt": timezone.now() + SOON, "cluster__watched_by": holder, "deleting_at": None}
    return list(BackupPolicy.objects.filter(**due).order_by().values_list("cluster_id", flat=True).distinct())
