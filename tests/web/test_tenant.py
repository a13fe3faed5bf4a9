"""A tenant's projects and settings, and the switcher of people who belong to several."""

from __future__ import annotations

import uuid
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Membership, Tenant, User
from accounts.permissions import Verb, may
from accounts.roles import ProjectAdmin, ProjectViewer
from tests.conftest import make_cluster, make_location
from tests.people import give, person
from workspaces.models import Project, Workspace

pytestmark = pytest.mark.django_db


def text(response: Any) -> str:
    return unescape(response.content.decode())


def at(name: str, tenant: Tenant, *args: Any) -> str:
    return reverse(name, args=[tenant.pk, *(each.pk for each in args)])


@pytest.fixture
def elsewhere(charlie: User) -> Tenant:
    return Tenant.objects.get(name="Elsewhere")


class TestProjects:
    def test_the_list_counts_what_is_in_each(self, alices: Client, tenant: Tenant, project: Project) -> None:
        for number in range(3):
            make_cluster(project, f"c{number}")
        make_cluster(project, "left", deregistered_at=timezone.now())
        Workspace.objects.create(project=project, name="shop")
        make_location(project, "a")
        make_location(project, "b")
        (line,) = alices.get(at("project_list", tenant)).context["page"]
        assert (line.cluster_count, line.workspace_count, line.location_count) == (3, 1, 2)
        assert "No project matches" in text(alices.get(at("project_list", tenant), {"q": "nothing"}))

    def test_creating_and_renaming(self, alices: Client, tenant: Tenant, project: Project) -> None:
        assert alices.post(at("project_create", tenant), {"name": " Front "}).status_code == 302
        front = Project.objects.get(name="Front", tenant=tenant)
        for name, said in (("default", "There is a project of this name already."), ("", "Give the project a name.")):
            for address in (at("project_create", tenant), at("project_rename", tenant, front)):
                answer = alices.post(address, {"name": name})
                assert answer.status_code == 422
                assert said in text(answer)
        alices.post(at("project_rename", tenant, front), {"name": "FRONT"})
        front.refresh_from_db()
        assert front.name == "FRONT"
        assert AuditEvent.objects.get(verb="project.update").details == {"before": "Front"}

    def test_an_empty_one_is_deleted_with_the_roles_on_it(
        self, alices: Client, tenant: Tenant, project: Project
    ) -> None:
        person("bob", role=ProjectViewer, on=project)
        make_cluster(project, "left", deregistered_at=timezone.now())
        address = at("project_delete", tenant, project)
        assert "Delete the project Default?" in text(alices.get(address))
        assert Project.objects.filter(pk=project.pk).exists()
        assert "The project Default is deleted." in text(alices.post(address, follow=True))
        assert not Project.objects.filter(pk=project.pk).exists()
        assert alices.post(address).status_code == 404

    def test_one_that_is_not_empty_says_what_is_in_it(self, alices: Client, tenant: Tenant, project: Project) -> None:
        make_cluster(project, "c")
        make_location(project, "a")
        make_location(project, "b")
        address = at("project_delete", tenant, project)
        assert "It holds 1 cluster and 2 backup locations." in text(alices.get(address))
        page = text(alices.post(address, follow=True))
        assert "Default is not empty: it holds 1 cluster and 2 backup locations." in page
        assert Project.objects.filter(pk=project.pk).exists()

    def test_a_project_admin_opens_none_of_it(self, client: Client, tenant: Tenant, project: Project) -> None:
        client.force_login(person("bob", role=ProjectAdmin, on=project))
        for name, rows in (
            ("project_list", []),
            ("project_create", []),
            ("project_rename", [project]),
            ("project_delete", [project]),
        ):
            assert client.get(at(name, tenant, *rows)).status_code == 404, name
            assert client.post(at(name, tenant, *rows), {"name": "x"}).status_code in (404, 405)
        assert Project.objects.filter(name="Default").exists()

    def test_a_project_of_another_tenant_is_not_there(self, alices: Client, tenant: Tenant, elsewhere: Tenant) -> None:
        theirs = Project.objects.create(tenant=elsewhere, name="There")
        for where in (tenant, elsewhere):
            for name in ("project_rename", "project_delete"):
                assert alices.get(at(name, where, theirs)).status_code == 404
                assert alices.post(at(name, where, theirs), {"name": "x"}).status_code == 404
        assert Project.objects.get(pk=theirs.pk).name == "There"


