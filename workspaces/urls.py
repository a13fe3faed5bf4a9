"""Addresses of projects and workspaces, of giving roles, and of a cluster's settings.

The pages that show backups or speak of Velero's rights are in backups/urls.py.
"""

from __future__ import annotations

from django.urls import path

from workspaces.views import cluster, project, role, wizard, workspace

USER_ROLES = "tenants/<uuid:tenant>/users/<uuid:user>/roles/"
TEAM_ROLES = "tenants/<uuid:tenant>/teams/<uuid:team>/roles/"

urlpatterns = [
    path("wizard/<uuid:draft>/<slug:step>/", wizard.wizard_step, name="wizard_step"),
    path("clusters/<uuid:cluster>/state/", cluster.cluster_state, name="cluster_state"),
    path("clusters/<uuid:cluster>/settings/", cluster.cluster_settings, name="cluster_settings"),
    path("clusters/<uuid:cluster>/settings/deregister/", cluster.cluster_deregister, name="cluster_deregister"),
    path("projects/<uuid:project>/workspaces/create/", workspace.workspace_create, name="workspace_create"),
    path("workspaces/<uuid:workspace>/clusters/", workspace.workspace_clusters, name="workspace_clusters"),
    path("workspaces/<uuid:workspace>/members/", workspace.workspace_members, name="workspace_members"),
    path("workspaces/<uuid:workspace>/settings/", workspace.workspace_settings, name="workspace_settings"),
    path("workspaces/<uuid:workspace>/settings/delete/", workspace.workspace_delete, name="workspace_delete"),
    path("tenants/<uuid:tenant>/projects/", project.project_list, name="project_list"),
    path("tenants/<uuid:tenant>/projects/create/", project.project_create, name="project_create"),
    path("tenants/<uuid:tenant>/projects/<uuid:project>/rename/", project.project_rename, name="project_rename"),
    path("tenants/<uuid:tenant>/projects/<uuid:project>/delete/", project.project_delete, name="project_delete"),
    path(f"{USER_ROLES}<slug:scope>/add/", role.user_roles_add, name="user_roles_add"),
    path(f"{TEAM_ROLES}<slug:scope>/add/", role.team_roles_add, name="team_roles_add"),
]
