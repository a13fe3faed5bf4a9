"""What backups and restores have in common."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db import models

from backups import lifecycle
from backups.lifecycle import State
from workspaces.models import Cluster, Project, Wish, Workspace


class ClusterResources(models.TextChoices):
    AUTO = "auto", "Auto"
    ALWAYS = "always", "Always"
    NEVER = "never", "Never"


def _sources(state: str) -> Collection[str]:
    return [current for current in lifecycle.OPEN if lifecycle.may_become(current, State(state))]


class VeleroWish(Wish):
    """What a Backup and a Restore have in common: one object in one cluster, and what Velero says of it."""

    terminal = lifecycle.TERMINAL
    sources = staticmethod(_sources)
    asked = False  # not a column: whether this attempt knows what earlier ones left in the cluster

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="%(class)ss")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="%(class)ss")  # where the object is
    workspace = models.ForeignKey(  # whose own it is; none of a cluster's
        Workspace, null=True, blank=True, on_delete=models.SET_NULL, related_name="%(class)ss"
    )
    object_name = models.CharField(max_length=63, unique=True)
    submission = models.UUIDField(default=uuid.uuid4, unique=True)  # of the form: submitted twice, it makes one row
    namespaces = models.JSONField(default=list, blank=True)  # empty: all
    cluster_resources = models.CharField(max_length=10, choices=ClusterResources.choices, default=ClusterResources.AUTO)
    phase = models.CharField(max_length=60, blank=True)  # Velero's own word
    object_uid = models.CharField(max_length=63, blank=True)
    items_done = models.PositiveIntegerField(default=0)
    items_total = models.PositiveIntegerField(default=0)
    errors = models.PositiveIntegerField(default=0)
    warnings = models.PositiveIntegerField(default=0)
    submitted_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    resource = models.JSONField(null=True, blank=True)  # the object as it was last seen in the cluster
    results = models.JSONField(null=True, blank=True)  # warnings and errors; see reconcile/results.py for the shape

    class Meta:
        abstract = True

    @property
    def stamp(self) -> str:
        """Another one as soon as it has come further."""
        return f"{self.state}.{self.items_done}"

    def stamp_now(self) -> str:
        """The same as it is in the database by now."""
        row = type(self)._default_manager.filter(pk=self.pk).values_list("state", "items_done").first()
        return ".".join(map(str, row or ()))
