"""Carrying a restore to its target cluster, and tidying up after it."""

from __future__ import annotations

from functools import partial

from django.utils import timezone

from backups.models import ClusterResources, ExistingObjects, PlacedLocation, Restore
from backups.reconcile import adoption
from backups.reconcile import location as locations
from backups.reconcile.backup import CLUSTER_RESOURCES
from backups.reconcile.submission import begin, note_submitted, our_annotations, our_labels, settled, submitting
from backups.velero.backup import delete_backup_object
from backups.velero.location import delete_location
from backups.velero.objects import is_gone
from backups.velero.restore import RestoreRequest, create_restore, delete_restore, get_restore, restore_manifest
from backups.velero.secret import delete_secret
from console.kube.connection import Connection
from console.lib.errors import TryLater
from workspaces.connections import connected
from workspaces.models import WishQuerySet


def submit(restore: Restore) -> None:
    """Make the target hold exactly one Velero Restore for this row.

    1. If an earlier attempt may have made it, look by name first.
    2. Bring the location to the target, ReadOnly on the source's prefix when the source is another cluster, and wait
       until Velero finds it Available: a Restore posted before fails validation for good.
    3. When the source is another cluster, bring the Backup object and what belongs to it: no waiting for Velero's sync.
    4. Create the Restore under the row's name; 409 with our label is the same thing.
    """
    backup, namespace = restore.backup, restore.cluster.velero_namespace
    with submitting(restore), connected(restore.cluster) as target:
        if settled(restore, partial(get_restore, target, namespace, restore.object_name)):
            return
        begin(restore)
        placed = locations.ready(target, backup.location, cluster=restore.cluster, source=backup.cluster)
        if restore.is_elsewhere:
            adoption.bring(target, restore, placed)
        note_submitted(restore, create_restore(target, manifest(restore)))


def manifest(restore: Restore) -> dict[str, object]:
    """The Velero Restore this row asks for."""
    return restore_manifest(
        RestoreRequest(
            name=restore.object_name,
            namespace=restore.cluster.velero_namespace,
            backup_name=restore.backup.object_name,
            included_namespaces=tuple(restore.namespaces),
            namespace_mapping=restore.namespace_mapping,
            include_cluster_resources=CLUSTER_RESOURCES[ClusterResources(restore.cluster_resources)],
            restore_pvs=restore.restore_volumes,
            preserve_node_ports=restore.preserve_node_ports,
            existing_resource_policy="update" if restore.existing_objects == ExistingObjects.UPDATE else "none",
            labels=our_labels(restore),
            annotations=our_annotations(restore),
        )
    )


def tidy(restore: Restore) -> None:
    """Remove what an old restore left in its target: the Restore, then, when no other needs them, the adopted
    Backup and the ReadOnly location. In this order: Velero deletes a Restore's files through its location.

    Raises TryLater while Velero is still at it.
    """
    namespace = restore.cluster.velero_namespace
    with connected(restore.cluster) as target:
        if restore.object_uid:  # without one none of ours came to be
            delete_restore(target, namespace, restore.object_name)
            if not is_gone(target, "restores", namespace, restore.object_name):
                raise TryLater(f"Velero in {restore.cluster} has not removed the restore yet.")
        if restore.is_elsewhere and not _others_of(restore).filter(backup=restore.backup).exists():
            delete_backup_object(target, namespace, restore.backup.object_name)
        if restore.is_elsewhere and not _others_of(restore).exists():
            _withdraw(target, restore)
    Restore.objects.filter(pk=restore.pk).update(tidied_at=timezone.now())


def _others_of(restore: Restore) -> WishQuerySet[Restore]:
    same_place = {"cluster": restore.cluster, "backup__location": restore.backup.location}
    left = Restore.objects.filter(tidied_at=None, backup__cluster=restore.backup.cluster, **same_place)
    others: WishQuerySet[Restore] = left.exclude(pk=restore.pk)
    return others


def _withdraw(target: Connection, restore: Restore) -> None:
    """Take the ReadOnly location and its Secret out of the target."""
    backup, namespace = restore.backup, restore.cluster.velero_namespace
    for placed in PlacedLocation.objects.filter(
        cluster=restore.cluster, location=backup.location, source=backup.cluster
    ):
        delete_location(target, namespace, placed.object_name)
        delete_secret(target, namespace, placed.object_name)
        placed.delete()
