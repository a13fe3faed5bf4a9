"""What to do with a Schedule that others changed or removed in the cluster: put it as it was, or take it as it is."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from backups import schedule
from backups.actions.policy import locked, save_version
from backups.models import BackupPolicy, ClusterResources, PlacedLocation
from backups.velero import scope
from backups.velero.schedule import ScheduleReport, read_schedule
from console.lib.errors import BadInput

MEND = "Mend it instead: the Schedule is put back as it was."


@transaction.atomic
def mend_policy(*, by: User, policy: BackupPolicy) -> None:
    """Have the Schedule put again as this console has it. Raises BadInput where nothing differs."""
    row = _drifted(by, policy, Verb.POLICY_UPDATE)
    save_version(row, by)
    audit.record(by=by, verb="policy.mend", target=row, cluster=row.cluster.name)


@transaction.atomic
def adopt_drift(*, by: User, policy: BackupPolicy) -> BackupPolicy | None:
    """Make the policy what the cluster has; None where the cluster has none any more, and the policy is deleted.

    Raises BadInput for what a policy cannot say.
    """
    row = _drifted(by, policy, Verb.POLICY_UPDATE)
    if row.found is None:
        require(by, row, Verb.POLICY_DELETE)
        row.deleted_at, row.next_run_at = timezone.now(), None
        row.save(update_fields=["deleted_at", "next_run_at"])
        audit.record(by=by, verb="policy.adopt", target=row, cluster=row.cluster.name, found="nothing")
        return None
    values = _read(row, read_schedule(row.found))
    for name, value in values.items():
        setattr(row, name, value)
    save_version(row, by, *values)
    audit.record(
        by=by, verb="policy.adopt", target=row, cluster=row.cluster.name, changed=[d["what"] for d in row.drift]
    )
    return row


def _drifted(by: User, policy: BackupPolicy, verb: Verb) -> BackupPolicy:
    row = locked(by, policy, verb)
    if not row.drift:
        raise BadInput(f"The cluster has {row} as it is here.")
    return row


def _read(policy: BackupPolicy, found: ScheduleReport) -> dict[str, Any]:
    """The policy's fields as the Schedule says them. What it holds beyond them is put back as it was."""
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
    if plan is None or plan.is_anchored:
        raise BadInput(
            f"The schedule {cron or 'of the cluster'} cannot be said with the options there are.", remedy=MEND
        )
    fields = {name: getattr(plan, name) for name in ("first_day", "month", "day", "hour", "minute")}
    return {"timing": plan.timing.value, "time_zone": plan.zone, **fields}
