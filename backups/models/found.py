"""What a look into a bucket brought to light: backups that nobody asked this console for."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from backups.models.location import LONGEST_PREFIX, BackupLocation, CheckState
from workspaces.models import Cluster, Wish


class FoundPlace(models.Model):
    """A folder of a bucket in which a scan found backups.

    `source` stands for whoever wrote them: a row of its own that is no registered cluster, even where the cluster that
    once wrote there is known, so that what is found never mixes with what this console asked for.
    """

    tenant_path = "location__project__tenant"
    project_path = "location__project"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    location = models.ForeignKey(BackupLocation, on_delete=models.CASCADE, related_name="found_places")
    prefix = models.CharField(max_length=LONGEST_PREFIX, blank=True)  # where `backups/` lies; empty: the root
    source = models.OneToOneField(Cluster, on_delete=models.PROTECT, related_name="found_place")
    known = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")  # by its uid
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["prefix"]
        constraints = [models.UniqueConstraint(fields=["location", "prefix"], name="place_found_once_in_a_location")]

    def __str__(self) -> str:
        return self.prefix or "the root of the bucket"


class LocationScan(Wish):
    """Looking for backups in a location's bucket; `cursor` says where to go on (reconcile/scan.py)."""

    tenant_path = "location__project__tenant"
    project_path = "location__project"
    terminal = frozenset({CheckState.COMPLETED, CheckState.FAILED})
    job = "backups.jobs.scan_location"
    most_attempts = 400  # each a few seconds long

    location = models.ForeignKey(BackupLocation, on_delete=models.CASCADE, related_name="scans")
    cursor = models.JSONField(default=dict, blank=True)
    requests = models.PositiveIntegerField(default=0)  # so far, to the store
    places = models.PositiveIntegerField(default=0)
    found = models.PositiveIntegerField(default=0)  # that were not known before
    known = models.PositiveIntegerField(default=0)
    gone = models.PositiveIntegerField(default=0)
    odd = models.PositiveIntegerField(default=0)  # that could not be read as a backup
    oddities = models.JSONField(default=list, blank=True)  # [{"key", "reason"}] of the first ones
    unseen = models.TextField(blank=True)  # what a bound kept from being looked at, as sentences

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["location"], condition=Q(state=CheckState.REQUESTED), name="one_open_scan_of_a_location"
            )
        ]

    def __str__(self) -> str:
        return f"scan of {self.location}"
