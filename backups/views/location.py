"""Project Settings > Backup locations: the list, adding one, one location's page."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, Prefetch, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, get_or_404, held_in, visible
from backups.actions import location_draft as drafts
from backups.actions.location import default_prefix
from backups.forms.location import SECRETS, LocationForm
from backups.models import Access, BackupLocation, LocationCheck, PlacedLocation
from backups.views.lists import PAGE
from backups.views.location_help import SHOWN, Help
from console.lib.certificates import CertificateFacts, read_bundle
from console.lib.errors import BadInput
from console.lib.live import page_response
from workspaces.models import Cluster, Project

PLACES = Prefetch("placed", PlacedLocation.objects.select_related("cluster", "source").order_by("cluster__name"))
SAVE, SAVE_ANYWAY, KEEP, DISCARD = "save", "save_anyway", "keep", "discard"


@require_GET
def project_settings(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    """Project Settings begins with the backup locations."""
    here = _project(request, project, Verb.LOCATION_GET)
    return redirect("location_list", here.pk)


@require_GET
def location_list(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    """The project's locations, with what the console and each cluster's Velero say of them."""
    here, search = _project(request, project, Verb.LOCATION_GET), request.GET.get("q", "").strip()
    running = LocationCheck.objects.open().filter(location=OuterRef("pk"))
    rows = visible(request.user, BackupLocation.objects.filter(project=here), Verb.LOCATION_GET)
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(bucket__icontains=search) | Q(s3_url__icontains=search))
    rows = rows.annotate(validating=Exists(running)).prefetch_related(PLACES)
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context = _context(here) | {"page": page, "search": search, "may_add": _may(request, here, Verb.LOCATION_CREATE)}
    context["may_validate"] = _may(request, here, Verb.LOCATION_UPDATE)
    busy = any(location.validating for location in page)
    return page_response(request, "backups/location_list.html", "rows", context, busy=busy)


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("access_key", "secret_key", "service_account")
def location_create(
    request: AuthenticatedHttpRequest, project: uuid.UUID, draft: uuid.UUID | None = None
) -> HttpResponse:
    """The form, alone or as it was when `draft` was asked for. POST has it tried, saves it or drops it."""
    here = _project(request, project, Verb.LOCATION_CREATE)
    check = drafts.own_draft(by=request.user, project=here, pk=draft) if draft else None
    if check and check.location_id:
        return redirect("location_detail", check.location_id)
    if request.method == "POST":
        return _posted(request, here, check)
    form = LocationForm(default_prefix=default_prefix(here), kept=drafts.typed_in(check))
    other = None if check else drafts.unfinished(by=request.user, project=here)
    context = _form_context(here, form, check) | {"unfinished": other}
    return page_response(request, "backups/location_create.html", "validation", context, busy=_runs(check))


def _posted(request: AuthenticatedHttpRequest, project: Project, check: LocationCheck | None) -> HttpResponse:
    wish = request.POST.get("do", "")
    if wish == DISCARD and check:
        drafts.discard(check=check)
        return redirect("location_list", project.pk)
    form = LocationForm(
        request.POST, request.FILES, default_prefix=default_prefix(project), kept=drafts.typed_in(check)
    )
    if wish == KEEP:
        return _keep(request, project, form, check)
    if wish in (SAVE, SAVE_ANYWAY) and check and _still_says(form, check):
        return _save(request, form, check, unvalidated=wish == SAVE_ANYWAY)
    return _validate(request, project, form, check)


def _keep(
    request: AuthenticatedHttpRequest, project: Project, form: LocationForm, check: LocationCheck | None
) -> HttpResponse:
    """What static/js/location.js sends as fields are left. Answers where the draft is now."""
    if not (check and _still_says(form, check)):
        form.full_clean()
        check = drafts.keep(by=request.user, project=project, typed=form.typed(), earlier=check)
    return HttpResponse(status=204, headers={"Draft-Location": reverse("location_draft", args=[project.pk, check.pk])})


def _still_says(form: LocationForm, check: LocationCheck) -> bool:
    return form.is_valid() and drafts.is_as_tried(check, form.typed())


def _save(
    request: AuthenticatedHttpRequest, form: LocationForm, check: LocationCheck, *, unvalidated: bool
) -> HttpResponse:
    try:
        name = form.cleaned_data["name"]
        location = drafts.save(by=request.user, check=check, name=name, unvalidated=unvalidated)
    except BadInput as error:
        return _refused(request, form.again(error), check)
    messages.success(request, f"The backup location {location.name} was added.")
    return redirect("location_detail", location.pk)


def _validate(
    request: AuthenticatedHttpRequest, project: Project, form: LocationForm, earlier: LocationCheck | None
) -> HttpResponse:
    """Also where *Save* ends when something was changed: only what was tried can be saved."""
    refusal = None
    typed = form.typed() if form.is_valid() else None
    try:
        if typed is not None:
            check = drafts.validate(by=request.user, project=project, typed=typed, earlier=earlier)
            if request.POST.get("do") in (SAVE, SAVE_ANYWAY):
                messages.info(request, "Something was changed since it was validated, so it is validated once more.")
            return redirect(reverse("location_draft", args=[project.pk, check.pk]) + "#validation")
    except BadInput as error:
        refusal = error
    kept = drafts.keep(by=request.user, project=project, typed=form.typed(), earlier=earlier)
    return _refused(request, form.again(refusal), kept)


def _refused(request: AuthenticatedHttpRequest, form: LocationForm, check: LocationCheck) -> HttpResponse:
    return render(request, "backups/location_create.html", _form_context(check.project, form, check), status=422)


@require_GET
def location_detail(request: AuthenticatedHttpRequest, location: uuid.UUID) -> HttpResponse:
    """One location: what it is, what the console found, what each cluster's Velero says."""
    here = _location(request, location, Verb.LOCATION_GET)
    check = here.checks.first()
    places, backups = _places(here)
    context = _context(here.project) | {
        "location": here,
        "check": check,
        "steps": drafts.steps_of(check),
        "places": places,
        "backups": backups,
        "certificates": _certificates(here),
        "may_validate": _may(request, here.project, Verb.LOCATION_UPDATE),
    }
    return page_response(request, "backups/location_detail.html", "live", context, busy=_runs(check))


