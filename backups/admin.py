"""Locations, policies, backups and restores, in Django admin."""

from __future__ import annotations

from django.contrib import admin

from accounts.admin import RowAdmin, register_rest
from backups.models import (
    Backup,
    BackupLocation,
    BackupPolicy,
    FoundPlace,
    LocationChange,
    LocationCheck,
    LocationScan,
    PlacedLocation,
    PolicyChange,
    Reading,
    Restore,
    VolumePreview,
)

WISH = ("state", "attempt", "due_at", "requested_by_name", "created_at", "finished_at")


@admin.register(BackupLocation)
class BackupLocationAdmin(RowAdmin):
    list_display = ("name", "project", "provider", "bucket", "prefix", "state", "checked_at", "created_at")
    list_filter = ("state", "provider", "project__tenant")
    search_fields = ("name", "id", "bucket", "prefix", "s3_url", "project__name")


@admin.register(LocationCheck)
class LocationCheckAdmin(RowAdmin):
    list_display = ("location", "project", *WISH)
    list_filter = ("state", "created_at")
    search_fields = ("id", "location__name", "requested_by_name")


@admin.register(LocationChange)
class LocationChangeAdmin(RowAdmin):
    list_display = ("location", "cluster", "kind", *WISH)
    list_filter = ("state", "kind", "created_at")
    search_fields = ("id", "location__name", "cluster__name", "requested_by_name")


@admin.register(PlacedLocation)
class PlacedLocationAdmin(RowAdmin):
    list_display = ("object_name", "location", "cluster", "source", "access", "phase", "phase_at")
    list_filter = ("access", "phase")
    search_fields = ("object_name", "location__name", "cluster__name", "prefix")


@admin.register(LocationScan)
class LocationScanAdmin(RowAdmin):
    list_display = ("location", "places", "found", "known", "gone", "odd", *WISH)
    list_filter = ("state", "created_at")
    search_fields = ("id", "location__name", "requested_by_name")


@admin.register(FoundPlace)
class FoundPlaceAdmin(RowAdmin):
    list_display = ("prefix", "location", "known", "seen_at")
    search_fields = ("prefix", "location__name", "known__name")


@admin.register(BackupPolicy)
class BackupPolicyAdmin(RowAdmin):
    list_display = ("prefix", "cluster", "location", "timing", "paused", "next_run_at", "phase", "deleted_at")
    list_filter = ("timing", "paused", "project__tenant")
    search_fields = ("prefix", "id", "object_name", "cluster__name", "location__name")


@admin.register(PolicyChange)
class PolicyChangeAdmin(RowAdmin):
    list_display = ("policy", "kind", *WISH)
    list_filter = ("state", "kind", "created_at")
    search_fields = ("id", "policy__prefix", "policy__cluster__name", "requested_by_name")


@admin.register(Backup)
class BackupAdmin(RowAdmin):
    list_display = ("name", "cluster", "location", "origin", *WISH)
    list_filter = ("state", "origin", "created_at", "project__tenant")
    search_fields = ("name", "id", "object_name", "cluster__name", "requested_by_name")


@admin.register(Restore)
class RestoreAdmin(RowAdmin):
    list_display = ("backup", "cluster", *WISH)
    list_filter = ("state", "created_at", "project__tenant")
    search_fields = ("id", "object_name", "backup__name", "cluster__name", "requested_by_name")


@admin.register(Reading)
class ReadingAdmin(RowAdmin):
    list_display = ("kind", "backup", "restore", "lines", *WISH)
    list_filter = ("state", "kind", "created_at")
    search_fields = ("id", "backup__name", "requested_by_name")


@admin.register(VolumePreview)
class VolumePreviewAdmin(RowAdmin):
    list_display = ("cluster", "project", *WISH)
    list_filter = ("state", "created_at")
    search_fields = ("id", "cluster__name", "requested_by_name")


register_rest("backups")
