"""Looking up what a backup would do with each volume of a cluster.

`plan` in the row: {"claims": [{"namespace", "name", "storage_class", "size", "method", "reason", "remedy"}], "total":
number of claims, of which `claims` holds the first; "counts": {method: number}, "notes": [sentence]}.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

from django.utils import timezone

from backups.models import CheckState, ClusterResources, VolumePreview
from backups.reconcile.backup import CLUSTER_RESOURCES
from backups.velero.backup import BackupRequest, backup_spec
from backups.velero.inventory import look
from backups.velero.volumes import Foretold, Plan, foretell
from console.lib.errors import ConsoleError
from workspaces.connections import connected
from workspaces.models import Overtaken

MOST_SHOWN = 200
LIVES = timedelta(hours=24)


def preview(row: VolumePreview) -> None:
    """Look once; what cannot be looked up is said."""
    with contextlib.suppress(Overtaken):
        try:
            with connected(row.cluster) as connection:
                inventory = look(connection, row.cluster.velero_namespace, row.namespaces)
            row.write(state=CheckState.COMPLETED, plan=_storable(foretell(_spec(row), inventory)))
        except Overtaken:
            raise
        except ConsoleError as error:
            row.write(state=CheckState.FAILED, message=error.sentence())


def _spec(row: VolumePreview) -> dict[str, Any]:
    """The spec that a backup with these choices is sent with; names and times play no part in it."""
    return backup_spec(
        BackupRequest(
            name="",
            namespace=row.cluster.velero_namespace,
            storage_location="",
            ttl=LIVES,
            included_namespaces=tuple(row.namespaces),
            include_disks=row.include_disks,
            include_cluster_resources=CLUSTER_RESOURCES[ClusterResources(row.cluster_resources)],
        )
    )


def _storable(plan: Plan) -> dict[str, Any]:
    return {
        "claims": [_claim(one) for one in plan.claims[:MOST_SHOWN]],
        "total": len(plan.claims),
        "counts": dict(plan.counts),
        "notes": plan.notes,
    }


def _claim(one: Foretold) -> dict[str, str]:
    verdict = {"method": one.verdict.method, "reason": one.verdict.reason, "remedy": one.verdict.remedy}
    return {
        "namespace": one.namespace,
        "name": one.name,
        "storage_class": one.storage_class,
        "size": one.size,
        **verdict,
    }


def purge_previews() -> int:
    """Remove those nobody looks at any more; how many."""
    deleted: int = VolumePreview.objects.filter(created_at__lt=timezone.now() - LIVES).delete()[0]
    return deleted
