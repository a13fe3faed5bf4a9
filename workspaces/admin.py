"""Projects, clusters and what is asked of them, in Django admin."""

from __future__ import annotations

from django.contrib import admin

from accounts.admin import RowAdmin, register_rest
from workspaces.models import Cluster, ClusterCheck, Draft, Presence, Project, Workspace


@admin.register(Project)
class ProjectAdmin(RowAdmin):
    list_display = ("name", "tenant", "id", "created_at")
    list_filter = ("tenant",)
    search_fields = ("name", "id", "tenant__name")


@admin.register(Workspace)
class WorkspaceAdmin(RowAdmin):
    list_display = ("name", "project", "description", "created_at")
    list_filter = ("project__tenant",)
    search_fields = ("name", "id", "project__name")


@admin.register(Cluster)
class ClusterAdmin(RowAdmin):
    list_display = ("name", "project", "cloud_type", "state", "state_since", "seen_at", "watched_by", "deregistered_at")
    list_filter = ("state", "cloud_type", "project__tenant")
    search_fields = ("name", "id", "uid", "server", "project__name")


@admin.register(ClusterCheck)
class ClusterCheckAdmin(RowAdmin):
    list_display = ("cluster", "project", "state", "attempt", "requested_by_name", "created_at", "finished_at")
    list_filter = ("state", "created_at")
    search_fields = ("id", "cluster__name", "requested_by_name")


@admin.register(Draft)
class DraftAdmin(RowAdmin):
    list_display = ("kind", "owner", "project", "created_at", "updated_at")
    list_filter = ("kind",)
    search_fields = ("owner__email", "project__name")


@admin.register(Presence)
class PresenceAdmin(RowAdmin):
    list_display = ("holder", "until")


register_rest("workspaces")
