"""A killed web process takes its children with it, so that the next one can listen at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import stack

pytestmark = [pytest.mark.processes, pytest.mark.timeout(90)]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_children_die_with_their_parent_and_let_go_of_the_port(tmp_path: Path) -> None:
    port = stack.free_port()
    program = str(Path(sys.executable).parent / "gunicorn")
    command = [program, "-c", "python:console.webserver", "--bind", f"127.0.0.1:{port}"]
    parent = subprocess.Popen(command, cwd=stack.CHECKOUT, env=stack.environment(tmp_path, port))
    try:
        until = time.monotonic() + 60
        while len(children := children_of(parent.pid)) < 2:
            assert time.monotonic() < until, "no children"
            time.sleep(0.05)
    finally:
        parent.kill()
        parent.wait()
    until = time.monotonic() + 2
    while any(Path(f"/proc/{child}").exists() and not is_dead(child) for child in children):
        assert time.monotonic() < until, "a child outlives its parent"
        time.sleep(0.02)
    with socket.socket() as next_one:
        next_one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        next_one.bind(("127.0.0.1", port))


def is_dead(pid: int) -> bool:
    """Ended, and only not yet buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_test_sees_children(tmp_path: Path) -> None:
    """Control: an ordinary child outlives its parent."""
    sleeper = "import time; time.sleep(30)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleeper!r}])"
    parent = subprocess.Popen([sys.executable, "-c", program])
    until = time.monotonic() + 20
    while not (children := children_of(parent.pid)):
        assert time.monotonic() < until
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    time.sleep(0.3)
    assert not is_dead(children[0])
    os.kill(children[0], 9)
