"""Workspaces: names, clusters of the project alone, how far they reach, and what stays of one that is deleted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import AuditEvent, Tenant, User
from accounts.permissions import held_by
from accounts.roles import ProjectAdmin, ProjectViewer, WorkspaceAdmin, WorkspaceOperator
from backups.models import Backup, BackupLocation
from console.lib.errors import BadInput, Forbidden, NotVisible
from tests.conftest import make_cluster
from tests.people import person, team
from workspaces.actions.cluster import deregister_cluster
from workspaces.actions.project import create_project, delete_project
from workspaces.actions.workspace import MOST_NAMESPACES, create_workspace, delete_workspace, update_workspace
from workspaces.models import Cluster, Project, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(project: Project, east: Cluster) -> Workspace:
    workspace = Workspace.objects.create(project=project, name="shop", namespaces=["shop"])
    workspace.clusters.add(east)
    return workspace


class TestCreating:
    def test_a_new_one(self, alice: User, project: Project, east: Cluster, west: Cluster) -> None:
        made = create_workspace(by=alice, project=project, name="harbor", clusters=[west, east], namespaces=["shop"])
        stored = Workspace.objects.get(pk=made.pk)
        assert set(stored.clusters.all()) == {east, west}
        assert stored.namespaces == ["shop"]
        said = {"clusters": ["harbor-east", "harbor-west"], "namespaces": ["shop"]}
        assert AuditEvent.objects.get(verb="workspace.create").details == said

    def test_only_clusters_of_its_project(self, alice: User, tenant: Tenant, project: Project, east: Cluster) -> None:
        second = create_project(by=alice, tenant=tenant, name="Second")
        with pytest.raises(BadInput) as caught:
            create_workspace(by=alice, project=project, name="w", clusters=[east, make_cluster(second, "other")])
        assert caught.value.field == "clusters"
        assert not Workspace.objects.exists()

    def test_no_cluster_that_was_deregistered_meanwhile(self, alice: User, project: Project, east: Cluster) -> None:
        deregister_cluster(by=alice, cluster=Cluster.objects.get(pk=east.pk), typed_name=east.name)
        with pytest.raises(BadInput, match="deregistered meanwhile") as caught:
            create_workspace(by=alice, project=project, name="w", clusters=[east])
        assert caught.value.field == "clusters"

    def test_not_in_a_project_deleted_meanwhile(self, alice: User, project: Project) -> None:
        delete_project(by=alice, project=Project.objects.get(pk=project.pk))
        with pytest.raises(NotVisible):
            create_workspace(by=alice, project=project, name="w", clusters=[])

    def test_a_stranger_makes_none(self, charlie: User, project: Project, east: Cluster) -> None:
        with pytest.raises(NotVisible):
            create_workspace(by=charlie, project=project, name="w", clusters=[east])

    @pytest.mark.parametrize("role", [WorkspaceAdmin, WorkspaceOperator])
    def test_a_role_on_one_makes_no_other(self, shop: Workspace, east: Cluster, role: type) -> None:
        with pytest.raises(NotVisible):
            create_workspace(by=person(role=role, on=shop), project=shop.project, name="w", clusters=[east])

    def test_the_viewer_makes_none(self, project: Project, east: Cluster) -> None:
        with pytest.raises(Forbidden):
            create_workspace(by=person(role=ProjectViewer, on=project), project=project, name="w", clusters=[east])

    @pytest.mark.parametrize("name", ["", "Shop", "a b", "-shop", "shop-", "shop\n", "x" * 64, "läden"])
    def test_a_bad_name(self, alice: User, project: Project, name: str) -> None:
        with pytest.raises(BadInput) as caught:
            create_workspace(by=alice, project=project, name=name, clusters=[])
        assert caught.value.field == "name"

    @pytest.mark.parametrize("there", ["w", "W"])
    def test_a_name_once_in_a_project_in_any_case(self, alice: User, project: Project, there: str) -> None:
        Workspace.objects.create(project=project, name=there)
        with pytest.raises(BadInput, match="of this name"):
            create_workspace(by=alice, project=project, name="w", clusters=[])
        assert Workspace.objects.count() == 1

    @pytest.mark.parametrize("names", [["Shop"], ["a/b"], ["velero"], [f"n{n}" for n in range(MOST_NAMESPACES + 1)]])
    def test_bad_namespaces(self, alice: User, project: Project, east: Cluster, names: list[str]) -> None:
        with pytest.raises(BadInput) as caught:
            create_workspace(by=alice, project=project, name="w", clusters=[east], namespaces=names)
        assert caught.value.field == "namespaces"


class TestChanging:
    def test_everything(self, alice: User, shop: Workspace, west: Cluster) -> None:
        update_workspace(
            by=alice, workspace=shop, name="store", description="d", clusters=[west], namespaces=["intranet"]
        )
        stored = Workspace.objects.get(pk=shop.pk)
        assert (stored.name, stored.description, stored.namespaces) == ("store", "d", ["intranet"])
        assert list(stored.clusters.all()) == [west]
        details = AuditEvent.objects.get(verb="workspace.update").details
        assert details["changed"] == ["clusters", "description", "name", "namespaces"]
        assert (details["clusters_before"], details["clusters"]) == (["harbor-east"], ["harbor-west"])

    def test_nothing_changed_leaves_no_row(self, alice: User, shop: Workspace, east: Cluster) -> None:
        update_workspace(by=alice, workspace=shop, name="shop", description="", clusters=[east], namespaces=["shop"])
        assert not AuditEvent.objects.filter(verb="workspace.update").exists()

    @pytest.mark.parametrize("more", [{"clusters": []}, {"namespaces": []}, {"namespaces": ["shop", "kube-system"]}])
    def test_its_admin_does_not_make_it_reach_further(self, shop: Workspace, more: dict[str, list[str]]) -> None:
        admin = person(role=WorkspaceAdmin, on=shop)
        with pytest.raises(Forbidden):
            update_workspace(by=admin, workspace=shop, name="shop", description="", **more)  # type: ignore[arg-type]
        update_workspace(by=admin, workspace=shop, name="store", description="mine")
        stored = Workspace.objects.get(pk=shop.pk)
        assert (stored.name, stored.namespaces, stored.clusters.count()) == ("store", ["shop"], 1)

    def test_what_was_stored_before_a_rule_does_not_keep_its_admin_from_the_rest(self, shop: Workspace) -> None:
        Workspace.objects.filter(pk=shop.pk).update(namespaces=["velero"])
        update_workspace(by=person(role=WorkspaceAdmin, on=shop), workspace=shop, name="shop", description="mine")
        assert Workspace.objects.get(pk=shop.pk).description == "mine"

    def test_the_operator_changes_nothing(self, shop: Workspace) -> None:
        operator = person(role=WorkspaceOperator, on=shop)
        with pytest.raises(Forbidden):
            update_workspace(by=operator, workspace=shop, name="mine", description="")
        with pytest.raises(Forbidden):
            delete_workspace(by=operator, workspace=shop, typed_name="shop")

    def test_deleted_meanwhile(self, alice: User, shop: Workspace) -> None:
        Workspace.objects.filter(pk=shop.pk).delete()
        with pytest.raises(NotVisible):
            update_workspace(by=alice, workspace=shop, name="store", description="")
        with pytest.raises(NotVisible):
            delete_workspace(by=alice, workspace=shop, typed_name="shop")


class TestDeleting:
    def test_its_roles_go_and_its_backups_stay(self, alice: User, shop: Workspace, store: BackupLocation) -> None:
        operator, member = person(role=WorkspaceOperator, on=shop), person(on=shop.project)
        team(member, role=WorkspaceAdmin, on=shop)
        values = {"location": store, "workspace": shop, "keep_for": timedelta(days=1), "state": "completed"}
        backup = Backup.objects.create(
            project=shop.project, cluster=shop.clusters.get(), name="n", object_name="n-1", **values
        )
        delete_workspace(by=alice, workspace=shop, typed_name="shop")
        backup.refresh_from_db()
        assert backup.workspace is None and backup.cluster.name == "harbor-east"
        assert not held_by(operator).workspaces and not held_by(member).workspaces
        assert AuditEvent.objects.get(verb="workspace.delete").target == "shop"

    @pytest.mark.parametrize("typed", ["", "Shop", "shop "])
    def test_another_name_was_typed(self, alice: User, shop: Workspace, typed: str) -> None:
        with pytest.raises(BadInput) as caught:
            delete_workspace(by=alice, workspace=shop, typed_name=typed)
        assert caught.value.field == "typed_name" and Workspace.objects.exists()

    def test_the_project_admin_and_its_own_admin_may(self, shop: Workspace, east: Cluster) -> None:
        by = person(role=ProjectAdmin, on=shop.project)
        other = create_workspace(by=by, project=shop.project, name="other", clusters=[east])
        delete_workspace(by=by, workspace=other, typed_name="other")
        delete_workspace(by=person(role=WorkspaceAdmin, on=shop), workspace=shop, typed_name="shop")
        assert not Workspace.objects.exists()
