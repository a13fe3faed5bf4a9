"""Backups that lie in a location's bucket and that nobody asked for here: scanning for them, and what was found."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, visible
from backups.actions.location_scan import request_scan
from backups.lifecycle import RESTORABLE
from backups.models import Backup, BackupLocation, LocationScan
from backups.views.lists import Groups, light, listing
from backups.views.location import context_of, location_of, may_in
from console.lib.errors import BadInput
from console.lib.live import page_response

GROUPS: Groups = {
    "restorable": ("Can be restored", Q(state__in=RESTORABLE, gone_at=None)),
    "trouble": ("Cannot be restored", ~Q(state__in=RESTORABLE) & Q(gone_at=None)),
    "gone": ("Gone since", Q(gone_at__isnull=False)),
}


@require_GET
def location_found(request: AuthenticatedHttpRequest, location: uuid.UUID) -> HttpResponse:
    """What scans found, by place; the newest first in each."""
    here = location_of(request, location, Verb.LOCATION_GET)
    there = light(Backup.objects.filter(location=here, found_in__isnull=False), "found_in__known", "cluster")
    mine = visible(request.user, there, Verb.BACKUP_GET).order_by("found_in__prefix", "-created_at", "pk")
    found = listing(request, mine, "name", "found_in__prefix", "cluster__name", groups=GROUPS)
    scan = here.scans.first()
    context = context_of(here.project) | {"location": here, "list": found, "scan": scan, "sums": sums(here)}
    context["may_change"] = may_in(request, here.project, Verb.LOCATION_UPDATE)
    return page_response(request, "backups/location_found.html", "rows", context, busy=is_scanned(scan))


@require_POST
def location_scan(request: AuthenticatedHttpRequest, location: uuid.UUID) -> HttpResponse:
    """*Scan*: have the bucket looked through."""
    here = location_of(request, location, Verb.LOCATION_UPDATE)
    try:
        request_scan(by=request.user, location=here)
    except BadInput as error:
        messages.error(request, error.sentence())
        return redirect("location_detail", here.pk)
    return redirect("location_found", here.pk)


def is_scanned(scan: LocationScan | None) -> bool:
    """Whether a scan is under way."""
    return scan is not None and scan.is_open


def sums(location: BackupLocation) -> dict[str, Any]:
    """How many were found in how many places, and how many of them can be restored."""
    rows = Backup.objects.filter(location=location, found_in__isnull=False, gone_at=None).order_by()
    return rows.aggregate(
        backups=Count("pk"),
        restorable=Count("pk", filter=Q(state__in=RESTORABLE)),
        places=Count("found_in", distinct=True),
    )
