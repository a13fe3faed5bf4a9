"""Register a cluster: the wizard from its first page to what it made."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.actions import add_tenant_admin
from accounts.models import AuditEvent, User
from backups.actions.access import access_manifest
from tests.conftest import PASSWORD, make_cluster
from tests.unit.console.kube.kubeconfigs import document
from tests.web.registering import (
    NEWER,
    PASSED,
    TOKEN,
    at,
    connected,
    connection,
    fails,
    kubeconfig,
    passes,
    several_contexts,
)
from tests.web.test_cluster import BASICS, SENT
from workspaces.models import Cluster, ClusterCheck, Draft, Project

pytestmark = pytest.mark.usefixtures("commits_at_once")


@pytest.fixture
def begun(alices: Client, project: Project) -> Draft:
    """Alice has begun to register a cluster."""
    alices.get(reverse("cluster_register", args=[project.pk]))
    return Draft.objects.get()


# The way through


def test_from_the_first_page_to_a_registered_cluster(alices: Client, begun: Draft, sent: SENT) -> None:
    check = connected(alices, begun)
    assert sent == [("backups.jobs.check_cluster", str(check.pk), 0, "interactive")]
    page = alices.get(at(begun, "check"), headers={"Live": "1"})
    assert page["Live-Interval"] == "300"
    assert "disabled" in page.content.decode(), "Next waits for the check"
    passes(check)
    page = alices.get(at(begun, "check"), headers={"Live": "1"})
    assert page["Live-Interval"] == "5000"
    assert "disabled" not in page.content.decode()
    assert alices.post(at(begun, "check"), {"go": "on"}).headers["Location"] == at(begun, "review")
    review = alices.get(at(begun, "review")).content.decode()
    for text in ("harbor-east", "v1.36.3", "v1.18.3", "Set"):
        assert text in review
    cluster_url = alices.post(at(begun, "review")).headers["Location"]
    cluster = Cluster.objects.get()
    assert cluster_url == reverse("cluster_overview", args=[cluster.pk])
    assert (cluster.name, cluster.uid, cluster.state) == ("harbor-east", "uid-of-east", "healthy")
    assert TOKEN in cluster.kubeconfig["kubeconfig"]
    assert alices.get(cluster_url).status_code == 200


def test_what_was_tried_is_kept_with_the_cluster_without_its_credentials(
    alices: Client, begun: Draft, sent: SENT
) -> None:
    check = connected(alices, begun)
    passes(check)
    alices.post(at(begun, "check"), {"go": "on"})
    alices.post(at(begun, "review"))
    check.refresh_from_db()
    assert check.cluster == Cluster.objects.get()
    assert check.kubeconfig is None
    begun.refresh_from_db()
    assert begun.data == {}
    page = alices.get(reverse("cluster_kubeconfig", args=[check.cluster_id])).content.decode()
    assert "Read the kubeconfig" in page, "the steps of the check it was registered with"


def test_a_double_click_registers_once(alices: Client, begun: Draft, sent: SENT) -> None:
    passes(connected(alices, begun))
    alices.post(at(begun, "check"), {"go": "on"})
    first, second = (alices.post(at(begun, "review")).headers["Location"] for _ in range(2))
    assert first == second
    assert Cluster.objects.count() == 1
    assert AuditEvent.objects.filter(verb="cluster.register").count() == 1


def test_velero_missing_is_a_warning_one_may_go_on_with(alices: Client, begun: Draft, sent: SENT) -> None:
    check = connected(alices, begun)
    passes(check, state="velero_missing", velero={}, state_reason="Velero is not installed in this cluster.")
    warning = {"id": "velero", "title": "Find Velero", "outcome": "warning", "cause": "Velero is not installed.",
               "remedy": "Install it."}  # fmt: skip
    ClusterCheck.objects.filter(pk=check.pk).update(steps=[PASSED, warning])
    page = alices.get(at(begun, "check")).content.decode()
    assert "can be registered" in page
    assert "Install it." in page
    assert alices.post(at(begun, "check"), {"go": "on"}).headers["Location"] == at(begun, "review")
    assert "nothing can be backed up until it is installed" in alices.get(at(begun, "review")).content.decode()
    alices.post(at(begun, "review"))
    assert Cluster.objects.get().state == "velero_missing"


# The check


def test_a_failed_check_says_why_and_does_not_let_one_on(alices: Client, begun: Draft, sent: SENT) -> None:
    check = connected(alices, begun)
    fails(check)
    page = alices.get(at(begun, "check")).content.decode()
    assert "No route to host." in page
    assert "Look at it." in page
    assert "Location" not in alices.post(at(begun, "check"), {"go": "on"}).headers
    assert alices.get(at(begun, "review")).headers["Location"] == at(begun, "check")
    assert alices.post(at(begun, "review")).headers["Location"] == at(begun, "check")
    assert not Cluster.objects.exists()


def test_check_again_starts_another_one_but_never_two_at_once(alices: Client, begun: Draft, sent: SENT) -> None:
    first = connected(alices, begun)
    alices.post(at(begun, "check"), {"again": "1"})
    assert ClusterCheck.objects.count() == 1, "the first one still runs"
    fails(first)
    alices.post(at(begun, "check"), {"again": "1"})
    second = ClusterCheck.objects.exclude(pk=first.pk).get()
    assert alices.get(at(begun, "check")).context["shown"].check == second
    passes(second)
    assert alices.post(at(begun, "check"), {"go": "on"}).headers["Location"] == at(begun, "review")


def test_submitting_the_connection_again_keeps_the_check_of_the_same_text(
    alices: Client, begun: Draft, sent: SENT
) -> None:
    check = connected(alices, begun)
    alices.post(at(begun, "connection"), connection(kubeconfig=""))
    assert ClusterCheck.objects.count() == 1
    fails(check)
    alices.post(at(begun, "connection"), connection(kubeconfig=""))
    assert ClusterCheck.objects.count() == 2, "one that failed is tried again"


@pytest.mark.parametrize("change", [{"kubeconfig": kubeconfig(NEWER)}, {"velero_namespace": "backup-system"}])
def test_another_connection_makes_the_check_worthless(
    alices: Client, begun: Draft, sent: SENT, change: dict[str, str]
) -> None:
    passes(connected(alices, begun))
    alices.post(at(begun, "check"), {"go": "on"})
    alices.post(at(begun, "connection"), connection(**change) | {"go": "save"})  # typed, and left by a link
    assert alices.get(at(begun, "review")).headers["Location"] == at(begun, "check")
    assert "changed after it was checked" in alices.get(at(begun, "check")).content.decode()
    assert alices.post(at(begun, "review")).headers["Location"] == at(begun, "check")
    assert not Cluster.objects.exists()
    alices.post(at(begun, "check"), {"again": "1"})
    latest = ClusterCheck.objects.latest("created_at")
    passes(latest)
    alices.post(at(begun, "check"), {"go": "on"})
    alices.post(at(begun, "review"))
    cluster = Cluster.objects.get()
    assert change.get("velero_namespace", "velero") == cluster.velero_namespace
    assert (NEWER in cluster.kubeconfig["kubeconfig"]) is ("kubeconfig" in change)


def test_a_cluster_that_was_registered_meanwhile_is_refused_with_its_name(
    alices: Client, begun: Draft, project: Project, sent: SENT
) -> None:
    passes(connected(alices, begun))
    alices.post(at(begun, "check"), {"go": "on"})
    make_cluster(project, "faster", uid="uid-of-east")
    answer = alices.post(at(begun, "review"))
    assert answer.status_code == 422
    assert "registered in this project already, as faster" in answer.content.decode()
    assert Cluster.objects.count() == 1


# Connection


@pytest.mark.parametrize(
    ("posted", "field", "says"),
    [
        ({"kubeconfig": ""}, "kubeconfig", "Paste a kubeconfig"),
        ({"kubeconfig": "{"}, "kubeconfig", "YAML"),
        ({"kubeconfig": kubeconfig(cluster={"insecure-skip-tls-verify": True})}, "kubeconfig", "certificate"),
        ({"velero_namespace": "Not A Label"}, "velero_namespace", "lower-case"),
        ({"context": "moon"}, "kubeconfig", "east-ops"),
        ({"kubeconfig_file": SimpleUploadedFile("c", b"kind: Config")}, "kubeconfig_file", "not both"),
        ({"kubeconfig": "", "kubeconfig_file": SimpleUploadedFile("c", b"\xff\xfe")}, "kubeconfig_file", "not text"),
        (
            {"kubeconfig": "", "kubeconfig_file": SimpleUploadedFile("c", b" " * (2**20 + 1))},
            "kubeconfig_file",
            "1 MiB",
        ),
    ],
)
def test_a_kubeconfig_that_is_refused_is_said_at_its_field(
    alices: Client, begun: Draft, sent: SENT, posted: dict[str, Any], field: str, says: str
) -> None:
    answer = alices.post(at(begun, "connection"), connection(**posted))
    assert answer.status_code == 422
    assert says in str(answer.context["form"].errors[field])
    assert sent == []
    assert TOKEN not in answer.content.decode()


def test_a_kubeconfig_that_starts_a_program_is_refused_and_the_page_says_what_to_do(
    alices: Client, begun: Draft, sent: SENT
) -> None:
    found = document()
    found["users"][0]["user"] = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws"}}
    page = alices.post(at(begun, "connection"), connection(kubeconfig=yaml.safe_dump(found))).content.decode()
    assert "runs a program to sign in" in page
    assert "drydock-access.yaml" in page
    assert "aws eks update-kubeconfig" in page


def test_a_file_is_as_good_as_pasted_text(alices: Client, begun: Draft, sent: SENT) -> None:
    file = SimpleUploadedFile("config", kubeconfig().encode())
    answer = alices.post(at(begun, "connection"), connection(kubeconfig="", kubeconfig_file=file))
    assert answer.headers["Location"] == at(begun, "check")
    check = ClusterCheck.objects.get()
    assert check.kubeconfig is not None
    assert TOKEN in check.kubeconfig["kubeconfig"]


def test_with_several_contexts_one_is_chosen_and_nothing_is_pasted_again(
    alices: Client, begun: Draft, sent: SENT
) -> None:
    answer = alices.post(at(begun, "connection"), connection(kubeconfig=several_contexts()))
    assert answer.status_code == 422
    page = answer.content.decode()
    assert '<option value="west-ops">' in page
    assert "is kept" in page
    answer = alices.post(at(begun, "connection"), connection(kubeconfig="", context="west-ops"))
    assert answer.headers["Location"] == at(begun, "check")
    check = ClusterCheck.objects.get()
    assert check.kubeconfig == {"kubeconfig": several_contexts(), "context": "west-ops"}


def test_the_manifest_beside_the_form_is_for_the_namespace_that_was_typed(
    alices: Client, begun: Draft, sent: SENT
) -> None:
    alices.post(at(begun, "connection"), connection(velero_namespace="backup-system"))
    access = alices.get(at(begun, "connection")).context["access"]
    assert access["manifest"] == access_manifest("backup-system")
    assert "--namespace backup-system" in access["ending_token"]
    alices.post(at(begun, "connection"), connection(velero_namespace="x; rm -rf /"))
    access = alices.get(at(begun, "connection")).context["access"]
    assert access["manifest"] == access_manifest("velero"), "what is no name goes into no command"


# Drafts


def test_a_name_that_is_taken_is_said_before_anything_is_connected(alices: Client, begun: Draft, east: Cluster) -> None:
    answer = alices.post(at(begun, "basics"), BASICS | {"description": "kept"})
    assert answer.status_code == 422
    assert "registered in the project already" in str(answer.context["form"].errors["name"])
    assert "kept" in answer.content.decode()


def test_who_has_begun_may_go_on_or_start_anew(alices: Client, begun: Draft, project: Project) -> None:
    register = reverse("cluster_register", args=[project.pk])
    assert alices.get(register).status_code == 302, "nothing was typed yet"
    alices.post(at(begun, "basics"), BASICS)
    page = alices.get(register).content.decode()
    assert at(begun, "connection") in page
    anew = alices.post(register).headers["Location"]
    assert str(begun.pk) not in anew


def test_drafts_are_their_creators_own(
    client: Client, alices: Client, begun: Draft, project: Project, sent: SENT
) -> None:
    check = connected(alices, begun)
    passes(check)
    bob = add_tenant_admin(by=None, tenant=project.tenant, email="bob@harbor.example", password=PASSWORD)
    client.force_login(bob)
    for step in ("basics", "connection", "check", "review"):
        assert client.get(at(begun, step)).status_code == 404
        assert client.post(at(begun, step)).status_code == 404
    assert client.get(reverse("cluster_register", args=[project.pk])).headers["Location"] != at(begun, "basics")


def test_no_page_shows_what_was_pasted(alices: Client, begun: Draft, sent: SENT) -> None:
    check = connected(alices, begun)
    fails(check)
    passes(check)
    alices.post(at(begun, "check"), {"go": "on"})
    for step in ("basics", "connection", "check", "review"):
        assert "planted" not in alices.get(at(begun, step)).content.decode()


def test_another_tenant_and_strangers_register_nothing(client: Client, charlie: User, project: Project) -> None:
    register = reverse("cluster_register", args=[project.pk])
    assert client.get(register).headers["Location"].startswith("/login/?next=")
    client.force_login(charlie)
    assert client.get(register).status_code == client.post(register).status_code == 404
    assert client.put(register).status_code == 405
    assert not Draft.objects.exists()
