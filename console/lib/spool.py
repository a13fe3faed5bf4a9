"""A short-lived place on disk for what a worker read and a page shows: encrypted, append-only, gone after minutes.

A spool is a file of sealed lines, each a JSON list of texts or a piece of a file, bound to the spool's id and its
position. Only the holder of the key ring can read it, and only in order. Web and workers must see the same folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from console.lib.crypto import key_ring

LIVES = 300.0  # seconds
LOOK_EVERY = 0.005


def _path(id: uuid.UUID) -> Path:
    return Path(settings.VAR) / "spool" / id.hex


def append(id: uuid.UUID, position: int, texts: list[str]) -> None:
    """Add one block; `position` counts blocks from 0."""
    append_piece(id, position, json.dumps(texts).encode())


def append_piece(id: uuid.UUID, position: int, piece: bytes) -> None:
    """Add one block that is a piece of a file."""
    path = _path(id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sealed = key_ring().seal(piece, f"spool:{id}:{position}")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
        file.write(sealed + "\n")


def blocks(id: uuid.UUID) -> Iterator[list[str]]:
    """The blocks written so far; none when the spool has been swept or was never written."""
    yield from (list(json.loads(piece)) for piece in pieces(id))


def pieces(id: uuid.UUID) -> Iterator[bytes]:
    """The same as they lie there. A spool that is swept meanwhile is read to its end."""
    with contextlib.suppress(FileNotFoundError), _path(id).open() as file:
        for position, line in enumerate(file):
            if line.endswith("\n"):  # the last one may still be being written
                yield key_ring().open(line.rstrip("\n"), f"spool:{id}:{position}")


def wait_for_first(id: uuid.UUID, seconds: float) -> bool:
    """Whether something has been written within so many seconds; returns as soon as it has."""
    until, path = time.monotonic() + seconds, _path(id)
    while not (there := path.exists() and path.stat().st_size > 0) and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
    return there


def discard(id: uuid.UUID) -> None:
    """Begin anew."""
    _path(id).unlink(missing_ok=True)


def sweep() -> int:
    """Remove spools that have lived; how many were removed."""
    folder, removed = Path(settings.VAR) / "spool", 0
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > LIVES:
                path.unlink()
                removed += 1
    return removed
