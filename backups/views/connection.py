"""A cluster's connection: its last check, checking it again, how to get a kubeconfig.

Here and not in `workspaces`, because the account offered to people has the rights that speaking with Velero takes.
"""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET, require_POST

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, get_or_404
from backups.actions.access import access_manifest
from console.lib.live import page_response
from workspaces.actions.cluster import request_recheck
from workspaces.models import Cluster
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


@require_GET
def cluster_kubeconfig(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """Connection: the last check, live; the way to another kubeconfig is in register.py."""
    here = _cluster(request, cluster)
    last = here.checks.filter(kubeconfig__isnull=True).first()
    context = {"cluster": here, "project": here.project, "section": "clusters", "shown": shown(last) if last else None}
    context["access"] = access_help(here.velero_namespace)
    busy = last is not None and last.is_open
    return page_response(request, "workspaces/cluster_kubeconfig.html", "check", context, busy=busy)


@require_POST
def cluster_recheck(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """Check the connection again; a check under way is enough."""
    here = _cluster(request, cluster)
    if not here.checks.open().filter(kubeconfig__isnull=True).exists():
        request_recheck(by=request.user, cluster=here)
    return redirect("cluster_kubeconfig", here.pk)


def _cluster(request: AuthenticatedHttpRequest, pk: uuid.UUID) -> Cluster:
    return get_or_404(request.user, Cluster.objects.registered().select_related("project"), Verb.CLUSTER_UPDATE, pk)
