"""What pages offer to each role: what is shown leads somewhere, what is not allowed is refused, and counts at once."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, User
from accounts.roles import ProjectAdmin, ProjectViewer, Role, TenantAdmin, Verb, WorkspaceAdmin, WorkspaceOperator
from backups.models import Backup, BackupLocation, Reading, Restore
from tests.conftest import make_cluster
from tests.people import give, person
from workspaces.models import Cluster, Draft, Project, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def seen(project: Project) -> Cluster:
    return make_cluster(project, "harbor-east", seen_at=timezone.now())


@pytest.fixture
def shop(project: Project, seen: Cluster) -> Workspace:
    workspace = Workspace.objects.create(project=project, name="shop")
    workspace.clusters.add(seen)
    return workspace


def make_backup(cluster: Cluster, location: BackupLocation, name: str, **fields: Any) -> Backup:
    values = {"object_name": f"{name}-x", "keep_for": timedelta(days=7), "state": "completed"}
    return Backup.objects.create(
        project=cluster.project, cluster=cluster, location=location, name=name, **values | fields
    )


@pytest.fixture
def own(shop: Workspace, seen: Cluster, store: BackupLocation) -> Backup:
    return make_backup(seen, store, "of-the-shop", workspace=shop)


@pytest.fixture
def other(seen: Cluster, store: BackupLocation) -> Backup:
    return make_backup(seen, store, "of-the-cluster")


@pytest.fixture
def restored(own: Backup, shop: Workspace) -> Restore:
    return Restore.objects.create(
        project=own.project, cluster=own.cluster, backup=own, workspace=shop, object_name="r-x", state="completed"
    )


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return unescape(response.content.decode())


def pages_of(project: Project, cluster: Cluster, location: BackupLocation) -> dict[str, str]:
    """Pages about a project that only look."""
    return {
        "project_overview": reverse("project_overview", args=[project.pk]),
        "cluster_list": reverse("cluster_list", args=[project.pk]),
        "location_list": reverse("location_list", args=[project.pk]),
        "location_detail": reverse("location_detail", args=[location.pk]),
    } | {
        name: reverse(name, args=[cluster.pk])
        for name in ("cluster_overview", "cluster_backups", "cluster_restores", "cluster_events", "cluster_schedule")
    }


def changing(project: Project, cluster: Cluster, location: BackupLocation, backup: Backup) -> list[tuple[str, str]]:
    """What changes something, or is a form to do so: method and address."""
    return [
        ("get", reverse("cluster_register", args=[project.pk])),
        ("get", reverse("location_create", args=[project.pk])),
        ("post", reverse("location_create", args=[project.pk])),
        ("post", reverse("location_recheck", args=[location.pk])),
        ("get", reverse("backup_create", args=[cluster.pk])),
        ("post", reverse("backup_create", args=[cluster.pk])),
        ("get", reverse("cluster_settings", args=[cluster.pk])),
        ("post", reverse("cluster_settings", args=[cluster.pk])),
        ("get", reverse("cluster_kubeconfig", args=[cluster.pk])),
        ("post", reverse("cluster_kubeconfig_replace", args=[cluster.pk])),
        ("post", reverse("cluster_recheck", args=[cluster.pk])),
        ("get", reverse("cluster_deregister", args=[cluster.pk])),
        ("post", reverse("cluster_deregister", args=[cluster.pk])),
        ("get", reverse("restore_begin", args=[backup.pk])),
    ]


# Every control leads somewhere


def crawl(client: Client, *starts: str) -> tuple[set[str], dict[str, int]]:
    """Every address shown on every page from `starts` on; those that do not answer well, with their status."""
    seen, waiting, bad = set(), [*starts], {}
    while waiting:
        address = waiting.pop()
        if address in seen or address.startswith(("/static/", "/admin/", "/logout")):
            continue
        seen.add(address)
        response = client.get(address, follow=True)
        if response.status_code not in (200, 405):
            bad[address] = response.status_code
        page = "" if response.streaming else text(response)
        found = re.findall(r'(?:href|action|src)="(/[^"#]*)', page)
        waiting += [each for each in found if each not in seen]
    return seen, bad


@pytest.mark.slow
@pytest.mark.parametrize(
    "role", [TenantAdmin, ProjectAdmin, ProjectViewer, WorkspaceAdmin, WorkspaceOperator], ids=lambda r: r.codename
)
def test_what_is_shown_may_be_opened(
    role: type[Role], shop: Workspace, own: Backup, other: Backup, restored: Restore, sent: object
) -> None:
    on = {"tenant": shop.project.tenant, "project": shop.project, "workspace": shop}[role.scope]
    client = signed_in(person(role=role, on=on))
    starts = [
        "/",
        *(reverse(f"backup_{page}", args=[own.pk]) for page in ("detail", "yaml", "log")),
        *(reverse(f"restore_{page}", args=[restored.pk]) for page in ("detail", "yaml", "log")),
    ]
    seen, bad = crawl(client, *starts)
    assert bad == {}
    of_the_project = {address for address in seen if str(shop.project_id) in address or "/clusters/" in address}
    if role.scope == "workspace":
        assert {address for address in of_the_project if "/workspaces/" not in address} == set()
    else:
        assert len(of_the_project) > 8, "the crawl went round"
    creates = [address for address in seen if "/create/" in address or "/register/" in address]
    assert bool(creates) == (role in (TenantAdmin, ProjectAdmin))


# Project roles


def test_the_project_admin_may_do_all_of_it(
    project: Project, seen: Cluster, store: BackupLocation, other: Backup, sent: object
) -> None:
    client = signed_in(person(role=ProjectAdmin, on=project))
    for address in pages_of(project, seen, store).values():
        assert client.get(address).status_code == 200, address
    for method, address in changing(project, seen, store, other):
        assert getattr(client, method)(address).status_code in (200, 302, 422), address


def test_the_viewer_sees_and_changes_nothing(
    project: Project, seen: Cluster, store: BackupLocation, other: Backup, sent: list[object]
) -> None:
    client = signed_in(person(role=ProjectViewer, on=project))
    for address in pages_of(project, seen, store).values():
        page = client.get(address)
        assert page.status_code == 200, address
        forms = re.findall(r'<form[^>]*method="post"[^>]*>', text(page).split("<main")[1])
        assert forms == [], f"{address} offers a change"
    for method, address in changing(project, seen, store, other):
        assert getattr(client, method)(address).status_code == 403, address
    assert not sent and not Draft.objects.exists() and Backup.objects.count() == 1


def test_the_viewer_reads_a_log(project: Project, other: Backup, sent: object) -> None:
    client = signed_in(person(role=ProjectViewer, on=project))
    assert client.post(reverse("backup_log", args=[other.pk])).status_code == 302
    assert Reading.objects.get().backup == other


def test_a_role_in_one_project_says_nothing_of_another(project: Project, seen: Cluster, store: BackupLocation) -> None:
    sibling = Project.objects.create(tenant=project.tenant, name="Sibling")
    client = signed_in(person(role=ProjectAdmin, on=sibling))
    for address in pages_of(project, seen, store).values():
        assert client.get(address).status_code == 404, address
    page = text(client.get(reverse("project_overview", args=[sibling.pk])))
    assert "Sibling" in page and f">{project.name}<" not in page and "harbor-east" not in page


# Workspace roles


@pytest.fixture
def operator(shop: Workspace) -> Client:
    return signed_in(person("operator", role=WorkspaceOperator, on=shop))


def test_the_operator_sees_the_workspaces_backups_in_full_with_their_log(
    operator: Client, own: Backup, restored: Restore, sent: object
) -> None:
    for name, row in (("backup", own), ("restore", restored)):
        for page in ("detail", "yaml", "log"):
            assert operator.get(reverse(f"{name}_{page}", args=[row.pk])).status_code == 200
    assert operator.post(reverse("backup_log", args=[own.pk])).status_code == 302
    assert Reading.objects.get().backup == own


def test_to_the_operator_the_rest_of_the_project_does_not_exist(
    operator: Client, project: Project, seen: Cluster, store: BackupLocation, own: Backup, other: Backup
) -> None:
    missing = "/backups/00000000-0000-4000-8000-000000000000/"
    nowhere = told(operator.get(missing), missing)
    addresses = [("get", each) for each in pages_of(project, seen, store).values()]
    addresses += [("get", reverse(f"backup_{page}", args=[other.pk])) for page in ("detail", "yaml", "log", "log_text")]
    addresses += changing(project, seen, store, other)
    for method, address in addresses:
        response = getattr(operator, method)(address)
        assert response.status_code == 404, address
        assert told(response, address) == nowhere, f"{address} is told apart from what is not there"


def told(response: Any, address: str) -> str:
    """What a page says, but for the address that was asked for and the reference of the request."""
    page = text(response).replace(response["X-Request-ID"], "REFERENCE")
    return page.split("<main")[1].split("</main")[0].replace(address, "HERE")


def test_the_operator_starts_no_ordinary_restore_of_it(operator: Client, own: Backup) -> None:
    """That wizard has every option; a workspace is restored within its own limits."""
    assert operator.get(reverse("restore_begin", args=[own.pk])).status_code == 403
    assert "Restore</a>" not in text(operator.get(reverse("backup_detail", args=[own.pk])))


def test_restores_of_others_are_not_shown_on_the_operators_backup(operator: Client, own: Backup, west: Cluster) -> None:
    Restore.objects.create(project=own.project, cluster=west, backup=own, object_name="r-y", state="completed")
    assert "harbor-west" not in text(operator.get(reverse("backup_detail", args=[own.pk])))


def test_the_frame_names_the_project_alone(operator: Client, project: Project, own: Backup) -> None:
    page = text(operator.get(reverse("backup_detail", args=[own.pk])))
    assert project.name in page
    for name in ("project_overview", "cluster_list", "project_settings"):
        assert f'"{reverse(name, args=[project.pk])}"' not in page
    assert text(operator.get("/", follow=True)).count(project.name) >= 1


# At the next request


@pytest.mark.parametrize("how", ["the role is taken away", "deactivated here", "deactivated everywhere"])
def test_it_counts_at_the_next_request_of_an_open_page(project: Project, other: Backup, how: str) -> None:
    user = person(role=ProjectViewer, on=project)
    client, address = signed_in(user), reverse("backup_detail", args=[other.pk])
    assert client.get(address, headers={"Live": "1"}).status_code == 200
    if how == "the role is taken away":
        project.user_roles.all().delete()
    elif how == "deactivated here":
        Membership.objects.filter(user=user).update(is_active=False)
    else:
        User.objects.filter(pk=user.pk).update(is_active=False)
    response = client.get(address, headers={"Live": "1"})
    assert response.status_code == (302 if how == "deactivated everywhere" else 404)
    assert "of-the-cluster" not in text(response)


def test_a_wizard_ends_with_the_role_that_began_it(project: Project, other: Backup) -> None:
    client = signed_in(person(role=ProjectAdmin, on=project))
    step = client.get(reverse("restore_begin", args=[other.pk]))["Location"]
    assert client.get(step).status_code == 200
    project.user_roles.all().delete()
    assert client.get(step).status_code == 404
    user = User.objects.get(email=Draft.objects.get().owner.email)
    give(user, ProjectViewer, project)
    assert client.get(step).status_code == 403
    assert client.post(step, {"target": str(other.cluster_id), "go": "on"}).status_code == 403
    assert Restore.objects.count() == 0


# Few queries


def test_what_a_page_offers_costs_one_query(
    project: Project, store: BackupLocation, seen: Cluster, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(person(role=ProjectAdmin, on=project))
    address = reverse("cluster_backups", args=[seen.pk])
    for number in range(30):
        make_backup(seen, store, f"b{number}")
    client.get(address)
    with django_assert_max_num_queries(8):  # session, person, cluster, count, rows; projects, roles of the frame
        assert "Create backup" in text(client.get(address))


def test_templates_ask_for_verbs_that_there_are() -> None:
    asked = set()
    for file in Path("templates").rglob("*.html"):
        asked |= set(re.findall(r'"([a-z]+\.[a-z]+)" (?:not )?in \w*verbs', file.read_text()))
    assert asked and asked <= set(Verb)
