"""Giving and taking roles; who administers; who is active; teams. Each change leaves one row of the audit log."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from accounts.actions.member import activate_member, deactivate_member, set_tenant_admin, unset_tenant_admin
from accounts.actions.role import give_role, remove_role
from accounts.actions.team import add_team_member, create_team, delete_team, remove_team_member, update_team
from accounts.holders import holders_of, roles_of
from accounts.models import AuditEvent, Membership, Team, Tenant, User
from accounts.permissions import may
from accounts.roles import (
    ProjectAdmin,
    ProjectViewer,
    Role,
    Scope,
    TenantAdmin,
    Verb,
    WorkspaceAdmin,
    WorkspaceOperator,
    role_named,
)
from console.lib.errors import BadInput, NotVisible
from tests.people import give, person, team
from workspaces.models import Project, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace(project: Project) -> Workspace:
    return Workspace.objects.create(project=project, name="shop")


@pytest.fixture
def bob(tenant: Tenant) -> User:
    """A mere member of Harbor."""
    return person("bob", tenant=tenant)


def written(since: int) -> list[tuple[str, str]]:
    return list(AuditEvent.objects.order_by("id")[since:].values_list("verb", "target"))


def denied(user: User, project: Project) -> list[Callable[[], Any]]:
    """Every change of Harbor's people, tried by `user`."""
    tenant, workspace = project.tenant, Workspace.objects.create(project=project, name=uuid.uuid4().hex)
    member, crew = person(tenant=tenant), team(tenant=tenant)
    return [
        lambda: give_role(by=user, role=ProjectViewer, to=member, on=project),
        lambda: give_role(by=user, role=WorkspaceOperator, to=crew, on=workspace),
        lambda: remove_role(by=user, role=ProjectViewer, to=member, on=project),
        lambda: set_tenant_admin(by=user, tenant=tenant, user=user),
        lambda: unset_tenant_admin(by=user, tenant=tenant, user=member),
        lambda: deactivate_member(by=user, tenant=tenant, user=member),
        lambda: activate_member(by=user, tenant=tenant, user=member),
        lambda: create_team(by=user, tenant=tenant, name="Mine"),
        lambda: update_team(by=user, team=crew, name="Mine"),
        lambda: delete_team(by=user, team=crew),
        lambda: add_team_member(by=user, team=crew, user=member),
        lambda: remove_team_member(by=user, team=crew, user=member),
    ]


class TestWhoMay:
    @pytest.mark.parametrize("role", [ProjectAdmin, ProjectViewer, WorkspaceAdmin, WorkspaceOperator])
    def test_no_role_below_the_tenant_admin(self, project: Project, workspace: Workspace, role: type[Role]) -> None:
        user = person(role=role, on=project if role.scope == Scope.PROJECT else workspace)
        for attempt in denied(user, project):
            with pytest.raises(NotVisible):
                attempt()

    def test_nobody_of_another_tenant(self, project: Project, charlie: User) -> None:
        attempts, before = denied(charlie, project), AuditEvent.objects.count()
        for attempt in attempts:
            with pytest.raises(NotVisible):
                attempt()
        assert AuditEvent.objects.count() == before

    def test_no_tenant_admin_who_is_deactivated(self, project: Project, alice: User) -> None:
        attempts = denied(alice, project)
        Membership.objects.filter(user=alice).update(is_active=False)
        for attempt in attempts:
            with pytest.raises(NotVisible):
                attempt()


