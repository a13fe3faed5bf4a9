"""Projects: names and strangers."""

from __future__ import annotations

import pytest

from accounts.models import AuditEvent, Tenant, User
from console.lib.errors import BadInput, NotVisible
from workspaces.actions.project import create_project
from workspaces.models import Project

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
