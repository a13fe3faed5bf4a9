"""What a cluster says, written into rows: never back, never of somebody else's object, and never a crash."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from backups.lifecycle import TERMINAL, State, may_become, state_of_phase
from backups.models import Backup, Restore
from backups.reconcile import loop, observation
from backups.reconcile.watching import Changed, Listed
from tests.conftest import make_cluster, make_location
from tests.unit.backups.reconcile.conftest import Json, fresh, make_backup, make_restore, object_of
from workspaces.models import Cluster, Overtaken, Project

pytestmark = pytest.mark.django_db
PHASES = ["", "New", "InProgress", "WaitingForPluginOperations", "Finalizing", "Completed", "PartiallyFailed", "Failed"]


@pytest.fixture
def cluster(project: Project) -> Cluster:
    return make_cluster(project, "harbor-east")


@pytest.fixture
def backup(project: Project, cluster: Cluster) -> Backup:
    return make_backup(project, cluster, make_location(project), state=State.SUBMITTED, submitted_at=timezone.now())


def changed(wish: Backup | Restore, raw: Json, *, gone: bool = False) -> None:
    """As the writer hears it from a watch."""
    kind = "backup" if isinstance(wish, Backup) else "restore"
    loop.write(Changed(wish.cluster_id, kind, raw, gone))


def listed(wish: Backup, *raws: Json, began: datetime | None = None) -> None:
    objects = {raw["metadata"]["name"]: raw for raw in raws}
    loop.write(Listed(wish.cluster_id, "backup", objects, began or timezone.now()))


class TestProgress:
    def test_its_place_in_the_queue_is_kept_while_it_has_one(self, backup: Backup) -> None:
        for position in (3, 2):
            changed(backup, object_of(backup, phase="Queued", queuePosition=position))
            assert (fresh(backup).state, fresh(backup).queue_position) == (State.SUBMITTED, position)
        changed(backup, object_of(backup, phase="InProgress"))
        assert fresh(backup).queue_position == 0

    def test_from_new_to_completed(self, backup: Backup) -> None:
        changed(backup, object_of(backup, phase="InProgress", progress={"itemsBackedUp": 3, "totalItems": 10}))
        row = fresh(backup)
        assert (row.state, row.phase, row.items_done, row.items_total) == (State.RUNNING, "InProgress", 3, 10)
        assert row.finished_at is None
        done = object_of(
            backup,
            phase="Completed",
            progress={"itemsBackedUp": 10, "totalItems": 10},
            warnings=2,
            startTimestamp="2026-01-02T03:04:05Z",
            completionTimestamp="2026-01-02T03:04:06Z",
            expiration="2026-02-02T03:04:05Z",
        )
        changed(backup, done)
        row = fresh(backup)
        assert (row.state, row.items_done, row.warnings, row.message) == (State.COMPLETED, 10, 2, "")
        assert row.completed_at == datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
        assert row.expires_at == datetime(2026, 2, 2, 3, 4, 5, tzinfo=UTC)
        assert row.resource == done
        assert row.finished_at is not None
        assert row.due_at is None

    def test_an_unknown_phase_is_shown_as_it_is(self, backup: Backup) -> None:
        changed(backup, object_of(backup, phase="PonderingDeeply"))
        assert (fresh(backup).state, fresh(backup).phase) == (State.RUNNING, "PonderingDeeply")

    def test_a_very_long_phase_is_cut(self, backup: Backup) -> None:
        changed(backup, object_of(backup, phase="x" * 500))
        assert fresh(backup).phase == "x" * 60

    @pytest.mark.parametrize(
        ("status", "sentence"),
        [
            ({"phase": "Failed", "failureReason": "rpc error: NoSuchBucket"}, "The bucket does not exist."),
            ({"phase": "FailedValidation", "validationErrors": ["something new"]}, "something new"),
            ({"phase": "PartiallyFailed", "errors": 1}, "Velero met 1 error; the log names the objects."),
            ({"phase": "PartiallyFailed", "errors": 7}, "Velero met 7 errors; the log names the objects."),
        ],
    )
    def test_every_bad_end_carries_a_sentence(self, backup: Backup, status: Json, sentence: str) -> None:
        changed(backup, object_of(backup, **status))
        row = fresh(backup)
        assert row.state in TERMINAL
        assert sentence in row.message

    def test_a_restore_too(self, backup: Backup, cluster: Cluster) -> None:
        restore = make_restore(backup, cluster, state=State.SUBMITTED, submitted_at=timezone.now())
        changed(restore, object_of(restore, phase="Completed", progress={"itemsRestored": 4, "totalItems": 4}))
        assert (fresh(restore).state, fresh(restore).items_done) == (State.COMPLETED, 4)
        assert fresh(backup).state == State.SUBMITTED

    def test_the_same_again_is_not_written_again(self, backup: Backup, django_assert_num_queries: Any) -> None:
        raw = object_of(backup, phase="InProgress", progress={"itemsBackedUp": 3})
        changed(backup, raw)
        before = fresh(backup).updated_at
        with django_assert_num_queries(1):
            changed(backup, raw)
        assert fresh(backup).updated_at == before


class TestNeverBack:
    @pytest.mark.slow
    @given(st.lists(st.sampled_from(PHASES), min_size=1, max_size=8))
    @hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
    def test_whatever_comes_in_whatever_order(self, backup: Backup, phases: list[str]) -> None:
        """I6: events from before, twice or out of order never move a row to a state that the table forbids."""
        Backup.objects.filter(pk=backup.pk).update(state=State.SUBMITTED, finished_at=None, message="", phase="")
        state = State.SUBMITTED
        for phase in phases:
            changed(backup, object_of(backup, phase=phase))
            after = State(fresh(backup).state)
            assert after == state or may_become(state, after)
            if state in TERMINAL:
                assert after == state
            state = after
        ends = [state_of_phase(phase) for phase in phases if state_of_phase(phase) in TERMINAL]
        assert state == (ends[0] if ends else state)

    @pytest.mark.parametrize("state", sorted(TERMINAL))
    def test_what_has_ended_stays_as_it_ended(self, backup: Backup, state: State) -> None:
        Backup.objects.filter(pk=backup.pk).update(state=state, message="as it was")
        for phase in PHASES:
            changed(backup, object_of(backup, phase=phase))
        listed(backup, began=timezone.now() + timedelta(minutes=1))
        changed(backup, object_of(backup), gone=True)
        assert (fresh(backup).state, fresh(backup).message) == (state, "as it was")

    def test_a_submitter_who_was_faster_does_not_swallow_what_was_seen(
        self, backup: Backup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The watch sees Completed while the row still says submitting; in between the submitter notes submitted."""
        Backup.objects.filter(pk=backup.pk).update(state=State.SUBMITTING, attempt=1)
        held = fresh(backup)
        fresh(backup).write(state=State.SUBMITTED)
        observation.observe(held, object_of(backup, phase="Completed"))
        assert fresh(backup).state == State.COMPLETED

    def test_seen_before_the_submitter_could_note_it(self, backup: Backup) -> None:
        Backup.objects.filter(pk=backup.pk).update(state=State.SUBMITTING, attempt=1, submitted_at=None)
        submitter = fresh(backup)
        changed(backup, object_of(backup, phase="Completed"))
        row = fresh(backup)
        assert (row.state, row.object_uid) == (State.COMPLETED, "uid-of-object")
        assert row.submitted_at is not None
        with pytest.raises(Overtaken):
            submitter.write(state=State.SUBMITTED)
        assert fresh(backup).state == State.COMPLETED

    @pytest.mark.parametrize("phase", ["New", "InProgress", "Completed"])
    def test_unknown_is_settled_by_seeing_it(self, backup: Backup, phase: str) -> None:
        Backup.objects.filter(pk=backup.pk).update(state=State.UNKNOWN, due_at=timezone.now())
        changed(backup, object_of(backup, phase=phase))
        assert fresh(backup).state == state_of_phase(phase)
        assert fresh(backup).due_at is None


