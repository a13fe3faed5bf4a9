"""Looking for backups in a location's bucket."""

from __future__ import annotations

from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from backups.actions.location import locked
from backups.models import BackupLocation, LocationScan
from console.lib.errors import BadInput
from console.lib.queue import enqueue
from console.lib.rows import save_new

KEPT = 20


@transaction.atomic
def request_scan(*, by: User, location: BackupLocation) -> LocationScan:
    """Have the bucket looked through; while that runs, asking again changes nothing.

    Raises BadInput where the console cannot sign in itself, or the location is being deleted.
    """
    require(by, location, Verb.LOCATION_UPDATE)
    row = locked(location)
    running: LocationScan | None = LocationScan.objects.open().filter(location=row).first()
    if running:
        return running
    if not row.is_checkable:
        raise BadInput(
            "Only a cluster can sign in here, so the console cannot look into the bucket.",
            remedy="Open the bucket once more, with keys that the console may use.",
        )
    scan = LocationScan(location=row, requested_by=by, requested_by_name=str(by))
    save_new(scan)
    audit.record(by=by, verb="location.scan", target=row, bucket=row.bucket, prefix=row.prefix)
    _forget_old(row)
    enqueue(scan.job, scan.pk, scan.attempt, queue="slow")
    return scan


def _forget_old(location: BackupLocation) -> None:
    ended = LocationScan.objects.filter(location=location, state__in=LocationScan.terminal).order_by("-created_at")
    LocationScan.objects.filter(pk__in=list(ended.values_list("pk", flat=True)[KEPT:])).delete()
