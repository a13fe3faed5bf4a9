"""Workspaces: creating, clusters, members, settings. The list and what shows backups: backups/views/workspace.py."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from accounts.holders import Given, holders_of
from accounts.models import AuthenticatedHttpRequest, Membership, Team, User
from accounts.permissions import Verb, get_or_404, held_in, may, visible
from console.lib.errors import BadInput
from console.lib.forms import add_error
from console.lib.live import page_response
from workspaces.actions.workspace import create_workspace, delete_workspace, update_workspace
from workspaces.forms.workspace import DeleteWorkspaceForm, DetailsForm, WorkspaceForm
from workspaces.known import project_or_404
from workspaces.models import Cluster, Project, Workspace
from workspaces.views.shown import as_shown

PAGE = 25


def workspace_or_404(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> Workspace:
    return get_or_404(request.user, Workspace.objects.select_related("project__tenant"), verb, pk)


def context_of(workspace: Workspace) -> dict[str, Any]:
    """What every tab of a workspace's page needs."""
    return {"workspace": workspace, "project": workspace.project, "section": "workspaces"}


def clusters_of(user: User, workspace: Workspace) -> QuerySet[Any]:
    """Its registered clusters, as they are shown: the worst first."""
    mine = visible(user, Cluster.objects.registered().filter(workspaces=workspace), Verb.CLUSTER_LIST)
    return as_shown(mine).order_by("worst_first", "name")


# Making one, changing it, deleting it


