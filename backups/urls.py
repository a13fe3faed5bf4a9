"""Addresses of backups, restores and locations."""

from __future__ import annotations

from django.urls import path

from backups.views import backup, location, log, restore

urlpatterns = [
    path("clusters/<uuid:cluster>/backup-restore/", backup.backup_list, name="cluster_backups"),
    path("clusters/<uuid:cluster>/backup-restore/restores/", restore.restore_list, name="cluster_restores"),
    path("clusters/<uuid:cluster>/backups/create/", backup.backup_create, name="backup_create"),
    path("backups/<uuid:backup>/", backup.backup_detail, name="backup_detail"),
    path("backups/<uuid:backup>/yaml/", backup.backup_yaml, name="backup_yaml"),
    path("backups/<uuid:pk>/log/", log.log, {"kind": "backup"}, name="backup_log"),
    path("backups/<uuid:pk>/log.txt", log.log_text, {"kind": "backup"}, name="backup_log_text"),
    path("backups/<uuid:backup>/restore/", restore.restore_begin, name="restore_begin"),
    path("restores/<uuid:restore>/", restore.restore_detail, name="restore_detail"),
    path("restores/<uuid:restore>/yaml/", restore.restore_yaml, name="restore_yaml"),
    path("restores/<uuid:pk>/log/", log.log, {"kind": "restore"}, name="restore_log"),
    path("restores/<uuid:pk>/log.txt", log.log_text, {"kind": "restore"}, name="restore_log_text"),
    path("projects/<uuid:project>/settings/", location.project_settings, name="project_settings"),
    path("projects/<uuid:project>/settings/locations/", location.location_list, name="location_list"),
    path("projects/<uuid:project>/settings/locations/add/", location.location_create, name="location_create"),
    path(
        "projects/<uuid:project>/settings/locations/add/<uuid:draft>/", location.location_create, name="location_draft"
    ),
    path("locations/<uuid:location>/", location.location_detail, name="location_detail"),
    path("locations/<uuid:location>/recheck/", location.location_recheck, name="location_recheck"),
]
