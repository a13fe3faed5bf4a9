"""What a worker has read from a bucket for one person, and is in the spool still."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeGuard

from django.utils import timezone

from accounts.models import AuthenticatedHttpRequest
from backups.models import Backup, Reading, ReadingKind, Restore
from console.lib import spool

FIRST_WITHIN = timedelta(seconds=2)
HELD = 0.3  # seconds for which an answer waits for what comes first, which is there in a third of it


def own(request: AuthenticatedHttpRequest, wish: Backup | Restore, kind: ReadingKind, **more: Any) -> Reading | None:
    """This person's newest look of that kind; the answer waits a moment for the first of it."""
    since = timezone.now() - timedelta(seconds=spool.LIVES)
    of = {wish._meta.model_name or "": wish}
    mine = Reading.objects.filter(requested_by=request.user, created_at__gt=since, kind=kind, **of, **more)
    reading: Reading | None = mine.first()
    if just_asked(reading):
        spool.wait_for_first(reading.pk, HELD)
    return reading


def just_asked(reading: Reading | None) -> TypeGuard[Reading]:
    """Whether the first of it is due any moment."""
    if reading is None or not reading.is_open or reading.lines:
        return False
    return timezone.now() - reading.created_at < FIRST_WITHIN


def stamp(reading: Reading | None) -> str:
    """Another one as soon as more of it is there."""
    return f"{reading.pk}.{reading.state}.{reading.lines}.{reading.size}" if reading else ""
