"""A process that works says so; one that hangs, or has never begun, does not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from console.lib import heartbeat


@pytest.fixture
def alive() -> Path:
    """Where files of this test are."""
    return heartbeat.folder()


def grow_old(seconds: float) -> None:
    """As if nothing had been touched for so long."""
    then = time.time() - seconds
    for file in heartbeat.folder().iterdir():
        os.utime(file, (then, then))
    heartbeat._Heart.beaten -= seconds


def test_a_process_that_has_not_begun_leaves_no_sign(alive: Path) -> None:
    heartbeat.beat()
    assert not alive.exists()
    assert not heartbeat.is_alive(os.getpid())


def test_it_lives_for_as_long_as_it_beats() -> None:
    heartbeat.begin()
    assert heartbeat.is_alive(os.getpid())
    grow_old(heartbeat.STALE + 1)
    assert not heartbeat.is_alive(os.getpid())
    heartbeat.beat()
    assert heartbeat.is_alive(os.getpid())


def test_behind_an_init_process_any_process_here_counts() -> None:
    heartbeat.begin()
    assert heartbeat.is_alive(1)
    grow_old(heartbeat.STALE + 1)
    assert not heartbeat.is_alive(1)


def test_a_process_elsewhere_does_not_count(alive: Path) -> None:
    alive.mkdir()
    (alive / f"another-host-{os.getpid()}").touch()
    assert not heartbeat.is_alive(os.getpid())
    assert not heartbeat.is_alive(1)


def test_it_writes_once_a_second_at_most(alive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeat.begin()
    monkeypatch.setattr(Path, "touch", lambda *_, **__: pytest.fail("touched again"))
    heartbeat.beat()


def test_only_its_owner_can_look(alive: Path) -> None:
    heartbeat.begin()
    assert [path.stat().st_mode & 0o777 for path in (alive, *alive.iterdir())] == [0o700, 0o600]


def test_files_of_processes_that_were_killed_long_ago_go(alive: Path) -> None:
    alive.mkdir()
    (alive / "old-host-1").touch()
    (alive / "other-host-1").touch()
    os.utime(alive / "old-host-1", (0, 0))
    heartbeat.begin()
    assert not (alive / "old-host-1").exists()
    assert (alive / "other-host-1").exists()
