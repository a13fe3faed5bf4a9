"""Locations over time: the console looks again by itself, and keeps since when and why one is unavailable.

1. Every LOCATION_CHECK_SECONDS a saved location is looked at up to the listing: endpoint, TLS, sign-in, bucket, region,
   list. Nothing is written: a probe object every few minutes would fill a bucket that keeps versions, could never be
   removed from one with locks, and costs requests. It is what Velero itself does every minute.
2. Writing, reading back and deleting is tried when somebody asks for it, and by itself only where the last such try did
   not pass and listing works now: without it nobody could say that the location is well again. Where that try may leave
   its object behind, because deleting is what fails, it is repeated once an hour at most.
3. A look that passes says Available only when the last full check passed as well, or nothing is ever written there.
4. Of a location the last KEPT checks stay, and the last full one.

What only a cluster can sign in to is not looked at from here.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from accounts import audit
from backups.models import BackupLocation, CheckState, LocationCheck, LocationState, SignIn
from console.lib.queue import enqueue

AT_ONCE = 20
KEPT = 20
LEAVING_EVERY = timedelta(hours=1)
_LEAVE_AN_OBJECT = {"read", "delete"}


def note(check: LocationCheck, state: LocationState, reason: str) -> None:
    """Store what a check of a saved location found, unless the location was changed while it ran."""
    location = check.location
    assert location is not None
    row = BackupLocation.objects.filter(pk=location.pk, credentials_version=location.credentials_version)
    now = timezone.now()
    row.update(checked_at=now, next_check_at=now + interval())
    if check.look_only and state == LocationState.AVAILABLE and not (location.read_only or _writes(location)):
        _ask_for_full(location)
    else:
        row.update(state=state, state_reason=reason, unavailable_since=_since(location, state))
    _purge(location)


def _since(location: BackupLocation, state: LocationState) -> object:
    if state != LocationState.UNAVAILABLE:
        return None
    return F("unavailable_since") if location.state == state and location.unavailable_since else timezone.now()


def interval() -> timedelta:
    """Between two looks of the console's own."""
    return timedelta(seconds=settings.LOCATION_CHECK_SECONDS)


def recheck_due() -> int:
    """Look at the locations whose time has come; how many. Of several reconcilers the first to move it sends."""
    now = timezone.now()
    due = BackupLocation.objects.filter(next_check_at__lte=now, deleting_at=None).exclude(sign_in=SignIn.STS_CLUSTER)
    sent = 0
    for location in due.select_related("project").order_by("next_check_at")[:AT_ONCE]:
        mine = BackupLocation.objects.filter(pk=location.pk, next_check_at=location.next_check_at)
        if mine.update(next_check_at=now + interval()):
            sent += _ask(location, look_only=True)
    return sent


def _ask(location: BackupLocation, *, look_only: bool) -> bool:
    """Unless one runs already."""
    if LocationCheck.objects.open().filter(location=location).exists():
        return False
    check = LocationCheck(project=location.project, location=location, look_only=look_only)
    check.requested_by_name = audit.SYSTEM
    check.save()
    enqueue(check.job, check.pk, check.attempt, queue="slow")
    return True


def last_full(location: BackupLocation) -> LocationCheck | None:
    """The last check that tried everything and has ended."""
    ended = LocationCheck.objects.filter(location=location, look_only=False, state__in=LocationCheck.terminal)
    found: LocationCheck | None = ended.order_by("-created_at").first()
    return found


def _writes(location: BackupLocation) -> bool:
    full = last_full(location)
    return full is not None and full.state == CheckState.COMPLETED


def _ask_for_full(location: BackupLocation) -> None:
    full = last_full(location)
    failed = {step["id"] for step in full.steps if step["outcome"] == "fail"} if full else set()
    recent = full is not None and full.created_at > timezone.now() - LEAVING_EVERY
    if not (recent and failed & _LEAVE_AN_OBJECT):
        _ask(location, look_only=False)


def _purge(location: BackupLocation) -> None:
    ended = LocationCheck.objects.filter(location=location, state__in=LocationCheck.terminal).order_by("-created_at")
    full = last_full(location)
    keep = [*ended.values_list("pk", flat=True)[:KEPT], *([full.pk] if full else [])]
    ended.filter(~Q(pk__in=keep)).delete()
