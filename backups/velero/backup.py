"""Backups: the manifest from a request, the report from whatever the cluster holds, and the calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from backups.velero import names, scope
from backups.velero.objects import create_once, identity, remove
from backups.velero.reading import Fields
from console.lib.errors import BadInput


class DiskMethod(StrEnum):
    """How volumes are saved (velero.md §3)."""

    SNAPSHOT = "snapshot"
    FILES = "files"
    DATA_MOVER = "data_mover"


_VOLUME_FIELDS: dict[DiskMethod, dict[str, bool]] = {
    DiskMethod.SNAPSHOT: {"snapshotVolumes": True},
    DiskMethod.FILES: {"snapshotVolumes": False, "defaultVolumesToFsBackup": True},
    DiskMethod.DATA_MOVER: {"snapshotVolumes": True, "snapshotMoveData": True},
}
_NO_DISKS = {"snapshotVolumes": False, "defaultVolumesToFsBackup": False}


@dataclass(frozen=True, kw_only=True)
class BackupRequest:
    """What a person asked for. `namespace` is Velero's; no `included_namespaces` means all of them.

    `include_cluster_resources`: None is Auto. `labels` must hold `names.REQUEST`, which makes a create repeatable.
    """

    name: str
    namespace: str
    storage_location: str
    ttl: timedelta
    included_namespaces: tuple[str, ...] = ()
    include_disks: bool = False
    disk_method: DiskMethod = DiskMethod.SNAPSHOT
    include_cluster_resources: bool | None = None
    excluded_resources: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BackupReport:
    """A Backup as the cluster has it. Absent text is empty, absent counts are 0, times are UTC."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created_at: datetime | None
    deleting_at: datetime | None
    request_id: str
    schedule_name: str
    storage_location: str
    included_namespaces: tuple[str, ...]
    include_cluster_resources: bool | None
    snapshot_volumes: bool | None
    volumes_to_files: bool | None
    move_data: bool | None
    ttl: timedelta | None
    phase: str
    items_done: int
    items_total: int
    errors: int
    warnings: int
    started_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None
    failure_reason: str
    validation_errors: tuple[str, ...]
    queue_position: int
    snapshots_attempted: int
    snapshots_completed: int
    csi_snapshots_attempted: int
    csi_snapshots_completed: int
    operations_attempted: int
    operations_completed: int
    operations_failed: int
    oddities: tuple[str, ...]

    @property
    def includes_disks(self) -> bool:
        """Whether volumes were asked for, whichever way."""
        return bool(self.snapshot_volumes or self.volumes_to_files or self.move_data)


def backup_manifest(request: BackupRequest) -> names.Json:
    """The Backup to post. Time-outs are left to Velero's defaults (CSI snapshot 10 min, item operation 4 h).

    Raises: BadInput (the Velero namespace or a pattern among the namespaces, no time to live).
    """
    return names.resource(
        "Backup",
        names.metadata(request.name, request.namespace, request.labels, request.annotations),
        backup_spec(request),
    )


def backup_spec(request: BackupRequest) -> names.Json:
    """The spec alone: it is a Schedule's template, too."""
    if request.ttl <= timedelta(0):
        raise BadInput("A backup must be kept for some time.", field="ttl", remedy="Choose a later expiry date.")
    namespaces = scope.included(request.included_namespaces, request.namespace)
    spec: names.Json = {
        "storageLocation": request.storage_location,
        "includedNamespaces": namespaces,
        "excludedNamespaces": [request.namespace],
        "ttl": names.go_duration(request.ttl),
        **(_VOLUME_FIELDS[request.disk_method] if request.include_disks else _NO_DISKS),
    }
    if request.excluded_resources:
        spec["excludedResources"] = list(request.excluded_resources)
    include = scope.cluster_resources(request.include_cluster_resources, namespaces)
    if include is not None:
        spec["includeClusterResources"] = include
    return spec


def read_backup(obj: object) -> BackupReport:
    """Never fails; see `oddities`. Field names: apis/velero/v1/backup_types.go:29-475."""
    fields = Fields(obj)
    who = identity(fields)
    return BackupReport(
        **who,
        schedule_name=who["labels"].get(names.SCHEDULE_NAME, ""),
        **_spec(fields),
        **_progress(fields),
        oddities=fields.oddities,
    )


def _spec(fields: Fields) -> dict[str, Any]:
    return {
        "storage_location": fields.text("spec.storageLocation"),
        "included_namespaces": fields.strings("spec.includedNamespaces"),
        "include_cluster_resources": fields.flag("spec.includeClusterResources"),
        "snapshot_volumes": fields.flag("spec.snapshotVolumes"),
        "volumes_to_files": fields.flag("spec.defaultVolumesToFsBackup"),
        "move_data": fields.flag("spec.snapshotMoveData"),
        "ttl": names.read_go_duration(fields.text("spec.ttl")),
    }


def _progress(fields: Fields) -> dict[str, Any]:
    return {
        "phase": fields.text("status.phase"),
        "items_done": fields.number("status.progress.itemsBackedUp"),
        "items_total": fields.number("status.progress.totalItems"),
        "errors": fields.number("status.errors"),
        "warnings": fields.number("status.warnings"),
        "started_at": fields.moment("status.startTimestamp"),
        "completed_at": fields.moment("status.completionTimestamp"),
        "expires_at": fields.moment("status.expiration"),
        "failure_reason": fields.text("status.failureReason"),
        "validation_errors": fields.strings("status.validationErrors"),
        "queue_position": fields.number("status.queuePosition"),
        "snapshots_attempted": fields.number("status.volumeSnapshotsAttempted"),
        "snapshots_completed": fields.number("status.volumeSnapshotsCompleted"),
        "csi_snapshots_attempted": fields.number("status.csiVolumeSnapshotsAttempted"),
        "csi_snapshots_completed": fields.number("status.csiVolumeSnapshotsCompleted"),
        "operations_attempted": fields.number("status.backupItemOperationsAttempted"),
        "operations_completed": fields.number("status.backupItemOperationsCompleted"),
        "operations_failed": fields.number("status.backupItemOperationsFailed"),
    }


def create_backup(conn: names.KubeApi, manifest: names.Json) -> BackupReport:
    """Post `manifest`; when it is there already with our request label, that counts as done.

    Raises: AlreadyThere (somebody else's Backup has the name), and whatever the connection raises.
    """
    return read_backup(create_once(conn, "backups", manifest))


def get_backup(conn: names.KubeApi, namespace: str, name: str) -> BackupReport:
    """Raises: Missing, and whatever the connection raises."""
    return read_backup(get_raw_backup(conn, namespace, name))


def get_raw_backup(conn: names.KubeApi, namespace: str, name: str) -> names.Json:
    """The object as it is, for adoption elsewhere and for display."""
    return conn.get(names.path("backups", namespace, name))


def delete_backup_object(conn: names.KubeApi, namespace: str, name: str, *, uid: str | None = None) -> None:
    """Remove the object alone: the data stays in the bucket. Gone already is gone."""
    remove(conn, names.path("backups", namespace, name), uid=uid)


def pod_volume_backups(conn: names.KubeApi, namespace: str, backup_name: str) -> Iterator[names.Json]:
    """The PodVolumeBackups of a Backup, raw (label as in pkg/podvolume/backupper.go:560)."""
    selector = f"{names.BACKUP_NAME}={names.label_value(backup_name)}"
    return conn.list(names.path("podvolumebackups", namespace), labelSelector=selector)
