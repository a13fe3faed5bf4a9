"""Restores."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from backups.lifecycle import State
from backups.models.backup import Backup
from backups.models.wish import VeleroWish


class ExistingObjects(models.TextChoices):
    LEAVE = "none", "Leave as they are"
    UPDATE = "update", "Update"


class Restore(VeleroWish):
    """One restore of one Backup into a target cluster of the same project; listed on the target."""

    tenant_path = "project__tenant"
    project_path = "project"
    workspace_path = "workspace"
    job = "backups.jobs.submit_restore"

    backup = models.ForeignKey(Backup, on_delete=models.PROTECT, related_name="restores")
    namespace_mapping = models.JSONField(default=dict, blank=True)
    restore_volumes = models.BooleanField("restore PVs", default=True)
    preserve_node_ports = models.BooleanField(default=False)
    existing_objects = models.CharField(max_length=10, choices=ExistingObjects.choices, default=ExistingObjects.LEAVE)
    tidied_at = models.DateTimeField(null=True, blank=True)  # when its objects were removed from the target

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["cluster", "-created_at"], name="restores_into_a_cluster"),
            models.Index(fields=["project", "-created_at"], name="restores_of_a_project"),
        ]
        constraints = [models.CheckConstraint(condition=Q(state__in=list(State)), name="restore_state_is_known")]

    def __str__(self) -> str:
        return f"{self.backup.name} into {self.cluster.name}"

    @property
    def is_elsewhere(self) -> bool:
        """Whether the target is another cluster than the backup's."""
        return self.cluster_id != self.backup.cluster_id
