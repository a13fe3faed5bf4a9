"""The first run: what is left to do before a new tenant has its first backup. Computed from rows; nothing is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from accounts.models import Tenant, User
from accounts.permissions import Held, Verb, visible
from backups.models import Backup, BackupLocation
from backups.views.project import Task, first_steps
from console.lib import provisioning
from workspaces.models import Cluster, Project


@dataclass(frozen=True)
class Setup:
    tenant: Tenant
    tasks: list[Task]

    @property
    def done(self) -> int:
        return sum(task.done for task in self.tasks)


def setup_of(person: User, held: Held, project: Project | None) -> Setup | None:
    """Of the tenant that the project is in, or of the first one. None where nothing is left to do or to see:

    for whoever does not administer the tenant, once it has a backup, and beside a sandbox, which sets up by itself.
    """
    tenant = project.tenant if project else Tenant.objects.filter(pk__in=held.tenants).first()
    if tenant is None or tenant.pk not in held.tenants or provisioning.expected():
        return None
    if visible(person, Backup.objects.filter(project__tenant=tenant), Verb.BACKUP_GET).exists():
        return None
    return Setup(tenant, [_project_task(tenant, project), *(_in_project(person, project) if project else _later())])


def _project_task(tenant: Tenant, project: Project | None) -> Task:
    if project:
        about = f"{tenant}, with the project {project}. It owns clusters, workspaces and backup locations."
        return Task("Tenant and project", about, "", "", True)
    about = f"{tenant} is there. A project of it owns clusters, workspaces and backup locations."
    return Task("Create a project", about, "Create a project", reverse("project_create", args=[tenant.pk]), False)


def _in_project(person: User, project: Project) -> list[Task]:
    clusters = visible(person, Cluster.objects.registered().filter(project=project), Verb.CLUSTER_GET)
    locations = visible(person, BackupLocation.objects.filter(project=project), Verb.LOCATION_GET)
    return first_steps(project, list[Any](clusters[:2]), locations.exists())


def _later() -> list[Task]:
    """What waits for a project."""
    return [
        Task("Register a cluster", "Drydock takes a kubeconfig and checks the connection.", "", "", False),
        Task("Add a backup location", "Object storage that backups are written to.", "", "", False),
        Task("Take a first backup", "Choose what to back up and how long to keep it.", "", "", False),
    ]
