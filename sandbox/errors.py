"""The one error of this package."""

from __future__ import annotations

from pathlib import Path


class SandboxError(Exception):
    """A step failed. `str(error)` is a sentence for a person; `log` is the file that tells more, if there is one."""

    def __init__(self, message: str, *, log: Path | None = None) -> None:
        super().__init__(f"{message} See {log}." if log else message)
        self.log = log
