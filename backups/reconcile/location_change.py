"""Edited locations reach the clusters that use them; deleted ones leave them.

1. An edit raises the location's `credentials_version`; whatever is placed with another one is behind. Per cluster there
   is one open LocationChange at most, and an edit takes it away from whoever works on it: `attempt` is raised, so that
   a late worker's word does not count. What it may still send is refused at the objects (velero/secret.py).
2. A worker puts Secret and BackupStorageLocation of every place in the cluster, then has Velero look again.
3. A cluster that cannot be reached is tried again for as long as it takes; what a cluster refuses ends the row with
   the reason, and is tried again when somebody asks, or after AGAIN_AFTER.
4. Removing goes from what depends to what is depended on: what was adopted for restores, then the
   BackupStorageLocation, then Backup objects that Velero brought back meanwhile, then the Secret. Nothing is asked of
   Velero that would touch the bucket.
5. When nothing is placed any more, the location itself is gone and its keys are forgotten.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import User
from backups.models import (
    Access,
    BackupLocation,
    ChangeKind,
    ChangeState,
    LocationChange,
    PlacedLocation,
    Restore,
)
from backups.reconcile import location as locations
from backups.reconcile.submission import explaining, missing_velero
from backups.velero import names
from backups.velero.location import delete_location, forget_backups, remove_snapshot_locations
from backups.velero.objects import is_gone
from backups.velero.restore import delete_restore
from backups.velero.secret import delete_secret
from console.kube.connection import Connection
from console.lib.errors import TryLater
from console.lib.queue import enqueue
from workspaces.connections import connected
from workspaces.models import Cluster
from workspaces.models.wish import redrive_time

log = structlog.get_logger(__name__)

AGAIN_AFTER = timedelta(minutes=10)
NOT_REGISTERED = "The cluster is not registered any more, so what is there stays as it is."


# Asking


def ask(location: BackupLocation, clusters: Iterable[uuid.UUID], kind: ChangeKind, by: User | None) -> None:
    """Have it done in each of the clusters, now. What is under way there begins anew."""
    who = {"requested_by": by, "requested_by_name": str(by) if by else audit.SYSTEM}
    for cluster in clusters:
        place = {"location": location, "cluster_id": cluster, "state": ChangeState.REQUESTED}
        change, made = LocationChange.objects.get_or_create(**place, defaults={"kind": kind, **who})
        LocationChange.objects.filter(location=location, cluster_id=cluster).exclude(pk=change.pk).delete()
        if not made:
            again = {"kind": kind, "attempt": F("attempt") + 1, "due_at": redrive_time(), **who}
            again |= {"message": change.message if change.kind == kind else ""}
            LocationChange.objects.filter(pk=change.pk).update(**again)
            change.refresh_from_db()
        enqueue(change.job, change.pk, change.attempt, queue="slow")


def roll_out(location: BackupLocation, by: User | None) -> None:
    """Have every cluster that uses the location learn of what was changed."""
    location.placed.filter(behind_since=None).update(behind_since=timezone.now())
    ask(location, clusters_of(location), ChangeKind.ROLL_OUT, by)


def ask_for_overdue() -> int:
    """Ask where a place is behind or to be removed and nobody works on it; how many. What failed rests for a while."""
    asked = 0
    for placed in [*_unattended(_behind()), *_unattended(_leaving())]:
        kind = ChangeKind.REMOVE if placed.location.deleting_at else ChangeKind.ROLL_OUT
        ask(placed.location, [placed.cluster_id], kind, None)
        asked += 1
    for location in BackupLocation.objects.filter(deleting_at__isnull=False, placed=None):
        finish_deletion(location.pk)
    return asked


def _behind() -> QuerySet[PlacedLocation]:
    """What was never put is put before its first use (reconcile/location.py)."""
    there = PlacedLocation.objects.filter(location__deleting_at=None, credentials_version__gt=0)
    stale = there.exclude(credentials_version=F("location__credentials_version"))
    return stale.filter(cluster__deregistered_at=None)


def _leaving() -> QuerySet[PlacedLocation]:
    return PlacedLocation.objects.filter(location__deleting_at__isnull=False, location__deleted_at=None)


def _unattended(places: QuerySet[PlacedLocation]) -> QuerySet[PlacedLocation]:
    same = LocationChange.objects.filter(location=OuterRef("location"), cluster=OuterRef("cluster"))
    under_way = same.filter(state=ChangeState.REQUESTED)
    resting = same.filter(state=ChangeState.FAILED, finished_at__gt=timezone.now() - AGAIN_AFTER)
    return places.exclude(Exists(under_way)).exclude(Exists(resting)).select_related("location")


# Carrying out


def carry_out(change: LocationChange) -> None:
    """Bring one cluster up to date, or take the location out of it."""
    work = _remove if change.kind == ChangeKind.REMOVE else _roll_out
    with explaining(change, ChangeState.FAILED, partial(missing_velero, change.cluster)):
        if change.cluster.deregistered_at:
            forget(change, NOT_REGISTERED)
            return
        with connected(change.cluster) as connection:
            said = work(connection, change)
        change.write(state=ChangeState.COMPLETED, message=said)
    if change.kind == ChangeKind.REMOVE:
        finish_deletion(change.location_id)


def _places(change: LocationChange) -> list[PlacedLocation]:
    """ReadOnly first: these hold what was adopted from elsewhere. Read anew, to have the latest of the location."""
    places = PlacedLocation.objects.filter(location=change.location_id, cluster=change.cluster_id)
    return list(places.select_related("location", "cluster", "source").order_by("access", "pk"))


def _roll_out(connection: Connection, change: LocationChange) -> str:
    """What Velero says of it then, where that is no good; a Velero that is silent will be heard by the reconciler."""
    said = ""
    for placed in _places(change):
        locations.put(connection, placed)
        with contextlib.suppress(TryLater):
            report = locations.verdict_anew(connection, placed)
            said = said or ("" if report.is_available else f"It is there, but Velero says: {_word(placed)}")
    return said


def _word(placed: PlacedLocation) -> str:
    placed.refresh_from_db(fields=["phase", "message"])
    return placed.message or placed.phase


def _remove(connection: Connection, change: LocationChange) -> str:
    for placed in _places(change):
        _withdraw(connection, placed)
    return ""


def _withdraw(connection: Connection, placed: PlacedLocation) -> None:
    namespace, name = placed.cluster.velero_namespace, placed.object_name
    _remove_restores(connection, placed)
    if placed.access == Access.READ_ONLY:
        forget_backups(connection, namespace, name)
        remove_snapshot_locations(connection, namespace, {names.LOCATION: str(placed.location_id)})
    delete_location(connection, namespace, name)
    forget_backups(connection, namespace, name)
    delete_secret(connection, namespace, name)
    placed.delete()


def _remove_restores(connection: Connection, placed: PlacedLocation) -> None:
    """Before their location: Velero deletes a Restore's files through it, and holds the object until that is done.

    Raises TryLater while Velero is at it.
    """
    namespace = placed.cluster.velero_namespace
    left = Restore.objects.filter(
        cluster=placed.cluster, backup__location=placed.location, backup__cluster=placed.source
    )
    for restore in left.filter(tidied_at=None).exclude(object_uid=""):
        delete_restore(connection, namespace, restore.object_name)
        if not is_gone(connection, "restores", namespace, restore.object_name):
            raise TryLater(f"Velero in {placed.cluster} has not removed the restore {restore.object_name} yet.")
        Restore.objects.filter(pk=restore.pk).update(tidied_at=timezone.now())


# Ending


@transaction.atomic
def forget(change: LocationChange, why: str) -> None:
    """Give up on one cluster: what is there stays there, and this console knows nothing of it any more.

    Raises Overtaken when the change has ended or moved on meanwhile.
    """
    change.write(state=ChangeState.FORGOTTEN, message=why)
    if change.kind == ChangeKind.REMOVE:
        PlacedLocation.objects.filter(location=change.location_id, cluster=change.cluster_id).delete()
        finish_deletion(change.location_id)


@transaction.atomic
def finish_deletion(location: uuid.UUID, *, record: bool = True) -> bool:
    """Once nothing of it is placed any more, forget the keys and show the location no longer. Whether that is so."""
    row = BackupLocation.objects.select_for_update().filter(pk=location, deleting_at__isnull=False).first()
    if row is None or PlacedLocation.objects.filter(location=location).exists():
        return False
    row.deleted_at, row.credentials, row.ca_certificate = timezone.now(), {}, ""
    row.save(update_fields=["deleted_at", "credentials", "ca_certificate"])
    if record:
        audit.record(by=None, verb="location.remove", target=row, bucket=row.bucket)
    return True


def clusters_of(location: BackupLocation) -> list[uuid.UUID]:
    """The registered clusters in which the location is."""
    registered = Cluster.objects.registered().filter(placed__location=location)
    return list(registered.order_by().values_list("pk", flat=True).distinct())
