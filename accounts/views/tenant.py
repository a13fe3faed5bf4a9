"""Tenant Settings, and how the pages of a tenant find it."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.actions.tenant import update_tenant
from accounts.forms.tenant import TenantForm
from accounts.models import AuthenticatedHttpRequest, Tenant
from accounts.permissions import Verb, get_or_404
from console.lib.errors import BadInput
from console.lib.forms import add_error


def tenant_or_404(request: AuthenticatedHttpRequest, pk: uuid.UUID, verb: Verb) -> Tenant:
    """Raises NotVisible for whoever does not administer the tenant: they do not see it at all."""
    return get_or_404(request.user, Tenant.objects.all(), verb, pk)


@require_http_methods(["GET", "POST"])
def tenant_settings(request: AuthenticatedHttpRequest, tenant: uuid.UUID) -> HttpResponse:
    here = tenant_or_404(request, tenant, Verb.TENANT_UPDATE)
    form = TenantForm(request.POST or None, instance=tenant_or_404(request, tenant, Verb.TENANT_UPDATE))
    if request.method == "POST" and form.is_valid():
        try:
            update_tenant(by=request.user, tenant=here, **form.cleaned_data)
            messages.success(request, "The tenant's settings are saved.")
            return redirect("tenant_settings", here.pk)
        except BadInput as error:
            add_error(form, error)
    context = {"tenant": here, "form": form, "section": "tenant"}
    return render(request, "accounts/tenant_settings.html", context, status=422 if form.errors else 200)
