"""Waking workers up. Only door to `rq` and `django_rq`.

A message is a job's dotted name and `(pk, attempt)`, as JSON. It means "look at this row now", nothing more: Redis may
lose it, deliver it twice or be away, and the reconciler drives the row again when its next step is due.

A Redis that does not answer within `ANSWER_WITHIN` is left alone for `REST`: nobody's page or round waits for it again
and again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, wraps
from typing import Any, Literal

import structlog
from django.db import transaction
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from console.lib import context, metrics
from console.lib.errors import ConsoleError

log = structlog.get_logger(__name__)

QueueName = Literal["interactive", "commands", "slow"]
Job = Callable[[str, int], None]
ANSWER_WITHIN = 1.0  # seconds
REST = 1.0  # seconds


class _Breaker:
    """When this process asks Redis again, on the monotonic clock."""

    until = 0.0


def enqueue(job: str, pk: uuid.UUID, attempt: int, *, queue: QueueName = "commands") -> None:
    """Wake a worker for row `pk` once the current transaction has committed.

    Never raises for a missing Redis: the row is committed, and the reconciler sends the message again.
    """
    cause = context.current().id
    transaction.on_commit(lambda: _send(job, str(pk), attempt, queue, cause))


def _send(job: str, pk: str, attempt: int, queue: QueueName, cause: str) -> None:
    job_id = f"{job.rsplit('.', 1)[-1]}-{pk}-{attempt}-{queue}"  # RQ keeps one message per id, whatever its queue
    try:
        with _opened(queue) as opened:
            opened.enqueue(job, pk, attempt, job_id=job_id, meta={"cause": cause}, result_ttl=0, failure_ttl=60)
    except RedisError as error:
        log.warning("queue away, the reconciler will drive this row", job=job, pk=pk, reason=type(error).__name__)


@contextmanager
def _opened(name: QueueName) -> Iterator[Any]:
    """The RQ queue. Redis is asked once: the client's own retries would hold a page for ten seconds.

    Raises RedisError, at once while Redis is being left alone.
    """
    if time.monotonic() < _Breaker.until:
        raise RedisConnectionError("left alone for a moment")
    try:
        yield _queue(name)
    except RedisError:
        _Breaker.until = time.monotonic() + REST
        raise


@cache
def _queue(name: QueueName) -> Any:
    """One for all threads; its pool of connections notices a fork."""
    import django_rq

    made = django_rq.get_queue(name)
    made.connection.set_retry(Retry(NoBackoff(), 0))
    timeouts = {"socket_timeout": ANSWER_WITHIN, "socket_connect_timeout": ANSWER_WITHIN}
    made.connection.connection_pool.connection_kwargs.update(timeouts)
    return made


@contextmanager
def alone(name: str, seconds: float) -> Iterator[bool]:
    """Whether nobody else is in here under this name; after `seconds` somebody who died in here does not count.

    A hint, as everything in Redis: while it is away, everybody is alone.
    """
    key = f"drydock:alone:{name}"
    try:
        with _opened("commands") as opened:
            mine = bool(opened.connection.set(key, "", nx=True, px=int(seconds * 1000)))
    except RedisError:
        yield True
        return
    try:
        yield mine
    finally:
        if mine:
            _forget(key)


def _forget(key: str) -> None:
    with suppress(RedisError), _opened("commands") as opened:
        opened.connection.delete(key)


def job(function: Job) -> Job:
    """Decorates an RQ entry point: the request's id goes along, outcomes are counted, expected errors end as a line."""

    @wraps(function)
    def run(pk: str, attempt: int) -> None:
        with context.caused_by(_cause_of_this_job(), job=function.__name__, row=pk, attempt=attempt):
            try:
                function(pk, attempt)
            except ConsoleError as error:
                metrics.jobs_total.labels(function.__name__, "refused").inc()
                log.warning("job refused", reason=error.message)
            else:
                metrics.jobs_total.labels(function.__name__, "done").inc()

    return run


def _cause_of_this_job() -> str:
    from rq import get_current_job

    current = get_current_job()
    return str(current.meta.get("cause", "")) if current else context.current().id


def queue_of_this_job() -> str:
    """The queue this job came through; empty outside a worker."""
    from rq import get_current_job

    current = get_current_job()
    return str(current.origin) if current else ""


def reachable() -> bool:
    """Whether Redis answers now."""
    try:
        with _opened("commands") as opened:
            return bool(opened.connection.ping())
    except RedisError:
        return False


def depths(names: Sequence[QueueName] = ("interactive", "commands", "slow")) -> dict[str, int]:
    """Messages waiting in each queue; empty when Redis is away."""
    try:
        return {name: _depth(name) for name in names}
    except RedisError:
        return {}


def _depth(name: QueueName) -> int:
    with _opened(name) as opened:
        return int(opened.count)
