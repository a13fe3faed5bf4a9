"""The control of R1 and R7: jobs sent once, a worker that listens to two queues, and nobody who looks again."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
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
    """How many of `jobs` were never done when their worker was killed `kills` times."""
    choose = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, redis.Redis(unix_socket_path=str(valkey)) as connection:
        queues = [rq.Queue(name, connection=connection) for name in QUEUES]
        for number in range(jobs):
            choose.choice(queues).enqueue(mark, str(Path(folder, str(number))))
        for _ in range(kills):
            _work(valkey, choose.uniform(0.2, 1.2), signal.SIGKILL)
        _work(valkey, QUIET_FOR, signal.SIGTERM)
        done = len(list(Path(folder).iterdir()))
        for queue in queues:
            queue.delete(delete_jobs=True)
    return jobs - done


def _work(valkey: Path, seconds: float, ending: signal.Signals) -> None:
    """One worker on both queues, ended after `seconds`."""
    program = f"from bench.faults.plain import work; work({str(valkey)!r})"
    worker = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(seconds)
    worker.send_signal(ending)
    worker.wait(20)


def send_slow(valkey: str, seconds: float) -> None:
    """A job that takes so long."""
    with redis.Redis(unix_socket_path=valkey) as connection:
        rq.Queue(QUEUES[0], connection=connection).enqueue(time.sleep, seconds)


def work(valkey: str) -> None:
    """Work until told to stop."""
    connection = redis.Redis(unix_socket_path=valkey)
    rq.Worker(list(QUEUES), connection=connection).work(logging_level="ERROR")
