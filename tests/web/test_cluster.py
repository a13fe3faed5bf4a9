"""The list of clusters, one cluster's pages and its settings. Registering one is in test_register.py."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEvent, User
from backups.models import Backup, BackupLocation, Restore
from backups.reconcile.cluster import TITLES
from tests.conftest import make_cluster
from tests.web.test_project import make_backup
from workspaces.models import Cluster, ClusterCheck, Project
from workspaces.models.cluster import CheckState, ClusterState
from workspaces.views.checks import STEPS, shown

SENT = list[tuple[str, str, int, str]]
BASICS = {"name": "harbor-east", "description": "", "tags": "", "cloud_type": "other", "cloud_account": ""}
FACTS = {
    "version": "v1.36.3",
    "uid": "uid-of-east",
    "state": "healthy",
    "missing_rights": [],
    "velero": {"version": "v1.18.3", "plugins": ["velero.io/aws"], "node_agent": False},
    "storage_classes": [{"name": "gp2", "provisioner": "ebs.csi.aws.com", "is_default": True, "reclaim_policy": ""}],
    "snapshot_classes": [],
    "namespaces": ["shop", "intranet"],
    "cloud": "aws",
}
PAGES = ("cluster_overview", "cluster_events", "cluster_settings", "cluster_schedule", "cluster_kubeconfig",
         "cluster_deregister")  # fmt: skip
POSTED = ("cluster_recheck", "cluster_settings", "cluster_kubeconfig_replace", "cluster_deregister")


pytestmark = pytest.mark.usefixtures("commits_at_once")


@pytest.fixture
def known(project: Project) -> Cluster:
    """A cluster that was seen a moment ago and checked before."""
    return make_cluster(project, "harbor-east", seen_at=timezone.now(), facts=FACTS, uid="uid-of-east")


def url(name: str, cluster: Cluster, *more: object) -> str:
    return reverse(name, args=[cluster.pk, *more])


def list_url(project: Project) -> str:
    return reverse("cluster_list", args=[project.pk])


def listed(client: Client, project: Project, **query: str) -> list[str]:
    return [cluster.name for cluster in client.get(list_url(project), query).context["list"].page]


# The list


def test_an_empty_list_says_what_to_do_first(alices: Client, project: Project) -> None:
    page = alices.get(list_url(project)).content.decode()
    assert "No cluster yet" in page
    assert page.count(reverse("cluster_register", args=[project.pk])) == 2


def test_a_line_has_state_versions_tags_and_the_last_backup(
    alices: Client, project: Project, known: Cluster, store: BackupLocation
) -> None:
    Cluster.objects.filter(pk=known.pk).update(tags=["production"], cloud_type="eks", cloud_account="prod-account")
    make_backup(known, store, "older", state="completed")
    make_backup(known, store, "newer", state="failed", message="The bucket is gone.")
    page = alices.get(list_url(project)).content.decode()
    for shown_text in ("harbor-east", "Healthy", "Amazon EKS", "prod-account", "v1.36.3", "v1.18.3", "production"):
        assert shown_text in page
    assert "Failed" in page
    assert "Completed" not in page, "only the last backup counts"


def test_what_was_not_seen_for_a_while_is_unknown_and_never_healthy(alices: Client, project: Project) -> None:
    make_cluster(project, "stale", seen_at=timezone.now() - timedelta(minutes=10))
    page = alices.get(list_url(project)).content.decode()
    assert "Not seen since" in page
    assert 'class="badge ok"' not in page
    assert listed(alices, project, state="healthy") == []
    assert listed(alices, project, state="unknown") == ["stale"]


def test_search_and_filter(alices: Client, project: Project, known: Cluster) -> None:
    make_cluster(project, "lost", state=ClusterState.UNREACHABLE, tags=["edge", "berlin"])
    assert listed(alices, project) == ["harbor-east", "lost"]
    assert listed(alices, project, q="EAST") == ["harbor-east"]
    assert listed(alices, project, q="berlin") == ["lost"]
    assert listed(alices, project, state="unreachable") == ["lost"]
    assert listed(alices, project, state="nonsense") == ["harbor-east", "lost"]
    assert "No cluster matches" in alices.get(list_url(project), {"q": "nowhere"}).content.decode()


def test_deregistered_clusters_and_those_of_others_are_not_listed(
    alices: Client, project: Project, charlie: User
) -> None:
    make_cluster(project, "left", deregistered_at=timezone.now())
    assert listed(alices, project) == []
    alices.force_login(charlie)
    assert alices.get(list_url(project)).status_code == 404


def test_a_long_list_pages_and_its_queries_do_not_grow(
    alices: Client, project: Project, store: BackupLocation, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        make_backup(make_cluster(project, f"c{number:02}", seen_at=timezone.now()), store)
    alices.get(list_url(project))
    with django_assert_max_num_queries(9):
        page = alices.get(list_url(project))
    assert len(page.context["list"].page) == 25
    assert listed(alices, project, page="2") == [f"c{number}" for number in range(25, 30)]


# One cluster


def test_the_overview_shows_what_is_known(alices: Client, known: Cluster, store: BackupLocation) -> None:
    backup = make_backup(known, store)
    page = alices.get(url("cluster_overview", known)).content.decode()
    for text in ("v1.36.3", "v1.18.3", "velero.io/aws", "gp2", "ebs.csi.aws.com", known.server, backup.name):
        assert text in page
    assert url("backup_create", known) in page
    assert "has not been seen for a while" not in page


def test_what_was_never_found_out_is_said_to_be_unknown(alices: Client, project: Project) -> None:
    blank = make_cluster(project, "blank", facts={}, seen_at=timezone.now(), state=ClusterState.PENDING)
    assert alices.get(url("cluster_overview", blank)).content.decode().count("Unknown") >= 5


def test_a_stale_cluster_says_so(alices: Client, project: Project) -> None:
    stale = make_cluster(project, "stale", seen_at=timezone.now() - timedelta(minutes=10))
    page = alices.get(url("cluster_overview", stale)).content.decode()
    assert "has not been seen for a while" in page
    assert "When it was last seen, it was healthy" in page


def test_without_velero_no_backup_is_offered(alices: Client, known: Cluster) -> None:
    Cluster.objects.filter(pk=known.pk).update(state=ClusterState.VELERO_MISSING)
    page = alices.get(url("cluster_overview", known)).content.decode()
    assert "Velero missing since" in page
    assert url("backup_create", known) not in page


def test_trouble_is_said_with_its_reason_and_since_when(alices: Client, project: Project) -> None:
    reason = "Velero is installed but does not answer; it may be stopped or starting."
    troubled = make_cluster(
        project,
        "troubled",
        seen_at=timezone.now(),
        state=ClusterState.DEGRADED,
        state_reason=reason,
        facts=FACTS | {"missing_rights": ["get secrets in velero", "list nodes"]},
    )
    page = alices.get(url("cluster_overview", troubled)).content.decode()
    assert "Degraded since" in page
    assert reason in page
    assert "lacks 2 rights" in page
    assert "get secrets in velero" in page


@pytest.mark.parametrize(
    ("days", "words"), [(30, None), (13, "The credentials end"), (-1, "The credentials ended"), (None, None)]
)
def test_the_end_of_the_credentials_is_shown_ahead(
    alices: Client, known: Cluster, days: int | None, words: str | None
) -> None:
    end = None if days is None else timezone.now() + timedelta(days=days)
    Cluster.objects.filter(pk=known.pk).update(access_expires_at=end)
    page = alices.get(url("cluster_overview", known)).content.decode()
    assert (words in page) if words else ("The credentials end" not in page)


def test_the_state_beside_the_name_is_live_on_every_page(alices: Client, known: Cluster) -> None:
    state = url("cluster_state", known)
    for name in PAGES:
        assert f'src="{state}"' in alices.get(url(name, known)).content.decode()
    assert "Healthy" in alices.get(state, headers={"Live": "1"}).content.decode()
    Cluster.objects.filter(pk=known.pk).update(state=ClusterState.UNREACHABLE, state_reason="No route to host.")
    assert "Unreachable" in alices.get(state, headers={"Live": "1"}).content.decode()
    assert alices.get(state).headers["Location"] == url("cluster_overview", known)


def test_the_overview_is_live_while_something_runs(alices: Client, known: Cluster, store: BackupLocation) -> None:
    make_backup(known, store, state="running", items_done=1, items_total=4)
    answer = alices.get(url("cluster_overview", known), headers={"Live": "1"})
    assert answer["Live-Interval"] == "300"
    assert "1 of 4 items" in answer.content.decode()


def test_events_tell_who_did_what_to_the_cluster_its_backups_and_restores(
    alices: Client, alice: User, known: Cluster, west: Cluster, store: BackupLocation
) -> None:
    mine, other = make_backup(known, store, "mine"), make_backup(west, store, "not-mine")
    restore = Restore.objects.create(
        project=known.project, backup=other, cluster=known, object_name="r-1", state="failed"
    )
    for verb, target in (
        ("cluster.register", known),
        ("backup.create", mine),
        ("backup.create", other),
        ("restore.create", restore),
        ("cluster.teleport", known),
    ):
        audit.record(by=alice, verb=verb, target=target)
    response = alices.get(url("cluster_events", known))
    assert [event.what for event in response.context["events"]] == [
        "cluster.teleport",  # a verb without words yet is shown as it is
        "Asked for a restore",
        "Asked for a backup",
        "Registered the cluster",
    ]
    page = response.content.decode()
    assert alice.email in page
    assert reverse("backup_detail", args=[mine.pk]) in page
    assert reverse("backup_detail", args=[other.pk]) not in page
    assert [event.outcome for event in response.context["events"]] == ["done", "failed", "completed", "done"]


def test_events_page(alices: Client, alice: User, known: Cluster, django_assert_max_num_queries: Any) -> None:
    for _ in range(30):
        audit.record(by=alice, verb="cluster.update", target=known)
    alices.get(url("cluster_events", known))
    with django_assert_max_num_queries(13):
        first = alices.get(url("cluster_events", known))
    assert len(first.context["events"]) == 25
    assert len(alices.get(url("cluster_events", known), {"page": "2"}).context["events"]) == 5


def test_a_cluster_without_events_says_so(alices: Client, known: Cluster) -> None:
    assert "Nothing happened yet" in alices.get(url("cluster_events", known)).content.decode()


# Settings


def test_general_changes_the_basics(alices: Client, known: Cluster) -> None:
    changed = {"name": "east", "description": "Shops", "tags": "a, b , a,", "cloud_type": "eks", "cloud_account": "x"}
    answer = alices.post(url("cluster_settings", known), changed)
    assert answer.headers["Location"] == url("cluster_settings", known)
    known.refresh_from_db()
    assert (known.name, known.description, known.tags, known.cloud_type) == ("east", "Shops", ["a", "b"], "eks")
    assert AuditEvent.objects.get(verb="cluster.update").actor == "alice@harbor.example"
    assert 'value="a, b"' in alices.get(url("cluster_settings", known)).content.decode()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "", "Give the cluster a name"),
        ("name", "harbor-west", "registered in the project already"),
        ("cloud_type", "moon", "not one of the available choices"),
        ("tags", ",".join(f"t{number}" for number in range(21)), "20 tags at most"),
        ("tags", "x" * 41, "40 characters"),
        ("description", "d" * 1001, "1000"),
    ],
)
def test_bad_basics_are_said_at_their_field(
    alices: Client, known: Cluster, west: Cluster, field: str, value: str, says: str
) -> None:
    answer = alices.post(url("cluster_settings", known), BASICS | {"description": "kept", field: value})
    assert answer.status_code == 422
    form = answer.context["form"]
    assert list(form.errors) == [field]
    assert says in form.errors[field][0]
    assert "<h1>harbor-east</h1>" in answer.content.decode(), "the page is still about the cluster as it is"
    if field != "description":
        assert "kept" in answer.content.decode()


def test_schedule_backups_offers_backup_now_and_a_first_policy(alices: Client, known: Cluster) -> None:
    page = alices.get(url("cluster_schedule", known)).content.decode()
    assert url("backup_create", known) in page
    assert url("policy_create", known) in page
    assert "No backup policy yet" in page


def test_check_again_wakes_a_worker_once(alices: Client, known: Cluster, sent: SENT) -> None:
    for _ in range(2):
        assert alices.post(url("cluster_recheck", known)).headers["Location"] == url("cluster_kubeconfig", known)
    (check,) = ClusterCheck.objects.all()
    assert sent == [("backups.jobs.check_cluster", str(check.pk), 0, "interactive")]


def test_the_steps_of_the_check_are_shown_as_they_come(alices: Client, known: Cluster) -> None:
    passed = {"id": "kubeconfig", "title": "Read the kubeconfig", "outcome": "pass", "cause": "", "remedy": ""}
    check = ClusterCheck.objects.create(project=known.project, cluster=known, attempt=1, steps=[passed])
    answer = alices.get(url("cluster_kubeconfig", known), headers={"Live": "1"})
    assert answer["Live-Interval"] == "300"
    assert [step["outcome"] for step in answer.context["shown"].steps] == ["pass", "running", "", "", "", ""]
    failed = {"id": "reach", "title": "Reach the API server", "outcome": "fail", "cause": "No route to host.",
              "remedy": "Check the address."}  # fmt: skip
    ClusterCheck.objects.filter(pk=check.pk).update(
        state=CheckState.FAILED, steps=[passed, failed], finished_at=timezone.now()
    )
    answer = alices.get(url("cluster_kubeconfig", known), headers={"Live": "1"})
    assert answer["Live-Interval"] == "5000"
    assert [step["outcome"] for step in answer.context["shown"].steps][1:] == ["fail", *["skipped"] * 4]
    assert "No route to host." in answer.content.decode()
    assert "Check the address." in answer.content.decode()


def test_a_check_that_no_worker_takes_says_so(alices: Client, known: Cluster) -> None:
    check = ClusterCheck.objects.create(project=known.project, cluster=known)
    assert "No worker has taken" not in alices.get(url("cluster_kubeconfig", known)).content.decode()
    ClusterCheck.objects.filter(pk=check.pk).update(created_at=timezone.now() - timedelta(seconds=30))
    assert "No worker has taken" in alices.get(url("cluster_kubeconfig", known)).content.decode()


def test_the_page_knows_every_step_of_the_worker() -> None:
    assert STEPS == TITLES
    assert [step["id"] for step in shown(ClusterCheck(created_at=timezone.now())).steps] == [id_ for id_, _ in TITLES]


def test_deregistering_wants_the_name(alices: Client, known: Cluster, store: BackupLocation) -> None:
    make_backup(known, store)
    answer = alices.post(url("cluster_deregister", known), {"typed_name": "harbour-east"})
    assert answer.status_code == 422
    assert "typed_name" in answer.context["form"].errors
    answer = alices.post(url("cluster_deregister", known), {"typed_name": "harbor-east"})
    assert answer.headers["Location"] == list_url(known.project)
    known.refresh_from_db()
    assert known.deregistered_at
    assert known.kubeconfig == {"kubeconfig": "", "context": ""}
    assert Backup.objects.filter(cluster=known).exists()
    assert alices.get(url("cluster_overview", known)).status_code == 404


# At every address


@pytest.mark.parametrize("name", PAGES)
def test_pages_show_no_secret_and_are_the_tenants_own(
    client: Client, alice: User, charlie: User, known: Cluster, name: str
) -> None:
    address = url(name, known)
    assert client.get(address).headers["Location"].startswith("/login/?next=")
    client.force_login(charlie)
    missing = client.get(url(name, Cluster(pk=uuid.uuid4())))
    theirs = client.get(address)
    assert theirs.status_code == missing.status_code == 404
    client.force_login(alice)
    page = client.get(address)
    assert page.status_code == 200
    assert "planted" not in page.content.decode()


@pytest.mark.parametrize("name", POSTED)
def test_another_tenant_changes_nothing(client: Client, charlie: User, known: Cluster, sent: SENT, name: str) -> None:
    client.force_login(charlie)
    assert client.post(url(name, known), {"typed_name": known.name}).status_code == 404
    assert sent == []


@pytest.mark.parametrize(
    ("name", "method"),
    [("cluster_overview", "post"),
        ("cluster_state", "post"), ("cluster_events", "post"), ("cluster_schedule", "post"),
     ("cluster_recheck", "get"), ("cluster_settings", "put"), ("cluster_deregister", "delete")],
)  # fmt: skip
def test_other_methods_are_refused(alices: Client, known: Cluster, name: str, method: str) -> None:
    assert getattr(alices, method)(url(name, known)).status_code == 405
