"""The pages of backups: list, Backup now, one backup, its YAML and log."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, User
from backups import lifecycle
from backups.actions.reading import request_log
from backups.lifecycle import State
from backups.models import Backup, BackupLocation, CheckState, Reading, Restore
from console.lib import live, spool
from tests.conftest import make_cluster, make_location
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.django_db
UNKNOWN_SIZE = '<span class="muted">Unknown</span>'
SECRETS = ("planted-kubeconfig-secret", "planted-storage-secret", "AKIAPLANTED")


def make_backup(cluster: Cluster, location: BackupLocation, name: str = "nightly", **fields: Any) -> Backup:
    values: dict[str, Any] = {
        "object_name": lifecycle.object_name(name),
        "keep_for": timedelta(days=30),
        "state": State.COMPLETED,
        "phase": "Completed",
        "started_at": timezone.now() - timedelta(minutes=2),
        "completed_at": timezone.now() - timedelta(minutes=1),
    }
    return Backup.objects.create(
        project=cluster.project, cluster=cluster, location=location, name=name, **values | fields
    )


def posted(store: BackupLocation, **fields: Any) -> dict[str, Any]:
    values = {"name": "before-upgrade", "location": str(store.pk), "keep": "30", "cluster_resources": "auto"}
    return values | {"submission": str(uuid.uuid4()), "include_disks": "on"} | fields


def test_backup_now_makes_one_wish_and_shows_it(
    alices: Client, east: Cluster, store: BackupLocation, sent: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = alices.post(f"/clusters/{east.pk}/backups/create/", posted(store, known=["shop"], others="intranet"))
    backup = Backup.objects.get()
    assert answer.status_code == 302 and answer["Location"] == f"/backups/{backup.pk}/"
    assert (backup.state, backup.namespaces) == (State.REQUESTED, ["shop", "intranet"])
    assert sent == [("backups.jobs.submit_backup", str(backup.pk), 0, "commands")]
    assert AuditEvent.objects.filter(verb="backup.create", target_id=str(backup.pk)).count() == 1


def test_submitting_twice_makes_one_backup(alices: Client, east: Cluster, store: BackupLocation) -> None:
    form = posted(store)
    first, second = (alices.post(f"/clusters/{east.pk}/backups/create/", form) for _ in range(2))
    assert Backup.objects.count() == 1
    assert first["Location"] == second["Location"]


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("name", "Not A Label", "lower-case letters"),
        ("name", "x" * 39, "at most 38"),
        ("others", "no_underscores", "cannot be a namespace"),
        ("others", "velero", "never backed up"),
        ("keep", "date", "Choose the date"),
        ("location", "6f1c3d1e-0000-4000-8000-000000000000", "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(
    alices: Client, east: Cluster, store: BackupLocation, field: str, typed: str, said: str
) -> None:
    answer = alices.post(f"/clusters/{east.pk}/backups/create/", posted(store, **{field: typed}))
    page = answer.content.decode()
    assert answer.status_code == 422 and said.lower() in page.lower()
    assert Backup.objects.count() == 0
    if field != "name":
        assert "before-upgrade" in page


def test_a_name_that_is_taken(alices: Client, east: Cluster, store: BackupLocation) -> None:
    make_backup(east, store, "before-upgrade")
    page = alices.post(f"/clusters/{east.pk}/backups/create/", posted(store)).content.decode()
    assert "has a backup of this name already" in page


def test_the_name_that_is_offered_is_free(alices: Client, east: Cluster, store: BackupLocation) -> None:
    offered = []
    for _ in range(3):
        offered.append(alices.get(f"/clusters/{east.pk}/backups/create/").context["form"]["name"].value())
        make_backup(east, store, offered[-1])
    assert offered == [f"harbor-east-{timezone.localdate():%Y%m%d}{end}" for end in ("", "-2", "-3")]


def test_without_a_location_the_page_says_what_to_do_first(alices: Client, east: Cluster) -> None:
    assert "Add a backup location first" in alices.get(f"/clusters/{east.pk}/backups/create/").content.decode()


def test_the_list_filters_searches_and_pages(
    alices: Client, east: Cluster, store: BackupLocation, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        make_backup(east, store, f"night-{number:02}", state=State.FAILED if number == 7 else State.COMPLETED)
    url = f"/clusters/{east.pk}/backup-restore/"
    with django_assert_max_num_queries(10):
        first = alices.get(url).content.decode()
    assert first.count("data-announce") == 25 and "Page 1 of 2" in first
    assert alices.get(url + "?q=night-03").content.decode().count("data-announce") == 1
    assert alices.get(url + "?state=trouble").content.decode().count("data-announce") == 1
    assert "No backup matches" in alices.get(url + "?q=nothing-like-it").content.decode()


def test_the_list_says_what_a_backup_holds(alices: Client, east: Cluster, store: BackupLocation) -> None:
    url = f"/clusters/{east.pk}/backup-restore/"
    make_backup(east, store, "some", namespaces=["shop", "intranet", "wiki", "mail"], include_disks=False, size=2048)
    page = alices.get(url).content.decode()
    assert "shop, intranet" in page and "+2</span>" in page and "No disks" in page and "Cluster resources: auto" in page
    assert "2.0 KiB" in page and UNKNOWN_SIZE not in page
    make_backup(east, store, "whole", include_disks=True, cluster_resources="never")
    page = alices.get(url).content.decode()
    assert "All namespaces" in page and "With disks" in page and "Cluster resources: never" in page
    assert UNKNOWN_SIZE in page


def test_a_place_in_the_queue_is_shown(alices: Client, east: Cluster, store: BackupLocation) -> None:
    backup = make_backup(east, store, state=State.SUBMITTED, phase="Queued", queue_position=3, started_at=None)
    for path in (f"/backups/{backup.pk}/", f"/clusters/{east.pk}/backup-restore/", f"/clusters/{east.pk}/"):
        assert "Queued, 3rd in line" in alices.get(path).content.decode()


def test_an_empty_list_says_what_to_do_first(alices: Client, east: Cluster) -> None:
    assert "No backup yet" in alices.get(f"/clusters/{east.pk}/backup-restore/").content.decode()


def test_a_live_part_answers_304_until_something_changes(alices: Client, east: Cluster, store: BackupLocation) -> None:
    backup = make_backup(east, store, state=State.RUNNING, completed_at=None, items_done=1, items_total=9)
    assert alices.get(f"/backups/{backup.pk}/", headers={"Live": "1"})["Live-Interval"] == "20"  # somebody looks on
    Backup.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    first = alices.get(f"/backups/{backup.pk}/", headers={"Live": "1"})
    assert first.status_code == 200 and first["Live-Interval"] == "300"
    again = alices.get(f"/backups/{backup.pk}/", headers={"Live": "1", "If-None-Match": first["ETag"]})
    assert again.status_code == 304
    Backup.objects.filter(pk=backup.pk).update(items_done=5)
    changed = alices.get(f"/backups/{backup.pk}/", headers={"Live": "1", "If-None-Match": first["ETag"]})
    assert changed.status_code == 200 and "5 of 9" in changed.content.decode()


def test_whoever_has_just_clicked_is_answered_as_soon_as_there_is_news(
    alices: Client, east: Cluster, store: BackupLocation
) -> None:
    backup = make_backup(east, store, state=State.RUNNING, completed_at=None, items_done=1, items_total=9)
    page = f"/backups/{backup.pk}/"
    seen = alices.get(page, headers={"Live": "1"})["ETag"]

    def further(_: float) -> None:
        Backup.objects.filter(pk=backup.pk).update(items_done=5)

    with mock.patch("console.lib.live.time.sleep", side_effect=further) as waited:
        answer = alices.get(page, headers={"Live": "1", "If-None-Match": seen})
        assert waited.call_count == 1 and "5 of 9" in answer.text
        assert alices.get(page, headers={"Live": "1", "If-None-Match": seen}).status_code == 200, (
            "news waits for nobody"
        )
        assert alices.get(page, headers={"Live": "1"}).status_code == 200, "nor is there anything to wait for at first"
        assert waited.call_count == 1


def test_an_answer_is_not_held_back_for_long(alices: Client, east: Cluster, store: BackupLocation) -> None:
    page = f"/backups/{make_backup(east, store, state=State.RUNNING, completed_at=None).pk}/"
    seen = alices.get(page, headers={"Live": "1"})["ETag"]
    began = time.monotonic()
    assert alices.get(page, headers={"Live": "1", "If-None-Match": seen}).status_code == 304
    assert live.HELD <= time.monotonic() - began < live.HELD + 1


def test_results_are_grouped_and_explained(alices: Client, east: Cluster, store: BackupLocation) -> None:
    entry = {"severity": "error", "namespace": "shop", "text": "raw words", "count": 3}
    entry |= {"sentence": "A quota is used up.", "remedy": "Raise it."}
    entries = [entry | {"kind": "pods", "text": "of a pod"}, entry, entry | {"kind": "pods", "text": "of another"}]
    backup = make_backup(
        east, store, state=State.PARTIALLY_FAILED, errors=9, results={"entries": entries, "unread": ""}
    )
    page = alices.get(f"/backups/{backup.pk}/").content.decode()
    assert all(text in page for text in ("A quota is used up.", "Raise it.", "raw words", "3 times", "shop"))
    assert page.index("raw words") < page.index(">pods <") < page.index("of a pod") < page.index("of another")
    assert page.count(">pods <") == 1


def test_a_phase_nobody_knows_is_shown_as_it_is(alices: Client, east: Cluster, store: BackupLocation) -> None:
    backup = make_backup(east, store, state=State.RUNNING, phase="Levitating<script>", completed_at=None)
    page = alices.get(f"/backups/{backup.pk}/").content.decode()
    assert "Levitating&lt;script&gt;" in page and "Levitating<script>" not in page


def test_yaml_and_command(alices: Client, east: Cluster, store: BackupLocation) -> None:
    backup = make_backup(east, store, namespaces=["shop"])
    page = alices.get(f"/backups/{backup.pk}/yaml/").content.decode()
    assert "kind: Backup" in page and f"velero backup create {backup.object_name}" in page


@pytest.mark.parametrize("path", ["", "yaml/", "log/", "restore/"])
def test_to_another_tenant_it_does_not_exist(
    client: Client, charlie: User, east: Cluster, store: BackupLocation, path: str
) -> None:
    backup = make_backup(east, store)
    client.force_login(charlie)
    theirs, nothing = client.get(f"/backups/{backup.pk}/{path}"), client.get(f"/backups/{uuid.uuid4()}/{path}")
    assert theirs.status_code == nothing.status_code == 404


def test_strangers_are_asked_to_sign_in(client: Client, east: Cluster, store: BackupLocation) -> None:
    backup = make_backup(east, store)
    for path in (
        f"/backups/{backup.pk}/",
        f"/clusters/{east.pk}/backup-restore/",
        f"/clusters/{east.pk}/backups/create/",
    ):
        answer = client.get(path)
        assert answer.status_code == 302 and "next=" in answer["Location"]


def test_wrong_methods(alices: Client, east: Cluster, store: BackupLocation) -> None:
    backup = make_backup(east, store)
    assert alices.post(f"/backups/{backup.pk}/").status_code == 405
    assert alices.post(f"/clusters/{east.pk}/backup-restore/").status_code == 405


def test_a_location_of_another_project_is_not_offered(alices: Client, east: Cluster, tenant: Any) -> None:
    other = make_location(Project.objects.create(tenant=tenant, name="Other"), "theirs")
    make_location(east.project, "ours")
    page = alices.get(f"/clusters/{east.pk}/backups/create/").content.decode()
    assert "ours" in page and "theirs" not in page
    assert alices.post(f"/clusters/{east.pk}/backups/create/", posted(other)).status_code == 422


def test_no_page_shows_a_secret(alices: Client, east: Cluster, store: BackupLocation) -> None:
    backup = make_backup(east, store)
    paths = [f"/backups/{backup.pk}/", f"/backups/{backup.pk}/yaml/", f"/clusters/{east.pk}/backup-restore/"]
    pages = [alices.get(path).content.decode() for path in [*paths, f"/clusters/{east.pk}/backups/create/"]]
    assert not [secret for secret in SECRETS for page in pages if secret in page]


class TestLog:
    def test_a_click_asks_a_worker_and_the_lines_show_as_they_come(
        self, alices: Client, alice: User, east: Cluster, store: BackupLocation, settings: Any, tmp_path: Any
    ) -> None:
        settings.VAR = tmp_path
        backup = make_backup(east, store)
        assert alices.post(f"/backups/{backup.pk}/log/").status_code == 302
        reading = Reading.objects.get()
        assert (reading.requested_by, reading.backup) == (alice, backup)
        spool.append(
            reading.pk, 0, ['time="2026-11-22T10:00:00Z" level=error msg="no such bucket"', "plain <b>words</b>"]
        )
        page = alices.get(f"/backups/{backup.pk}/log/").content.decode()
        assert "no such bucket" in page and "plain &lt;b&gt;words&lt;/b&gt;" in page
        only = alices.get(f"/backups/{backup.pk}/log/?level=error").content.decode()
        assert "no such bucket" in only and "words" not in only

    def test_until_its_first_lines_come_it_is_asked_for_quickly_and_not_for_long(
        self, alices: Client, alice: User, east: Cluster, store: BackupLocation, settings: Any, tmp_path: Any
    ) -> None:
        settings.VAR = tmp_path
        reading = request_log(by=alice, of=make_backup(east, store))

        def pace() -> str:
            return alices.get(f"/backups/{reading.backup_id}/log/", headers={"Live": "1"})["Live-Interval"]

        assert pace() == "20"
        Reading.objects.update(created_at=timezone.now() - timedelta(seconds=3))
        assert pace() == "300"
        Reading.objects.update(created_at=timezone.now(), lines=500)
        assert pace() == "300"
        Reading.objects.update(state=CheckState.COMPLETED)
        assert pace() == "5000"

    def test_the_first_answer_waits_for_the_first_lines(
        self, alices: Client, alice: User, east: Cluster, store: BackupLocation, settings: Any, tmp_path: Any
    ) -> None:
        settings.VAR = tmp_path
        reading = request_log(by=alice, of=make_backup(east, store))
        worker = threading.Timer(0.1, spool.append, [reading.pk, 0, ["here it is"]])
        worker.start()
        assert "here it is" in alices.get(f"/backups/{reading.backup_id}/log/").content.decode()

    def test_what_one_person_read_is_not_shown_to_another(
        self,
        client: Client,
        alice: User,
        tenant: Any,
        east: Cluster,
        store: BackupLocation,
        settings: Any,
        tmp_path: Any,
    ) -> None:
        from accounts.actions import add_tenant_admin

        settings.VAR = tmp_path
        reading = request_log(by=alice, of=make_backup(east, store))
        spool.append(reading.pk, 0, ["alice reads this"])
        client.force_login(add_tenant_admin(by=None, tenant=tenant, email="bob@harbor.example", password="x" * 12))
        assert "alice reads this" not in client.get(f"/backups/{reading.backup_id}/log/").content.decode()

    def test_the_file_holds_every_line(
        self, alices: Client, alice: User, east: Cluster, store: BackupLocation, settings: Any, tmp_path: Any
    ) -> None:
        settings.VAR = tmp_path
        reading = request_log(by=alice, of=make_backup(east, store))
        for block in range(3):
            spool.append(reading.pk, block, [f"line {block}-{number}" for number in range(500)])
        assert alices.get(f"/backups/{reading.backup_id}/log.txt").status_code == 404  # still being read
        Reading.objects.update(state=CheckState.COMPLETED)
        text = b"".join(alices.get(f"/backups/{reading.backup_id}/log.txt").streaming_content).decode()  # type: ignore[attr-defined]
        assert text.count("\n") == 1500 and text.startswith("line 0-0\n")

    def test_a_long_log_is_counted_but_not_held(
        self, alices: Client, alice: User, east: Cluster, store: BackupLocation, settings: Any, tmp_path: Any
    ) -> None:
        settings.VAR = tmp_path
        reading = request_log(by=alice, of=make_backup(east, store))
        for block in range(3):
            spool.append(reading.pk, block, [f"line {block}-{number}" for number in range(500)])
        Reading.objects.update(state=CheckState.COMPLETED, lines=1500)
        answer = alices.get(f"/backups/{reading.backup_id}/log/")
        assert (len(answer.context["lines"]), answer.context["found"]) == (1000, 1500)
        assert "the first 1000 are shown" in answer.content.decode()

    def test_json_lines_are_read_as_well(self) -> None:
        from backups.views.log import parsed

        line = parsed('{"level":"warning","msg":"volume skipped","time":"2026-11-22T10:11:12Z","error":"no class"}')
        assert (line.at, line.level, line.text) == ("10:11:12", "warning", "volume skipped no class")


def test_a_deregistered_cluster_has_no_pages(alices: Client, east: Cluster) -> None:
    Cluster.objects.filter(pk=east.pk).update(deregistered_at=timezone.now())
    assert alices.get(f"/clusters/{east.pk}/backup-restore/").status_code == 404


def test_pages_of_what_is_left_of_a_deregistered_cluster_lead_nowhere_it_was(
    alices: Client, east: Cluster, west: Cluster, store: BackupLocation
) -> None:
    backup = make_backup(east, store)
    restore = Restore.objects.create(project=east.project, backup=backup, cluster=east, object_name="r-1")
    paths = [f"/backups/{backup.pk}/", f"/backups/{backup.pk}/yaml/", f"/backups/{backup.pk}/log/"]
    paths += [f"/restores/{restore.pk}/", f"/projects/{east.project_id}/", f"/locations/{store.pk}/"]
    assert all(f'href="/clusters/{east.pk}/' in alices.get(path).content.decode() for path in paths)
    Cluster.objects.filter(pk=east.pk).update(deregistered_at=timezone.now())
    for path in paths:
        page = alices.get(path).content.decode()
        assert f'href="/clusters/{east.pk}/' not in page, path
        assert 'harbor-east</span> <span class="tag">deregistered' in page, path


def test_many_clusters_cost_no_more_queries(
    alices: Client, project: Project, store: BackupLocation, django_assert_max_num_queries: Any
) -> None:
    cluster = make_cluster(project, "harbor-north")
    for number in range(25):
        make_backup(cluster, store, f"b-{number}")
    with django_assert_max_num_queries(10):
        alices.get(f"/clusters/{cluster.pk}/backup-restore/")


def test_a_line_nested_beyond_reason_is_shown_as_it_is() -> None:
    from backups.views.log import parsed

    line = '{"msg":' * 100_000
    assert parsed(line).text == line


@pytest.mark.parametrize("page", ["", "restores/"])
def test_what_an_older_database_does_not_know_is_said(alices: Client, east: Cluster, page: str) -> None:
    url = f"/clusters/{east.pk}/backup-restore/{page}"
    assert "Not everything here is known" not in alices.get(url).text
    east.facts = east.facts | {"left": {"backup": 2, "restore": 1}}
    east.save()
    assert "It made 2 backups and 1 restore in this cluster" in alices.get(url).text
