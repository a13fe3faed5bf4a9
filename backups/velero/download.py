"""DownloadRequests: Velero signs a link to one object in the bucket, good for ten minutes, for whoever has no keys.

There is no error phase: of what Velero cannot give, nothing but an expiration is ever seen (velero.md §1), so whoever
asks needs a time limit of his own, and removes the request, whose status *is* the link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from backups.velero import names
from backups.velero.objects import create_once, remove
from backups.velero.reading import Fields

PLURAL = "downloadrequests"
PROCESSED = "Processed"


class DownloadKind(StrEnum):
    """What can be asked for (apis/velero/v1/download_request_types.go:33)."""

    BACKUP_LOG = "BackupLog"
    BACKUP_CONTENTS = "BackupContents"
    BACKUP_RESOURCE_LIST = "BackupResourceList"
    BACKUP_RESULTS = "BackupResults"
    RESTORE_LOG = "RestoreLog"
    RESTORE_RESULTS = "RestoreResults"


@dataclass(frozen=True, kw_only=True)
class DownloadReport:
    """A DownloadRequest as the cluster has it. `url` lets anybody read the object, so it is in no `repr`."""

    phase: str
    url: str = field(repr=False)

    @property
    def is_ready(self) -> bool:
        """Whether there is a link."""
        return self.phase == PROCESSED and bool(self.url)


def download_manifest(
    name: str, namespace: str, *, kind: DownloadKind, of: str, labels: Mapping[str, str]
) -> names.Json:
    """Ask for the `kind` of file of the backup or restore `of`."""
    meta = names.metadata(name, namespace, labels)
    return names.resource("DownloadRequest", meta, {"target": {"kind": kind.value, "name": of}})


def create_download(conn: names.KubeApi, manifest: names.Json) -> DownloadReport:
    """Raises: AlreadyThere (somebody else's has the name), and whatever the connection raises."""
    return read_download(create_once(conn, PLURAL, manifest))


def get_download(conn: names.KubeApi, namespace: str, name: str) -> DownloadReport:
    """Raises: Missing, and whatever the connection raises."""
    return read_download(conn.get(names.path(PLURAL, namespace, name)))


def delete_download(conn: names.KubeApi, namespace: str, name: str) -> None:
    """Gone already is gone."""
    remove(conn, names.path(PLURAL, namespace, name))


def read_download(obj: object) -> DownloadReport:
    """Never fails."""
    fields = Fields(obj)
    return DownloadReport(phase=fields.text("status.phase"), url=fields.text("status.downloadURL"))
