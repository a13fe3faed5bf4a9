"""Asking for a backup."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from backups import lifecycle
from backups.models import Backup, BackupLocation, BackupPolicy, ClusterResources, Origin
from console.lib.errors import BadInput
from console.lib.queue import enqueue
from console.lib.rows import save_new
from workspaces.actions.namespaces import refuse_bad_namespaces
from workspaces.connections import queue_for
from workspaces.models import Cluster
from workspaces.models.cluster import ClusterState

SHORTEST_KEEP = timedelta(hours=1)


@transaction.atomic
def request_backup(  # noqa: PLR0913 - the form's fields
    *,
    by: User,
    cluster: Cluster,
    location: BackupLocation,
    name: str,
    keep_for: timedelta,
    include_disks: bool = True,
    cluster_resources: str = ClusterResources.AUTO,
    namespaces: Sequence[str] = (),
    submission: uuid.UUID | None = None,
    policy: BackupPolicy | None = None,
) -> Backup:
    """Write the wish for a backup and wake a worker. The same `submission` again gives the row it made first.

    Raises BadInput with the field at fault, NotVisible, Forbidden.
    """
    require(by, cluster, Verb.BACKUP_CREATE)
    if submission and (earlier := Backup.objects.filter(submission=submission, cluster=cluster).first()):
        return earlier
    refuse_impossible(cluster, location, keep_for, namespaces)
    backup = Backup(
        project=cluster.project,
        cluster=cluster,
        location=location,
        policy=policy,
        origin=Origin.POLICY if policy else Origin.ON_DEMAND,
        name=name,
        object_name=lifecycle.object_name(name),
        keep_for=keep_for,
        include_disks=include_disks,
        cluster_resources=cluster_resources,
        namespaces=list(namespaces),
        submission=submission or uuid.uuid4(),
        requested_by=by,
        requested_by_name=str(by),
    )
    save_new(backup)
    audit.record(by=by, verb="backup.create", target=backup, cluster=cluster.name, location=location.name)
    enqueue(backup.job, backup.pk, backup.attempt, queue=queue_for(cluster))
    return backup


def refuse_impossible(
    cluster: Cluster, location: BackupLocation, keep_for: timedelta, namespaces: Sequence[str]
) -> None:
    """Raises BadInput with the field at fault for what could not be backed up, now or on a schedule."""
    if location.project_id != cluster.project_id:
        raise BadInput("Choose a backup location of the cluster's project.", field="location")
    held = BackupLocation.objects.select_for_update().filter(pk=location.pk).first()  # it may be deleted just now
    if held is None or held.deleting_at:
        raise BadInput(f"{location} is being deleted.", field="location", remedy="Choose another one.")
    if held.read_only:
        raise BadInput(f"{location} is only read from.", field="location", remedy="Choose another one.")
    if cluster.deregistered_at:
        raise BadInput(f"{cluster} is not registered any more.", field="cluster")
    if cluster.state == ClusterState.VELERO_MISSING:
        raise BadInput(
            f"Velero is not installed in {cluster} (namespace {cluster.velero_namespace}).",
            field="cluster",
            remedy="Install it, then check the cluster's connection again.",
        )
    if keep_for < SHORTEST_KEEP:
        raise BadInput("Keep the backup for an hour at least.", field="keep_for")
    refuse_bad_namespaces(namespaces, cluster)
