"""Policies reach their cluster as Velero Schedules, and leave it.

1. Every change of a policy raises its `version`; the cluster is behind until that version is put there. Per policy
   there is one open PolicyChange at most, and a newer wish takes it away from whoever works on it.
2. A worker brings the location to the cluster first, then puts the Schedule. A location that Velero cannot use, or has
   not looked at, keeps no Schedule back: pausing must work then, too.
3. *Every two weeks* counts from an anchor (backups/schedule.py). It is sent with the Schedule, and set again after each
   run: the reconciler sees the run, and asks for a change in nobody's name.
4. A cluster that cannot be reached is tried again for as long as it takes; what a cluster refuses ends the row with the
   reason, and is tried again when somebody asks, or after AGAIN_AFTER.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from accounts import audit
from accounts.models import User
from backups import schedule
from backups.models import (
    BackupPolicy,
    ClusterResources,
    PlacedLocation,
    PolicyChange,
    PolicyChangeKind,
    PolicyChangeState,
)
from backups.reconcile import location as locations
from backups.reconcile.backup import CLUSTER_RESOURCES
from backups.reconcile.submission import explaining, missing_velero
from backups.velero import names
from backups.velero.backup import BackupRequest
from backups.velero.schedule import (
    ScheduleReport,
    ScheduleRequest,
    anchor_schedule,
    delete_schedule,
    ensure_schedule,
    get_schedule,
    is_ours,
    schedule_manifest,
)
from console.kube.connection import Connection
from console.lib.errors import Changed, Missing, Refused, TryLater
from console.lib.queue import enqueue
from workspaces.connections import connected
from workspaces.models.wish import redrive_time

AGAIN_AFTER = timedelta(minutes=10)
NEAR = timedelta(seconds=1)
NOT_REGISTERED = "The cluster is not registered any more, so what is there stays as it is."


# Asking


def ask(policy: BackupPolicy, kind: PolicyChangeKind, by: User | None) -> PolicyChange:
    """Have it done now. What is under way begins anew."""
    who = {"requested_by": by, "requested_by_name": str(by) if by else audit.SYSTEM}
    open_one = {"policy": policy, "state": PolicyChangeState.REQUESTED}
    change, made = PolicyChange.objects.get_or_create(**open_one, defaults={"kind": kind, **who})
    PolicyChange.objects.filter(policy=policy).exclude(pk=change.pk).delete()
    if not made:
        again: dict[str, Any] = {"kind": kind, "attempt": F("attempt") + 1, "due_at": redrive_time(), **who}
        again |= {"message": change.message if change.kind == kind else ""}
        PolicyChange.objects.filter(pk=change.pk).update(**again)
        change.refresh_from_db()
    enqueue(change.job, change.pk, change.attempt, queue="slow")
    return change


def ask_for_overdue() -> int:
    """Ask where a cluster is behind or a Schedule to be removed and nobody works on it; how many."""
    asked = 0
    for policy in _unattended():
        ask(policy, PolicyChangeKind.REMOVE if policy.deleting_at else PolicyChangeKind.PUT, None)
        asked += 1
    return asked


def _unattended() -> Iterable[BackupPolicy]:
    """What failed rests for a while."""
    young = timezone.now() - AGAIN_AFTER
    changes = PolicyChange.objects.filter(policy=OuterRef("pk"))
    busy, rests = changes.filter(state=PolicyChangeState.REQUESTED), changes.filter(finished_at__gt=young)
    behind = BackupPolicy.objects.filter(deleting_at=None).exclude(put_version=F("version"))
    there = behind | BackupPolicy.objects.filter(deleting_at__isnull=False)
    return there.filter(~Exists(busy), ~Exists(rests), cluster__deregistered_at=None).select_related("cluster")[:100]


# Carrying out


def carry_out(change: PolicyChange) -> None:
    """Make the cluster agree with the policy, and say what came of it."""
    cluster = change.policy.cluster
    work = remove if change.kind == PolicyChangeKind.REMOVE else put
    with explaining(change, PolicyChangeState.FAILED, partial(missing_velero, cluster)):
        if cluster.deregistered_at:
            change.write(state=PolicyChangeState.FORGOTTEN, message=NOT_REGISTERED)
            return
        with connected(cluster) as connection:
            said = work(connection, change)
        change.write(state=PolicyChangeState.COMPLETED, message=said)
    if change.kind == PolicyChangeKind.REMOVE and change.state == PolicyChangeState.COMPLETED:
        finish_deletion(change.policy)


def put(connection: Connection, change: PolicyChange) -> str:
    """Put the Schedule; what stands in the way of its backups now, or nothing."""
    policy = BackupPolicy.objects.select_related("cluster", "location").get(pk=change.policy_id)
    placed, said = _place(connection, policy)
    now = timezone.now()
    fresh = policy.is_behind  # somebody changed it: what was due before does not count any more
    try:
        report = ensure_schedule(connection, manifest(policy, placed, since=now if fresh else None))
    except Changed as error:
        raise TryLater(f"Somebody else is changing the same Schedule in {policy.cluster}.", retry_after=1) from error
    _keep_anchor(connection, policy, report)
    report = _settled(connection, policy, report)
    _note_put(policy, report)
    return said or (" ".join(report.validation_errors))


def _place(connection: Connection, policy: BackupPolicy) -> tuple[PlacedLocation, str]:
    """The location in the cluster, and what Velero has against it."""
    here = {"cluster": policy.cluster, "source": policy.cluster}
    try:
        return locations.ready(connection, policy.location, **here), ""
    except (Refused, TryLater) as error:
        placed = PlacedLocation.objects.filter(location=policy.location, put_at__isnull=False, **here).first()
        if placed is None:
            raise
        return placed, f"The Schedule is there, but its backups would fail now: {error.sentence()}"


def manifest(policy: BackupPolicy, placed: PlacedLocation, since: datetime | None = None) -> names.Json:
    """The Velero Schedule this policy asks for. `since`: *every two weeks* is anchored to the first run after it."""
    anchored = policy.plan.is_anchored and since is not None
    return schedule_manifest(
        ScheduleRequest(
            name=policy.object_name,
            cron=schedule.expression(policy.plan),
            paused=policy.paused,
            last_backup=schedule.anchor(policy.plan, since - schedule.LATE) if anchored and since else None,
            backup=BackupRequest(
                name="",
                namespace=policy.cluster.velero_namespace,
                storage_location=placed.object_name,
                included_namespaces=tuple(policy.namespaces),
                include_disks=policy.include_disks,
                include_cluster_resources=CLUSTER_RESOURCES[ClusterResources(policy.cluster_resources)],
                ttl=policy.keep_for,
                labels=labels_of(policy) | {names.LOCATION: str(policy.location_id)},
            ),
            labels=labels_of(policy),
            annotations=_annotations(policy),
        )
    )


def labels_of(policy: BackupPolicy) -> dict[str, str]:
    """What ties a Schedule and its backups to the policy."""
    return {
        names.POLICY: str(policy.pk),
        names.CLUSTER: str(policy.cluster_id),
        names.PROJECT: str(policy.project_id),
    }


def _annotations(policy: BackupPolicy) -> dict[str, str]:
    """What makes a policy of the Schedule again, should the row be lost. Velero copies them to the backups."""
    told = {names.CLUSTER_RESOURCES: policy.cluster_resources, names.TIME_ZONE: policy.time_zone}
    return told | ({names.FIRST_DAY: policy.first_day.isoformat()} if policy.first_day else {})


def _keep_anchor(connection: Connection, policy: BackupPolicy, report: ScheduleReport) -> None:
    if moved := anchor_due(policy, report):
        namespace = policy.cluster.velero_namespace
        with contextlib.suppress(Changed):  # it ran meanwhile: that will be seen
            anchor_schedule(connection, namespace, report.name, moved, resource_version=report.resource_version)


def anchor_due(policy: BackupPolicy, report: ScheduleReport) -> datetime | None:
    """What Velero should take for the last run, where it takes another moment for it."""
    if not policy.plan.is_anchored:
        return None
    last = report.last_backup_at or report.created_at
    wanted = schedule.anchor(policy.plan, last) if last else None
    return wanted if wanted and last and abs(wanted - last) > NEAR else None


def _settled(connection: Connection, policy: BackupPolicy, report: ScheduleReport) -> ScheduleReport:
    """The Schedule once Velero has judged it; as it is when Velero takes longer. It does so at once when it runs."""
    until = time.monotonic() + locations.VERDICT_WITHIN
    while not report.phase and time.monotonic() < until:
        time.sleep(locations.LOOK_EVERY)
        with contextlib.suppress(Missing):
            report = get_schedule(connection, policy.cluster.velero_namespace, policy.object_name)
    return report


def _note_put(policy: BackupPolicy, report: ScheduleReport) -> None:
    """What a slower worker put before does not count any more."""
    row = BackupPolicy.objects.filter(pk=policy.pk, put_version__lte=policy.version)
    row.update(
        put_version=policy.version,
        put_at=timezone.now(),
        phase=report.phase[:60],
        trouble=" ".join(report.validation_errors),
        seen_at=timezone.now(),
        drift=[],
        drift_since=None,
        found=None,
    )


def remove(connection: Connection, change: PolicyChange) -> str:
    """Take the Schedule away, unless somebody else's has the name. The backups it made stay."""
    policy = change.policy
    namespace, name = policy.cluster.velero_namespace, policy.object_name
    with contextlib.suppress(Missing):
        raw = connection.get(names.path("schedules", namespace, name))
        if is_ours(raw, {"metadata": {"labels": {**labels_of(policy), names.MANAGED_BY: names.DRYDOCK}}}):
            delete_schedule(connection, namespace, name)
    return ""


@transaction.atomic
def finish_deletion(policy: BackupPolicy) -> None:
    """Show the policy no longer."""
    gone = BackupPolicy.objects.filter(pk=policy.pk, deleting_at__isnull=False)
    if gone.update(deleted_at=timezone.now(), next_run_at=None):
        audit.record(by=None, verb="policy.remove", target=policy, cluster=policy.cluster.name)
