"""Addresses of clusters and workspaces with their backups and restores, and of locations."""

from __future__ import annotations

from django.urls import path

from backups.views import (
    backup,
    cluster,
    connection,
    location,
    location_change,
    location_form,
    log,
    project,
    register,
    restore,
    restore_wizard,
    volumes,
    workspace,
)

urlpatterns = [
    path("projects/<uuid:project>/", project.project_overview, name="project_overview"),
    path("projects/<uuid:project>/clusters/", cluster.cluster_list, name="cluster_list"),
    path("projects/<uuid:project>/clusters/register/", register.cluster_register, name="cluster_register"),
    path("projects/<uuid:project>/workspaces/", workspace.workspace_list, name="workspace_list"),
    path("workspaces/<uuid:workspace>/", workspace.workspace_detail, name="workspace_detail"),
    path("workspaces/<uuid:workspace>/backups/", workspace.workspace_backups, name="workspace_backups"),
    path("workspaces/<uuid:workspace>/backups/others/", workspace.workspace_other_backups, name="workspace_others"),
    path("workspaces/<uuid:workspace>/backups/restores/", workspace.workspace_restores, name="workspace_restores"),
    path("clusters/<uuid:cluster>/", cluster.cluster_overview, name="cluster_overview"),
    path("clusters/<uuid:cluster>/events/", cluster.cluster_events, name="cluster_events"),
    path("clusters/<uuid:cluster>/settings/kubeconfig/", connection.cluster_kubeconfig, name="cluster_kubeconfig"),
    path(
        "clusters/<uuid:cluster>/settings/kubeconfig/replace/",
        register.cluster_kubeconfig_replace,
        name="cluster_kubeconfig_replace",
    ),
    path("clusters/<uuid:cluster>/recheck/", connection.cluster_recheck, name="cluster_recheck"),
    path("clusters/<uuid:cluster>/backup-restore/", backup.backup_list, name="cluster_backups"),
    path("clusters/<uuid:cluster>/backup-restore/restores/", restore.restore_list, name="cluster_restores"),
    path("clusters/<uuid:cluster>/backups/create/", backup.backup_create, name="backup_create"),
    path("volume-previews/<uuid:preview>/", volumes.volume_preview, name="volume_preview"),
    path("backups/<uuid:backup>/", backup.backup_detail, name="backup_detail"),
    path("backups/<uuid:backup>/yaml/", backup.backup_yaml, name="backup_yaml"),
    path("backups/<uuid:pk>/log/", log.log, {"kind": "backup"}, name="backup_log"),
    path("backups/<uuid:pk>/log.txt", log.log_text, {"kind": "backup"}, name="backup_log_text"),
    path("backups/<uuid:backup>/restore/", restore_wizard.restore_begin, name="restore_begin"),
    path("restores/<uuid:restore>/", restore.restore_detail, name="restore_detail"),
    path("restores/<uuid:restore>/yaml/", restore.restore_yaml, name="restore_yaml"),
    path("restores/<uuid:pk>/log/", log.log, {"kind": "restore"}, name="restore_log"),
    path("restores/<uuid:pk>/log.txt", log.log_text, {"kind": "restore"}, name="restore_log_text"),
    path("projects/<uuid:project>/settings/", location.project_settings, name="project_settings"),
    path("projects/<uuid:project>/settings/locations/", location.location_list, name="location_list"),
    path("projects/<uuid:project>/settings/locations/add/", location_form.location_create, name="location_create"),
    path(
        "projects/<uuid:project>/settings/locations/add/<uuid:draft>/",
        location_form.location_create,
        name="location_draft",
    ),
    path("locations/<uuid:location>/", location.location_detail, name="location_detail"),
    path("locations/<uuid:location>/edit/", location_form.location_edit, name="location_edit"),
    path("locations/<uuid:location>/edit/<uuid:draft>/", location_form.location_edit, name="location_edit_draft"),
    path("locations/<uuid:location>/delete/", location_change.location_delete, name="location_delete"),
    path(
        "locations/<uuid:location>/clusters/<uuid:cluster>/retry/",
        location_change.location_retry,
        name="location_retry",
    ),
    path(
        "locations/<uuid:location>/clusters/<uuid:cluster>/forget/",
        location_change.location_forget,
        name="location_forget",
    ),
    path("locations/<uuid:location>/recheck/", location.location_recheck, name="location_recheck"),
]
