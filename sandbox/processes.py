"""The programs of a sandbox as processes: start, stop in order, notice the end of one that nobody stopped.

Everything here runs in the keeper's main thread: the kernel's "die with parent" follows the *thread* that forked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.files import private_dir
from sandbox.guard import start_child


@dataclass(frozen=True)
class Program:
    """What to run. No secrets in `argv`: anybody on the machine can read it. `patience`: seconds to stop by itself."""

    name: str
    argv: list[str]
    log: Path
    cwd: Path
    env: dict[str, str] = field(default_factory=dict)
    patience: float = 8.0


class Process:
    """One program and what became of it. It leads a process group, so that what it starts can be ended with it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.status = "stopped"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen and self.status == "running" else None

    def start(self) -> None:
        """Raises: SandboxError when the program cannot be started at all."""
        program = self.program
        private_dir(program.log.parent)
        environment = {"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC", "HOME": str(program.cwd)} | program.env
        try:
            with program.log.open("ab") as log:
                self._popen = start_child(
                    program.argv, cwd=private_dir(program.cwd), env=environment, stdout=log, stderr=log
                )
        except OSError as error:
            raise SandboxError(f"{program.name} could not be started: {error.strerror or error}.") from error
        self.status = "running"

    def check(self) -> str:
        """Its status now. If it has ended, whatever it had started is ended too."""
        if self.status == "running" and self._has_ended():
            self._collect()
            self.status = "died"
        return self.status

    async def stop(self, *, kill: bool = False) -> None:
        """End it and what it started: SIGTERM first, unless `kill`; SIGKILL when its patience is over."""
        if self.check() == "running" and self._popen:
            self.status = "stopping"  # so that nobody else takes its end for a death
            os.killpg(self._popen.pid, signal.SIGKILL if kill else signal.SIGTERM)
            deadline = time.monotonic() + self.program.patience
            while not self._has_ended() and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            self._collect()
        self.status = "stopped"

    async def finish(self, limit: float) -> int:
        """Wait for a program that ends by itself, at most `limit` seconds; its exit code."""
        deadline = time.monotonic() + limit
        while not self._has_ended() and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        return self._collect()

    def _has_ended(self) -> bool:
        """Without collecting it: until then its group's id cannot become somebody else's."""
        return not self._popen or os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _collect(self) -> int:
        assert self._popen
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        return self._popen.wait()


async def until(what: str, probe: Callable[[], Any], processes: list[Process], limit: float = 60.0) -> None:
    """Wait until `probe()` is true; exceptions that mean "not yet" are the probe's to swallow.

    Raises: SandboxError when one of `processes` ends meanwhile, or after `limit` seconds.
    """
    deadline = time.monotonic() + limit
    while not await asyncio.to_thread(probe):
        for process in processes:
            if process.check() != "running":
                raise SandboxError(f"{process.program.name} stopped while {what}.", log=process.program.log)
        if time.monotonic() > deadline:
            what = what[0].upper() + what[1:]
            raise SandboxError(f"{what} took more than {limit:.0f} s.", log=processes[-1].program.log)
        await asyncio.sleep(0.1)


async def run_to_end(what: str, program: Program, limit: float = 120.0) -> None:
    """Run a program that ends by itself.

    Raises: SandboxError when it fails or is not done after `limit` seconds.
    """
    process = Process(program)
    process.start()
    try:
        code = await process.finish(limit)
    except asyncio.CancelledError:
        await process.stop(kill=True)
        raise
    if code != 0:
        raise SandboxError(f"{what[0].upper()}{what[1:]} failed.", log=program.log)
