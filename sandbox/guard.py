"""No process outlives its sandbox.

Velero starts its plugins itself, and they stay when Velero is killed; a keeper killed by SIGKILL cleans nothing up. So:

1. The guard takes the home's lock, becomes the "subreaper" of everything below it (an orphan becomes the guard's child
   instead of init's), and forks the keeper.
2. SIGTERM and SIGINT are passed on to the keeper, which stops its programs in order. If that takes longer than
   STOP_LIMIT, the keeper is killed.
3. When the keeper has ended, for whatever reason, the guard ends every descendant that is left, and only then lets the
   lock go: a free lock means that nothing runs.
4. If the guard is killed, the keeper gets SIGTERM from the kernel (PR_SET_PDEATHSIG) and stops in order; if the keeper
   is killed, its programs get SIGKILL, because some of them take a SIGTERM for a wish and wait for each other.
5. If both are killed at once, plugins may stay. Every program carries MARK in its environment and passes it on, so that
   the next `up` or `down` finds them.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from sandbox.errors import SandboxError
from sandbox.files import private_dir
from sandbox.state import lock_file

MARK = "DRYDOCK_SANDBOX_HOME"
STOP_LIMIT = 30  # seconds the keeper has to stop everything in order
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)  # loaded before any fork: a forked child should do as little as possible


def start_child(argv: list[str], **options: Any) -> subprocess.Popen[Any]:
    """Popen in a session of its own, with no input; the child is killed when the *thread* that starts it ends."""
    parent = os.getpid()
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: _die_with_parent(parent, signal.SIGKILL),  # noqa: PLW1509 - takes no lock that another thread could hold
        **options,
    )


def _die_with_parent(parent: int, by: signal.Signals) -> None:
    """Called in a new child. `parent` is the process id of what started it."""
    _libc.prctl(PR_SET_PDEATHSIG, by, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)


def descendants(pid: int) -> list[int]:
    """Ids of all processes below `pid`, without those that have ended and only wait to be collected."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended while we looked
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    parents[int(entry.name)] = int(parent)
    found: list[int] = []
    frontier = {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier}
        found.extend(frontier)
    return found


def sweep(pid: int, *, patience: float = 4.0, collect: bool) -> None:
    """End every process below `pid`: SIGTERM, and SIGKILL for what is still there after `patience` seconds.

    `collect`: take the exit codes, too. Not where a Popen waits for one: it would read "gone" as success.
    """
    deadline = time.monotonic() + patience
    asked: set[int] = set()
    while alive := descendants(pid):
        late = time.monotonic() > deadline
        for child in alive:
            if late or child not in asked:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL if late else signal.SIGTERM)
                asked.add(child)
        if collect:
            _collect()
        time.sleep(0.05)
    if collect:
        _collect()


def end_strays(home: Path) -> None:
    """Kill what an earlier sandbox of this home left behind. Only with the home's lock held, or free."""
    mark = f"{MARK}={home}".encode()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it ended while we looked, or is not ours
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


def run_guarded(home: Path, keep: Callable[[], int], after: Callable[[], None]) -> int:
    """Run `keep` as a keeper of `home` and return its exit code; `after` runs when nothing of it is left.

    Raises: SandboxError when a sandbox of this home is running already.
    """
    os.umask(0o077)  # logs, keys and data of every program are their owner's alone
    with _locked(private_dir(home)):
        end_strays(home)
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        guard = os.getpid()
        keeper = os.fork()
        if keeper == 0:
            _die_with_parent(guard, signal.SIGTERM)
            os._exit(keep())
        _pass_signals_on(keeper)
        code = _wait_for(keeper)
        sweep(guard, patience=1, collect=True)  # what was worth asking has been asked
        after()
        return code


def _locked(home: Path) -> IO[str]:
    stream = lock_file(home).open("a+")
    for attempt in range(10):  # somebody asking `is_running` holds the lock for an instant
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if attempt == 9:
                raise SandboxError(f"A sandbox is running in {home} already. Stop it with `sandbox down`.") from None
            time.sleep(0.05)
    stream.truncate(0)
    stream.write(str(os.getpid()))
    stream.flush()
    return stream


def _pass_signals_on(keeper: int) -> None:
    def forward(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGTERM)
        if not signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, STOP_LIMIT)

    def give_up(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper, signal.SIGKILL)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    signal.signal(signal.SIGALRM, give_up)


def _wait_for(keeper: int) -> int:
    """Collect children until the keeper has ended; its exit code, or minus the signal that killed it."""
    while True:
        pid, status = os.wait()
        if pid == keeper:
            signal.setitimer(signal.ITIMER_REAL, 0)
            return os.waitstatus_to_exitcode(status)


def _collect() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
