"""A registered cluster, and the check of a connection to one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from console.lib.crypto import EncryptedJSONField
from workspaces.models.project import Project
from workspaces.models.wish import Wish

STALE_AFTER = timedelta(seconds=100)  # two rounds of the reconciler's 45 s, and a little


class CloudType(models.TextChoices):
    EKS = "eks", "Amazon EKS"
    AKS = "aks", "Azure AKS"
    GKE = "gke", "Google GKE"
    OPENSHIFT = "openshift", "OpenShift"
    VSPHERE = "vsphere", "vSphere"
    BARE_METAL = "bare_metal", "Bare metal"
    OTHER = "other", "Other"


class ClusterState(models.TextChoices):
    PENDING = "pending", "Pending"
    HEALTHY = "healthy", "Healthy"
    DEGRADED = "degraded", "Degraded"
    UNREACHABLE = "unreachable", "Unreachable"
    VELERO_MISSING = "velero_missing", "Velero missing"


class ClusterQuerySet(models.QuerySet["Cluster"]):
    def registered(self) -> Self:
        """Clusters that are not deregistered."""
        return self.filter(deregistered_at=None)

    def lease_watch(self, holder: str, seconds: float, alive: int = 1) -> int:
        """Take or renew the watch over this reconciler's share of the clusters, one of `alive` equal ones.

        What it has beyond its share it gives up, for others to take. Returns how many it watches now.
        """
        until = timezone.now() + timedelta(seconds=seconds)
        share = -(-self.registered().count() // alive)
        mine = self.registered().filter(watched_by=holder)
        mine.filter(pk__in=mine.order_by("pk").values("pk")[share:]).update(watched_by="", watched_until=None)
        held = mine.update(watched_until=until)
        return held + self._take(holder, until, max(0, share - held))

    def _take(self, holder: str, until: datetime, most: int) -> int:
        """Of two that take the same cluster, one finds it free no more when it writes."""
        free = self.registered().filter(Q(watched_until=None) | Q(watched_until__lt=timezone.now()))
        return free.filter(pk__in=free.order_by("pk").values("pk")[:most]).update(
            watched_by=holder, watched_until=until
        )

    def remember(self, pk: uuid.UUID, facts: Mapping[str, Any]) -> None:
        """Put `facts` among those of a cluster. Several processes learn of it at once, each something else."""
        with transaction.atomic():
            for cluster in self.select_for_update().filter(pk=pk):
                cluster.facts |= facts
                cluster.save(update_fields=["facts"])

    def in_doubt(self, looked_before: datetime) -> Self:
        """Clusters that answer, and whose last check found something amiss that may have been mended since."""
        answering = self.registered().filter(retry_at=None, facts__has_key="state")
        troubled = answering.exclude(facts__state=ClusterState.HEALTHY)
        recent = ClusterCheck.objects.filter(cluster=OuterRef("pk"), created_at__gt=looked_before)
        return troubled.exclude(Exists(recent))

    def let_go_of_watch(self, holder: str) -> None:
        """A reconciler that ends leaves its clusters to the others at once."""
        self.filter(watched_by=holder).update(watched_until=None, watched_by="")

    def quiet_breaker(self) -> Self:
        """Clusters that are not being left alone after a failed connection."""
        return self.filter(Q(retry_at__isnull=True) | Q(retry_at__lte=timezone.now()))


class Cluster(models.Model):
    """A registered Kubernetes cluster. `uid` is that of its kube-system namespace, checked at every connect."""

    tenant_path = "project__tenant"
    project_path = "project"
    listed_path = "workspaces"  # a workspace role shows its name and health

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="clusters")
    name = models.CharField(max_length=63)
    description = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    cloud_type = models.CharField(max_length=20, choices=CloudType.choices, default=CloudType.OTHER)
    cloud_account = models.CharField(max_length=100, blank=True)
    velero_namespace = models.CharField(max_length=63, default="velero")
    kubeconfig = EncryptedJSONField()  # {"kubeconfig": text, "context": name}
    server = models.CharField(max_length=300)  # shown; the kubeconfig is what counts
    access_expires_at = models.DateTimeField(null=True, blank=True)
    uid = models.CharField(max_length=63, blank=True)  # empty until the first successful check
    facts = models.JSONField(default=dict, blank=True)  # what the last successful check saw
    state = models.CharField(max_length=20, choices=ClusterState.choices, default=ClusterState.PENDING)
    state_reason = models.TextField(blank=True)
    state_since = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True, blank=True)  # the last time the cluster answered
    retry_at = models.DateTimeField(null=True, blank=True)  # the circuit breaker: nothing is sent before
    watched_by = models.CharField(max_length=64, blank=True)
    watched_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    deregistered_at = models.DateTimeField(null=True, blank=True)  # its backups stay; it has no kubeconfig any more

    objects = ClusterQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                condition=Q(deregistered_at=None),
                name="cluster_name_once_in_a_project",
                violation_error_message="A cluster of this name is registered in the project already.",
            ),
            models.UniqueConstraint(
                fields=["project", "uid"],
                condition=Q(deregistered_at=None) & ~Q(uid=""),
                name="cluster_once_in_a_project",
                violation_error_message="This cluster is registered in the project already.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_stale(self) -> bool:
        """Whether what the row says is older than the reconciler's rounds explain."""
        return self.seen_at is None or timezone.now() - self.seen_at > STALE_AFTER


class CheckState(models.TextChoices):
    REQUESTED = "requested", "Requested"
    COMPLETED = "completed", "Passed"
    FAILED = "failed", "Failed"


class ClusterCheck(Wish):
    """One check of a connection, step by step: of a registered cluster, or of a kubeconfig before there is one."""

    tenant_path = "project__tenant"
    project_path = "project"
    terminal = frozenset({CheckState.COMPLETED, CheckState.FAILED})
    job = "backups.jobs.check_cluster"  # the check asks for Velero, which only `backups` knows
    most_attempts = 3

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.CASCADE, related_name="checks")
    kubeconfig = EncryptedJSONField(null=True, blank=True)  # only before there is a cluster
    velero_namespace = models.CharField(max_length=63, default="velero")
    steps = models.JSONField(default=list, blank=True)  # [{"id", "title", "outcome", "cause", "remedy"}]
    facts = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"check of {self.cluster or 'a new cluster'}"
