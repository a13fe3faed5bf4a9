"""The words Velero and the console share: API group, labels, paths, durations. `velero.io/v1` is said here alone.

Labels are cut as Velero cuts its own (pkg/label/label.go GetValidName), so that a selector made from a long name finds
what Velero labelled with it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Protocol

from console.kube import paths

GROUP = "velero.io"
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"
DEFAULT_NAMESPACE = "velero"

MANAGED_BY = "app.kubernetes.io/managed-by"
DRYDOCK = "drydock"
REQUEST = "drydock.backup/request"
CLUSTER = "drydock.backup/cluster"
PROJECT = "drydock.backup/project"
POLICY = "drydock.backup/policy"
LOCATION = "drydock.backup/location"
REQUESTED_BY = "drydock.backup/requested-by"  # annotations: what the object does not tell by itself
CLUSTER_RESOURCES = "drydock.backup/cluster-resources"
TIME_ZONE = "drydock.backup/time-zone"
FIRST_DAY = "drydock.backup/first-day"
BACKUP = "drydock.backup/backup"

EXCLUDE_FROM_BACKUP = "velero.io/exclude-from-backup"
STORAGE_LOCATION = "velero.io/storage-location"
SCHEDULE_NAME = "velero.io/schedule-name"
BACKUP_NAME = "velero.io/backup-name"
BACKUP_UID = "velero.io/backup-uid"

LONGEST_LABEL = 63
_GO_DURATION = re.compile(r"(?:(\d{1,7})h)?(?:(\d{1,9})m)?(?:(\d{1,11})s)?")

Json = dict[str, Any]


class KubeApi(Protocol):
    """What this package needs of `console.kube`'s connection. Every call raises only `console.lib.errors`."""

    def get(self, path: str, **params: Any) -> Json:
        """One object."""

    def list(self, path: str, *, limit: int = 500, **params: Any) -> Iterator[Json]:
        """Every object of a collection, page by page."""

    def create(self, path: str, body: Json) -> Json:
        """The created object as the API server stored it."""

    def merge_patch(self, path: str, body: Json) -> Json:
        """The object after an RFC 7386 merge patch."""

    def delete(self, path: str, *, uid: str | None = None) -> Any:
        """Start the deletion; with `uid` only of that very object."""


def backups_path(namespace: str) -> str:
    """For list-then-watch."""
    return paths.custom(GROUP, VERSION, "backups", namespace)


def restores_path(namespace: str) -> str:
    """For list-then-watch."""
    return paths.custom(GROUP, VERSION, "restores", namespace)


def locations_path(namespace: str) -> str:
    """BackupStorageLocations."""
    return paths.custom(GROUP, VERSION, "backupstoragelocations", namespace)


def schedules_path(namespace: str) -> str:
    """Schedules."""
    return paths.custom(GROUP, VERSION, "schedules", namespace)


def path(plural: str, namespace: str, name: str | None = None) -> str:
    """Any resource of Velero's group."""
    return paths.custom(GROUP, VERSION, plural, namespace, name)


def label_value(text: str) -> str:
    """`text`, or its first 57 characters and six of its SHA-256 when it is longer than a label may be."""
    if len(text) <= LONGEST_LABEL:
        return text
    return text[: LONGEST_LABEL - 6] + hashlib.sha256(text.encode()).hexdigest()[:6]


def our_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """`labels` with those that everything we create in a cluster carries, values cut to what a label may hold.

    `velero.io/exclude-from-backup` keeps our Secrets and locations out of every backup, Velero's own included.
    """
    cut = {key: label_value(value) for key, value in labels.items()}
    return {**cut, MANAGED_BY: DRYDOCK, EXCLUDE_FROM_BACKUP: "true"}


def resource(kind: str, metadata: Json, spec: Json) -> Json:
    """A custom resource of Velero's group."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def metadata(
    name: str, namespace: str, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None
) -> Json:
    """Object metadata with our labels; no empty `annotations`."""
    made: Json = {"name": name, "namespace": namespace, "labels": our_labels(labels)}
    if annotations:
        made["annotations"] = dict(annotations)
    return made


def go_duration(duration: timedelta) -> str:
    """As Go writes and reads it: `720h0m0s`. Whole seconds; Go has no days."""
    seconds = int(duration.total_seconds())
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s"


def read_go_duration(text: str) -> timedelta | None:
    """What `go_duration` wrote; None for anything else, nothing included."""
    found = _GO_DURATION.fullmatch(text)
    if not found or not any(found.groups()):
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)
