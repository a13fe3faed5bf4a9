"""The reconciler's rounds: rows are driven again once, leases move, one dead cluster delays no other (I1, I7, I9)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError
from django.utils import timezone

from accounts import chain
from accounts.models import AuditEvent, AuditLink
from backups.lifecycle import State
from backups.models import Backup, BackupLocation, LocationCheck, PlacedLocation, Reading, Restore
from backups.reconcile import backup as backups
from backups.reconcile import loop, watching
from backups.reconcile.loop import Reconciler
from backups.reconcile.watching import Changed, Listed, Looked, Lost
from backups.velero.location import read_location
from tests.fakes.apiserver import FakeApiServer, Fault
from tests.unit.backups.reconcile.conftest import (
    VELERO,
    Sent,
    Site,
    claim,
    expire,
    fresh,
    make_backup,
    make_restore,
    object_of,
)
from workspaces.models import Cluster, ClusterCheck, Project, Wish
from workspaces.models.cluster import ClusterState

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _immediate(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are caught as soon as they are sent: pytest's own transaction never commits."""
    monkeypatch.setattr("console.lib.queue.transaction.on_commit", lambda send: send())
    monkeypatch.setattr(watching, "REST", 0.05)


class TestRedrive:
    def test_what_is_due_is_sent_once(self, backup: Backup, sent: Sent) -> None:
        expire(backup)
        assert loop.redrive() == 1
        assert loop.redrive() == 0
        assert sent == [("backups.jobs.submit_backup", str(backup.pk), 0, "commands")]

    def test_of_two_reconcilers_one_sends_it(self, backup: Backup, sent: Sent) -> None:
        """Both have read the row; the UPDATE decides."""
        expire(backup)
        rows = [fresh(backup), fresh(backup)]
        assert [loop._send_again(row, "commands") for row in rows] == [1, 0]
        assert len(sent) == 1

    def test_again_if_nobody_came(self, backup: Backup, sent: Sent) -> None:
        for _ in range(2):
            expire(backup)
            loop.redrive()
        assert len(sent) == 2

    def test_what_is_held_or_waits_or_has_ended_is_left_alone(self, backup: Backup, sent: Sent) -> None:
        claim(backup)
        assert loop.redrive() == 0
        fresh(backup).wait(60)
        assert loop.redrive() == 0
        Backup.objects.update(state=State.COMPLETED, due_at=timezone.now() - timedelta(hours=1))
        assert loop.redrive() == 0
        Backup.objects.update(state=State.RUNNING, due_at=None)
        assert loop.redrive() == 0
        assert sent == []

    def test_the_attempt_it_is_at(self, backup: Backup, sent: Sent) -> None:
        claim(backup)
        expire(backup)
        loop.redrive()
        assert sent[0][2] == 1

    def test_every_kind_of_wish(self, backup: Backup, east: Site, project: Project, sent: Sent) -> None:
        restore = make_restore(backup, east.row)
        check, probe = ClusterCheck.objects.create(project=project), LocationCheck.objects.create(project=project)
        reading = Reading.objects.create(project=project, backup=backup)
        for row in (backup, restore, check, probe, reading):
            expire(row)
        assert loop.redrive() == 5
        assert sorted((job.rsplit(".", 1)[1], queue) for job, _, _, queue in sent) == [
            ("check_cluster", "interactive"),
            ("check_location", "interactive"),
            ("read", "interactive"),
            ("submit_backup", "commands"),
            ("submit_restore", "commands"),
        ]

    def test_no_kind_is_forgotten(self) -> None:
        assert {model for model in apps.get_models() if issubclass(model, Wish)} == set(loop.WISHES)

    def test_while_redis_is_away_rows_stay_due(
        self, backup: Backup, sent: Sent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expire(backup)
        monkeypatch.setattr(loop, "reachable", lambda: False)
        assert loop.redrive() == 0
        monkeypatch.setattr(loop, "reachable", lambda: True)
        assert loop.redrive() == 1

    def test_redis_is_not_asked_when_nothing_is_due(self, backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loop, "reachable", lambda: pytest.fail("asked"))
        assert loop.redrive() == 0

    def test_a_check_that_kills_its_workers_ends_with_a_sentence(self, project: Project, sent: Sent) -> None:
        """I4: a probe that never ends is not tried for ever."""
        check = ClusterCheck.objects.create(project=project)
        for _ in range(5):
            expire(check)
            loop.redrive()
            if fresh(check).is_open:
                claim(check)
        assert (fresh(check).state, len(sent)) == ("failed", 3)
        assert fresh(check).message


def looked(site: Site, locations: Any, **rest: Any) -> Looked:
    return Looked(site.row.pk, {"backup": {}, "restore": {}}, timezone.now(), locations, **rest)


class TestHandlers:
    def test_lost_and_found(self, east: Site) -> None:
        loop.write(Lost(east.row.pk, "It refuses the connection."))
        cluster = east.fresh()
        assert (cluster.state, cluster.state_reason) == (ClusterState.UNREACHABLE, "It refuses the connection.")
        assert cluster.retry_at is not None
        since = cluster.state_since
        loop.write(Lost(east.row.pk, "It does not answer."))
        assert east.fresh().state_since == since
        loop.write(Listed(east.row.pk, "backup", {}, timezone.now()))
        cluster = east.fresh()
        assert (cluster.state, cluster.state_reason, cluster.retry_at) == (ClusterState.HEALTHY, "", None)
        assert cluster.seen_at is not None

    @pytest.mark.parametrize("state", [ClusterState.DEGRADED, ClusterState.VELERO_MISSING])
    def test_one_that_says_no_is_not_left_alone(self, east: Site, state: ClusterState) -> None:
        loop.write(Lost(east.row.pk, "No.", state))
        cluster = east.fresh()
        assert (cluster.state, cluster.state_reason, cluster.retry_at) == (state, "No.", None)
        loop.write(Listed(east.row.pk, "backup", {}, timezone.now()))
        assert east.fresh().state == ClusterState.HEALTHY

    def test_what_the_last_check_found_stays(self, east: Site) -> None:
        facts = {"state": ClusterState.DEGRADED, "state_reason": "Drydock's account is not allowed: get secrets."}
        Cluster.objects.update(facts=facts, state=ClusterState.DEGRADED, state_reason=facts["state_reason"])
        loop.write(Listed(east.row.pk, "backup", {}, timezone.now()))
        assert (east.fresh().state, east.fresh().state_reason) == (facts["state"], facts["state_reason"])

    def test_verdicts(self, east: Site, store: BackupLocation) -> None:
        placed = PlacedLocation.objects.create(
            location=store, cluster=east.row, source=east.row, access="ReadWrite", object_name="ours", prefix="p"
        )
        raw = {"metadata": {"name": "ours"}, "status": {"phase": "Unavailable", "message": "NoSuchBucket"}}
        theirs = {"metadata": {"name": "theirs"}, "status": {"phase": "Available"}}
        loop.write(looked(east, {"ours": read_location(raw), "theirs": read_location(theirs)}))
        placed.refresh_from_db()
        assert (placed.phase, placed.message) == ("Unavailable", "The bucket does not exist.")
        assert placed.phase_at is not None

    def test_verdicts_of_another_cluster_say_nothing(self, east: Site, west: Site, store: BackupLocation) -> None:
        PlacedLocation.objects.create(
            location=store, cluster=east.row, source=east.row, access="ReadWrite", object_name="ours", prefix="p"
        )
        raw = {"metadata": {"name": "ours"}, "status": {"phase": "Unavailable"}}
        loop.write(looked(west, {"ours": read_location(raw)}))
        assert PlacedLocation.objects.get().phase == ""

    def test_namespaces_are_for_people_to_pick_from(self, east: Site) -> None:
        loop.write(looked(east, {}, namespaces=("default", "new")))
        assert east.fresh().facts["namespaces"] == ["default", "new"]

    def test_a_look_that_finds_nothing_new_costs_six_queries(
        self, east: Site, store: BackupLocation, django_assert_num_queries: Any
    ) -> None:
        """A thousand clusters are looked at every 45 seconds: the row and its status, open backups and restores, the
        location and its verdict."""
        PlacedLocation.objects.create(
            location=store, cluster=east.row, source=east.row, access="ReadWrite", object_name="ours", prefix="p"
        )
        raw = {"metadata": {"name": "ours"}, "status": {"phase": "Available"}}
        found = looked(east, {"ours": read_location(raw)}, namespaces=tuple(east.row.facts["namespaces"]))
        loop.write(found)
        with django_assert_num_queries(6):
            loop.write(found)
        assert east.fresh().seen_at


class TestResults:
    @pytest.mark.parametrize(
        ("fields", "sent_to"),
        [
            ({"errors": 1}, True),
            ({"warnings": 1}, True),
            ({}, False),
            ({"errors": 1, "results": {"entries": []}}, False),
            ({"errors": 1, "state": State.RUNNING}, False),
            ({"errors": 1, "finished_at": "long ago"}, False),
            ({"started_at": timezone.now()}, True),
            ({"started_at": timezone.now(), "results": {"entries": []}}, False),
        ],
        ids=["errors", "warnings", "none", "read already", "runs", "long ago", "size", "size read already"],
    )
    def test_whose_are_read(self, backup: Backup, sent: Sent, fields: dict[str, Any], sent_to: bool) -> None:
        values = {"state": State.PARTIALLY_FAILED, "finished_at": timezone.now()} | fields
        if values["finished_at"] == "long ago":
            values["finished_at"] = timezone.now() - timedelta(hours=2)
        Backup.objects.update(**values)
        loop.send_reading_of_results()
        assert sent == ([("backups.jobs.read_results", str(backup.pk), 0, "interactive")] if sent_to else [])


@pytest.fixture
def reconciler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Reconciler]]:
    """Makes reconcilers with short rounds, and ends their threads."""
    monkeypatch.setattr(loop, "ROUND", 0.02)
    monkeypatch.setattr(loop, "UPKEEP_EVERY", 0.05)
    made: list[Reconciler] = []

    def make() -> Reconciler:
        made.append(Reconciler())
        return made[-1]

    yield make
    for one in made:
        watchers = list(one.watchers.values())
        one._stop()
        for watcher in watchers:
            watcher.join(10)
            assert not watcher.is_alive()


