"""Reading a file of a bucket into the spool, block by block, so that what comes first shows at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from backups import storage
from backups.models import CheckState, Reading, ReadingKind
from backups.reconcile import contents
from backups.reconcile.bucket import BACKUP_LOG, RESTORE_LOG, opened
from console.lib import spool
from console.lib.errors import ConsoleError, Missing
from console.lib.queue import QueueName
from workspaces.models import Overtaken

BLOCK = 500  # lines
FIRST_BLOCK = 50  # as much as a screen shows, and shown at once
LARGEST_LOG = 20 * 1024 * 1024
READ_AT_ONCE = 64 * 1024 * 1024  # bytes of a backup's folder; one that is larger takes longer than somebody waits


def queue_of(reading: Reading) -> QueueName:
    """What goes through a whole tarball is in nobody's way."""
    small = reading.kind == ReadingKind.OBJECT and reading.backup and (reading.backup.size or 0) < READ_AT_ONCE
    return "interactive" if small or reading.kind in (ReadingKind.LOG, ReadingKind.CONTENTS) else "slow"


def read(reading: Reading) -> None:
    """Fill the spool; the row says how far it is, and at the end whether all of it is there."""
    spool.discard(reading.pk)
    try:
        _read(reading)
        reading.write(state=CheckState.COMPLETED)
    except Overtaken:
        return
    except Missing:
        reading.write(state=CheckState.FAILED, message=_missing(reading))
    except ConsoleError as error:
        reading.write(state=CheckState.FAILED, message=error.sentence())


def _read(reading: Reading) -> None:
    if reading.kind == ReadingKind.LOG:
        _read_log(reading)
    elif reading.kind == ReadingKind.CONTENTS:
        contents.read_contents(reading)
    elif reading.kind == ReadingKind.OBJECT:
        contents.read_object(reading)
    else:
        contents.read_archive(reading)


def _missing(reading: Reading) -> str:
    what = "There is no log" if reading.kind == ReadingKind.LOG else "There are no contents of this backup"
    return f"{what} in the bucket: Velero did not get so far."


def _read_log(reading: Reading) -> None:
    wish = reading.backup or reading.restore
    assert wish is not None  # a constraint of the table
    with opened(wish, BACKUP_LOG if reading.backup else RESTORE_LOG) as body:
        for position, block in enumerate(_blocks(storage.gzip_lines(body, LARGEST_LOG))):
            spool.append(reading.pk, position, block)
            reading.write(lines=reading.lines + len(block))


def _blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    size = FIRST_BLOCK
    while block := list(islice(lines, size)):
        yield block
        size = BLOCK
