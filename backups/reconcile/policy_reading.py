"""A Schedule read as a policy: what others made of ours, and ours whose policy has no row.

1. What others changed becomes the policy's when a person adopts it (actions/policy_drift.py).
2. A Schedule that carries our labels, of a policy without a row, is from after the copy that the console's database was
   restored from (I10): it becomes a policy again, under the same uuid.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date
from typing import Any

import structlog
from django.db import DataError, transaction
from django.utils import timezone

from accounts import audit
from backups import lifecycle, schedule
from backups.models import BackupPolicy, ClusterResources, PlacedLocation
from backups.velero import names, scope
from backups.velero.schedule import ScheduleReport, read_schedule
from console.lib.errors import BadInput
from console.lib.rows import save_new
from workspaces.models import Cluster

log = structlog.get_logger(__name__)

Raw = dict[str, Any]
MEND = "Mend it instead: the Schedule is put back as it was."


def readopt(cluster: uuid.UUID, schedules: Mapping[str, Raw]) -> None:
    """Make policies of those Schedules in the cluster that are ours and have no row."""
    reports = [report for raw in schedules.values() if _is_of(report := read_schedule(raw), cluster)]
    ours = {pk: report for report in reports if (pk := _uuid(report.labels[names.POLICY]))}
    known = BackupPolicy.everything.filter(pk__in=ours).values_list("pk", flat=True) if ours else ()
    for pk in ours.keys() - set(known):
        try:
            with transaction.atomic():
                _make(Cluster.objects.select_related("project").get(pk=cluster), pk, ours[pk])
        except (BadInput, DataError) as error:
            log.warning("ours, and has no row", cluster=str(cluster), kind="schedule", object=pk, reason=str(error))


def _is_of(report: ScheduleReport, cluster: uuid.UUID) -> bool:
    labels = report.labels
    ours = labels.get(names.MANAGED_BY) == names.DRYDOCK and bool(labels.get(names.POLICY))
    return ours and labels.get(names.CLUSTER) == str(cluster)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _make(cluster: Cluster, pk: uuid.UUID, report: ScheduleReport) -> None:
    if report.labels.get(names.PROJECT) != str(cluster.project_id):
        raise BadInput("It belongs to another project than its cluster.")
    policy = BackupPolicy(
        id=pk,
        project=cluster.project,
        cluster=cluster,
        object_name=report.name,
        prefix=lifecycle.chosen_name(report.name),
        created_by_name=report.annotations.get(names.REQUESTED_BY, "")[:254],
        cluster_resources=ClusterResources.AUTO,
        put_version=1,
        put_at=timezone.now(),
    )
    if report.cron == schedule.EVERY_TWO_WEEKS:
        _anchor(policy, report)
    for name, value in read_policy(policy, report).items():
        setattr(policy, name, value)
    policy.next_run_at = policy.next_from_now()
    save_new(policy)
    audit.record(by=None, verb="policy.readopt", target=policy, cluster=cluster.name, object=report.name)


def _anchor(policy: BackupPolicy, report: ScheduleReport) -> None:
    """Zone and first day, which the expression does not say. Raises BadInput without them."""
    policy.timing, policy.time_zone = schedule.Timing.TWO_WEEKS.value, report.annotations.get(names.TIME_ZONE, "")
    try:
        policy.first_day = date.fromisoformat(report.annotations.get(names.FIRST_DAY, ""))
    except ValueError as error:
        raise BadInput("It does not say on which day it began.") from error
    schedule.check(policy.plan)


def read_policy(policy: BackupPolicy, found: ScheduleReport) -> dict[str, Any]:
    """The policy's fields as the Schedule says them. What it holds beyond them is put back as it was.

    Raises BadInput for what no policy can say.
    """
    template = found.template
    if template.ttl is None:
        raise BadInput("The Schedule in the cluster does not say how long backups are kept.", remedy=MEND)
    return {
        "paused": found.paused,
        "keep_for": template.ttl,
        "namespaces": [name for name in template.included_namespaces if name != scope.EVERYTHING],
        "include_disks": template.includes_disks,
        "cluster_resources": _cluster_resources(policy, found),
        "location": _location(policy, found),
        **_when(policy, found.cron),
    }


def _cluster_resources(policy: BackupPolicy, found: ScheduleReport) -> str:
    """*Auto* over all namespaces is sent as *Always*, and taken for what it was."""
    asked = found.template.include_cluster_resources
    everything = found.template.included_namespaces in ((), (scope.EVERYTHING,))
    if asked and everything and policy.cluster_resources == ClusterResources.AUTO:
        return ClusterResources.AUTO
    sent = {None: ClusterResources.AUTO, True: ClusterResources.ALWAYS, False: ClusterResources.NEVER}
    return sent[asked]


def _location(policy: BackupPolicy, found: ScheduleReport) -> Any:
    here = PlacedLocation.objects.filter(cluster=policy.cluster, source=policy.cluster)
    placed = here.filter(object_name=found.storage_location).select_related("location").first()
    if placed is None:
        raise BadInput(f"The location {found.storage_location} of the Schedule is none of this console.", remedy=MEND)
    return placed.location


def _when(policy: BackupPolicy, cron: str) -> dict[str, Any]:
    if cron == schedule.expression(policy.plan):
        return {}
    plan = schedule.read_expression(cron)
    if plan is None or plan.is_anchored:  # whose first day and zone the expression does not say
        raise BadInput(
            f"The schedule {cron or 'of the cluster'} cannot be said with the options there are.", remedy=MEND
        )
    fields = {name: getattr(plan, name) for name in ("first_day", "month", "day", "hour", "minute")}
    return {"timing": plan.timing.value, "time_zone": plan.zone, **fields}
