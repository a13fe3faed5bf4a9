"""Workspaces with what was backed up of them: the list, one workspace's overview, its backups and restores."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.views.decorators.http import require_GET

from accounts.models import AuthenticatedHttpRequest, User
from accounts.permissions import Verb, visible
from backups.lifecycle import RESTORABLE
from backups.models import Backup, Restore
from backups.views.lists import PAGE, light, listing
from backups.views.project import Counted
from console.lib.live import page_response
from workspaces.known import project_or_404
from workspaces.models import Cluster, Project, Workspace, WorkspaceTeamRole, WorkspaceUserRole
from workspaces.views.shown import STATES, as_shown
from workspaces.views.workspace import clusters_of, context_of, workspace_or_404

SHOWN = 5
SHOWN_CLUSTERS = 10


# The list


@dataclass(frozen=True)
class Newest:
    """As much of a workspace's newest backup as a list shows."""

    pk: uuid.UUID
    name: str
    state: str
    created_at: Any


@require_GET
def workspace_list(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    """The workspaces that one knows of; a role on one of them shows the project's name, too."""
    here = project_or_404(request, project, Verb.PROJECT_LIST)
    rows, search = _rows(request.user, here), request.GET.get("q", "").strip()
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(description__icontains=search))
    page = Paginator(rows.order_by("name"), PAGE).get_page(request.GET.get("page"))
    health = _health(request.user, [workspace.pk for workspace in page])
    for workspace in page:
        workspace.health, workspace.last_backup = health[workspace.pk], _newest(workspace)
    context = {"project": here, "section": "workspaces", "page": page, "search": search}
    return page_response(request, "workspaces/workspace_list.html", "rows", context, busy=_is_busy(page))


def _rows(user: User, project: Project) -> QuerySet[Any]:
    """With members counted and what is shown of the newest backup, all in one query."""
    newest = visible(user, Backup.objects.filter(workspace=OuterRef("pk")), Verb.BACKUP_GET).order_by("-created_at")
    shown = {f"last_{name}": Subquery(newest.values(name)[:1]) for name in ("pk", "name", "state", "created_at")}
    counted = {"people": _count(WorkspaceUserRole, "user"), "teams": _count(WorkspaceTeamRole, "group")}
    return visible(user, project.workspaces.all(), Verb.WORKSPACE_LIST).annotate(**shown, **counted)


def _count(roles: Any, holder: str) -> Any:
    of_it = roles.objects.filter(content_object=OuterRef("pk")).order_by().values("content_object")
    return Coalesce(Subquery(of_it.annotate(count=Count(holder, distinct=True)).values("count")), Value(0))


def _newest(workspace: Any) -> Newest | None:
    if workspace.last_pk is None:
        return None
    return Newest(workspace.last_pk, workspace.last_name, workspace.last_state, workspace.last_created_at)


def _health(user: User, workspaces: Collection[uuid.UUID]) -> dict[uuid.UUID, list[Counted]]:
    """How many clusters of each workspace are in which state, the worst first."""
    clusters = visible(user, Cluster.objects.registered().filter(workspaces__in=workspaces), Verb.CLUSTER_LIST)
    rows = as_shown(clusters).order_by().values_list("workspaces", "shown_state").annotate(count=Count("pk"))
    found: dict[uuid.UUID, list[Counted]] = defaultdict(list)
    for workspace, state, count in rows:
        found[workspace].append(Counted(state, count))
    for states in found.values():
        states.sort(key=lambda each: STATES.index(each.state))
    return found


def _is_busy(page: Page[Any]) -> bool:
    return any(each.last_backup and each.last_backup.state not in Backup.terminal for each in page)


# One workspace


@require_GET
def workspace_detail(request: AuthenticatedHttpRequest, workspace: uuid.UUID) -> HttpResponse:
    """What it is, how its clusters are, and its newest backups."""
    here = workspace_or_404(request, workspace, Verb.WORKSPACE_GET)
    clusters = clusters_of(request.user, here)
    backups = list(_backups(request.user, here)[:SHOWN])
    context = context_of(here) | {"backups": backups, "clusters": list(clusters[:SHOWN_CLUSTERS])}
    context["cluster_count"] = clusters.count()
    busy = any(backup.is_open for backup in backups)
    return page_response(request, "backups/workspace_overview.html", "overview", context, busy=busy)


@require_GET
def workspace_backups(request: AuthenticatedHttpRequest, workspace: uuid.UUID) -> HttpResponse:
    """The workspace's own, newest first."""
    here = workspace_or_404(request, workspace, Verb.WORKSPACE_GET)
    searched = ("name", "cluster__name", "location__name", "requested_by_name")
    found = listing(request, _backups(request.user, here), *searched)
    context = context_of(here) | {"list": found, "restorable": RESTORABLE}
    return page_response(request, "backups/workspace_backups.html", "rows", context, busy=found.busy)


@require_GET
def workspace_other_backups(request: AuthenticatedHttpRequest, workspace: uuid.UUID) -> HttpResponse:
    """Those of its clusters that are not its own: name, state, date."""
    here = workspace_or_404(request, workspace, Verb.WORKSPACE_GET)
    others = Backup.objects.filter(cluster__in=here.clusters.all()).exclude(workspace=here)
    mine = visible(request.user, light(others, "cluster"), Verb.BACKUP_LIST)
    found = listing(request, mine, "name", "cluster__name")
    context = context_of(here) | {"list": found}
    return page_response(request, "backups/workspace_others.html", "rows", context, busy=found.busy)


@require_GET
def workspace_restores(request: AuthenticatedHttpRequest, workspace: uuid.UUID) -> HttpResponse:
    """Restores of the workspace, newest first."""
    here = workspace_or_404(request, workspace, Verb.WORKSPACE_GET)
    rows = light(Restore.objects.filter(workspace=here), "backup__cluster", "cluster")
    mine = visible(request.user, rows, Verb.RESTORE_GET)
    found = listing(request, mine, "backup__name", "cluster__name", "requested_by_name")
    context = context_of(here) | {"list": found}
    return page_response(request, "backups/workspace_restores.html", "rows", context, busy=found.busy)


def _backups(user: User, workspace: Workspace) -> QuerySet[Backup]:
    rows = light(Backup.objects.filter(workspace=workspace), "cluster", "location")
    return visible(user, rows, Verb.BACKUP_GET).order_by("-created_at")
