"""The audit log's only way in."""

from __future__ import annotations

from typing import Any

from django.db import models

from accounts.models import AuditEvent, User
from console.lib import context

SYSTEM = "Drydock"  # the console itself: reconciler, first start


def record(
    *, by: User | None, verb: str, target: models.Model, outcome: str = "done", tenant_id: Any = None, **details: Any
) -> AuditEvent:
    """Write one row: `verb` is `<noun>.<verb>`; `by` None means the console itself; `details` must hold no secret."""
    cause, project = context.current(), getattr(target, "project", None)
    return AuditEvent.objects.create(
        tenant_id=tenant_id or getattr(project, "tenant_id", None) or getattr(target, "tenant_id", None),
        project_id=getattr(project, "pk", None),
        actor_id=by.pk if by else None,
        actor=by.email if by else SYSTEM,
        verb=verb,
        target_kind=target._meta.model_name or "",
        target_id=str(target.pk),
        target=str(target)[:254],
        outcome=outcome,
        address=cause.address or None,
        reference=cause.id,
        details=details,
    )
