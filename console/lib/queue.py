"""Waking workers up. Only door to `rq` and `django_rq`.

A message is a job's dotted name and `(pk, attempt)`, as JSON. It means "look at this row now", nothing more: Redis may
lose it, deliver it twice or be away, and the reconciler drives the row again when its next step is due.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Literal

import structlog
from django.db import transaction
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from console.lib import context, metrics
from console.lib.errors import ConsoleError

log = structlog.get_logger(__name__)

QueueName = Literal["interactive", "commands", "slow"]
Job = Callable[[str, int], None]


def enqueue(job: str, pk: uuid.UUID, attempt: int, *, queue: QueueName = "commands") -> None:
    """Wake a worker for row `pk` once the current transaction has committed.

    Never raises for a missing Redis: the row is committed, and the reconciler sends the message again.
    """
    cause = context.current().id
    transaction.on_commit(lambda: _send(job, str(pk), attempt, queue, cause))


def _send(job: str, pk: str, attempt: int, queue: QueueName, cause: str) -> None:
    job_id = f"{job.rsplit('.', 1)[-1]}-{pk}-{attempt}"
    try:
        _open(queue).enqueue(job, pk, attempt, job_id=job_id, meta={"cause": cause}, result_ttl=0, failure_ttl=60)
    except RedisError as error:
        log.warning("queue away, the reconciler will drive this row", job=job, pk=pk, reason=type(error).__name__)


def _open(name: QueueName) -> Any:
    """The RQ queue. Redis is asked once: the client's own retries would hold a page for ten seconds."""
    import django_rq

    opened = django_rq.get_queue(name)
    opened.connection.set_retry(Retry(NoBackoff(), 0))
    return opened


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


def reachable() -> bool:
    """Whether Redis answers now."""
    try:
        return bool(_open("commands").connection.ping())
    except RedisError:
        return False


def depths(names: Sequence[QueueName] = ("interactive", "commands", "slow")) -> dict[str, int]:
    """Messages waiting in each queue; empty when Redis is away."""
    try:
        return {name: int(_open(name).count) for name in names}
    except RedisError:
        return {}
