"""Asking to see something that lies in the bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from backups.models import Backup, Reading, ReadingKind, Restore
from backups.reconcile.reading import queue_of
from console.lib.errors import BadInput
from console.lib.queue import enqueue
from console.lib.rows import save_new
from console.lib.text import storable

LONGEST = {"kind": 200, "namespace": 63, "name": 253}


@transaction.atomic
def request_log(*, by: User, of: Backup | Restore) -> Reading:
    """Have a worker fetch the log for this person."""
    require(by, of, Verb.BACKUP_LOG)
    return _requested(by, of, ReadingKind.LOG, "log")


@transaction.atomic
def request_contents(*, by: User, of: Backup) -> Reading:
    """Have a worker list the backup's objects for this person."""
    require(by, of, Verb.BACKUP_CONTENTS)
    return _requested(by, of, ReadingKind.CONTENTS, "contents")


@transaction.atomic
def request_object(*, by: User, of: Backup, subject: Mapping[str, str], revealed: bool = False) -> Reading:
    """Have a worker fetch one object for this person: {"kind", "namespace", "name"} as the list has them.

    `revealed`: with values, if it is a Secret. Whether they signed in recently is asked by the page.
    """
    require(by, of, Verb.BACKUP_CONTENTS)
    texts = {part: storable(subject[part]) for part in LONGEST}
    if not (texts["kind"] and texts["name"]) or any(len(texts[part]) > most for part, most in LONGEST.items()):
        raise BadInput("There is no such object in a backup.")
    verb, told = "reveal" if revealed else "object", {"object": "/".join(filter(None, texts.values()))}
    return _requested(by, of, ReadingKind.OBJECT, verb, told, subject=texts, revealed=revealed)


@transaction.atomic
def request_archive(*, by: User, of: Backup) -> Reading:
    """Have a worker fetch all of the backup's objects as a file for this person. As to the sign-in, see above."""
    require(by, of, Verb.BACKUP_CONTENTS)
    return _requested(by, of, ReadingKind.ARCHIVE, "download")


def _requested(
    by: User, of: Backup | Restore, kind: ReadingKind, verb: str, details: dict[str, str] | None = None, **values: Any
) -> Reading:
    reading = Reading(
        project=of.project,
        backup=of if isinstance(of, Backup) else None,
        restore=of if isinstance(of, Restore) else None,
        kind=kind,
        requested_by=by,
        requested_by_name=str(by),
        **values,
    )
    save_new(reading)
    audit.record(by=by, verb=f"{of._meta.model_name}.{verb}", target=of, **details or {})
    enqueue(reading.job, reading.pk, reading.attempt, queue=queue_of(reading))
    return reading
