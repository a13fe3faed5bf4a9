"""One location's changes in the clusters: trying again, deleting it, leaving a cluster out of that."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb
from backups.actions.location import retry_change
from backups.actions.location_delete import delete_location, forget_place, policies_with, uses
from backups.forms.location_delete import LocationDeleteForm
from backups.models import BackupLocation
from backups.views.location import context_of, location_of
from console.lib.errors import BadInput, NotVisible
from console.lib.forms import add_error
from workspaces.models import Cluster


@require_http_methods(["GET", "POST"])
def location_delete(request: AuthenticatedHttpRequest, location: uuid.UUID) -> HttpResponse:
    """What is in the way of it, or type the name."""
    here = location_of(request, location, Verb.LOCATION_DELETE)
    form = LocationDeleteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            return _deleted(
                request, delete_location(by=request.user, location=here, typed_name=form.cleaned_data["typed_name"])
            )
        except BadInput as error:
            add_error(form, error)
    context = context_of(here.project) | {
        "location": here,
        "form": form,
        "uses": uses(here),
        "policies": policies_with(here),
    }
    return render(request, "backups/location_delete.html", context, status=422 if form.errors else 200)


def _deleted(request: AuthenticatedHttpRequest, location: BackupLocation) -> HttpResponse:
    if BackupLocation.objects.filter(pk=location.pk).exists():
        messages.info(request, f"{location.name} is being taken out of its clusters.")
        return redirect("location_detail", location.pk)
    messages.success(request, f"The backup location {location.name} is deleted. The bucket was not touched.")
    return redirect("location_list", location.project_id)


@require_POST
def location_retry(request: AuthenticatedHttpRequest, location: uuid.UUID, cluster: uuid.UUID) -> HttpResponse:
    """*Try again* beside a cluster."""
    return _in_cluster(request, location_of(request, location, Verb.LOCATION_UPDATE), cluster, retry_change)


@require_POST
def location_forget(request: AuthenticatedHttpRequest, location: uuid.UUID, cluster: uuid.UUID) -> HttpResponse:
    """*Leave its objects there* beside a cluster that a deleted location does not get out of."""
    return _in_cluster(request, location_of(request, location, Verb.LOCATION_DELETE), cluster, forget_place)


def _in_cluster(
    request: AuthenticatedHttpRequest, location: BackupLocation, cluster: uuid.UUID, do: Callable[..., None]
) -> HttpResponse:
    where = Cluster.objects.filter(project=location.project_id, pk=cluster).first()
    if where is None:
        raise NotVisible("There is nothing here.")
    try:
        do(by=request.user, location=location, cluster=where)
    except BadInput as error:
        messages.error(request, error.sentence())
    if BackupLocation.objects.filter(pk=location.pk).exists():
        return redirect("location_detail", location.pk)
    return redirect("location_list", location.project_id)
