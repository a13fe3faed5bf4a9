"""What a backup would do with each volume: asked for on the form of *Backup now*, shown there as it comes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, get_or_404
from backups.actions.volumes import request_preview
from backups.forms.backup import HoldsForm
from backups.models import VolumePreview
from backups.views.project import Counted
from console.lib import live
from console.lib.errors import BadInput
from workspaces.models import Cluster
from workspaces.views.checks import is_untaken

LOOK = "volumes"
FORM = "backups/backup_create.html"
NOTHING: Mapping[str, Any] = {}
PART = "backups/volumes.html"


def look(
    request: AuthenticatedHttpRequest,
    cluster: Cluster,
    form: HoldsForm,
    page: str = FORM,
    more: Mapping[str, Any] = NOTHING,
) -> HttpResponse:
    """The form again as it was filled in, with what its backup would do; the part alone when a script asks.

    `more` is what else the form's `page` shows.
    """
    form.is_valid()
    context: dict[str, Any] = {"cluster": cluster, "project": cluster.project, "section": "clusters", "form": form}
    context |= more
    try:
        context |= _shown(request_preview(by=request.user, cluster=cluster, **form.looked_up()))
    except BadInput as error:
        context["refused"] = error.sentence()
    if live.wanted(request):
        return render(request, f"{FORM}#volumes", context)
    return render(request, page, context)


@require_GET
def volume_preview(request: AuthenticatedHttpRequest, preview: uuid.UUID) -> HttpResponse:
    """One preview, its creator's alone, live until it has ended."""
    own = VolumePreview.objects.filter(requested_by=request.user).select_related("cluster")
    here = get_or_404(request.user, own, Verb.BACKUP_CREATE, preview)
    if not live.wanted(request):
        return redirect("backup_create", here.cluster_id)
    return live.fragment_response(request, PART, _shown(here), busy=here.is_open)


def _shown(preview: VolumePreview) -> dict[str, Any]:
    counts = [Counted(method, count) for method, count in preview.plan.get("counts", {}).items()]
    interval = live.interval(preview.is_open)
    return {"preview": preview, "counts": counts, "untaken": is_untaken(preview), "live_interval": interval}
