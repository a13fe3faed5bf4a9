"""The rows that pages are asked for: the same kinds in each place, and a person for each role."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Model
from django.test import Client
from django.utils import timezone

from accounts.actions.tenant import add_tenant_admin, create_tenant
from accounts.models import AuditEvent, Invitation, Session, Tenant, User
from accounts.roles import ProjectAdmin, ProjectViewer, TenantAdmin, WorkspaceAdmin, WorkspaceOperator
from backups.models import Backup, BackupLocation, BackupPolicy, LocationCheck, Restore, VolumePreview
from tests.conftest import make_cluster, make_location
from tests.people import PASSWORD, person, team
from workspaces.actions.project import create_project
from workspaces.models import Cluster, Draft, Project, Workspace

LETTERS = {"T": TenantAdmin, "P": ProjectAdmin, "V": ProjectViewer, "A": WorkspaceAdmin, "O": WorkspaceOperator}
# Who still counts in a place, of those who count in their own.
PLACES = {
    "own": "TPVAO",
    "of no workspace": "TPV",
    "sibling workspace": "TPV",
    "sibling project": "T",
    "other tenant": "",
}
IN_THE_PROJECT = ("own", "of no workspace", "sibling workspace")
NOTHING = "nothing"


@dataclass(frozen=True)
class World:
    """`people` by letter; `rows` by place and kind."""

    people: dict[str, User]
    rows: dict[str, dict[str, Any]]

    def loaded(self, place: str) -> dict[str, Model]:
        """The rows themselves, read anew."""
        models: dict[str, type[Model]] = {"cluster": Cluster, "location": BackupLocation, "backup": Backup}
        models["policy"] = BackupPolicy
        return {kind: model._default_manager.get(pk=self.rows[place][kind]) for kind, model in models.items()}


def make() -> World:
    """Two tenants, in the first two projects, in the first of which two workspaces."""
    harbor, elsewhere = create_tenant(by=None, name="Harbor"), create_tenant(by=None, name="Elsewhere")
    here, beside = (create_project(by=None, tenant=harbor, name=name) for name in ("Here", "Beside"))
    shop, annex = (_workspace(here, name) for name in ("shop", "annex"))
    rows = {
        "own": _rows(shop),
        "of no workspace": _rows(shop, among=False),
        "sibling workspace": _rows(annex),
        "sibling project": _rows(_workspace(beside, "shop")),
        "other tenant": _rows(_workspace(_project_of(elsewhere), "shop")),
    }
    scopes = {"tenant": harbor, "project": here, "workspace": shop}
    people = {letter: person(letter, role=role, on=scopes[role.scope]) for letter, role in LETTERS.items()}
    people["M"] = person("M", tenant=harbor)
    return World(people, rows | {NOTHING: {kind: uuid.uuid4() for kind in rows["own"]} | {"event": 10**9}})


def _project_of(tenant: Tenant) -> Project:
    add_tenant_admin(by=None, tenant=tenant, email="stranger@elsewhere.example", password=PASSWORD)
    return create_project(by=None, tenant=tenant, name="There")


def _workspace(project: Project, name: str) -> Workspace:
    made = Workspace.objects.create(project=project, name=name)
    made.clusters.add(make_cluster(project, f"{name}-{uuid.uuid4().hex[:6]}"))
    return made


def _rows(workspace: Workspace, *, among: bool = True) -> dict[str, Any]:
    """One row of each kind; the backup and its restore belong to the workspace, unless told otherwise."""
    project, cluster = workspace.project, workspace.clusters.get()
    location = make_location(project, f"store-{uuid.uuid4().hex[:6]}")
    of = workspace if among else None
    name = f"nightly-{uuid.uuid4().hex[:8]}"
    shared: dict[str, Any] = {"project": project, "cluster": cluster, "workspace": of, "state": "completed"}
    backup = Backup.objects.create(name=name, object_name=name, location=location, keep_for=timedelta(days=7), **shared)
    restore = Restore.objects.create(backup=backup, object_name=f"{name}-r", **shared)
    user = person(tenant=project.tenant, role=WorkspaceOperator, on=workspace)
    made: dict[str, Model] = {
        "tenant": project.tenant,
        "event": AuditEvent.objects.of_tenant(project.tenant_id)[0],
        "user": user,
        "team": team(user, role=WorkspaceOperator, on=workspace),
        "invitation": _invitation(project.tenant),
        "project": project,
        "cluster": cluster,
        "on": workspace,  # what the role of user and team is on
        "workspace": workspace if among else _workspace(project, f"other-{uuid.uuid4().hex[:6]}"),
        "location": location,
        "backup": backup,
        "policy": _policy(cluster, location),
        "restore": restore,
    }
    theirs = {kind: make(project, cluster).pk for kind, make in DRAFTS.items()}
    return {kind: row.pk for kind, row in made.items()} | theirs | LETTER


def _policy(cluster: Cluster, location: BackupLocation) -> Model:
    prefix = f"weekly-{uuid.uuid4().hex[:8]}"
    return BackupPolicy.objects.create(
        project=cluster.project, cluster=cluster, location=location, prefix=prefix, object_name=prefix
    )


def _invitation(tenant: Tenant) -> Model:
    until = timezone.now() + timedelta(days=7)
    number = uuid.uuid4().hex
    return Invitation.objects.create(tenant=tenant, email=f"{number}@x.example", token_hash=number, expires_at=until)


def _draft(project: Project, cluster: Any) -> Model:
    return Draft.objects.create(project=project, kind="register", owner=person(tenant=project.tenant))


def _location_draft(project: Project, cluster: Any) -> Model:
    return LocationCheck.objects.create(project=project, requested_by=person(tenant=project.tenant), due_at=None)


def _preview(project: Project, cluster: Any) -> Model:
    owner = person(tenant=project.tenant)
    return VolumePreview.objects.create(project=project, cluster=cluster, requested_by=owner, due_at=None)


def _session(project: Project, cluster: Any) -> Model:
    client = Client()
    client.force_login(person(tenant=project.tenant))
    return Session.objects.latest("started_at")


LETTER = {"uid": "MQ", "token": "c-0"}  # invented

# Of somebody who is none of those who ask.
DRAFTS: dict[str, Callable[[Project, Any], Model]] = {
    "draft": _draft,
    "location draft": _location_draft,
    "preview": _preview,
    "key": _session,
}
