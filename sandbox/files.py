"""Files that hold secrets or state: for their owner only, and never half written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_private(path: Path, content: str | bytes) -> None:
    """Replace `path` in one step by a file that only its owner can read."""
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(data)
    draft.replace(path)


def keep_or_make(path: Path, make: Callable[[], str | bytes]) -> Path:
    """`path`, filled by `make()` unless an earlier run has done so: secrets stay the same for the life of a home."""
    if not path.exists():
        write_private(path, make())
    return path


def private_dir(path: Path) -> Path:
    """`path` as a directory that only its owner can enter, made if need be."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path
