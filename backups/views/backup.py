"""Backups of a cluster: the list, *Backup now*, one backup's page."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, get_or_404, visible
from backups.actions.backup import request_backup
from backups.actions.export import as_command, as_yaml
from backups.forms.backup import BackupForm
from backups.lifecycle import RESTORABLE, State
from backups.models import Backup
from backups.views.lists import light, listing
from backups.views.results import grouped
from backups.views.volumes import LOOK, look
from console.lib.errors import BadInput
from console.lib.forms import add_error
from console.lib.live import page_response, wait_for_news
from workspaces.models import Cluster

AT_ONCE = timedelta(seconds=3)  # whoever has just clicked looks on


@require_GET
def backup_list(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """The backups of one cluster, newest first."""
    here = _cluster(request, cluster, Verb.CLUSTER_GET)
    mine = visible(request.user, light(Backup.objects.filter(cluster=here), "location"), Verb.BACKUP_GET)
    found = listing(request, mine, "name", "location__name", "requested_by_name")
    context = {"cluster": here, "project": here.project, "section": "clusters", "list": found, "restorable": RESTORABLE}
    return page_response(request, "backups/backup_list.html", "rows", context, busy=found.busy)


@require_http_methods(["GET", "POST"])
def backup_create(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """*Backup now*: the form, then one wish."""
    here = _cluster(request, cluster, Verb.BACKUP_CREATE)
    form = BackupForm(here, request.POST or None)
    if request.POST.get("do") == LOOK:
        return look(request, here, form)
    if request.method == "POST" and form.is_valid():
        try:
            backup = request_backup(by=request.user, cluster=here, **form.asked())
            messages.success(request, f"Backup {backup.name} was requested.")
            return redirect("backup_detail", backup.pk)
        except BadInput as error:
            add_error(form, error)
    context = {"cluster": here, "project": here.project, "section": "clusters", "form": form}
    status = 422 if form.errors else 200
    return render(request, "backups/backup_create.html", context, status=status)


@require_GET
def backup_detail(request: AuthenticatedHttpRequest, backup: uuid.UUID) -> HttpResponse:
    """One backup, live while it runs."""
    here = _latest(request, backup)
    made = here.restores.select_related("cluster").order_by("-created_at")
    restores = visible(request.user, made, Verb.RESTORE_GET)
    context = {"backup": here, "cluster": here.cluster, "project": here.project, "section": "clusters"}
    context |= {"results": grouped(here), "restores": restores, "restorable": here.is_restorable}
    pace: dict[str, Any] = {"busy": here.is_open, "soon": _is_awaited(here), "stamp": here.stamp}
    return page_response(request, "backups/backup_detail.html", "live", context, **pace)


def _latest(request: AuthenticatedHttpRequest, pk: uuid.UUID) -> Backup:
    """The backup; for whoever has just clicked and has seen all of it, as soon as something about it is new."""
    here = backup_or_404(request, pk, Verb.BACKUP_GET)
    if _is_awaited(here) and wait_for_news(request, here.stamp, here.stamp_now):
        return backup_or_404(request, pk, Verb.BACKUP_GET)
    return here


def _is_awaited(backup: Backup) -> bool:
    return backup.state == State.RUNNING and timezone.now() - backup.created_at < AT_ONCE


@require_GET
def backup_yaml(request: AuthenticatedHttpRequest, backup: uuid.UUID) -> HttpResponse:
    """The Velero object and the equivalent command."""
    here = backup_or_404(request, backup, Verb.BACKUP_GET)
    context = {"backup": here, "cluster": here.cluster, "project": here.project, "section": "clusters"}
    return render(request, "backups/backup_yaml.html", context | {"yaml": as_yaml(here), "command": as_command(here)})


def backup_or_404(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> Backup:
    """The backup, if this person may `verb` it; asked for several times a second, so with no more than a page needs."""
    found = get_or_404(request.user, light(Backup.objects.all(), "cluster", "location", "project"), verb, pk)
    found.cluster.project = found.project
    return found


def _cluster(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> Cluster:
    return get_or_404(request.user, Cluster.objects.registered().select_related("project"), verb, pk)
