"""Creating and editing a policy: one form, with its next runs and what becomes of each volume looked up beside it."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb
from backups import schedule
from backups.actions.policy import create_policy, update_policy
from backups.forms.policy import PolicyForm
from backups.models import BackupPolicy
from backups.views.policy import cluster_of, context_of, policy_of
from backups.views.policy_shown import coming_of
from backups.views.volumes import LOOK, look
from console.lib import live
from console.lib.errors import BadInput
from console.lib.forms import add_error
from workspaces.models import Cluster

RUNS = "runs"
PAGE = "backups/policy_form.html"


@require_http_methods(["GET", "POST"])
def policy_create(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """*Add a policy*."""
    here = cluster_of(request, cluster, Verb.POLICY_CREATE)
    form = PolicyForm(here, request.POST or None)
    if answer := _looked_up(request, here, form, None):
        return answer
    if request.method == "POST" and form.is_valid():
        try:
            policy = create_policy(by=request.user, cluster=here, **form.asked())
            messages.success(request, f"The policy {policy} is saved and on its way to {here}.")
            return redirect("policy_detail", policy.pk)
        except BadInput as error:
            add_error(form, error)
    return _page(request, here, form, None)


@require_http_methods(["GET", "POST"])
def policy_edit(request: AuthenticatedHttpRequest, policy: uuid.UUID) -> HttpResponse:
    """*Edit*: all but the prefix."""
    here = policy_of(request, policy, Verb.POLICY_UPDATE)
    form = PolicyForm(here.cluster, request.POST or None, policy=here)
    if answer := _looked_up(request, here.cluster, form, here):
        return answer
    if request.method == "POST" and form.is_valid():
        try:
            update_policy(by=request.user, policy=here, **form.asked())
            messages.success(request, f"The policy {here} is saved.")
            return redirect("policy_detail", here.pk)
        except BadInput as error:
            add_error(form, error)
    return _page(request, here.cluster, form, here)


def _looked_up(
    request: AuthenticatedHttpRequest, cluster: Cluster, form: PolicyForm, policy: BackupPolicy | None
) -> HttpResponse | None:
    """The answer to what is asked while the form is filled in; None for a form that is sent."""
    asked = request.POST.get("do", "")
    if asked == LOOK:
        form.is_valid()
        return look(request, cluster, form, PAGE, _context(cluster, form, policy))
    if asked != RUNS:
        return None
    form.is_valid()
    context = _context(cluster, form, policy)
    return render(request, f"{PAGE}#{RUNS}" if live.wanted(request) else PAGE, context)


def _page(
    request: AuthenticatedHttpRequest, cluster: Cluster, form: PolicyForm, policy: BackupPolicy | None
) -> HttpResponse:
    return render(request, PAGE, _context(cluster, form, policy), status=422 if form.errors else 200)


def _context(cluster: Cluster, form: PolicyForm, policy: BackupPolicy | None) -> dict[str, Any]:
    context = context_of(cluster) | {"form": form, "policy": policy, "zones": schedule.zones()}
    return context | _runs(form, policy)


def _runs(form: PolicyForm, policy: BackupPolicy | None) -> dict[str, Any]:
    """The next runs of what is filled in, or why it has none."""
    if not form.is_bound:
        plan = policy.plan if policy else schedule.Plan(timing=schedule.Timing.WEEKLY)
    elif (told := form.plan()) is None or form.problem:
        return {"problem": form.problem or "Choose a schedule and a time zone."}
    else:
        plan = told
    return {"runs": coming_of(plan), "words": schedule.in_words(plan), "zone": plan.zone}