@require_http_methods(["GET", "POST"])
def workspace_create(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    here = project_or_404(request, project, Verb.WORKSPACE_CREATE)
    form = WorkspaceForm(request.POST or None, project=here, clusters=_choice(request.user, here))
    if request.method == "POST" and form.is_valid():
        try:
            workspace = create_workspace(by=request.user, project=here, **form.asked())
            messages.success(request, f"The workspace {workspace} is there. Give people their roles on it.")
            return redirect("workspace_members", workspace.pk)
        except BadInput as error:
            form.refuse(error)
    context = {"project": here, "section": "workspaces", "form": form}
    return render(request, "workspaces/workspace_create.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def workspace_settings(request: AuthenticatedHttpRequest, workspace: uuid.UUID) -> HttpResponse:
    """General: name and description; for who may make workspaces also how far it reaches."""
    here = workspace_or_404(request, workspace, Verb.WORKSPACE_UPDATE)
    form = _settings_form(request, here)
    if request.method == "POST" and form.is_valid():
        try:
            update_workspace(by=request.user, workspace=here, **form.asked())
            messages.success(request, "The workspace's settings are saved.")
            return redirect("workspace_settings", here.pk)
        except BadInput as error:
            form.refuse(error) if isinstance(form, WorkspaceForm) else add_error(form, error)
    gone = here.clusters.exclude(deregistered_at=None)
    context = context_of(here) | {"form": form, "gone": gone}
    return render(request, "workspaces/workspace_settings.html", context, status=422 if form.errors else 200)


def _settings_form(request: AuthenticatedHttpRequest, workspace: Workspace) -> DetailsForm:
    typed, project = request.POST or None, workspace.project
    initial: dict[str, Any] = {"name": workspace.name, "description": workspace.description}
    if Verb.WORKSPACE_CREATE not in held_in(request).verbs_on(workspace):
        return DetailsForm(typed, initial=initial, project=project, workspace=workspace)
    clusters = _choice(request.user, project)
    initial |= WorkspaceForm.initial_of(workspace, clusters)
    return WorkspaceForm(typed, initial=initial, project=project, workspace=workspace, clusters=clusters)


def _choice(user: User, project: Project) -> QuerySet[Cluster]:
    return visible(user, Cluster.objects.registered().filter(project=project), Verb.CLUSTER_LIST).order_by("name")


@require_http_methods(["GET", "POST"])
def workspace_delete(request: AuthenticatedHttpRequest, workspace: uuid.UUID) -> HttpResponse:
    """Type the name. Whoever knew the project by a role on it alone is led home."""
    here = workspace_or_404(request, workspace, Verb.WORKSPACE_DELETE)
    form = DeleteWorkspaceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            delete_workspace(by=request.user, workspace=here, typed_name=form.cleaned_data["typed_name"])
            messages.success(request, f"The workspace {here} is deleted. Its backups stay.")
            stays = may(request.user, here.project, Verb.PROJECT_LIST)
            return redirect("workspace_list", here.project_id) if stays else redirect("home")
        except BadInput as error:
            add_error(form, error)
    status = 422 if form.errors else 200
    return render(request, "workspaces/workspace_delete.html", context_of(here) | {"form": form}, status=status)


# What it has


@require_GET
def workspace_clusters(request: AuthenticatedHttpRequest, workspace: uuid.UUID) -> HttpResponse:
    here = workspace_or_404(request, workspace, Verb.WORKSPACE_GET)
    page = Paginator(clusters_of(request.user, here), PAGE).get_page(request.GET.get("page"))
    for cluster in page:
        cluster.has, cluster.lacks = _there(here, cluster)
    gone = here.clusters.exclude(deregistered_at=None)
    context = context_of(here) | {"page": page, "gone": gone}
    return page_response(request, "workspaces/workspace_clusters.html", "rows", context, busy=False)


def _there(workspace: Workspace, cluster: Cluster) -> tuple[list[str], list[str]]:
    """Which of the workspace's namespaces the cluster had when it was last checked, and which not."""
    known = set(cluster.facts.get("namespaces", []))
    has = [name for name in workspace.namespaces if name in known]
    return has, [name for name in workspace.namespaces if name not in known]


@dataclass(frozen=True)
class Line:
    """Who holds which role; a person in a team by the role `given` to it. `counts`: whether they are active."""

    who: User | Team
    given: Given
    counts: bool = True

    @property
    def is_team(self) -> bool:
        return isinstance(self.who, Team)

    @property
    def through(self) -> Team | None:
        return None if self.is_team else self.given.through


@require_GET
def workspace_members(request: AuthenticatedHttpRequest, workspace: uuid.UUID) -> HttpResponse:
    """Who holds a role on it. Whoever may see the project sees who reaches it by a role there, too."""
    here = workspace_or_404(request, workspace, Verb.ROLE_LIST)
    page = Paginator(_lines(here.project, holders_of(here)), PAGE).get_page(request.GET.get("page"))
    sees_project = Verb.PROJECT_GET in held_in(request).verbs_on(here)
    above = _lines(here.project, holders_of(here.project)) if sees_project else []
    return render(request, "workspaces/workspace_members.html", context_of(here) | {"page": page, "above": above})


def _lines(project: Project, holders: list[Given]) -> list[Line]:
    """People first; each team is followed by those in it who are active. Two queries, whatever their number."""
    teams = [each.to for each in holders if isinstance(each.to, Team)]
    active = Membership.objects.filter(tenant=project.tenant_id, is_active=True, user__is_active=True)
    counting = set(active.filter(user__in=[each.to.pk for each in holders]).values_list("user", flat=True))
    members = _members_of(teams, active)
    lines = []
    for each in holders:
        lines.append(Line(each.to, each, each.through is not None or each.to.pk in counting))
        lines += [Line(user, each) for user in members.get(each.to.pk, [])]
    return lines


def _members_of(teams: list[Team], active: QuerySet[Membership]) -> dict[uuid.UUID, list[User]]:
    """The active people of each team, by e-mail address."""
    found: dict[uuid.UUID, list[User]] = {team.pk: [] for team in teams}
    team_of = {team.group_id: team.pk for team in teams}
    rows = User.groups.through.objects.filter(group__in=team_of, user__in=active.values("user"))
    for row in rows.select_related("user").order_by("user__email"):
        found[team_of[row.group_id]].append(row.user)
    return found
