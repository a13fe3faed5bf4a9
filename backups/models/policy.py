"""Backup policies: what is backed up when, as Velero Schedules that run while the console is down."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from backups import lifecycle, schedule
from backups.models.location import BackupLocation
from backups.models.wish import ClusterResources
from backups.schedule import Plan
from console.lib.errors import BadInput
from workspaces.models import Cluster, Project, Wish

PATIENCE = timedelta(hours=1)  # after a run is due its backup should have ended well


class Timing(models.TextChoices):
    """The labels are Palette's, word by word."""

    WEEKLY = schedule.Timing.WEEKLY.value, "Every week on Sunday at midnight"
    TWO_WEEKS = schedule.Timing.TWO_WEEKS.value, "Every two weeks at midnight"
    MONTHLY = schedule.Timing.MONTHLY.value, "Every month on the 1st at midnight"
    TWO_MONTHS = schedule.Timing.TWO_MONTHS.value, "Every two months on the 1st at midnight"
    CUSTOM = schedule.Timing.CUSTOM.value, "Custom"


class PolicyManager(models.Manager["BackupPolicy"]):
    """Without those that were deleted: their rows stay only for the backups they made."""

    def get_queryset(self) -> models.QuerySet[BackupPolicy]:
        return super().get_queryset().filter(deleted_at=None)


class BackupPolicy(models.Model):
    """A policy of one cluster: one Velero Schedule there.

    The first part is what people want; `version` is raised with every change of it. The second part is what is in the
    cluster: `put_version` is the version of the Schedule there, `drift` how it differs from that by others' hands.
    """

    tenant_path = "project__tenant"
    project_path = "project"
    noun = "policy"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="policies")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="policies")
    location = models.ForeignKey(BackupLocation, on_delete=models.PROTECT, related_name="policies")
    prefix = models.CharField("backup prefix", max_length=lifecycle.LONGEST_NAME)
    object_name = models.CharField(max_length=63, unique=True)
    submission = models.UUIDField(default=uuid.uuid4, unique=True)  # of the form: submitted twice, it makes one row
    timing = models.CharField("backup schedule", max_length=20, choices=Timing.choices, default=Timing.WEEKLY)
    time_zone = models.CharField(max_length=64, default="UTC")
    first_day = models.DateField(null=True, blank=True)  # of every two weeks
    month = models.PositiveSmallIntegerField(null=True, blank=True)  # these four of a custom schedule; None: every one
    day = models.PositiveSmallIntegerField(null=True, blank=True)
    hour = models.PositiveSmallIntegerField(null=True, blank=True)
    minute = models.PositiveSmallIntegerField(null=True, blank=True)
    keep_for = models.DurationField("period until expiry", default=timedelta(days=30))
    include_disks = models.BooleanField("include all disks", default=True)
    cluster_resources = models.CharField(max_length=10, choices=ClusterResources.choices, default=ClusterResources.AUTO)
    namespaces = models.JSONField(default=list, blank=True)  # empty: all
    paused = models.BooleanField(default=False)
    counts_from = models.DateTimeField(default=timezone.now)  # since when these are the runs it should have had
    version = models.PositiveIntegerField(default=1)
    created_by_name = models.CharField(max_length=254, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    deleting_at = models.DateTimeField(null=True, blank=True)  # since when its Schedule is being removed
    deleted_at = models.DateTimeField(null=True, blank=True)

    put_version = models.PositiveIntegerField(default=0)  # 0: none is there yet
    put_at = models.DateTimeField(null=True, blank=True)
    phase = models.CharField(max_length=60, blank=True)  # Velero's own word for the Schedule
    trouble = models.TextField(blank=True)  # what Velero says against it
    seen_at = models.DateTimeField(null=True, blank=True)
    next_run_at = models.DateTimeField(null=True, blank=True, db_index=True)  # by our reckoning; None: never, or paused
    drift = models.JSONField(default=list, blank=True)  # [{"what", "wanted", "found"}]; see reconcile/policy_drift.py
    drift_since = models.DateTimeField(null=True, blank=True)
    found = models.JSONField(null=True, blank=True)  # the Schedule as it differs; None: it does not, or is gone

    objects = PolicyManager()
    everything = models.Manager["BackupPolicy"]()

    class Meta:
        ordering = ["prefix"]
        verbose_name_plural = "backup policies"
        base_manager_name = "everything"  # a backup names the policy that made it, deleted or not
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "prefix"],
                condition=Q(deleted_at=None),
                name="policy_prefix_once_in_a_cluster",
                violation_error_message="This cluster has a policy with this prefix already.",
            ),
            models.CheckConstraint(
                condition=Q(timing=Timing.CUSTOM) | Q(month=None, day=None, hour=None, minute=None),
                name="only_a_custom_schedule_has_fields",
            ),
            models.CheckConstraint(
                condition=Q(timing=Timing.TWO_WEEKS, first_day__isnull=False)
                | (~Q(timing=Timing.TWO_WEEKS) & Q(first_day=None)),
                name="only_two_weeks_have_a_first_day",
            ),
        ]

    def __str__(self) -> str:
        return self.prefix

    def clean(self) -> None:
        """Names and schedules that Velero would accept and never carry out."""
        try:
            lifecycle.check_name(self.prefix, "prefix")
            schedule.check(self.plan)
        except BadInput as error:
            raise ValidationError({error.field or "__all__": error.sentence()}) from error

    @property
    def plan(self) -> Plan:
        """When it runs, for `backups.schedule`."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in ("month", "day", "hour", "minute", "first_day")}
        return Plan(timing=schedule.Timing(self.timing), zone=self.time_zone, **fields)

    @property
    def is_behind(self) -> bool:
        """Whether the cluster does not have the latest version."""
        return self.put_version != self.version

    def missed_run(self, last_good: datetime | None) -> datetime | None:
        """The first run since the last good backup, once that is more than PATIENCE ago; None while all is well."""
        if self.paused or self.deleting_at or not self.put_version:
            return None
        due = schedule.next_run(self.plan, max(filter(None, (last_good, self.counts_from))))
        return due if due and due + PATIENCE < timezone.now() else None

    def next_from_now(self) -> datetime | None:
        """The next run, as `next_run_at` has it."""
        waits = self.paused or self.deleting_at
        return None if waits else schedule.next_run(self.plan, timezone.now())


class PolicyChangeKind(models.TextChoices):
    PUT = "put", "Bring to the cluster"
    REMOVE = "remove", "Remove"


class PolicyChangeState(models.TextChoices):
    REQUESTED = "requested", "Requested"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    FORGOTTEN = "forgotten", "Left there"


class PolicyChange(Wish):
    """Bringing a policy to its cluster as it is now, or taking its Schedule away."""

    tenant_path = "policy__project__tenant"
    project_path = "policy__project"
    terminal = frozenset({PolicyChangeState.COMPLETED, PolicyChangeState.FAILED, PolicyChangeState.FORGOTTEN})
    job = "backups.jobs.change_policy"

    policy = models.ForeignKey(BackupPolicy, on_delete=models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=10, choices=PolicyChangeKind.choices)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["policy"], condition=Q(state=PolicyChangeState.REQUESTED), name="one_open_change_of_a_policy"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.policy}"
