"""Having a cluster's Velero sign a link to something in a bucket that the console itself has no way into."""

from __future__ import annotations

import contextlib
import time
import uuid

import structlog

from backups.models import Backup, Restore
from backups.reconcile.submission import our_labels
from backups.velero import names
from backups.velero.download import DownloadKind, create_download, delete_download, download_manifest, get_download
from console.kube.connection import Connection
from console.lib.errors import ConsoleError, Refused, TryLater
from workspaces.connections import connected
from workspaces.models import Cluster

log = structlog.get_logger(__name__)

WITHIN = 8.0  # seconds; Velero takes a fraction of one, or never says that it cannot
LOOK_EVERY = 0.2


def asked(wish: Backup | Restore) -> Cluster | None:
    """A registered cluster that has the object: its own, or for a backup one it is being restored into."""
    if wish.cluster.deregistered_at is None:
        return wish.cluster
    if isinstance(wish, Restore):
        return None
    brought = wish.restores.filter(tidied_at=None, cluster__deregistered_at=None).exclude(object_uid="")
    restore = brought.select_related("cluster").order_by("-created_at").first()
    return restore.cluster if restore else None


def refuse_without_cluster(wish: Backup | Restore, error: ConsoleError) -> None:
    """Raises `error` again where no cluster can be asked instead."""
    if asked(wish) is None:
        raise error


def link(wish: Backup | Restore, kind: DownloadKind) -> str:
    """A link to one file of the backup or restore, good for some minutes. The request for it is removed at once.

    Raises Refused where no cluster can be asked, TryLater where Velero is silent, and what the connection raises.
    """
    cluster = asked(wish)
    if cluster is None:
        raise Refused(
            "Only a cluster can sign in to this bucket, and none that is registered here has this backup.",
            remedy="Open the bucket with keys that the console may use, as another location.",
        )
    with connected(cluster) as connection:
        name = f"drydock-{uuid.uuid4().hex[:16]}"
        labels = {names.CLUSTER: str(cluster.pk), names.PROJECT: our_labels(wish)[names.PROJECT]}
        manifest = download_manifest(name, cluster.velero_namespace, kind=kind, of=wish.object_name, labels=labels)
        try:
            create_download(connection, manifest)
            return _waited_for(connection, cluster, name)
        finally:
            _remove(connection, cluster, name)


def _waited_for(connection: Connection, cluster: Cluster, name: str) -> str:
    until = time.monotonic() + WITHIN
    while time.monotonic() < until:
        report = get_download(connection, cluster.velero_namespace, name)
        if report.is_ready:
            return report.url
        time.sleep(LOOK_EVERY)
    raise TryLater(
        f"Velero in {cluster} gave no link to it within {WITHIN:.0f} seconds: its server does not run, or the file is "
        "not in the bucket.",
        remedy="Look at the cluster, then try again.",
    )


def _remove(connection: Connection, cluster: Cluster, name: str) -> None:
    """Velero removes what is left after ten minutes."""
    with contextlib.suppress(ConsoleError):
        delete_download(connection, cluster.velero_namespace, name)
        return
    log.warning("a download request is left in the cluster", cluster=str(cluster.pk), name=name)