def rounds(*reconcilers: Reconciler, until: Callable[[], object], seconds: float = 8.0) -> float:
    """Rounds of all of them in turn until something is so; how long it took."""
    began = time.monotonic()
    while not until():
        assert time.monotonic() - began < seconds, "it did not come about"
        for one in reconcilers:
            one.round()
    return time.monotonic() - began


@pytest.mark.slow
class TestRounds:
    def test_a_backup_from_wish_to_completed(self, east: Site, backup: Backup, reconciler: Any) -> None:
        one = reconciler()
        one.round()
        assert set(one.watchers) == {(east.row.pk, "backup")}
        backups.submit(claim(backup))
        for phase in ("New", "InProgress", "Completed"):
            east.fake.patch("backups", backup.object_name, {"status": {"phase": phase}}, namespace=VELERO)
        rounds(one, until=lambda: fresh(backup).state == State.COMPLETED)
        rounds(one, until=lambda: not one.watchers)

    def test_seen_completed_before_the_submitter_said_submitted(
        self, east: Site, backup: Backup, reconciler: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The race of every quick backup: the worker waits between its request and its note."""
        one = reconciler()
        one.round()
        east.velero.phases = ["InProgress", "Completed"]
        plain = backups.note_submitted

        def slow(*args: Any) -> None:
            rounds(one, until=lambda: fresh(backup).state == State.COMPLETED)
            plain(*args)

        monkeypatch.setattr(backups, "note_submitted", slow)
        backups.submit(claim(backup))
        row = fresh(backup)
        assert (row.state, row.message) == (State.COMPLETED, "")

    def test_unknown_is_settled_by_the_watch_alone(
        self, api: FakeApiServer, east: Site, backup: Backup, reconciler: Any
    ) -> None:
        api.add_faults(Fault("reset_after", "POST", "/backups$"))
        backups.submit(claim(backup))
        assert fresh(backup).state == State.UNKNOWN
        one = reconciler()
        rounds(one, until=lambda: fresh(backup).state == State.SUBMITTED)

    def test_an_idle_cluster_is_looked_at_now_and_then(self, east: Site, reconciler: Any) -> None:
        one = reconciler()
        rounds(one, until=lambda: east.fresh().seen_at)
        assert one.watchers == {}
        asked = len(east.fake.server.requests_to("harbor-east"))
        later = time.monotonic() + 0.3
        rounds(one, until=lambda: time.monotonic() > later)
        assert len(east.fake.server.requests_to("harbor-east")) == asked

    def test_the_lease_of_a_dead_one_moves(self, east: Site, backup: Backup, reconciler: Any) -> None:
        """I7: the second does nothing while the first lives, and takes over when its lease has run out."""
        first, second = reconciler(), reconciler()
        first.round()
        second.round()
        assert first.watchers
        assert not second.watchers
        Cluster.objects.update(watched_until=timezone.now() - timedelta(seconds=1))
        second.upkeep_at = 0
        second.round()
        assert east.fresh().watched_by == second.holder
        assert second.watchers
        first.upkeep_at = 0
        first.round()
        assert not first.watchers

    def test_one_that_stops_lets_go_at_once(self, east: Site, backup: Backup, reconciler: Any) -> None:
        first, second = reconciler(), reconciler()
        first.round()
        first._stop()
        second.round()
        assert east.fresh().watched_by == second.holder

    def test_a_new_kubeconfig_is_used_by_the_watch_too(self, east: Site, backup: Backup, reconciler: Any) -> None:
        good = east.row.kubeconfig
        text = good["kubeconfig"].replace(str(east.fake.server.port), "1")
        east.row.kubeconfig = {"kubeconfig": text, "context": ""}
        east.row.save()
        one = reconciler()
        rounds(one, until=lambda: east.fresh().state == ClusterState.UNREACHABLE)
        east.row.kubeconfig = good
        east.row.save(update_fields=["kubeconfig"])
        rounds(one, until=lambda: east.fresh().state == ClusterState.HEALTHY)

    @pytest.mark.parametrize("trouble", ["hang", "reset_before", "garbage"])
    def test_a_dead_cluster_delays_no_other(
        self,
        api: FakeApiServer,
        east: Site,
        west: Site,
        backup: Backup,
        store: BackupLocation,
        reconciler: Any,
        trouble: Any,
    ) -> None:
        """I9, with rows open on both."""
        other = make_backup(west.row.project, west.row, store, object_name="other-1")
        one = reconciler()
        rounds(one, until=lambda: len(one.watchers) == 2)
        api.add_faults(Fault(trouble, cluster="harbor-east", times=None))
        api.drop_connections()
        west.velero.phases = ["InProgress", "Completed"]
        backups.submit(claim(other))
        took = rounds(one, until=lambda: fresh(other).state == State.COMPLETED)
        assert took < 4
        assert fresh(backup).state == State.REQUESTED
        assert west.fresh().state == ClusterState.HEALTHY
        api.faults.clear()
        api.drop_connections()

    def test_a_cluster_whose_kubeconfig_broke_delays_no_other(
        self, east: Site, west: Site, backup: Backup, store: BackupLocation, reconciler: Any
    ) -> None:
        Cluster.objects.filter(pk=east.row.pk).update(kubeconfig=_foreign_ciphertext(store))
        other = make_backup(west.row.project, west.row, store, object_name="other-1")
        one = reconciler()
        west.velero.phases = ["Completed"]
        backups.submit(claim(other))
        rounds(one, until=lambda: fresh(other).state == State.COMPLETED)
        assert "cannot be decrypted" in east.fresh().state_reason

    def test_an_event_that_cannot_be_written_keeps_no_other_back(
        self, east: Site, backup: Backup, reconciler: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = reconciler()
        plain = loop._write_changed

        def odd(heard: Changed) -> None:
            if heard.object.get("odd"):
                raise KeyError("odd")
            plain(heard)

        monkeypatch.setattr(loop, "_write_changed", odd)
        one.heard.put(Changed(east.row.pk, "backup", {"odd": True}))
        one.heard.put(Changed(east.row.pk, "backup", object_of(backup, phase="New")))
        Backup.objects.update(state=State.SUBMITTING)
        one.round()
        assert fresh(backup).state == State.SUBMITTED

    def test_a_round_that_fails_is_not_the_last(self, reconciler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        one = reconciler()
        calls: list[int] = []

        def failing() -> None:
            calls.append(1)
            if len(calls) == 1:
                raise DatabaseError("database is away")
            one.stopping.set()

        monkeypatch.setattr(one, "round", failing)
        monkeypatch.setattr(loop.database, "close", lambda: None)
        monkeypatch.setattr(one.stopping, "wait", lambda _: None)
        one.run()
        assert len(calls) == 2

    def test_it_says_that_it_lives_before_every_round_and_not_during_one(
        self, reconciler: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, said = reconciler(), list[str]()

        def hanging() -> None:
            said.append("round")
            one.stopping.set() if len(said) == 4 else None

        monkeypatch.setattr(one, "round", hanging)
        monkeypatch.setattr(loop.heartbeat, "beat", lambda: said.append("beat"))
        one.run()
        assert said == ["beat", "round", "beat", "round"]


def _foreign_ciphertext(store: BackupLocation) -> Any:
    """A ciphertext of another place: nothing can open it there."""
    return BackupLocation.objects.get(pk=store.pk).__dict__["credentials"]


@pytest.mark.slow
def test_restores_are_watched_as_backups_are(east: Site, backup: Backup, reconciler: Any) -> None:
    Backup.objects.update(state=State.COMPLETED)
    make_restore(backup, east.row)
    one = reconciler()
    one.round()
    assert set(one.watchers) == {(east.row.pk, "restore")}
    Restore.objects.update(state=State.CANCELED)
    one.round()
    assert one.watchers == {}


def test_a_round_seals_the_audit_log(east: Site, reconciler: Any) -> None:
    AuditEvent.objects.create(actor="somebody", verb="tenant.look")
    reconciler().round()
    assert chain.unsealed() == 0 and AuditLink.objects.exists()


def test_a_log_that_cannot_be_sealed_keeps_no_cluster_waiting(east: Site, reconciler: Any) -> None:
    AuditLink.objects.create(number=1, event_id=1, code="without a head")
    one = reconciler()
    one.round()
    assert east.fresh().watched_by == one.holder and chain.last_seal().altered
