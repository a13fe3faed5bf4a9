"""What was done: the rows of the audit log."""

from __future__ import annotations

from typing import Any

from django.db import models


class AuditQuerySet(models.QuerySet["AuditEvent"]):
    def update(self, **kwargs: Any) -> int:
        raise TypeError("Audit rows are never changed.")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise TypeError("Audit rows are never deleted.")


class AuditEvent(models.Model):
    """Who did what to what, from where, with what outcome. Append-only; no foreign keys, so nothing can vanish."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    tenant_id = models.UUIDField(null=True, db_index=True)
    project_id = models.UUIDField(null=True)
    actor_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=254)
    verb = models.CharField(max_length=60)
    target_kind = models.CharField(max_length=60)
    target_id = models.CharField(max_length=60)
    target = models.CharField(max_length=254)
    outcome = models.CharField(max_length=20, default="done")
    address = models.GenericIPAddressField(null=True)
    reference = models.CharField(max_length=64, blank=True)
    details = models.JSONField(default=dict)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.target}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Audit rows are never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("Audit rows are never deleted.")
