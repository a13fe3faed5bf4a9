"""Asking to see something that lies in the bucket."""

from __future__ import annotations

from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from backups.models import Backup, Reading, Restore
from console.lib.queue import enqueue
from console.lib.rows import save_new


@transaction.atomic
def request_log(*, by: User, of: Backup | Restore) -> Reading:
    """Have a worker fetch the log for this person."""
    require(by, of, Verb.BACKUP_LOG)
    reading = Reading(
        project=of.project,
        backup=of if isinstance(of, Backup) else None,
        restore=of if isinstance(of, Restore) else None,
        requested_by=by,
        requested_by_name=str(by),
    )
    save_new(reading)
    audit.record(by=by, verb=f"{of._meta.model_name}.log", target=of)
    enqueue(reading.job, reading.pk, reading.attempt, queue="interactive")
    return reading
