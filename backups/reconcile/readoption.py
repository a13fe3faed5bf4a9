"""Objects in clusters that this console made and has no row for: its database was restored from an old copy (I10).

1. A Backup or Restore that carries our request label, and the labels of the cluster it is in and of its project,
   becomes a row again: under the same uuid, with what the object says. A BackupStorageLocation of ours likewise.
2. A Backup that a restore brought here carries its own cluster's label: it is no backup of this cluster.
3. Who asked for it is what the object's annotation says, a name; no person of ours is meant by it.
4. A Backup that a Schedule of ours made carries the policy's label and no request: it becomes a row in the same way,
   the first time it is seen, also when that was while the console was down.
5. What refers to something without a row (a location made after the copy) is not guessed at: it is logged once and
   counted in the cluster's facts, for its page.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, timedelta
from typing import Any

import structlog
from django.db import DataError, transaction
from django.utils import timezone

from accounts import audit
from backups.lifecycle import LONGEST_NAME, RANDOM_CHARACTERS, TERMINAL, State, chosen_name, run_name
from backups.models import (
    Access,
    Backup,
    BackupLocation,
    BackupPolicy,
    ClusterResources,
    ExistingObjects,
    FoundPlace,
    Origin,
    PlacedLocation,
    Restore,
    VeleroWish,
)
from backups.reconcile.observation import KINDS, keepable, values_of
from backups.velero import names, scope
from backups.velero.backup import BackupReport, read_backup
from backups.velero.location import LocationReport
from backups.velero.reading import Fields
from backups.velero.restore import RestoreReport, read_restore
from console.lib.errors import BadInput
from console.lib.queue import enqueue
from console.lib.rows import save_new
from workspaces.models import Cluster

log = structlog.get_logger(__name__)

Raw = dict[str, Any]
VELEROS_TTL = timedelta(days=30)  # of a Backup that names none
LEFT = "left"  # in the cluster's facts: {"backup": count, "restore": count, "location": count}
_settled: dict[tuple[uuid.UUID, str], int] = {}  # of what had a row, by cluster and kind, a hash
_told: set[tuple[uuid.UUID, str, str]] = set()  # what has been logged by this process


class NoRow(Exception):
    """The object refers to something that has no row; the text says to what."""


def readopt(cluster: uuid.UUID, kind: str, objects: Mapping[str, Raw]) -> None:
    """Make rows of those Backups or Restores in the cluster that are ours and have none."""
    ours = {request: raw for raw in objects.values() if (request := _request(raw, cluster))}
    if _is_new(cluster, kind, ours):
        known = KINDS[kind]._default_manager.filter(pk__in=ours).values_list("pk", flat=True)
        _each(cluster, kind, ours, set(known), _MAKERS[kind])


def adopt_run(cluster: uuid.UUID, raw: Raw) -> None:
    """Make a row of a Backup that a Schedule of ours made just now. What refers to no row waits for the next look."""
    labels = Fields(raw).mapping("metadata.labels")
    if labels.get(names.REQUEST) or not (pk := _request(raw, cluster)) or Backup.objects.filter(pk=pk).exists():
        return
    with contextlib.suppress(NoRow, BadInput, DataError), transaction.atomic():
        _make_backup(Cluster.objects.select_related("project").get(pk=cluster), pk, raw)


def readopt_locations(cluster: uuid.UUID, reports: Mapping[str, LocationReport]) -> None:
    """Make rows of those BackupStorageLocations in the cluster that are ours and have none."""
    ours = {name: report for name, report in reports.items() if _is_of(report.labels, cluster, names.LOCATION)}
    if _is_new(cluster, "location", ours):
        known = PlacedLocation.objects.filter(object_name__in=ours).values_list("object_name", flat=True)
        _each(cluster, "location", ours, set(known), _place)


def _is_new(cluster: uuid.UUID, kind: str, ours: Collection[Any]) -> bool:
    """Whether this is not what was there when everything had a row at last: most looks find nothing new."""
    return _settled.get((cluster, kind)) != hash(frozenset(ours))


def _each(
    cluster: uuid.UUID,
    kind: str,
    ours: Mapping[Any, Any],
    known: set[Any],
    make: Callable[[Cluster, Any, Any], None],
) -> None:
    here = Cluster.objects.select_related("project").get(pk=cluster)
    left = 0
    for key in sorted(ours.keys() - known):
        try:
            with transaction.atomic():
                make(here, key, ours[key])
        except (NoRow, BadInput, DataError) as error:
            left += 1
            _tell(here, kind, str(key), str(error))
    _note_left(here, kind, left)
    if not left:
        _settled[cluster, kind] = hash(frozenset(ours))


def _tell(cluster: Cluster, kind: str, key: str, why: str) -> None:
    if (cluster.pk, kind, key) not in _told:
        _told.add((cluster.pk, kind, key))
        log.warning("ours, and has no row", cluster=str(cluster.pk), kind=kind, object=key, reason=why)


def _note_left(cluster: Cluster, kind: str, count: int) -> None:
    """For the cluster's page; a kind of which nothing is left is not mentioned."""
    before = cluster.facts.get(LEFT, {})
    now = {key: number for key, number in (before | {kind: count}).items() if number}
    if now != before:
        Cluster.objects.remember(cluster.pk, {LEFT: now})


