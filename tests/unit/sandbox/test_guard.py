"""No process outlives its sandbox, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.guard import MARK, descendants, end_strays
from sandbox.state import CHECKOUT, is_running

# A keeper with one program that leads its own session, ignores SIGTERM and has a child, as Velero has plugins.
SCRIPT = """
import sys, time
from pathlib import Path
from sandbox.guard import run_guarded, start_child
home = Path(sys.argv[1])
def keep():
    start_child(["sh", "-c", "trap '' TERM; sleep 300 & echo $! > child; wait; sleep 300"], cwd=home,
                env={"PATH": "/usr/bin:/bin", "DRYDOCK_SANDBOX_HOME": str(home)})
    (home / "keeper").write_text(str(__import__("os").getpid()))
    time.sleep(300)
sys.exit(run_guarded(home, keep, lambda: (home / "after").touch()) != 0)
"""


@pytest.fixture
def guard(tmp_path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=CHECKOUT, start_new_session=True)
    _eventually(lambda: (tmp_path / "child").exists() and bool((tmp_path / "child").read_text().strip()))
    _eventually(lambda: (tmp_path / "keeper").exists() and bool((tmp_path / "keeper").read_text()))
    return process


@pytest.mark.slow
def test_a_killed_keeper_leaves_nothing(guard: subprocess.Popen[bytes], tmp_path: Path) -> None:
    started = descendants(guard.pid)
    assert len(started) >= 3 and is_running(tmp_path)
    os.kill(int((tmp_path / "keeper").read_text()), signal.SIGKILL)
    assert guard.wait(10) == 1
    assert not is_running(tmp_path)
    assert (tmp_path / "after").exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)


@pytest.mark.slow
def test_a_killed_guard_takes_the_keeper_along(guard: subprocess.Popen[bytes], tmp_path: Path) -> None:
    keeper = (tmp_path / "keeper").read_text()
    guard.kill()
    guard.wait(10)
    _eventually(lambda: not Path(f"/proc/{keeper}").exists())
    end_strays(tmp_path)  # what `down` does: the program's child has lost everybody
    child = (tmp_path / "child").read_text().strip()
    _eventually(lambda: not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text())
    assert not is_running(tmp_path)


@pytest.mark.slow
def test_a_second_guard_of_a_home_is_refused(guard: subprocess.Popen[bytes], tmp_path: Path) -> None:
    second = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    refused = subprocess.run(second, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert "is running in" in refused.stderr
    os.kill(int((tmp_path / "keeper").read_text()), signal.SIGKILL)
    guard.wait(10)


def test_strays_of_another_home_are_left_alone(tmp_path: Path) -> None:
    mine = subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"], MARK: str(tmp_path)})
    other = subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"], MARK: f"{tmp_path}2"})
    try:
        _eventually(lambda: b"sleep" in Path(f"/proc/{mine.pid}/cmdline").read_bytes())
        end_strays(tmp_path)
        assert mine.wait(5) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def _eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
