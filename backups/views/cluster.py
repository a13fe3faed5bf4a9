"""Clusters with what was backed up of them: the list, one cluster's overview, and what happened to it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.models import AuditEvent, AuthenticatedHttpRequest, User
from accounts.permissions import Verb, get_or_404, visible
from backups.models import Backup, BackupPolicy, Restore
from backups.views.lists import light
from backups.views.policy_shown import TROUBLED, Standing, late_clusters, standings
from console.lib.live import page_response
from console.templatetags.ui import state_label
from workspaces.known import project_or_404
from workspaces.models import Cluster, ClusterCheck
from workspaces.views.shown import STATES, as_shown

PAGE = 25
SHOWN = 5
SEARCHED = ("name", "description", "server", "cloud_account", "tags")
EXPIRES_SOON = timedelta(days=14)
MOST_TARGETS = 2000  # of each kind, the newest first: an audit row names its target and has no key to join by

WORDS = {
    "cluster.register": "Registered the cluster",
    "cluster.update": "Changed its settings",
    "cluster.check": "Checked the connection",
    "cluster.replace_kubeconfig": "Replaced the kubeconfig",
    "cluster.deregister": "Deregistered the cluster",
    "backup.create": "Asked for a backup",
    "backup.scheduled": "A policy made a backup",
    "policy.create": "Added a backup policy",
    "policy.update": "Changed a backup policy",
    "policy.pause": "Paused a backup policy",
    "policy.resume": "Resumed a backup policy",
    "policy.mend": "Put a changed Schedule back",
    "policy.adopt": "Took a Schedule over as it was changed",
    "policy.retry": "Tried a backup policy again",
    "policy.delete": "Asked for a backup policy's deletion",
    "policy.remove": "Deleted a backup policy",
    "policy.readopt": "Found the backup policy in the cluster again",
    "policy.forget": "Left a backup policy's Schedule in the cluster",
    "backup.delete": "Asked for a backup's deletion",
    "backup.log": "Read a backup's log",
    "restore.create": "Asked for a restore",
    "restore.log": "Read a restore's log",
    "backup.readopt": "Found the backup in the cluster again",
    "restore.readopt": "Found the restore in the cluster again",
}


# The list


@dataclass(frozen=True)
class ClusterListing:
    """One page of the list as it was asked for."""

    page: Page[Any]
    search: str
    group: str
    busy: bool

    @property
    def filtered(self) -> bool:
        return bool(self.search or self.group)

    @property
    def groups(self) -> list[tuple[str, str]]:
        """What the filter offers."""
        return [(state, state_label(state)) for state in reversed(STATES)]


@require_GET
def cluster_list(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    """The project's clusters, with the last backup of each."""
    here = project_or_404(request, project, Verb.PROJECT_GET)
    clusters = visible(request.user, Cluster.objects.registered().filter(project=here), Verb.CLUSTER_GET)
    context = {"project": here, "section": "clusters", "list": (found := _listing(request, as_shown(clusters)))}
    return page_response(request, "workspaces/cluster_list.html", "rows", context, busy=found.busy)


def _listing(request: AuthenticatedHttpRequest, clusters: QuerySet[Any]) -> ClusterListing:
    search, state = request.GET.get("q", "").strip(), request.GET.get("state", "")
    if search:
        clusters = clusters.filter(Q(*((f"{name}__icontains", search) for name in SEARCHED), _connector=Q.OR))
    if state in STATES:
        clusters = clusters.filter(shown_state=state)
    newest = visible(request.user, Backup.objects.filter(cluster=OuterRef("pk")), Verb.BACKUP_GET)
    clusters = clusters.annotate(last_backup_id=Subquery(newest.order_by("-created_at").values("pk")[:1]))
    page = Paginator(clusters.order_by("name"), PAGE).get_page(request.GET.get("page"))
    busy = _attach_last_backups(page)
    policies = BackupPolicy.objects.filter(cluster__in=[cluster.pk for cluster in page])
    late = late_clusters(visible(request.user, policies, Verb.POLICY_GET))
    for cluster in page:
        cluster.policy_is_late = cluster.pk in late
    return ClusterListing(page, search, state if state in STATES else "", busy)


def _attach_last_backups(page: Page[Any]) -> bool:
    """Give every cluster of the page its `last_backup`; whether one of them runs."""
    backups = Backup.objects.in_bulk([cluster.last_backup_id for cluster in page if cluster.last_backup_id])
    for cluster in page:
        cluster.last_backup = backups.get(cluster.last_backup_id)
    return any(backup.is_open for backup in backups.values())


