"""Deleting backup locations: never a backup in the bucket, and never while there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from backups.actions.location import locked
from backups.lifecycle import State
from backups.models import Backup, BackupLocation, BackupPolicy, ChangeKind, ChangeState, CheckState, LocationChange
from backups.reconcile import location_change
from console.lib.errors import BadInput
from workspaces.models import Cluster

NEVER_MADE = (State.REJECTED, State.CANCELED)  # nothing of these ever came to the bucket
NAMED = 5


@dataclass(frozen=True)
class Use:
    """A cluster's backups in a location."""

    cluster: Cluster
    backups: int

    def __str__(self) -> str:
        return f"{self.backups} of {self.cluster}"


def uses(location: BackupLocation) -> list[Use]:
    """Whose backups are there, by cluster: why the location cannot be deleted."""
    used = _kept(location).order_by().values("cluster").annotate(count=Count("pk"))
    counts = {row["cluster"]: row["count"] for row in used}
    clusters = Cluster.objects.filter(pk__in=counts).select_related("project").order_by("name")
    return [Use(cluster, counts[cluster.pk]) for cluster in clusters]


def policies_with(location: BackupLocation) -> list[BackupPolicy]:
    """What backs up into it: the other reason why it cannot be deleted. Schedules of lost clusters do not count."""
    used = location.policies.filter(deleted_at=None, cluster__deregistered_at=None)
    return list(used.select_related("cluster").order_by("cluster__name", "prefix"))


def _kept(location: BackupLocation) -> QuerySet[Backup]:
    """Without what was only found there: that stays in the bucket, and is simply not shown any more."""
    return Backup.objects.filter(~Q(state__in=NEVER_MADE), location=location, found_in=None)


@transaction.atomic
def delete_location(*, by: User, location: BackupLocation, typed_name: str) -> BackupLocation:
    """Have the location taken out of every cluster and then forgotten; where it is in none, it is gone at once.

    Raises BadInput while backups are there, and unless `typed_name` is its name.
    """
    row = locked(location)
    require(by, row, Verb.LOCATION_DELETE)
    if using := uses(row):
        raise BadInput(f"{row} holds backups: {_listed(using)}.", remedy="Delete them, or let them expire, first.")
    if policies := policies_with(row):
        named = _listed([f"{policy} of {policy.cluster}" for policy in policies])
        raise BadInput(
            f"Backup policies use {row}: {named}.", remedy="Delete them, or give them another location, first."
        )
    if typed_name != row.name:
        raise BadInput(f"Type {row.name} to delete it.", field="typed_name")
    row.deleting_at = timezone.now()
    row.save(update_fields=["deleting_at"])
    audit.record(by=by, verb="location.delete", target=row, bucket=row.bucket, prefix=row.prefix)
    row.placed.filter(cluster__deregistered_at__isnull=False).delete()
    Backup.objects.filter(location=row, found_in__isnull=False, gone_at=None).update(gone_at=row.deleting_at)
    row.scans.filter(state=CheckState.REQUESTED).delete()
    location_change.ask(row, location_change.clusters_of(row), ChangeKind.REMOVE, by)
    location_change.finish_deletion(row.pk, record=False)
    return row


def _listed(using: Sequence[object]) -> str:
    more = len(using) - NAMED
    return ", ".join(map(str, using[:NAMED])) + (f" and {more} more" if more > 0 else "")


@transaction.atomic
def forget_place(*, by: User, location: BackupLocation, cluster: Cluster) -> None:
    """Delete the location without its objects in a cluster that does not let go of them. They stay there.

    Raises BadInput while it has not been tried, and where there is nothing to forget.
    """
    require(by, location, Verb.LOCATION_DELETE)
    changes = LocationChange.objects.select_for_update().filter(location=location, cluster=cluster)
    change = changes.filter(kind=ChangeKind.REMOVE).select_related("location", "cluster").first()
    if change is None or change.state in (ChangeState.COMPLETED, ChangeState.FORGOTTEN):
        raise BadInput(f"{location} is not being taken out of {cluster}.")
    if not change.message:
        raise BadInput(f"{location} is being taken out of {cluster} just now.", remedy="Wait for what comes of it.")
    audit.record(by=by, verb="location.forget", target=location, cluster=cluster.name)
    location_change.forget(change, f"{by} left its objects in {cluster}. There: {change.message}")
