"""Reading a log from the bucket into the spool, block by block, so that its first lines show at once.

Where the console cannot sign in to the bucket or reach it, a cluster that has the backup or restore is asked for a
link to the same object (download.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from backups import storage
from backups.models import Backup, CheckState, PlacedLocation, Reading, Restore
from backups.reconcile import download
from backups.reconcile.location import target_at, target_in
from backups.storage.link import open_linked_lines, read_linked_json
from backups.velero.download import DownloadKind
from console.lib import outbound, spool
from console.lib.errors import ConsoleError, Missing, SignInRefused, Unreachable
from workspaces.models import Overtaken

BLOCK = 500  # lines
FIRST_BLOCK = 50  # as much as a screen shows, and shown at once
LARGEST_LOG = 20 * 1024 * 1024


def read(reading: Reading) -> None:
    """Fill the spool; the row says how far it is, and at the end whether all of it is there."""
    spool.discard(reading.pk)
    try:
        for position, block in enumerate(_blocks(_lines(reading))):
            spool.append(reading.pk, position, block)
            reading.write(lines=reading.lines + len(block))
        reading.write(state=CheckState.COMPLETED)
    except Overtaken:
        return
    except Missing:
        reading.write(state=CheckState.FAILED, message="There is no log in the bucket: Velero did not get so far.")
    except ConsoleError as error:
        reading.write(state=CheckState.FAILED, message=error.sentence())


def _blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    size = FIRST_BLOCK
    while block := list(islice(lines, size)):
        yield block
        size = BLOCK


def _lines(reading: Reading) -> Iterator[str]:
    wish = reading.backup or reading.restore
    assert wish is not None  # a constraint of the table
    place = place_of(wish)
    key_of = storage.backup_log_key if reading.backup else storage.restore_log_key
    key = key_of(place.prefix, wish.object_name)
    policy, most = outbound.policy(), LARGEST_LOG
    try:
        if place.target.is_checkable:
            direct = storage.open_gzip_lines(place.target, key, policy, max_bytes=most)
            yield from islice(direct, 1)
            yield from direct
            return
    except (SignInRefused, Unreachable) as error:
        download.refuse_without_cluster(wish, error)
    kind = DownloadKind.BACKUP_LOG if reading.backup else DownloadKind.RESTORE_LOG
    yield from open_linked_lines(download.link(wish, kind), place.target, key, policy, max_bytes=most)


def read_results_document(wish: Backup | Restore, *, max_bytes: int) -> Any:
    """Velero's own list of warnings and errors. Raises as `open_gzip_lines`, and what a cluster raises."""
    place, policy = place_of(wish), outbound.policy()
    of_backup = isinstance(wish, Backup)
    key_of = storage.backup_results_key if of_backup else storage.restore_results_key
    key = key_of(place.prefix, wish.object_name)
    try:
        if place.target.is_checkable:
            return storage.read_gzip_json(place.target, key, policy, max_bytes=max_bytes)
    except (SignInRefused, Unreachable) as error:
        download.refuse_without_cluster(wish, error)
    url = download.link(wish, DownloadKind.BACKUP_RESULTS if of_backup else DownloadKind.RESTORE_RESULTS)
    return read_linked_json(url, place.target, key, policy, max_bytes=max_bytes)


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
