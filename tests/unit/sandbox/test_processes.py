"""Programs as processes, tried with the shell's own."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from sandbox.errors import SandboxError
from sandbox.guard import descendants
from sandbox.processes import Process, Program, run_to_end, until


def program(tmp_path: Path, script: str, patience: float = 5.0) -> Program:
    return Program("part", ["sh", "-c", script], tmp_path / "logs" / "part.log", tmp_path / "home", patience=patience)


def test_it_runs_with_little_of_our_environment_and_its_output_in_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody's own")
    asyncio.run(run_to_end("looking round", program(tmp_path, "env; pwd")))
    said = (tmp_path / "logs" / "part.log").read_text()
    assert "somebody's own" not in said
    assert f"HOME={tmp_path / 'home'}" in said and "TZ=UTC" in said
    assert said.endswith(f"{tmp_path / 'home'}\n")


def test_a_failing_step_names_its_log(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"^Installing failed\. See .*part\.log\.$"):
        asyncio.run(run_to_end("installing", program(tmp_path, "exit 1")))


@pytest.mark.slow
def test_a_step_that_never_ends_is_ended(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="Installing failed"):
        asyncio.run(run_to_end("installing", program(tmp_path, "sleep 60"), limit=0.1))
    assert not [pid for pid in descendants(os.getpid()) if "sleep" in Path(f"/proc/{pid}/comm").read_text()]


def test_what_cannot_be_started_is_a_sentence(tmp_path: Path) -> None:
    missing = Program("part", [str(tmp_path / "nothing")], tmp_path / "log", tmp_path)
    with pytest.raises(SandboxError, match="part could not be started: No such file"):
        Process(missing).start()


def test_stopping_ends_what_it_started_too(tmp_path: Path) -> None:
    process = Process(program(tmp_path, "sleep 60 & echo $!; wait"))
    process.start()
    child = _first_line(process.program.log)
    before = process.check(), process.pid is not None
    asyncio.run(process.stop())
    assert [before, (process.check(), process.pid is not None)] == [("running", True), ("stopped", False)]
    assert _is_gone(child)


@pytest.mark.slow
def test_what_ignores_the_wish_is_killed(tmp_path: Path) -> None:
    process = Process(program(tmp_path, "trap '' TERM; echo 1; while :; do sleep 0.01; done", patience=0.1))
    process.start()
    _first_line(process.program.log)
    asyncio.run(process.stop())
    assert process.status == "stopped"


def test_a_death_is_told_from_a_stop_and_takes_the_children_along(tmp_path: Path) -> None:
    process = Process(program(tmp_path, "sleep 60 & echo $!; kill -9 $$"))
    process.start()
    child = _first_line(process.program.log)
    while process.check() == "running":
        time.sleep(0.005)
    assert process.status == "died"
    assert _is_gone(child)


def test_waiting_ends_with_the_process_that_is_waited_for(tmp_path: Path) -> None:
    process = Process(program(tmp_path, "exit 1"))
    process.start()
    with pytest.raises(SandboxError, match=r"^part stopped while starting it\. See .*part\.log\.$"):
        asyncio.run(until("starting it", lambda: False, [process]))


def test_waiting_has_an_end(tmp_path: Path) -> None:
    process = Process(program(tmp_path, "sleep 60"))
    process.start()
    with pytest.raises(SandboxError, match="Starting it took more than 0 s"):
        asyncio.run(until("starting it", lambda: False, [process], limit=0))
    asyncio.run(process.stop(kill=True))


def _first_line(log: Path) -> int:
    for _ in range(1000):
        if log.exists() and (text := log.read_text()).endswith("\n"):
            return int(text)
        time.sleep(0.005)
    raise AssertionError("the script said nothing")


def _is_gone(pid: int) -> bool:
    """Ended; whoever is to collect it may not have done so yet."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.005)
    return False
