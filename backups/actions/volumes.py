"""Asking what a backup would do with a cluster's volumes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.permissions import Verb, require
from backups.models import CheckState, VolumePreview
from console.lib.errors import BadInput
from console.lib.queue import enqueue
from console.lib.rows import save_new
from workspaces.actions.namespaces import refuse_bad_namespaces
from workspaces.models import Cluster

FRESH = timedelta(seconds=20)


@transaction.atomic
def request_preview(
    *, by: User, cluster: Cluster, namespaces: Sequence[str], include_disks: bool, cluster_resources: str
) -> VolumePreview:
    """Have a worker look. The same question again within seconds gives the row it made first.

    There is no audit row: nothing changes, and the page asks by itself whenever something is ticked.

    Raises: BadInput with the field at fault, NotVisible, Forbidden.
    """
    require(by, cluster, Verb.BACKUP_CREATE)
    if cluster.deregistered_at:
        raise BadInput(f"{cluster} is not registered any more.", field="cluster")
    refuse_bad_namespaces(namespaces, cluster)
    asked = {"cluster": cluster, "namespaces": sorted(namespaces), "include_disks": include_disks}
    asked |= {"cluster_resources": cluster_resources, "requested_by": by}
    recent = VolumePreview.objects.filter(**asked, created_at__gt=timezone.now() - FRESH)
    if earlier := recent.exclude(state=CheckState.FAILED).first():
        return earlier
    preview = VolumePreview(project=cluster.project, requested_by_name=str(by), **asked)
    save_new(preview)
    enqueue(preview.job, preview.pk, preview.attempt, queue="interactive")
    return preview
