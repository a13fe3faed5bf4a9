"""Where Velero puts what, below a location's leaf prefix (pkg/persistence/object_store_layout.go:25-160).

Everything but `velero-backup.json` is gzip.
"""

from __future__ import annotations

PROBE = "drydock-probe"


def _key(prefix: str, *parts: str) -> str:
    return "/".join(part for part in (prefix.strip("/"), *parts) if part)


def folder(prefix: str) -> str:
    """A place as keys in it begin; empty for the root of the bucket."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def backups_folder(prefix: str) -> str:
    """Where all backups of a place lie; ends with a slash."""
    return _key(prefix, "backups") + "/"


def backup_folder(prefix: str, name: str) -> str:
    """Everything of one backup but its file-system data; ends with a slash."""
    return _key(prefix, "backups", name) + "/"


def restore_folder(prefix: str, name: str) -> str:
    """Everything of one restore; ends with a slash."""
    return _key(prefix, "restores", name) + "/"


def backup_metadata_key(prefix: str, name: str) -> str:
    """The Backup object, plain JSON."""
    return _key(prefix, "backups", name, "velero-backup.json")


def backup_log_key(prefix: str, name: str) -> str:
    """The log, text lines."""
    return _key(prefix, "backups", name, f"{name}-logs.gz")


def backup_contents_key(prefix: str, name: str) -> str:
    """The tarball of all objects."""
    return _key(prefix, "backups", name, f"{name}.tar.gz")


def backup_resource_list_key(prefix: str, name: str) -> str:
    """JSON: kind → names."""
    return _key(prefix, "backups", name, f"{name}-resource-list.json.gz")


def backup_results_key(prefix: str, name: str) -> str:
    """JSON: warnings and errors by namespace."""
    return _key(prefix, "backups", name, f"{name}-results.gz")


def backup_volumes_key(prefix: str, name: str) -> str:
    """JSON: what became of each volume."""
    return _key(prefix, "backups", name, f"{name}-volumeinfo.json.gz")


def pod_volume_backups_key(prefix: str, name: str) -> str:
    """JSON list of PodVolumeBackups."""
    return _key(prefix, "backups", name, f"{name}-podvolumebackups.json.gz")


def restore_log_key(prefix: str, name: str) -> str:
    """The log, text lines."""
    return _key(prefix, "restores", name, f"restore-{name}-logs.gz")


def restore_results_key(prefix: str, name: str) -> str:
    """JSON: warnings and errors by namespace."""
    return _key(prefix, "restores", name, f"restore-{name}-results.gz")


def restore_resource_list_key(prefix: str, name: str) -> str:
    """JSON: kind → names with what became of them."""
    return _key(prefix, "restores", name, f"restore-{name}-resource-list.json.gz")
