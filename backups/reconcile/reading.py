"""Reading a log from the bucket into the spool, block by block, so that its first lines show at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from backups import storage
from backups.models import Backup, CheckState, PlacedLocation, Reading, Restore
from backups.reconcile.location import target_in
from console.lib import outbound, spool
from console.lib.errors import ConsoleError, Missing
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
    placed = place_of(wish)
    key = storage.backup_log_key if reading.backup else storage.restore_log_key
    target = target_in(placed)
    return storage.open_gzip_lines(
        target, key(placed.prefix, wish.object_name), outbound.policy(), max_bytes=LARGEST_LOG
    )


def place_of(wish: Backup | Restore) -> PlacedLocation:
    """Where in the bucket the files of a backup or a restore lie: below the source cluster's prefix."""
    backup = wish.backup if isinstance(wish, Restore) else wish
    found = PlacedLocation.objects.filter(location=backup.location, source=backup.cluster).first()
    if found is None:
        raise Missing("Nothing of this has reached the bucket.")
    return found
