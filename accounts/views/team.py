"""Users and Teams > Teams: the list, one team's page with its members, and what is done to it."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actions.team import add_team_member, create_team, delete_team, remove_team_member, update_team
from accounts.forms.team import AddMemberForm, DeleteTeamForm, TeamForm
from accounts.holders import counts_of
from accounts.members import PAGE
from accounts.models import AuthenticatedHttpRequest, Membership, Team
from accounts.permissions import Verb, get_or_404, visible
from accounts.signin import require_recent_sign_in
from accounts.views.asking import Question, ask
from accounts.views.tenant import tenant_or_404
from accounts.views.user import member_or_404
from console.lib.errors import BadInput
from console.lib.forms import add_error


def team_or_404(request: AuthenticatedHttpRequest, tenant: uuid.UUID, team: uuid.UUID, verb: Verb) -> Team:
    return get_or_404(request.user, Team.objects.filter(tenant_id=tenant).select_related("tenant", "group"), verb, team)


@require_GET
def team_list(request: AuthenticatedHttpRequest, tenant: uuid.UUID) -> HttpResponse:
    here, search = tenant_or_404(request, tenant, Verb.TEAM_LIST), request.GET.get("q", "").strip()
    rows = visible(request.user, Team.objects.filter(tenant=here), Verb.TEAM_LIST)
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(description__icontains=search))
    page = Paginator(rows.annotate(people=Count("group__user")).order_by("name"), PAGE).get_page(
        request.GET.get("page")
    )
    roles = counts_of([team.pk for team in page], here, teams=True)
    context = {"tenant": here, "section": "people", "page": page, "roles": roles, "search": search}
    return render(request, "accounts/team_list.html", context)


@require_http_methods(["GET", "POST"])
def team_create(request: AuthenticatedHttpRequest, tenant: uuid.UUID) -> HttpResponse:
    here, form = tenant_or_404(request, tenant, Verb.TEAM_CREATE), TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            team = create_team(by=request.user, tenant=here, **form.cleaned_data)
            messages.success(request, f"The team {team} is there. Add its members, then its roles.")
            return redirect("team_detail", here.pk, team.pk)
        except BadInput as error:
            add_error(form, error)
    context = {"tenant": here, "form": form, "section": "people"}
    return render(request, "accounts/team_create.html", context, status=422 if form.errors else 200)


@require_GET
def team_detail(request: AuthenticatedHttpRequest, tenant: uuid.UUID, team: uuid.UUID) -> HttpResponse:
    """Members."""
    here = team_or_404(request, tenant, team, Verb.TEAM_UPDATE)
    return _members(request, here, AddMemberForm(here))


@require_POST
def team_member_add(request: AuthenticatedHttpRequest, tenant: uuid.UUID, team: uuid.UUID) -> HttpResponse:
    """With whatever roles the team holds."""
    here = team_or_404(request, tenant, team, Verb.TEAM_UPDATE)
    require_recent_sign_in(request)
    form = AddMemberForm(here, request.POST)
    if not form.is_valid():
        return _members(request, here, form)
    user = form.cleaned_data["user"]
    add_team_member(by=request.user, team=here, user=user)
    messages.success(request, f"{user} is in the team {here} now.")
    return redirect("team_detail", tenant, team)


def _members(request: AuthenticatedHttpRequest, team: Team, form: AddMemberForm) -> HttpResponse:
    people = Membership.objects.filter(tenant=team.tenant, user__groups=team.group_id).select_related("user")
    page = Paginator(people.order_by("user__email"), PAGE).get_page(request.GET.get("page"))
    context = context_of(team) | {"page": page, "form": form}
    return render(request, "accounts/team_detail.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def team_member_remove(
    request: AuthenticatedHttpRequest, tenant: uuid.UUID, team: uuid.UUID, user: uuid.UUID
) -> HttpResponse:
    here = team_or_404(request, tenant, team, Verb.TEAM_UPDATE)
    person, back = member_or_404(request, tenant, user, Verb.USER_GET).user, reverse("team_detail", args=[tenant, team])
    if request.method == "GET":
        text = "They lose what they hold through the team with the next click. Their own roles stay."
        return ask(request, here.tenant, Question(f"Remove {person} from {here}?", text, "Remove member", back))
    remove_team_member(by=request.user, team=here, user=person)
    messages.success(request, f"{person} is not in the team {here} any more.")
    return redirect(back)


@require_http_methods(["GET", "POST"])
def team_settings(request: AuthenticatedHttpRequest, tenant: uuid.UUID, team: uuid.UUID) -> HttpResponse:
    """Name and description."""
    here = team_or_404(request, tenant, team, Verb.TEAM_UPDATE)
    form = TeamForm(request.POST or None, initial={"name": here.name, "description": here.description})
    if request.method == "POST" and form.is_valid():
        try:
            update_team(by=request.user, team=here, **form.cleaned_data)
            messages.success(request, "The team's settings are saved.")
            return redirect("team_settings", tenant, team)
        except BadInput as error:
            add_error(form, error)
    context = context_of(here) | {"form": form}
    return render(request, "accounts/team_settings.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def team_delete(request: AuthenticatedHttpRequest, tenant: uuid.UUID, team: uuid.UUID) -> HttpResponse:
    """Type the name."""
    here = team_or_404(request, tenant, team, Verb.TEAM_DELETE)
    form = DeleteTeamForm(here, request.POST or None)
    if request.method == "POST" and form.is_valid():
        delete_team(by=request.user, team=here)
        messages.success(request, f"The team {here} is deleted. Its members lost what they held by it.")
        return redirect("team_list", tenant)
    context = context_of(here) | {"form": form}
    return render(request, "accounts/team_delete.html", context, status=422 if form.errors else 200)


def context_of(team: Team) -> dict[str, Any]:
    """What every tab of a team's page needs."""
    return {"tenant": team.tenant, "team": team, "section": "people"}
