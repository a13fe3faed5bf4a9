"""Making projects, renaming them, and deleting those that are empty."""

from __future__ import annotations

from django.db import models, transaction

from accounts import audit
from accounts.models import Tenant, User
from accounts.permissions import Verb, require
from console.lib.errors import BadInput, NotVisible
from console.lib.rows import save_changed, save_new
from workspaces.models import Cluster, Project


@transaction.atomic
def create_project(*, by: User | None, tenant: Tenant, name: str) -> Project:
    """A new, empty project. Raises BadInput, NotVisible."""
    if by:
        require(by, tenant, Verb.PROJECT_CREATE)
    project = Project(tenant=tenant, name=name.strip())
    save_new(project)
    audit.record(by=by, verb="project.create", target=project)
    return project


@transaction.atomic
def rename_project(*, by: User, project: Project, name: str) -> Project:
    """Raises BadInput, NotVisible, Forbidden."""
    project = _held(by, project, Verb.PROJECT_UPDATE)
    before, project.name = project.name, name.strip()
    if before != project.name:
        save_changed(project, "name")
        audit.record(by=by, verb="project.update", target=project, before=before)
    return project


@transaction.atomic
def delete_project(*, by: User, project: Project) -> None:
    """Roles on it go with it. Raises BadInput with what is in it unless it is empty; NotVisible, Forbidden."""
    project = _held(by, project, Verb.PROJECT_DELETE)
    if inside := contents_of(project):
        raise BadInput(f"{project} is not empty: it holds {inside}.", remedy="Move or remove that first.")
    audit.record(by=by, verb="project.delete", target=project)
    project.clusters.all().delete()  # deregistered ones without a backup
    project.delete()


def contents_of(project: Project) -> str:
    """What keeps the project from being deleted: `2 clusters and 1 backup location`; empty when nothing does.

    A deregistered cluster counts by its backups alone.
    """
    found = [(project.clusters.filter(deregistered_at=None).count(), "cluster")]
    for relation in Project._meta.related_objects:
        if relation.on_delete is models.PROTECT and relation.related_model is not Cluster:
            rows = relation.related_model._base_manager.filter(**{relation.field.name: project})  # type: ignore[union-attr]
            found.append((rows.count(), str(relation.related_model._meta.verbose_name)))  # type: ignore[union-attr]
    said = [f"{count} {noun}{'s' if count > 1 else ''}" for count, noun in found if count]
    return " and ".join(filter(None, (", ".join(said[:-1]), *said[-1:])))


def _held(by: User, project: Project, verb: Verb) -> Project:
    """The project as it is now, locked: nothing is put into it meanwhile."""
    found = Project.objects.select_for_update().filter(pk=project.pk).first()
    if found is None:
        raise NotVisible("There is nothing here.")
    require(by, found, verb)
    return found
