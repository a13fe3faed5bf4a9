"""Teams: people of one tenant who hold roles together."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import Group
from django.db import models
from django.db.models.functions import Lower

from accounts.models.tenant import Tenant
from accounts.models.user import User


class TeamQuerySet(models.QuerySet["Team"]):
    def of(self, user: User) -> TeamQuerySet:
        """The teams this person is in."""
        return self.filter(group__user=user)


class Team(models.Model):
    """People of one tenant who hold roles together. Its members are those of `group`, whose name nobody sees."""

    tenant_path = "tenant"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    group = models.OneToOneField(Group, on_delete=models.CASCADE, related_name="team", editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="teams")
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                "tenant",
                Lower("name"),
                name="team_name_once_in_a_tenant",
                violation_error_message="There is a team of this name already. Choose another.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def members(self) -> models.QuerySet[User]:
        return User.objects.filter(groups=self.group_id)