class TestForeign:
    def test_an_object_without_our_label_says_nothing(self, backup: Backup) -> None:
        raw = object_of(backup, phase="Completed")
        raw["metadata"]["labels"] = {}
        changed(backup, raw)
        listed(backup, raw)
        assert fresh(backup).state == State.SUBMITTED

    def test_nor_one_of_another_request(self, backup: Backup) -> None:
        raw = object_of(backup, phase="Failed")
        raw["metadata"]["labels"] = {"drydock.backup/request": str(uuid.uuid4())}
        changed(backup, raw)
        changed(backup, raw, gone=True)
        assert fresh(backup).state == State.SUBMITTED

    def test_nor_an_object_of_that_name_in_another_cluster(self, backup: Backup, project: Project) -> None:
        """The adopted copy in the target carries our request's label, too."""
        other = make_cluster(project, "harbor-west")
        loop.write(Changed(other.pk, "backup", object_of(backup, phase="Failed")))
        assert fresh(backup).state == State.SUBMITTED

    def test_nor_one_of_another_kind(self, backup: Backup) -> None:
        loop.write(Changed(backup.cluster_id, "restore", object_of(backup, phase="Failed")))
        assert fresh(backup).state == State.SUBMITTED


class TestVanished:
    def test_removed_by_hand_while_it_ran(self, backup: Backup) -> None:
        changed(backup, object_of(backup, phase="InProgress"))
        changed(backup, object_of(backup, phase="InProgress"), gone=True)
        row = fresh(backup)
        assert row.state == State.FAILED
        assert "vanished from the cluster" in row.message

    def test_removed_after_an_end_that_was_not_heard_of(self, backup: Backup) -> None:
        """The watch was broken when it completed; the deletion carries its last state."""
        changed(backup, object_of(backup, phase="Completed"), gone=True)
        assert fresh(backup).state == State.COMPLETED

    def test_not_in_a_list(self, backup: Backup) -> None:
        Backup.objects.update(submitted_at=timezone.now() - timedelta(minutes=1))
        listed(backup)
        assert fresh(backup).state == State.FAILED

    def test_a_list_from_before_it_was_submitted_proves_nothing(self, backup: Backup) -> None:
        """However late the writer comes to it."""
        began = timezone.now() - timedelta(minutes=10)
        Backup.objects.update(submitted_at=began + timedelta(seconds=30))
        listed(backup, began=began)
        assert fresh(backup).state == State.SUBMITTED

    def test_nor_does_one_that_was_being_read_then(self, backup: Backup) -> None:
        Backup.objects.update(submitted_at=timezone.now())
        listed(backup)
        assert fresh(backup).state == State.SUBMITTED

    @pytest.mark.parametrize("state", [State.REQUESTED, State.SUBMITTING, State.UNKNOWN])
    def test_what_may_not_be_there_yet_cannot_vanish(self, backup: Backup, state: State) -> None:
        Backup.objects.update(state=state, submitted_at=None)
        listed(backup, began=timezone.now() + timedelta(hours=1))
        assert fresh(backup).state == state


