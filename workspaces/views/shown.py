"""Clusters as pages show them: what was seen too long ago is unknown, however good it looked then."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, F, Q, QuerySet, Value, When
from django.utils import timezone

from workspaces.models import Cluster
from workspaces.models.cluster import STALE_AFTER, ClusterState

UNKNOWN = "unknown"
# The worst first: the order of filters and of what needs a look.
STATES: tuple[str, ...] = (
    ClusterState.UNREACHABLE,
    ClusterState.DEGRADED,
    ClusterState.VELERO_MISSING,
    UNKNOWN,
    ClusterState.PENDING,
    ClusterState.HEALTHY,
)


def as_shown(clusters: QuerySet[Cluster]) -> QuerySet[Any]:
    """`clusters` with `shown_state` and its rank `worst_first`. Typed loosely: no class has those."""
    unseen = Q(seen_at=None) | Q(seen_at__lt=timezone.now() - STALE_AFTER)
    believed = Case(When(unseen & ~Q(state=ClusterState.UNREACHABLE), then=Value(UNKNOWN)), default=F("state"))
    rank = Case(*(When(shown_state=state, then=Value(at)) for at, state in enumerate(STATES)), default=Value(0))
    return clusters.annotate(shown_state=believed).annotate(worst_first=rank)


def shown_state(cluster: Cluster) -> str:
    """The same for one row."""
    return UNKNOWN if cluster.is_stale and cluster.state != ClusterState.UNREACHABLE else cluster.state
