"""The project's overview: what one sees first."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from backups.models import Backup, BackupLocation, Restore
from tests.conftest import make_cluster, make_location
from workspaces.models import Cluster, Project
from workspaces.models.cluster import ClusterState


def overview(project: Project) -> str:
    return reverse("project_overview", args=[project.pk])


def make_backup(cluster: Cluster, location: BackupLocation, name: str = "nightly", **fields: Any) -> Backup:
    values = {"object_name": f"{name}-{uuid.uuid4().hex[:8]}", "keep_for": timedelta(days=7), "state": "completed"}
    return Backup.objects.create(
        project=cluster.project, cluster=cluster, location=location, name=name, **values | fields
    )


@pytest.fixture
def seen(project: Project) -> Cluster:
    return make_cluster(project, "harbor-east", seen_at=timezone.now())


def test_a_new_project_says_what_to_do_first(alices: Client, project: Project) -> None:
    page = alices.get(overview(project)).content.decode()
    assert reverse("cluster_register", args=[project.pk]) in page
    assert reverse("location_create", args=[project.pk]) in page
    assert "Later" in page, "a backup cannot be taken before there is a cluster and a location"


def test_what_is_done_is_ticked_and_the_next_thing_is_offered(
    alices: Client, project: Project, seen: Cluster, store: BackupLocation
) -> None:
    tasks = alices.get(overview(project)).context["tasks"]
    assert [task.done for task in tasks] == [True, True, False]
    assert tasks[2].href == reverse("backup_create", args=[seen.pk])


def test_with_several_clusters_the_first_backup_begins_at_their_list(
    alices: Client, project: Project, east: Cluster, west: Cluster, store: BackupLocation
) -> None:
    tasks = alices.get(overview(project)).context["tasks"]
    assert tasks[2].href == reverse("cluster_list", args=[project.pk])


def test_the_checklist_goes_once_there_is_a_backup(
    alices: Client, project: Project, seen: Cluster, store: BackupLocation
) -> None:
    make_backup(seen, store)
    response = alices.get(overview(project))
    assert response.context["tasks"] == []
    assert "nightly" in response.content.decode()


def test_clusters_are_counted_by_what_is_known_now(alices: Client, project: Project, seen: Cluster) -> None:
    now = timezone.now()
    make_cluster(project, "stale", seen_at=now - timedelta(minutes=10))
    make_cluster(project, "gone", state=ClusterState.UNREACHABLE, state_reason="No route to host.", seen_at=None)
    make_cluster(project, "left", deregistered_at=now)
    response = alices.get(overview(project))
    health = response.context["health"]
    assert health.total == 3
    assert [each.label for each in health.states] == ["1 Healthy", "1 Unknown", "1 Unreachable"]
    assert [cluster.name for cluster in response.context["troubled"]] == ["gone", "stale"], "the worst first"
    assert "No route to host." in response.content.decode()


def test_backups_and_restores_of_the_week_are_counted_by_how_they_stand(
    alices: Client, project: Project, seen: Cluster, store: BackupLocation
) -> None:
    for number, state in enumerate(("requested", "running", "completed", "failed", "rejected", "unknown")):
        make_backup(seen, store, f"b{number}", state=state)
    old = make_backup(seen, store, "old")
    Backup.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=8))
    response = alices.get(overview(project))
    figures = response.context["backup_figures"]
    assert figures.total == 6
    assert [each.label for each in figures.states] == ["2 Running", "1 Unknown", "1 Completed", "2 Failed"]
    assert response.context["restore_figures"].total == 0


def test_an_unavailable_location_needs_a_look(alices: Client, project: Project) -> None:
    make_location(project, "broken", state="unavailable", state_reason="The bucket is gone.")
    assert "The bucket is gone." in alices.get(overview(project)).content.decode()


def test_it_asks_often_while_something_runs_and_says_nothing_new_with_304(
    alices: Client, project: Project, seen: Cluster, store: BackupLocation
) -> None:
    backup = make_backup(seen, store, state="running", items_done=3, items_total=10)
    first = alices.get(overview(project), headers={"Live": "1"})
    assert first["Live-Interval"] == "300"
    assert "<html" not in first.content.decode()
    again = alices.get(overview(project), headers={"Live": "1", "If-None-Match": first["ETag"]})
    assert again.status_code == 304
    Backup.objects.filter(pk=backup.pk).update(state="completed")
    done = alices.get(overview(project), headers={"Live": "1", "If-None-Match": first["ETag"]})
    assert done.status_code == 200
    assert done["Live-Interval"] == "5000"


def test_restores_are_listed_with_where_they_came_from(
    alices: Client, project: Project, seen: Cluster, west: Cluster, store: BackupLocation
) -> None:
    backup = make_backup(seen, store)
    Restore.objects.create(
        project=project, backup=backup, cluster=west, object_name="nightly-abc", state="partially_failed"
    )
    page = alices.get(overview(project)).content.decode()
    assert "from harbor-east" in page
    assert "Partially failed" in page


def test_the_sandbox_shows_how_far_it_is(alices: Client, project: Project, settings: Any, tmp_path: Path) -> None:
    settings.SANDBOX_STATE = tmp_path / "state.json"
    state = {"stage": "building", "message": "Building Velero.", "progress": {"what": "velero", "done": 3, "total": 8}}
    settings.SANDBOX_STATE.write_text(json.dumps(state))
    response = alices.get(overview(project))
    assert "Building Velero." in response.content.decode()
    assert response.context["live_interval"] == 300


def test_another_tenant_sees_nothing_of_it(client: Client, charlie: User, project: Project) -> None:
    client.force_login(charlie)
    assert client.get(overview(project)).status_code == 404


def test_a_stranger_signs_in_first(client: Client, project: Project) -> None:
    assert client.get(overview(project)).headers["Location"].startswith("/login/?next=")


def test_it_is_read_only(alices: Client, project: Project) -> None:
    assert alices.post(overview(project)).status_code == 405


def test_its_queries_do_not_grow_with_the_project(
    alices: Client, project: Project, store: BackupLocation, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        cluster = make_cluster(project, f"c{number}", seen_at=timezone.now())
        backup = make_backup(cluster, store)
        Restore.objects.create(project=project, backup=backup, cluster=cluster, object_name=f"r{number}")
    alices.get(overview(project))
    with django_assert_max_num_queries(14):
        alices.get(overview(project))
