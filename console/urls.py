"""Every address of the console, put together from the apps."""

from __future__ import annotations

from importlib.util import find_spec

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from console import views

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
    path("sandbox/progress/", views.sandbox_progress, name="sandbox_progress"),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
]
if find_spec("workspaces.urls"):
    urlpatterns.append(path("", include("workspaces.urls")))
if find_spec("backups.urls"):
    urlpatterns.append(path("", include("backups.urls")))
if settings.DEBUG:
    from console import styleguide

    urlpatterns.append(path("styleguide", styleguide.styleguide, name="styleguide"))

handler500 = "console.views.server_error"
