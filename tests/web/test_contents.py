"""What a backup holds, on pages: the list, one object, all as a file."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.roles import ProjectViewer, Role, WorkspaceAdmin, WorkspaceOperator
from accounts.signin import AGAIN
from backups.actions.reading import request_archive, request_contents, request_object
from backups.models import Backup, BackupLocation, CheckState, Reading
from console.lib import spool
from tests.people import PASSWORD, person
from tests.web.test_backup import make_backup
from workspaces.models import Cluster, Workspace

pytestmark = pytest.mark.django_db
ITEMS = [
    ["apps/v1/Deployment", "shop", "web"],
    ["v1/Namespace", "", "shop"],
    ["v1/Secret", "shop", "keys"],
    ["v1/Pod", "<script>alert(1)</script>", "../../etc/passwd"],
]
SECRET = {"kind": "v1/Secret", "namespace": "shop", "name": "keys"}
MASKED, PLANTED = ["data:", "  password: (hidden)"], ["data:", "  password: cGxhbnRlZA=="]


@pytest.fixture(autouse=True)
def _var(settings: Any, tmp_path: Any) -> None:
    settings.VAR = tmp_path


@pytest.fixture
def backup(east: Cluster, store: BackupLocation) -> Backup:
    return make_backup(east, store)


def filled(reading: Reading, texts: list[str]) -> Reading:
    """As a worker leaves it."""
    spool.append(reading.pk, 0, texts)
    Reading.objects.filter(pk=reading.pk).update(
        state=CheckState.COMPLETED, lines=len(texts), subject=reading.subject | {"secret": True}
    )
    return reading


def listed(by: User, backup: Backup) -> Reading:
    return filled(request_contents(by=by, of=backup), [json.dumps(item) for item in ITEMS])


def address(backup: Backup, **subject: str) -> str:
    return reverse("backup_object", args=[backup.pk], query=SECRET | subject)


def verbs() -> list[str]:
    return list(AuditEvent.objects.filter(target_kind="backup").order_by("id").values_list("verb", flat=True))


def test_namespaces_then_kinds_then_objects(alices: Client, alice: User, backup: Backup) -> None:
    page = reverse("backup_contents", args=[backup.pk])
    assert "Show the contents" in alices.get(page).text
    assert alices.post(f"{page}?namespace=shop")["Location"] == f"{page}?namespace=shop"
    assert verbs() == ["backup.contents"]
    listed(alice, backup)
    overview = alices.get(page).text
    assert "4 objects" in overview and "?namespace=shop" in overview and "?namespace=-" in overview
    assert "&lt;script&gt;" in overview and "<script>alert" not in overview and "/etc/passwd" not in overview
    shop = alices.get(page, {"namespace": "shop"}).text
    assert "2 of 4 objects" in shop and "kind=v1%2FSecret&amp;namespace=shop&amp;name=keys" in shop
    assert "1 of 4 objects" in alices.get(page, {"q": "PASSWD"}).text
    assert "1 of 4 objects" in alices.get(page, {"kind": "v1/Namespace", "namespace": "-"}).text
    assert "No object matches" in alices.get(page, {"q": "nothing"}).text


def test_a_list_is_not_gone_through_again_for_who_has_it(alices: Client, alice: User, backup: Backup) -> None:
    page, reading = reverse("backup_contents", args=[backup.pk]), listed(alice, backup)
    first = alices.get(page, headers={"Live": "1"})
    spool.discard(reading.pk)
    again = alices.get(page, headers={"Live": "1", "If-None-Match": first["ETag"]})
    assert (again.status_code, again["ETag"]) == (304, first["ETag"])


@pytest.mark.parametrize(("role", "answer"), [(WorkspaceAdmin, 200), (WorkspaceOperator, 403), (ProjectViewer, 403)])
def test_only_who_may_see_contents_gets_there(client: Client, backup: Backup, role: type[Role], answer: int) -> None:
    on = Workspace.objects.create(project=backup.project, name="shop")
    Backup.objects.update(workspace=on)
    client.force_login(person(role=role, on=backup.project if role is ProjectViewer else on))
    shown = reverse("backup_contents", args=[backup.pk])
    assert (f'href="{shown}"' in client.get(reverse("backup_detail", args=[backup.pk])).text) == (answer == 200)
    pages = [shown, address(backup), reverse("backup_archive", args=[backup.pk])]
    assert [client.get(page).status_code for page in pages] == [answer] * 3
    posts = [client.post(page, {"values": "1"}).status_code for page in pages]
    assert posts == ([302] * 3 if answer == 200 else [403] * 3)
    assert Reading.objects.count() == (3 if answer == 200 else 0)


def test_values_are_shown_to_who_typed_the_password_just_now(client: Client, alice: User, backup: Backup) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        client.post(reverse("login"), {"username": alice.email, "password": PASSWORD})
        clock.shift(timedelta(minutes=11))
        filled(request_object(by=alice, of=backup, subject=SECRET), MASKED)
        assert "(hidden)" in client.get(address(backup)).text
        clock.shift(timedelta(seconds=1))
        held = client.post(address(backup), {"values": "1"})
        assert held.status_code == 403 and Reading.objects.count() == 1
        assert client.post(address(backup), {"values": "1", AGAIN: PASSWORD}).status_code == 302
        assert verbs() == ["backup.object", "backup.reveal"]
        assert AuditEvent.objects.get(verb="backup.reveal").details == {"object": "v1/Secret/shop/keys"}
        filled(Reading.objects.get(revealed=True), PLANTED)
        page = client.get(address(backup))
        assert "cGxhbnRlZA==" in page.text and "no-store" in page["Cache-Control"]
        Reading.objects.update(created_at=timezone.now() + timedelta(minutes=10))  # were it kept so long
        clock.shift(timedelta(minutes=10))
        assert "cGxhbnRlZA==" not in client.get(address(backup)).text


def test_a_session_that_is_not_recent_sees_no_values(client: Client, alice: User, backup: Backup) -> None:
    """Another browser of the same person, left open: what was revealed in this one is not shown there."""
    filled(request_object(by=alice, of=backup, subject=SECRET, revealed=True), PLANTED)
    with time_machine.travel(timezone.now() - timedelta(minutes=11), tick=False):
        client.post(reverse("login"), {"username": alice.email, "password": PASSWORD})
    assert "cGxhbnRlZA==" not in client.get(address(backup)).text


def test_what_one_person_opened_is_not_anothers(alices: Client, backup: Backup) -> None:
    bob = person(role=WorkspaceAdmin, on=Workspace.objects.create(project=backup.project, name="shop"))
    Backup.objects.update(workspace=Workspace.objects.get())
    filled(request_object(by=bob, of=Backup.objects.get(), subject=SECRET), MASKED)
    assert "Open this object" in alices.get(address(backup)).text


def test_another_object_is_another_reading(alices: Client, alice: User, backup: Backup) -> None:
    filled(request_object(by=alice, of=backup, subject=SECRET), MASKED)
    assert "Open this object" in alices.get(address(backup, namespace="other")).text


@pytest.mark.parametrize("subject", [{"name": ""}, {"name": "x" * 300}, {"kind": ""}])
def test_no_object_at_all_leads_to_the_list(alices: Client, backup: Backup, subject: dict[str, str]) -> None:
    assert alices.post(address(backup, **subject))["Location"] == reverse("backup_contents", args=[backup.pk])
    assert not Reading.objects.exists()


def test_the_file_comes_whole_and_once_in_the_audit_log(client: Client, alice: User, backup: Backup) -> None:
    page, file = (reverse(name, args=[backup.pk]) for name in ("backup_archive", "backup_archive_file"))
    with time_machine.travel(timezone.now(), tick=False) as clock:
        client.post(reverse("login"), {"username": alice.email, "password": PASSWORD})
        assert client.get(file).status_code == 404
        client.post(page)
        client.post(page)
        reading = Reading.objects.get()
        pieces = [b"\x1f\x8b" + bytes(range(256)) * 100, b"\x00\n" * 1000]
        for position, piece in enumerate(pieces):
            spool.append_piece(reading.pk, position, piece)
        Reading.objects.update(size=sum(map(len, pieces)))
        assert client.get(file).status_code == 404, "it has not all been fetched"
        Reading.objects.update(state=CheckState.COMPLETED)
        assert f'href="{file}"' in client.get(page).text
        answer = client.get(file)
        assert b"".join(answer.streaming_content) == b"".join(pieces)
        assert answer["Content-Length"] == str(sum(map(len, pieces)))
        assert answer["Content-Disposition"] == f'attachment; filename="{backup.object_name}.tar.gz"'
        assert verbs() == ["backup.download"]
        clock.shift(timedelta(minutes=11))
        request_archive(by=alice, of=backup)
        Reading.objects.update(state=CheckState.COMPLETED)
        assert client.get(file)["Location"].startswith(reverse("session_confirm"))
        assert client.post(page).status_code == 403
