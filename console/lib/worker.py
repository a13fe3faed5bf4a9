"""The worker process: RQ's own, with an orderly end. Beside `queue`, the only place that knows `rq`.

At SIGTERM a worker takes no more jobs and finishes the one it has. What is not finished within `FINISH_WITHIN` is
handed back: the job is interrupted wherever it is, its row is due at once, and another worker looks into the cluster
before it repeats anything. So a worker has ended 10 seconds after SIGTERM, whatever its job is doing.

A Redis that is away, or silent, is asked again every `ASK_AGAIN` seconds at most. Whatever else goes wrong between jobs
ends the worker with an exit code other than 0, so that whoever runs it starts it again.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import structlog
from django.db import close_old_connections
from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from rq import Queue, Worker
from rq.executions import Execution
from rq.job import Job
from rq.worker import WorkerStatus

from console.lib import heartbeat
from console.lib.spare import Spare

log = structlog.get_logger(__name__)

FINISH_WITHIN = 5.0  # seconds
END_WITHIN = 7.0  # seconds; what heeds no interruption (a name server that is silent) is ended
WAIT = 5  # whole seconds for a message, one request to Redis
ASK_AGAIN = 2.0  # seconds
AWAY = (RedisConnectionError, RedisTimeoutError)


class HandBack(BaseException):
    """The worker must end now. No `Exception`, so that nothing that explains failures takes it for one."""


class OutOfTime(HandBack):
    """The job has had the time that a queue gives it on which others wait."""


class OrderlyWorker(Worker):
    """Finishes or hands back its job when it is told to end; outlives a Redis that is away."""

    max_connection_wait_time = ASK_AGAIN
    spare: Spare | None = None

    def _set_connection(self, connection: Redis) -> Redis:
        """A Redis that is started anew is back within a second or two, which one request may wait; silence is not."""
        connection.set_retry(Retry(ExponentialBackoff(cap=1.0, base=0.1), 5, (RedisConnectionError,)))
        connection.connection_pool.connection_kwargs["socket_connect_timeout"] = ASK_AGAIN
        return super()._set_connection(connection)

    @property
    def dequeue_timeout(self) -> int:
        return WAIT

    @property
    def connection_timeout(self) -> int:
        """Seconds until a Redis that says nothing is taken for silent."""
        return WAIT + 3

    def work(self, *arguments: Any, **options: Any) -> bool:
        """Raises SystemExit when it ends and nobody has told it to: RQ's own worker ends with 0 then."""
        try:
            worked = bool(super().work(*arguments, **options))
        finally:
            self._dismiss_spare()
        if not options.get("burst") and self._shutdown_requested_date is None:
            raise SystemExit("The worker has lost its Redis in the middle of something and must be started again.")
        return worked

    def check_for_suspension(self, burst: bool) -> None:
        """RQ's first question of a round. Its own worker ends when Redis is away just then."""
        while not self._stop_requested:
            try:
                super().check_for_suspension(burst)
                return
            except AWAY:
                log.warning("queue away, asked again")
                heartbeat.beat()
                time.sleep(self.max_connection_wait_time)

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """Silence is a lost connection, too: RQ's own worker ends at it."""
        self.spare = self.spare or self.fork_spare()
        while True:
            try:
                return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
            except RedisTimeoutError:
                log.warning("queue silent, asked again over a new connection")

    def fork_spare(self) -> Spare | None:
        """The child that will have the next job."""
        return Spare(self._carry_out, ready=self.connection.ping)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """RQ's word for handing a job to a child: here to the one that waits, or to a new one if that was killed."""
        assert self.execution
        spare, self.spare = self.spare, None
        message = f"{job.id} {self.execution.id}"
        if spare is None or not spare.begin(message):
            spare = Spare(self._carry_out, ready=self.connection.ping)
            spare.begin(message)
        self._horse_pid = spare.pid

    def _carry_out(self, message: str) -> None:
        """In the child: what RQ's own child has from before its fork, this one reads."""
        job_id, execution_id = message.split()
        self.execution = Execution(execution_id, job_id, self.connection)
        job = self.job_class.fetch(job_id, connection=self.connection, serializer=self.serializer)
        job.redis_server_version = self.get_redis_server_version()  # type: ignore[no-untyped-call]
        self.main_work_horse(job, self.queues[0])

    def _dismiss_spare(self) -> None:
        if self.spare:
            self.spare.dismiss()
            self.spare = None

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Called in every round, before Redis is asked for a message, and while a job runs. A lost one is no harm."""
        heartbeat.beat()
        with suppress(*AWAY):
            super().heartbeat(timeout, pipeline)

    def handle_warm_shutdown_request(self) -> None:
        """Called in the signal handler of the parent process."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        for seconds, number in ((FINISH_WITHIN, signal.SIGUSR1), (END_WITHIN, signal.SIGKILL)):
            timer = threading.Timer(seconds, self._end_job, [number])
            timer.daemon = True
            timer.start()

    def _end_job(self, number: signal.Signals) -> None:
        if self.horse_pid:
            self.kill_horse(number)

    def setup_work_horse_signals(self) -> None:
        """Called in the child process, before its job."""
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGUSR1, _hand_back)


class PromptWorker(OrderlyWorker):
    """Does its jobs itself, without a child, for people who look on: what it has loaded and connected stays.

    What a child would take to its grave ends this worker, which is started again; the row is driven again.
    """

    at_work = False

    def fork_spare(self) -> None:
        """There is nothing to hand on."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        self.prepare_execution(job)
        close_old_connections()
        signal.signal(signal.SIGUSR1, _hand_back)
        self.at_work = True
        try:
            self.perform_job(job, queue)
        finally:
            self.at_work = False
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            close_old_connections()
            self.set_state(WorkerStatus.IDLE)

    def _end_job(self, number: signal.Signals) -> None:
        if self.at_work:
            os.kill(os.getpid(), number)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in here, which must be the main thread, after `seconds`, wherever it is."""
    timer = threading.Timer(seconds, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR2])
    timer.daemon = True
    signal.signal(signal.SIGUSR2, _out_of_time)
    timer.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        timer.cancel()


def _hand_back(number: int, frame: FrameType | None) -> Any:
    raise HandBack


def _out_of_time(number: int, frame: FrameType | None) -> Any:
    raise OutOfTime
