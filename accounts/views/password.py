"""One's password: changing it, and a new one for whoever forgot it."""

from __future__ import annotations

from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import audit, throttle
from accounts.actions.password import request_password_reset, reset_password, whose
from accounts.forms.password import ForgottenForm, NewPasswordForm, PasswordForm
from accounts.models import AuthenticatedHttpRequest, Session
from accounts.sessions import store
from accounts.signin import only_tenant
from accounts.views.session import locked
from console.lib.errors import BadInput, NotVisible


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters()
def password_change(request: AuthenticatedHttpRequest) -> HttpResponse:
    form = PasswordForm(request, request.POST if request.method == "POST" else None)
    if form.is_valid():
        with transaction.atomic():
            user = form.save()
            audit.record(by=user, verb="user.password", target=user, tenant_id=only_tenant(user))
            Session.objects.filter(user=user).exclude(pk=store(request).is_of).delete()
        auth.update_session_auth_hash(request, user)
        messages.success(request, "Your password is changed. You are signed out everywhere else.")
        return redirect("profile")
    return render(request, "accounts/password_change.html", {"form": form})


@login_not_required
@require_http_methods(["GET", "POST"])
@never_cache
def password_forgotten(request: HttpRequest) -> HttpResponse:
    """The same answer for every address. Raises NotVisible where no letters are sent."""
    if not settings.MAIL_IS_SENT:
        raise NotVisible("There is nothing here.")
    form = ForgottenForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        email = form.cleaned_data["email"]
        try:
            throttle.take(throttle.letters(request, email))
        except throttle.TooManyAttempts as refusal:
            return locked(request, refusal)
        request_password_reset(by=None, email=email, origin=f"{request.scheme}://{request.get_host()}")
        return render(request, "accounts/password_asked.html")
    return render(request, "accounts/password_forgotten.html", {"form": form})


@login_not_required
@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters()
def password_reset(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    """A letter's link."""
    try:
        user = whose(uid, token)
    except BadInput as error:
        return render(request, "accounts/password_expired.html", {"error": error}, status=410)
    form = NewPasswordForm(user, request.POST if request.method == "POST" else None)
    if form.is_valid():
        reset_password(by=user, password=form.cleaned_data["new_password1"])
        messages.success(request, "Your password is set. Sign in with it.")
        return redirect("login")
    return render(request, "accounts/password_reset.html", {"form": form})