def _request(raw: Raw, cluster: uuid.UUID) -> uuid.UUID | None:
    """The row's uuid, when the object was made by this console for this cluster, or by a Schedule of it."""
    fields = Fields(raw)
    labels = fields.mapping("metadata.labels")
    if _is_of(labels, cluster, names.POLICY) and not labels.get(names.REQUEST):
        return row_of_run(labels[names.POLICY], fields.text("metadata.name"))
    return _uuid(labels.get(names.REQUEST, "")) if _is_of(labels, cluster, names.REQUEST) else None


def row_of_run(policy: str, name: str) -> uuid.UUID | None:
    """What a Schedule makes has no row beforehand; whenever it is seen it becomes the same one."""
    known = _uuid(policy)
    return uuid.uuid5(known, name) if known else None


def _is_of(labels: Mapping[str, str], cluster: uuid.UUID, key: str) -> bool:
    made_by_us = labels.get(names.MANAGED_BY) == names.DRYDOCK and bool(labels.get(key))
    return made_by_us and labels.get(names.CLUSTER) == str(cluster)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _make_backup(cluster: Cluster, pk: uuid.UUID, raw: Raw) -> None:
    report = read_backup(raw)
    policy = _policy_of(cluster, report)
    backup = Backup(
        **_common(cluster, pk, report, raw),
        location=_location_of(cluster, report),
        policy=policy,
        origin=Origin.POLICY if policy else Origin.ON_DEMAND,
        name=_free_run_name(policy, report) if policy and not report.request_id else _free_name(cluster, report),
        include_disks=report.includes_disks,
        keep_for=report.ttl or VELEROS_TTL,
    )
    _keep(backup, report)


def _policy_of(cluster: Cluster, report: BackupReport) -> BackupPolicy | None:
    """Whose run it is; deleted policies count. Raises NoRow for one that is not known."""
    labelled = report.labels.get(names.POLICY, "")
    if not labelled:
        return None
    pk = _uuid(labelled)
    policy = BackupPolicy.everything.filter(pk=pk, cluster=cluster).first() if pk else None
    if policy is None:
        raise NoRow(f"the policy that made {report.name} has no row")
    return policy


def _free_run_name(policy: BackupPolicy, report: BackupReport) -> str:
    """As it is called in the cluster, with the prefix for the Schedule's name; with both where that is taken."""
    at = (report.created_at or timezone.now()).astimezone(UTC)
    plain = run_name(policy.prefix, at)
    taken = Backup.objects.filter(cluster=policy.cluster_id, name=plain).exists()
    return run_name(policy.prefix, at, tie=policy.object_name[-RANDOM_CHARACTERS:]) if taken else plain


def _make_restore(cluster: Cluster, pk: uuid.UUID, raw: Raw) -> None:
    report = read_restore(raw)
    backup = _restored(cluster, report)
    restore = Restore(
        **_common(cluster, pk, report, raw),
        backup=backup,
        namespace_mapping=dict(report.namespace_mapping),
        restore_volumes=report.restore_pvs is not False,
        preserve_node_ports=bool(report.preserve_node_ports),
        existing_objects=report.existing_resource_policy or ExistingObjects.LEAVE,
    )
    _keep(restore, report)


def _restored(cluster: Cluster, report: RestoreReport) -> Backup:
    """By the annotation, else by a name that only one has: what scans found may share names. Raises NoRow."""
    named = Backup.objects.filter(project=cluster.project, object_name=report.backup_name)
    said = _uuid(report.annotations.get(names.BACKUP, ""))
    rows = list((named.filter(pk=said) if said else named)[:2])
    if not rows:
        raise NoRow(f"it restores {report.backup_name}, which has no row")
    if len(rows) > 1:
        raise NoRow(f"more than one backup is called {report.backup_name}")
    return rows[0]


_MAKERS = {"backup": _make_backup, "restore": _make_restore}


