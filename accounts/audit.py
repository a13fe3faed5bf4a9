"""The audit log's only way in."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models

from accounts.models import AuditEvent, User
from console.lib import context

SYSTEM = "Drydock"  # the console itself: reconciler, first start
DENIED = "denied"


def record(
    *, by: User | None, verb: str, target: models.Model, outcome: str = "done", tenant_id: Any = None, **details: Any
) -> AuditEvent:
    """Write one row: `verb` is `<noun>.<verb>`; `by` None means the console itself; `details` must hold no secret."""
    project = getattr(target, "project", None)
    return AuditEvent.objects.create(
        **_caused_by(by),
        **_about(target),
        tenant_id=tenant_id or getattr(project, "tenant_id", None) or getattr(target, "tenant_id", None),
        project_id=getattr(project, "pk", None),
        verb=verb,
        outcome=outcome,
        details=details,
    )


def record_denial(  # noqa: PLR0913 - what was asked, of what, and what was said
    *,
    by: User,
    method: str,
    page: str,
    answer: int,
    asked: uuid.UUID | None,
    row: models.Model | None,
    tenant: uuid.UUID | None,
    **details: Any,
) -> AuditEvent:
    """Write one row for a refused request; `row` None when the tenant whose log it is must not learn what it was."""
    nothing_known = {"target_kind": "page", "target_id": str(asked or ""), "target": page[:254]}
    return AuditEvent.objects.create(
        **_caused_by(by),
        **(_about(row) if row else nothing_known),
        tenant_id=tenant,
        project_id=getattr(getattr(row, "project", None), "pk", None),
        verb=verb_of(method),
        outcome=DENIED,
        details={"page": page, "answer": answer, **details},
    )


def verb_of(method: str) -> str:
    """What a refused request is called: which verb it would have been is known to the page alone."""
    return f"request.{method.lower()}"[:60]


def _caused_by(by: User | None) -> dict[str, Any]:
    cause = context.current()
    who = {"actor_id": by.pk if by else None, "actor": by.email if by else SYSTEM}
    return who | {"address": cause.address or None, "reference": cause.id}


def _about(target: models.Model) -> dict[str, str]:
    name = target._meta.model_name or ""
    return {"target_kind": name, "target_id": str(target.pk), "target": str(target)[:254]}
