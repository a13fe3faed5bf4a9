"""What a person may change about themselves."""

from __future__ import annotations

import zoneinfo

from django.contrib import auth, messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import audit
from accounts.forms.profile import PasswordForm, ProfileForm
from accounts.models import AuthenticatedHttpRequest, User


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