class TestGiving:
    def test_a_role_counts_at_once_and_leaves_one_row(self, alice: User, bob: User, workspace: Workspace) -> None:
        before = AuditEvent.objects.count()
        assert give_role(by=alice, role=WorkspaceOperator, to=bob, on=workspace)
        assert may(bob, workspace, Verb.WORKSPACE_BACKUP) and not may(bob, workspace, Verb.WORKSPACE_UPDATE)
        assert written(before) == [("role.create", "shop")]
        row = AuditEvent.objects.latest("id")
        assert row.details == {"role": "Workspace Operator", "to": bob.email, "kind": "user"}
        assert (row.tenant_id, row.project_id) == (workspace.project.tenant_id, workspace.project_id)

    def test_again_changes_nothing(self, alice: User, bob: User, workspace: Workspace) -> None:
        give_role(by=alice, role=WorkspaceOperator, to=bob, on=workspace)
        before = AuditEvent.objects.count()
        assert not give_role(by=alice, role=WorkspaceOperator, to=bob, on=workspace)
        assert AuditEvent.objects.count() == before
        assert len(roles_of(bob, workspace.project.tenant, Scope.WORKSPACE)) == 1

    def test_taking_it_away(self, alice: User, bob: User, workspace: Workspace) -> None:
        give(bob, WorkspaceOperator, workspace)
        before = AuditEvent.objects.count()
        assert remove_role(by=alice, role=WorkspaceOperator, to=bob, on=workspace)
        assert not remove_role(by=alice, role=WorkspaceOperator, to=bob, on=workspace)
        assert not may(bob, workspace, Verb.WORKSPACE_GET)
        assert written(before) == [("role.delete", "shop")]

    def test_what_a_team_gives_is_not_taken_from_its_member(self, alice: User, bob: User, workspace: Workspace) -> None:
        team(bob, role=WorkspaceOperator, on=workspace)
        assert not remove_role(by=alice, role=WorkspaceOperator, to=bob, on=workspace)
        assert may(bob, workspace, Verb.WORKSPACE_GET)

    def test_a_workspace_deleted_meanwhile(self, alice: User, bob: User, workspace: Workspace) -> None:
        Workspace.objects.filter(pk=workspace.pk).delete()
        with pytest.raises(BadInput, match=r"^The workspace shop was deleted meanwhile\. Choose another\.$") as caught:
            give_role(by=alice, role=WorkspaceOperator, to=bob, on=workspace)
        assert caught.value.field == "workspace"

    @pytest.mark.parametrize("role", [ProjectAdmin, TenantAdmin])
    def test_a_role_of_another_scope(self, alice: User, bob: User, workspace: Workspace, role: type[Role]) -> None:
        with pytest.raises(BadInput) as caught:
            give_role(by=alice, role=role, to=bob, on=workspace)
        assert caught.value.field == "role"

    def test_nobody_knows_such_a_role(self) -> None:
        assert role_named("workspace_operator") is WorkspaceOperator
        for forged in ("", "add_workspace", "superuser"):
            with pytest.raises(BadInput):
                role_named(forged)

    def test_ids_of_another_tenant(self, alice: User, charlie: User, bob: User, workspace: Workspace) -> None:
        abroad = charlie.memberships.get().tenant
        theirs = Workspace.objects.create(project=Project.objects.create(tenant=abroad, name="p"), name="w")
        for to, on in ((charlie, workspace), (team(tenant=abroad), workspace), (bob, theirs), (alice, theirs)):
            with pytest.raises(NotVisible, match=r"^There is nothing here\.$"):
                give_role(by=alice, role=WorkspaceOperator, to=to, on=on)
        assert not holders_of(workspace) and not holders_of(theirs)


class TestWhoHoldsWhat:
    def test_direct_and_inherited(
        self, tenant: Tenant, bob: User, workspace: Workspace, django_assert_num_queries: Any
    ) -> None:
        give(bob, WorkspaceAdmin, workspace)
        crew = team(bob, role=WorkspaceOperator, on=workspace)
        give(crew, ProjectViewer, workspace.project)
        with django_assert_num_queries(2):
            found = roles_of(bob, tenant, Scope.WORKSPACE)
            assert [(each.role, str(each.on.project), each.through) for each in found] == [
                (WorkspaceAdmin, "Default", None),
                (WorkspaceOperator, "Default", crew),
            ]
        assert [(each.role, each.on, each.through) for each in roles_of(bob, tenant, Scope.PROJECT)] == [
            (ProjectViewer, workspace.project, crew)
        ]
        with django_assert_num_queries(1):
            assert [each.role for each in roles_of(crew, tenant, Scope.WORKSPACE)] == [WorkspaceOperator]
        with django_assert_num_queries(2):
            assert [(each.to, each.role) for each in holders_of(workspace)] == [
                (bob, WorkspaceAdmin),
                (crew, WorkspaceOperator),
            ]

    def test_another_tenants_roles_are_not_told(self, tenant: Tenant, bob: User, charlie: User) -> None:
        abroad = charlie.memberships.get().tenant
        Membership.objects.create(tenant=abroad, user=bob)
        give(bob, ProjectAdmin, Project.objects.create(tenant=abroad, name="p"))
        assert roles_of(bob, tenant, Scope.PROJECT) == []
        assert len(roles_of(bob, abroad, Scope.PROJECT)) == 1


