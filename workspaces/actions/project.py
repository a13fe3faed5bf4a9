"""Making projects and workspaces."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from accounts import audit
from accounts.models import Tenant, User
from accounts.permissions import Verb, require
from console.lib.errors import BadInput
from console.lib.rows import save_new
from workspaces.models import Cluster, Project, Workspace


@transaction.atomic
def create_project(*, by: User | None, tenant: Tenant, name: str) -> Project:
    """A new, empty project. Raises BadInput, NotVisible."""
    if by:
        require(by, tenant, Verb.PROJECT_CREATE)
    project = Project(tenant=tenant, name=name)
    save_new(project)
    audit.record(by=by, verb="project.create", target=project)
    return project


@transaction.atomic
def create_workspace(
    *, by: User, project: Project, name: str, clusters: Sequence[Cluster], namespaces: Sequence[str] = ()
) -> Workspace:
    """A new workspace of clusters of this project. Raises BadInput, Forbidden."""
    require(by, project, Verb.WORKSPACE_CREATE)
    if any(cluster.project_id != project.pk for cluster in clusters):
        raise BadInput("A workspace holds clusters of its own project only.", field="clusters")
    workspace = Workspace(project=project, name=name, namespaces=list(namespaces))
    save_new(workspace)
    workspace.clusters.set(clusters)
    audit.record(by=by, verb="workspace.create", target=workspace, clusters=[cluster.name for cluster in clusters])
    return workspace