class TestNotPickedUp:
    def test_said_after_a_minute_and_taken_back_when_it_begins(self, backup: Backup) -> None:
        changed(backup, object_of(backup, phase="New"))
        Backup.objects.update(submitted_at=timezone.now() - timedelta(seconds=59))
        assert observation.flag_not_picked_up() == 0
        assert fresh(backup).message == ""
        Backup.objects.update(submitted_at=timezone.now() - timedelta(seconds=61))
        assert observation.flag_not_picked_up() == 1
        row = fresh(backup)
        assert row.state == State.SUBMITTED
        assert row.message == observation.not_picked_up("harbor-east")
        assert observation.flag_not_picked_up() == 0
        changed(backup, object_of(backup, phase="InProgress"))
        assert fresh(backup).message == ""

    def test_not_of_what_has_begun(self, backup: Backup) -> None:
        changed(backup, object_of(backup, phase="InProgress"))
        Backup.objects.update(submitted_at=timezone.now() - timedelta(hours=1))
        assert observation.flag_not_picked_up() == 0


class TestDeregistered:
    def test_what_was_open_there_ends_and_says_why(self, backup: Backup, cluster: Cluster) -> None:
        waiting = make_backup(backup.project, cluster, backup.location, name="w", object_name="w-1")
        Cluster.objects.update(deregistered_at=timezone.now())
        assert observation.end_orphans() == 2
        assert fresh(backup).state == State.FAILED
        assert fresh(waiting).state == State.REJECTED
        assert all("was deregistered before this ended" in fresh(row).message for row in (backup, waiting))
        assert observation.end_orphans() == 0

    def test_others_go_on(self, backup: Backup) -> None:
        assert observation.end_orphans() == 0
        assert fresh(backup).state == State.SUBMITTED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ODD = st.fixed_dictionaries(
    {},
    optional={
        "metadata": JSON | st.fixed_dictionaries({}, optional={"name": JSON, "labels": JSON, "uid": JSON}),
        "spec": JSON,
        "status": JSON
        | st.fixed_dictionaries(
            {},
            optional={
                "phase": st.sampled_from(PHASES) | JSON,
                "progress": JSON | st.fixed_dictionaries({}, optional={"itemsBackedUp": JSON, "totalItems": JSON}),
                "errors": JSON,
                "warnings": JSON,
                "startTimestamp": JSON,
                "completionTimestamp": JSON,
                "expiration": JSON,
                "failureReason": JSON,
                "validationErrors": JSON,
            },
        ),
    },
)


