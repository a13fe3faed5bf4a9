"""What each role reaches: rows of its own, of a sibling workspace, of a sibling project and of another tenant."""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest
from django.db import models

from accounts.models import Membership, Team, Tenant, User
from accounts.permissions import Place, held_by, may, verbs_on, visible
from accounts.roles import (
    ROLES,
    ProjectAdmin,
    ProjectViewer,
    Role,
    TenantAdmin,
    Verb,
    WorkspaceAdmin,
    WorkspaceOperator,
)
from backups.models import Backup, BackupLocation, Restore
from tests.conftest import make_cluster, make_location
from tests.people import give, person, team
from workspaces.models import Cluster, Project, Workspace

pytestmark = pytest.mark.django_db

TENANT_ONLY = frozenset(
    verb
    for verb in Verb
    if verb.startswith(("tenant.", "user.", "team.", "audit.", "role.c", "role.d"))
    or verb in {Verb.PROJECT_CREATE, Verb.PROJECT_UPDATE, Verb.PROJECT_DELETE}
)
Rows = dict[str, models.Model]


def fill(project: Project, name: str) -> Rows:
    """A project with two workspaces of a cluster each, every one with a backup and a restore of its own, and a backup
    and a restore that are the cluster's."""
    rows: Rows = {name: project}
    for which in ("own", "sibling"):
        cluster = make_cluster(project, f"{which}-{uuid.uuid4().hex[:6]}")
        workspace = Workspace.objects.create(project=project, name=which)
        workspace.clusters.add(cluster)
        location = make_location(project, f"store-{which}")
        here = {f"{name}/{which}": workspace, f"{name}/{which} cluster": cluster, f"{name}/{which} location": location}
        for owner, kind in ((workspace, "backup"), (None, "cluster's backup")):
            backup = _backup(cluster, location, owner)
            restore = _restore(backup, owner)
            here |= {f"{name}/{which} {kind}": backup, f"{name}/{which} {kind}'s restore": restore}
        rows |= here
    return rows


def _backup(cluster: Cluster, location: BackupLocation, workspace: Workspace | None) -> Backup:
    name = f"b-{uuid.uuid4().hex[:8]}"
    return Backup.objects.create(
        project=cluster.project, cluster=cluster, location=location, workspace=workspace, name=name, object_name=name,
        keep_for=timedelta(days=7), state="completed",
    )  # fmt: skip


def _restore(backup: Backup, workspace: Workspace | None) -> Restore:
    name = f"r-{uuid.uuid4().hex[:8]}"
    return Restore.objects.create(
        project=backup.project, cluster=backup.cluster, backup=backup, workspace=workspace, object_name=name
    )


@pytest.fixture
def world(tenant: Tenant) -> Rows:
    """Project `one` of Harbor is where roles are given; `two` is its sibling; `abroad` is another tenant's."""
    abroad = Tenant.objects.create(name="Elsewhere")
    rows: Rows = {"harbor": tenant, "elsewhere": abroad}
    for name, home in (("one", tenant), ("two", tenant), ("abroad", abroad)):
        rows |= fill(Project.objects.create(tenant=home, name=name), name)
    return rows


def on_what(role: type[Role], world: Rows) -> models.Model:
    return {"tenant": world["harbor"], "project": world["one"], "workspace": world["one/own"]}[role.scope]


def reach(user: User, world: Rows) -> dict[str, set[Verb]]:
    """Every verb this person has on every row, as visible() has it."""
    names = {row.pk: name for name, row in world.items()}
    found: dict[str, set[Verb]] = defaultdict(set)
    for model in {type(row) for row in world.values()}:
        for verb in Verb:
            for pk in visible(user, model._default_manager.all(), verb).values_list("pk", flat=True):
                found[names[pk]].add(verb)
    return dict(found)


def expected(role: type[Role], world: Rows) -> dict[str, set[Verb]]:
    """Spelled out; what is not here answers as if it did not exist."""
    if role is TenantAdmin:
        return {name: set(Verb) for name in world if name == "harbor" or name.startswith(("one", "two"))}
    if role in (ProjectAdmin, ProjectViewer):
        return {name: set(role.verbs) for name in world if name.startswith("one")}
    shown = {
        "one": {Verb.PROJECT_LIST},
        "one/own cluster": {Verb.CLUSTER_LIST},
        "one/own location": {Verb.LOCATION_LIST},
        "one/own cluster's backup": {Verb.BACKUP_LIST},
    }
    owned = ("one/own", "one/own backup", "one/own backup's restore")
    return shown | {name: set(role.verbs) for name in owned}


