"""The control of R1 and R7: jobs sent once, a worker that listens to two queues, and nobody who looks again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis
import rq

QUEUES = ("plain-first", "plain-second")
QUIET_FOR = 5.0


def mark(path: str) -> None:
    """The job: takes a moment, leaves a mark."""
    time.sleep(0.05)
    Path(path).touch()


def lost(valkey: Path, seed: int, *, jobs: int, kills: int) -> int:
    """How many of `jobs` were never done when worker and child were killed `kills` times, each while it worked."""
    choose = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, redis.Redis(unix_socket_path=str(valkey)) as connection:
        queues = [rq.Queue(name, connection=connection) for name in QUEUES]
        for number in range(jobs):
            choose.choice(queues).enqueue(mark, str(Path(folder, str(number))))
        for _ in range(kills):
            _work(valkey, Path(folder), choose.uniform(0, 0.2))
        with _worker(valkey) as last:
            time.sleep(QUIET_FOR)
            last.send_signal(signal.SIGTERM)
        done = _marks(Path(folder))
        for queue in queues:
            queue.delete(delete_jobs=True)
    return jobs - done


def _work(valkey: Path, folder: Path, seconds: float) -> None:
    """One worker on both queues, killed with its child `seconds` after it has done something."""
    before, until = _marks(folder), time.monotonic() + QUIET_FOR
    with _worker(valkey) as worker:
        while _marks(folder) == before and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(seconds)
        children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        worker.kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(int(child), signal.SIGKILL)


@contextlib.contextmanager
def _worker(valkey: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Waited for in the end."""
    program = f"from bench.faults.plain import work; work({str(valkey)!r})"
    worker = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    yield worker
    worker.wait(20)


def _marks(folder: Path) -> int:
    return len(list(folder.iterdir()))


def send_slow(valkey: str, seconds: float) -> None:
    """A job that takes so long."""
    with redis.Redis(unix_socket_path=valkey) as connection:
        rq.Queue(QUEUES[0], connection=connection).enqueue(time.sleep, seconds)


def work(valkey: str) -> None:
    """Work until told to stop."""
    connection = redis.Redis(unix_socket_path=valkey)
    rq.Worker(list(QUEUES), connection=connection).work(logging_level="ERROR")
