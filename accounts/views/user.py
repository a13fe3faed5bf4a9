"""Users and Teams > Users: the list, one user's page, and what is done to them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from accounts import members
from accounts.actions.member import activate_member, deactivate_member, set_tenant_admin, unset_tenant_admin
from accounts.models import AuthenticatedHttpRequest, Membership
from accounts.permissions import Verb, may, visible
from accounts.signin import require_recent_sign_in
from accounts.views.asking import Question, ask
from accounts.views.tenant import tenant_or_404
from console.lib.errors import BadInput, NotVisible

WHY_LAST = "The last Tenant Admin of a tenant stays one. Make somebody else a Tenant Admin first."
WHY_SELF = "You cannot deactivate yourself. Ask another Tenant Admin to do it."


def member_or_404(request: AuthenticatedHttpRequest, tenant: uuid.UUID, user: uuid.UUID, verb: Verb) -> Membership:
    """The person as one of this tenant. Raises NotVisible, also when they are in another one."""
    rows = Membership.objects.filter(tenant_id=tenant, user_id=user).select_related("tenant", "user")
    found = visible(request.user, rows, verb).first()
    if found is None:
        raise NotVisible("There is nothing here.")
    return found


@require_GET
def user_list(request: AuthenticatedHttpRequest, tenant: uuid.UUID) -> HttpResponse:
    here = tenant_or_404(request, tenant, Verb.USER_LIST)
    search, state = request.GET.get("q", "").strip(), request.GET.get("state", "")
    state = state if state in dict(members.STATES) else ""
    page = members.everybody(here, search=search, state=state, page=request.GET.get("page"))
    context = {"tenant": here, "section": "people", "page": page, "search": search}
    context |= {"state": state, "states": members.STATES, "filtered": bool(search or state)}
    return render(request, "accounts/user_list.html", context)


@require_GET
def user_detail(request: AuthenticatedHttpRequest, tenant: uuid.UUID, user: uuid.UUID) -> HttpResponse:
    """Details, and why a button that is not there is not."""
    member = member_or_404(request, tenant, user, Verb.USER_GET)
    last, oneself = _is_last_admin(member), member.user == request.user
    context = context_of(member) | {
        "teams": members.teams_of(member.tenant, [member.user_id])[member.user_id],
        "why_admin": WHY_LAST if last else "",
        "why_active": WHY_LAST if last else WHY_SELF if oneself else "",
    }
    return render(request, "accounts/user_detail.html", context)


def context_of(member: Membership) -> dict[str, Any]:
    """What every tab of a user's page needs."""
    return {
        "tenant": member.tenant,
        "member": member,
        "person": member.user,
        "state": members.state_of(member),
        "section": "people",
    }


@dataclass(frozen=True)
class Deed:
    """Something done to a person, with what is asked before and said after; `{}` stands for the person."""

    act: Callable[..., None]
    verb: Verb
    title: str
    text: str
    action: str
    done: str
    danger: bool = True


ADMIN_DEEDS = {
    "give": Deed(
        set_tenant_admin,
        Verb.ROLE_CREATE,
        "Make {} a Tenant Admin?",
        "They may then do everything in the tenant: users, teams, roles, projects and all below.",
        "Make Tenant Admin",
        "{} is a Tenant Admin now.",
        danger=False,
    ),
    "take": Deed(
        unset_tenant_admin,
        Verb.ROLE_DELETE,
        "Take the role Tenant Admin from {}?",
        "They keep the project and workspace roles they have, and lose everything else in the tenant at once.",
        "Take the role",
        "{} is no Tenant Admin any more.",
    ),
}
STATE_DEEDS = {
    "activate": Deed(
        activate_member,
        Verb.USER_UPDATE,
        "Activate {}?",
        "They hold again every role they held when they were deactivated.",
        "Activate",
        "{} is active again.",
        danger=False,
    ),
    "deactivate": Deed(
        deactivate_member,
        Verb.USER_UPDATE,
        "Deactivate {}?",
        "From the next click on they see nothing of this tenant, open pages included. Their roles wait for them.",
        "Deactivate",
        "{} is deactivated.",
    ),
}


@require_http_methods(["GET", "POST"])
def user_admin(request: AuthenticatedHttpRequest, tenant: uuid.UUID, user: uuid.UUID, deed: str) -> HttpResponse:
    """Give or take the role Tenant Admin."""
    return _do(request, tenant, user, ADMIN_DEEDS.get(deed))


@require_http_methods(["GET", "POST"])
def user_state(request: AuthenticatedHttpRequest, tenant: uuid.UUID, user: uuid.UUID, deed: str) -> HttpResponse:
    """Activate or deactivate."""
    return _do(request, tenant, user, STATE_DEEDS.get(deed))


def _do(request: AuthenticatedHttpRequest, tenant: uuid.UUID, user: uuid.UUID, deed: Deed | None) -> HttpResponse:
    if deed is None:
        raise NotVisible("There is nothing here.")
    member = member_or_404(request, tenant, user, deed.verb)
    if deed in ADMIN_DEEDS.values():
        require_recent_sign_in(request)
    page = reverse("user_detail", args=[tenant, user])
    if request.method == "GET":
        title = deed.title.format(member.user)
        return ask(request, member.tenant, Question(title, deed.text, deed.action, page, danger=deed.danger))
    try:
        deed.act(by=request.user, tenant=member.tenant, user=member.user)
    except BadInput as error:
        messages.error(request, error.sentence())
        return redirect(page)
    messages.success(request, deed.done.format(member.user))
    still = may(request.user, member.tenant, Verb.USER_GET)  # whoever takes it from themselves does not see the page
    return redirect(page if still else "home")


def _is_last_admin(member: Membership) -> bool:
    admins = Membership.objects.filter(tenant=member.tenant).active_admins()
    return admins.filter(pk=member.pk).exists() and not admins.exclude(pk=member.pk).exists()