class TestWhatEachRoleReaches:
    @pytest.mark.slow
    @pytest.mark.parametrize("through_team", [False, True], ids=["directly", "through a team"])
    @pytest.mark.parametrize("role", ROLES, ids=lambda role: role.codename)
    def test_every_verb_on_every_row(self, world: Rows, role: type[Role], through_team: bool) -> None:
        on = on_what(role, world)
        if through_team and role is not TenantAdmin:
            user = person(tenant=world["harbor"])
            team(user, role=role, on=on)
        else:
            user = person(role=role, on=on)
        wanted = expected(role, world)
        assert reach(user, world) == wanted
        for name, row in world.items():
            narrow = {Verb(f"{Place.of(type(row)).noun}.list")} if not isinstance(row, Tenant) else set()
            said, meant = verbs_on(user, row), wanted.get(name, set())
            assert said <= meant and meant - said <= narrow, f"verbs_on() and visible() differ on {name}"
            assert said == meant or role.scope == "workspace", f"verbs_on() says too little on {name}"

    def test_a_mere_member_reaches_nothing(self, world: Rows) -> None:
        assert reach(person(tenant=world["harbor"]), world) == {}

    def test_a_stranger_reaches_nothing(self, world: Rows) -> None:
        assert reach(person(), world) == {}


class TestRoles:
    def test_the_operator_only_looks_backs_up_and_restores(self) -> None:
        changing = {verb for verb in WorkspaceOperator.verbs if not verb.endswith((".get", ".list", ".log"))}
        assert changing == {Verb.WORKSPACE_BACKUP, Verb.WORKSPACE_RESTORE}
        assert Verb.BACKUP_CONTENTS not in WorkspaceOperator.verbs

    def test_what_the_workspace_admin_has_beyond_that(self) -> None:
        assert WorkspaceAdmin.verbs - WorkspaceOperator.verbs == {
            Verb.WORKSPACE_UPDATE, Verb.WORKSPACE_DELETE, Verb.BACKUP_DELETE, Verb.BACKUP_CONTENTS,
            Verb.POLICY_CREATE, Verb.POLICY_UPDATE, Verb.POLICY_DELETE,
        }  # fmt: skip

    @pytest.mark.parametrize("role", [WorkspaceAdmin, WorkspaceOperator], ids=lambda role: role.codename)
    def test_no_workspace_role_sees_a_cluster_or_location_in_full(self, role: type[Role]) -> None:
        full = {verb for verb in role.verbs if verb.startswith(("cluster.", "location.", "project."))}
        assert full == {Verb.CLUSTER_LIST, Verb.LOCATION_LIST, Verb.PROJECT_LIST}

    def test_the_viewer_changes_nothing_and_gets_no_secret(self) -> None:
        assert {verb.split(".")[1] for verb in ProjectViewer.verbs} == {"get", "list", "log"}

    def test_the_project_admin_has_all_but_the_tenants_own(self) -> None:
        assert ProjectAdmin.verbs == set(Verb) - TENANT_ONLY

    def test_the_tenant_admin_has_all(self) -> None:
        assert TenantAdmin.verbs == set(Verb)

    def test_each_says_what_it_is(self) -> None:
        assert len({role.codename for role in ROLES}) == len(ROLES) == 5
        for role in ROLES:
            assert role.display_name and role.description.endswith(".") and "\n" not in role.description


class TestOneQuery:
    @pytest.mark.slow
    @pytest.mark.parametrize("count", [1, 50])
    def test_however_many_roles(self, tenant: Tenant, count: int, django_assert_num_queries: Any) -> None:
        user = person(tenant=tenant)
        for number in range(count):
            project = Project.objects.create(tenant=tenant, name=f"p{number}")
            workspace = Workspace.objects.create(project=project, name="w")
            cluster = make_cluster(project, "c")
            workspace.clusters.add(cluster)
            Workspace.objects.create(project=project, name="x").clusters.add(cluster)
            _backup(cluster, make_location(project), workspace)
            give(user, ProjectViewer, project)
            give(user, WorkspaceOperator, workspace)
            team(user, role=ProjectAdmin, on=project)
            team(user, role=WorkspaceOperator, on=workspace)
        for model, verb in (
            (Project, Verb.PROJECT_LIST), (Cluster, Verb.CLUSTER_LIST), (Workspace, Verb.WORKSPACE_GET),
            (Backup, Verb.BACKUP_GET), (Backup, Verb.BACKUP_LIST), (BackupLocation, Verb.LOCATION_LIST),
        ):  # fmt: skip
            with django_assert_num_queries(1):
                rows = list(visible(user, model._default_manager.all(), verb))
            times = 2 if (model, verb) == (Workspace, Verb.WORKSPACE_GET) else 1  # there are two in each project
            assert len(rows) == count * times, f"{model.__name__} once each"
        with django_assert_num_queries(1):
            assert len(held_by(user).projects) == count


