"""The first run: what the start page says until there is a first backup, computed from what is there."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import Tenant, User
from accounts.roles import ProjectAdmin, TenantAdmin, WorkspaceOperator
from backups.models import Backup, BackupLocation
from tests.conftest import make_cluster, make_location
from tests.people import person
from workspaces.models import Cluster, Project, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_sandbox(settings: Settings, tmp_path: Path) -> None:
    settings.SANDBOX_STATE = tmp_path / "state.json"


def steps(client: Client) -> list[tuple[str, bool, str]]:
    """Each step of the start page: its title, whether it is done, where it leads."""
    page = unescape(client.get("/").content.decode())
    items = re.findall(r'<li class="(passed|)">.*?class="title">(.*?)</span>(.*?)</li>', page, re.S)
    return [(title, done == "passed", "".join(re.findall(r'href="([^"]*)"', rest))) for done, title, rest in items]


def back_up(cluster: Cluster, location: BackupLocation) -> Backup:
    values: dict[str, Any] = {"name": "first", "object_name": "first-1", "keep_for": timedelta(days=1)}
    return Backup.objects.create(project=cluster.project, cluster=cluster, location=location, **values)


def test_from_nothing_to_the_first_backup(alices: Client, project: Project) -> None:
    register, locate = (reverse(name, args=[project.pk]) for name in ("cluster_register", "location_create"))
    assert steps(alices) == [
        ("Tenant and project", True, ""),
        ("Register a cluster", False, register),
        ("Add a backup location", False, locate),
        ("Take a first backup", False, ""),
    ]
    cluster = make_cluster(project, "harbor-east")
    assert steps(alices)[1:] == [
        ("Register a cluster", True, ""),
        ("Add a backup location", False, locate),
        ("Take a first backup", False, ""),
    ]
    location = make_location(project)
    assert steps(alices)[3] == ("Take a first backup", False, reverse("backup_create", args=[cluster.pk]))
    assert "3 of 4 done." in alices.get("/").content.decode()
    back_up(cluster, location)
    assert alices.get("/")["Location"] == reverse("project_overview", args=[project.pk])


def test_it_can_be_left_and_comes_back(alices: Client, project: Project) -> None:
    overview = reverse("project_overview", args=[project.pk])
    assert f'href="{overview}"' in alices.get("/").content.decode()
    assert alices.get(overview).status_code == 200
    assert len(steps(alices)) == 4


def test_every_step_can_be_opened(alices: Client, project: Project) -> None:
    for _, _, address in steps(alices):
        assert not address or alices.get(address).status_code in (200, 302), address


def test_what_was_done_and_undone_is_to_be_done_again(alices: Client, project: Project, east: Cluster) -> None:
    Cluster.objects.update(deregistered_at=east.created_at)
    assert steps(alices)[1][1] is False


def test_a_tenant_without_a_project_begins_with_one(alices: Client, tenant: Tenant) -> None:
    found = steps(alices)
    assert found[0] == ("Create a project", False, reverse("project_create", args=[tenant.pk]))
    assert [each[2] for each in found[1:]] == ["", "", ""]


def test_another_project_of_a_tenant_that_has_backups_is_not_set_up(
    alices: Client, project: Project, east: Cluster, store: BackupLocation
) -> None:
    back_up(east, store)
    second = Project.objects.create(tenant=project.tenant, name="Zeta")
    alices.get(reverse("project_overview", args=[second.pk]))
    assert alices.get("/")["Location"] == reverse("project_overview", args=[second.pk])


def test_a_backup_of_another_tenant_ends_nothing(alices: Client, project: Project, charlie: User) -> None:
    theirs = Project.objects.create(tenant=charlie.memberships.get().tenant, name="p")
    back_up(make_cluster(theirs, "c"), make_location(theirs, "l"))
    assert len(steps(alices)) == 4


@pytest.mark.parametrize("role", [ProjectAdmin, WorkspaceOperator])
def test_others_are_led_to_their_work(project: Project, role: type[Any]) -> None:
    workspace = Workspace.objects.create(project=project, name="shop")
    client = Client()
    client.force_login(person(role=role, on=project if role is ProjectAdmin else workspace))
    first = "project_overview" if role is ProjectAdmin else "workspace_list"
    assert client.get("/")["Location"] == reverse(first, args=[project.pk])


def test_beside_a_sandbox_there_is_nothing_to_set_up(alices: Client, project: Project, settings: Settings) -> None:
    settings.SANDBOX_STATE.write_text('{"stage": "ready"}')
    assert alices.get("/")["Location"] == reverse("project_overview", args=[project.pk])


def test_each_tenant_has_its_own(alice: User, alices: Client, project: Project, east: Cluster, store: Any) -> None:
    back_up(east, store)
    other = Tenant.objects.create(name="Quay")
    client = Client()
    client.force_login(person(role=TenantAdmin, on=other))
    assert steps(client)[0][2] == reverse("project_create", args=[other.pk])
    assert alices.get("/").status_code == 302
