"""Organisations, and who belongs to them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from accounts.models.user import User


class TenantQuerySet(models.QuerySet["Tenant"]):
    def of(self, user: User) -> TenantQuerySet:
        """The tenants this person belongs to and is active in."""
        return self.filter(memberships__user=user, memberships__is_active=True)

    def administered_by(self, user: User) -> TenantQuerySet:
        """The tenants in which this person is Tenant Admin."""
        return self.filter(memberships__user=user, memberships__is_active=True, memberships__is_admin=True)


class Tenant(models.Model):
    """An organisation. Nothing is shared or visible across tenants.

    Of several tenants the strictest limit on sessions holds for a person.
    """

    IDLE_MINUTES: ClassVar = 60
    HOURS: ClassVar = 12

    class UnvalidatedLocations(models.TextChoices):
        """Who may save a backup location that did not pass its check."""

        ADMINS = "admins", "Tenant and Project Admins"
        NOBODY = "nobody", "Nobody"

    tenant_path = "pk"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    session_idle_minutes = models.PositiveSmallIntegerField(
        "minutes until an idle session ends",
        default=IDLE_MINUTES,
        validators=[MinValueValidator(5), MaxValueValidator(24 * 60)],
    )
    session_hours = models.PositiveSmallIntegerField(
        "hours until any session ends", default=HOURS, validators=[MinValueValidator(1), MaxValueValidator(7 * 24)]
    )
    unvalidated_location_by = models.CharField(
        "who may save an unvalidated location",
        max_length=10,
        choices=UnvalidatedLocations,
        default=UnvalidatedLocations.ADMINS,
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class MembershipQuerySet(models.QuerySet["Membership"]):
    def active_admins(self) -> MembershipQuerySet:
        """Those through which a Tenant Admin can act."""
        return self.filter(is_admin=True, is_active=True, user__is_active=True)


class Membership(models.Model):
    """A person in a tenant. `is_admin` is the role Tenant Admin; whoever is not active has no role in this tenant."""

    tenant_path = "tenant"
    noun = "user"

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    is_admin = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="member_of_a_tenant_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.tenant}"
