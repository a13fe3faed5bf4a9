"""Add Roles to <user or team>: project → workspace → role → review; for a role on a project: project → role → review.

The draft stands in the project that was chosen; before that, in the first one of the tenant.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.actions.role import give_role
from accounts.models import AuthenticatedHttpRequest, Membership, Team, Tenant, User
from accounts.permissions import Verb, get_or_404, visible
from accounts.roles import Scope
from accounts.signin import require_recent_sign_in
from console.lib.errors import NotVisible
from workspaces import wizard
from workspaces.forms.role import ProjectForm, RoleForm, WorkspaceForm
from workspaces.models import Draft, Project
from workspaces.wizard import Step, Wizard

NO_PROJECT = "There is no project yet. Create one first, then give roles on it."


@require_GET
def user_roles_add(request: AuthenticatedHttpRequest, tenant: uuid.UUID, user: uuid.UUID, scope: str) -> HttpResponse:
    """+ New Project Role, + New Workspace Role of a user."""
    person = _person(request.user, tenant, user)
    require_recent_sign_in(request)
    return _begin(request, tenant, scope, kind="user", to=str(person.pk), name=str(person))


@require_GET
def team_roles_add(request: AuthenticatedHttpRequest, tenant: uuid.UUID, team: uuid.UUID, scope: str) -> HttpResponse:
    """The same of a team."""
    found = _team(request.user, tenant, team)
    require_recent_sign_in(request)
    return _begin(request, tenant, scope, kind="team", to=str(found.pk), name=str(found))


def _begin(request: AuthenticatedHttpRequest, tenant: uuid.UUID, scope: str, **notes: str) -> HttpResponse:
    if scope not in WIZARDS:
        raise NotVisible("There is nothing here.")
    first = visible(request.user, Project.objects.filter(tenant_id=tenant), Verb.ROLE_CREATE).first()
    if first is None:
        messages.error(request, NO_PROJECT)
        return redirect("project_list", tenant)
    return redirect(wizard.begin(WIZARDS[scope], owner=request.user, project=first, tenant=str(tenant), **notes))


def _person(by: User, tenant: uuid.UUID, pk: uuid.UUID) -> User:
    rows = Membership.objects.filter(tenant_id=tenant, user_id=pk).select_related("user")
    if member := visible(by, rows, Verb.ROLE_CREATE).first():
        return member.user
    raise NotVisible("There is nothing here.")


def _team(by: User, tenant: uuid.UUID, pk: uuid.UUID) -> Team:
    return get_or_404(by, Team.objects.filter(tenant_id=tenant).select_related("group"), Verb.ROLE_CREATE, pk)


def _tenant(draft: Draft) -> Tenant:
    return get_or_404(draft.owner, Tenant.objects.all(), Verb.ROLE_CREATE, uuid.UUID(draft.note("tenant")))


def _holder(draft: Draft) -> User | Team:
    """Whom the roles are for, while the draft's owner administers their tenant. Raises NotVisible."""
    find = _team if draft.note("kind") == "team" else _person
    return find(draft.owner, uuid.UUID(draft.note("tenant")), uuid.UUID(draft.note("to")))


def _project_form(draft: Draft, data: QueryDict | None) -> ProjectForm:
    return ProjectForm(data, user=draft.owner, tenant=_tenant(draft))


def _workspace_form(draft: Draft, data: QueryDict | None) -> WorkspaceForm:
    return WorkspaceForm(data, user=draft.owner, project=draft.project)


def _project_chosen(draft: Draft, form: ProjectForm, user: User) -> None:
    """Another project has other workspaces."""
    if draft.project != form.cleaned_data["project"]:
        draft.project = form.cleaned_data["project"]
        draft.data = {name: typed for name, typed in draft.data.items() if name != "workspace"}
        draft.save(update_fields=["project", "data", "updated_at"])


def _about(draft: Draft) -> Mapping[str, Any]:
    holder, tenant = _holder(draft), _tenant(draft)
    return {"tenant": tenant, "title": f"Add Roles to {holder}", "leave_label": str(holder)}


def _leave(draft: Draft) -> str:
    scope = "projects" if draft.kind == PROJECT_ROLES.kind else "workspaces"
    return reverse(f"{draft.note('kind')}_roles", args=[draft.note("tenant"), draft.note("to"), scope])


def _finish(draft: Draft, user: User, forms: Mapping[str, Any]) -> str:
    """Whoever holds the role already keeps it, unwritten. Raises BadInput when it was deleted meanwhile."""
    on = forms["workspace" if "workspace" in forms else "project"].cleaned_data
    give_role(by=user, role=forms["role"].chosen(), to=_holder(draft), on=on.get("workspace") or on["project"])
    return _leave(draft)


PROJECT = Step("project", "Project", _project_form, saved=_project_chosen)
PROJECT_ROLES = wizard.register(
    Wizard(
        kind="project_roles",
        title="Add Roles",
        steps=(
            PROJECT,
            Step(
                "role",
                "Role",
                lambda _, data: RoleForm(data, scope=Scope.PROJECT),
                template="workspaces/role_step.html",
            ),
        ),
        finish=_finish,
        section="people",
        leave=_leave,
        about=_about,
        recent_sign_in=True,
    )
)
WORKSPACE_ROLES = wizard.register(
    Wizard(
        kind="workspace_roles",
        title="Add Roles",
        steps=(
            PROJECT,
            Step("workspace", "Workspace", _workspace_form, template="workspaces/role_workspace.html"),
            Step(
                "role",
                "Role",
                lambda _, data: RoleForm(data, scope=Scope.WORKSPACE),
                template="workspaces/role_step.html",
            ),
        ),
        finish=_finish,
        section="people",
        leave=_leave,
        about=_about,
        recent_sign_in=True,
    )
)
WIZARDS = {"projects": PROJECT_ROLES, "workspaces": WORKSPACE_ROLES}
