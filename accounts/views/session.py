"""Signing in and out."""

from __future__ import annotations

from django.contrib import auth, messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import signin
from accounts.forms.session import SignInForm
from accounts.models import AuthenticatedHttpRequest
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
    form = SignInForm(request, request.POST if request.method == "POST" else None)
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
