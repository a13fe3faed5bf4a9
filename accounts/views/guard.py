"""The one place that says what pages that hand out roles ask of whoever opens them, beyond the right to do so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec

from django.http import HttpResponse

from accounts.models import AuthenticatedHttpRequest
from accounts.signin import recent_sign_in_required

P = ParamSpec("P")


def hands_out_roles(
    view: Callable[Concatenate[AuthenticatedHttpRequest, P], HttpResponse],
) -> Callable[Concatenate[AuthenticatedHttpRequest, P], HttpResponse]:
    """For views that give or take a role, or begin to: the password must have been typed a short while ago."""
    return recent_sign_in_required(view)
