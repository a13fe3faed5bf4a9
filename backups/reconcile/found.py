"""Rows for backups that a scan came upon: real Backups that nobody asked for here.

1. Their cluster is a stand-in, one for each place: a row that is no registered cluster, so that nothing watches it, and
   a backup that was found is never listed among those of a cluster.
2. They have ended: nothing is driven, watched or read again. One that Velero had not finished when it wrote to the
   bucket last is shown as failed, with its phase and that reason, until a later scan finds more.
3. What this console asked for has a row already, and is known by its name and place.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from backups.lifecycle import TERMINAL, State, state_of_phase
from backups.models import Backup, BackupLocation, ClusterResources, FoundPlace, Origin
from backups.reconcile.observation import keepable, outcome, values_of
from backups.storage import FoundFolder
from backups.velero import scope
from backups.velero.backup import BackupReport, read_backup
from workspaces.models import Cluster
from workspaces.models.cluster import ClusterState

NOBODY = {"kubeconfig": "", "context": ""}
UNKNOWN_CLUSTER = "unknown cluster"
VELEROS_TTL = timedelta(days=30)  # of a Backup that names none
LARGEST_KEPT = 64 * 1024  # characters; a larger object is read from the bucket again when it is restored
LARGEST_SIZE = 2**63 - 1
_RESOURCES = {None: ClusterResources.AUTO, True: ClusterResources.ALWAYS, False: ClusterResources.NEVER}
RENEWED = (
    *("state", "phase", "object_uid", "items_done", "items_total", "errors", "warnings", "started_at", "completed_at"),
    *("message", "expires_at", "size", "resource", "results", "found_at", "gone_at", "finished_at", "namespaces"),
)


def note_place(location: BackupLocation, prefix: str) -> FoundPlace:
    """The row of a place that was seen just now, made with its stand-in when it is new."""
    known = _known(location, prefix)
    name = known.name if known else UNKNOWN_CLUSTER
    now = timezone.now()
    place = FoundPlace.objects.filter(location=location, prefix=prefix).first()
    if place is None:
        return FoundPlace.objects.create(
            location=location, prefix=prefix, known=known, seen_at=now, source=_stand_in(location, name)
        )
    FoundPlace.objects.filter(pk=place.pk).update(seen_at=now, known=known)
    Cluster.objects.filter(pk=place.source_id).update(name=name)
    return place


def _known(location: BackupLocation, prefix: str) -> Cluster | None:
    """The cluster of this project that writes there, or once did: below its uid."""
    uid = prefix.rpartition("/")[2]
    if not uid:
        return None
    same = Cluster.objects.filter(project=location.project_id, uid=uid, found_place=None)
    return same.filter(deregistered_at=None).first() or same.order_by("-created_at").first()


def _stand_in(location: BackupLocation, name: str) -> Cluster:
    now = timezone.now()
    return Cluster.objects.create(
        project=location.project,
        name=name,
        description=f"Stands for whoever wrote backups that were found in {location}.",
        kubeconfig=NOBODY,
        state=ClusterState.UNREACHABLE,
        state_reason="Its backups were found in a bucket; the cluster itself is not known here.",
        deregistered_at=now,
    )


@dataclass(frozen=True)
class Catalogue:
    """What has a row already of some backups in a place: those found before, and names this console made itself."""

    place: FoundPlace
    before: dict[str, Backup]
    asked_for: Collection[str]

    @classmethod
    def of(cls, place: FoundPlace, names: list[str]) -> Catalogue:
        """Two queries."""
        rows = Backup.objects.filter(found_in=place, object_name__in=names)
        return cls(place, {row.object_name: row for row in rows}, _asked_for(place, names))

    def knows(self, folder: FoundFolder) -> bool:
        """Whether nothing has to be read: the console's own, or one that had ended and has the size it had."""
        if folder.name in self.asked_for:
            return True
        row = self.before.get(folder.name)
        if row is None or row.gone_at or row.size != _size(folder) or not _has_ended(row.phase):
            return False
        Backup.objects.filter(pk=row.pk).update(found_at=timezone.now())
        return True

    def store(self, read: Iterable[tuple[FoundFolder, dict[str, Any]]]) -> int:
        """Make rows, and renew those that are there. How many are new."""
        made: list[Backup] = []
        renewed: list[Backup] = []
        for folder, raw in read:
            row = self.before.get(folder.name)
            (renewed if row else made).append(_filled(row or _new(self.place, folder.name), folder, raw))
        created = {row.pk: row.created_at for row in made}
        for row in Backup.objects.bulk_create(made):
            row.created_at = created[row.pk]  # saving set it to now
        Backup.objects.bulk_update(made, ["created_at"])
        Backup.objects.bulk_update(renewed, RENEWED)
        return len(made)


