"""Backups."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from backups import lifecycle
from backups.lifecycle import State
from backups.models.location import BackupLocation
from backups.models.wish import VeleroWish

is_dns_label = RegexValidator(
    rf"^{lifecycle.NAME_PATTERN}\Z",
    f"Use lower-case letters, digits and hyphens, beginning and ending with a letter or digit, "
    f"{lifecycle.LONGEST_NAME} characters at most.",
)
NAMESPACES_ALL: list[str] = []


class Origin(models.TextChoices):
    ON_DEMAND = "on_demand", "On demand"


class Backup(VeleroWish):
    """One backup of one cluster: one Velero Backup."""

    tenant_path = "project__tenant"
    project_path = "project"
    workspace_path = "workspace"
    listed_path = "cluster__workspaces"  # a workspace role shows name, state and date of any of its clusters'
    job = "backups.jobs.submit_backup"

    location = models.ForeignKey(BackupLocation, on_delete=models.PROTECT, related_name="backups")
    origin = models.CharField(max_length=20, choices=Origin.choices, default=Origin.ON_DEMAND)
    name = models.CharField("backup name", max_length=lifecycle.LONGEST_NAME, validators=[is_dns_label])
    include_disks = models.BooleanField("include all disks", default=True)
    keep_for = models.DurationField("period until expiry")
    expires_at = models.DateTimeField(null=True, blank=True)
    queue_position = models.PositiveIntegerField(default=0)  # among those that wait in this cluster, from 1; 0: none
    size = models.PositiveBigIntegerField(null=True, blank=True)  # bytes of its own files in the bucket; None: unknown

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["cluster", "-created_at"], name="backups_of_a_cluster"),
            models.Index(fields=["project", "-created_at"], name="backups_of_a_project"),
            models.Index(fields=["workspace", "-created_at"], name="backups_of_a_workspace"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "name"],
                condition=~Q(state__in=[State.REJECTED, State.CANCELED]),
                name="backup_name_once_in_a_cluster",
                violation_error_message="This cluster has a backup of this name already.",
            ),
            models.CheckConstraint(condition=Q(state__in=list(State)), name="backup_state_is_known"),
        ]

    def __str__(self) -> str:
        return self.name
