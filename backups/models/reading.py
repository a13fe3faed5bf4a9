"""What a person has read from a cluster or a bucket: logs, contents, and the volumes a backup would hold."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from backups.models.backup import Backup
from backups.models.location import CheckState
from backups.models.restore import Restore
from backups.models.wish import ClusterResources
from workspaces.models import Cluster, Project, Wish


class ReadingKind(models.TextChoices):
    LOG = "log", "Log"
    CONTENTS = "contents", "Contents"  # the list of a backup's objects
    OBJECT = "object", "Object"  # one of them
    ARCHIVE = "archive", "Archive"  # all of them, as the file they lie in


class Reading(Wish):
    """One person's look at something in the bucket. A worker puts it, encrypted, into the spool for a few minutes."""

    tenant_path = "project__tenant"
    project_path = "project"
    terminal = frozenset({CheckState.COMPLETED, CheckState.FAILED})
    job = "backups.jobs.read"
    most_attempts = 3

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    backup = models.ForeignKey(Backup, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    restore = models.ForeignKey(Restore, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=ReadingKind.choices, default=ReadingKind.LOG)
    subject = models.JSONField(default=dict, blank=True)  # which object: {"kind", "namespace", "name"}, then "secret"
    revealed = models.BooleanField(default=False)  # with the values of a Secret
    lines = models.PositiveIntegerField(default=0)  # so far; of a list, objects
    size = models.PositiveBigIntegerField(default=0)  # bytes so far, of an archive

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(backup__isnull=False, restore__isnull=True) | Q(backup__isnull=True, restore__isnull=False),
                name="reading_of_a_backup_or_a_restore",
            ),
            models.CheckConstraint(
                condition=Q(kind=ReadingKind.LOG) | Q(restore__isnull=True), name="contents_are_those_of_a_backup"
            ),
            models.CheckConstraint(
                condition=Q(kind=ReadingKind.OBJECT) | Q(revealed=False), name="only_an_object_is_revealed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.backup or self.restore}"


class VolumePreview(Wish):
    """What a backup would do with each volume of a cluster, looked up by a worker before the backup is asked for."""

    tenant_path = "project__tenant"
    project_path = "project"
    terminal = frozenset({CheckState.COMPLETED, CheckState.FAILED})
    job = "backups.jobs.preview_volumes"
    most_attempts = 3

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    namespaces = models.JSONField(default=list, blank=True)  # empty: all
    include_disks = models.BooleanField(default=True)
    cluster_resources = models.CharField(max_length=10, choices=ClusterResources.choices, default=ClusterResources.AUTO)
    plan = models.JSONField(default=dict, blank=True)  # see reconcile/volumes.py for the shape

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"volumes of {self.cluster}"
