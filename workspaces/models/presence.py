"""Which reconcilers are alive, so that they share the clusters evenly."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils import timezone


class PresenceQuerySet(models.QuerySet["Presence"]):
    def announce(self, holder: str, seconds: float) -> int:
        """Say that `holder` is alive for the next `seconds`; how many are."""
        self.update_or_create(holder=holder, defaults={"until": timezone.now() + timedelta(seconds=seconds)})
        self.filter(until__lt=timezone.now()).delete()
        return self.count()

    def leave(self, holder: str) -> None:
        """`holder` ends."""
        self.filter(holder=holder).delete()


class Presence(models.Model):
    """One reconciler that is alive, until it says so again or its time runs out."""

    holder = models.CharField(max_length=64, primary_key=True)
    until = models.DateTimeField()

    objects = PresenceQuerySet.as_manager()

    def __str__(self) -> str:
        return self.holder
