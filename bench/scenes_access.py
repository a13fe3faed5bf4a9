"""Scenes of workspaces, people, roles and the audit log, and of who is not signed in or has just begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import reverse

if TYPE_CHECKING:
    from accounts.models import Team, Tenant, User
    from workspaces.models import Cluster, Project, Workspace

Scenes = dict[str, str]
BEGINNER = "beginner@example.com"
INVITED = "nora@example.com"
DESCRIPTION = "Storefront, ledger and queue of the shop team"


def seed(person: User, project: Project, cluster: Cluster, password: str) -> tuple[Scenes, Scenes, Scenes]:
    """The addresses by the pictures' names: for `person`, for a beginner, and for who is not signed in."""
    from accounts.actions.invitation import invite_user
    from accounts.actions.team import add_team_member, create_team

    tenant = project.tenant
    shop = _workspace(person, project, cluster)
    bob = _operator(tenant, shop)
    team = create_team(by=person, tenant=tenant, name="On call", description="Whoever has the pager this week")
    add_team_member(by=person, team=team, user=bob)
    _, token = invite_user(by=person, tenant=tenant, email=INVITED)
    _beginner(password)
    signed_in = _of_workspaces(project, shop) | _of_people(tenant, bob, team) | _of_roles(person, project, shop, bob)
    return (
        signed_in | _of_tenant(tenant),
        {"set-up": "/"},
        {"login": "/login/", "invitation": f"/invitation/?t={token}"},
    )


def _workspace(by: User, project: Project, cluster: Cluster) -> Workspace:
    from workspaces.actions.workspace import create_workspace

    names = ["shop", "shop-data", "shop-jobs"]
    wanted: dict[str, Any] = {"name": "shop", "description": DESCRIPTION, "clusters": [cluster], "namespaces": names}
    made = create_workspace(by=by, project=project, **wanted)
    first = project.backups.earliest("created_at")
    type(first)._default_manager.filter(pk=first.pk).update(workspace=made)
    return made


def _operator(tenant: Tenant, shop: Workspace) -> User:
    from accounts.actions.role import give_role
    from accounts.models import Membership, User
    from accounts.roles import WorkspaceOperator

    bob = User.objects.create_user("bob@example.com", None, name="Bob Builder")
    Membership.objects.create(tenant=tenant, user=bob)
    give_role(by=None, role=WorkspaceOperator, to=bob, on=shop)
    return bob


def _beginner(password: str) -> None:
    from accounts.actions import add_tenant_admin
    from accounts.actions.tenant import create_tenant
    from workspaces.actions.project import create_project

    tenant = create_tenant(by=None, name="Breakwater")
    create_project(by=None, tenant=tenant, name="Default")
    add_tenant_admin(by=None, tenant=tenant, email=BEGINNER, password=password)


def _of_workspaces(project: Project, shop: Workspace) -> Scenes:
    pages = ("detail", "clusters", "backups", "others", "restores", "members", "settings", "delete")
    found = {f"workspace-{page}": reverse(f"workspace_{page}", args=[shop.pk]) for page in pages}
    lists = {"workspaces": "workspace_list", "workspace-create": "workspace_create"}
    return found | {name: reverse(page, args=[project.pk]) for name, page in lists.items()}


def _of_people(tenant: Tenant, bob: User, team: Team) -> Scenes:
    here, on_team = [tenant.pk, bob.pk], [tenant.pk, team.pk]
    return {
        "users": reverse("user_list", args=[tenant.pk]),
        "user-invite": reverse("invitation_create", args=[tenant.pk]),
        "user": reverse("user_detail", args=here),
        "user-roles": reverse("user_roles", args=[*here, "workspaces"]),
        "user-deactivate": reverse("user_state", args=[*here, "deactivate"]),
        "teams": reverse("team_list", args=[tenant.pk]),
        "team-create": reverse("team_create", args=[tenant.pk]),
        "team": reverse("team_detail", args=on_team),
        "team-roles": reverse("team_roles", args=[*on_team, "projects"]),
    }


def _of_roles(by: User, project: Project, shop: Workspace, bob: User) -> Scenes:
    """The wizard Add Roles, step by step."""
    from workspaces import wizard
    from workspaces.models import Draft
    from workspaces.views.role import WORKSPACE_ROLES

    notes = {"tenant": str(project.tenant_id), "kind": "user", "to": str(bob.pk), "name": str(bob)}
    first = wizard.begin(WORKSPACE_ROLES, owner=by, project=project, **notes)
    draft = Draft.objects.get(pk=first.split("/")[2])
    typed = {"project": project.pk, "workspace": shop.pk, "role": "workspace_admin"}
    draft.data |= {slug: {slug: [str(value)]} for slug, value in typed.items()}
    draft.save()
    return {f"add-roles-{slug}": wizard.step_url(draft, slug) for slug in (*typed, "review")}


def _of_tenant(tenant: Tenant) -> Scenes:
    from accounts.models import AuditEvent

    latest = AuditEvent.objects.of_tenant(tenant.pk)[0]
    pages = {"audit": "audit_list", "projects": "project_list", "project-create": "project_create"}
    found = {name: reverse(page, args=[tenant.pk]) for name, page in pages.items()}
    return found | {
        "audit-row": reverse("audit_detail", args=[tenant.pk, latest.pk]),
        "tenant-settings": reverse("tenant_settings", args=[tenant.pk]),
        "profile": "/profile/",
        "password-change": "/profile/password/",
        "password-asked": "/session/confirm/?next=/",
    }
