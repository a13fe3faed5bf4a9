"""DeleteBackupRequests: the only way by which Velero removes a backup's data with its object.

Success leaves no trace: request and Backup vanish together. Failure stays as `Processed` with errors for 24 h, and the
Backup may stay `Deleting`; a new request removes older ones and tries again (backup_deletion_controller.go:162-166).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from backups.velero import names
from backups.velero.objects import create_once, identity
from backups.velero.reading import Fields

PROCESSED = "Processed"


@dataclass(frozen=True, kw_only=True)
class DeletionReport:
    """A DeleteBackupRequest as the cluster has it."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created_at: datetime | None
    deleting_at: datetime | None
    request_id: str
    backup_name: str
    phase: str
    errors: tuple[str, ...]
    oddities: tuple[str, ...]

    @property
    def has_failed(self) -> bool:
        """Velero gave up: its reasons are in `errors`."""
        return self.phase == PROCESSED and bool(self.errors)


def deletion_manifest(
    name: str, namespace: str, *, backup_name: str, backup_uid: str, labels: Mapping[str, str]
) -> names.Json:
    """As the client makes it (backup/delete_helpers.go:29-43), but under a name of ours, so that it can be repeated."""
    theirs = {names.BACKUP_NAME: names.label_value(backup_name), names.BACKUP_UID: backup_uid}
    meta = names.metadata(name, namespace, {**labels, **theirs})
    return names.resource("DeleteBackupRequest", meta, {"backupName": backup_name})


def create_deletion(conn: names.KubeApi, manifest: names.Json) -> DeletionReport:
    """As `create_backup`."""
    return read_deletion(create_once(conn, "deletebackuprequests", manifest))


def deletions_of(conn: names.KubeApi, namespace: str, backup_name: str) -> Iterator[DeletionReport]:
    """Every request for that backup which is still there."""
    selector = f"{names.BACKUP_NAME}={names.label_value(backup_name)}"
    found = conn.list(names.path("deletebackuprequests", namespace), labelSelector=selector)
    return (read_deletion(obj) for obj in found)


def read_deletion(obj: object) -> DeletionReport:
    """Never fails; see `oddities`. Field names: apis/velero/v1/delete_backup_request_types.go:23-50."""
    fields = Fields(obj)
    return DeletionReport(
        **identity(fields),
        backup_name=fields.text("spec.backupName"),
        phase=fields.text("status.phase"),
        errors=fields.strings("status.errors"),
        oddities=fields.oddities,
    )
