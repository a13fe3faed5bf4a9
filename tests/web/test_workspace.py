"""Workspaces: the list, making one, its tabs, and what each role sees there."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.roles import ProjectAdmin, ProjectViewer, Role, WorkspaceAdmin, WorkspaceOperator
from backups.models import Backup, BackupLocation, Restore
from tests.conftest import make_cluster, make_location
from tests.people import give, person, team
from workspaces.actions.cluster import deregister_cluster
from workspaces.models import Cluster, Project, Workspace

pytestmark = pytest.mark.django_db
REASON = "The connection to harbor-east.example:6443 was refused."
TABS = ("detail", "clusters", "backups", "others", "restores", "members")


@pytest.fixture
def seen(project: Project) -> Cluster:
    return make_cluster(project, "harbor-east", seen_at=timezone.now())


@pytest.fixture
def away(project: Project) -> Cluster:
    return make_cluster(project, "harbor-west", state="unreachable", state_reason=REASON)


@pytest.fixture
def shop(project: Project, seen: Cluster, away: Cluster) -> Workspace:
    workspace = Workspace.objects.create(
        project=project, name="shop", description="The shop's own", namespaces=["shop", "cart"]
    )
    workspace.clusters.add(seen, away)
    return workspace


def make_backup(cluster: Cluster, location: BackupLocation, name: str, **fields: Any) -> Backup:
    values = {"object_name": f"{name}-{uuid.uuid4().hex[:8]}", "keep_for": timedelta(days=7), "state": "completed"}
    return Backup.objects.create(
        project=cluster.project, cluster=cluster, location=location, name=name, **values | fields
    )


@pytest.fixture
def own(shop: Workspace, seen: Cluster, store: BackupLocation) -> Backup:
    return make_backup(seen, store, "of-the-shop", workspace=shop)


@pytest.fixture
def other(project: Project, seen: Cluster) -> Backup:
    hidden = make_location(project, "hidden-location")
    return make_backup(seen, hidden, "of-the-cluster", message="said-by-velero", requested_by_name="somebody-else")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def holder(role: type[Role], workspace: Workspace, name: str = "") -> Client:
    on = workspace.project if role in (ProjectAdmin, ProjectViewer) else workspace
    return signed_in(person(name, role=role, on=on))


def page(client: Client, name: str, row: Any, status: int = 200) -> str:
    response = client.get(reverse(name, args=[row.pk]))
    assert response.status_code == status, name
    return unescape(response.content.decode())


def main(text: str) -> str:
    return text.split("<main")[1].split("</main", maxsplit=1)[0]


class TestList:
    def test_what_it_says_of_each(self, alices: Client, shop: Workspace, own: Backup) -> None:
        member = person("op", role=WorkspaceOperator, on=shop)
        give(member, WorkspaceAdmin, shop)
        team(member, role=WorkspaceAdmin, on=shop)
        old = make_backup(own.cluster, own.location, "older", workspace=shop)
        Backup.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=3))
        text = main(page(alices, "workspace_list", shop.project))
        for said in ("shop", "The shop's own", "1 Healthy", "1 Unreachable", "shop, cart", "1 person, 1 team"):
            assert said in text, said
        assert reverse("backup_detail", args=[own.pk]) in text and str(old.pk) not in text

    def test_search(self, alices: Client, shop: Workspace) -> None:
        Workspace.objects.create(project=shop.project, name="harbor", description="Berths")
        for asked, there in (("SHO", "shop"), ("berths", "harbor"), ("nothing", "No workspace matches")):
            found = main(alices.get(reverse("workspace_list", args=[shop.project_id]), {"q": asked}).content.decode())
            assert there in found
            assert ("The shop" in found) == (there == "shop")

    def test_an_empty_one_says_what_to_do(self, alices: Client, project: Project) -> None:
        text = main(page(alices, "workspace_list", project))
        assert "No workspace yet" in text and reverse("workspace_create", args=[project.pk]) in text
        text = main(page(signed_in(person(role=ProjectViewer, on=project)), "workspace_list", project))
        assert "No workspace yet" in text and reverse("workspace_create", args=[project.pk]) not in text

    def test_a_role_on_one_shows_no_other(self, shop: Workspace, away: Cluster) -> None:
        sibling = Workspace.objects.create(project=shop.project, name="sibling")
        operator = holder(WorkspaceOperator, shop)
        assert "sibling" not in page(operator, "workspace_list", shop.project)
        assert {page(operator, f"workspace_{tab}", sibling, 404) for tab in TABS}

    @pytest.mark.parametrize("role", [ProjectAdmin, WorkspaceOperator])
    def test_few_queries_however_many(
        self, shop: Workspace, own: Backup, role: type[Role], django_assert_max_num_queries: Any
    ) -> None:
        user = person(role=role, on=shop if role is WorkspaceOperator else shop.project)
        for number in range(30):
            workspace = Workspace.objects.create(project=shop.project, name=f"w{number}")
            workspace.clusters.add(own.cluster)
            give(user, WorkspaceOperator, workspace)
        client, address = signed_in(user), reverse("workspace_list", args=[shop.project_id])
        client.get(address)
        with django_assert_max_num_queries(8):
            assert "w1" in client.get(address).content.decode()

    def test_it_is_where_a_workspace_role_begins(self, shop: Workspace) -> None:
        operator, address = holder(WorkspaceOperator, shop), reverse("workspace_list", args=[shop.project_id])
        assert operator.get("/")["Location"] == address
        text = page(operator, "workspace_list", shop.project)
        assert f'href="{address}" aria-current="page"' in text
        assert "Overview" not in text.split("<main")[0]


def typed(name: str, *clusters: Cluster, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "", "clusters": [str(each.pk) for each in clusters], "others": ""} | more


class TestCreating:
    def create(self, client: Client, project: Project, **typed: Any) -> Any:
        return client.post(reverse("workspace_create", args=[project.pk]), typed)

    def test_a_new_one(self, alices: Client, project: Project, seen: Cluster, away: Cluster) -> None:
        answer = self.create(alices, project, **typed("shop", seen, away, known=["shop"], others="later, more"))
        made = Workspace.objects.get()
        assert answer["Location"] == reverse("workspace_members", args=[made.pk])
        assert made.namespaces == ["shop", "later", "more"] and set(made.clusters.all()) == {seen, away}
        assert AuditEvent.objects.filter(verb="workspace.create").count() == 1

    def test_the_form_shows_health_and_where_namespaces_are(
        self, alices: Client, project: Project, seen: Cluster, away: Cluster
    ) -> None:
        Cluster.objects.filter(pk=away.pk).update(facts={"namespaces": ["shop", "velero"]})
        text = main(page(alices, "workspace_create", project))
        assert "Healthy" in text and "Unreachable" in text
        assert ">all clusters</span>" in text and ">harbor-east</span>" in text
        assert 'value="velero"' not in text

    def test_without_a_cluster_there_is_none_to_make(self, alices: Client, project: Project) -> None:
        text = main(page(alices, "workspace_create", project))
        assert "Register a cluster first" in text and "<form" not in text

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"name": ""}, "Give the workspace a name."),
            ({"name": "The Shop"}, "Use lower-case letters, digits and hyphens"),
            ({"name": "x" * 64}, "at most 63"),
            ({"name": "taken"}, "There is a workspace of this name"),
            ({"clusters": []}, "Choose at least one cluster."),
            ({"clusters": [str(uuid.uuid4())]}, "not in this project or was deregistered meanwhile"),
            ({"clusters": ["not an id"]}, "not in this project or was deregistered meanwhile"),
            ({"known": ["gone"]}, "gone is not in the list any more."),
            ({"others": "No_Namespace"}, "cannot be a namespace's name."),
            ({"others": "velero"}, "Velero's own namespace"),
        ],
    )
    def test_bad_input_is_said_and_nothing_typed_is_lost(
        self, alices: Client, project: Project, seen: Cluster, wrong: dict[str, Any], said: str
    ) -> None:
        Workspace.objects.create(project=project, name="taken")
        answer = self.create(alices, project, **typed("shop", seen, description="kept as typed") | wrong)
        text = main(unescape(answer.content.decode()))
        assert answer.status_code == 422 and said in text and "kept as typed" in text
        assert Workspace.objects.count() == 1 and not AuditEvent.objects.filter(verb="workspace.create").exists()

    def test_forged_clusters_are_refused_at_the_field(
        self, alices: Client, charlie: User, project: Project, seen: Cluster
    ) -> None:
        theirs = Project.objects.create(tenant=charlie.memberships.get().tenant, name="p")
        sibling = Project.objects.create(tenant=project.tenant, name="Sibling")
        said = set()
        for home in (theirs, sibling):
            foreign = make_cluster(home, "foreign-cluster")
            answer = self.create(alices, project, **typed("shop", seen, foreign))
            assert answer.status_code == 422
            said.add(" ".join(answer.context["form"].errors["clusters"]))
            assert "foreign-cluster" not in answer.content.decode()
        gone = self.create(alices, project, **typed("shop", seen, clusters=[str(seen.pk), str(uuid.uuid4())]))
        assert said == {" ".join(gone.context["form"].errors["clusters"])}, "told apart from what is not there"
        assert not Workspace.objects.exists()

    def test_a_cluster_deregistered_meanwhile(
        self, alices: Client, alice: User, project: Project, seen: Cluster, away: Cluster
    ) -> None:
        deregister_cluster(by=alice, cluster=away, typed_name=away.name)
        answer = self.create(alices, project, **typed("shop", seen, away))
        assert answer.status_code == 422 and "clusters" in answer.context["form"].errors
        (ticked,) = re.findall(r'<input[^>]*value="([^"]*)"[^>]* checked', answer.content.decode())
        assert ticked == str(seen.pk)

    @pytest.mark.parametrize("role", [ProjectViewer, WorkspaceAdmin, WorkspaceOperator])
    def test_who_may_not(self, shop: Workspace, seen: Cluster, role: type[Role]) -> None:
        answer = self.create(holder(role, shop), shop.project, **typed("mine", seen))
        assert answer.status_code == (403 if role is ProjectViewer else 404)
        assert Workspace.objects.count() == 1


class TestPages:
    def test_the_overview(self, alices: Client, shop: Workspace, own: Backup, other: Backup) -> None:
        text = main(page(alices, "workspace_detail", shop))
        for said in ("The shop's own", "shop", "cart", "harbor-east", "Unreachable", "of-the-shop"):
            assert said in text, said
        assert "of-the-cluster" not in text

    def test_the_clusters_say_which_of_its_namespaces_they_have(self, alices: Client, shop: Workspace) -> None:
        text = main(page(alices, "workspace_clusters", shop))
        assert "Not there: cart" in text and REASON in text
        assert reverse("cluster_overview", args=[shop.clusters.get(name="harbor-east").pk]) in text

    def test_a_deregistered_cluster_is_said_and_goes_when_it_is_saved(
        self, alices: Client, alice: User, shop: Workspace, seen: Cluster, away: Cluster
    ) -> None:
        deregister_cluster(by=alice, cluster=away, typed_name=away.name)
        assert "deregistered" in main(page(alices, "workspace_clusters", shop))
        text = main(page(alices, "workspace_settings", shop))
        assert "Cannot be chosen; saving takes it out." in text and f'value="{away.pk}"' not in text
        alices.post(reverse("workspace_settings", args=[shop.pk]), typed("shop", seen))
        assert list(shop.clusters.all()) == [seen]

    def test_its_own_backups_and_the_others(self, alices: Client, shop: Workspace, own: Backup, other: Backup) -> None:
        mine, others = (main(page(alices, f"workspace_{tab}", shop)) for tab in ("backups", "others"))
        assert "of-the-shop" in mine and "of-the-cluster" not in mine
        assert "of-the-cluster" in others and "of-the-shop" not in others
        assert reverse("backup_detail", args=[other.pk]) in others
        assert reverse("restore_begin", args=[own.pk]) in mine

    def test_its_restores(self, alices: Client, shop: Workspace, own: Backup, away: Cluster) -> None:
        Restore.objects.create(
            project=own.project, cluster=away, backup=own, workspace=shop, object_name="r-1", state="completed"
        )
        Restore.objects.create(project=own.project, cluster=own.cluster, backup=own, object_name="r-2", state="failed")
        text = main(page(alices, "workspace_restores", shop))
        assert "harbor-west" in text and text.count("<tr id=") == 1

    def test_live_parts(self, alices: Client, shop: Workspace, own: Backup) -> None:
        for name in ("workspace_detail", "workspace_clusters", "workspace_backups", "workspace_others"):
            answer = alices.get(reverse(name, args=[shop.pk]), headers={"Live": "1"})
            assert answer.status_code == 200 and "<html" not in answer.content.decode()


class TestMembers:
    def test_who_holds_which_role_and_through_which_team(self, alices: Client, shop: Workspace) -> None:
        person("direct", role=WorkspaceOperator, on=shop)
        crew = team(person("inherits", on=shop.project), role=WorkspaceAdmin, on=shop)
        gone = person("gone", on=shop.project)
        team(gone, role=WorkspaceOperator, on=shop)
        gone.memberships.update(is_active=False)
        text = main(page(alices, "workspace_members", shop))
        assert "direct@harbor.example" in text and "Workspace Operator" in text
        assert f"Through the team {crew.name}" in text and "inherits@harbor.example" in text
        assert "gone@harbor.example" not in text, "not active: holds nothing through the team"

    def test_a_role_that_does_not_count_is_said(self, alices: Client, shop: Workspace) -> None:
        person("gone", role=WorkspaceOperator, on=shop).memberships.update(is_active=False)
        assert "Deactivated: the role does not count" in page(alices, "workspace_members", shop)

    def test_roles_on_the_project_are_for_those_who_see_it(self, shop: Workspace) -> None:
        viewer = holder(ProjectViewer, shop, "viewer")
        assert "viewer@harbor.example" in main(page(viewer, "workspace_members", shop))
        text = main(page(holder(WorkspaceAdmin, shop, "wadmin"), "workspace_members", shop))
        assert "wadmin@harbor.example" in text and "viewer@harbor.example" not in text
        assert reverse("user_list", args=[shop.project.tenant_id]) not in text

    def test_few_queries_however_many(
        self, alices: Client, shop: Workspace, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(6):
            crew = [person(f"m{number}-{each}", on=shop.project) for each in range(2)]
            team(*crew, role=WorkspaceOperator, on=shop)
        page(alices, "workspace_members", shop)
        with django_assert_max_num_queries(13):
            page(alices, "workspace_members", shop)


class TestSettings:
    def address(self, workspace: Workspace) -> str:
        return reverse("workspace_settings", args=[workspace.pk])

    def test_it_is_shown_as_it_is(self, alices: Client, shop: Workspace, seen: Cluster) -> None:
        form = alices.get(self.address(shop)).context["form"]
        assert form.initial["known"] == ["shop"] and form.initial["others"] == "cart"
        assert set(form.initial["clusters"]) == set(shop.clusters.values_list("pk", flat=True))

    def test_saving(self, alices: Client, shop: Workspace, seen: Cluster) -> None:
        alices.post(self.address(shop), typed("store", seen, description="New", known=["intranet"]))
        shop.refresh_from_db()
        assert (shop.name, shop.description, shop.namespaces) == ("store", "New", ["intranet"])
        assert AuditEvent.objects.filter(verb="workspace.update").count() == 1

    def test_its_own_name_is_not_taken_anothers_is(self, alices: Client, shop: Workspace, seen: Cluster) -> None:
        Workspace.objects.create(project=shop.project, name="other")
        assert alices.post(self.address(shop), typed("shop", seen)).status_code == 302
        answer = alices.post(self.address(shop), typed("other", seen))
        assert answer.status_code == 422 and "of this name" in answer.content.decode()

    def test_its_admin_sets_the_name_and_not_how_far_it_reaches(self, shop: Workspace, seen: Cluster) -> None:
        admin = holder(WorkspaceAdmin, shop)
        text = main(page(admin, "workspace_settings", shop))
        assert 'name="clusters"' not in text and 'name="others"' not in text and "for a Project Admin" in text
        assert REASON not in text
        assert admin.post(self.address(shop), typed("mine", seen, others="kube-system")).status_code == 302
        shop.refresh_from_db()
        assert (shop.name, shop.namespaces, shop.clusters.count()) == ("mine", ["shop", "cart"], 2)

    def test_deleted_in_another_tab(self, alices: Client, shop: Workspace, seen: Cluster) -> None:
        Workspace.objects.filter(pk=shop.pk).delete()
        for tab in (*TABS, "settings", "delete"):
            page(alices, f"workspace_{tab}", shop, 404)
        assert alices.post(self.address(shop), typed("store", seen)).status_code == 404
        assert alices.post(reverse("workspace_delete", args=[shop.pk]), {"typed_name": "shop"}).status_code == 404


class TestDeleting:
    def delete(self, client: Client, workspace: Workspace, name: str = "shop") -> Any:
        return client.post(reverse("workspace_delete", args=[workspace.pk]), {"typed_name": name})

    def test_by_typing_its_name(self, alices: Client, shop: Workspace, own: Backup) -> None:
        answer = self.delete(alices, shop)
        assert answer["Location"] == reverse("workspace_list", args=[shop.project_id])
        assert not Workspace.objects.exists()
        assert "of-the-shop" in page(alices, "backup_detail", own)

    @pytest.mark.parametrize("name", ["", "shops", "SHOP"])
    def test_another_name_deletes_nothing(self, alices: Client, shop: Workspace, name: str) -> None:
        answer = self.delete(alices, shop, name)
        assert answer.status_code == 422 and "to delete it" in answer.content.decode()
        assert Workspace.objects.exists()

    def test_whoever_knew_the_project_by_it_alone_is_led_home(self, shop: Workspace) -> None:
        admin = holder(WorkspaceAdmin, shop)
        answer = admin.post(reverse("workspace_delete", args=[shop.pk]), {"typed_name": "shop"}, follow=True)
        assert answer.status_code == 200 and answer.redirect_chain[0][0] == "/"
        assert "The workspace shop is deleted" in answer.content.decode()


class TestRoles:
    def test_the_operator_only_looks(self, shop: Workspace, own: Backup) -> None:
        operator = holder(WorkspaceOperator, shop)
        for tab in TABS:
            text = page(operator, f"workspace_{tab}", shop)
            assert "Settings" not in text and 'method="post"' not in main(text)
        for name in ("settings", "delete"):
            page(operator, f"workspace_{name}", shop, 403)
        answer = operator.post(reverse("workspace_delete", args=[shop.pk]), {"typed_name": "shop"})
        assert answer.status_code == 403 and Workspace.objects.exists()

    @pytest.mark.parametrize("role", [WorkspaceAdmin, WorkspaceOperator])
    def test_clusters_by_name_and_health_alone(self, shop: Workspace, own: Backup, role: type[Role]) -> None:
        client = holder(role, shop)
        for tab in TABS:
            text = page(client, f"workspace_{tab}", shop)
            assert "/clusters/" not in text.replace(f"/workspaces/{shop.pk}/clusters/", ""), tab
            assert "6443" not in text and "intranet" not in text, tab
        text = main(page(client, "workspace_clusters", shop))
        assert "harbor-east" in text and "Healthy" in text and "Unreachable" in text

    @pytest.mark.parametrize("role", [WorkspaceAdmin, WorkspaceOperator])
    def test_other_backups_by_name_state_and_date_alone(self, shop: Workspace, other: Backup, role: type[Role]) -> None:
        text = main(page(holder(role, shop), "workspace_others", shop))
        assert "of-the-cluster" in text and "Completed" in text and "<time" in text
        for hidden in ("said-by-velero", "somebody-else", other.location.name):
            assert hidden not in text, hidden
        assert reverse("backup_detail", args=[other.pk]) not in text

    def test_two_roles_show_the_way_to_both(self, shop: Workspace, own: Backup, seen: Cluster) -> None:
        second = Workspace.objects.create(project=shop.project, name="second")
        second.clusters.add(seen)
        user = person(role=WorkspaceOperator, on=shop)
        client = signed_in(user)
        assert reverse("backup_detail", args=[own.pk]) in page(client, "workspace_list", shop.project)
        give(user, WorkspaceOperator, second)
        assert reverse("backup_detail", args=[own.pk]) in page(client, "workspace_others", second)

    def test_crumbs_of_a_backup_lead_back_to_the_workspace(self, shop: Workspace, own: Backup) -> None:
        text = main(page(holder(WorkspaceOperator, shop), "backup_detail", own))
        for name in ("workspace_detail", "workspace_backups"):
            assert reverse(name, args=[shop.pk]) in text

    def test_another_tenants_is_as_one_that_is_not_there(self, charlie: User, shop: Workspace) -> None:
        stranger = signed_in(charlie)
        missing = uuid.uuid4()
        addresses = [reverse(f"workspace_{tab}", args=[shop.pk]) for tab in (*TABS, "settings", "delete")]
        addresses += [reverse(f"workspace_{name}", args=[shop.project_id]) for name in ("list", "create")]
        for method in ("get", "post"):
            for address in addresses:
                nowhere = address.replace(str(shop.pk), str(missing)).replace(str(shop.project_id), str(missing))
                answers = [(getattr(stranger, method)(each), each) for each in (address, nowhere)]
                assert {answer.status_code for answer, _ in answers} <= {404, 405}
                assert len({told(answer, each) for answer, each in answers}) == 1, address


def told(answer: Any, address: str) -> tuple[int, str]:
    body = unescape(answer.content.decode()).replace(answer["X-Request-ID"], "REFERENCE").replace(address, "HERE")
    return answer.status_code, main(body) if "<main" in body else body
