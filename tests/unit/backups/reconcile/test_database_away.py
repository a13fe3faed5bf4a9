"""What the reconciler heard is written when the database is back; what the database refuses keeps no other back."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import DataError, InterfaceError, OperationalError, connection

from backups.lifecycle import State
from backups.models import Backup
from backups.reconcile import loop, observation
from backups.reconcile.loop import Reconciler
from backups.reconcile.watching import Changed
from tests.unit.backups.reconcile.conftest import fresh, object_of

pytestmark = pytest.mark.django_db
BREAK_OFF = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
def one(backup: Backup) -> Reconciler:
    """A reconciler that has heard of two steps of a backup."""
    made = Reconciler()
    Backup.objects.update(state=State.SUBMITTING)
    for phase in ("InProgress", "Completed"):
        made.heard.put(Changed(backup.cluster_id, "backup", object_of(backup, phase=phase)))
    return made


def soon() -> float:
    return time.monotonic() + 0.05


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_written_when_the_database_is_back(
    one: Reconciler, backup: Backup, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(loop, "write", lambda _: (_ for _ in ()).throw(error("away")))
        for _ in range(2):
            with pytest.raises(error):
                one._write(soon())
    one._write(soon())
    assert fresh(backup).state == State.COMPLETED


def test_what_is_refused_is_left_out(one: Reconciler, backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = observation.observe

    def refused(wish: Any, raw: Any) -> None:
        if raw["status"]["phase"] == "InProgress":
            raise DataError("too long")
        plain(wish, raw)

    monkeypatch.setattr(observation, "observe", refused)
    one._write(soon())
    assert fresh(backup).state == State.COMPLETED


def test_stops_without_a_database(one: Reconciler, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("away")

    monkeypatch.setattr(connection, "cursor", away)
    one._stop()


@pytest.mark.slow
@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_breaks_off_is_made_anew(
    one: Reconciler, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PostgreSQL's restart does to the reconciler in the middle of a round."""
    plain, broken = loop.write, list[bool]()

    def write(heard: Any) -> None:
        if not broken:
            broken.append(True)
            with connection.cursor() as cursor:
                cursor.execute(BREAK_OFF)
        plain(heard)
        if fresh(backup).state == State.COMPLETED:
            one.stopping.set()

    monkeypatch.setattr(loop, "write", write)
    monkeypatch.setattr(one, "round", lambda: one._write(soon()))
    one.run()
    assert broken and fresh(backup).state == State.COMPLETED
