"""What a person meets when the database is away, or is asked for what it cannot hold."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path, reverse

from accounts.models import AuditEvent, User
from console import views
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.django_db
NUL = "\x00"


def failing(request: HttpRequest, how: str) -> HttpResponse:
    if how == "refused":
        raise OperationalError("connection refused by planted-host")
    if how == "closed":
        raise InterfaceError("connection already closed")
    raise OperationalError("no such table: planted") from _missing_table()


def _missing_table() -> Exception:
    try:
        sqlite3.connect(":memory:").execute("SELECT * FROM planted")
    except sqlite3.OperationalError as error:
        return error
    raise AssertionError("the table is there")


class UrlsWithFailures:
    urlpatterns = [path("failing/<slug:how>/", failing), path("", include("console.urls"))]
    handler500 = staticmethod(views.server_error)


@pytest.fixture
def failures(settings: Any, alices: Client) -> Client:
    settings.ROOT_URLCONF = UrlsWithFailures
    alices.raise_request_exception = False
    return alices


@pytest.mark.parametrize("how", ["refused", "closed"])
def test_a_database_that_is_away_is_said(failures: Client, how: str) -> None:
    answer = failures.get(f"/failing/{how}/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "database does not answer" in answer.text and "planted" not in answer.text
    assert answer["X-Request-ID"] in answer.text


def test_a_table_that_is_missing_is_a_bug(failures: Client) -> None:
    answer = failures.get("/failing/bug/")
    assert answer.status_code == 500 and "It is our fault" in answer.text


def test_not_ready_while_the_database_is_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise InterfaceError("connection already closed")

    monkeypatch.setattr(connection, "ensure_connection", away)
    answer = client.get(reverse("readyz"))
    assert answer.status_code == 503 and "database" in answer.json()["missing"]


@pytest.mark.parametrize("name", ["cluster_backups", "cluster_restores"])
def test_nul_in_a_search_of_a_cluster(alices: Client, east: Cluster, name: str) -> None:
    assert alices.get(reverse(name, args=[east.pk]), {"q": NUL}).status_code == 200


@pytest.mark.parametrize("name", ["cluster_list", "location_list"])
def test_nul_in_a_search_of_a_project(alices: Client, project: Project, name: str) -> None:
    assert alices.get(reverse(name, args=[project.pk]), {"q": f"a{NUL}b"}).status_code == 200


def test_nul_in_a_cookie_is_nobodys_session(client: Client) -> None:
    answer = client.get("/", HTTP_COOKIE='sessionid="\\000abcdefghijkl"')
    assert answer.status_code == 302 and answer["Location"].startswith(reverse("login"))


def test_nul_in_an_address_is_refused_at_the_field(client: Client, alice: User) -> None:
    answer = client.post(reverse("login"), {"username": f"a{NUL}@harbor.example", "password": f"x{NUL}"})
    assert answer.status_code == 200 and "Null characters are not allowed" in answer.text
    assert AuditEvent.objects.filter(outcome="denied", target="unknown address").count() == 1
