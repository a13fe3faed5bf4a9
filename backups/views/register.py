"""Register a cluster, and replace a cluster's kubeconfig: the same way to a connection that was seen to work.

Basic information → Connection → Check → Review. The check starts when Connection is submitted; the draft remembers
which one it was. What is typed afterwards makes it worthless: only a check of the very same text counts.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import AuthenticatedHttpRequest, User
from accounts.permissions import Verb, get_or_404, require
from backups.views.connection import access_help
from console.lib.errors import BadInput, NotVisible
from workspaces import wizard
from workspaces.actions.cluster import register_cluster, replace_kubeconfig, request_check
from workspaces.actions.kubeconfig import settle_check
from workspaces.forms.cluster import BasicsForm, ConnectionForm
from workspaces.models import Cluster, ClusterCheck, Draft, Project
from workspaces.models.cluster import CheckState
from workspaces.views.checks import shown
from workspaces.wizard import Step, Wizard

CHANGED = "The connection was changed after it was checked. Check it again."


# Where they begin


@require_http_methods(["GET", "POST"])
def cluster_register(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    """Begins the wizard; somebody who has begun already may go on there."""
    here = get_or_404(request.user, Project.objects.all(), Verb.PROJECT_GET, project)
    require(request.user, here, Verb.CLUSTER_CREATE)
    begun = _unfinished(request.user, here) if request.method == "GET" else None
    if begun is None:
        return redirect(wizard.begin(REGISTER, owner=request.user, project=here))
    resume = wizard.step_url(begun, (wizard.first_open(REGISTER, begun) or REGISTER.steps[0]).slug)
    context = {"project": here, "section": "clusters", "draft": begun, "resume": resume}
    return render(request, "workspaces/register_begin.html", context)


def _unfinished(user: User, project: Project) -> Draft | None:
    """The latest draft that something was typed into."""
    mine = Draft.objects.filter(kind=REGISTER.kind, owner=user, project=project, done_url="")
    return next((draft for draft in mine.order_by("-updated_at")[:3] if draft.data), None)


@require_POST
def cluster_kubeconfig_replace(request: AuthenticatedHttpRequest, cluster: uuid.UUID) -> HttpResponse:
    """Begins the wizard that tries another kubeconfig and then puts it in the old one's place."""
    found = Cluster.objects.registered().select_related("project")
    here = get_or_404(request.user, found, Verb.CLUSTER_UPDATE, cluster)
    return redirect(wizard.begin(REPLACE, owner=request.user, project=here.project, cluster=str(here.pk)))


# Connection


def _connection(draft: Draft, data: QueryDict | None) -> ConnectionForm:
    cluster = _replaced(draft)
    return ConnectionForm(data, initial={"velero_namespace": cluster.velero_namespace} if cluster else None)


def _replaced(draft: Draft) -> Cluster | None:
    """The cluster whose kubeconfig is replaced, if the wizard is about one. Raises NotVisible once it is gone."""
    if not draft.note("cluster"):
        return None
    mine = Cluster.objects.registered().select_related("project")
    return get_or_404(draft.owner, mine, Verb.CLUSTER_UPDATE, uuid.UUID(draft.note("cluster")))


def _about_connection(draft: Draft) -> Mapping[str, Any]:
    typed = draft.data.get(CONNECTION.slug, {}).get("velero_namespace") or ["velero"]
    form = ConnectionForm(QueryDict(f"velero_namespace={typed[-1]}"))
    usable = "velero_namespace" not in form.errors
    return {"access": access_help(form.cleaned_data["velero_namespace"] if usable else "velero")}


def _connection_summary(form: ConnectionForm) -> wizard.Summary:
    typed = form.cleaned_data
    context = typed["context"] or "The kubeconfig's current one"
    return [("Kubeconfig", "Set"), ("Context", context), ("Velero namespace", typed["velero_namespace"])]


def _check_unless_done(draft: Draft, form: ConnectionForm, user: User) -> None:
    """Have it checked, unless this very connection is being checked or has passed."""
    check = _check(draft)
    if check is None or check.state == CheckState.FAILED or not _is_of(check, form.cleaned_data):
        _start(draft, form.cleaned_data, user)


def _start(draft: Draft, typed: Mapping[str, str], user: User) -> None:
    check = request_check(by=user, project=draft.project, replaces=_replaced(draft), **_access(typed))
    draft.keep(check=str(check.pk))


def _access(typed: Mapping[str, str]) -> dict[str, str]:
    return {name: typed[name] for name in ("kubeconfig", "context", "velero_namespace")}


# Check


class AgainForm(forms.Form):
    """The check's page: *Check again* is its one field."""

    again = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: QueryDict | None, check: ClusterCheck | None) -> None:
        super().__init__(data)
        self.check = check


def _again(draft: Draft, data: QueryDict | None) -> AgainForm:
    return AgainForm(data, _check(draft))


