"""Carrying a backup to its cluster."""

from __future__ import annotations

from functools import partial

from backups.models import Backup, ClusterResources, PlacedLocation
from backups.reconcile import location as locations
from backups.reconcile.submission import begin, note_submitted, our_annotations, our_labels, settled, submitting
from backups.velero.backup import BackupRequest, backup_manifest, create_backup, get_backup
from workspaces.connections import connected

CLUSTER_RESOURCES = {ClusterResources.AUTO: None, ClusterResources.ALWAYS: True, ClusterResources.NEVER: False}


def submit(backup: Backup) -> None:
    """Make the cluster hold exactly one Velero Backup for this row.

    1. If an earlier attempt may have made it, look by name first.
    2. Bring the location to the cluster, and wait until Velero finds it Available.
    3. Create the Backup under the row's name; 409 with our label is the same thing.
    4. Note it submitted. From here on the reconciler's watch moves the row.
    """
    namespace = backup.cluster.velero_namespace
    with submitting(backup), connected(backup.cluster) as connection:
        if settled(backup, partial(get_backup, connection, namespace, backup.object_name)):
            return
        begin(backup)
        placed = locations.ready(connection, backup.location, cluster=backup.cluster, source=backup.cluster)
        note_submitted(backup, create_backup(connection, manifest(backup, placed)))


def manifest(backup: Backup, placed: PlacedLocation) -> dict[str, object]:
    """The Velero Backup this row asks for."""
    return backup_manifest(
        BackupRequest(
            name=backup.object_name,
            namespace=backup.cluster.velero_namespace,
            storage_location=placed.object_name,
            included_namespaces=tuple(backup.namespaces),
            include_disks=backup.include_disks,
            include_cluster_resources=CLUSTER_RESOURCES[ClusterResources(backup.cluster_resources)],
            ttl=backup.keep_for,
            labels=our_labels(backup),
            annotations=our_annotations(backup),
        )
    )
