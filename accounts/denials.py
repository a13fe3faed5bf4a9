"""Refused requests as rows of the audit log, written in this one place.

A row each: whatever is refused to somebody who sees the thing (403), and every change asked of what one may not see
(404). None: merely opening what is not there, and requests of strangers, who are led to the sign-in. So that nobody
floods the log, a person leaves `MOST` such rows a minute, the last of which says so, and the same page refused again
and again to an open tab leaves one an hour.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEvent, Membership, User
from accounts.permissions import tenant_of
from console.lib.errors import Forbidden, NotVisible
from console.lib.middleware import GetResponse

MOST = 20  # rows of one person in a minute
READS = ("GET", "HEAD", "OPTIONS")
ENOUGH = "Further refusals within this minute are not recorded."


class DenialMiddleware:
    """Stands behind the middleware that turns errors into pages, so that it hears of them first."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        refused = isinstance(exception, Forbidden | PermissionDenied)
        hidden = isinstance(exception, NotVisible) and request.method not in READS
        if (refused or hidden) and isinstance(request.user, User):
            _record(request, request.user, answer=403 if refused else 404)


def _record(request: HttpRequest, person: User, *, answer: int) -> None:
    method, page = request.method or "", request.resolver_match.view_name if request.resolver_match else ""
    recent = AuditEvent.objects.denials(person.pk, timezone.now() - timedelta(minutes=1)).count()
    if recent >= MOST or (method in READS and _said_already(person, page, method)):
        return
    home, asked = _tenants(person), _asked(request)
    row = _row(asked)
    tenant = tenant_of(row) if row else None
    if tenant not in home:  # a name of another tenant is never told
        row, tenant = None, home[0] if len(home) == 1 else None
    more = {"note": ENOUGH} if recent == MOST - 1 else {}
    audit.record_denial(by=person, method=method, page=page, answer=answer, asked=asked, row=row, tenant=tenant, **more)


def _said_already(person: User, page: str, method: str) -> bool:
    within_an_hour = AuditEvent.objects.denials(person.pk, timezone.now() - timedelta(hours=1))
    return within_an_hour.filter(verb=audit.verb_of(method), details__page=page).exists()


def _tenants(person: User) -> list[uuid.UUID]:
    return list(Membership.objects.filter(user=person).values_list("tenant_id", flat=True))


def _asked(request: HttpRequest) -> uuid.UUID | None:
    """What the address names last: the thing itself, behind what it is in."""
    named = request.resolver_match.kwargs.values() if request.resolver_match else ()
    return next((value for value in reversed(list(named)) if isinstance(value, uuid.UUID)), None)


def _row(pk: uuid.UUID | None) -> models.Model | None:
    """The row of that id, whatever it is: ids are unique among all tables."""
    ours = [each for each in apps.get_models() if hasattr(each, "tenant_path")]
    keyed = [each for each in ours if pk and isinstance(each._meta.pk, models.UUIDField)]
    return next((row for each in keyed if (row := each._base_manager.filter(pk=pk).first())), None)
