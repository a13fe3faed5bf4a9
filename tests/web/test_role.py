"""Project Roles and Workspace Roles of users and teams: the tables, removing, and the wizard Add Roles."""

from __future__ import annotations

import uuid
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.holders import roles_of
from accounts.models import AuditEvent, Team, Tenant, User
from accounts.roles import ProjectViewer, Scope, WorkspaceAdmin, WorkspaceOperator
from tests.people import give, person, team
from workspaces.models import Draft, Project, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(project: Project) -> Workspace:
    return Workspace.objects.create(project=project, name="shop")


@pytest.fixture
def bob(tenant: Tenant) -> User:
    return person("bob", tenant=tenant)


@pytest.fixture
def elsewhere(charlie: User) -> Workspace:
    there = Project.objects.create(tenant=Tenant.objects.get(name="Elsewhere"), name="There")
    return Workspace.objects.create(project=there, name="theirs")


def text(response: Any) -> str:
    return unescape(response.content.decode())


def table(kind: str, tenant: Tenant, who: User | Team, scope: str = "workspaces") -> str:
    return reverse(f"{kind}_roles", args=[tenant.pk, who.pk, scope])


def begin(client: Client, kind: str, tenant: Tenant, who: User | Team, scope: str = "workspaces") -> str:
    """The address of the wizard's first step."""
    return str(client.get(reverse(f"{kind}_roles_add", args=[tenant.pk, who.pk, scope]))["Location"])


def fill(client: Client, first: str, **values: Any) -> Any:
    """Each step with its value, then Confirm; the last answer."""
    for slug, value in values.items():
        answer = client.post(first.replace("/project/", f"/{slug}/"), {slug: value})
        assert answer.status_code == 302, text(answer)
    return client.post(first.replace("/project/", "/review/"), follow=True)


def held(who: User | Team, tenant: Tenant, scope: Scope = Scope.WORKSPACE) -> list[tuple[str, str]]:
    return [(each.role.codename, str(each.on)) for each in roles_of(who, tenant, scope)]


class TestTables:
    def test_own_and_inherited_roles(self, alices: Client, tenant: Tenant, shop: Workspace, bob: User) -> None:
        give(bob, WorkspaceOperator, shop)
        crew = team(bob, role=WorkspaceAdmin, on=shop)
        page = text(alices.get(table("user", tenant, bob)))
        assert "New Workspace Role" in page
        assert f'Through the team <a href="{reverse("team_detail", args=[tenant.pk, crew.pk])}">{crew}' in page
        own = reverse("user_role_remove", args=[tenant.pk, bob.pk, "workspaces", shop.pk, "workspace_operator"])
        passed_on = reverse("user_role_remove", args=[tenant.pk, bob.pk, "workspaces", shop.pk, "workspace_admin"])
        assert own in page
        assert passed_on not in page
        assert alices.get(passed_on).status_code == 404
        alices.post(passed_on)
        assert ("workspace_admin", "shop") in held(bob, tenant)

    def test_removing_asks_and_may_be_repeated(
        self, alices: Client, tenant: Tenant, shop: Workspace, bob: User
    ) -> None:
        give(bob, WorkspaceOperator, shop)
        address = reverse("user_role_remove", args=[tenant.pk, bob.pk, "workspaces", shop.pk, "workspace_operator"])
        assert "Remove Workspace Operator on shop from bob@harbor.example?" in text(alices.get(address))
        assert held(bob, tenant)
        for _ in range(2):
            assert alices.post(address, follow=True).status_code == 200
        assert held(bob, tenant) == []
        assert AuditEvent.objects.filter(verb="role.delete").count() == 1

    def test_of_a_team(self, alices: Client, tenant: Tenant, project: Project) -> None:
        crew = team(role=ProjectViewer, on=project)
        address = reverse("team_role_remove", args=[tenant.pk, crew.pk, "projects", project.pk, "project_viewer"])
        assert address in text(alices.get(table("team", tenant, crew, "projects")))
        alices.post(address)
        assert held(crew, tenant, Scope.PROJECT) == []

    def test_nothing_yet(self, alices: Client, tenant: Tenant, bob: User) -> None:
        assert "No workspace role" in text(alices.get(table("user", tenant, bob)))
        assert "No project role" in text(alices.get(table("user", tenant, bob, "projects")))


