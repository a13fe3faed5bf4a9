"""What a backup holds, read from the bucket into the spool: the list of its objects, one of them, or all as a file.

Blocks of a spool: of a list, texts that are JSON `[kind, namespace, name]`; of an object, lines of YAML; of a file,
pieces of it. Values of Secrets reach no spool unless the reading says `revealed`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

from django.conf import settings
from django.utils import timezone

from backups.models import Reading
from backups.reconcile.bucket import CONTENTS, RESOURCE_LIST, File, opened
from backups.storage import Item, archived_items, find_object, listed_items
from backups.storage.store import Body
from backups.velero import masking
from console.lib import spool
from console.lib.errors import Missing, Refused
from console.lib.text import storable

T = TypeVar("T")
BLOCK = 1_000  # objects, lines
FIRST_BLOCK = 100
MOST_OBJECTS = 100_000
LONGEST = 253  # characters of a name
MOST_NODES = 50_000  # a YAML text is made in memory, at about a KiB each
LARGEST_ARCHIVE = 4 * 1024 * 1024 * 1024
PIECE = 256 * 1024
HOLD_EVERY = 5.0  # seconds


def read_contents(reading: Reading) -> None:
    """From Velero's own list, which is small; from the names in the tarball where there is none."""
    with suppress(Missing), _body(reading, RESOURCE_LIST) as body:
        _list(reading, listed_items(body))
        return
    with _body(reading, CONTENTS) as body:  # not while the other error is handled: what goes wrong here is told alone
        _list(reading, archived_items(body))


def _list(reading: Reading, items: Iterator[Item]) -> None:
    for position, block in enumerate(_blocks(islice(items, MOST_OBJECTS))):
        spool.append(reading.pk, position, [json.dumps([storable(part)[:LONGEST] for part in item]) for item in block])
        reading.write(lines=reading.lines + len(block))
    if next(items, None):
        reading.write(message=f"There are more; the first {MOST_OBJECTS:,} objects are listed.")


def read_object(reading: Reading) -> None:
    """As YAML; `subject` says in the end whether it is a Secret. Raises Refused, and as `opened`."""
    item = Item(*(reading.subject[name] for name in Item._fields))
    with _body(reading, CONTENTS) as body:
        found = find_object(body, item)
    if found is None:
        raise Refused("This object is not in the backup.", remedy="Open it from the list of what is.")
    secret = masking.is_secret(found, item.kind)
    reading.write(subject=reading.subject | {"secret": secret})
    text = _yaml(masking.without_values(found) if secret and not reading.revealed else found)
    for position, lines in enumerate(_blocks(text.splitlines())):
        spool.append(reading.pk, position, lines)
        reading.write(lines=reading.lines + len(lines))


def _yaml(found: dict[str, Any]) -> str:
    try:
        if masking.nodes_of(found) <= MOST_NODES:
            return masking.as_yaml(found)
    except RecursionError:
        pass
    raise Refused("This object is too large to be shown here.", remedy="Download all contents to see it.")


def read_archive(reading: Reading) -> None:
    """The tarball as it lies in the bucket, packed. Raises Refused, and as `opened`."""
    with _body(reading, CONTENTS) as body:
        if (body.size or 0) > LARGEST_ARCHIVE:
            raise _too_large()
        for position, piece in enumerate(iter(lambda: body.read(PIECE), b"")):
            if reading.size + len(piece) > LARGEST_ARCHIVE:
                raise _too_large()
            spool.append_piece(reading.pk, position, piece)
            reading.write(size=reading.size + len(piece))


def _too_large() -> Refused:
    return Refused(
        f"The tarball is larger than {LARGEST_ARCHIVE >> 30} GiB, which is more than goes through the console.",
        remedy="Download it with Velero's client: velero backup download.",
    )


@contextmanager
def _body(reading: Reading, file: File) -> Iterator[_Held]:
    assert reading.backup is not None  # restores have no contents
    with opened(reading.backup, file) as body:
        yield _Held(body, reading, body.size, time.monotonic())


@dataclass
class _Held:
    """A body that keeps the row for another lease while it is read."""

    body: Body
    reading: Reading
    size: int | None
    since: float

    def read(self, amount: int) -> bytes:
        """Raises Overtaken, too."""
        if time.monotonic() - self.since > HOLD_EVERY:
            self.since = time.monotonic()
            self.reading.write(due_at=timezone.now() + timedelta(seconds=settings.LEASE_SECONDS))
        return self.body.read(amount)

    def close(self) -> None:
        """Left to whoever opened it."""


def _blocks(items: Iterable[T]) -> Iterator[list[T]]:
    rest, size = iter(items), FIRST_BLOCK
    while block := list(islice(rest, size)):
        yield block
        size = BLOCK
