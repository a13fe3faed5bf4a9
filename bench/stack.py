"""A whole Drydock with its sandbox in a folder of its own: for demonstrations, tests and measurements."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

PASSWORD = re.compile(r"with the password (\S+)")
EMAIL = "admin@example.com"
CHECKOUT = Path(__file__).resolve().parent.parent
UP_WITHIN = 180.0  # seconds; about five on an idle machine


class NotUp(Exception):
    """The console did not come up; the text names the log to read."""


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(var: Path, port: int) -> dict[str, str]:
    """What the console and commands beside it need to work in `var`."""
    own = {
        "DRYDOCK_VAR": str(var),
        "PORT": str(port),
        "OUTBOUND_ALLOW_LOOPBACK": "1",
        "DJANGO_SETTINGS_MODULE": "console.settings",
        "STATIC_ROOT": str(var / "static"),
    }
    return {**os.environ, **own}


@contextlib.contextmanager
def console(var: Path, extra: Mapping[str, str] | None = None) -> Iterator[str]:
    """All processes of the console in `var`, as `make run SANDBOX=0` starts them; gives the URL, ends them after."""
    port = free_port()
    env = environment(var, port) | {"SANDBOX": "0"} | dict(extra or {})
    log = (var / "start.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "console.start"], cwd=CHECKOUT, env=env, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        wait_until_up(f"http://127.0.0.1:{port}", process, var)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)
        log.close()


def wait_until_up(url: str, process: subprocess.Popen[bytes], var: Path) -> None:
    """Until `/readyz` says so. Raises NotUp."""
    until = time.monotonic() + UP_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise NotUp(f"The console did not come up. Read {var / 'start.log'} and {var / 'log'}.")


def end(process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """SIGTERM, and SIGKILL for what does not heed it in time."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()


@contextlib.contextmanager
def sandbox(var: Path, *options: str) -> Iterator[None]:
    """The sandbox below `var`, taken down after. `options` of `sandbox up`, such as `--clouds`."""
    env = environment(var, 0)
    subprocess.run([sys.executable, "-m", "sandbox", "up", *options], cwd=CHECKOUT, env=env, check=True)
    try:
        yield
    finally:
        subprocess.run([sys.executable, "-m", "sandbox", "down"], cwd=CHECKOUT, env=env, check=True)


def password(var: Path) -> str:
    """The first tenant admin's, printed once, at the first start; kept beside a home that outlives the process."""
    kept, printed = var / "password", PASSWORD.search((var / "start.log").read_text())
    if printed:
        kept.write_text(printed.group(1))
    return kept.read_text()


def processes_of(var: Path, *words: str) -> dict[int, str]:
    """Command lines of the processes that work in `var`, by process id: those that hold all of `words`."""
    mark, found = f"DRYDOCK_VAR={var}".encode(), dict[int, str]()
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it ended, or is somebody else's
    return {pid: command for pid, command in found.items() if all(word in command for word in words)}


def kill(*pids: int) -> None:
    """SIGKILL, where they still are."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
