"""Claims, leases and fencing: one holder at a time, and a late one writes nothing (I6, I7)."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from backups.lifecycle import OPEN, TERMINAL, State, may_become
from backups.models import Backup, BackupLocation, CheckState
from workspaces.models import Cluster, ClusterCheck, Overtaken, Project

pytestmark = pytest.mark.django_db


@pytest.fixture
def backup(project: Project, east: Cluster, store: BackupLocation) -> Backup:
    return make_backup(project, east, store)


def make_backup(project: Project, cluster: Cluster, location: BackupLocation, **fields: object) -> Backup:
    values: dict[str, object] = {"name": "nightly", "object_name": "nightly-abcd1234", "keep_for": timedelta(days=1)}
    made: Backup = Backup.objects.create(project=project, cluster=cluster, location=location, **values | fields)
    return made


def claim(backup: Backup, attempt: int) -> Backup:
    taken = Backup.objects.claim(backup.pk, attempt)
    assert taken is not None
    return taken  # type: ignore[no-any-return]


def expire(backup: Backup) -> None:
    Backup.objects.filter(pk=backup.pk).update(due_at=timezone.now() - timedelta(seconds=1))


def stored(backup: Backup) -> Backup:
    return Backup.objects.get(pk=backup.pk)  # type: ignore[no-any-return]


class TestClaim:
    def test_of_two_claimers_one_gets_it(self, backup: Backup) -> None:
        assert Backup.objects.claim(backup.pk, 0) is not None
        assert Backup.objects.claim(backup.pk, 0) is None

    def test_it_is_a_lease(self, backup: Backup, settings: Settings) -> None:
        taken = claim(backup, 0)
        assert taken.attempt == 1
        left = taken.due_at - timezone.now()
        assert timedelta(seconds=settings.LEASE_SECONDS - 2) < left <= timedelta(seconds=settings.LEASE_SECONDS)
        assert not Backup.objects.due().exists()

    def test_a_message_for_an_old_attempt_finds_nothing(self, backup: Backup) -> None:
        claim(backup, 0)
        expire(backup)
        assert Backup.objects.claim(backup.pk, 0) is None
        assert Backup.objects.claim(backup.pk, 1) is not None

    def test_a_message_for_an_attempt_to_come_finds_nothing(self, backup: Backup) -> None:
        assert Backup.objects.claim(backup.pk, 7) is None

    @pytest.mark.parametrize("state", sorted(TERMINAL))
    def test_what_has_ended_is_not_claimed(self, backup: Backup, state: State) -> None:
        Backup.objects.filter(pk=backup.pk).update(state=state)
        assert Backup.objects.claim(backup.pk, 0) is None

    def test_what_needs_no_worker_is_not_claimed(self, backup: Backup) -> None:
        Backup.objects.filter(pk=backup.pk).update(state=State.RUNNING, due_at=None)
        assert Backup.objects.claim(backup.pk, 0) is None

    def test_a_claimer_that_slept_through_its_own_lease_has_nothing(
        self, backup: Backup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the UPDATE and the SELECT of one claimer a whole lease passes, and another one claims."""
        manager = type(Backup.objects.all())
        plain = manager.update

        def slow(rows: object, **values: object) -> int:
            changed = plain(rows, **values)  # type: ignore[arg-type]
            monkeypatch.setattr(manager, "update", plain)
            Backup.objects.filter(pk=backup.pk).update(attempt=2)
            return changed

        monkeypatch.setattr(manager, "update", slow)
        assert Backup.objects.claim(backup.pk, 0) is None


