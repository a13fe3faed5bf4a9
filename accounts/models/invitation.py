"""Invitations: somebody is asked into a tenant by a link that works once."""

from __future__ import annotations

import hashlib
import uuid
from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.tenant import Tenant
from accounts.models.user import User

LIVES = timedelta(days=7)


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> Self:
        """Neither used nor withdrawn; the link may have ended meanwhile."""
        return self.filter(accepted_at=None, withdrawn_at=None)

    def of_token(self, token: str) -> Invitation | None:
        """The one whose link this is."""
        return self.of_hash(hash_of(token))

    def of_hash(self, token_hash: str) -> Invitation | None:
        return self.select_related("tenant").filter(token_hash=token_hash).first()


def hash_of(token: str) -> str:
    """What is stored. A plain hash is enough for 32 random bytes."""
    return hashlib.sha256(token.encode()).hexdigest()


class Invitation(models.Model):
    """An address asked into a tenant. Says nothing about whether somebody has the address already."""

    tenant_path = "tenant"
    noun = "user"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField("e-mail address")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(default=timezone.now, editable=False)  # when the link that works now was made
    expires_at = models.DateTimeField(editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    withdrawn_at = models.DateTimeField(null=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["email"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "email"],
                condition=Q(accepted_at=None, withdrawn_at=None),
                name="invited_to_a_tenant_once",
                violation_error_message="This address is invited already. Resend the invitation from the list.",
            )
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def is_open(self) -> bool:
        return self.accepted_at is None and self.withdrawn_at is None

    @property
    def has_ended(self) -> bool:
        """Whether the time to use it is over."""
        return self.expires_at <= timezone.now()

    @property
    def works(self) -> bool:
        """Whether the link can be used now."""
        return self.is_open and not self.has_ended
