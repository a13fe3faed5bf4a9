"""Who may do what: the one door. Every query starts at `visible()`, every single row at `get_or_404()`.

A model says where its tenant is in `tenant_path`, a lookup such as `project__tenant`. Rights today: a Tenant Admin may
do everything in the tenant, everybody else nothing; roles on projects and workspaces narrow and widen this here.
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import TypeVar

from django.db import models
from django.db.models import QuerySet

from accounts.models import Tenant, User
from console.lib.errors import Forbidden, NotVisible

M = TypeVar("M", bound=models.Model)


class Verb(StrEnum):
    """`<noun>.<verb>`: what a role may hold."""

    PROJECT_GET = "project.get"
    CLUSTER_GET = "cluster.get"
    CLUSTER_CREATE = "cluster.create"
    CLUSTER_UPDATE = "cluster.update"
    CLUSTER_DELETE = "cluster.delete"
    WORKSPACE_GET = "workspace.get"
    WORKSPACE_CREATE = "workspace.create"
    LOCATION_GET = "location.get"
    LOCATION_CREATE = "location.create"
    LOCATION_UPDATE = "location.update"
    LOCATION_DELETE = "location.delete"
    BACKUP_GET = "backup.get"
    BACKUP_CREATE = "backup.create"
    BACKUP_LOG = "backup.log"
    RESTORE_GET = "restore.get"
    RESTORE_CREATE = "restore.create"


def visible(user: User, queryset: QuerySet[M], verb: Verb) -> QuerySet[M]:
    """`queryset` narrowed to what this person may `verb`. One query, however many tenants."""
    if not user.is_active:
        return queryset.none()
    path = queryset.model.tenant_path  # type: ignore[attr-defined]  # every scoped model has it; tests check
    return queryset.filter(**{f"{path}__in": Tenant.objects.administered_by(user)})


def get_or_404(user: User, queryset: QuerySet[M], verb: Verb, pk: uuid.UUID) -> M:
    """The row, if this person may `verb` it. Raises NotVisible otherwise, whether it exists or not."""
    found = visible(user, queryset, verb).filter(pk=pk).first()
    if found is None:
        raise NotVisible("There is nothing here.")
    return found


def require(user: User, project: models.Model, verb: Verb) -> None:
    """Raises NotVisible or Forbidden unless this person may `verb` in the project."""
    get_or_404(user, type(project)._default_manager.all(), Verb.PROJECT_GET, project.pk)
    if not visible(user, type(project)._default_manager.filter(pk=project.pk), verb).exists():
        raise Forbidden("Your role does not allow this.")
