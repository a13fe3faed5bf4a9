"""Rotation: everything ends on the newest key, whatever is stopped, changed or broken on the way."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django import Settings

from accounts.models import AuditEvent
from backups.models import BackupLocation
from console.lib.crypto import CannotOpen, EncryptedJSONField, KeyRing
from console.lib.keys import new_key
from console.management.commands import rotatekeys
from tests.conftest import make_cluster, make_location
from workspaces.models import Cluster, ClusterCheck, Project

CHECKOUT = Path(__file__).resolve().parents[4]
OLD, NEW = new_key(), new_key()
SECRET = {"access_key": "AKIAPLANTED", "secret_key": "planted-storage-secret"}
KUBECONFIG: Any = {"kubeconfig": "planted", "context": ""}
ENDS_BEFORE = 60.0


@pytest.fixture(autouse=True)
def _old_ring(settings: Settings) -> None:
    settings.CONSOLE_KEYS = [OLD]


def rotated(settings: Settings, *arguments: str) -> str:
    """Run the command with the new key in front; what it printed."""
    settings.CONSOLE_KEYS = [NEW, OLD]
    out = StringIO()
    call_command("rotatekeys", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def stored(model: type[BackupLocation | Cluster | ClusterCheck], column: str) -> list[str]:
    return list(model._base_manager.order_by("pk").values_list(column, flat=True))


def test_every_value_ends_on_the_newest_key(project: Project, settings: Settings) -> None:
    location, cluster = make_location(project), make_cluster(project, "harbor-east")
    check = ClusterCheck.objects.create(project=project, kubeconfig=KUBECONFIG)
    before = stored(BackupLocation, "credentials") + stored(Cluster, "kubeconfig")
    printed = rotated(settings)
    assert "backups_backuplocation.credentials: 1 sealed again, 0 current already, 0 cannot be opened" in printed
    settings.CONSOLE_KEYS = [NEW]  # the old key is gone for good
    assert BackupLocation.objects.get(pk=location.pk).credentials == SECRET
    assert Cluster.objects.get(pk=cluster.pk).kubeconfig["kubeconfig"] == "planted-kubeconfig-secret"
    assert ClusterCheck.objects.get(pk=check.pk).kubeconfig["kubeconfig"] == "planted"
    assert not set(before) & set(stored(BackupLocation, "credentials") + stored(Cluster, "kubeconfig"))


def test_control_without_rotation_the_old_key_is_needed(project: Project, settings: Settings) -> None:
    location = make_location(project)
    settings.CONSOLE_KEYS = [NEW]
    with pytest.raises(CannotOpen):
        _ = BackupLocation.objects.get(pk=location.pk).credentials


def test_a_second_run_writes_nothing(project: Project, settings: Settings) -> None:
    make_location(project)
    rotated(settings)
    before = stored(BackupLocation, "credentials")
    assert "0 sealed again, 1 current already" in rotated(settings)
    assert stored(BackupLocation, "credentials") == before


def test_prints_no_secret_and_no_ciphertext(project: Project, settings: Settings) -> None:
    make_location(project)
    ciphertext = stored(BackupLocation, "credentials")[0]
    printed = rotated(settings)
    assert "planted" not in printed and ciphertext not in printed and OLD not in printed and NEW not in printed


def test_empty_columns_are_left_alone(project: Project, settings: Settings) -> None:
    ClusterCheck.objects.create(project=project)
    assert "workspaces_clustercheck.kubeconfig: 0 sealed again, 0 current already" in rotated(settings)
    assert stored(ClusterCheck, "kubeconfig") == [None]


def test_every_encrypted_field_is_found() -> None:
    found = {f"{model.__name__}.{column.name}" for model, column in rotatekeys.encrypted_fields()}
    assert {
        "BackupLocation.credentials",
        "LocationCheck.draft",
        "Cluster.kubeconfig",
        "ClusterCheck.kubeconfig",
    } <= found


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_batches_cover_every_row_once(project: Project, settings: Settings, size: int) -> None:
    for number in range(5):
        make_location(project, f"store-{number}")
    assert "backups_backuplocation.credentials: 5 sealed again, 0 current" in rotated(settings, f"--batch={size}")


def test_a_value_no_key_opens_is_named_and_the_others_are_done(project: Project, settings: Settings) -> None:
    lost, kept = make_location(project, "lost"), make_location(project, "kept")
    elsewhere = KeyRing([new_key()]).seal(b"{}", f"backups_backuplocation:{lost.pk}:credentials")
    _write_raw("backups_backuplocation", lost, "credentials", elsewhere)
    settings.CONSOLE_KEYS = [NEW, OLD]
    out, errors = StringIO(), StringIO()
    with pytest.raises(CommandError, match="1 stored values cannot be opened") as failure:
        call_command("rotatekeys", stdout=out, stderr=errors)
    assert failure.value.returncode == 1
    assert errors.getvalue().strip() == f"Cannot be opened: backups_backuplocation {lost.pk}, credentials"
    settings.CONSOLE_KEYS = [NEW]
    assert BackupLocation.objects.get(pk=kept.pk).credentials == SECRET


def test_a_ciphertext_moved_from_another_row_stays_closed(project: Project, settings: Settings) -> None:
    rich, poor = make_location(project, "rich"), make_location(project, "poor")
    theirs = BackupLocation._base_manager.values_list("credentials", flat=True).get(pk=rich.pk)
    _write_raw("backups_backuplocation", poor, "credentials", theirs)
    with pytest.raises(CommandError, match="1 stored values cannot be opened"):
        rotated(settings)
    with pytest.raises(CannotOpen):
        _ = BackupLocation.objects.get(pk=poor.pk).credentials


def _write_raw(table: str, row: BackupLocation, column: str, text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [text, row.pk.hex])


@pytest.fixture
def somebody_saves(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[BackupLocation]:
    """A location whose credentials somebody changes after the command has read them and before it writes."""
    location, real = make_location(project), rotatekeys.replace
    changes = iter([{"access_key": "NEWER", "secret_key": "newer"}])

    def meanwhile(model: Any, column: EncryptedJSONField, *arguments: Any) -> int:
        if column.name == "credentials" and (change := next(changes, None)):
            row = BackupLocation.objects.get(pk=location.pk)
            row.credentials = change
            row.save()
        return real(model, column, *arguments)

    monkeypatch.setattr(rotatekeys, "replace", meanwhile)
    yield location


def test_a_concurrent_change_is_not_overwritten(somebody_saves: BackupLocation, settings: Settings) -> None:
    rotated(settings)
    assert BackupLocation.objects.get(pk=somebody_saves.pk).credentials["access_key"] == "NEWER"


def test_control_an_unconditional_write_would_lose_the_change(
    somebody_saves: BackupLocation, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile = rotatekeys.replace

    def blind(model: Any, column: EncryptedJSONField, pk: Any, stored: Any, fresh: Any) -> int:
        meanwhile(model, column, pk, stored, fresh)
        return int(model._base_manager.filter(pk=pk).update(**{column.name: fresh}))

    monkeypatch.setattr(rotatekeys, "replace", blind)
    rotated(settings)
    assert BackupLocation.objects.get(pk=somebody_saves.pk).credentials == SECRET


def test_a_row_that_keeps_changing_is_said_and_not_claimed(
    project: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_location(project)
    monkeypatch.setattr(rotatekeys, "replace", lambda *_: 0)
    with pytest.raises(CommandError, match="1 values were changed while this ran"):
        rotated(settings)


class TestAudit:
    def test_a_run_leaves_one_row_and_one_that_found_nothing_to_do_leaves_none(
        self, project: Project, settings: Settings
    ) -> None:
        make_location(project)
        make_cluster(project, "harbor-east")
        for _ in range(2):
            rotated(settings)
        (row,) = AuditEvent.objects.filter(verb="credentials.rotate")
        assert (row.actor, row.target, row.outcome, row.tenant_id) == ("Drydock", "every tenant", "done", None)
        assert row.details == {"sealed_again": 2, "not_opened": 0, "changed_meanwhile": 0}

    def test_one_that_could_not_open_everything_says_so(self, project: Project, settings: Settings) -> None:
        lost = make_location(project)
        elsewhere = KeyRing([new_key()]).seal(b"{}", f"backups_backuplocation:{lost.pk}:credentials")
        _write_raw("backups_backuplocation", lost, "credentials", elsewhere)
        with pytest.raises(CommandError):
            rotated(settings)
        row = AuditEvent.objects.get(verb="credentials.rotate")
        assert (row.outcome, row.details["not_opened"]) == ("failed", 1)
        assert elsewhere not in str(row.details)


# The process is killed, for real: SIGKILL in the middle, and a second run.

ROWS = 1500


@dataclass(frozen=True)
class Shared:
    """The test's rows where another process finds them."""

    url: str
    database: BaseDatabaseWrapper

    def query(self, sql: str, *parameters: str) -> list[tuple[Any, ...]]:
        with self.database.cursor() as cursor:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())


