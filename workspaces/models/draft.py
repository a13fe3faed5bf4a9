"""What somebody has typed into a wizard so far: theirs alone, encrypted, thrown away after a day."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from console.lib.crypto import EncryptedJSONField
from workspaces.models.project import Project

LIVES = timedelta(hours=24)


class DraftQuerySet(models.QuerySet["Draft"]):
    def stale(self) -> Self:
        """Drafts nobody has touched for a day."""
        return self.filter(updated_at__lt=timezone.now() - LIVES)


class Draft(models.Model):
    """One run through a wizard. `data` holds what was posted: {step: {field: [values]}}, and notes of the wizard's own
    under names that begin with an underscore."""

    tenant_path = "project__tenant"
    project_path = "project"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=40)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    data = EncryptedJSONField(default=dict)
    done_url = models.CharField(max_length=300, blank=True)  # where finishing led; finishing again leads there, too
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True, db_index=True)

    objects = DraftQuerySet.as_manager()

    def __str__(self) -> str:
        return f"draft of {self.kind}"

    def note(self, name: str) -> str:
        """A note of the wizard's own, empty when there is none."""
        return str(self.data.get(f"_{name}", ""))

    def keep(self, **notes: str) -> None:
        """Store notes of the wizard's own."""
        self.data = self.data | {f"_{name}": value for name, value in notes.items()}
        self.save(update_fields=["data", "updated_at"])
