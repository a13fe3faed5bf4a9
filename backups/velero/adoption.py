"""Making a finished backup known to another cluster ourselves, instead of waiting for Velero's sync (1 s against 52).

What is rewritten follows backup_sync_controller.go:165-275. Unlike the sync, objects are built from an allow-list, not
stripped of a deny-list: the source may be a bucket, and whoever can write there must not choose what we create.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backups.velero import names
from backups.velero.reading import Fields, shown
from console.lib.errors import Refused

ADOPTABLE = ("Completed", "PartiallyFailed")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def adopted_backup_manifest(
    raw_backup: names.Json, *, namespace: str, storage_location: str, labels: Mapping[str, str]
) -> names.Json:
    """The Backup to create on the target: same name, annotations, labels and status; no hooks, no owners, no uid.

    `storage_location` names the target's read-only location; `labels` are ours and win.

    Raises: Refused (the backup is not finished, or the object is not a Backup).
    """
    fields = Fields(raw_backup)
    name, phase = fields.text("metadata.name"), fields.text("status.phase")
    if not name or raw_backup.get("kind") not in ("Backup", None) or not isinstance(raw_backup.get("spec"), dict):
        raise Refused("What was found in place of the backup is not a Velero Backup.")
    if phase not in ADOPTABLE:
        raise Refused(
            f"The backup cannot be restored elsewhere: it is “{shown(phase or 'New')}”, not Completed.",
            remedy="Wait until it has finished, or choose another backup.",
        )
    spec = {key: value for key, value in raw_backup["spec"].items() if key != "hooks"}
    place = {names.STORAGE_LOCATION: storage_location}
    adopted = names.resource(
        "Backup",
        names.metadata(name, namespace, {**fields.mapping("metadata.labels"), **labels, **place}, _annotations(fields)),
        {**spec, "storageLocation": storage_location},
    )
    return {**adopted, "status": raw_backup["status"]}


def _annotations(fields: Fields) -> dict[str, str]:
    return {key: value for key, value in fields.mapping("metadata.annotations").items() if key != _LAST_APPLIED}


def adopted_pod_volume_backup_manifest(
    raw: names.Json, *, backup_name: str, backup_uid: str, namespace: str, storage_location: str
) -> names.Json:
    """A PodVolumeBackup of an adopted Backup, owned by it. `backup_uid` is the uid the target's API server gave.

    Raises: Refused (it is not finished: the target's node agent would take it for work to do).
    """
    fields = Fields(raw)
    if fields.text("status.phase") != "Completed" or not fields.text("metadata.name"):
        raise Refused("A volume of the backup was not saved completely, so it cannot be restored elsewhere.")
    labels = {
        **fields.mapping("metadata.labels"),
        names.BACKUP_NAME: names.label_value(backup_name),
        names.BACKUP_UID: backup_uid,
    }
    meta = names.metadata(fields.text("metadata.name"), namespace, labels, _annotations(fields))
    meta["ownerReferences"] = [
        {
            "apiVersion": names.API_VERSION,
            "kind": "Backup",
            "name": backup_name,
            "uid": backup_uid,
            "controller": True,
        }
    ]
    spec = {**(raw.get("spec") or {}), "backupStorageLocation": storage_location}
    return {**names.resource("PodVolumeBackup", meta, spec), "status": raw["status"]}


def adopted_pod_volume_backups(
    raws: Iterable[names.Json], *, backup_name: str, backup_uid: str, namespace: str, storage_location: str
) -> tuple[names.Json, ...]:
    """Manifests of those volumes that were saved; the others have nothing to restore."""
    saved = (raw for raw in raws if Fields(raw).text("status.phase") == "Completed")
    return tuple(
        adopted_pod_volume_backup_manifest(
            raw,
            backup_name=backup_name,
            backup_uid=backup_uid,
            namespace=namespace,
            storage_location=storage_location,
        )
        for raw in saved
    )
