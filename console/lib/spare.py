"""A child process forked ahead of its work, so that nobody waits for the fork."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

LONGEST = 4096  # bytes; what a pipe takes in one piece


class Spare:
    """Waits for one message, carries it out, and is gone; gone, too, when its parent is.

    Must be made where the process has no other threads: a child has none of them, but all of their locks.
    """

    def __init__(self, carry_out: Callable[[str], None], *, ready: Callable[[], object]) -> None:
        """`ready` is done at once, in the child; what it raises is nobody's trouble."""
        hears, self._tell = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self._tell)
            _wait(hears, carry_out, ready)
        os.close(hears)

    def begin(self, message: str) -> bool:
        """Whether it is there to do it. A message is at most `LONGEST` bytes, and not empty."""
        try:
            return bool(os.write(self._tell, message.encode()))
        except BrokenPipeError:  # somebody has killed it
            os.waitpid(self.pid, 0)
            return False
        finally:
            os.close(self._tell)

    def dismiss(self) -> None:
        """It is not needed any more; returns when it is gone."""
        os.close(self._tell)
        os.waitpid(self.pid, 0)


def _wait(hears: int, carry_out: Callable[[str], None], ready: Callable[[], object]) -> None:
    """The life of the child, which never returns into what its parent was doing."""
    try:
        os.setpgid(0, 0)  # a Ctrl+C at the terminal is the parent's to answer
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with contextlib.suppress(Exception):
            ready()
        if message := os.read(hears, LONGEST).decode():
            carry_out(message)
    finally:
        os._exit(1)  # who carries something out ends by itself
