"""A worker that must end hands its row back; the next one looks before it repeats anything."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backups import jobs
from backups.models import Backup, BackupLocation
from console.lib.worker import HandBack
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.django_db


@pytest.fixture
def backup(project: Project, east: Cluster, store: BackupLocation) -> Backup:
    values = {"project": project, "cluster": east, "location": store, "keep_for": timedelta(days=1)}
    made: Backup = Backup.objects.create(name="nightly", object_name="nightly-abcd1234", **values)
    return made


def interrupted(state: str, **values: object) -> object:
    """A job that is told to end after it has written `state`."""

    def carry_out(backup: Backup) -> None:
        if state != backup.state:
            backup.write(state=state, **values)
        raise HandBack

    return jobs.carries(Backup)(carry_out)


@pytest.mark.parametrize("state", ["requested", "submitting"])
def test_the_row_is_due_at_once_and_still_open(backup: Backup, state: str) -> None:
    with pytest.raises(HandBack):
        interrupted(state)(str(backup.pk), 0)
    backup.refresh_from_db()
    assert (backup.state, backup.attempt) == (state, 1)
    assert backup.due_at <= timezone.now()


def test_what_needs_no_worker_any_more_is_not_driven_again(backup: Backup) -> None:
    def submitted(backup: Backup) -> None:
        backup.write(state="submitting")
        backup.write(state="submitted", due_at=None)
        raise HandBack

    with pytest.raises(HandBack):
        jobs.carries(Backup)(submitted)(str(backup.pk), 0)
    backup.refresh_from_db()
    assert backup.due_at is None


def test_a_row_that_somebody_else_has_is_left_alone(backup: Backup) -> None:
    later = timezone.now() + timedelta(seconds=15)

    def overtaken(mine: Backup) -> None:
        Backup.objects.filter(pk=mine.pk).update(attempt=2, due_at=later)
        raise HandBack

    with pytest.raises(HandBack):
        jobs.carries(Backup)(overtaken)(str(backup.pk), 0)
    backup.refresh_from_db()
    assert backup.due_at == later


def test_a_message_for_an_older_attempt_does_nothing(backup: Backup) -> None:
    Backup.objects.update(attempt=3)
    interrupted("submitting")(str(backup.pk), 2)
    backup.refresh_from_db()
    assert backup.state == "requested"