@contextmanager
def _shared(tmp_path: Path) -> Iterator[Shared]:
    """PostgreSQL's test database is there for everybody; SQLite's is in memory and is copied to a file."""
    if connection.vendor == "postgresql":
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
        yield Shared(url.geturl(), connection)
        return
    file = tmp_path / "drydock.sqlite3"
    with closing(sqlite3.connect(file)) as copy:
        connection.connection.backup(copy)
        copy.execute("PRAGMA journal_mode=WAL")
    other = connections.create_connection("default")
    other.settings_dict = {**connections.settings["default"], "NAME": str(file)}
    with closing(other):
        yield Shared(f"sqlite:///{file}", other)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_killed_half_way_everything_opens_and_a_second_run_ends_it(
    project: Project, settings: Settings, tmp_path: Path
) -> None:
    ClusterCheck.objects.bulk_create([ClusterCheck(project=project, kubeconfig=KUBECONFIG) for _ in range(ROWS)])
    with _shared(tmp_path) as shared:
        with _start(tmp_path, shared, "--batch=5") as process:
            assert _wait_for_progress(shared, process)
            process.send_signal(signal.SIGKILL)
        half = _sealed_with_new(shared)
        assert 0 < half < ROWS, f"killed at {half} of {ROWS}: not half-way"
        assert _readable(shared, [NEW, OLD]) == ROWS
        assert _readable(shared, [NEW]) == half  # control: the rest still needs the old key
        with _start(tmp_path, shared) as second:
            printed, _ = second.communicate(timeout=ENDS_BEFORE)
        assert second.returncode == 0
        assert f"{ROWS - half} sealed again, {half} current already" in printed
        assert _readable(shared, [NEW]) == ROWS


