"""Asking for a restore."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from backups import lifecycle
from backups.models import Backup, ClusterResources, ExistingObjects, Restore
from console.lib.errors import BadInput
from console.lib.queue import enqueue
from console.lib.rows import save_new
from workspaces.actions.namespaces import refuse_bad_namespaces
from workspaces.connections import queue_for
from workspaces.models import Cluster
from workspaces.models.cluster import ClusterState


@transaction.atomic
def request_restore(  # noqa: PLR0913 - the form's fields
    *,
    by: User,
    backup: Backup,
    target: Cluster,
    namespaces: Sequence[str] = (),
    namespace_mapping: Mapping[str, str] | None = None,
    cluster_resources: str = ClusterResources.AUTO,
    restore_volumes: bool = True,
    preserve_node_ports: bool = False,
    existing_objects: str = ExistingObjects.LEAVE,
    submission: uuid.UUID | None = None,
) -> Restore:
    """Write the wish for a restore and wake a worker. The same `submission` again gives the row it made first.

    Raises BadInput with the field at fault, NotVisible, Forbidden.
    """
    require(by, backup, Verb.RESTORE_CREATE)
    if submission and (earlier := Restore.objects.filter(submission=submission, backup=backup).first()):
        return earlier
    mapping = dict(namespace_mapping or {})
    _refuse_impossible(backup, target, namespaces, mapping)
    restore = Restore(
        project=backup.project,
        backup=backup,
        cluster=target,
        object_name=lifecycle.object_name(backup.name),
        namespaces=list(namespaces),
        namespace_mapping=mapping,
        cluster_resources=cluster_resources,
        restore_volumes=restore_volumes,
        preserve_node_ports=preserve_node_ports,
        existing_objects=existing_objects,
        submission=submission or uuid.uuid4(),
        requested_by=by,
        requested_by_name=str(by),
    )
    save_new(restore)
    audit.record(by=by, verb="restore.create", target=restore, source=backup.cluster.name, into=target.name)
    enqueue(restore.job, restore.pk, restore.attempt, queue=queue_for(target))
    return restore


def _refuse_impossible(backup: Backup, target: Cluster, namespaces: Sequence[str], mapping: dict[str, str]) -> None:
    if target.project_id != backup.project_id:
        raise BadInput("Choose a target cluster of the backup's project.", field="target")
    if target.deregistered_at:
        raise BadInput(f"{target} is not registered any more.", field="target")
    if backup.gone_at:
        raise BadInput("This backup is not in its bucket any more.", field="backup", remedy="Scan the location again.")
    if backup.location.deleting_at:
        raise BadInput(f"{backup.location} is being deleted.", field="backup")
    if backup.state not in lifecycle.RESTORABLE:
        raise BadInput("Only a completed or partially failed backup can be restored.", field="backup")
    if target.state == ClusterState.VELERO_MISSING:
        raise BadInput(f"Velero is not installed in {target}.", field="target", remedy="Install it there first.")
    refuse_bad_namespaces(namespaces, target)
    refuse_bad_namespaces([*mapping, *mapping.values()], target, "namespace_mapping")
    refuse_bad_namespaces(namespaces, backup.cluster)
    refuse_bad_namespaces(list(mapping), backup.cluster, "namespace_mapping")
    if len(set(mapping.values())) < len(mapping):
        raise BadInput("Two namespaces cannot be restored under one name.", field="namespace_mapping")
