"""Signing in and out, and one's own profile."""

from __future__ import annotations

import zoneinfo

from django.contrib import auth, messages
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import audit, signin
from accounts.forms import PasswordForm, ProfileForm, SignInForm
from accounts.models import AuthenticatedHttpRequest, User
from console.lib import live


@login_not_required
@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters("password")
def login(request: HttpRequest) -> HttpResponse:
    """Keeps the address and where one wanted to go; never the password."""
    following = _safe_next(request)
    if request.user.is_authenticated:
        return redirect(following or "home")
    form = SignInForm(request, request.POST or None)
    if request.method == "POST":
        if form.is_valid():
            return _signed_in(request, form, following)
        signin.record_refused_sign_in(form.cleaned_data.get("username", ""))
    return render(request, "accounts/login.html", {"form": form, "next": following})


def _signed_in(request: HttpRequest, form: SignInForm, following: str) -> HttpResponse:
    user = form.get_user()
    auth.login(request, user)
    signin.record_sign_in(user)
    return redirect(following or "home")


def _safe_next(request: HttpRequest) -> str:
    """Where to go afterwards, when that is a page of ours."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if ours else ""


@require_GET
def session(request: AuthenticatedHttpRequest) -> HttpResponse:
    """For a form about to be sent: whether one is still signed in. For a person: that one is, again."""
    if live.wanted(request):
        return HttpResponse(status=204)
    return render(request, "accounts/session.html")


@require_POST
def logout(request: AuthenticatedHttpRequest) -> HttpResponse:
    signin.record_sign_out(request.user)
    auth.logout(request)
    messages.success(request, "You are signed out.")
    return redirect("login")


@require_http_methods(["GET", "POST"])
def profile(request: AuthenticatedHttpRequest) -> HttpResponse:
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=request.user.pk))
    if form.is_valid():
        with transaction.atomic():
            audit.record(by=request.user, verb="user.update", target=form.save(), fields=form.changed_data)
        messages.success(request, "Your profile is saved.")
        return redirect("profile")
    zones = sorted(zoneinfo.available_timezones())
    return render(request, "accounts/profile.html", {"form": form, "zones": zones})


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters()
def password_change(request: AuthenticatedHttpRequest) -> HttpResponse:
    form = PasswordForm(request.user, request.POST or None)
    if form.is_valid():
        with transaction.atomic():
            user = form.save()
            audit.record(by=user, verb="user.password", target=user)
        auth.update_session_auth_hash(request, user)
        messages.success(request, "Your password is changed. You are signed out everywhere else.")
        return redirect("profile")
    return render(request, "accounts/password_change.html", {"form": form})