def _start(home: Path, shared: Shared, *arguments: str) -> subprocess.Popen[str]:
    own = {"DRYDOCK_VAR": str(home), "DATABASE_URL": shared.url, "CONSOLE_KEYS": f"{NEW},{OLD}"}
    command = [sys.executable, "manage.py", "rotatekeys", "--skip-checks", *arguments]  # checks import the SDKs: 2 s
    return subprocess.Popen(command, cwd=CHECKOUT, env=os.environ | own, stdout=subprocess.PIPE, text=True)


def _wait_for_progress(shared: Shared, process: subprocess.Popen[str]) -> bool:
    until = time.monotonic() + ENDS_BEFORE
    while time.monotonic() < until and process.poll() is None:
        if _sealed_with_new(shared):
            return True
        time.sleep(0.02)
    return False


def _sealed_with_new(shared: Shared) -> int:
    query = "SELECT count(*) FROM workspaces_clustercheck WHERE kubeconfig LIKE %s"
    return int(shared.query(query, f"v1.{KeyRing([NEW]).newest}.%")[0][0])


def _readable(shared: Shared, keys: list[str]) -> int:
    ring, column = KeyRing(keys), ClusterCheck._meta.get_field("kubeconfig")
    assert isinstance(column, EncryptedJSONField)
    opened = 0
    for pk, text in shared.query("SELECT id, kubeconfig FROM workspaces_clustercheck"):
        row = ClusterCheck(pk=ClusterCheck._meta.pk.to_python(pk))
        try:
            opened += b"planted" in ring.open(text, column.place(row))
        except CannotOpen:
            continue
    return opened
