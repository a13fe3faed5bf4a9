"""One's own profile."""

from __future__ import annotations

import zoneinfo

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts import audit
from accounts.forms.profile import ProfileForm
from accounts.models import AuthenticatedHttpRequest, Session, User
from accounts.sessions import store


@require_http_methods(["GET", "POST"])
def profile(request: AuthenticatedHttpRequest) -> HttpResponse:
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=request.user.pk))
    if form.is_valid():
        with transaction.atomic():
            audit.record(by=request.user, verb="user.update", target=form.save(), fields=form.changed_data)
        messages.success(request, "Your profile is saved.")
        return redirect("profile")
    zones = sorted(zoneinfo.available_timezones())
    sessions = Session.objects.live(request.user)
    context = {"form": form, "zones": zones, "sessions": sessions, "here": store(request).is_of}
    return render(request, "accounts/profile.html", context)
