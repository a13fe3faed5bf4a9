"""Inviting somebody, and what the invited person sees.

The link's token stands in the query of one address alone, which does nothing but put its hash into the session and lead
on: no log line, page or further address ever holds it.
"""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.actions.invitation import accept_as, accept_as_new, invite_user, renew_invitation, withdraw_invitation
from accounts.forms.invitation import InviteForm, NewUserForm
from accounts.mail import mail_is_set, send_invitation
from accounts.models import AuthenticatedHttpRequest, Invitation, User
from accounts.models.invitation import hash_of
from accounts.permissions import Verb, get_or_404
from accounts.views.asking import Question, ask
from accounts.views.tenant import tenant_or_404
from console.lib.errors import BadInput
from console.lib.forms import add_error

HELD = "invitation"  # in the session: the hash of the link that was opened
OPENED = "t"
NOW_SIGN_IN = "Sign in with {} to go on. If you had an account with this address before, its own password counts."


@require_http_methods(["GET", "POST"])
@never_cache
def invitation_create(request: AuthenticatedHttpRequest, tenant: uuid.UUID) -> HttpResponse:
    """The answer is the same whether or not somebody has the address in another tenant."""
    here, form = tenant_or_404(request, tenant, Verb.USER_CREATE), InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return _sent(request, *invite_user(by=request.user, tenant=here, email=form.cleaned_data["email"]))
        except BadInput as error:
            add_error(form, error)
    context = {"tenant": here, "form": form, "section": "people", "by_mail": mail_is_set()}
    return render(request, "accounts/invitation_create.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@never_cache
def invitation_resend(request: AuthenticatedHttpRequest, tenant: uuid.UUID, invitation: uuid.UUID) -> HttpResponse:
    """A new link; the old one ends."""
    here = _invitation(request, tenant, invitation)
    if request.method == "GET":
        return ask(request, here.tenant, _about_resending(here))
    try:
        return _sent(request, *renew_invitation(by=request.user, invitation=here))
    except BadInput as error:
        messages.error(request, error.sentence())
        return redirect("user_list", tenant)


@require_http_methods(["GET", "POST"])
def invitation_withdraw(request: AuthenticatedHttpRequest, tenant: uuid.UUID, invitation: uuid.UUID) -> HttpResponse:
    here = _invitation(request, tenant, invitation)
    if request.method == "GET":
        text = "The link stops working at once. You can invite the address again at any time."
        title, leave = f"Withdraw the invitation of {here}?", reverse("user_list", args=[tenant])
        return ask(request, here.tenant, Question(title, text, "Withdraw invitation", leave))
    try:
        withdraw_invitation(by=request.user, invitation=here)
        messages.success(request, f"The invitation of {here} is withdrawn.")
    except BadInput as error:
        messages.error(request, error.sentence())
    return redirect("user_list", tenant)


def _invitation(request: AuthenticatedHttpRequest, tenant: uuid.UUID, pk: uuid.UUID) -> Invitation:
    rows = Invitation.objects.filter(tenant_id=tenant).select_related("tenant")
    return get_or_404(request.user, rows, Verb.USER_CREATE, pk)


def _about_resending(invitation: Invitation) -> Question:
    how = "It is sent by e-mail" if mail_is_set() else "It is shown to you once, for passing it on"
    text = f"{how} and works for seven days. The link made before stops working."
    leave = reverse("user_list", args=[invitation.tenant_id])
    return Question(f"Make a new link for {invitation}?", text, "Make a new link", leave, danger=False)


def _sent(request: AuthenticatedHttpRequest, invitation: Invitation, token: str) -> HttpResponse:
    """By e-mail, else shown once in this very answer: it is kept nowhere, so it cannot be shown again."""
    link = f"{request.build_absolute_uri(reverse('invitation_open'))}?{OPENED}={token}"
    if mail_is_set() and send_invitation(invitation, link):
        messages.success(request, f"The invitation was sent to {invitation}.")
        return redirect("user_list", invitation.tenant_id)
    context = {"tenant": invitation.tenant, "invitation": invitation, "link": link, "section": "people"}
    return render(request, "accounts/invitation_link.html", context | {"mail_failed": mail_is_set()})


# What the invited person sees


@login_not_required
@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters("password", "again")
def invitation_open(request: HttpRequest) -> HttpResponse:
    """Opened by the link; from then on without the token. The page is the same whoever has the address."""
    if OPENED in request.GET:
        request.session[HELD] = hash_of(request.GET[OPENED])
        return redirect("invitation_open")
    invitation = Invitation.objects.of_hash(request.session.get(HELD, ""))
    if invitation and isinstance(request.user, User) and invitation.accepted_by_id == request.user.pk:
        del request.session[HELD]
        messages.success(request, f"Welcome to {invitation.tenant}.")
        return redirect("home")
    if invitation is None or not invitation.works:
        return render(request, "accounts/invitation_over.html", {"invitation": invitation}, status=410)
    if isinstance(request.user, User):
        return _join(request, invitation, request.user)
    return _begin(request, invitation)


def _join(request: HttpRequest, invitation: Invitation, user: User) -> HttpResponse:
    """Somebody who is signed in: the invited person, or another one."""
    error = None
    if request.method == "POST":
        try:
            accept_as(by=user, invitation=invitation)
            return redirect("invitation_open")
        except BadInput as refused:
            error = refused
    context = {"invitation": invitation, "is_theirs": user.email == invitation.email, "error": error}
    return render(request, "accounts/invitation_join.html", context, status=422 if error else 200)


def _begin(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    """Somebody who is not signed in: new here, or with an account."""
    form = NewUserForm(invitation, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            accept_as_new(invitation=invitation, name=form.cleaned_data["name"], password=form.cleaned_data["password"])
            messages.success(request, NOW_SIGN_IN.format(invitation.email))
            return redirect(_sign_in())
        except BadInput as error:
            add_error(form, error)
    context = {"invitation": invitation, "form": form, "sign_in": _sign_in()}
    return render(request, "accounts/invitation_open.html", context, status=422 if form.errors else 200)


def _sign_in() -> str:
    return f"{reverse('login')}?next={reverse('invitation_open')}"
