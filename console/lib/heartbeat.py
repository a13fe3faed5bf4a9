"""A sign of life of processes that nobody can ask anything: a file each of them touches in every round of its work.

The health check (`console.health`) looks how old it is. Knows nothing of Django, so that the check is quick.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

EVERY = 1.0  # seconds between two touches at least
STALE = 90.0  # seconds; a worker that watches over a job touches its file every 30
FORGOTTEN = 24 * 3600.0  # seconds until the file of a process that was killed is removed
_VAR = Path(__file__).resolve().parent.parent.parent / "var"


class _Heart:
    """This process's file, once it has begun to beat."""

    file: Path | None = None
    beaten = 0.0


def folder() -> Path:
    """Where the files are, one for each process: its host and its id."""
    return Path(os.environ.get("DRYDOCK_VAR") or _VAR) / "alive"


def begin() -> None:
    """From here on this process beats."""
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in folder().iterdir():
        if age(file) > FORGOTTEN:
            file.unlink(missing_ok=True)
    _Heart.file = folder() / f"{socket.gethostname()}-{os.getpid()}"
    beat()


def beat() -> None:
    """Say that work goes on; nothing in a process that has not begun to beat."""
    now = time.monotonic()
    if _Heart.file and now - _Heart.beaten >= EVERY:
        _Heart.beaten = now
        _Heart.file.touch(mode=0o600)


def is_alive(pid: int) -> bool:
    """Whether the process works. Where a container's own init process is `pid`: whether any here does."""
    mine = folder() / f"{socket.gethostname()}-{pid}"
    files = [mine] if mine.exists() else folder().glob(f"{socket.gethostname()}-*")
    return any(age(file) <= STALE for file in files)


def age(file: Path) -> float:
    """Seconds since it was touched; infinite when it is gone."""
    try:
        return time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