class TestWizard:
    def test_project_workspace_role_review_confirm(
        self, alices: Client, tenant: Tenant, shop: Workspace, bob: User
    ) -> None:
        first = begin(alices, "user", tenant, bob)
        assert "Add Roles to bob@harbor.example" in text(alices.get(first))
        alices.post(first, {"project": shop.project_id})
        alices.post(first.replace("/project/", "/workspace/"), {"workspace": shop.pk})
        page = text(alices.get(first.replace("/project/", "/role/")))
        assert all(role.description in page for role in (WorkspaceAdmin, WorkspaceOperator))
        alices.post(first.replace("/project/", "/role/"), {"role": "workspace_operator"})
        page = text(alices.get(first.replace("/project/", "/review/")))
        assert all(f"<dd>{said}</dd>" in page for said in ("Default", "shop", "Workspace Operator"))
        assert held(bob, tenant) == []
        page = alices.post(first.replace("/project/", "/review/"), follow=True)
        assert page.redirect_chain[-1][0] == table("user", tenant, bob)
        assert held(bob, tenant) == [("workspace_operator", "shop")]

    def test_confirmed_twice_and_given_twice_it_is_one_role(
        self, alices: Client, tenant: Tenant, shop: Workspace, bob: User
    ) -> None:
        chosen = {"project": shop.project_id, "workspace": shop.pk, "role": "workspace_operator"}
        for _ in range(2):
            first = begin(alices, "user", tenant, bob)
            fill(alices, first, **chosen)
            alices.post(first.replace("/project/", "/review/"))
        assert held(bob, tenant) == [("workspace_operator", "shop")]
        assert AuditEvent.objects.filter(verb="role.create").count() == 1

    def test_a_project_role_of_a_team(self, alices: Client, tenant: Tenant, project: Project) -> None:
        crew = team(tenant=tenant)
        first = begin(alices, "team", tenant, crew, "projects")
        assert alices.get(first.replace("/project/", "/workspace/")).status_code == 404, "there is no such step"
        fill(alices, first, project=project.pk, role="project_viewer")
        assert held(crew, tenant, Scope.PROJECT) == [("project_viewer", "Default")]

    def test_forged_ids_are_refused_at_the_field(
        self, alices: Client, tenant: Tenant, shop: Workspace, bob: User, elsewhere: Workspace
    ) -> None:
        beside = Project.objects.create(tenant=tenant, name="Beside")
        sibling = Workspace.objects.create(project=beside, name="sibling")
        first = begin(alices, "user", tenant, bob)
        for project in (elsewhere.project_id, uuid.uuid4(), "x", ""):
            answer = alices.post(first, {"project": project})
            assert answer.status_code == 422
            assert "project" in answer.context["form"].errors
        alices.post(first, {"project": shop.project_id})
        step = first.replace("/project/", "/workspace/")
        for workspace in (elsewhere.pk, sibling.pk, uuid.uuid4(), "x", ""):
            answer = alices.post(step, {"workspace": workspace})
            assert answer.status_code == 422
            assert "workspace" in answer.context["form"].errors
        alices.post(step, {"workspace": shop.pk})
        for role in ("project_admin", "tenant_admin", "x", ""):
            answer = alices.post(first.replace("/project/", "/role/"), {"role": role})
            assert answer.status_code == 422
            assert "role" in answer.context["form"].errors
        assert held(bob, tenant) == []

    def test_another_project_asks_for_the_workspace_again(
        self, alices: Client, tenant: Tenant, shop: Workspace, bob: User
    ) -> None:
        beside = Project.objects.create(tenant=tenant, name="Beside")
        first = begin(alices, "user", tenant, bob)
        for slug, value in (("project", shop.project_id), ("workspace", shop.pk), ("role", "workspace_admin")):
            alices.post(first.replace("/project/", f"/{slug}/"), {slug: value})
        alices.post(first, {"project": beside.pk})
        answer = alices.post(first.replace("/project/", "/review/"))
        assert answer["Location"] == first.replace("/project/", "/workspace/")
        assert "Beside has no workspace yet." in text(alices.get(answer["Location"]))
        assert held(bob, tenant) == []

    def test_a_workspace_deleted_meanwhile_is_said(
        self, alices: Client, tenant: Tenant, shop: Workspace, bob: User
    ) -> None:
        first = begin(alices, "user", tenant, bob)
        for slug, value in (("project", shop.project_id), ("workspace", shop.pk), ("role", "workspace_admin")):
            alices.post(first.replace("/project/", f"/{slug}/"), {slug: value})
        shop.delete()
        page = alices.post(first.replace("/project/", "/review/"), follow=True)
        assert "The workspace you chose does not exist any more. Choose another." in text(page)

    def test_whoever_administers_no_more_gives_no_more(
        self, alices: Client, alice: User, tenant: Tenant, shop: Workspace, bob: User
    ) -> None:
        first = begin(alices, "user", tenant, bob)
        for slug, value in (("project", shop.project_id), ("workspace", shop.pk), ("role", "workspace_admin")):
            alices.post(first.replace("/project/", f"/{slug}/"), {slug: value})
        alice.memberships.update(is_admin=False)
        assert alices.post(first.replace("/project/", "/review/")).status_code == 404
        assert held(bob, tenant) == []

    def test_a_draft_is_its_creators_own(
        self, alices: Client, client: Client, tenant: Tenant, bob: User, shop: Workspace
    ) -> None:
        first = begin(alices, "user", tenant, bob)
        others = Client()
        others.force_login(person("carol", tenant=tenant))
        assert others.get(first).status_code == 404

    def test_without_a_project_it_says_what_to_do(self, alices: Client, tenant: Tenant, bob: User) -> None:
        page = alices.get(reverse("user_roles_add", args=[tenant.pk, bob.pk, "workspaces"]), follow=True)
        assert "There is no project yet. Create one first" in text(page)
        assert not Draft.objects.exists()
