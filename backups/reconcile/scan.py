"""Looking for backups in a location's bucket, and making rows of what is found: the way back after a disaster.

1. Folders below the location's prefix are listed, nearest first, `DEEPEST` levels down. One in which `backups/` holds
   something of Velero's own shape is a place: a FoundPlace row with a stand-in for the cluster that wrote there.
2. In each place the folders of backups are gone through in the order of their keys. One that has no row becomes one,
   from its `velero-backup.json`; one that has is noted as seen; what this console asked for itself is only counted.
   What cannot be read as a backup is counted with its reason, and stops nothing.
3. When a place is through, rows that were not seen are marked as gone. Nothing is ever removed, here or in the bucket.
4. `cursor` says where to go on. After SLICE seconds the row is let go of and sent again, so that a scan holds no worker
   for long; a worker that dies costs what it did since its last write, and doing that again changes nothing.
5. Bounds on folders, places, backups and time end a scan early. It says so, and marks nothing as gone then.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit
from backups import storage
from backups.models import Backup, CheckState, FoundPlace, LocationScan
from backups.reconcile import found
from backups.reconcile.location import target_at
from backups.reconcile.submission import pause
from backups.storage import FoundFolder, StorageTarget
from backups.storage.scan import VELEROS
from console.lib import context, outbound
from console.lib.errors import ConsoleError, NotPermitted, Refused, SignInRefused, TryLater, Unanswered, clip
from console.lib.queue import enqueue
from workspaces.models import Overtaken

log = structlog.get_logger(__name__)

SLICE = 8.0  # seconds
WRITE_EVERY = 1.0
BATCH = 10  # backups that are looked up and written together
DEEPEST = 4  # levels below the location's prefix
MOST_WAITING = 5_000  # folders at a time
MOST_REQUESTS = 30_000
MOST_PLACES = 5_000
MOST_BACKUPS = 50_000
LONGEST = timedelta(hours=1)
SHOWN_ODDITIES = 50
PATIENCE = 8  # times that a store may be out of reach


class _Enough(Exception):
    """A bound is reached; the text is for a person."""


def scan(row: LocationScan) -> None:
    """Go on with a scan for one slice."""
    with _explained(row):
        until = time.monotonic() + SLICE
        try:
            done = _look_for_places(row, until) and _look_into_places(row, until)
        except _Enough as bound:
            row.unseen, done = str(bound), True
        if done:
            _finish(row)
        else:
            row.write(**_progress(row), due_at=timezone.now())
            enqueue(row.job, row.pk, row.attempt, queue="slow")


@contextmanager
def _explained(row: LocationScan) -> Iterator[None]:
    """Whatever goes wrong inside ends in a state of the row and a sentence for a person."""
    try:
        yield
    except Overtaken:
        log.info("overtaken", row=str(row.pk))
    except (TryLater, Unanswered) as error:
        failures = row.cursor["failures"] = row.cursor.get("failures", 0) + 1
        patient = failures < PATIENCE
        _quietly(row.write, **_progress(row), **(_again(failures, error) if patient else _failed(error)))
    except ConsoleError as error:
        _quietly(row.write, **_progress(row), **_failed(error))
    except Exception:
        said = f"Something went wrong, reference {context.current().id}; trying again."
        _quietly(row.wait, pause(row.attempt), said)
        raise


def _again(failures: int, error: ConsoleError) -> dict[str, Any]:
    wait = max(getattr(error, "retry_after", 0.0), pause(failures))
    return {"due_at": timezone.now() + timedelta(seconds=wait), "message": error.sentence()}


def _failed(error: ConsoleError) -> dict[str, Any]:
    return {"state": CheckState.FAILED, "message": error.sentence()}


def _quietly(write: Callable[..., None], *args: Any, **values: Any) -> None:
    with contextlib.suppress(Overtaken):
        write(*args, **values)


def _progress(row: LocationScan) -> dict[str, Any]:
    names = ("cursor", "requests", "places", "found", "known", "gone", "odd", "oddities", "unseen")
    return {name: getattr(row, name) for name in names}


def _hold(row: LocationScan) -> None:
    """Write how far it is, and keep the row for another lease. Raises Overtaken."""
    lease = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
    row.write(**_progress(row), due_at=lease, message="")


def _note_odd(row: LocationScan, key: str, reason: str) -> None:
    row.odd += 1
    if len(row.oddities) < SHOWN_ODDITIES:
        row.oddities = [*row.oddities, {"key": clip(key, 200), "reason": clip(reason)}]


def _refuse_too_much(row: LocationScan) -> None:
    if row.requests > MOST_REQUESTS:
        raise _Enough(f"The scan ended after {MOST_REQUESTS:,} requests; choose a longer prefix to see the rest.")
    if timezone.now() - row.created_at > LONGEST:
        raise _Enough("The scan ended after an hour. Scan again: what is known by now takes less time.")
    if row.found + row.known > MOST_BACKUPS:
        raise _Enough(f"The scan ended after {MOST_BACKUPS:,} backups; choose a longer prefix to see the rest.")


# Places


def _look_for_places(row: LocationScan, until: float) -> bool:
    """Go through the folders that wait, each [prefix, depth, where to go on]. Whether none is left."""
    waiting = row.cursor.setdefault("folders", [[row.location.prefix.strip("/"), 0, ""]])
    target, written = target_at(row.location), time.monotonic()
    while waiting:
        _refuse_too_much(row)
        _look_at_folder(row, target, waiting)
        if time.monotonic() - written > WRITE_EVERY:
            _hold(row)
            written = time.monotonic()
        if time.monotonic() > until:
            return not waiting
    return True


def _look_at_folder(row: LocationScan, target: StorageTarget, waiting: list[Any]) -> None:
    prefix, depth, token = waiting[0]
    page = storage.folders_below(target, prefix, outbound.policy(), token)
    row.requests += 1
    if "backups" in page.names and _is_place(row, target, prefix):
        _note_place(row, prefix)
    here = row.location.found_places.filter(prefix=prefix, seen_at__gte=row.created_at).exists()
    below = [f"{prefix}/{name}".strip("/") for name in page.names if not (here and name in VELEROS)]
    waiting[:1] = [[prefix, depth, page.token]] if page.token else []
    if depth < DEEPEST:
        _let_wait(row, waiting, below, depth + 1)


def _is_place(row: LocationScan, target: StorageTarget, prefix: str) -> bool:
    row.requests += 1
    return storage.is_place(target, prefix, outbound.policy())


def _let_wait(row: LocationScan, waiting: list[Any], below: list[str], depth: int) -> None:
    good = [prefix for prefix in below if storage.can_be_a_place(prefix)]
    for prefix in set(below) - set(good):
        _note_odd(row, prefix, "Velero cannot be pointed to a folder of this name.")
    room = MOST_WAITING - len(waiting)
    if len(good) > room:
        row.unseen = f"More than {MOST_WAITING:,} folders lie side by side; not all were looked at."
    waiting.extend([prefix, depth, ""] for prefix in good[: max(room, 0)])


def _note_place(row: LocationScan, prefix: str) -> None:
    if row.places >= MOST_PLACES:
        raise _Enough(f"The scan ended after {MOST_PLACES:,} places; choose a longer prefix to see the rest.")
    found.note_place(row.location, prefix)
    row.places += 1


# Backups


def _look_into_places(row: LocationScan, until: float) -> bool:
    """Go through the places that were found, in order; whether all of them are through."""
    while place := _next_place(row):
        if not _look_into(row, place, until):
            return False
        row.cursor |= {"through": place.prefix, "after": ""}
        _mark_gone(row, Backup.objects.filter(found_in=place))
        _hold(row)
    return True


def _next_place(row: LocationScan) -> FoundPlace | None:
    seen = row.location.found_places.filter(seen_at__gte=row.created_at).order_by("prefix")
    if "through" in row.cursor:
        seen = seen.filter(prefix__gt=row.cursor["through"])
    place: FoundPlace | None = seen.select_related("source", "location__project").first()
    return place


def _look_into(row: LocationScan, place: FoundPlace, until: float) -> bool:
    """Whether the end of the place was reached."""
    target = target_at(row.location, place.prefix)
    after = row.cursor.get("after", "")
    folders = storage.backup_folders(target, place.prefix, outbound.policy(), after=after)
    while batch := list(islice(folders, BATCH)):
        _refuse_too_much(row)
        _take_in(row, place, target, batch)
        if time.monotonic() > until:
            return False
    return True


def _take_in(row: LocationScan, place: FoundPlace, target: StorageTarget, batch: list[FoundFolder]) -> None:
    """Make or renew the rows of some folders. Raises Overtaken, and nothing is written then."""
    good = [folder for folder in batch if _may_be_one(row, place, folder)]
    catalogue = found.Catalogue.of(place, [folder.name for folder in good])
    unknown = []
    for folder in good:
        if catalogue.knows(folder):
            row.known += 1
        elif report := _read(row, place, target, folder):
            unknown.append((folder, report))
    row.requests += len(unknown) + sum(folder.requests for folder in batch)
    row.cursor["after"] = batch[-1].last
    with transaction.atomic():
        made = catalogue.store(unknown)
        row.found += made
        row.known += len(unknown) - made
        _hold(row)


def _may_be_one(row: LocationScan, place: FoundPlace, folder: FoundFolder) -> bool:
    why = ""
    if folder.is_file:
        why = "This is an object and no folder of a backup."
    elif not storage.can_be_a_backup(folder.name):
        why = "No backup of Velero can have this name."
    elif folder.is_huge:
        why = "There are thousands of objects in it, which no backup has."
    elif not folder.has_metadata:
        why = "There is no velero-backup.json: Velero has not finished it, or somebody removed a part of it."
    if why:
        _note_odd(row, f"{storage.backups_folder(place.prefix)}{folder.name}", why)
    return not why


def _read(row: LocationScan, place: FoundPlace, target: StorageTarget, folder: FoundFolder) -> dict[str, Any] | None:
    """The Backup object; None, and counted, when it cannot be read as one."""
    try:
        return storage.fetch_backup_object(target, place.prefix, folder.name, outbound.policy())
    except (SignInRefused, NotPermitted):
        raise  # it will be the same with every other one
    except Refused as error:
        _note_odd(row, storage.backup_metadata_key(place.prefix, folder.name), error.message)
        return None


# Ending


def _mark_gone(row: LocationScan, backups: Any) -> None:
    row.gone += backups.filter(found_at__lt=row.created_at, gone_at=None).update(gone_at=timezone.now())


def _finish(row: LocationScan) -> None:
    with transaction.atomic():
        if not row.unseen:
            vanished = row.location.found_places.filter(seen_at__lt=row.created_at)
            _mark_gone(row, Backup.objects.filter(found_in__in=vanished))
        row.cursor = {}
        row.write(**_progress(row), state=CheckState.COMPLETED, message="")
        counts = {name: getattr(row, name) for name in ("places", "found", "known", "gone", "odd")}
        audit.record(by=None, verb="location.scanned", target=row.location, **counts)
