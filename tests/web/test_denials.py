"""Every refused request leaves exactly one row, without secrets and without names of another tenant."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path, reverse
from django.utils import timezone

from accounts import denials
from accounts.models import AuditEvent, Membership, User
from accounts.roles import ProjectViewer
from console.lib.errors import Forbidden
from tests.conftest import make_cluster
from tests.people import person
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.django_db
SECRET = "planted-kubeconfig-secret"


def refused() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(outcome="denied").order_by("pk"))


@pytest.fixture
def viewer(client: Client, project: Project) -> Client:
    client.force_login(person("vera", role=ProjectViewer, on=project))
    return client


def test_a_set_of_denied_requests_leaves_one_row_each(viewer: Client, project: Project, east: Cluster) -> None:
    """What a viewer sees and may not do, what is of another project, and what is nowhere."""
    elsewhere = make_cluster(Project.objects.create(tenant=project.tenant, name="Other"), "hidden")
    asked = [
        ("post", "cluster_deregister", east.pk, 403),
        ("get", "cluster_deregister", east.pk, 403),
        ("post", "backup_create", east.pk, 403),
        ("post", "location_create", project.pk, 403),
        ("post", "cluster_deregister", elsewhere.pk, 404),
        ("post", "cluster_deregister", uuid.uuid4(), 404),
    ]
    for count, (method, page, pk, answer) in enumerate(asked, start=1):
        response = getattr(viewer, method)(reverse(page, args=[pk]), {"kubeconfig": SECRET, "name": SECRET})
        assert response.status_code == answer, page
        rows = refused()
        assert len(rows) == count, page
        assert (rows[-1].verb, rows[-1].actor) == (f"request.{method}", "vera@harbor.example")
        assert (rows[-1].details["page"], rows[-1].details["answer"]) == (page, answer)
        assert (rows[-1].tenant_id, rows[-1].target_id) == (project.tenant_id, str(pk))
        assert rows[-1].reference == response["X-Request-ID"]
    assert [row.target for row in refused()][:2] == ["harbor-east", "harbor-east"]
    assert SECRET not in str([vars(row) for row in refused()])


@pytest.mark.parametrize("page", ["cluster_overview", "cluster_deregister"])
def test_opening_what_is_not_there_leaves_none(viewer: Client, page: str) -> None:
    assert viewer.get(reverse(page, args=[uuid.uuid4()])).status_code == 404
    assert viewer.get("/no/such/page/").status_code == viewer.post("/no/such/page/").status_code == 404
    assert refused() == []


def test_what_is_allowed_leaves_none(alices: Client, east: Cluster) -> None:
    assert alices.get(reverse("cluster_settings", args=[east.pk])).status_code == 200
    assert refused() == []


def test_a_stranger_is_led_to_the_sign_in_and_leaves_none(client: Client, east: Cluster) -> None:
    assert client.post(reverse("cluster_deregister", args=[east.pk])).status_code == 302
    assert refused() == []


def test_another_tenants_thing_is_never_named(client: Client, charlie: User, east: Cluster) -> None:
    client.force_login(charlie)
    client.post(reverse("cluster_deregister", args=[east.pk]))
    (row,) = refused()
    assert row.tenant_id == charlie.memberships.get().tenant_id
    assert (row.target_kind, row.target, row.project_id) == ("page", "cluster_deregister", None)


def test_of_somebody_in_several_tenants_the_row_is_where_the_thing_is(
    viewer: Client, east: Cluster, charlie: User
) -> None:
    vera = User.objects.get(email="vera@harbor.example")
    Membership.objects.create(user=vera, tenant=charlie.memberships.get().tenant)
    viewer.post(reverse("cluster_deregister", args=[east.pk]))
    viewer.post(reverse("cluster_deregister", args=[uuid.uuid4()]))
    assert [row.tenant_id for row in refused()] == [east.project.tenant_id, None]


def test_nobody_floods_the_log(viewer: Client, east: Cluster) -> None:
    address = reverse("cluster_deregister", args=[east.pk])
    for _ in range(denials.MOST + 5):
        assert viewer.post(address).status_code == 403
    rows = refused()
    assert len(rows) == denials.MOST
    assert ["note" in row.details for row in rows] == [False] * (denials.MOST - 1) + [True]
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        viewer.post(address)
    assert len(refused()) == denials.MOST + 1


def test_an_open_page_that_keeps_asking_leaves_one_row_an_hour(viewer: Client, east: Cluster) -> None:
    for _ in range(3):
        viewer.get(reverse("cluster_deregister", args=[east.pk]))
    assert len(refused()) == 1
    with time_machine.travel(timezone.now() + timedelta(minutes=40)):
        viewer.get(reverse("session"))  # or the session would have ended by then
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        viewer.get(reverse("cluster_deregister", args=[east.pk]))
    assert len(refused()) == 2


def failing(request: HttpRequest, how: str) -> HttpResponse:
    raise Forbidden("No.") if how == "ours" else PermissionDenied


class Urls:
    urlpatterns = [path("failing/<slug:how>/", failing, name="failing"), path("", include("console.urls"))]


@pytest.mark.parametrize("how", ["ours", "djangos"])
def test_either_way_of_refusing_leaves_a_row(viewer: Client, settings: Any, how: str) -> None:
    settings.ROOT_URLCONF = Urls
    assert viewer.get(f"/failing/{how}/").status_code == 403
    assert [row.details["page"] for row in refused()] == ["failing"]
