"""Drafts of locations that were never saved: they hold keys, so they do not stay."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from backups.models import LocationCheck

LIVES = timedelta(hours=24)


def purge_drafts() -> int:
    """Remove drafts that are a day old. How many."""
    old = LocationCheck.objects.filter(location=None, created_at__lt=timezone.now() - LIVES)
    return old.delete()[0]
