"""Restores into a cluster: the list, the wizard, one restore's page."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, get_or_404, visible
from backups.actions.export import as_command, as_yaml
from backups.models import Restore
from backups.views.lists import light, listing
from backups.views.results import grouped
from console.lib.live import page_response
from workspaces.models import Cluster


@require_GET
def restore_list(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """What was restored into this cluster, newest first."""
    clusters = Cluster.objects.registered().select_related("project")
    here = get_or_404(request.user, clusters, Verb.CLUSTER_GET, cluster)
    into = light(Restore.objects.filter(cluster=here), "backup__cluster", "cluster")
    mine = visible(request.user, into, Verb.RESTORE_GET)
    found = listing(request, mine, "backup__name", "backup__cluster__name", "requested_by_name")
    context = {"cluster": here, "project": here.project, "section": "clusters", "list": found}
    return page_response(request, "backups/restore_list.html", "rows", context, busy=found.busy)


@require_GET
def restore_detail(request: AuthenticatedHttpRequest, restore: uuid.UUID) -> HttpResponse:
    """One restore, live while it runs."""
    here = _restore(request, restore)
    context = {"restore": here, "cluster": here.cluster, "project": here.project, "section": "clusters"}
    return page_response(
        request, "backups/restore_detail.html", "live", context | {"results": grouped(here)}, busy=here.is_open
    )


@require_GET
def restore_yaml(request: AuthenticatedHttpRequest, restore: uuid.UUID) -> HttpResponse:
    """The Velero object and the equivalent command."""
    here = _restore(request, restore)
    context = {"restore": here, "cluster": here.cluster, "project": here.project, "section": "clusters"}
    return render(request, "backups/restore_yaml.html", context | {"yaml": as_yaml(here), "command": as_command(here)})


def _restore(request: AuthenticatedHttpRequest, pk: uuid.UUID) -> Restore:
    rows = Restore.objects.select_related("cluster__project", "backup__cluster", "project")
    return get_or_404(request.user, rows, Verb.RESTORE_GET, pk)
