"""Users and Teams > Teams: who is in which, and what becomes of their roles."""

from __future__ import annotations

import uuid
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Team, Tenant, User
from accounts.permissions import Verb, may
from accounts.roles import ProjectViewer
from tests.people import person, team
from workspaces.models import Project

pytestmark = pytest.mark.django_db


def text(response: Any) -> str:
    return unescape(response.content.decode())


def at(name: str, tenant: Tenant, *args: Any) -> str:
    return reverse(name, args=[tenant.pk, *(getattr(each, "pk", each) for each in args)])


def test_the_list_counts_members_and_roles(alices: Client, tenant: Tenant, project: Project) -> None:
    crew = team(person("bob", tenant=tenant), person("carol", tenant=tenant), role=ProjectViewer, on=project)
    empty = team(tenant=tenant)
    page = alices.get(at("team_list", tenant))
    assert {each.pk: each.people for each in page.context["page"]} == {crew.pk: 2, empty.pk: 0}
    assert page.context["roles"] == {crew.pk: 1}
    assert [each.pk for each in alices.get(at("team_list", tenant), {"q": crew.name}).context["page"]] == [crew.pk]
    assert "No team matches" in text(alices.get(at("team_list", tenant), {"q": "nothing like it"}))


def test_creating_renaming_and_a_name_that_is_taken(alices: Client, tenant: Tenant) -> None:
    assert "No team yet" in text(alices.get(at("team_list", tenant)))
    answer = alices.post(at("team_create", tenant), {"name": " Shop crew ", "description": "Runs the shop"})
    crew = Team.objects.get(tenant=tenant)
    assert answer["Location"] == at("team_detail", tenant, crew)
    for address in (at("team_create", tenant), at("team_settings", tenant, team(tenant=tenant))):
        answer = alices.post(address, {"name": "SHOP CREW"})
        assert answer.status_code == 422
        assert "There is a team of this name already. Choose another." in text(answer)
    assert alices.post(at("team_create", tenant), {"name": " "}).status_code == 422
    alices.post(at("team_settings", tenant, crew), {"name": "Shop", "description": ""})
    crew.refresh_from_db()
    assert (crew.name, crew.description) == ("Shop", "")


def test_members_hold_the_roles_while_they_are_in(alices: Client, tenant: Tenant, project: Project) -> None:
    bob, crew = person("bob", tenant=tenant), team(role=ProjectViewer, on=project)
    page = at("team_detail", tenant, crew)
    assert "Nobody is in this team" in text(alices.get(page))
    for _ in range(2):
        alices.post(at("team_member_add", tenant, crew), {"user": bob.pk})
    assert may(bob, project, Verb.PROJECT_GET)
    assert bob.email in text(alices.get(page))
    remove = at("team_member_remove", tenant, crew, bob)
    assert f"Remove {bob} from {crew}?" in text(alices.get(remove))
    assert may(bob, project, Verb.PROJECT_GET), "asking changes nothing"
    alices.post(remove)
    assert not may(bob, project, Verb.PROJECT_GET)
    verbs = AuditEvent.objects.filter(target_id=crew.pk).order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["team.create", "team.add_member", "team.remove_member"]


def test_forged_people_are_refused_at_the_field(alices: Client, charlie: User, tenant: Tenant) -> None:
    crew = team(tenant=tenant)
    for user in (charlie.pk, uuid.uuid4(), "x", ""):
        answer = alices.post(at("team_member_add", tenant, crew), {"user": user})
        assert answer.status_code == 422, user
        assert "user" in answer.context["form"].errors
    assert not crew.members.exists()
    assert charlie.email not in text(alices.get(at("team_detail", tenant, crew)))


def test_deleting_by_its_name(alices: Client, tenant: Tenant, project: Project) -> None:
    bob = person("bob", tenant=tenant)
    crew = team(bob, role=ProjectViewer, on=project)
    address = at("team_delete", tenant, crew)
    assert f'data-confirm-name="{crew.name}"' in text(alices.get(address))
    for typed in ("", "another", crew.name.upper()):
        answer = alices.post(address, {"typed_name": typed})
        assert answer.status_code == 422
        assert "typed_name" in answer.context["form"].errors
    assert may(bob, project, Verb.PROJECT_GET)
    assert alices.post(address, {"typed_name": crew.name})["Location"] == at("team_list", tenant)
    assert not may(bob, project, Verb.PROJECT_GET)
    assert alices.post(address, {"typed_name": crew.name}).status_code == 404


def test_a_team_of_another_tenant_is_not_there(alices: Client, charlie: User, tenant: Tenant) -> None:
    elsewhere = Tenant.objects.get(name="Elsewhere")
    theirs = team(charlie, tenant=elsewhere)
    for where in (tenant, elsewhere):
        assert alices.post(at("team_member_add", where, theirs), {"user": charlie.pk}).status_code == 404
        for name in ("team_detail", "team_settings", "team_delete"):
            assert alices.get(at(name, where, theirs)).status_code == 404
            answer = alices.post(at(name, where, theirs), {"name": "x", "typed_name": theirs.name})
            assert answer.status_code in (404, 405)
        assert alices.post(at("team_member_remove", where, theirs, charlie)).status_code == 404
    assert theirs.members.get() == charlie
