"""A child forked ahead: does one thing, and is never left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from console.lib.spare import Spare


def writes_to(path: Path) -> Callable[[str], None]:
    """Work that leaves what it was told, and a good exit code."""

    def carry_out(message: str) -> None:
        path.write_text(message)
        os._exit(0)

    return carry_out


def broken() -> None:
    raise ConnectionError("away")


@pytest.mark.parametrize("ready", [lambda: None, broken])
def test_it_carries_out_one_message(tmp_path: Path, ready: Callable[[], None]) -> None:
    spare = Spare(writes_to(tmp_path / "told"), ready=ready)
    assert spare.begin("a job")
    assert os.waitpid(spare.pid, 0)[1] == 0
    assert (tmp_path / "told").read_text() == "a job"


def test_one_that_was_killed_says_so(tmp_path: Path) -> None:
    spare = Spare(writes_to(tmp_path / "told"), ready=lambda: None)
    os.kill(spare.pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while Path(f"/proc/{spare.pid}/stat").read_text().split()[2] != "Z" and time.monotonic() < until:
        time.sleep(0.01)
    assert not spare.begin("a job")
    assert not (tmp_path / "told").exists()


def test_one_that_is_not_needed_does_nothing(tmp_path: Path) -> None:
    spare = Spare(writes_to(tmp_path / "told"), ready=lambda: None)
    spare.dismiss()
    assert not Path(f"/proc/{spare.pid}").exists()
    assert not (tmp_path / "told").exists()


def test_it_goes_with_its_parent() -> None:
    """Killed, not ended: nobody could tell the child."""
    program = "import time; from console.lib.spare import Spare\n"
    program += "print(Spare(print, ready=lambda: None).pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = Path(f"/proc/{parent.stdout.readline().strip()}")
        assert child.exists()
        parent.kill()
    until = time.monotonic() + 5
    while child.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not child.exists()