@require_POST
def location_recheck(request: AuthenticatedHttpRequest, location: uuid.UUID) -> HttpResponse:
    """*Validate* on a saved location."""
    here = _location(request, location, Verb.LOCATION_UPDATE)
    drafts.recheck(by=request.user, location=here)
    return redirect("location_detail", here.pk)


@dataclass(frozen=True)
class Place:
    """A location in one cluster. `placed` is None where a backup was asked for and Velero has not heard of it yet."""

    cluster: Cluster
    placed: PlacedLocation | None
    backups: int

    @property
    def folder(self) -> str:
        """The cluster's own place, below the location's prefix."""
        return "…" + self.placed.prefix.removeprefix(self.placed.location.prefix) if self.placed else ""


def _places(location: BackupLocation) -> tuple[list[Place], int]:
    """Every cluster that uses the location, and how many backups there are."""
    by_cluster = location.backups.order_by().values_list("cluster_id").annotate(count=Count("pk"))
    counted = Counter(dict(by_cluster))
    placed = location.placed.select_related("cluster", "source").order_by("cluster__name", "access", "source__name")
    places = [Place(row.cluster, row, counted[row.source_id]) for row in placed]
    writers = {place.cluster.pk for place in places if place.placed and place.placed.access == Access.READ_WRITE}
    waiting = Cluster.objects.filter(pk__in=set(counted) - writers)
    return [*places, *(Place(cluster, None, counted[cluster.pk]) for cluster in waiting)], counted.total()


def _certificates(location: BackupLocation) -> list[CertificateFacts]:
    try:
        return read_bundle(location.ca_certificate) if location.ca_certificate else []
    except BadInput:
        return []


def _form_context(project: Project, form: LocationForm, check: LocationCheck | None) -> dict[str, Any]:
    tried = check if check and drafts.was_tried(check) else None
    steps, kept = drafts.steps_of(tried), drafts.typed_in(check)
    address = reverse("location_draft", args=[project.pk, check.pk]) if check else ""
    return _context(project) | {
        "form": form,
        "check": tried,
        "steps": steps,
        "warned": any(step["outcome"] == "warning" for step in steps),
        "is_set": {name: bool(kept.get(name)) for name in SECRETS},
        "service_account_email": drafts.service_account_email(kept),
        "help": Help.of({name: form[name].value() for name in SHOWN}, drafts.service_account_email(kept)),
        "draft_url": address,
        "unfinished": None,
    }


def _context(project: Project) -> dict[str, Any]:
    return {"project": project, "section": "settings"}


def _runs(check: LocationCheck | None) -> bool:
    return check is not None and check.is_open


def _may(request: AuthenticatedHttpRequest, project: Project, verb: Verb) -> bool:
    return verb in held_in(request).verbs_on(project)


def _project(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> Project:
    return get_or_404(request.user, Project.objects.select_related("tenant"), verb, pk)


def _location(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> BackupLocation:
    return get_or_404(request.user, BackupLocation.objects.select_related("project"), verb, pk)
