"""Backup policies of a cluster: Settings > Schedule Backups, one policy's page, and what can be done with it."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, get_or_404, visible
from backups.actions.policy import delete_policy, forget_policy, pause_policy, retry_policy, run_policy
from backups.actions.policy_drift import adopt_drift, mend_policy
from backups.forms.policy import PolicyDeleteForm
from backups.models import Backup, BackupPolicy
from backups.views.lists import PAGE, light
from backups.views.policy_shown import coming, standings
from console.lib.errors import BadInput
from console.lib.forms import add_error
from console.lib.live import page_response
from workspaces.models import Cluster


@require_GET
def policy_list(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """Schedule Backups: the cluster's policies, and *Backup now*."""
    here = cluster_of(request, cluster, Verb.CLUSTER_GET)
    rows = visible(request.user, BackupPolicy.objects.filter(cluster=here), Verb.POLICY_GET)
    shown = standings(rows.select_related("location"))
    busy = any(each.is_busy for each in shown)
    return page_response(request, "backups/policy_list.html", "rows", context_of(here) | {"policies": shown}, busy=busy)


@require_GET
def policy_detail(request: AuthenticatedHttpRequest, policy: uuid.UUID) -> HttpResponse:
    """One policy: its next runs, what Velero and the cluster say of it, its latest backups."""
    here = policy_of(request, policy, Verb.POLICY_GET)
    (shown,) = standings(BackupPolicy.objects.filter(pk=here.pk).select_related("location", "cluster"))
    made = visible(request.user, light(Backup.objects.filter(policy=here), "location"), Verb.BACKUP_GET)
    backups = list(made[:PAGE])
    context = context_of(here.cluster) | {"policy": here, "shown": shown, "runs": coming(here), "backups": backups}
    busy = shown.is_busy or any(backup.is_open for backup in backups)
    return page_response(request, "backups/policy_detail.html", "live", context, busy=busy)


@require_POST
def policy_pause(request: AuthenticatedHttpRequest, policy: uuid.UUID) -> HttpResponse:
    """*Pause*, or *Resume*: as `paused` says."""
    here = policy_of(request, policy, Verb.POLICY_UPDATE)
    paused = request.POST.get("paused") == "yes"
    return _done(request, here, "is paused" if paused else "runs again", pause_policy, paused=paused)


@require_POST
def policy_run(request: AuthenticatedHttpRequest, policy: uuid.UUID) -> HttpResponse:
    """*Run now*."""
    here = policy_of(request, policy, Verb.POLICY_GET)
    try:
        backup = run_policy(by=request.user, policy=here, submission=_submission(request))
    except BadInput as error:
        messages.error(request, error.sentence())
        return redirect("policy_detail", here.pk)
    messages.success(request, f"Backup {backup.name} was requested.")
    return redirect("backup_detail", backup.pk)


def _submission(request: AuthenticatedHttpRequest) -> uuid.UUID:
    """Of the button: pressed twice, it makes one backup."""
    try:
        return uuid.UUID(request.POST.get("submission", ""))
    except ValueError:
        return uuid.uuid4()


@require_POST
def policy_retry(request: AuthenticatedHttpRequest, policy: uuid.UUID) -> HttpResponse:
    """*Try again* with what did not reach the cluster."""
    here = policy_of(request, policy, Verb.POLICY_UPDATE)
    return _done(request, here, "is brought to the cluster again", retry_policy)


@require_POST
def policy_mend(request: AuthenticatedHttpRequest, policy: uuid.UUID) -> HttpResponse:
    """*Mend*: the Schedule that others changed is put again."""
    here = policy_of(request, policy, Verb.POLICY_UPDATE)
    return _done(request, here, "is put back into the cluster as it is here", mend_policy)


@require_POST
def policy_adopt(request: AuthenticatedHttpRequest, policy: uuid.UUID) -> HttpResponse:
    """*Adopt*: the policy becomes what others made of its Schedule."""
    here = policy_of(request, policy, Verb.POLICY_UPDATE)
    return _done(request, here, "is now what the cluster has", adopt_drift)


@require_POST
def policy_forget(request: AuthenticatedHttpRequest, policy: uuid.UUID) -> HttpResponse:
    """*Leave its Schedule there* of a policy that is being deleted."""
    here = policy_of(request, policy, Verb.POLICY_DELETE)
    return _done(request, here, "is deleted; its Schedule stays in the cluster", forget_policy)


def _done(
    request: AuthenticatedHttpRequest, policy: BackupPolicy, became: str, action: Any, **values: Any
) -> HttpResponse:
    try:
        action(by=request.user, policy=policy, **values)
        messages.success(request, f"The policy {policy} {became}.")
    except BadInput as error:
        messages.error(request, error.sentence())
    if BackupPolicy.objects.filter(pk=policy.pk).exists():
        return redirect("policy_detail", policy.pk)
    return redirect("cluster_schedule", policy.cluster_id)


@require_http_methods(["GET", "POST"])
def policy_delete(request: AuthenticatedHttpRequest, policy: uuid.UUID) -> HttpResponse:
    """Type the prefix; the Schedule is removed, the backups stay."""
    here = policy_of(request, policy, Verb.POLICY_DELETE)
    form = PolicyDeleteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            delete_policy(by=request.user, policy=here, typed_name=form.cleaned_data["typed_name"])
            messages.info(request, f"The policy {here} is being deleted. Its backups stay.")
            return redirect("cluster_schedule", here.cluster_id)
        except BadInput as error:
            add_error(form, error)
    context = context_of(here.cluster) | {"policy": here, "form": form}
    return render(request, "backups/policy_delete.html", context, status=422 if form.errors else 200)


def policy_of(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> BackupPolicy:
    """The policy of a registered cluster, if this person may `verb` it."""
    rows = BackupPolicy.objects.filter(cluster__deregistered_at=None).select_related("cluster__project", "location")
    return get_or_404(request.user, rows, verb, pk)


def cluster_of(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> Cluster:
    return get_or_404(request.user, Cluster.objects.registered().select_related("project"), verb, pk)


def context_of(cluster: Cluster) -> dict[str, Any]:
    return {"cluster": cluster, "project": cluster.project, "section": "clusters", "new": uuid.uuid4()}
