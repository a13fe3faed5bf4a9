"""A project's overview: where one lands, what needs a look, what is missing to get started."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, QuerySet
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.models import AuthenticatedHttpRequest, User
from accounts.permissions import Verb, held_in, visible
from backups.lifecycle import OPEN, State
from backups.models import LocationState
from backups.views.lists import light
from console.lib import provisioning
from console.lib.live import page_response
from console.templatetags.ui import state_label
from workspaces.known import project_or_404
from workspaces.models import Project
from workspaces.models.cluster import ClusterState
from workspaces.views.shown import STATES, as_shown

SHOWN = 5
LATELY = timedelta(days=7)
SHOWN_AS: dict[str, frozenset[State]] = {
    State.RUNNING: OPEN - {State.UNKNOWN},
    State.UNKNOWN: frozenset({State.UNKNOWN}),
    State.COMPLETED: frozenset({State.COMPLETED}),
    State.PARTIALLY_FAILED: frozenset({State.PARTIALLY_FAILED}),
    State.FAILED: frozenset({State.FAILED, State.REJECTED}),
    State.CANCELED: frozenset({State.CANCELED}),
}


@dataclass(frozen=True)
class Task:
    """One line of the checklist for a new project. `href` is empty while an earlier one must be done first."""

    title: str
    about: str
    action: str
    href: str
    done: bool


@dataclass(frozen=True)
class Counted:
    """How many there are in one state."""

    state: str
    count: int

    @property
    def label(self) -> str:
        """`2 Healthy`."""
        return f"{self.count} {state_label(self.state)}"


@dataclass(frozen=True)
class Figures:
    """How many there are, in which states."""

    total: int
    states: list[Counted]


@require_GET
def project_overview(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    """The project at a glance, live."""
    here = project_or_404(request, project, Verb.PROJECT_GET)
    beginning = {Verb.CLUSTER_CREATE, Verb.LOCATION_CREATE, Verb.BACKUP_CREATE} <= held_in(request).verbs_on(here)
    context = {"project": here, "section": "overview", **_overview(request.user, here, beginning)}
    return page_response(request, "backups/project_overview.html", "overview", context, busy=_is_busy(context))


def _overview(user: User, project: Project, beginning: bool) -> dict[str, Any]:
    """`beginning`: whether this person may take the first steps."""
    clusters = as_shown(visible(user, project.clusters.filter(deregistered_at=None), Verb.CLUSTER_GET))
    ours = light(project.backups.filter(found_in=None), "cluster", "location")
    backups = visible(user, ours, Verb.BACKUP_GET)
    restores = visible(user, light(project.restores.all(), "cluster", "backup__cluster"), Verb.RESTORE_GET)
    locations = visible(user, project.locations.all(), Verb.LOCATION_GET)
    counted = dict(clusters.order_by().values_list("shown_state").annotate(count=Count("pk")))
    latest = list(backups[:SHOWN])
    return {
        "health": _health(counted),
        "backup_figures": _figures(backups),
        "restore_figures": _figures(restores),
        "troubled": list(clusters.exclude(shown_state=ClusterState.HEALTHY).order_by("worst_first", "name")[:SHOWN]),
        "troubled_locations": list(locations.filter(state=LocationState.UNAVAILABLE)[:SHOWN]),
        "backups": latest,
        "restores": list(restores[:SHOWN]),
        "tasks": [] if latest or not beginning else first_steps(project, list(clusters[:2]), locations.exists()),
    }


def _is_busy(context: dict[str, Any]) -> bool:
    sandbox = provisioning.read()
    running = any(row.is_open for row in (*context["backups"], *context["restores"]))
    return running or (sandbox is not None and sandbox.moving)


def _health(counted: dict[str, int]) -> Figures:
    """How many clusters are in which state, healthy always among them and first."""
    best_first = [Counted(state, counted.get(state, 0)) for state in reversed(STATES)]
    shown = [each for each in best_first if each.count or each.state == ClusterState.HEALTHY]
    return Figures(sum(counted.values()), shown)


def _figures(wishes: QuerySet[Any]) -> Figures:
    """What was asked for lately, counted by how it stands."""
    lately = wishes.filter(created_at__gte=timezone.now() - LATELY).order_by()
    counted = dict(lately.values_list("state").annotate(count=Count("pk")))
    shown = [Counted(state, sum(counted.get(each, 0) for each in alike)) for state, alike in SHOWN_AS.items()]
    return Figures(sum(counted.values()), [each for each in shown if each.count])


def first_steps(project: Project, clusters: list[Any], located: bool) -> list[Task]:
    """What is to be done before there is a first backup. `clusters`: the project's, or two of them."""
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
