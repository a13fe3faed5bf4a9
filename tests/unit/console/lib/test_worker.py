"""The worker outlives a Redis that is away or silent, says by its exit code when it cannot, and limits a job's time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from rq import Queue

from console.lib import heartbeat, worker
from console.lib.worker import OrderlyWorker, OutOfTime, limited
from tests.fakes.proxy import Door, Proxy

pytestmark = pytest.mark.slow


class TestLimited:
    def test_what_takes_too_long_is_interrupted_wherever_it_is(self) -> None:
        began = time.monotonic()
        with pytest.raises(OutOfTime), limited(0.05):
            threading.Event().wait(5)
        assert time.monotonic() - began < 1

    def test_what_is_done_in_time_is_not(self) -> None:
        with limited(0.05):
            done = True
        time.sleep(0.1)
        assert done

    def test_no_error_handling_swallows_it(self) -> None:
        with pytest.raises(OutOfTime), limited(0.05), contextlib.suppress(Exception):
            time.sleep(5)


@pytest.fixture
def door(valkey_socket: str) -> Iterator[Door]:
    with Proxy() as proxy:
        yield proxy.open(valkey_socket)


class Working(threading.Thread):
    """A worker behind a door, in a thread; `ended` is what it ended with."""

    def __init__(self, door: Door) -> None:
        super().__init__(daemon=True)
        self.client = redis.Redis.from_url(f"redis://127.0.0.1:{door.port}")
        queue = Queue("commands", connection=self.client)
        self.worker = OrderlyWorker([queue], connection=self.client)
        self.worker._install_signal_handlers = lambda: None  # type: ignore[method-assign]  # not in a thread
        self.worker.fork_spare = lambda: None  # type: ignore[method-assign]  # nor is this
        self.worker.execute_job = lambda job, queue: self.done.append(job.id)  # type: ignore[method-assign]
        self.done: list[str] = []
        self.ended: object = None

    def run(self) -> None:
        try:
            self.worker.work(logging_level="CRITICAL")
        except SystemExit as end:
            self.ended = end.code

    def does(self, job_id: str, valkey_socket: str, seconds: float = 8) -> bool:
        """Whether it does a job that is sent now."""
        with redis.Redis(unix_socket_path=valkey_socket) as straight:
            Queue("commands", connection=straight).enqueue("time.time", job_id=job_id)
        until = time.monotonic() + seconds
        while job_id not in self.done and time.monotonic() < until:
            time.sleep(0.01)
        return job_id in self.done

    def end(self, valkey_socket: str) -> None:
        """Tell it to, and wake it. One that outlives its test would fail in another one, when its Redis is gone."""
        self.worker._stop_requested, self.worker._shutdown_requested_date = True, object()
        self.does("last", valkey_socket, seconds=0)
        self.join(5)
        assert not self.is_alive()


@pytest.fixture
def working(door: Door, valkey_socket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Working]:
    """Not started yet, and less patient than others."""
    monkeypatch.setattr(worker, "WAIT", 1)
    monkeypatch.setattr(OrderlyWorker, "connection_timeout", 2)
    monkeypatch.setattr(OrderlyWorker, "max_connection_wait_time", 0.2)
    made = Working(door)
    yield made
    if made.is_alive():
        made.end(valkey_socket)


@pytest.mark.parametrize("mode", ["reset", "refuse", "silent"])
def test_a_redis_that_is_back_is_worked_for_again(door: Door, working: Working, valkey_socket: str, mode: str) -> None:
    working.start()
    assert working.does("before", valkey_socket)
    door.be(mode)  # type: ignore[arg-type]
    time.sleep(1.3)  # the answer to its waiting is lost
    door.be("pass")
    assert working.does("after", valkey_socket)


def test_it_says_that_it_lives_while_redis_is_away(
    door: Door, working: Working, valkey_socket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY", 0.0)
    working.start()
    assert working.does("before", valkey_socket)
    door.be("refuse")
    heartbeat.begin()
    for file in heartbeat.folder().iterdir():
        os.utime(file, (0, 0))
    until = time.monotonic() + 15
    while not heartbeat.is_alive(os.getpid()) and time.monotonic() < until:
        time.sleep(0.05)
    assert heartbeat.is_alive(os.getpid())
    door.be("pass")


def test_a_worker_that_nobody_told_to_end_says_so_by_its_exit_code(working: Working, valkey_socket: str) -> None:
    working.worker.execute_job = lambda job, queue: 1 / 0  # type: ignore[method-assign]
    working.start()
    working.does("broken", valkey_socket, seconds=0)
    working.join(5)
    assert "must be started again" in str(working.ended)


def test_a_worker_that_was_told_to_end_ends_well(working: Working) -> None:
    working.worker._shutdown_requested_date = object()
    working.worker.dequeue_job_and_maintain_ttl = lambda *_: None  # type: ignore[method-assign]
    working.start()
    working.join(5)
    assert working.ended is None
    assert signal.getsignal(signal.SIGUSR2) is not None


PROMPT = """
import redis
from rq import Queue
from console.lib import worker
worker.FINISH_WITHIN, worker.END_WITHIN = 0.2, {end}
connection = redis.Redis(unix_socket_path={socket!r})
worker.PromptWorker([Queue("prompt", connection=connection)], connection=connection).work(logging_level="CRITICAL")
"""


def note_process(path: str) -> None:
    """A job that says which process it is in."""
    Path(path).write_text(f"{os.getpid()} {os.getppid()}")


def note_and_stay(path: str) -> None:
    """A job that is done in a minute, unless it is interrupted."""
    note_process(path)
    try:
        time.sleep(60)
    except worker.HandBack:
        Path(path).write_text("handed back")
        raise


def note_and_be_deaf(path: str) -> None:
    """A job that heeds nothing but SIGKILL."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    note_process(path)
    time.sleep(60)


@contextlib.contextmanager
def prompt_worker(socket: str, end: float = 20.0) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", PROMPT.format(socket=socket, end=end)])
    try:
        yield process
    finally:
        process.kill()
        process.wait(5)


def written(path: Path) -> str:
    until = time.monotonic() + 10
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < until, "nothing was written"
        time.sleep(0.01)
    return path.read_text()


def ask(socket: str, job: Callable[[str], None], path: Path) -> None:
    with redis.Redis(unix_socket_path=socket) as connection:
        Queue("prompt", connection=connection).enqueue(job, str(path))


class TestPrompt:
    """Jobs that people wait for are done without a child."""

    def test_in_the_worker_itself(self, valkey_socket: str, tmp_path: Path) -> None:
        ask(valkey_socket, note_process, tmp_path / "told")
        with prompt_worker(valkey_socket) as process:
            assert written(tmp_path / "told").split()[0] == str(process.pid)

    def test_a_job_is_handed_back_when_it_must_end(self, valkey_socket: str, tmp_path: Path) -> None:
        ask(valkey_socket, note_and_stay, tmp_path / "told")
        with prompt_worker(valkey_socket) as process:
            written(tmp_path / "told")
            process.terminate()
            assert process.wait(20) == 0
        assert (tmp_path / "told").read_text() == "handed back"

    def test_one_that_heeds_nothing_is_ended_with_its_job(self, valkey_socket: str, tmp_path: Path) -> None:
        ask(valkey_socket, note_and_be_deaf, tmp_path / "told")
        with prompt_worker(valkey_socket, end=0.5) as process:
            written(tmp_path / "told")
            process.terminate()
            assert process.wait(20) == -signal.SIGKILL
