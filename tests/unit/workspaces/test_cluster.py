"""Registering clusters: works, bad input at its field, strangers, twins."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, User
from console.lib.errors import BadInput, NotVisible
from tests.conftest import make_cluster
from tests.unit.console.kube import kubeconfigs
from workspaces.actions import cluster as actions
from workspaces.actions.project import create_project
from workspaces.models import Cluster, ClusterCheck, Presence, Project
from workspaces.models.cluster import STALE_AFTER, CheckState, ClusterState

Sent = list[tuple[str, str, int, str]]
pytestmark = pytest.mark.django_db


@pytest.fixture
def kubeconfig() -> str:
    return kubeconfigs.text()


def passed(project: Project, text: str, uid: str = "uid-1", **fields: object) -> ClusterCheck:
    """A check that reached a cluster."""
    values: dict[str, object] = {
        "kubeconfig": {"kubeconfig": text, "context": ""},
        "state": CheckState.COMPLETED,
        "facts": {"uid": uid, "state": ClusterState.HEALTHY, "state_reason": ""},
        "finished_at": timezone.now(),
    }
    return ClusterCheck.objects.create(project=project, **values | fields)


class TestRequestCheck:
    def test_a_row_and_a_message(
        self, alice: User, project: Project, kubeconfig: str, sent: Sent, django_capture_on_commit_callbacks: object
    ) -> None:
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
            check = actions.request_check(by=alice, project=project, kubeconfig=kubeconfig)
        assert sent == [("backups.jobs.check_cluster", str(check.pk), 0, "interactive")]
        assert ClusterCheck.objects.get().kubeconfig == {"kubeconfig": kubeconfig, "context": ""}
        assert check.requested_by_name == str(alice)

    @pytest.mark.parametrize("text", ["", "not: a: kubeconfig", "[]", "\x00", "a" * 600_000])
    def test_what_is_no_kubeconfig_is_said_at_the_field(self, alice: User, project: Project, text: str) -> None:
        with pytest.raises(BadInput) as caught:
            actions.request_check(by=alice, project=project, kubeconfig=text)
        assert caught.value.field == "kubeconfig"
        assert not ClusterCheck.objects.exists()

    def test_exec_is_refused_before_anything_is_stored(self, alice: User, project: Project) -> None:
        text = kubeconfigs.text(user={"token": None, "exec": {"command": "/bin/sh", "args": ["-c"]}})
        with pytest.raises(BadInput, match="exec") as caught:
            actions.request_check(by=alice, project=project, kubeconfig=text)
        assert caught.value.field == "kubeconfig"
        assert not ClusterCheck.objects.exists()
        assert not AuditEvent.objects.filter(verb="cluster.check").exists()

    @pytest.mark.parametrize("namespace", ["", "Velero", "a/b", "x" * 64, "../secrets"])
    def test_a_namespace_that_cannot_be_is_said_at_its_field(
        self, alice: User, project: Project, kubeconfig: str, namespace: str
    ) -> None:
        with pytest.raises(BadInput) as caught:
            actions.request_check(by=alice, project=project, kubeconfig=kubeconfig, velero_namespace=namespace)
        assert caught.value.field == "velero_namespace"

    def test_a_stranger(self, charlie: User, project: Project, kubeconfig: str) -> None:
        with pytest.raises(NotVisible):
            actions.request_check(by=charlie, project=project, kubeconfig=kubeconfig)

    def test_a_kubeconfig_for_somebody_elses_cluster(
        self, alice: User, charlie: User, project: Project, kubeconfig: str, east: Cluster
    ) -> None:
        theirs = create_project(by=charlie, tenant=charlie.memberships.get().tenant, name="Theirs")
        with pytest.raises(NotVisible) as caught:
            actions.request_check(by=charlie, project=theirs, kubeconfig=kubeconfig, replaces=east)
        assert east.name not in caught.value.sentence()

    def test_again_for_a_registered_one(self, alice: User, charlie: User, east: Cluster) -> None:
        check = actions.request_recheck(by=alice, cluster=east)
        assert (check.cluster, check.kubeconfig, check.project) == (east, None, east.project)
        with pytest.raises(NotVisible):
            actions.request_recheck(by=charlie, cluster=east)


class TestRegister:
    def test_it_holds_what_the_check_saw(self, alice: User, project: Project, kubeconfig: str) -> None:
        check = passed(project, kubeconfig)
        made = actions.register_cluster(by=alice, check=check, name="harbor-east", tags=["prod"])
        cluster = Cluster.objects.get(pk=made.pk)
        assert (cluster.name, cluster.uid, cluster.state, cluster.tags) == ("harbor-east", "uid-1", "healthy", ["prod"])
        assert cluster.server == "https://203.0.113.7:6443"
        assert cluster.kubeconfig["kubeconfig"] == kubeconfig
        assert cluster.seen_at == check.finished_at

    @pytest.mark.parametrize(
        "fields",
        [{"state": CheckState.REQUESTED}, {"state": CheckState.FAILED}, {"facts": {}}, {"kubeconfig": None}],
        ids=["open", "failed", "without uid", "without kubeconfig"],
    )
    def test_what_the_check_did_not_reach_is_not_registered(
        self, alice: User, project: Project, kubeconfig: str, fields: dict[str, object]
    ) -> None:
        with pytest.raises(BadInput) as caught:
            actions.register_cluster(by=alice, check=passed(project, kubeconfig, **fields), name="harbor-east")
        assert caught.value.field == "kubeconfig"
        assert not Cluster.objects.exists()

    @pytest.mark.parametrize(("name", "field"), [("", "name"), ("x" * 64, "name")])
    def test_a_bad_name(self, alice: User, project: Project, kubeconfig: str, name: str, field: str) -> None:
        with pytest.raises(BadInput) as caught:
            actions.register_cluster(by=alice, check=passed(project, kubeconfig), name=name)
        assert caught.value.field == field

    def test_a_name_that_is_taken(self, alice: User, project: Project, kubeconfig: str, east: Cluster) -> None:
        with pytest.raises(BadInput, match="of this name is registered in the project already"):
            actions.register_cluster(by=alice, check=passed(project, kubeconfig), name=east.name)

    def test_the_same_cluster_twice(self, alice: User, project: Project, kubeconfig: str) -> None:
        first = actions.register_cluster(by=alice, check=passed(project, kubeconfig), name="one")
        with pytest.raises(BadInput, match=f"registered in this project already, as {first.name}"):
            actions.register_cluster(by=alice, check=passed(project, kubeconfig), name="two")

    def test_the_same_cluster_in_another_project_of_the_tenant(
        self, alice: User, project: Project, kubeconfig: str
    ) -> None:
        actions.register_cluster(by=alice, check=passed(project, kubeconfig), name="one")
        second = create_project(by=alice, tenant=project.tenant, name="Second")
        with pytest.raises(BadInput, match="another project of your organisation"):
            actions.register_cluster(by=alice, check=passed(second, kubeconfig), name="two")

    def test_another_tenant_may_have_it_and_is_told_nothing(
        self, alice: User, charlie: User, project: Project, kubeconfig: str
    ) -> None:
        actions.register_cluster(by=alice, check=passed(project, kubeconfig), name="one")
        theirs = create_project(by=charlie, tenant=charlie.memberships.get().tenant, name="Theirs")
        assert actions.register_cluster(by=charlie, check=passed(theirs, kubeconfig), name="one").uid == "uid-1"

    def test_submitted_twice_it_is_one(self, alice: User, project: Project, kubeconfig: str) -> None:
        check = passed(project, kubeconfig)
        actions.register_cluster(by=alice, check=check, name="one")
        with pytest.raises(BadInput):
            actions.register_cluster(by=alice, check=check, name="one")
        assert Cluster.objects.count() == 1

    def test_a_stranger(self, charlie: User, project: Project, kubeconfig: str) -> None:
        with pytest.raises(NotVisible):
            actions.register_cluster(by=charlie, check=passed(project, kubeconfig), name="one")
        assert not Cluster.objects.exists()


class TestChange:
    def test_update(self, alice: User, charlie: User, east: Cluster) -> None:
        actions.update_cluster(by=alice, cluster=east, name="renamed", tags=["a"])
        assert Cluster.objects.get().name == "renamed"
        with pytest.raises(NotVisible):
            actions.update_cluster(by=charlie, cluster=east, name="stolen")
        assert AuditEvent.objects.get(verb="cluster.update").details == {"changed": ["name", "tags"]}

    def test_a_taken_name_changes_nothing(self, alice: User, east: Cluster, west: Cluster) -> None:
        with pytest.raises(BadInput, match="of this name"):
            actions.update_cluster(by=alice, cluster=west, name=east.name)
        assert Cluster.objects.get(pk=west.pk).name == "harbor-west"

    def test_another_kubeconfig(self, alice: User, project: Project, kubeconfig: str) -> None:
        cluster = make_cluster(project, "east", uid="uid-1", retry_at=timezone.now() + timedelta(hours=1))
        check = passed(project, kubeconfig, cluster=cluster)
        actions.replace_kubeconfig(by=alice, cluster=cluster, check=check)
        stored = Cluster.objects.get()
        assert stored.kubeconfig["kubeconfig"] == kubeconfig
        assert stored.retry_at is None

    @pytest.mark.parametrize(
        "fields",
        [
            {"facts": {"uid": "another"}},
            {"state": CheckState.FAILED},
            {"state": CheckState.REQUESTED},
            {"kubeconfig": None},
        ],
        ids=["another cluster", "failed", "open", "no kubeconfig"],
    )
    def test_a_kubeconfig_that_was_not_seen_to_reach_it(
        self, alice: User, project: Project, kubeconfig: str, fields: dict[str, object]
    ) -> None:
        cluster = make_cluster(project, "east", uid="uid-1")
        with pytest.raises(BadInput, match="not seen to reach") as caught:
            actions.replace_kubeconfig(by=alice, cluster=cluster, check=passed(project, kubeconfig, **fields))
        assert caught.value.field == "kubeconfig"
        assert Cluster.objects.get().kubeconfig["kubeconfig"] == "planted-kubeconfig-secret"

    def test_a_check_of_another_project(self, alice: User, project: Project, kubeconfig: str) -> None:
        cluster = make_cluster(project, "east", uid="uid-1")
        second = create_project(by=alice, tenant=project.tenant, name="Second")
        with pytest.raises(BadInput, match="not seen to reach"):
            actions.replace_kubeconfig(by=alice, cluster=cluster, check=passed(second, kubeconfig))

    def test_deregistering_forgets_the_credentials(self, alice: User, charlie: User, east: Cluster) -> None:
        with pytest.raises(BadInput) as caught:
            actions.deregister_cluster(by=alice, cluster=east, typed_name="harbor")
        assert caught.value.field == "typed_name"
        with pytest.raises(NotVisible):
            actions.deregister_cluster(by=charlie, cluster=east, typed_name=east.name)
        actions.deregister_cluster(by=alice, cluster=east, typed_name=east.name)
        stored = Cluster.objects.get()
        assert stored.kubeconfig["kubeconfig"] == ""
        assert not Cluster.objects.registered().exists()

    def test_a_name_and_a_uid_are_free_again_afterwards(self, alice: User, project: Project, east: Cluster) -> None:
        actions.deregister_cluster(by=alice, cluster=east, typed_name=east.name)
        make_cluster(project, east.name, uid=east.uid)
        assert Cluster.objects.registered().count() == 1


class TestRow:
    def test_it_is_stale_when_nobody_has_seen_it_for_long(self, east: Cluster) -> None:
        assert east.is_stale
        east.seen_at = timezone.now()
        assert not east.is_stale
        east.seen_at = timezone.now() - STALE_AFTER - timedelta(seconds=1)
        assert east.is_stale

    def test_leases_of_the_watch(self, east: Cluster, west: Cluster) -> None:
        assert Cluster.objects.lease_watch("one", 30) == 2
        assert Cluster.objects.lease_watch("two", 30) == 0
        assert Cluster.objects.lease_watch("one", 30) == 2
        Cluster.objects.filter(pk=west.pk).update(watched_until=timezone.now() - timedelta(seconds=1))
        assert Cluster.objects.lease_watch("two", 30) == 1
        assert Cluster.objects.get(pk=west.pk).watched_by == "two"
        assert Cluster.objects.get(pk=east.pk).watched_by == "one"

    def test_a_second_reconciler_gets_its_share(self, project: Project) -> None:
        """The first gives up what is beyond its share; the second takes that and no more."""
        for number in range(5):
            make_cluster(project, f"harbor-{number}")
        assert Cluster.objects.lease_watch("one", 30) == 5
        assert Cluster.objects.lease_watch("one", 30, alive=2) == 3
        assert Cluster.objects.lease_watch("two", 30, alive=2) == 2
        assert Cluster.objects.lease_watch("one", 30, alive=2) == 3
        Cluster.objects.let_go_of_watch("two")
        assert Cluster.objects.lease_watch("one", 30) == 5

    def test_who_is_alive(self, db: None) -> None:
        assert Presence.objects.announce("one", 30) == 1
        assert Presence.objects.announce("two", 30) == 2
        Presence.objects.filter(holder="two").update(until=timezone.now() - timedelta(seconds=1))
        assert Presence.objects.announce("one", 30) == 1
        Presence.objects.leave("one")
        assert not Presence.objects.exists()

    def test_a_deregistered_one_is_not_watched(self, alice: User, east: Cluster) -> None:
        Cluster.objects.lease_watch("one", 30)
        actions.deregister_cluster(by=alice, cluster=Cluster.objects.get(), typed_name=east.name)
        assert Cluster.objects.lease_watch("one", 30) == 0
        assert not Cluster.objects.filter(watched_by="one").exists()

    def test_the_breaker(self, east: Cluster, west: Cluster) -> None:
        Cluster.objects.filter(pk=east.pk).update(retry_at=timezone.now() + timedelta(seconds=5))
        Cluster.objects.filter(pk=west.pk).update(retry_at=timezone.now() - timedelta(seconds=5))
        assert list(Cluster.objects.quiet_breaker()) == [west]