def _asked_for(place: FoundPlace, names: list[str]) -> set[str]:
    """Of the names those that this console gave to backups at this very place, whatever location it was."""
    location, uid = place.location, place.prefix.rpartition("/")[2]
    store = {f"location__{name}": getattr(location, name) for name in ("provider", "s3_url", "bucket")}
    rows = Backup.objects.filter(
        project=location.project_id, found_in=None, object_name__in=names, cluster__uid=uid, **store
    )
    prefixes = rows.values_list("object_name", "location__prefix")
    return {name for name, prefix in prefixes if uid and f"{prefix}/{uid}" == place.prefix}


def _has_ended(phase: str) -> bool:
    return state_of_phase(phase) in TERMINAL


def _size(folder: FoundFolder) -> int:
    return min(folder.size, LARGEST_SIZE)


def _new(place: FoundPlace, name: str) -> Backup:
    """Named as in Velero: the name somebody chose for it once may not be the only one of its kind here."""
    return Backup(
        project=place.location.project,
        cluster=place.source,
        location=place.location,
        found_in=place,
        origin=Origin.FOUND,
        name=name,
        object_name=name,
        attempt=1,
        due_at=None,
    )


def _filled(row: Backup, folder: FoundFolder, raw: dict[str, Any]) -> Backup:
    """The row with what the object says."""
    report, now = read_backup(raw), timezone.now()
    for name, value in (values_of(report) | _how_it_ended(report)).items():
        setattr(row, name, value)
    row.queue_position = 0
    row.size, row.found_at, row.gone_at = _size(folder), now, None
    row.submitted_at, row.finished_at = report.started_at or now, _finished_at(report, now)
    row.created_at = report.created_at or report.started_at or now
    row.namespaces = [name for name in report.included_namespaces if name != scope.EVERYTHING]
    row.cluster_resources = _RESOURCES[report.include_cluster_resources]
    row.include_disks, row.keep_for = report.includes_disks, report.ttl or VELEROS_TTL
    row.resource = _kept(raw)
    row.results = None if report.errors or report.warnings else {"entries": [], "unread": ""}
    return row


def _kept(raw: dict[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = keepable(raw)
    return found if len(json.dumps(found)) <= LARGEST_KEPT else None


def _finished_at(report: BackupReport, now: datetime) -> datetime:
    """Now where there is something to read of the results: that is done of what has ended lately."""
    return now if report.errors or report.warnings else report.completed_at or now


def _how_it_ended(report: BackupReport) -> dict[str, Any]:
    state = state_of_phase(report.phase)
    if state in (State.COMPLETED, State.PARTIALLY_FAILED):
        return {"state": state, "message": outcome(report)}
    if state in TERMINAL:
        return {"state": state, "message": outcome(report) or "Velero did not say why."}
    said = (
        f"Velero had not finished this backup when it wrote it to the bucket last: it says “{report.phase or 'New'}”."
    )
    return {"state": State.FAILED, "message": f"{said} If its cluster is at it still, scan again later."}
