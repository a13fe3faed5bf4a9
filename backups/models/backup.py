"""Backups."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from backups import lifecycle
from backups.lifecycle import State
from backups.models.found import FoundPlace
from backups.models.location import LONGEST_OBJECT_NAME, BackupLocation
from backups.models.policy import BackupPolicy
from backups.models.wish import VeleroWish

is_dns_label = RegexValidator(
    rf"^{lifecycle.NAME_PATTERN}\Z",
    f"Use {lifecycle.NAME_RULE}.",
)
NAMESPACES_ALL: list[str] = []


class Origin(models.TextChoices):
    ON_DEMAND = "on_demand", "On demand"
    POLICY = "policy", "Policy"
    FOUND = "found", "Found in the bucket"


class Backup(VeleroWish):
    """One backup of one cluster: one Velero Backup."""

    tenant_path = "project__tenant"
    project_path = "project"
    workspace_path = "workspace"
    listed_path = "cluster__workspaces"  # a workspace role shows name, state and date of any of its clusters'
    job = "backups.jobs.submit_backup"

    location = models.ForeignKey(BackupLocation, on_delete=models.PROTECT, related_name="backups")
    origin = models.CharField(max_length=20, choices=Origin.choices, default=Origin.ON_DEMAND)
    policy = models.ForeignKey(BackupPolicy, null=True, blank=True, on_delete=models.SET_NULL, related_name="backups")
    name = models.CharField("backup name", max_length=LONGEST_OBJECT_NAME, validators=[is_dns_label])
    object_name = models.CharField(max_length=LONGEST_OBJECT_NAME)
    found_in = models.ForeignKey(  # where a scan came upon it; none of what this console asked for
        FoundPlace, null=True, blank=True, on_delete=models.PROTECT, related_name="backups"
    )
    found_at = models.DateTimeField(null=True, blank=True)  # when a scan saw it last
    gone_at = models.DateTimeField(null=True, blank=True)  # when a scan saw it no longer
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
            models.UniqueConstraint(
                fields=["object_name"], condition=Q(found_in=None), name="backup_object_name_once_in_the_fleet"
            ),
            models.UniqueConstraint(fields=["found_in", "object_name"], name="backup_found_once_in_a_place"),
            models.CheckConstraint(condition=Q(state__in=list(State)), name="backup_state_is_known"),
            models.CheckConstraint(
                condition=Q(policy=None) | Q(origin=Origin.POLICY), name="what_a_policy_made_is_said_to_be"
            ),
            models.CheckConstraint(
                condition=Q(origin=Origin.FOUND, found_in__isnull=False, found_at__isnull=False)
                | (~Q(origin=Origin.FOUND) & Q(found_in=None, found_at=None, gone_at=None)),
                name="what_was_found_says_where",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_restorable(self) -> bool:
        """Whether it ended so that something can be restored from it, and is there still."""
        return self.state in lifecycle.RESTORABLE and self.gone_at is None
