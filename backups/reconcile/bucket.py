"""Files of backups and restores in a bucket.

Where the console cannot sign in to the bucket or reach it, a cluster that has the backup or restore is asked for a
link to the same object (download.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from backups import storage
from backups.models import Backup, PlacedLocation, Restore
from backups.reconcile import download
from backups.reconcile.location import target_at, target_in
from backups.storage.link import open_linked
from backups.storage.store import Body
from backups.velero.download import DownloadKind
from console.lib import outbound
from console.lib.errors import Missing, SignInRefused, Unreachable


@dataclass(frozen=True)
class File:
    """One of the files that Velero writes: where it lies below a place, and by what word a cluster is asked for it."""

    key: Callable[[str, str], str]
    kind: DownloadKind


BACKUP_LOG = File(storage.backup_log_key, DownloadKind.BACKUP_LOG)
RESTORE_LOG = File(storage.restore_log_key, DownloadKind.RESTORE_LOG)
BACKUP_RESULTS = File(storage.backup_results_key, DownloadKind.BACKUP_RESULTS)
RESTORE_RESULTS = File(storage.restore_results_key, DownloadKind.RESTORE_RESULTS)
RESOURCE_LIST = File(storage.backup_resource_list_key, DownloadKind.BACKUP_RESOURCE_LIST)
CONTENTS = File(storage.backup_contents_key, DownloadKind.BACKUP_CONTENTS)


@contextmanager
def opened(wish: Backup | Restore, file: File) -> Iterator[Body]:
    """The file's bytes as they lie in the bucket. Raises: Missing, what storage raises, and what a cluster raises."""
    with ExitStack() as stack:
        yield _entered(stack, wish, file)


def _entered(stack: ExitStack, wish: Backup | Restore, file: File) -> Body:
    place, policy = place_of(wish), outbound.policy()
    key = file.key(place.prefix, wish.object_name)
    try:
        if place.target.is_checkable:
            return stack.enter_context(storage.open_object(place.target, key, policy))
    except (SignInRefused, Unreachable) as error:
        download.refuse_without_cluster(wish, error)
    return stack.enter_context(open_linked(download.link(wish, file.kind), place.target, key, policy))


def read_results_document(wish: Backup | Restore, *, max_bytes: int) -> Any:
    """Velero's own list of warnings and errors. Raises as `opened`."""
    with opened(wish, BACKUP_RESULTS if isinstance(wish, Backup) else RESTORE_RESULTS) as body:
        return storage.gzip_json(body, max_bytes)


@dataclass(frozen=True)
class Place:
    """Where in a bucket something lies: below `prefix`."""

    target: storage.StorageTarget
    prefix: str


def place_of(wish: Backup | Restore) -> Place:
    """Where the files of a backup or a restore lie: where it was found, or below the source cluster's prefix."""
    backup = wish.backup if isinstance(wish, Restore) else wish
    if backup.found_in:
        return Place(target_at(backup.location, backup.found_in.prefix), backup.found_in.prefix)
    found = PlacedLocation.objects.filter(location=backup.location, source=backup.cluster).first()
    if found is None:
        raise Missing("Nothing of this has reached the bucket.")
    return Place(target_in(found), found.prefix)