# One cluster


@require_GET
def cluster_overview(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """What is known about the cluster, and the last that was done with it."""
    here = cluster_or_404(request.user, cluster)
    context = {"cluster": here, "project": here.project, "section": "clusters", **_overview(request.user, here)}
    running = any(row.is_open for row in (*context["backups"], *context["restores"]))
    return page_response(request, "backups/cluster_overview.html", "overview", context, busy=running)


def cluster_or_404(user: User, pk: uuid.UUID) -> Cluster:
    """The registered cluster, if this person may see it."""
    return get_or_404(user, Cluster.objects.registered().select_related("project"), Verb.CLUSTER_GET, pk)


def _overview(user: User, cluster: Cluster) -> dict[str, Any]:
    backups = visible(user, light(Backup.objects.filter(cluster=cluster), "location"), Verb.BACKUP_GET)
    restores = visible(user, light(cluster.restores.all(), "backup__cluster"), Verb.RESTORE_GET)
    return {
        "backups": list(backups[:SHOWN]),
        "restores": list(restores[:SHOWN]),
        "facts": cluster.facts,
        "velero": cluster.facts.get("velero") or {},
        "expiry": _expiry(cluster),
        "late": _late(user, cluster),
    }


def _late(user: User, cluster: Cluster) -> list[Standing]:
    """The policies that need a look: without a good backup for a run, changed by others, or not in the cluster."""
    policies = visible(user, BackupPolicy.objects.filter(cluster=cluster), Verb.POLICY_GET)
    return [each for each in standings(policies) if each.state in TROUBLED]


def _expiry(cluster: Cluster) -> str:
    """`over` or `soon` when the kubeconfig's token or certificate ends; empty while there is time."""
    end = cluster.access_expires_at
    if end is None or end > timezone.now() + EXPIRES_SOON:
        return ""
    return "soon" if end > timezone.now() else "over"


# What happened


@dataclass(frozen=True)
class Event:
    """One audit row in words. `subject` is the backup or restore it is about; `outcome` is a state."""

    row: AuditEvent
    what: str
    subject: Backup | Restore | None

    @property
    def outcome(self) -> str:
        """What became of it: the state of the backup or restore asked for, else whether it was allowed."""
        return self.subject.state if self.subject and self.row.outcome == "done" else self.row.outcome


@require_GET
def cluster_events(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """Who did what to the cluster, its backups and the restores into it."""
    here = cluster_or_404(request.user, cluster)
    page = Paginator(_audit_rows(request.user, here), PAGE).get_page(request.GET.get("page"))
    events = _in_words(request.user, list(page))
    context = {"cluster": here, "project": here.project, "section": "clusters", "page": page, "events": events}
    busy = any(isinstance(event.subject, Backup | Restore) and event.subject.is_open for event in events)
    return page_response(request, "workspaces/cluster_events.html", "events", context, busy=busy)


def _audit_rows(user: User, cluster: Cluster) -> QuerySet[AuditEvent]:
    backups = visible(user, Backup.objects.filter(cluster=cluster), Verb.BACKUP_GET)
    restores = visible(user, Restore.objects.filter(cluster=cluster), Verb.RESTORE_GET)
    checks = ClusterCheck.objects.filter(cluster=cluster)
    policies = visible(user, BackupPolicy.everything.filter(cluster=cluster), Verb.POLICY_GET)
    targets = {str(cluster.pk)}
    for rows in (backups, restores, checks, policies):
        targets |= {str(pk) for pk in rows.values_list("pk", flat=True)[:MOST_TARGETS]}
    return AuditEvent.objects.filter(tenant_id=cluster.project.tenant_id, target_id__in=targets)


def _in_words(user: User, rows: list[AuditEvent]) -> list[Event]:
    wanted: dict[str, list[str]] = {"backup": [], "restore": []}
    for row in rows:
        wanted.get(row.target_kind, []).append(row.target_id)
    subjects: dict[str, Any] = {}
    for model, verb, pks in (
        (Backup, Verb.BACKUP_GET, wanted["backup"]),
        (Restore, Verb.RESTORE_GET, wanted["restore"]),
    ):
        subjects |= {str(one.pk): one for one in visible(user, model._default_manager.filter(pk__in=pks), verb)}
    return [Event(row, WORDS.get(row.verb, row.verb), subjects.get(row.target_id)) for row in rows]
