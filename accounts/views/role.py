"""The tabs Project Roles and Workspace Roles of a user or team, and taking a role away.

Giving one is a wizard, which knows projects and workspaces: workspaces/views/role.py.
"""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from accounts.actions.role import remove_role
from accounts.holders import Given, roles_of
from accounts.models import AuthenticatedHttpRequest, Team, Tenant, User
from accounts.permissions import Verb
from accounts.roles import Scope
from accounts.signin import require_recent_sign_in
from accounts.views.asking import Question, ask
from accounts.views.team import context_of as context_of_team
from accounts.views.team import team_or_404
from accounts.views.user import context_of as context_of_user
from accounts.views.user import member_or_404
from console.lib.errors import NotVisible

SCOPES = {"projects": Scope.PROJECT, "workspaces": Scope.WORKSPACE}


@require_GET
def user_roles(request: AuthenticatedHttpRequest, tenant: uuid.UUID, user: uuid.UUID, scope: str) -> HttpResponse:
    member = member_or_404(request, tenant, user, Verb.ROLE_LIST)
    context = context_of_user(member) | _roles(member.user, member.tenant, scope, "user")
    return render(request, "accounts/user_roles.html", context)


@require_GET
def team_roles(request: AuthenticatedHttpRequest, tenant: uuid.UUID, team: uuid.UUID, scope: str) -> HttpResponse:
    here = team_or_404(request, tenant, team, Verb.ROLE_LIST)
    return render(request, "accounts/team_roles.html", context_of_team(here) | _roles(here, here.tenant, scope, "team"))


def _roles(who: User | Team, tenant: Tenant, scope: str, kind: str) -> dict[str, object]:
    given = roles_of(who, tenant, _scope(scope))
    begin = reverse(f"{kind}_roles_add", args=[tenant.pk, who.pk, scope])
    return {"given": given, "scope": scope, "kind": kind, "begin": begin, "who": who}


@require_http_methods(["GET", "POST"])
def user_role_remove(  # noqa: PLR0913 - a role is named by whose, on what and which
    request: AuthenticatedHttpRequest, *, tenant: uuid.UUID, user: uuid.UUID, scope: str, on: uuid.UUID, role: str
) -> HttpResponse:
    member = member_or_404(request, tenant, user, Verb.ROLE_DELETE)
    require_recent_sign_in(request)
    back = reverse("user_roles", args=[tenant, user, scope])
    return _remove(request, member.tenant, _given(member.user, member.tenant, scope, on, role), back)


@require_http_methods(["GET", "POST"])
def team_role_remove(  # noqa: PLR0913 - a role is named by whose, on what and which
    request: AuthenticatedHttpRequest, *, tenant: uuid.UUID, team: uuid.UUID, scope: str, on: uuid.UUID, role: str
) -> HttpResponse:
    here = team_or_404(request, tenant, team, Verb.ROLE_DELETE)
    require_recent_sign_in(request)
    back = reverse("team_roles", args=[tenant, team, scope])
    return _remove(request, here.tenant, _given(here, here.tenant, scope, on, role), back)


def _remove(request: AuthenticatedHttpRequest, tenant: Tenant, given: Given | None, back: str) -> HttpResponse:
    """A role that is gone already is gone: a second click says nothing else."""
    if given is None and request.method == "GET":
        raise NotVisible("There is nothing here.")
    if given is None:
        return redirect(back)
    if request.method == "GET":
        return ask(request, tenant, _question(given, back))
    remove_role(by=request.user, role=given.role, to=given.to, on=given.on)
    messages.success(request, f"{given.to} does not hold {given.role.display_name} on {given.on} any more.")
    return redirect(back)


def _question(given: Given, back: str) -> Question:
    whom = "The members of the team lose" if isinstance(given.to, Team) else "They lose"
    text = f"{whom} {given.role.display_name} on {given.on} with the next click. What they hold otherwise stays."
    return Question(f"Remove {given.role.display_name} on {given.on} from {given.to}?", text, "Remove role", back)


def _given(who: User | Team, tenant: Tenant, scope: str, on: uuid.UUID, codename: str) -> Given | None:
    """The role as it was given to `who` directly; what comes through a team is removed at the team."""
    found = (each for each in roles_of(who, tenant, _scope(scope)) if each.to == who)
    return next((each for each in found if each.on.pk == on and each.role.codename == codename), None)


def _scope(name: str) -> Scope:
    if name not in SCOPES:
        raise NotVisible("There is nothing here.")
    return SCOPES[name]
