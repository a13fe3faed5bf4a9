"""What belongs to no app: the start page, probes for whoever runs the console, error pages, the style guide."""

from __future__ import annotations

import hmac
import sys
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, held_in, visible
from backups.models import Backup, Restore
from console import navigation, setup
from console.lib import context, live, provisioning, queue
from console.lib import metrics as figures
from workspaces.models import Cluster, Project

Row = tuple[str, Mapping[str, str], float]


@require_GET
def home(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Setting up, until there is a first backup; then the first project's overview, or what there is."""
    project = navigation.first_project(request, request.user)
    if found := setup.setup_of(request.user, held_in(request), project):
        return render(request, "console/setup.html", {"setup": found, "project": project, "section": "home"})
    if overview := navigation.first_page(request, project):
        return redirect(overview)
    projects = visible(request.user, Project.objects.select_related("tenant"), Verb.PROJECT_LIST)
    return render(request, "console/home.html", {"projects": projects, "live_interval": _sandbox_pace()})


@require_GET
def sandbox_progress(request: HttpRequest) -> HttpResponse:
    """The live fragment; as a page of its own it is the start page."""
    if not live.wanted(request):
        return redirect("home")
    return live.fragment_response(request, "console/sandbox_progress.html", {}, busy=_sandbox_is_moving())


def _sandbox_is_moving() -> bool:
    sandbox = provisioning.read()
    return sandbox is not None and sandbox.moving


def _sandbox_pace() -> int:
    return live.interval(_sandbox_is_moving())


# Probes


@login_not_required
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. Asks nobody else, so that a database outage restarts nothing."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether this process can do its work: database, migrations, queue."""
    database = _database_answers()
    parts = {"database": database, "migrations": database and _is_migrated(), "queue": queue.reachable()}
    missing = [name for name, there in parts.items() if not there]
    return JsonResponse({"ready": not missing, "missing": missing}, status=503 if missing else 200)


def _database_answers() -> bool:
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, InterfaceError):
        return False
    return True


def _is_migrated() -> bool:
    try:
        executor = MigrationExecutor(connection)
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return False


@login_not_required
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text. With METRICS_TOKEN set, to whoever brings it; else to this machine only."""
    if not _may_scrape(request):
        return HttpResponse("Bring the METRICS_TOKEN as a bearer token.\n", status=401, content_type="text/plain")
    return HttpResponse(figures.scrape(_rows()), content_type=figures.CONTENT_TYPE)


def _may_scrape(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        brought = request.headers.get("Authorization", "")
        return hmac.compare_digest(brought.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers  # a proxy here, a stranger there
    return not forwarded and _is_loopback(request.META.get("REMOTE_ADDR", ""))


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _rows() -> Iterator[Row]:
    ours: dict[str, QuerySet[Any]] = {
        "backups": Backup.objects.filter(found_in=None),
        "restores": Restore.objects.all(),
    }
    for name, rows in (ours | {"clusters": Cluster.objects.registered()}).items():
        counted = rows.order_by().values_list("state").annotate(count=Count("pk"))
        yield from ((f"drydock_{name}", {"state": state}, count) for state, count in counted)
    for name, depth in queue.depths().items():
        yield "drydock_queue_depth", {"queue": name}, depth


# When something goes wrong


def server_error(request: HttpRequest) -> HttpResponse:
    """Leans on as little as it can: no session, no user, no database. A database that is away is not a bug."""
    away = _says_database_is_away(sys.exception())
    body = render_to_string("503.html" if away else "500.html", {"reference": context.current().id})
    return HttpResponse(body, status=503 if away else 500, headers={"Retry-After": "5"} if away else {})


def _says_database_is_away(error: BaseException | None) -> bool:
    """SQLite calls a table that is missing an operational error, too; that is a bug."""
    bug = getattr(getattr(error, "__cause__", None), "sqlite_errorname", "") == "SQLITE_ERROR"
    return isinstance(error, OperationalError | InterfaceError) and not bug
