"""The `velero` command that would ask for the same: for people who want to see, repeat or script it."""

from __future__ import annotations

import shlex
from typing import Any

from backups.velero import names

_FLAGS = {
    "storageLocation": "--storage-location",
    "ttl": "--ttl",
    "includedNamespaces": "--include-namespaces",
    "excludedNamespaces": "--exclude-namespaces",
    "includedResources": "--include-resources",
    "excludedResources": "--exclude-resources",
    "includeClusterResources": "--include-cluster-resources",
    "snapshotVolumes": "--snapshot-volumes",
    "snapshotMoveData": "--snapshot-move-data",
    "defaultVolumesToFsBackup": "--default-volumes-to-fs-backup",
    "backupName": "--from-backup",
    "namespaceMapping": "--namespace-mappings",
    "restorePVs": "--restore-volumes",
    "preserveNodePorts": "--preserve-nodeports",
    "existingResourcePolicy": "--existing-resource-policy",
}


def command(manifest: names.Json) -> str:
    """For a Backup's or a Restore's manifest; one flag a line, quoted for a shell."""
    meta, spec = manifest["metadata"], manifest["spec"]
    words = [
        "velero",
        manifest["kind"].lower(),
        "create",
        shlex.quote(meta["name"]),
        f"--namespace={meta['namespace']}",
    ]
    flags = [f"{_FLAGS[key]}={shlex.quote(_value(value))}" for key, value in spec.items() if _says(key, value)]
    return " \\\n  ".join([" ".join(words), *flags])


def _says(key: str, value: Any) -> bool:
    return key in _FLAGS and value not in (None, "", [], {})


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}:{item}" for key, item in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