def _check(draft: Draft) -> ClusterCheck | None:
    """The check that was started last from this draft."""
    mine = ClusterCheck.objects.filter(project=draft.project_id, requested_by=draft.owner_id)
    return mine.filter(pk=draft.note("check")).first() if draft.note("check") else None


def _typed(draft: Draft) -> dict[str, str] | None:
    """The connection as it stands in the draft, when it is one."""
    form = wizard.form_of(CONNECTION, draft)
    return form.cleaned_data if form.is_valid() else None


def _is_of(check: ClusterCheck, typed: Mapping[str, str]) -> bool:
    tried = {**(check.kubeconfig or {}), "velero_namespace": check.velero_namespace}
    return tried == _access(typed)


def _valid_check(draft: Draft) -> ClusterCheck | None:
    """The check, if it is one of what stands in the draft now."""
    check, typed = _check(draft), _typed(draft)
    return check if check and typed and _is_of(check, typed) else None


def _missing(draft: Draft) -> str:
    check = _valid_check(draft)
    if check is None:
        return CHANGED
    if check.is_open:
        return "The connection is still being checked."
    return "" if check.state == CheckState.COMPLETED else "The cluster was not reached. Mend it, then check it again."


def _about_check(draft: Draft) -> Mapping[str, Any]:
    check = _valid_check(draft)
    return {
        "shown": shown(check) if check else None,
        "connection_url": wizard.step_url(draft, CONNECTION.slug),
        "connected": _typed(draft) is not None,
        "busy": check is not None and check.is_open,
    }


def _check_again(draft: Draft, form: AgainForm, user: User) -> None:
    typed = _typed(draft)
    running = form.check is not None and form.check.is_open
    if form.cleaned_data["again"] and typed and not running:
        _start(draft, typed, user)


def _check_summary(form: AgainForm) -> wizard.Summary:
    facts = form.check.facts if form.check else {}
    velero = (facts.get("velero") or {}).get("version")
    lacking = len(facts.get("missing_rights") or [])
    return [
        ("Kubernetes", facts.get("version") or "Unknown"),
        ("Velero", velero or "Not found: nothing can be backed up until it is installed"),
        ("Rights", f"{lacking} of those Drydock needs are missing" if lacking else "All that Drydock needs"),
    ]


# The end


def _register(draft: Draft, user: User, typed: Mapping[str, Any]) -> str:
    check = _taken(draft)
    cluster = register_cluster(by=user, check=check, **typed["basics"].cleaned_data)
    settle_check(check=check, cluster=cluster)
    return reverse("cluster_overview", args=[cluster.pk])


def _replace(draft: Draft, user: User, typed: Mapping[str, Any]) -> str:
    check, cluster = _taken(draft), _replaced(draft)
    if cluster is None:
        raise NotVisible("This wizard began without a cluster.")
    replace_kubeconfig(by=user, cluster=cluster, check=check)
    settle_check(check=check, cluster=cluster)
    return reverse("cluster_kubeconfig", args=[cluster.pk])


def _taken(draft: Draft) -> ClusterCheck:
    check = _valid_check(draft)
    if check is None:
        raise BadInput(CHANGED, field="kubeconfig")
    return check


def _basics(draft: Draft, data: QueryDict | None) -> BasicsForm:
    return BasicsForm(data, project=draft.project)


def _leave(draft: Draft) -> str:
    if draft.note("cluster"):
        return reverse("cluster_kubeconfig", args=[draft.note("cluster")])
    return reverse("cluster_list", args=[draft.project_id])


def _about(draft: Draft) -> Mapping[str, Any]:
    cluster = _replaced(draft)
    return {"leave_label": cluster.name, "cluster": cluster} if cluster else {"leave_label": "Clusters"}


BASICS = Step("basics", "Basic information", _basics, template="workspaces/register_basics.html")
CONNECTION = Step(
    "connection",
    "Connection",
    _connection,
    template="workspaces/register_connection.html",
    lead="How Drydock reaches the cluster. Nothing in the cluster is changed.",
    about=_about_connection,
    saved=_check_unless_done,
    summary=_connection_summary,
)
CHECK = Step(
    "check",
    "Check",
    _again,
    template="workspaces/register_check.html",
    about=_about_check,
    saved=_check_again,
    missing=_missing,
    summary=_check_summary,
)
REGISTER = wizard.register(
    Wizard(
        kind="register",
        title="Register a cluster",
        steps=(BASICS, CONNECTION, CHECK),  # Policies goes behind CHECK
        finish=_register,
        confirm="Register",
        leave=_leave,
        about=_about,
    )
)
REPLACE = wizard.register(
    Wizard(
        kind="replace-kubeconfig",
        title="Replace the kubeconfig",
        steps=(CONNECTION, CHECK),
        finish=_replace,
        confirm="Replace",
        leave=_leave,
        about=_about,
    )
)
