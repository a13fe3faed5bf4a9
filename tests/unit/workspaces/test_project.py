"""Projects and workspaces: names, strangers, and that nothing crosses a project."""

from __future__ import annotations

import pytest

from accounts.models import AuditEvent, Tenant, User
from console.lib.errors import BadInput, NotVisible
from tests.conftest import make_cluster
from workspaces.actions.project import create_project, create_workspace
from workspaces.models import Cluster, Project, Workspace

pytestmark = pytest.mark.django_db


class TestProject:
    def test_a_new_one(self, alice: User, tenant: Tenant) -> None:
        project = create_project(by=alice, tenant=tenant, name="Team")
        assert Project.objects.get() == project
        assert AuditEvent.objects.get(verb="project.create").tenant_id == tenant.pk

    def test_a_name_once_in_a_tenant(self, alice: User, charlie: User, tenant: Tenant, project: Project) -> None:
        with pytest.raises(BadInput):
            create_project(by=alice, tenant=tenant, name=project.name)
        theirs = charlie.memberships.get().tenant
        assert create_project(by=charlie, tenant=theirs, name=project.name).name == project.name

    def test_a_stranger_makes_none(self, charlie: User, tenant: Tenant) -> None:
        with pytest.raises(NotVisible, match=r"^There is nothing here\.$"):
            create_project(by=charlie, tenant=tenant, name="Mine")
        assert not Project.objects.exists()

    @pytest.mark.parametrize("name", ["", "x" * 101])
    def test_a_bad_name(self, alice: User, tenant: Tenant, name: str) -> None:
        with pytest.raises(BadInput) as caught:
            create_project(by=alice, tenant=tenant, name=name)
        assert caught.value.field == "name"


class TestWorkspace:
    def test_a_new_one(self, alice: User, project: Project, east: Cluster, west: Cluster) -> None:
        made = create_workspace(by=alice, project=project, name="harbor", clusters=[east, west], namespaces=["shop"])
        stored = Workspace.objects.get(pk=made.pk)
        assert set(stored.clusters.all()) == {east, west}
        assert stored.namespaces == ["shop"]
        assert AuditEvent.objects.get(verb="workspace.create").details == {"clusters": ["harbor-east", "harbor-west"]}

    def test_only_clusters_of_its_project(self, alice: User, tenant: Tenant, project: Project, east: Cluster) -> None:
        second = create_project(by=alice, tenant=tenant, name="Second")
        with pytest.raises(BadInput) as caught:
            create_workspace(by=alice, project=project, name="w", clusters=[east, make_cluster(second, "other")])
        assert caught.value.field == "clusters"
        assert not Workspace.objects.exists()

    def test_a_stranger_makes_none(self, charlie: User, project: Project, east: Cluster) -> None:
        with pytest.raises(NotVisible):
            create_workspace(by=charlie, project=project, name="w", clusters=[east])

    def test_a_name_once_in_a_project(self, alice: User, project: Project) -> None:
        create_workspace(by=alice, project=project, name="w", clusters=[])
        with pytest.raises(BadInput):
            create_workspace(by=alice, project=project, name="w", clusters=[])
        assert Workspace.objects.count() == 1
