"""Projects of a tenant, for its admins: the list, creating, renaming, deleting those that are empty."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from accounts.members import PAGE
from accounts.models import AuthenticatedHttpRequest
from accounts.permissions import Verb, get_or_404, visible
from accounts.views.asking import Question, ask
from accounts.views.tenant import tenant_or_404
from console.lib.errors import BadInput
from console.lib.forms import add_error
from workspaces.actions.project import contents_of, create_project, delete_project, rename_project
from workspaces.forms.project import ProjectNameForm
from workspaces.models import Project

# "locations" belongs to the app above this one; the name of the relation is all that is known of it here.
COUNTS = {
    "cluster_count": Count("clusters", filter=Q(clusters__deregistered_at=None), distinct=True),
    "workspace_count": Count("workspaces", distinct=True),
    "location_count": Count("locations", distinct=True),
}


@require_GET
def project_list(request: AuthenticatedHttpRequest, tenant: uuid.UUID) -> HttpResponse:
    here, search = tenant_or_404(request, tenant, Verb.PROJECT_CREATE), request.GET.get("q", "").strip()
    rows = visible(request.user, Project.objects.filter(tenant=here), Verb.PROJECT_UPDATE)
    if search:
        rows = rows.filter(name__icontains=search)
    page = Paginator(rows.annotate(**COUNTS).order_by("name"), PAGE).get_page(request.GET.get("page"))
    context = {"tenant": here, "section": "projects", "page": page, "search": search}
    return render(request, "workspaces/project_list.html", context)


@require_http_methods(["GET", "POST"])
def project_create(request: AuthenticatedHttpRequest, tenant: uuid.UUID) -> HttpResponse:
    here = tenant_or_404(request, tenant, Verb.PROJECT_CREATE)
    form = ProjectNameForm(request.POST or None, tenant=here)
    if request.method == "POST" and form.is_valid():
        try:
            project = create_project(by=request.user, tenant=here, name=form.cleaned_data["name"])
            messages.success(request, f"The project {project} is there. Register its first cluster.")
            return redirect("project_overview", project.pk)
        except BadInput as error:
            add_error(form, error)
    context = {"tenant": here, "section": "projects", "form": form}
    return render(request, "workspaces/project_create.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def project_rename(request: AuthenticatedHttpRequest, tenant: uuid.UUID, project: uuid.UUID) -> HttpResponse:
    here = _project(request, tenant, project, Verb.PROJECT_UPDATE)
    form = ProjectNameForm(request.POST or None, initial={"name": here.name}, tenant=here.tenant, project=here)
    if request.method == "POST" and form.is_valid():
        try:
            rename_project(by=request.user, project=here, name=form.cleaned_data["name"])
            messages.success(request, f"The project is called {form.cleaned_data['name']} now.")
            return redirect("project_list", tenant)
        except BadInput as error:
            add_error(form, error)
    context = {"tenant": here.tenant, "project": here, "section": "projects", "form": form}
    return render(request, "workspaces/project_rename.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def project_delete(request: AuthenticatedHttpRequest, tenant: uuid.UUID, project: uuid.UUID) -> HttpResponse:
    """Asks, or says what is in it."""
    here, back = _project(request, tenant, project, Verb.PROJECT_DELETE), reverse("project_list", args=[tenant])
    if request.method == "GET":
        return _about_deleting(request, here, back)
    try:
        delete_project(by=request.user, project=here)
        messages.success(request, f"The project {here} is deleted.")
    except BadInput as error:
        messages.error(request, error.sentence())
    return redirect(back)


def _about_deleting(request: AuthenticatedHttpRequest, project: Project, back: str) -> HttpResponse:
    if inside := contents_of(project):
        context = {"tenant": project.tenant, "project": project, "section": "projects", "inside": inside}
        return render(request, "workspaces/project_full.html", context)
    text = "It is empty. The roles that people and teams hold on it go with it."
    return ask(request, project.tenant, Question(f"Delete the project {project}?", text, "Delete project", back))


def _project(request: AuthenticatedHttpRequest, tenant: uuid.UUID, pk: uuid.UUID, verb: Verb) -> Project:
    """Raises NotVisible for whoever does not administer the tenant, a role on the project or not."""
    here = tenant_or_404(request, tenant, verb)
    return get_or_404(request.user, Project.objects.filter(tenant=here).select_related("tenant"), verb, pk)