class TestFencing:
    def test_a_late_holder_writes_nothing(self, backup: Backup) -> None:
        late = claim(backup, 0)
        expire(backup)
        present = claim(backup, 1)
        with pytest.raises(Overtaken):
            late.write(state=State.SUBMITTING, message="late")
        with pytest.raises(Overtaken):
            late.wait(5, "late")
        present.write(state=State.SUBMITTING, message="present")
        assert stored(backup).message == "present"

    def test_one_whose_lease_ran_out_may_write_until_another_claims(self, backup: Backup) -> None:
        holder = claim(backup, 0)
        expire(backup)
        holder.write(state=State.SUBMITTING)
        assert stored(backup).state == State.SUBMITTING

    def test_the_holder_does_not_undo_what_was_observed(self, backup: Backup) -> None:
        """The watch saw the object run before its submitter could note anything."""
        holder = claim(backup, 0)
        holder.write(state=State.SUBMITTING)
        stored(backup).observe(state=State.RUNNING, due_at=None)
        for attempt in (State.UNKNOWN, State.SUBMITTED, State.REJECTED):
            with pytest.raises(Overtaken):
                holder.write(state=attempt, message="late")
        with pytest.raises(Overtaken):
            holder.wait(3)
        assert (stored(backup).state, stored(backup).due_at, stored(backup).message) == (State.RUNNING, None, "")

    def test_an_observer_with_an_old_row_writes_nothing(self, backup: Backup) -> None:
        old = stored(backup)
        claim(backup, 0).write(state=State.SUBMITTING)
        with pytest.raises(Overtaken):
            old.observe(state=State.SUBMITTING)

    @pytest.mark.slow
    @given(st.sampled_from(State), st.sampled_from(State))
    @hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
    def test_the_database_obeys_the_table(self, backup: Backup, current: State, following: State) -> None:
        """I6: whoever writes, a step that the table does not know is refused by the UPDATE itself."""
        Backup.objects.filter(pk=backup.pk).update(state=current, attempt=1)
        row = stored(backup)
        for write in (row.write, row.observe):
            Backup.objects.filter(pk=backup.pk).update(state=current)
            row.state = current
            if may_become(current, following):
                write(state=following)
                assert stored(backup).state == following
            else:
                with pytest.raises(Overtaken):
                    write(state=following)
                assert stored(backup).state == current

    def test_the_object_in_hand_says_what_was_written(self, backup: Backup) -> None:
        holder = claim(backup, 0)
        holder.write(state=State.SUBMITTING, message="m")
        assert (holder.state, holder.message) == (State.SUBMITTING, "m")

    def test_an_end_is_dated_and_needs_nobody(self, backup: Backup) -> None:
        claim(backup, 0).write(state=State.REJECTED, message="no")
        row = stored(backup)
        assert row.due_at is None
        assert row.finished_at is not None
        assert not row.is_open


class TestWaiting:
    def test_letting_go_makes_it_due_again(self, backup: Backup) -> None:
        claim(backup, 0).wait(30, "Waiting for something.")
        row = stored(backup)
        assert row.message == "Waiting for something."
        assert timedelta(seconds=28) < row.due_at - timezone.now() <= timedelta(seconds=30)
        assert not Backup.objects.due().exists()
        expire(backup)
        assert list(Backup.objects.due()) == [backup]
        assert claim(backup, 1).attempt == 2

    def test_a_row_is_due_when_nobody_took_it(self, backup: Backup) -> None:
        assert not Backup.objects.due().exists()
        expire(backup)
        assert list(Backup.objects.due()) == [backup]

    @pytest.mark.parametrize("state", sorted(OPEN | TERMINAL))
    def test_only_open_rows_are_due(self, backup: Backup, state: State) -> None:
        Backup.objects.filter(pk=backup.pk).update(state=state, due_at=timezone.now() - timedelta(seconds=1))
        assert Backup.objects.due().exists() == (state in OPEN)
        assert Backup.objects.open().exists() == (state in OPEN)


class TestHopeless:
    def test_a_check_is_given_up_after_three_workers(self, project: Project) -> None:
        check = ClusterCheck.objects.create(project=project)
        for attempt in range(3):
            assert not ClusterCheck.objects.get(pk=check.pk).is_hopeless
            assert ClusterCheck.objects.claim(check.pk, attempt)
        row = ClusterCheck.objects.get(pk=check.pk)
        assert row.is_hopeless
        row.give_up()
        ended = ClusterCheck.objects.get(pk=check.pk)
        assert (ended.state, ended.due_at) == (CheckState.FAILED, None)
        assert "3 attempts" in ended.message

    def test_a_backup_is_never_given_up(self, backup: Backup) -> None:
        Backup.objects.filter(pk=backup.pk).update(attempt=1000)
        assert not stored(backup).is_hopeless


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_many_threads_claim_a_row_once(project: Project, east: Cluster, store: BackupLocation) -> None:
    """On the real locking of the database, not on a mock of it."""
    backup = make_backup(project, east, store)
    won: list[int] = []
    start = threading.Barrier(6)

    def claimer() -> None:
        start.wait()
        try:
            while True:
                try:
                    taken = Backup.objects.claim(backup.pk, 0)
                except OperationalError:  # the in-memory database of tests has one lock for all and does not wait
                    continue
                if taken:
                    won.append(taken.attempt)
                return
        finally:
            connection.close()

    threads = [threading.Thread(target=claimer) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert won == [1]
    assert stored(backup).attempt == 1