class TestSettings:
    def settled(self, client: Client, tenant: Tenant, **changed: Any) -> Any:
        form = client.get(at("tenant_settings", tenant)).context["form"]
        return client.post(at("tenant_settings", tenant), {name: form[name].value() for name in form.fields} | changed)

    def test_the_name(self, alices: Client, alice: User, tenant: Tenant) -> None:
        assert self.settled(alices, tenant, name=" Haven ").status_code == 302
        tenant.refresh_from_db()
        assert tenant.name == "Haven"
        row = AuditEvent.objects.get(verb="tenant.update")
        assert (row.tenant_id, row.actor_id, row.details) == (tenant.pk, alice.pk, {"before": {"name": "Harbor"}})

    def test_nothing_changed_is_no_change(self, alices: Client, tenant: Tenant) -> None:
        assert self.settled(alices, tenant).status_code == 302
        assert not AuditEvent.objects.filter(verb="tenant.update").exists()

    @pytest.mark.parametrize("name", ["", "x" * 101, "Elsewhere"])
    def test_a_name_that_cannot_be(self, alices: Client, tenant: Tenant, elsewhere: Tenant, name: str) -> None:
        answer = self.settled(alices, tenant, name=name)
        assert answer.status_code == 422
        assert "name" in answer.context["form"].errors
        assert "Tenant with this" not in text(answer)
        tenant.refresh_from_db()
        assert tenant.name == "Harbor"


class TestSwitcher:
    def test_a_person_of_one_tenant_has_nothing_to_switch(self, alices: Client, tenant: Tenant) -> None:
        assert "<h3>Tenant</h3>" not in text(alices.get(at("user_list", tenant)))

    def test_the_pages_of_each_tenant_speak_of_it_alone(
        self, alices: Client, alice: User, tenant: Tenant, project: Project, elsewhere: Tenant
    ) -> None:
        Membership.objects.create(tenant=elsewhere, user=alice, is_admin=True)
        there = Project.objects.create(tenant=elsewhere, name="There")
        page = text(alices.get(at("user_list", elsewhere)))
        assert "<h3>Tenant</h3>" in page
        assert at("tenant_settings", elsewhere) in page
        assert at("tenant_settings", tenant) not in page
        assert "charlie@elsewhere.example" in page
        for where in (project, there):
            assert reverse("project_overview", args=[where.pk]) in page, "both tenants can be switched to"
        page = text(alices.get(reverse("project_overview", args=[project.pk])))
        assert at("tenant_settings", tenant) in page

    def test_a_tenant_without_a_project_leads_to_its_projects(
        self, alices: Client, alice: User, project: Project, elsewhere: Tenant
    ) -> None:
        Membership.objects.create(tenant=elsewhere, user=alice, is_admin=True)
        assert at("project_list", elsewhere) in text(alices.get(reverse("project_overview", args=[project.pk])))
        assert alices.get(at("project_list", elsewhere)).status_code == 200

    def test_admin_of_one_tenant_and_guest_in_another(
        self, alices: Client, alice: User, project: Project, elsewhere: Tenant
    ) -> None:
        Membership.objects.create(tenant=elsewhere, user=alice)
        there = Project.objects.create(tenant=elsewhere, name="There")
        give(alice, ProjectViewer, there)
        assert may(alice, there, Verb.PROJECT_GET)
        page = text(alices.get(reverse("project_overview", args=[there.pk])))
        assert "<h3>Tenant</h3>" in page
        assert at("user_list", elsewhere) not in page
        assert alices.get(at("user_list", elsewhere)).status_code == 404

    def test_an_unknown_tenant_in_the_address_changes_nothing(self, alices: Client, project: Project) -> None:
        page = alices.get(reverse("user_list", args=[uuid.uuid4()]))
        assert page.status_code == 404
        assert project.name in text(page)
