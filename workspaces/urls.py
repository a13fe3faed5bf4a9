"""Addresses of a cluster's settings. The pages that show backups or speak of Velero's rights are in backups/urls.py."""

from __future__ import annotations

from django.urls import path

from workspaces.views import cluster, wizard

urlpatterns = [
    path("wizard/<uuid:draft>/<slug:step>/", wizard.wizard_step, name="wizard_step"),
    path("clusters/<uuid:cluster>/state/", cluster.cluster_state, name="cluster_state"),
    path("clusters/<uuid:cluster>/settings/", cluster.cluster_settings, name="cluster_settings"),
    path("clusters/<uuid:cluster>/settings/schedule-backups/", cluster.cluster_schedule, name="cluster_schedule"),
    path("clusters/<uuid:cluster>/settings/deregister/", cluster.cluster_deregister, name="cluster_deregister"),
]