class TestWhoCounts:
    @pytest.fixture
    def operator(self, world: Rows) -> User:
        return person(role=WorkspaceOperator, on=world["one/own"])

    def test_a_membership_that_is_not_active_counts_for_nothing(self, world: Rows) -> None:
        user = person(role=TenantAdmin, on=world["harbor"])
        for role in (ProjectAdmin, WorkspaceAdmin):
            give(user, role, on_what(role, world))
            team(user, role=role, on=on_what(role, world))
        Membership.objects.filter(user=user).update(is_active=False)
        assert reach(user, world) == {}
        held = held_by(user)
        assert not held.tenants and not held.projects and not held.workspaces

    def test_it_is_this_tenant_alone(self, world: Rows, operator: User) -> None:
        abroad = Membership.objects.create(tenant=world["elsewhere"], user=operator)
        give(operator, ProjectViewer, world["abroad"])
        Membership.objects.filter(user=operator).exclude(pk=abroad.pk).update(is_active=False)
        assert set(reach(operator, world)) == {name for name in world if name.startswith("abroad")}

    def test_a_person_the_site_owner_deactivated(self, world: Rows, operator: User) -> None:
        operator.is_active = False
        assert not may(operator, world["one/own"], Verb.WORKSPACE_GET)
        assert verbs_on(operator, world["one/own"]) == frozenset()

    def test_a_role_without_a_membership_counts_for_nothing(self, world: Rows, operator: User) -> None:
        Membership.objects.filter(user=operator).delete()
        assert reach(operator, world) == {}

    def test_another_permission_of_django_is_no_role(self, world: Rows) -> None:
        user = person(tenant=world["harbor"])
        world["one"].user_roles.model.objects.assign_perm("delete_project", user, world["one"])
        assert reach(user, world) == {}
        assert not verbs_on(user, world["one"])

    def test_leaving_a_team_counts_at_once(self, world: Rows) -> None:
        user = person(tenant=world["harbor"])
        crew = team(user, role=WorkspaceOperator, on=world["one/own"])
        assert may(user, world["one/own"], Verb.WORKSPACE_BACKUP)
        user.groups.remove(crew.group)
        assert not may(user, world["one/own"], Verb.WORKSPACE_BACKUP)

    def test_a_cluster_taken_out_of_the_workspace_is_not_shown_any_more(self, world: Rows, operator: User) -> None:
        world["one/own"].clusters.clear()
        assert not may(operator, world["one/own cluster"], Verb.CLUSTER_LIST)
        assert not may(operator, world["one/own cluster's backup"], Verb.BACKUP_LIST)
        assert may(operator, world["one/own backup"], Verb.BACKUP_LOG), "the workspace's own backups stay its own"

    def test_a_deleted_workspace_leaves_its_backups_to_the_project(self, world: Rows, operator: User) -> None:
        viewer, backup = person(role=ProjectViewer, on=world["one"]), world["one/own backup"]
        world["one/own"].delete()
        assert not may(operator, backup, Verb.BACKUP_LIST)
        assert may(viewer, backup, Verb.BACKUP_GET)

    def test_teams_are_the_tenant_admins_business(self, world: Rows, operator: User) -> None:
        crew, admin = team(operator, tenant=world["harbor"]), person(role=TenantAdmin, on=world["harbor"])
        assert may(admin, crew, Verb.TEAM_UPDATE) and may(admin, operator, Verb.USER_GET)
        assert not visible(operator, Team.objects.all(), Verb.TEAM_LIST).exists()
        assert not visible(operator, User.objects.all(), Verb.USER_LIST).exists()
        assert not may(person(role=ProjectAdmin, on=world["one"]), crew, Verb.TEAM_GET)
