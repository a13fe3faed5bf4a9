"""Project Settings > Backup locations: the list, and one location's page."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, Prefetch, Q
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, get_or_404, held_in, visible
from backups.actions import location_draft as drafts
from backups.actions.location_delete import policies_with
from backups.models import (
    Access,
    BackupLocation,
    ChangeKind,
    LocationChange,
    LocationCheck,
    LocationScan,
    PlacedLocation,
)
from backups.views.lists import PAGE
from console.lib.certificates import CertificateFacts, read_bundle
from console.lib.errors import BadInput
from console.lib.live import page_response
from workspaces.known import project_or_404
from workspaces.models import Cluster, Project

PLACES = Prefetch("placed", PlacedLocation.objects.select_related("cluster", "source").order_by("cluster__name"))
SHOWN_CHECKS = 10


@require_GET
def project_settings(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    """Project Settings begins with the backup locations."""
    here = project_of(request, project, Verb.LOCATION_GET)
    return redirect("location_list", here.pk)


@require_GET
def location_list(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    """The project's locations, with what the console and each cluster's Velero say of them."""
    here, search = project_of(request, project, Verb.LOCATION_GET), request.GET.get("q", "").strip()
    running = LocationCheck.objects.open().filter(location=OuterRef("pk"))
    rows = visible(request.user, BackupLocation.objects.filter(project=here), Verb.LOCATION_GET)
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(bucket__icontains=search) | Q(s3_url__icontains=search))
    rows = rows.annotate(validating=Exists(running)).prefetch_related(PLACES)
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context = context_of(here) | {
        "page": page,
        "search": search,
        "may_add": may_in(request, here, Verb.LOCATION_CREATE),
    }
    context |= _allowed(request, here)
    busy = any(location.validating or location.deleting_at for location in page)
    return page_response(request, "backups/location_list.html", "rows", context, busy=busy)


@require_GET
def location_detail(request: AuthenticatedHttpRequest, location: uuid.UUID) -> HttpResponse:
    """One location: what it is, what the console found, what each cluster's Velero says."""
    here = location_of(request, location, Verb.LOCATION_GET)
    check = here.checks.filter(look_only=False).first()
    places, backups = _places(here)
    context = context_of(here.project) | {
        "location": here,
        "check": check,
        "steps": drafts.steps_of(check),
        "checks": _ended(here),
        "places": places,
        "backups": backups,
        "behind": sum(place.is_behind for place in places),
        "leaving": _leaving(here),
        "policies": policies_with(here),
        "certificates": _certificates(here),
        "scan": here.scans.first(),
        "found": here.found_places.filter(backups__gone_at=None, backups__isnull=False).exists,  # asked if shown
        **_allowed(request, here.project),
    }
    busy = (
        runs(check)
        or bool(here.deleting_at)
        or _is_scanned(here)
        or any(place.change and place.change.is_open for place in places)
    )
    return page_response(request, "backups/location_detail.html", "live", context, busy=busy)


@require_POST
def location_recheck(request: AuthenticatedHttpRequest, location: uuid.UUID) -> HttpResponse:
    """*Validate* on a saved location."""
    here = location_of(request, location, Verb.LOCATION_UPDATE)
    drafts.recheck(by=request.user, location=here)
    return redirect("location_detail", here.pk)


@dataclass(frozen=True)
class Place:
    """A location in one cluster. `placed` is None where a backup was asked for and Velero has not heard of it yet."""

    cluster: Cluster
    placed: PlacedLocation | None
    backups: int
    change: LocationChange | None = None  # the last there was

    @property
    def is_behind(self) -> bool:
        """Whether the cluster has not heard yet of what was edited."""
        return self.placed is not None and self.placed.is_behind

    @property
    def folder(self) -> str:
        """The cluster's own place, below the location's prefix."""
        return "…" + self.placed.prefix.removeprefix(self.placed.location.prefix) if self.placed else ""


def _places(location: BackupLocation) -> tuple[list[Place], int]:
    """Every cluster that uses the location, and how many backups there are."""
    by_cluster = location.backups.filter(found_in=None).order_by().values_list("cluster_id").annotate(count=Count("pk"))
    counted = Counter(dict(by_cluster))
    placed = location.placed.select_related("cluster", "source").order_by("cluster__name", "access", "source__name")
    changes = _last_changes(location, ChangeKind.ROLL_OUT)
    places = [Place(row.cluster, row, counted[row.source_id], changes.get(row.cluster_id)) for row in placed]
    writers = {place.cluster.pk for place in places if place.placed and place.placed.access == Access.READ_WRITE}
    waiting = Cluster.objects.filter(pk__in=set(counted) - writers)
    return [*places, *(Place(cluster, None, counted[cluster.pk]) for cluster in waiting)], counted.total()


def _last_changes(location: BackupLocation, kind: ChangeKind) -> dict[uuid.UUID, LocationChange]:
    """By cluster."""
    rows = location.changes.filter(kind=kind).select_related("cluster").order_by("created_at")
    return {row.cluster_id: row for row in rows}


def _leaving(location: BackupLocation) -> list[LocationChange]:
    """What has come of taking the location out of each of its clusters."""
    found = _last_changes(location, ChangeKind.REMOVE).values() if location.deleting_at else ()
    return sorted(found, key=lambda change: change.cluster.name)


def _ended(location: BackupLocation) -> list[LocationCheck]:
    return list(location.checks.filter(state__in=LocationCheck.terminal)[:SHOWN_CHECKS])


def _is_scanned(location: BackupLocation) -> bool:
    return LocationScan.objects.open().filter(location=location).exists()


def _allowed(request: AuthenticatedHttpRequest, project: Project) -> dict[str, bool]:
    may_change = may_in(request, project, Verb.LOCATION_UPDATE)
    return {"may_change": may_change, "may_delete": may_in(request, project, Verb.LOCATION_DELETE)}


def _certificates(location: BackupLocation) -> list[CertificateFacts]:
    try:
        return read_bundle(location.ca_certificate) if location.ca_certificate else []
    except BadInput:
        return []


def context_of(project: Project) -> dict[str, Any]:
    return {"project": project, "section": "settings"}


def runs(check: LocationCheck | None) -> bool:
    return check is not None and check.is_open


def may_in(request: AuthenticatedHttpRequest, project: Project, verb: Verb) -> bool:
    return verb in held_in(request).verbs_on(project)


def project_of(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> Project:
    return project_or_404(request, pk, verb)


def location_of(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> BackupLocation:
    return get_or_404(request.user, BackupLocation.objects.select_related("project__tenant"), verb, pk)
