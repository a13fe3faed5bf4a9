"""One bad cluster delays no other: which queue a cluster's rows go through, and for how long they may hold a worker.

1. A row goes to `commands`, unless its cluster is in trouble: then to `slow`, where nobody waits who is well.
2. On `commands` each cluster has one job at a time; a second row that comes meanwhile goes on to `slow` as well.
3. A job there is interrupted after `TIME`, wherever it is. Its row is due at once, its cluster is in trouble.
4. A cluster is in trouble from a failure (`retry_at` is set) until the reconciler has had a quick answer from it.
5. While `retry_at` is ahead, the breaker rests: nothing is sent to any queue, and nothing to the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from backups.models import VeleroWish
from console.lib import metrics
from console.lib.queue import alone, enqueue, queue_of_this_job
from console.lib.worker import OutOfTime, limited
from workspaces.connections import note_slow, queue_for
from workspaces.models import Cluster, Wish

log = structlog.get_logger(__name__)

TIME = 3.0  # seconds; a job takes a tenth of one here, one on another continent two, Velero's first look included
COMMON = "commands"


@contextmanager
def lane(model: type[Wish], pk: Any, attempt: int) -> Iterator[bool]:
    """Whether the row may be carried out here and now; if not it has been sent on."""
    if not issubclass(model, VeleroWish) or queue_of_this_job() != COMMON:
        yield True
        return
    cluster = Cluster.objects.get(**{f"{model._meta.model_name}s__pk": pk})
    with alone(f"cluster-{cluster.pk}", TIME + 1) as mine:
        if mine and queue_for(cluster) == COMMON:
            with _in_time(cluster):
                yield True
        else:
            enqueue(model.job, pk, attempt, queue="slow")
            yield False


@contextmanager
def _in_time(cluster: Cluster) -> Iterator[None]:
    try:
        with limited(TIME):
            yield
    except OutOfTime:
        log.warning("took too long, handed on", cluster=str(cluster.pk))
        metrics.handed_on_total.inc()
        note_slow(cluster)
