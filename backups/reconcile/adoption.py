"""Bringing a Backup to the cluster it is restored into, without waiting for Velero's own sync (1 s instead of 52 s)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import structlog

from backups import storage
from backups.models import Backup, PlacedLocation, Restore
from backups.reconcile.location import target_in
from backups.reconcile.submission import our_labels
from backups.velero import names
from backups.velero.adoption import adopted_backup_manifest, adopted_pod_volume_backups
from backups.velero.backup import get_raw_backup, pod_volume_backups, read_backup
from backups.velero.location import adopted_snapshot_location_manifest, get_location, switch_sync_on
from backups.velero.objects import create_once
from backups.velero.reading import Fields
from backups.velero.secret import repository_password
from console.kube.connection import Connection
from console.lib import outbound
from console.lib.errors import AlreadyThere, ConsoleError, Missing, Refused, TryLater, Unreachable
from workspaces.connections import connected

log = structlog.get_logger(__name__)

Raw = dict[str, Any]


def bring(target: Connection, restore: Restore, placed: PlacedLocation) -> None:
    """Make the target know the backup, its volumes' records and what they need.

    1. The Backup object: from the row's stored copy, else the source cluster, else the bucket; when none can be had,
       Velero's own sync is switched on and waited for.
    2. Its PodVolumeBackups: without them a file-system restore "completes" empty.
    3. With them, an equal repository password, or nothing can be read.
    4. VolumeSnapshotLocations of the same names, where native snapshots were taken.

    Raises TryLater while it waits for Velero's sync, Refused for a blocker.
    """
    there = _adopted(target, restore, placed)
    if restore.restore_volumes:
        _bring_volumes(target, restore, placed, there)
        if read_backup(there).snapshots_attempted:
            _bring_snapshot_locations(target, restore, placed, there)


def _adopted(target: Connection, restore: Restore, placed: PlacedLocation) -> Raw:
    namespace, backup = restore.cluster.velero_namespace, restore.backup
    try:
        return _same(target, restore, placed, get_raw_backup(target, namespace, backup.object_name))
    except Missing:
        raw = _backup_object(backup, placed)
    if raw is None:
        switch_sync_on(target, namespace, placed.object_name)
        raise TryLater(
            f"The backup's description could be had neither from {backup.cluster} nor from the bucket.",
            remedy=f"Waiting for Velero in {restore.cluster} to find it; this takes about a minute.",
            retry_after=10,
        )
    ours = our_labels(backup)
    return create_once(
        target,
        "backups",
        adopted_backup_manifest(raw, namespace=namespace, storage_location=placed.object_name, labels=ours),
    )


def _same(target: Connection, restore: Restore, placed: PlacedLocation, there: Raw) -> Raw:
    """The object that has the name in the target, if it is this backup: Velero looks for backups by name alone, and
    names that were found in a bucket are not this console's. Raises Refused when it is another one."""
    fields = Fields(there)
    if fields.mapping("metadata.labels").get(names.REQUEST) == str(restore.backup_id):
        return there
    with contextlib.suppress(Missing):
        of = get_location(target, restore.cluster.velero_namespace, fields.text("spec.storageLocation"))
        location = placed.location
        if (of.bucket, of.prefix.strip("/"), of.config.get("s3Url", "")) == (
            location.bucket,
            placed.prefix,
            location.s3_url.rstrip("/"),
        ):
            return there
    raise Refused(
        f"{restore.cluster} has another backup named {restore.backup.object_name}, and Velero tells backups by name.",
        remedy="Restore into another cluster, or remove that Backup object from this one first.",
    )


def _backup_object(backup: Backup, placed: PlacedLocation) -> Raw | None:
    if backup.resource:
        return dict(backup.resource)
    try:
        with connected(backup.cluster) as source:
            return get_raw_backup(source, backup.cluster.velero_namespace, backup.object_name)
    except ConsoleError as error:
        log.info("the source cluster does not give the backup", reason=error.message)
    try:
        return storage.fetch_backup_object(target_in(placed), placed.prefix, backup.object_name, outbound.policy())
    except ConsoleError as error:
        log.info("the bucket does not give the backup", reason=error.message)
    return None


