"""A large console in rows: what the pages are measured on. Half the clusters are another project's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accounts.models import Tenant, User
    from backups.models import Backup, BackupLocation
    from workspaces.models import Cluster, Project, Workspace

PEOPLE, WORKSPACES = 50, 20
FOREIGN = 0.5  # of all clusters are another project's


@dataclass(frozen=True)
class Large:
    """`people` by the letter of their role: T Tenant Admin, V Project Viewer, O operator of the first workspace."""

    tenant: Tenant
    project: Project
    clusters: list[Cluster]
    workspaces: list[Workspace]
    people: dict[str, User]


def fill(clusters: int, backups: int) -> Large:
    """Write it into the empty database; an audit row for each backup."""
    from django.db import connection

    from accounts.actions.tenant import create_tenant
    from tests.conftest import make_location
    from workspaces.actions.project import create_project

    tenant = create_tenant(by=None, name="Harbor")
    project, other = (create_project(by=None, tenant=tenant, name=name) for name in ("Default", "Other"))
    made = _clusters(project, clusters - int(clusters * FOREIGN)) + _clusters(other, int(clusters * FOREIGN))
    spaces = _workspaces(project, made)
    _write(_backups(made, make_location(project), backups, spaces))
    people = _people(tenant, project, spaces)
    _write(_asked(tenant, made[0], people["T"], backups))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return Large(tenant, project, made, spaces, people)


def _clusters(project: Project, count: int) -> list[Cluster]:
    from tests.conftest import make_cluster

    return [make_cluster(project, f"cluster-{number:04}") for number in range(count)]


def _workspaces(project: Project, clusters: list[Cluster]) -> list[Workspace]:
    from workspaces.models import Workspace

    count = min(WORKSPACES, len(clusters))
    spaces = [Workspace.objects.create(project=project, name=f"space-{number}") for number in range(count)]
    for space, cluster in zip(spaces, clusters, strict=False):
        space.clusters.add(cluster)
    return spaces


def _people(tenant: Tenant, project: Project, spaces: list[Workspace]) -> dict[str, User]:
    from accounts.roles import ProjectViewer, TenantAdmin, WorkspaceOperator
    from tests.people import give, person

    for number in range(PEOPLE - 3):
        somebody = person(f"p{number}", role=WorkspaceOperator, on=spaces[number % len(spaces)])
        give(somebody, WorkspaceOperator, spaces[(number + 1) % len(spaces)])
    return {
        "T": person("t", role=TenantAdmin, on=tenant),
        "V": person("v", role=ProjectViewer, on=project),
        "O": person("o", role=WorkspaceOperator, on=spaces[0]),
    }


def _backups(
    clusters: list[Cluster], location: BackupLocation, count: int, spaces: list[Workspace]
) -> Iterator[Backup]:
    """Spread over all clusters, ten times as many on the first; each has ended."""
    from django.utils import timezone

    from backups.models import Backup

    now, each = timezone.now(), count // (len(clusters) + 9)
    for index, cluster in enumerate(clusters):
        for number in range(each * 10 if not index else each):
            ended = now - timedelta(hours=number)
            yield Backup(
                project=cluster.project, cluster=cluster, location=location, name=f"nightly-{number}",
                object_name=f"nightly-{index}-{number}", keep_for=timedelta(days=30), state="completed",
                workspace=spaces[0] if not index and not number % 3 else None, due_at=None,
                started_at=ended, finished_at=ended, requested_by_name="somebody",
            )  # fmt: skip


def _asked(tenant: Tenant, cluster: Cluster, who: User, count: int) -> Iterator[Any]:
    """What the audit log says of the backups."""
    from accounts.models import AuditEvent

    about = {"tenant_id": tenant.pk, "project_id": cluster.project_id, "actor_id": who.pk, "actor": who.email}
    about |= {"verb": "backup.create", "target_kind": "cluster", "target_id": str(cluster.pk), "target": cluster.name}
    return (AuditEvent(**about, details={"name": f"nightly-{number}"}) for number in range(count))


def _write(rows: Iterator[Any]) -> None:
    while batch := list(itertools.islice(rows, 2000)):
        type(batch[0])._default_manager.bulk_create(batch)