@pytest.mark.slow
class TestOdd:
    @given(ODD)
    @hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
    def test_an_odd_object_breaks_nothing(self, backup: Backup, raw: Json) -> None:
        """Whatever is in the cluster under our name and label, the row stays one that can be read and saved."""
        Backup.objects.filter(pk=backup.pk).update(state=State.SUBMITTED, finished_at=None)
        changed(backup, raw)
        ours: Json = object_of(backup) | {key: value for key, value in raw.items() if key != "metadata"}
        changed(backup, ours)
        row = fresh(backup)
        assert row.state in set(State)
        row.full_clean(exclude=["resource", "namespaces", "results"])
        if row.state not in TERMINAL:
            changed(backup, object_of(backup, phase="Completed"))
            assert fresh(backup).state == State.COMPLETED

    @pytest.mark.parametrize("odd", [float("nan"), float("inf"), "\x00", "\ud800", 2**80], ids=repr)
    def test_the_object_is_kept_whatever_is_in_it(self, backup: Backup, odd: object) -> None:
        """What one database cannot hold as JSON is kept as text."""
        changed(backup, object_of(backup, phase="Completed", oddity=odd))
        row = fresh(backup)
        assert row.state == State.COMPLETED
        stored = json.dumps(row.resource, allow_nan=False)
        assert "\\u0000" not in stored
        assert "\\ud800" not in stored

    @given(st.dictionaries(st.text(max_size=5), ODD, max_size=3))
    @hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
    def test_an_odd_list_breaks_nothing(self, backup: Backup, objects: dict[str, Json]) -> None:
        Backup.objects.filter(pk=backup.pk).update(state=State.SUBMITTED, submitted_at=timezone.now())
        loop.write(Listed(backup.cluster_id, "backup", objects, timezone.now()))
        assert fresh(backup).state == State.SUBMITTED