def _bring_volumes(target: Connection, restore: Restore, placed: PlacedLocation, there: Raw) -> None:
    records = adopted_pod_volume_backups(
        _volume_records(restore.backup, placed),
        backup_name=restore.backup.object_name,
        backup_uid=there["metadata"]["uid"],
        namespace=restore.cluster.velero_namespace,
        storage_location=placed.object_name,
    )
    for record in records:
        _create_unless_there(target, "podvolumebackups", record)
    if records:
        _same_repository_password(target, restore)


def _volume_records(backup: Backup, placed: PlacedLocation) -> Iterable[Raw]:
    """PodVolumeBackups, from the source cluster or the bucket. Raises what the bucket raises when neither answers."""
    try:
        with connected(backup.cluster) as source:
            return list(pod_volume_backups(source, backup.cluster.velero_namespace, backup.object_name))
    except ConsoleError as error:
        log.info("the source cluster does not give the volume records", reason=error.message)
    with _asked_elsewhere():
        return storage.fetch_pod_volume_backups(target_in(placed), placed.prefix, backup.object_name, outbound.policy())


@contextlib.contextmanager
def _asked_elsewhere() -> Iterator[None]:
    """Not the target is asked here: that there is no connection says nothing about the target."""
    try:
        yield
    except Unreachable as error:
        raise TryLater(error.message, remedy=error.remedy, retry_after=error.retry_after) from error


def _same_repository_password(target: Connection, restore: Restore) -> None:
    """Volume data is encrypted under the source's repository password; a target with another one cannot read it."""
    source = restore.backup.cluster
    try:
        with connected(source) as connection:
            theirs = repository_password(connection, source.velero_namespace)
    except ConsoleError:
        return  # unknown is not different; Velero says so in the result if it is
    if theirs != repository_password(target, restore.cluster.velero_namespace):
        raise Refused(
            f"The volumes of this backup are encrypted with the repository password of {source}, which "
            f"{restore.cluster} does not have.",
            remedy="Give both clusters the same Secret velero-repo-credentials, or restore without PVs.",
        )


def _bring_snapshot_locations(target: Connection, restore: Restore, placed: PlacedLocation, raw: Raw) -> None:
    source, wanted = restore.backup.cluster, Fields(raw).strings("spec.volumeSnapshotLocations")
    if restore.backup.found_in_id:
        _must_be_there(target, restore, wanted)
        return
    with _asked_elsewhere(), connected(source) as connection:
        for name in wanted:
            found = connection.get(names.path("volumesnapshotlocations", source.velero_namespace, name))
            ours = our_labels(restore.backup)
            manifest = adopted_snapshot_location_manifest(
                found, restore.cluster.velero_namespace, placed.object_name, ours
            )
            _create_unless_there(target, "volumesnapshotlocations", manifest)


def _must_be_there(target: Connection, restore: Restore, wanted: Iterable[str]) -> None:
    """Where a provider's snapshots lie is not in the bucket, and nobody can be asked. Raises Refused."""
    there = {
        Fields(found).text("metadata.name")
        for found in target.list(names.path("volumesnapshotlocations", restore.cluster.velero_namespace))
    }
    if missing := sorted(set(wanted) - there):
        raise Refused(
            f"The volumes of this backup are snapshots of a VolumeSnapshotLocation {', '.join(missing)}, which "
            f"{restore.cluster} does not have and the bucket does not describe.",
            remedy="Make one of this name in the cluster, or restore without PVs.",
        )


def _create_unless_there(target: Connection, plural: str, manifest: Raw) -> None:
    """For objects that are matched by name and that an earlier restore may have brought."""
    with contextlib.suppress(AlreadyThere):
        target.create(names.path(plural, manifest["metadata"]["namespace"]), manifest)
