"""The audit log of a tenant: what was done, by whom, and whether it is as it was sealed."""

from __future__ import annotations

import contextlib
import csv
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.apps import apps
from django.db import models
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts import audit, chain, wording
from accounts.forms.audit import AuditFilterForm
from accounts.models import AuditEvent, AuthenticatedHttpRequest, Tenant, User
from accounts.permissions import Verb, get_or_404, visible
from console.lib.errors import NotVisible

PAGE = 50
COLUMNS = (
    *("time (UTC)", "person", "verb", "object kind", "object", "object id", "outcome", "address", "reference"),
    *("project id", "details"),
)
FORMULA = tuple(
    "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
)  # what a spreadsheet takes for the beginning of one; the last four are wide
OBJECT_PAGES = {
    "backup": "backup_detail",
    "restore": "restore_detail",
    "cluster": "cluster_overview",
    "backuplocation": "location_detail",
    "project": "project_overview",
    "workspace": "workspace_detail",
    "user": "user_detail",
    "team": "team_detail",
}


@dataclass(frozen=True)
class Line:
    """A row of the log, in words."""

    event: AuditEvent

    @property
    def deed(self) -> str:
        return wording.deed(self.event)

    @property
    def kind(self) -> str:
        return wording.kind(self.event)

    @property
    def target(self) -> str:
        return wording.target(self.event)

    @property
    def details(self) -> list[tuple[str, str]]:
        return wording.details(self.event)


@require_GET
def audit_list(request: AuthenticatedHttpRequest, tenant: uuid.UUID) -> HttpResponse:
    """Newest first. Pages go on from the last id seen, so that nothing counts a long log."""
    home = _tenant(request, tenant)
    form = AuditFilterForm(request.GET)
    rows = form.narrow(AuditEvent.objects.of_tenant(home.pk))
    before = _number(request.GET.get("before", ""))
    found = list((rows.filter(pk__lt=before) if before else rows)[: PAGE + 1])
    context = {
        "tenant": home,
        "form": form,
        "lines": [Line(event) for event in found[:PAGE]],
        "older": found[PAGE - 1].pk if len(found) > PAGE else None,
        "later_page": bool(before),
        "seal": chain.last_seal(),
        "section": "audit",
    }
    return render(request, "accounts/audit_list.html", context)


@require_GET
def audit_detail(request: AuthenticatedHttpRequest, tenant: uuid.UUID, event: int) -> HttpResponse:
    home = _tenant(request, tenant)
    row = AuditEvent.objects.of_tenant(home.pk).filter(pk=min(event, models.BigIntegerField.MAX_BIGINT)).first()
    if row is None:
        raise NotVisible("There is nothing here.")
    context = {"tenant": home, "line": Line(row), "address": _page_of(request.user, row), "section": "audit"}
    return render(request, "accounts/audit_detail.html", context)


@require_GET
def audit_export(request: AuthenticatedHttpRequest, tenant: uuid.UUID) -> StreamingHttpResponse:
    """What the filter leaves, as CSV; up to the row that says who took it along."""
    home = _tenant(request, tenant)
    form = AuditFilterForm(request.GET)
    taken = audit.record(by=request.user, verb="audit.export", target=home, tenant_id=home.pk, filter=form.asked)
    rows = form.narrow(AuditEvent.objects.of_tenant(home.pk).filter(pk__lt=taken.pk))
    name = f"audit-{timezone.now():%Y-%m-%d-%H%M}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(_csv(rows.iterator(1000)), content_type="text/csv; charset=utf-8", headers=headers)


def _tenant(request: AuthenticatedHttpRequest, pk: uuid.UUID) -> Tenant:
    return get_or_404(request.user, Tenant.objects.all(), Verb.AUDIT_GET, pk)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 19 else None


def _page_of(user: User, event: AuditEvent) -> str:
    """The object's own page, where there is one and the object is still there."""
    address = next(_addresses(event), "")
    model = next((each for each in apps.get_models() if each._meta.model_name == event.target_kind), None)
    if not address or model is None:
        return ""
    sight = Verb(f"{getattr(model, 'noun', event.target_kind)}.get")
    return address if visible(user, model._base_manager.filter(pk=event.target_id), sight).exists() else ""


def _addresses(event: AuditEvent) -> Iterator[str]:
    """Of the object, or of the object in its tenant. Every page's name takes a uuid, so that a reversed one has it."""
    for arguments in ((event.target_id,), (event.tenant_id, event.target_id)):
        with contextlib.suppress(NoReverseMatch):
            yield reverse(OBJECT_PAGES.get(event.target_kind, ""), args=arguments)


# Export


class _Echo:
    """A file that hands back what is written."""

    def write(self, text: str) -> str:
        return text


def _csv(events: Iterator[AuditEvent]) -> Iterator[str]:
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_ALL)
    yield writer.writerow(COLUMNS)
    for event in events:
        yield writer.writerow([_cell(value) for value in _values(event)])


def _values(event: AuditEvent) -> list[Any]:
    at = event.at.astimezone(UTC).isoformat(timespec="seconds")
    about = [event.target_kind, event.target, event.target_id, event.outcome, event.address, event.reference]
    return [at, event.actor, event.verb, *about, event.project_id, json.dumps(event.details, ensure_ascii=False)]


def _cell(value: Any) -> str:
    """A text that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text
