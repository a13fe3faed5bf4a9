"""Restores: the manifest from a request, the report from whatever the cluster holds, and the calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from backups.velero import names, scope
from backups.velero.objects import create_once, identity, remove
from backups.velero.reading import Fields
from console.lib.errors import BadInput, clip

# A restore must never clone a Velero: its schedules and locations would make a second writer on the source's prefix.
NEVER_RESTORED = (
    "schedules.velero.io",
    "backupstoragelocations.velero.io",
    "volumesnapshotlocations.velero.io",
    "serverstatusrequests.velero.io",
    "deletebackuprequests.velero.io",
    "downloadrequests.velero.io",
)
# Velero appends these by itself (restore_controller.go:66-96); said here so that what is sent is what holds.
NOT_RESTORABLE = (
    "nodes",
    "events",
    "events.events.k8s.io",
    "backups.velero.io",
    "restores.velero.io",
    "resticrepositories.velero.io",
    "backuprepositories.velero.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
)


@dataclass(frozen=True, kw_only=True)
class RestoreRequest:
    """What a person asked for. `namespace` is Velero's; no `included_namespaces` means all that the backup holds.

    `resource_modifier` names a ConfigMap in Velero's namespace (see `modifier.py`).
    """

    name: str
    namespace: str
    backup_name: str
    included_namespaces: tuple[str, ...] = ()
    namespace_mapping: Mapping[str, str] = field(default_factory=dict)
    include_cluster_resources: bool | None = None
    restore_pvs: bool | None = None
    preserve_node_ports: bool = False
    existing_resource_policy: Literal["none", "update"] = "none"
    excluded_resources: tuple[str, ...] = ()
    resource_modifier: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RestoreReport:
    """A Restore as the cluster has it. Absent text is empty, absent counts are 0, times are UTC."""

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
    included_namespaces: tuple[str, ...]
    namespace_mapping: Mapping[str, str]
    include_cluster_resources: bool | None
    restore_pvs: bool | None
    preserve_node_ports: bool | None
    existing_resource_policy: str
    phase: str
    items_done: int
    items_total: int
    errors: int
    warnings: int
    started_at: datetime | None
    completed_at: datetime | None
    failure_reason: str
    validation_errors: tuple[str, ...]
    operations_attempted: int
    operations_completed: int
    operations_failed: int
    oddities: tuple[str, ...]


def restore_manifest(request: RestoreRequest) -> names.Json:
    """The Restore to post; always by backup name, because a schedule's name could pick another cluster's backup.

    Raises: BadInput (the Velero namespace or a pattern among namespaces or mapping, a mapping of what is not restored).
    """
    namespaces = scope.included(request.included_namespaces, request.namespace)
    _check_mapping(request.namespace_mapping, namespaces, request.namespace)
    spec: names.Json = {
        "backupName": request.backup_name,
        "includedNamespaces": namespaces,
        "excludedNamespaces": [request.namespace],
        "excludedResources": _excluded_resources(request.excluded_resources),
        "existingResourcePolicy": request.existing_resource_policy,
        "preserveNodePorts": request.preserve_node_ports,
        **_optional(request, namespaces),
    }
    meta = names.metadata(request.name, request.namespace, request.labels, request.annotations)
    return names.resource("Restore", meta, spec)


def _optional(request: RestoreRequest, namespaces: list[str]) -> names.Json:
    spec: names.Json = {}
    include = scope.cluster_resources(request.include_cluster_resources, namespaces)
    if include is not None:
        spec["includeClusterResources"] = include
    if request.restore_pvs is not None:
        spec["restorePVs"] = request.restore_pvs
    if request.namespace_mapping:
        spec["namespaceMapping"] = dict(request.namespace_mapping)
    if request.resource_modifier:
        spec["resourceModifier"] = {"kind": "ConfigMap", "name": request.resource_modifier}
    return spec


def _excluded_resources(wanted: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys((*NOT_RESTORABLE, *NEVER_RESTORED, *wanted)))


def _check_mapping(mapping: Mapping[str, str], namespaces: list[str], velero_namespace: str) -> None:
    for source, target in mapping.items():
        scope.check_namespace(source, velero_namespace, field="namespace_mapping")
        scope.check_namespace(target, velero_namespace, field="namespace_mapping")
        if namespaces != [scope.EVERYTHING] and source not in namespaces:
            raise BadInput(
                f"The namespace “{clip(source, 80)}” is to be renamed but is not among those to restore.",
                field="namespace_mapping",
                remedy="Add it to the namespaces or remove the new name.",
            )


def read_restore(obj: object) -> RestoreReport:
    """Never fails; see `oddities`. Field names: apis/velero/v1/restore_types.go:30-405."""
    fields = Fields(obj)
    return RestoreReport(**identity(fields), **_spec(fields), **_progress(fields), oddities=fields.oddities)


def _spec(fields: Fields) -> dict[str, Any]:
    return {
        "backup_name": fields.text("spec.backupName"),
        "included_namespaces": fields.strings("spec.includedNamespaces"),
        "namespace_mapping": fields.mapping("spec.namespaceMapping"),
        "include_cluster_resources": fields.flag("spec.includeClusterResources"),
        "restore_pvs": fields.flag("spec.restorePVs"),
        "preserve_node_ports": fields.flag("spec.preserveNodePorts"),
        "existing_resource_policy": fields.text("spec.existingResourcePolicy"),
    }


def _progress(fields: Fields) -> dict[str, Any]:
    return {
        "phase": fields.text("status.phase"),
        "items_done": fields.number("status.progress.itemsRestored"),
        "items_total": fields.number("status.progress.totalItems"),
        "errors": fields.number("status.errors"),
        "warnings": fields.number("status.warnings"),
        "started_at": fields.moment("status.startTimestamp"),
        "completed_at": fields.moment("status.completionTimestamp"),
        "failure_reason": fields.text("status.failureReason"),
        "validation_errors": fields.strings("status.validationErrors"),
        "operations_attempted": fields.number("status.restoreItemOperationsAttempted"),
        "operations_completed": fields.number("status.restoreItemOperationsCompleted"),
        "operations_failed": fields.number("status.restoreItemOperationsFailed"),
    }


def create_restore(conn: names.KubeApi, manifest: names.Json) -> RestoreReport:
    """As `create_backup`. The location must be Available before: a Restore posted earlier is rejected for good."""
    return read_restore(create_once(conn, "restores", manifest))


def get_restore(conn: names.KubeApi, namespace: str, name: str) -> RestoreReport:
    """Raises: Missing, and whatever the connection raises."""
    return read_restore(conn.get(names.path("restores", namespace, name)))


def delete_restore(conn: names.KubeApi, namespace: str, name: str, *, uid: str | None = None) -> None:
    """Start the removal; Velero's finalizer deletes `restores/<name>/` from the bucket first (needs the location)."""
    remove(conn, names.path("restores", namespace, name), uid=uid)
