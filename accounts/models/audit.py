"""What was done: the rows of the audit log, and the chain that seals them (accounts/chain.py says how)."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from console.lib.crypto import EncryptedJSONField


class AppendOnly(models.Model):
    """Written once. On PostgreSQL the application's user has no right to change or delete such a row, either."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            _refuse()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        _refuse()


def _refuse() -> NoReturn:
    raise TypeError("Audit rows are never changed and never deleted.")


class AuditQuerySet(models.QuerySet["AuditEvent"]):
    def update(self, **kwargs: Any) -> int:
        _refuse()

    def delete(self) -> tuple[int, dict[str, int]]:
        _refuse()

    def of_tenant(self, tenant_id: uuid.UUID) -> AuditQuerySet:
        """A tenant's own log; rows of no tenant are in none."""
        return self.filter(tenant_id=tenant_id)

    def denials(self, actor_id: uuid.UUID, since: datetime) -> AuditQuerySet:
        """What this person was refused since then."""
        return self.filter(actor_id=actor_id, outcome="denied", at__gte=since)

    def unsealed(self, after: int) -> AuditQuerySet:
        """Rows without a link, of those with an id above `after`; in the order of their ids."""
        sealed = AuditLink.objects.filter(event_id=OuterRef("pk"))
        return self.filter(~Exists(sealed), pk__gt=after).order_by("pk")


class AuditEvent(AppendOnly):
    """Who did what to what, from where, with what outcome. Append-only; no foreign keys, so nothing can vanish."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    tenant_id = models.UUIDField(null=True)
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
        indexes = [models.Index(fields=["tenant_id", "-id"], name="audit_of_a_tenant")]

    def __str__(self) -> str:
        return f"{self.actor} {self.verb} {self.target}"


class LinkQuerySet(models.QuerySet["AuditLink"]):
    def update(self, **kwargs: Any) -> int:
        _refuse()

    def delete(self) -> tuple[int, dict[str, int]]:
        _refuse()


class AuditLink(AppendOnly):
    """One sealed row's place in the chain, from 1 on without a gap, and its code over itself and its predecessor."""

    number = models.PositiveBigIntegerField(primary_key=True)
    event_id = models.BigIntegerField(unique=True)
    code = models.CharField(max_length=64)

    objects = LinkQuerySet.as_manager()

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.number}: row {self.event_id}"


class ChainQuerySet(models.QuerySet["AuditChain"]):
    def lease(self, holder: str, span: timedelta) -> bool:
        """Take the sealing for so long, or renew it; of several processes one gets it."""
        now = timezone.now()
        free = self.filter(Q(until=None) | Q(until__lt=now) | Q(holder=holder))
        return free.update(holder=holder, until=now + span) == 1


class AuditChain(models.Model):
    """The chain's only head: its key, how far it goes, and who is sealing. The one audit row that is ever changed."""

    key = EncryptedJSONField()  # 32 bytes, base64: the chain's own, so that it outlives the rotation of the key ring
    number = models.PositiveBigIntegerField(default=0)  # of the last link
    last = models.CharField(max_length=64, blank=True)  # its code
    settled = models.BigIntegerField(default=0)  # no row with an id up to this one can appear any more
    code = models.CharField(max_length=64, blank=True)  # over number, last and settled
    sealed_at = models.DateTimeField(null=True)  # the last time somebody looked for rows to seal
    settling = models.BigIntegerField(default=0)  # what `settled` is going to be
    settling_since = models.DateTimeField(null=True)
    checked = models.PositiveBigIntegerField(default=0)  # up to which link the walk of the moment has come
    trouble = models.TextField(blank=True)  # what that walk, or the one before, has found amiss
    holder = models.CharField(max_length=64, blank=True)
    until = models.DateTimeField(null=True)

    objects = ChainQuerySet.as_manager()

    def __str__(self) -> str:
        return f"chain of {self.number} rows"
