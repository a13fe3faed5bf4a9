"""A cluster's connection: checking it again, trying another kubeconfig, how to get one.

Here and not in `workspaces`, because the account offered to people has the rights that speaking with Velero takes.
"""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, get_or_404
from backups.actions.access import access_manifest
from console.lib.errors import BadInput
from console.lib.forms import add_error
from console.lib.live import page_response
from workspaces.actions.cluster import replace_kubeconfig, request_check, request_recheck
from workspaces.forms import ConnectionForm
from workspaces.models import Cluster, ClusterCheck
from workspaces.views.checks import shown

SIGN_IN = {
    "eks": "aws eks update-kubeconfig --region REGION --name CLUSTER",
    "gke": "gcloud container clusters get-credentials CLUSTER --location LOCATION",
    "aks": "az aks get-credentials --resource-group GROUP --name CLUSTER",
    "apply": "kubectl apply -f drydock-access.yaml",
}


def access_help(namespace: str) -> dict[str, str]:
    """The texts beside a form that asks for a kubeconfig; `namespace` is Velero's."""
    scripts = {
        name: render_to_string(f"workspaces/access_{name}.sh", {"namespace": namespace})
        for name in ("token", "ending_token", "kubeconfig")
    }
    return {"namespace": namespace, "manifest": access_manifest(namespace), **SIGN_IN, **scripts}


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("kubeconfig")
def cluster_kubeconfig(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """Connection: the last check, live; another kubeconfig to be tried."""
    here = _cluster(request, cluster, Verb.CLUSTER_UPDATE)
    initial = {"velero_namespace": here.velero_namespace}
    form = ConnectionForm(request.POST or None, request.FILES or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            check = request_check(by=request.user, project=here.project, replaces=here, **form.cleaned_data)
            return redirect("cluster_kubeconfig_check", here.pk, check.pk)
        except BadInput as error:
            add_error(form, error)
    if request.method == "POST":
        return render(request, "workspaces/cluster_kubeconfig.html", _connection(here, form), status=422)
    last = here.checks.filter(kubeconfig__isnull=True).first()
    context = _connection(here, form) | {"shown": shown(last) if last else None}
    busy = last is not None and last.is_open
    return page_response(request, "workspaces/cluster_kubeconfig.html", "check", context, busy=busy)


@require_GET
def cluster_kubeconfig_check(request: AuthenticatedHttpRequest, cluster: uuid.UUID, check: uuid.UUID) -> HttpResponse:
    """How another kubeconfig fares; once it has reached the cluster, it can take the old one's place."""
    here, tried = _tried(request, cluster, check)
    context = _context(here) | {"shown": shown(tried)}
    return page_response(request, "workspaces/cluster_kubeconfig_check.html", "check", context, busy=tried.is_open)


@require_POST
def cluster_kubeconfig_replace(request: AuthenticatedHttpRequest, cluster: uuid.UUID, check: uuid.UUID) -> HttpResponse:
    """Use the kubeconfig that was tried from now on."""
    here, tried = _tried(request, cluster, check)
    try:
        replace_kubeconfig(by=request.user, cluster=here, check=tried)
    except BadInput as error:
        messages.error(request, error.sentence())
        return redirect("cluster_kubeconfig_check", here.pk, tried.pk)
    messages.success(request, f"Drydock now reaches {here} with the new kubeconfig.")
    return redirect("cluster_kubeconfig", here.pk)


@require_POST
def cluster_recheck(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """Check the connection again; a check under way is enough."""
    here = _cluster(request, cluster, Verb.CLUSTER_UPDATE)
    if not here.checks.open().filter(kubeconfig__isnull=True).exists():
        request_recheck(by=request.user, cluster=here)
    return redirect("cluster_kubeconfig", here.pk)


def _cluster(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> Cluster:
    return get_or_404(request.user, Cluster.objects.registered().select_related("project"), verb, pk)


def _tried(request: AuthenticatedHttpRequest, cluster: uuid.UUID, check: uuid.UUID) -> tuple[Cluster, ClusterCheck]:
    """The cluster, and a check of a kubeconfig that this person wants to put in the old one's place."""
    here = _cluster(request, cluster, Verb.CLUSTER_UPDATE)
    mine = ClusterCheck.objects.filter(cluster=here, kubeconfig__isnull=False, requested_by=request.user)
    return here, get_or_404(request.user, mine.select_related("project"), Verb.CLUSTER_UPDATE, check)


def _context(cluster: Cluster) -> dict[str, object]:
    return {"cluster": cluster, "project": cluster.project, "section": "clusters"}


def _connection(cluster: Cluster, form: ConnectionForm) -> dict[str, object]:
    return _context(cluster) | {"form": form, "access": access_help(cluster.velero_namespace)}
