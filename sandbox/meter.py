"""Progress on a terminal: a bar that redraws itself; elsewhere, a line now and then."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

from sandbox.state import Progress

QUIET = 10.0  # seconds between two lines about the same step where there is no terminal
WIDTH = 24


class Meter:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live = out.isatty()
        self._step, self._shown_at = "", 0.0

    def show(self, progress: Progress) -> None:
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r{line(progress)[:width]}\x1b[K")
            return
        step = progress.what.rstrip("0123456789,/ ")  # "building Go tools 1,240/3,492" and 1,241 are one step
        if step != self._step or time.monotonic() - self._shown_at >= QUIET:
            self._step, self._shown_at = step, time.monotonic()
            self._write(f"{progress.what}\n")

    def finish(self) -> None:
        """Leave the bar's line clean for what is printed next."""
        if self._live:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def line(progress: Progress) -> str:
    """`[######------------------]  25 % building Go tools 873/3,492`; no bar while the total is unknown."""
    if progress.total <= 0:
        return f"{progress.what} …"
    share = min(1.0, progress.done / progress.total)
    filled = int(share * WIDTH)
    return f"[{'#' * filled}{'-' * (WIDTH - filled)}] {share:4.0%} {progress.what}"
