"""Replace a cluster's kubeconfig: tried first, taken only when it leads to the same cluster."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.conftest import make_cluster
from tests.web.registering import TOKEN, at, connection, passes
from tests.web.test_cluster import FACTS, SENT
from workspaces.actions.kubeconfig import purge_tried
from workspaces.models import Cluster, ClusterCheck, Draft, Project

pytestmark = pytest.mark.usefixtures("commits_at_once")


@pytest.fixture
def known(project: Project) -> Cluster:
    return make_cluster(
        project, "harbor-east", seen_at=timezone.now(), facts=FACTS, uid="uid-of-east", velero_namespace="backup-system"
    )


@pytest.fixture
def replacing(alices: Client, known: Cluster) -> Draft:
    alices.post(reverse("cluster_kubeconfig_replace", args=[known.pk]))
    return Draft.objects.get()


def test_another_kubeconfig_is_tried_before_it_is_taken(
    alices: Client, known: Cluster, replacing: Draft, sent: SENT
) -> None:
    assert 'value="backup-system"' in alices.get(at(replacing, "connection")).content.decode()
    alices.post(at(replacing, "connection"), connection())
    check = ClusterCheck.objects.get()
    assert check.cluster == known
    known.refresh_from_db()
    assert known.kubeconfig["kubeconfig"] == "planted-kubeconfig-secret", "not before the check has passed"
    assert "Last check" in alices.get(reverse("cluster_kubeconfig", args=[known.pk])).content.decode()
    passes(check)
    alices.post(at(replacing, "check"), {"go": "on"})
    answer = alices.post(at(replacing, "review"))
    assert answer.headers["Location"] == reverse("cluster_kubeconfig", args=[known.pk])
    known.refresh_from_db()
    assert TOKEN in known.kubeconfig["kubeconfig"]
    assert (known.server, known.velero_namespace) == ("https://203.0.113.7:6443", "velero")
    check.refresh_from_db()
    assert check.kubeconfig is None


def test_a_kubeconfig_of_another_cluster_is_not_taken(
    alices: Client, known: Cluster, replacing: Draft, sent: SENT
) -> None:
    alices.post(at(replacing, "connection"), connection())
    passes(ClusterCheck.objects.get(), uid="another")
    alices.post(at(replacing, "check"), {"go": "on"})
    answer = alices.post(at(replacing, "review"))
    assert answer.status_code == 422
    assert "was not seen to reach harbor-east" in answer.content.decode()
    known.refresh_from_db()
    assert known.kubeconfig["kubeconfig"] == "planted-kubeconfig-secret"


def test_a_try_is_not_shown_as_the_clusters_last_check(
    alices: Client, known: Cluster, replacing: Draft, sent: SENT
) -> None:
    alices.post(at(replacing, "connection"), connection())
    assert alices.get(reverse("cluster_kubeconfig", args=[known.pk])).context["shown"] is None


def test_a_cluster_that_was_deregistered_meanwhile_is_gone(alices: Client, known: Cluster, replacing: Draft) -> None:
    Cluster.objects.filter(pk=known.pk).update(deregistered_at=timezone.now())
    assert alices.get(at(replacing, "connection")).status_code == 404


def test_what_was_tried_and_not_taken_is_forgotten_after_a_day(
    alices: Client, known: Cluster, replacing: Draft, sent: SENT
) -> None:
    alices.post(at(replacing, "connection"), connection())
    of_known, kept = ClusterCheck.objects.get(), {"kubeconfig": "planted", "context": ""}
    abandoned = ClusterCheck.objects.create(project=known.project, kubeconfig=kept)
    fresh = ClusterCheck.objects.create(project=known.project, kubeconfig=kept)
    ClusterCheck.objects.exclude(pk=fresh.pk).update(created_at=timezone.now() - timedelta(hours=25))
    assert purge_tried() == 2
    assert not ClusterCheck.objects.filter(pk=abandoned.pk).exists()
    of_known.refresh_from_db()
    fresh.refresh_from_db()
    assert (of_known.kubeconfig, fresh.kubeconfig) == (None, kept)
