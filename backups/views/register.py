"""Register a cluster: being written."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from django.shortcuts import redirect

from accounts.models import AuthenticatedHttpRequest


def cluster_register(request: AuthenticatedHttpRequest, project: uuid.UUID) -> HttpResponse:
    return redirect("cluster_list", project)