class TestMembers:
    def test_an_admin_more(self, alice: User, bob: User, tenant: Tenant) -> None:
        before = AuditEvent.objects.count()
        for _ in range(2):
            set_tenant_admin(by=alice, tenant=tenant, user=bob)
        assert tenant in Tenant.objects.administered_by(bob)
        assert written(before) == [("role.create", str(bob))]

    def test_the_last_one_stays(self, alice: User, bob: User, tenant: Tenant) -> None:
        set_tenant_admin(by=alice, tenant=tenant, user=bob)
        unset_tenant_admin(by=bob, tenant=tenant, user=alice)
        for attempt in (unset_tenant_admin, deactivate_member):
            with pytest.raises(BadInput, match="last Tenant Admin"):
                attempt(by=None, tenant=tenant, user=bob)
        with pytest.raises(BadInput, match="last Tenant Admin"):
            unset_tenant_admin(by=bob, tenant=tenant, user=bob)
        assert tenant in Tenant.objects.administered_by(bob)

    @pytest.mark.parametrize("kind", ["deactivated here", "deactivated everywhere"])
    def test_one_who_cannot_act_is_no_other_admin(self, alice: User, bob: User, tenant: Tenant, kind: str) -> None:
        set_tenant_admin(by=alice, tenant=tenant, user=bob)
        if kind == "deactivated here":
            deactivate_member(by=alice, tenant=tenant, user=bob)
        else:
            User.objects.filter(pk=bob.pk).update(is_active=False)
        with pytest.raises(BadInput, match="last Tenant Admin"):
            unset_tenant_admin(by=alice, tenant=tenant, user=alice)

    def test_an_admin_may_step_down_but_not_deactivate_oneself(self, alice: User, bob: User, tenant: Tenant) -> None:
        set_tenant_admin(by=alice, tenant=tenant, user=bob)
        with pytest.raises(BadInput, match="cannot deactivate yourself"):
            deactivate_member(by=alice, tenant=tenant, user=alice)
        unset_tenant_admin(by=alice, tenant=tenant, user=alice)
        assert tenant not in Tenant.objects.administered_by(alice)

    def test_deactivated_and_back(self, alice: User, bob: User, tenant: Tenant, workspace: Workspace) -> None:
        give(bob, WorkspaceAdmin, workspace)
        before = AuditEvent.objects.count()
        for _ in range(2):
            deactivate_member(by=alice, tenant=tenant, user=bob)
        assert not may(bob, workspace, Verb.WORKSPACE_GET)
        for _ in range(2):
            activate_member(by=alice, tenant=tenant, user=bob)
        assert may(bob, workspace, Verb.WORKSPACE_UPDATE)
        assert written(before) == [("user.deactivate", str(bob)), ("user.activate", str(bob))]

    def test_only_people_of_the_tenant(self, alice: User, charlie: User, tenant: Tenant) -> None:
        for attempt in (set_tenant_admin, unset_tenant_admin, deactivate_member, activate_member):
            with pytest.raises(NotVisible):
                attempt(by=alice, tenant=tenant, user=charlie)


class TestTeams:
    def test_its_life(self, alice: User, bob: User, tenant: Tenant, workspace: Workspace) -> None:
        before = AuditEvent.objects.count()
        crew = create_team(by=alice, tenant=tenant, name=" On call ", description="Nights")
        for _ in range(2):
            add_team_member(by=alice, team=crew, user=bob)
        give_role(by=alice, role=WorkspaceOperator, to=crew, on=workspace)
        assert may(bob, workspace, Verb.WORKSPACE_RESTORE) and list(Team.objects.of(bob)) == [crew]
        for _ in range(2):
            remove_team_member(by=alice, team=crew, user=bob)
        assert not may(bob, workspace, Verb.WORKSPACE_RESTORE)
        update_team(by=alice, team=crew, name="Nights")
        delete_team(by=alice, team=crew)
        assert not holders_of(workspace) and not Team.objects.exists()
        assert written(before) == [
            ("team.create", "On call"), ("team.add_member", "On call"), ("role.create", "shop"),
            ("team.remove_member", "On call"), ("team.update", "Nights"), ("team.delete", "Nights"),
        ]  # fmt: skip

    def test_a_name_once_in_a_tenant_in_any_case(self, alice: User, charlie: User, tenant: Tenant) -> None:
        create_team(by=alice, tenant=tenant, name="Night Watch")
        with pytest.raises(BadInput, match="a team of this name"):
            create_team(by=alice, tenant=tenant, name="night watch")
        other = create_team(by=alice, tenant=tenant, name="Day")
        with pytest.raises(BadInput, match="a team of this name"):
            update_team(by=alice, team=other, name="NIGHT WATCH")
        create_team(by=charlie, tenant=charlie.memberships.get().tenant, name="Night Watch")

    def test_a_refused_team_leaves_nothing_behind(self, alice: User, tenant: Tenant) -> None:
        from django.contrib.auth.models import Group

        with pytest.raises(BadInput) as caught:
            create_team(by=alice, tenant=tenant, name="  ")
        assert caught.value.field == "name"
        assert not Group.objects.exists()

    def test_strangers_do_not_join(self, alice: User, charlie: User, tenant: Tenant) -> None:
        crew = create_team(by=alice, tenant=tenant, name="Watch")
        with pytest.raises(NotVisible):
            add_team_member(by=alice, team=crew, user=charlie)

    def test_a_team_deleted_meanwhile(self, alice: User, bob: User, tenant: Tenant, workspace: Workspace) -> None:
        crew = create_team(by=alice, tenant=tenant, name="Watch")
        delete_team(by=alice, team=Team.objects.get(pk=crew.pk))
        with pytest.raises(NotVisible):
            add_team_member(by=alice, team=crew, user=bob)
        with pytest.raises(NotVisible):
            give_role(by=alice, role=WorkspaceOperator, to=crew, on=workspace)


