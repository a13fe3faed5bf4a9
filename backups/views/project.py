"""A project's overview: where one lands, what needs a look, what is missing to get started."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from accounts.models import AuthenticatedHttpRequest, User
from accounts.permissions import Verb, get_or_404, visible
from backups.models import LocationState
from console.lib import provisioning
from console.lib.live import page_response
from workspaces.models import Project
from workspaces.models.cluster import ClusterState
from workspaces.views.shown import STATES, as_shown

SHOWN = 5


@dataclass(frozen=True)
class Task:
    """One line of the checklist for a new project. `href` is empty while an earlier one must be done first."""

    title: str
    about: str
    action: str
    href: str
    done: bool


@require_GET
def project_overview(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    """The project at a glance, live."""
    here = get_or_404(request.user, Project.objects.select_related("tenant"), Verb.PROJECT_GET, project)
    context = {"project": here, "section": "overview", **_overview(request.user, here)}
    return page_response(request, "backups/project_overview.html", "overview", context, busy=_is_busy(context))


def _overview(user: User, project: Project) -> dict[str, Any]:
    clusters = as_shown(visible(user, project.clusters.filter(deregistered_at=None), Verb.CLUSTER_GET))
    backups = visible(user, project.backups.select_related("cluster", "location"), Verb.BACKUP_GET)
    restores = visible(user, project.restores.select_related("cluster", "backup__cluster"), Verb.RESTORE_GET)
    locations = visible(user, project.locations.all(), Verb.LOCATION_GET)
    counted = dict(clusters.order_by().values_list("shown_state").annotate(count=Count("pk")))
    latest = list(backups[:SHOWN])
    return {
        "cluster_count": sum(counted.values()),
        "health": _health(counted),
        "troubled": list(clusters.exclude(shown_state=ClusterState.HEALTHY).order_by("worst_first", "name")[:SHOWN]),
        "troubled_locations": list(locations.filter(state=LocationState.UNAVAILABLE)[:SHOWN]),
        "backups": latest,
        "restores": list(restores[:SHOWN]),
        "tasks": [] if latest else _tasks(project, list(clusters[:2]), locations.exists()),
    }


def _is_busy(context: dict[str, Any]) -> bool:
    sandbox = provisioning.read()
    running = any(row.is_open for row in (*context["backups"], *context["restores"]))
    return running or (sandbox is not None and sandbox.moving)


def _health(counted: dict[str, int]) -> list[tuple[str, int]]:
    """How many clusters are in which state, healthy always among them and first."""
    best_first = reversed(STATES)
    return [
        (state, counted.get(state, 0)) for state in best_first if counted.get(state) or state == ClusterState.HEALTHY
    ]


def _tasks(project: Project, clusters: list[Any], located: bool) -> list[Task]:
    """What is to be done before there is a first backup."""
    return [
        Task(
            "Register a cluster",
            "Give Drydock a kubeconfig. The connection is checked before anything is saved.",
            "Register a cluster",
            reverse("cluster_register", args=[project.pk]),
            bool(clusters),
        ),
        Task(
            "Add a backup location",
            "Object storage that backups are written to: AWS S3 or an S3-compatible store.",
            "Add a location",
            reverse("location_create", args=[project.pk]),
            located,
        ),
        Task(
            "Take a first backup",
            "Choose what to back up and how long to keep it.",
            "Back up now",
            _first_backup(project, clusters) if clusters and located else "",
            False,
        ),
    ]


def _first_backup(project: Project, clusters: list[Any]) -> str:
    """The form itself when there is one cluster, else the choice of clusters."""
    if len(clusters) == 1:
        return reverse("backup_create", args=[clusters[0].pk])
    return reverse("cluster_list", args=[project.pk])
