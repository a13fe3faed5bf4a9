"""Connections to registered clusters: always the same cluster, never one that is being left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db.models import Case, F, When
from django.utils import timezone

from console.kube.connection import Connection, connect
from console.kube.facts import cluster_uid
from console.kube.kubeconfig import ClusterAccess, parse_kubeconfig
from console.lib import outbound
from console.lib.errors import Refused, TryLater, Unreachable
from console.lib.queue import QueueName
from workspaces.models import Cluster
from workspaces.models.cluster import ClusterState

REST_AFTER_FAILURE = timedelta(seconds=5)


def access_to(cluster: Cluster) -> ClusterAccess:
    """The stored kubeconfig, parsed again with today's rules."""
    stored = cluster.kubeconfig
    return parse_kubeconfig(stored["kubeconfig"], context=stored["context"] or None)


@contextmanager
def connected(cluster: Cluster) -> Iterator[Connection]:
    """A connection to this very cluster.

    Raises TryLater while the circuit breaker rests, Unreachable when no connection can be made, Refused when another
    cluster answers at the address (its kube-system namespace has another uid).
    """
    if cluster.retry_at and cluster.retry_at > timezone.now():
        reason = cluster.state_reason or f"{cluster} could not be reached a moment ago."
        raise TryLater(reason, retry_after=_seconds_until(cluster))
    try:
        with connect(access_to(cluster), outbound.policy()) as connection:
            _same_cluster(cluster, connection)
            yield connection
    except Unreachable as error:
        note_unreachable(cluster, error.message)
        raise


def _same_cluster(cluster: Cluster, connection: Connection) -> None:
    if cluster_uid(connection) != cluster.uid:
        raise Refused(
            f"Another cluster answers at the address of {cluster}.",
            remedy="Replace its kubeconfig, or register the other cluster under a name of its own.",
        )


def _seconds_until(cluster: Cluster) -> float:
    return (cluster.retry_at - timezone.now()).total_seconds() if cluster.retry_at else 0.0


def note_unreachable(cluster: Cluster, reason: str) -> None:
    """Show the cluster as unreachable, and leave it alone for a moment."""
    row = Cluster.objects.filter(pk=cluster.pk)
    row.update(retry_at=timezone.now() + REST_AFTER_FAILURE, state_reason=reason)
    row.exclude(state=ClusterState.UNREACHABLE).update(state=ClusterState.UNREACHABLE, state_since=timezone.now())


def note_slow(cluster: Cluster, reason: str = "") -> None:
    """The cluster is in trouble, but need not be left alone. With a reason it is shown as degraded."""
    row, now = Cluster.objects.filter(pk=cluster.pk), timezone.now()
    row.quiet_breaker().update(retry_at=now)
    if reason:
        row.update(seen_at=now, state_reason=reason)
        row.exclude(state=ClusterState.DEGRADED).update(state=ClusterState.DEGRADED, state_since=now)


def queue_for(cluster: Cluster) -> QueueName:
    """Where rows of this cluster go: what is in trouble must not hold the workers that others wait for."""
    return "slow" if cluster.retry_at else "commands"


def note_seen(cluster: Cluster, state: str, reason: str = "") -> None:
    """The cluster answered: store when, and what state that means."""
    now = timezone.now()
    since = Case(When(state=state, then=F("state_since")), default=now)
    Cluster.objects.filter(pk=cluster.pk).update(
        seen_at=now, retry_at=None, state_reason=reason, state=state, state_since=since
    )