# At the same moment. On the real locking of the database, not on a mock of it.


def at_once(*attempts: Callable[[], Any]) -> list[str]:
    """Run all at the same moment; what became of each, in their order."""
    start, ends = threading.Barrier(len(attempts)), [""] * len(attempts)

    def run(number: int, attempt: Callable[[], Any]) -> None:
        start.wait()
        try:
            while not ends[number]:
                try:
                    attempt()
                    ends[number] = "done"
                except OperationalError as error:  # the in-memory database of tests has one lock and does not wait
                    if connection.vendor != "sqlite":
                        ends[number] = repr(error)
                except (BadInput, NotVisible) as error:
                    ends[number] = type(error).__name__
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(attempts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return ends


@transaction.atomic
def delete_locked(workspace: Workspace) -> None:
    """As whoever deletes one must: without the lock a role given in between breaks the deletion off."""
    for held in Workspace.objects.select_for_update().filter(pk=workspace.pk):
        held.delete()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
class TestAtTheSameMoment:
    @pytest.mark.parametrize("how", [unset_tenant_admin, deactivate_member])
    def test_two_admins_remove_each_other(
        self, alice: User, bob: User, tenant: Tenant, how: Callable[..., Any]
    ) -> None:
        for _ in range(5):
            for user in (alice, bob):
                activate_member(by=None, tenant=tenant, user=user)
                set_tenant_admin(by=None, tenant=tenant, user=user)
            ends = at_once(
                lambda: how(by=alice, tenant=tenant, user=bob),
                lambda: how(by=bob, tenant=tenant, user=alice),
            )
            assert sorted(ends) == ["NotVisible", "done"], "the second is no admin any more"
            assert Membership.objects.filter(tenant=tenant).active_admins().count() == 1

    def test_two_admins_step_down(self, alice: User, bob: User, tenant: Tenant) -> None:
        for _ in range(5):
            for user in (alice, bob):
                set_tenant_admin(by=None, tenant=tenant, user=user)
            ends = at_once(
                lambda: unset_tenant_admin(by=alice, tenant=tenant, user=alice),
                lambda: unset_tenant_admin(by=bob, tenant=tenant, user=bob),
            )
            assert sorted(ends) == ["BadInput", "done"]
            assert Membership.objects.filter(tenant=tenant).active_admins().count() == 1

    def test_a_role_given_by_many_at_once_is_one(self, alice: User, bob: User, workspace: Workspace) -> None:
        ends = at_once(*[lambda: give_role(by=alice, role=WorkspaceOperator, to=bob, on=workspace)] * 4)
        assert ends == ["done"] * 4
        assert len(holders_of(workspace)) == 1
        assert AuditEvent.objects.filter(verb="role.create", target="shop").count() == 1

    def test_a_role_given_while_the_workspace_is_deleted(self, alice: User, bob: User, project: Project) -> None:
        for number in range(5):
            workspace = Workspace.objects.create(project=project, name=f"w{number}")
            ends = at_once(
                lambda: give_role(by=alice, role=WorkspaceOperator, to=bob, on=workspace),  # noqa: B023 - run at once
                lambda: delete_locked(workspace),  # noqa: B023
            )
            assert ends[1] == "done" and ends[0] in ("done", "BadInput"), ends
        assert roles_of(bob, project.tenant, Scope.WORKSPACE) == []
