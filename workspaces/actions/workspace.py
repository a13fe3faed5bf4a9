"""Making, changing and deleting workspaces.

Clusters and namespaces are how far the roles on a workspace reach. Only who may make workspaces changes those: nobody's
role grows by what its holder types.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.permissions import Verb, require
from console.lib.errors import BadInput, NotVisible
from console.lib.rows import save_changed, save_new
from workspaces.actions.namespaces import DNS_LABEL, refuse_bad_namespaces
from workspaces.models import Cluster, Project, Workspace

MOST_NAMESPACES = 500


@transaction.atomic
def create_workspace(  # noqa: PLR0913 - the form's fields
    *,
    by: User,
    project: Project,
    name: str,
    clusters: Collection[Cluster],
    namespaces: Sequence[str] = (),
    description: str = "",
) -> Workspace:
    """A new workspace of clusters of this project; without `namespaces`: of all there are. Raises BadInput."""
    require(by, project, Verb.WORKSPACE_CREATE)
    if not Project.objects.select_for_update(no_key=True).filter(pk=project.pk).exists():
        raise NotVisible("There is nothing here.")
    _refuse_clusters(project, clusters)
    _refuse_namespaces(namespaces, clusters)
    workspace = Workspace(project=project, name=name, description=description, namespaces=list(namespaces))
    save_new(workspace)
    workspace.clusters.set(clusters)
    audit.record(
        by=by, verb="workspace.create", target=workspace, clusters=_names(clusters), namespaces=workspace.namespaces
    )
    return workspace


@transaction.atomic
def update_workspace(  # noqa: PLR0913 - the form's fields
    *,
    by: User,
    workspace: Workspace,
    name: str,
    description: str,
    clusters: Collection[Cluster] | None = None,
    namespaces: Sequence[str] | None = None,
) -> Workspace:
    """None leaves clusters and namespaces as they are; else they are set. Raises BadInput, NotVisible, Forbidden."""
    here = _held(by, workspace, Verb.WORKSPACE_UPDATE)
    before = _said(here)
    if clusters is not None or namespaces is not None:
        require(by, here, Verb.WORKSPACE_CREATE)
    chosen = list(here.clusters.all()) if clusters is None else clusters
    if clusters is not None:
        _refuse_clusters(here.project, clusters)
    here.name, here.description = name, description
    here.namespaces = here.namespaces if namespaces is None else list(namespaces)
    _refuse_namespaces(here.namespaces if namespaces is not None else (), chosen)
    save_changed(here, "name", "description", "namespaces")
    here.clusters.set(chosen)
    if changed := {key: value for key, value in _said(here).items() if value != before[key]}:
        audit.record(by=by, verb="workspace.update", target=here, **_told(before, changed))
    return here


@transaction.atomic
def delete_workspace(*, by: User, workspace: Workspace, typed_name: str) -> None:
    """The roles on it go with it; its backups stay, as backups of their clusters.

    Raises BadInput unless `typed_name` is its name; NotVisible, Forbidden.
    """
    here = _held(by, workspace, Verb.WORKSPACE_DELETE)
    if typed_name != here.name:
        raise BadInput(f"Type {here.name} to delete it.", field="typed_name")
    audit.record(by=by, verb="workspace.delete", target=here, clusters=_names(here.clusters.all()))
    here.delete()


def _held(by: User, workspace: Workspace, verb: Verb) -> Workspace:
    """The workspace as it is now, locked: no role is given on it meanwhile."""
    found = Workspace.objects.select_for_update(of=("self",)).filter(pk=workspace.pk).select_related("project").first()
    if found is None:
        raise NotVisible("There is nothing here.")
    require(by, found, verb)
    return found


def _refuse_clusters(project: Project, clusters: Collection[Cluster]) -> None:
    if any(cluster.project_id != project.pk for cluster in clusters):
        raise BadInput("A workspace holds clusters of its own project only.", field="clusters")
    there = set(Cluster.objects.registered().filter(pk__in=[each.pk for each in clusters]).values_list("pk", flat=True))
    if gone := [each for each in clusters if each.pk not in there]:
        raise BadInput(f"{gone[0]} was deregistered meanwhile. Choose without it.", field="clusters")


def _refuse_namespaces(namespaces: Sequence[str], clusters: Iterable[Cluster]) -> None:
    if len(namespaces) > MOST_NAMESPACES:
        raise BadInput(f"Name {MOST_NAMESPACES} namespaces at most, or none for all of them.", field="namespaces")
    if bad := [name for name in namespaces if not DNS_LABEL.fullmatch(name)]:
        raise BadInput(f"“{bad[0][:80]}” cannot be a namespace's name.", field="namespaces")
    for cluster in clusters:
        refuse_bad_namespaces(namespaces, cluster)


def _names(clusters: Iterable[Cluster]) -> list[str]:
    return sorted(cluster.name for cluster in clusters)


def _said(workspace: Workspace) -> dict[str, Any]:
    """What a person can change, as the audit log shows it."""
    plain = {"name": workspace.name, "description": workspace.description, "namespaces": workspace.namespaces}
    return plain | {"clusters": _names(workspace.clusters.all())}


def _told(before: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """What became of what; a description is long and says nothing of rights."""
    told = {f"{key}_before": before[key] for key in changed if key != "description"}
    return {"changed": sorted(changed)} | told | {key: changed[key] for key in changed if key != "description"}
