"""Roles given on projects and on workspaces. They go with what they are about."""

from __future__ import annotations

from django.db import models

from accounts.models import TeamRole, UserRole
from accounts.roles import Scope
from workspaces.models.project import Project, Workspace


class ProjectUserRole(UserRole):
    scope = Scope.PROJECT
    tenant_path = "content_object__tenant"
    project_path = "content_object"

    content_object = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="user_roles")


class ProjectTeamRole(TeamRole):
    scope = Scope.PROJECT
    tenant_path = "content_object__tenant"
    project_path = "content_object"

    content_object = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="team_roles")


class WorkspaceUserRole(UserRole):
    scope = Scope.WORKSPACE
    tenant_path = "content_object__project__tenant"
    project_path = "content_object__project"
    workspace_path = "content_object"

    content_object = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="user_roles")


class WorkspaceTeamRole(TeamRole):
    scope = Scope.WORKSPACE
    tenant_path = "content_object__project__tenant"
    project_path = "content_object__project"
    workspace_path = "content_object"

    content_object = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="team_roles")