def _common(cluster: Cluster, pk: uuid.UUID, report: BackupReport | RestoreReport, raw: Raw) -> dict[str, Any]:
    if report.labels.get(names.PROJECT) != str(cluster.project_id):
        raise NoRow("it belongs to another project than its cluster")
    values = values_of(report)
    ended = State(values["state"]) in TERMINAL
    return values | {
        "id": pk,
        "project": cluster.project,
        "cluster": cluster,
        "object_name": report.name,
        "namespaces": [name for name in report.included_namespaces if name != scope.EVERYTHING],
        "cluster_resources": _cluster_resources(report),
        "requested_by_name": report.annotations.get(names.REQUESTED_BY, "")[:254],
        "attempt": 1,
        "due_at": None,
        "submitted_at": report.created_at or timezone.now(),
        "finished_at": (report.completed_at or timezone.now()) if ended else None,
        "resource": keepable(raw) if ended else None,
    }


def _cluster_resources(report: BackupReport | RestoreReport) -> str:
    """As it was asked for; *Auto* over all namespaces is sent as *Always*, so the annotation goes first."""
    asked = report.annotations.get(names.CLUSTER_RESOURCES, "")
    if asked in ClusterResources.values:
        return asked
    sent = {None: ClusterResources.AUTO, True: ClusterResources.ALWAYS, False: ClusterResources.NEVER}
    return sent[report.include_cluster_resources]


def _location_of(cluster: Cluster, report: BackupReport) -> BackupLocation:
    """By the Backup's label, else by the place in the cluster that it names. Raises NoRow."""
    locations = BackupLocation.objects.filter(project=cluster.project)
    if labelled := _uuid(report.labels.get(names.LOCATION, "")):
        found = locations.filter(pk=labelled).first()
    else:
        found = locations.filter(placed__cluster=cluster, placed__object_name=report.storage_location).first()
    if found is None:
        raise NoRow(f"its location {report.storage_location} has no row")
    return found


def _free_name(cluster: Cluster, report: BackupReport) -> str:
    """The name that was chosen; when another backup has taken it since, with the end of the object's name."""
    name = chosen_name(report.name)
    if not Backup.objects.filter(cluster=cluster, name=name).exists():
        return name
    end = report.name[len(name) :]
    return name[: LONGEST_NAME - len(end)] + end


def _keep(wish: VeleroWish, report: BackupReport | RestoreReport) -> None:
    """Save the row with its audit row; have its results read. Raises BadInput for what no row can hold."""
    save_new(wish)
    model, kind = type(wish), str(wish._meta.model_name)
    model._default_manager.filter(pk=wish.pk).update(created_at=report.created_at or wish.created_at)
    scheduled = isinstance(wish, Backup) and not report.request_id
    verb = "backup.scheduled" if scheduled else f"{kind}.readopt"
    audit.record(by=None, verb=verb, target=wish, object=wish.object_name, state=wish.state)
    if not wish.is_open:
        enqueue("backups.jobs.read_results", wish.pk, wish.attempt, queue="slow")


def _place(cluster: Cluster, _: str, report: LocationReport) -> None:
    """Raises NoRow when the location or the source cluster is not known."""
    labelled = _uuid(report.labels.get(names.LOCATION, ""))
    location = BackupLocation.objects.filter(project=cluster.project, pk=labelled).first() if labelled else None
    if location is None:
        raise NoRow("its location has no row")
    placed = PlacedLocation(
        location=location,
        cluster=cluster,
        source=_source_of(cluster, location, report),
        access=report.access_mode,
        object_name=report.name,
        prefix=report.prefix,
        credentials_version=0,  # what its Secret holds is not known: it is put again before it is used
    )
    save_new(placed)
    audit.record(by=None, verb="location.readopt", target=location, cluster=cluster.name, object=report.name)


def _source_of(cluster: Cluster, location: BackupLocation, report: LocationReport) -> Cluster:
    """Whose backups lie there: those of `<prefix>/<cluster uid>`, or of a place that a scan found. Raises NoRow."""
    place = FoundPlace.objects.filter(location=location, prefix=report.prefix).select_related("source").first()
    if place and report.access_mode == Access.READ_ONLY:
        return place.source
    prefix, _, uid = report.prefix.rpartition("/")
    known = Cluster.objects.filter(project=cluster.project, uid=uid)
    writes = report.access_mode == Access.READ_WRITE
    sources = known.filter(pk=cluster.pk) if writes else known.exclude(pk=cluster.pk)
    found = sources.order_by("-created_at").first() if prefix == location.prefix else None
    if found is None:
        raise NoRow(f"the cluster that writes at {report.prefix} is not known")
    return found
