"""The restore wizard and the pages of restores."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from backups.lifecycle import State
from backups.models import Backup, BackupLocation, Restore
from tests.conftest import make_cluster
from tests.web.test_backup import make_backup
from workspaces.models import Cluster, Draft, Project

pytestmark = pytest.mark.django_db
OPTIONS = {"cluster_resources": "auto", "restore_volumes": "on", "existing_objects": "none"}


@pytest.fixture
def backup(east: Cluster, store: BackupLocation) -> Backup:
    return make_backup(east, store, namespaces=["shop", "intranet"])


def begin(client: Client, backup: Backup) -> str:
    """Begin the wizard; the address of its draft."""
    return client.get(f"/backups/{backup.pk}/restore/")["Location"].removesuffix("target/")


def walk(client: Client, backup: Backup, target: Cluster, **options: Any) -> str:
    """To the review."""
    draft = begin(client, backup)
    assert client.post(draft + "target/", {"target": str(target.pk)})["Location"] == draft + "options/"
    assert client.post(draft + "options/", OPTIONS | options)["Location"] == draft + "review/"
    return draft


def test_the_walk_makes_one_restore_on_the_target(
    alices: Client, backup: Backup, west: Cluster, sent: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    draft = walk(alices, backup, west, known=["shop"])
    review = alices.get(draft + "review/").content.decode()
    assert "harbor-west" in review and "shop" in review
    with django_capture_on_commit_callbacks(execute=True):
        answer = alices.post(draft + "review/")
    restore = Restore.objects.get()
    assert answer["Location"] == f"/restores/{restore.pk}/"
    assert (restore.cluster, restore.namespaces, restore.restore_volumes) == (west, ["shop"], True)
    assert [message[0] for message in sent] == ["backups.jobs.submit_restore"]
    assert "nightly" in alices.get(f"/clusters/{west.pk}/backup-restore/restores/").content.decode()


def test_confirming_twice_makes_one(alices: Client, backup: Backup, west: Cluster) -> None:
    draft = walk(alices, backup, west)
    first, second = (alices.post(draft + "review/")["Location"] for _ in range(2))
    assert first == second and Restore.objects.count() == 1


def test_back_keeps_what_was_typed_even_when_it_is_not_valid(alices: Client, backup: Backup, west: Cluster) -> None:
    draft = begin(alices, backup)
    alices.post(draft + "target/", {"target": str(west.pk)})
    back = alices.post(draft + "options/", OPTIONS | {"others": "half-typed", "go": "back"})
    assert back["Location"] == draft + "target/"
    assert "half-typed" in alices.get(draft + "options/").content.decode()


def test_typing_is_saved_without_going_on(alices: Client, backup: Backup) -> None:
    draft = begin(alices, backup)
    assert alices.post(draft + "options/", {"others": "typed-so-far", "go": "save"}).status_code == 204
    assert "typed-so-far" in alices.get(draft + "options/").content.decode()


def test_the_review_sends_one_back_to_what_is_missing(alices: Client, backup: Backup) -> None:
    draft = begin(alices, backup)
    assert alices.get(draft + "review/")["Location"] == draft + "target/"
    assert alices.post(draft + "review/")["Location"] == draft + "target/"
    assert Restore.objects.count() == 0


def test_only_clusters_of_the_project_are_offered_or_taken(
    alices: Client, backup: Backup, west: Cluster, tenant: Any
) -> None:
    other = make_cluster(Project.objects.create(tenant=tenant, name="Other"), "elsewhere")
    draft = begin(alices, backup)
    page = alices.get(draft + "target/").content.decode()
    assert "harbor-west" in page and "elsewhere" not in page
    assert alices.post(draft + "target/", {"target": str(other.pk)}).status_code == 422


def test_an_action_that_refuses_is_said_on_the_review(alices: Client, backup: Backup, west: Cluster) -> None:
    draft = walk(alices, backup, west, others="no_underscores")
    answer = alices.post(draft + "review/")
    assert answer.status_code == 422 and "cannot be a namespace" in answer.content.decode()
    assert Restore.objects.count() == 0


def test_a_draft_is_its_creators_only(client: Client, alice: User, charlie: User, backup: Backup, tenant: Any) -> None:
    from accounts.actions import add_tenant_admin

    client.force_login(alice)
    draft = begin(client, backup)
    for other in (charlie, add_tenant_admin(by=None, tenant=tenant, email="bob@harbor.example", password="x" * 12)):
        client.force_login(other)
        assert client.get(draft + "target/").status_code == 404
        assert client.post(draft + "review/").status_code == 404


def test_an_expired_session_loses_nothing(alices: Client, alice: User, backup: Backup, west: Cluster) -> None:
    draft = begin(alices, backup)
    alices.post(draft + "target/", {"target": str(west.pk)})
    alices.logout()
    answer = alices.post(draft + "options/", OPTIONS)
    assert answer.status_code == 302 and f"next={draft}options/" in answer["Location"]
    alices.force_login(alice)
    assert alices.get(draft + "review/")["Location"] == draft + "options/"  # the target is still chosen


@pytest.mark.parametrize("state", [State.RUNNING, State.FAILED, State.REJECTED, State.UNKNOWN])
def test_what_did_not_complete_is_not_restored(
    alices: Client, east: Cluster, store: BackupLocation, state: State
) -> None:
    backup = make_backup(east, store, state=state)
    assert alices.get(f"/backups/{backup.pk}/restore/")["Location"] == f"/backups/{backup.pk}/"
    assert Draft.objects.count() == 0


def test_to_another_tenant_a_restore_does_not_exist(
    client: Client, alice: User, charlie: User, backup: Backup, west: Cluster
) -> None:
    client.force_login(alice)
    address = client.post(walk(client, backup, west) + "review/")["Location"]
    client.force_login(charlie)
    for path in ("", "yaml/", "log/"):
        assert (
            client.get(address + path).status_code == client.get(f"/restores/{uuid.uuid4()}/{path}").status_code == 404
        )


def test_the_page_of_a_restore(alices: Client, backup: Backup, west: Cluster) -> None:
    address = alices.post(walk(alices, backup, west) + "review/")["Location"]
    page = alices.get(address).content.decode()
    assert "Restore into harbor-west" in page and "harbor-east" in page
    yaml = alices.get(address + "yaml/").content.decode()
    assert "kind: Restore" in yaml and "velero restore create" in yaml
