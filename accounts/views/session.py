"""Signing in and out, typing one's password again, and where else one is signed in."""

from __future__ import annotations

from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import signin
from accounts.actions.session import end_session, end_sessions
from accounts.forms.session import ConfirmForm, SignInForm
from accounts.models import AuthenticatedHttpRequest
from accounts.throttle import TooManyAttempts
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
            signin.proceed(request, form.get_user())
            return redirect(following or "home")
        if refusal := signin.too_many(request):
            return _locked(request, form, refusal)
        signin.record_refused_sign_in(form.cleaned_data.get("username", ""))
    context = {"form": form, "next": following, "forgotten": settings.MAIL_IS_SENT}
    return render(request, "accounts/login.html", context)


def _locked(request: HttpRequest, form: SignInForm, refusal: TooManyAttempts) -> HttpResponse:
    signin.record_refused_sign_in(form.cleaned_data.get("username", ""), reason="too many attempts")
    return locked(request, refusal)


def locked(request: HttpRequest, refusal: TooManyAttempts) -> HttpResponse:
    """How long to wait, for a stranger."""
    context = {"refusal": refusal, "forgotten": settings.MAIL_IS_SENT}
    response = render(request, "accounts/locked.html", context, status=429)
    response["Retry-After"] = str(int(refusal.retry_after) + 1)
    return response


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


@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters("password")
def session_confirm(request: AuthenticatedHttpRequest) -> HttpResponse:
    """One's password again, on the way to a page that wants it; see signin.require_recent_sign_in()."""
    form, status = ConfirmForm(request.POST if request.method == "POST" else None), 200
    if form.is_valid():
        try:
            if signin.prove(request, form.cleaned_data["password"]):
                return redirect(_safe_next(request) or "home")
            form.add_error("password", "This is not your password.")
        except TooManyAttempts as refusal:
            form.add_error("password", refusal.message)
            status = 429
    return render(request, "accounts/session_confirm.html", {"form": form, "next": _safe_next(request)}, status=status)


@require_POST
def logout(request: AuthenticatedHttpRequest) -> HttpResponse:
    signin.record_sign_out(request.user)
    auth.logout(request)
    messages.success(request, "You are signed out.")
    return redirect("login")


@require_POST
def session_end(request: AuthenticatedHttpRequest, key: str) -> HttpResponse:
    """Sign out in one browser."""
    end_session(by=request.user, key=key)
    messages.success(request, "You are signed out there.")
    return redirect("profile")


@require_POST
def session_end_all(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Sign out everywhere, here as well."""
    end_sessions(by=request.user, user=request.user)
    auth.logout(request)
    messages.success(request, "You are signed out everywhere.")
    return redirect("login")
