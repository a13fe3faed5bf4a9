"""A cluster's settings: General, Deregister. Schedule Backups and Connection are in backups/views."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, get_or_404
from console.lib import live
from console.lib.errors import BadInput
from console.lib.forms import add_error
from workspaces.actions.cluster import deregister_cluster, update_cluster
from workspaces.forms.cluster import BasicsForm, DeregisterForm
from workspaces.models import Cluster

BASICS = ("name", "description", "tags", "cloud_type", "cloud_account")


@require_GET
def cluster_state(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """The badge beside a cluster's name, live on each of its pages."""
    here = _cluster(request, cluster, Verb.CLUSTER_GET)
    if not live.wanted(request):
        return redirect("cluster_overview", here.pk)
    return live.fragment_response(request, "workspaces/cluster_state.html", {"cluster": here}, busy=False)


@require_http_methods(["GET", "POST"])
def cluster_settings(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """General: what people call the cluster."""
    here = _cluster(request, cluster, Verb.CLUSTER_UPDATE)
    initial = {name: getattr(here, name) for name in BASICS}
    form = BasicsForm(request.POST or None, initial=initial, project=here.project, cluster=here)
    if request.method == "POST" and form.is_valid():
        try:
            update_cluster(by=request.user, cluster=here, **form.cleaned_data)
            messages.success(request, f"The settings of {here} are saved.")
            return redirect("cluster_settings", here.pk)
        except BadInput as error:
            add_error(form, error)
            here.refresh_from_db()
    return _settings_page(request, "cluster_settings", here, form)


@require_http_methods(["GET", "POST"])
def cluster_deregister(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """Type the name; Drydock forgets the credentials."""
    here = _cluster(request, cluster, Verb.CLUSTER_DELETE)
    form = DeregisterForm(here, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            deregister_cluster(by=request.user, cluster=here, typed_name=form.cleaned_data["typed_name"])
            messages.success(request, f"{here} is deregistered. Its backups stay.")
            return redirect("cluster_list", here.project_id)
        except BadInput as error:
            add_error(form, error)
    return _settings_page(request, "cluster_deregister", here, form)


def _cluster(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> Cluster:
    return get_or_404(request.user, Cluster.objects.registered().select_related("project"), verb, pk)


def _context(cluster: Cluster) -> dict[str, object]:
    return {"cluster": cluster, "project": cluster.project, "section": "clusters"}


def _settings_page(
    request: AuthenticatedHttpRequest, page: str, cluster: Cluster, form: BasicsForm | DeregisterForm
) -> HttpResponse:
    status = 422 if form.errors else 200
    return render(request, f"workspaces/{page}.html", _context(cluster) | {"form": form}, status=status)
