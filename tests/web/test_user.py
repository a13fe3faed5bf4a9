"""Users and Teams > Users: who is listed and how, what is done to a person, and to whom none of it exists."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actions.member import deactivate_member, set_tenant_admin
from accounts.models import AuditEvent, Invitation, Membership, Tenant, User
from accounts.roles import ProjectAdmin, ProjectViewer, TenantAdmin, WorkspaceAdmin, WorkspaceOperator
from tests.conftest import make_cluster
from tests.people import person, team
from workspaces.models import Project, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(project: Project) -> Workspace:
    workspace = Workspace.objects.create(project=project, name="shop")
    workspace.clusters.add(make_cluster(project, "harbor-east"))
    return workspace


def text(response: Any) -> str:
    return unescape(response.content.decode())


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def users(tenant: Tenant) -> str:
    return reverse("user_list", args=[tenant.pk])


def page_of(tenant: Tenant, user: User) -> str:
    return reverse("user_detail", args=[tenant.pk, user.pk])


def invited(tenant: Tenant, email: str) -> Invitation:
    until = timezone.now() + timedelta(days=7)
    return Invitation.objects.create(tenant=tenant, email=email, token_hash=uuid.uuid4().hex, expires_at=until)


class TestList:
    def test_it_shows_state_teams_roles_and_last_sign_in(self, alices: Client, alice: User, shop: Workspace) -> None:
        tenant = shop.project.tenant
        bob = person("bob", role=WorkspaceOperator, on=shop)
        crew = team(bob, role=ProjectViewer, on=shop.project)
        gone = person("gone", tenant=tenant)
        deactivate_member(by=alice, tenant=tenant, user=gone)
        invited(tenant, "new@harbor.example")
        shown = {each.email: each for each in alices.get(users(tenant)).context["page"]}
        assert {email: each.state for email, each in shown.items()} == {
            alice.email: "active",
            bob.email: "active",
            gone.email: "deactivated",
            "new@harbor.example": "invited",
        }
        assert (shown[bob.email].roles, shown[bob.email].teams) == (2, (crew,))
        page = text(alices.get(users(tenant)))
        assert "Tenant Admin" in page
        assert "Never" in page

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"state": "active"}, ["alice@harbor.example", "bob@harbor.example"]),
            ({"state": "invited"}, ["new@harbor.example"]),
            ({"state": "deactivated"}, ["gone@harbor.example"]),
            ({"q": "BOB"}, ["bob@harbor.example"]),
            ({"q": "new", "state": "active"}, []),
            ({"q": "nobody"}, []),
            (
                {"state": "no such state"},
                ["alice@harbor.example", "bob@harbor.example", "gone@harbor.example", "new@harbor.example"],
            ),
        ],
    )
    def test_search_and_state(self, alices: Client, alice: User, tenant: Tenant, asked: Any, found: list[str]) -> None:
        person("bob", tenant=tenant)
        deactivate_member(by=alice, tenant=tenant, user=person("gone", tenant=tenant))
        invited(tenant, "new@harbor.example")
        assert [each.email for each in alices.get(users(tenant), asked).context["page"]] == found

    def test_pages_and_a_number_of_queries_that_does_not_grow(
        self, alices: Client, shop: Workspace, django_assert_max_num_queries: Any
    ) -> None:
        tenant = shop.project.tenant
        for number in range(60):
            person(f"u{number:02}", role=WorkspaceOperator, on=shop)
        alices.get(users(tenant))
        with django_assert_max_num_queries(14):
            page = alices.get(users(tenant), {"page": "2"})
        assert page.context["page"][0].email == "u24@harbor.example"
        assert "of 61 users" in text(page)

    def test_a_role_in_another_tenant_is_not_counted(
        self, alices: Client, alice: User, charlie: User, tenant: Tenant
    ) -> None:
        elsewhere = Tenant.objects.get(name="Elsewhere")
        Membership.objects.create(tenant=elsewhere, user=alice)
        there = Project.objects.create(tenant=elsewhere, name="There")
        team(alice, role=ProjectAdmin, on=there)
        (line,) = alices.get(users(tenant)).context["page"]
        assert (line.roles, line.teams) == (0, ())


class TestToWhomItExists:
    def pages(self, tenant: Tenant, user: User) -> list[str]:
        return [
            users(tenant),
            page_of(tenant, user),
            reverse("user_admin", args=[tenant.pk, user.pk, "give"]),
            reverse("user_state", args=[tenant.pk, user.pk, "deactivate"]),
            reverse("user_roles", args=[tenant.pk, user.pk, "workspaces"]),
            reverse("user_roles_add", args=[tenant.pk, user.pk, "workspaces"]),
            reverse("invitation_create", args=[tenant.pk]),
            reverse("team_list", args=[tenant.pk]),
            reverse("tenant_settings", args=[tenant.pk]),
            reverse("project_list", args=[tenant.pk]),
        ]

    @pytest.mark.parametrize("role", [ProjectAdmin, ProjectViewer, WorkspaceAdmin, WorkspaceOperator])
    def test_to_no_lesser_role(self, alice: User, shop: Workspace, role: Any) -> None:
        somebody = person("bob", role=role, on=shop.project if role.scope == "project" else shop)
        client = signed_in(somebody)
        for page in self.pages(shop.project.tenant, alice):
            assert client.get(page).status_code == 404, page
        assert "Users and Teams" not in text(client.get(reverse("home"), follow=True))

    def test_another_tenants_admin_cannot_tell_it_from_nothing(
        self, alice: User, charlie: User, tenant: Tenant
    ) -> None:
        client, nothing = signed_in(charlie), Tenant(pk=uuid.uuid4())
        for there, nowhere in zip(self.pages(tenant, alice), self.pages(nothing, alice), strict=True):
            answers = [client.get(page) for page in (there, nowhere)]
            assert [answer.status_code for answer in answers] == [404, 404]
            bodies = [re.sub(r"[0-9a-f-]{36}|[0-9a-f]{12}|value=\"\w{64}\"", "·", text(answer)) for answer in answers]
            assert bodies[0] == bodies[1], there

    def test_a_person_of_another_tenant_is_not_there(self, alices: Client, charlie: User, tenant: Tenant) -> None:
        for page in self.pages(tenant, charlie)[1:6]:
            assert alices.get(page).status_code == 404, page
            assert alices.post(page).status_code in (404, 405), page
        assert not Membership.objects.filter(tenant=tenant, user=charlie).exists()

    def test_unknown_words_in_addresses(self, alices: Client, alice: User, tenant: Tenant) -> None:
        for name, word in (("user_admin", "x"), ("user_state", "give"), ("user_roles", "x"), ("user_roles_add", "x")):
            assert alices.get(reverse(name, args=[tenant.pk, alice.pk, word])).status_code == 404


class TestDetails:
    def test_the_last_admins_buttons_say_why_not(self, alices: Client, alice: User, tenant: Tenant) -> None:
        page = text(alices.get(page_of(tenant, alice)))
        assert page.count("The last Tenant Admin of a tenant stays one.") == 2
        assert reverse("user_admin", args=[tenant.pk, alice.pk, "take"]) not in page
        assert reverse("user_state", args=[tenant.pk, alice.pk, "deactivate"]) not in page

    def test_one_of_two_admins_may_be_no_admin_but_not_deactivate_themselves(
        self, alices: Client, alice: User, tenant: Tenant
    ) -> None:
        set_tenant_admin(by=None, tenant=tenant, user=person("bob", tenant=tenant))
        page = text(alices.get(page_of(tenant, alice)))
        assert reverse("user_admin", args=[tenant.pk, alice.pk, "take"]) in page
        assert "You cannot deactivate yourself." in page

    def test_giving_and_taking_the_role(self, alices: Client, alice: User, tenant: Tenant) -> None:
        bob = person("bob", tenant=tenant)
        give, take = (reverse("user_admin", args=[tenant.pk, bob.pk, deed]) for deed in ("give", "take"))
        assert "Make bob@harbor.example a Tenant Admin?" in text(alices.get(give))
        for address, is_admin in ((give, True), (give, True), (take, False), (take, False)):
            page = alices.post(address, follow=True)
            assert page.status_code == 200
            assert Membership.objects.get(tenant=tenant, user=bob).is_admin is is_admin
        verbs = AuditEvent.objects.filter(target_id=bob.pk, actor_id=alice.pk).values_list("verb", flat=True)
        assert list(verbs) == ["role.delete", "role.create"], "a repeated click writes nothing"

    def test_the_last_admin_is_refused_in_words_whatever_is_posted(
        self, alices: Client, alice: User, tenant: Tenant
    ) -> None:
        page = alices.post(reverse("user_admin", args=[tenant.pk, alice.pk, "take"]), follow=True)
        assert "is the last Tenant Admin of Harbor. Make somebody else one first." in text(page)
        page = alices.post(reverse("user_state", args=[tenant.pk, alice.pk, "deactivate"]), follow=True)
        assert "You cannot deactivate yourself." in text(page)
        assert Membership.objects.filter(user=alice, is_admin=True, is_active=True).exists()

    def test_of_two_admins_who_remove_each_other_one_stays(self, alices: Client, alice: User, tenant: Tenant) -> None:
        bob = person("bob", role=TenantAdmin, tenant=tenant)
        bobs = signed_in(bob)
        alices.post(reverse("user_admin", args=[tenant.pk, bob.pk, "take"]))
        assert bobs.post(reverse("user_admin", args=[tenant.pk, alice.pk, "take"])).status_code == 404
        assert Membership.objects.filter(tenant=tenant).active_admins().get().user == alice

    def test_whoever_takes_it_from_themselves_lands_where_they_may_be(
        self, alices: Client, alice: User, tenant: Tenant, project: Project
    ) -> None:
        set_tenant_admin(by=None, tenant=tenant, user=person("bob", tenant=tenant))
        page = alices.post(reverse("user_admin", args=[tenant.pk, alice.pk, "take"]), follow=True)
        assert page.status_code == 200
        assert "is no Tenant Admin any more" in text(page)

    def test_deactivating_counts_at_the_next_request_and_activating_brings_back(
        self, alices: Client, shop: Workspace
    ) -> None:
        tenant, bob = shop.project.tenant, person("bob", role=ProjectViewer, on=shop.project)
        bobs, overview = signed_in(bob), reverse("project_overview", args=[shop.project_id])
        assert bobs.get(overview).status_code == 200
        alices.post(reverse("user_state", args=[tenant.pk, bob.pk, "deactivate"]))
        assert bobs.get(overview).status_code == 404
        assert "Deactivated in Harbor" in text(alices.get(page_of(tenant, bob)))
        alices.post(reverse("user_state", args=[tenant.pk, bob.pk, "activate"]))
        assert bobs.get(overview).status_code == 200

    def test_asking_changes_nothing(self, alices: Client, tenant: Tenant) -> None:
        bob = person("bob", tenant=tenant)
        alices.get(reverse("user_admin", args=[tenant.pk, bob.pk, "give"]))
        alices.get(reverse("user_state", args=[tenant.pk, bob.pk, "deactivate"]))
        member = Membership.objects.get(user=bob)
        assert (member.is_admin, member.is_active) == (False, True)
