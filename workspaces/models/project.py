"""Projects divide a tenant; workspaces group clusters of a project."""

from __future__ import annotations

import uuid

from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower

from accounts.models import Tenant
from accounts.roles import Scope, permissions_of

is_dns_label = RegexValidator(
    r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z",
    "Use lower-case letters, digits and hyphens, beginning and ending with a letter or digit.",
)


class Project(models.Model):
    """A division of a tenant. Owns clusters, workspaces and backup locations; restores stay inside it."""

    tenant_path = "tenant"
    project_path = "pk"
    listed_path = "workspaces"  # a workspace role shows its name

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="projects")
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="project_name_once_in_a_tenant")]
        permissions = permissions_of(Scope.PROJECT)

    def __str__(self) -> str:
        return self.name

    @property
    def project(self) -> Project:
        """A project is in itself: audit rows and permissions ask every row the same question."""
        return self


class Workspace(models.Model):
    """A named set of clusters, and optionally namespaces, of one project. A cluster may be in several."""

    tenant_path = "project__tenant"
    project_path = "project"
    workspace_path = "pk"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="workspaces")
    name = models.CharField(max_length=63, validators=[is_dns_label])
    description = models.TextField(blank=True)
    clusters = models.ManyToManyField("workspaces.Cluster", related_name="workspaces", blank=True)
    namespaces = models.JSONField(default=list, blank=True)  # empty: all
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                "project",
                Lower("name"),
                name="workspace_name_once_in_a_project",
                violation_error_message="There is a workspace of this name in the project already. Choose another.",
            )
        ]
        permissions = permissions_of(Scope.WORKSPACE)

    def __str__(self) -> str:
        return self.name
