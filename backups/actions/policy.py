"""Creating, editing, pausing, running and deleting backup policies."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from backups import lifecycle
from backups.actions.backup import refuse_impossible, request_backup
from backups.models import Backup, BackupLocation, BackupPolicy, PolicyChangeKind
from backups.reconcile import policy as policies
from console.lib.errors import BadInput, NotVisible
from console.lib.rows import save_changed, save_new
from workspaces.models import Cluster

WHEN = ("timing", "time_zone", "first_day", "month", "day", "hour", "minute")
WHAT = ("location", "keep_for", "include_disks", "cluster_resources", "namespaces")


@transaction.atomic
def create_policy(
    *, by: User, cluster: Cluster, prefix: str, location: BackupLocation, submission: uuid.UUID, **fields: Any
) -> BackupPolicy:
    """Write the policy and have its Schedule brought to the cluster. The same `submission` again gives the same row.

    `fields` are those of `WHEN` and `WHAT`. Raises BadInput with the field at fault, NotVisible, Forbidden.
    """
    require(by, cluster, Verb.POLICY_CREATE)
    if earlier := BackupPolicy.everything.filter(submission=submission, cluster=cluster).first():
        return earlier
    policy = BackupPolicy(
        project=cluster.project,
        cluster=cluster,
        location=location,
        prefix=prefix,
        object_name=lifecycle.object_name(prefix),
        submission=submission,
        created_by_name=str(by),
        **fields,
    )
    refuse_impossible(cluster, location, policy.keep_for, policy.namespaces)
    policy.next_run_at = policy.next_from_now() if _is_sound(policy) else None
    save_new(policy)
    audit.record(by=by, verb="policy.create", target=policy, cluster=cluster.name, location=location.name)
    policies.ask(policy, PolicyChangeKind.PUT, by)
    return policy


def _is_sound(policy: BackupPolicy) -> bool:
    """Whether its next run can be told: what is wrong with it is said as the row is saved."""
    try:
        policy.full_clean(exclude={"object_name", "submission"}, validate_unique=False, validate_constraints=False)
    except ValidationError:
        return False
    return True


@transaction.atomic
def update_policy(*, by: User, policy: BackupPolicy, **fields: Any) -> BackupPolicy:
    """Change what and when it backs up; the prefix stays. Backups made before keep what they have. Raises BadInput."""
    row = locked(by, policy, Verb.POLICY_UPDATE)
    changed = [name for name, value in fields.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, fields[name])
    refuse_impossible(row.cluster, row.location, row.keep_for, row.namespaces)
    if changed:
        save_version(row, by, *changed)
        audit.record(by=by, verb="policy.update", target=row, cluster=row.cluster.name, changed=sorted(changed))
    return row


@transaction.atomic
def pause_policy(*, by: User, policy: BackupPolicy, paused: bool) -> BackupPolicy:
    """Stop its runs, or let them go on; neither starts a backup. What was missed meanwhile is not made up for."""
    row = locked(by, policy, Verb.POLICY_UPDATE)
    if row.paused != paused:
        row.paused = paused
        save_version(row, by, "paused")
        verb = "policy.pause" if paused else "policy.resume"
        audit.record(by=by, verb=verb, target=row, cluster=row.cluster.name)
    return row


@transaction.atomic
def run_policy(*, by: User, policy: BackupPolicy, submission: uuid.UUID) -> Backup:
    """One backup now, as the policy would make it; paused or not. Raises BadInput."""
    row = locked(by, policy, Verb.POLICY_GET)
    return request_backup(
        by=by,
        cluster=row.cluster,
        policy=row,
        location=row.location,
        name=lifecycle.run_name(row.prefix, timezone.now()),
        keep_for=row.keep_for,
        include_disks=row.include_disks,
        cluster_resources=row.cluster_resources,
        namespaces=row.namespaces,
        submission=submission,
    )


@transaction.atomic
def delete_policy(*, by: User, policy: BackupPolicy, typed_name: str) -> None:
    """Have its Schedule removed; the policy is gone once it is. Its backups stay. Raises BadInput."""
    row = locked(by, policy, Verb.POLICY_DELETE)
    if typed_name != row.prefix:
        raise BadInput(f"Type {row.prefix} to delete it.", field="typed_name")
    row.deleting_at, row.next_run_at = timezone.now(), None
    row.save(update_fields=["deleting_at", "next_run_at"])
    audit.record(by=by, verb="policy.delete", target=row, cluster=row.cluster.name)
    policies.ask(row, PolicyChangeKind.REMOVE, by)


@transaction.atomic
def retry_policy(*, by: User, policy: BackupPolicy) -> None:
    """Have what the cluster does not have yet brought there now, and not at the next try."""
    row = locked(by, policy, Verb.POLICY_UPDATE, deleting=True)
    policies.ask(row, PolicyChangeKind.REMOVE if row.deleting_at else PolicyChangeKind.PUT, by)
    audit.record(by=by, verb="policy.retry", target=row, cluster=row.cluster.name)


@transaction.atomic
def forget_policy(*, by: User, policy: BackupPolicy) -> None:
    """Show a policy no longer whose Schedule the cluster does not let go of. It stays there, and makes backups."""
    row = locked(by, policy, Verb.POLICY_DELETE, deleting=True)
    change = row.changes.filter(kind=PolicyChangeKind.REMOVE).first()
    if not row.deleting_at or change is None or not change.message:
        raise BadInput(f"{row} is being deleted just now." if row.deleting_at else f"{row} is not being deleted.")
    row.changes.all().delete()
    row.deleted_at = timezone.now()
    row.save(update_fields=["deleted_at"])
    audit.record(by=by, verb="policy.forget", target=row, cluster=row.cluster.name)


def locked(person: User, policy: BackupPolicy, verb: Verb, *, deleting: bool = False) -> BackupPolicy:
    """The row, for this transaction alone. Raises NotVisible once it is deleted, BadInput while it is being deleted."""
    rows = BackupPolicy.objects.select_for_update(of=("self",)).select_related("cluster__project", "location")
    row = rows.filter(pk=policy.pk).first()
    if row is None:
        raise NotVisible("There is nothing here.")
    require(person, row, verb)
    if row.deleting_at and not deleting:
        raise BadInput(f"{row} is being deleted.")
    return row


def save_version(row: BackupPolicy, person: User, *changed: str) -> None:
    """Write the next version, and have it brought to the cluster."""
    row.version += 1
    row.next_run_at = row.next_from_now() if _is_sound(row) else None
    if {*WHEN, "paused"}.intersection(changed):
        row.counts_from = timezone.now()
    save_changed(row, *changed, "version", "next_run_at", "counts_from")
    policies.ask(row, PolicyChangeKind.PUT, person)
