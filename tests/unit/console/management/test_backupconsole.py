"""A copy of the console is a console: its rows are there, and its credentials open with the copied keys."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from backups.models import BackupLocation
from console.lib import keys
from console.lib.crypto import CannotOpen, EncryptedJSONField, KeyRing
from console.management.commands import backupconsole
from tests.conftest import make_location
from workspaces.models import Project

pytestmark = pytest.mark.sqlite


@pytest.fixture
def var(settings: Settings, tmp_path: Path) -> Path:
    """A console's folder with keys of its own, as after `make run`."""
    settings.VAR = tmp_path / "var"
    keys.ensure(settings.VAR)
    found = keys.load(settings.VAR)
    assert found
    settings.CONSOLE_KEYS = [found.ring]
    return tmp_path / "var"


def copied(folder: Path) -> str:
    out = StringIO()
    call_command("backupconsole", str(folder), stdout=out)
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_the_copied_keys_open_the_copied_credentials(var: Path, project: Project, tmp_path: Path) -> None:
    location = make_location(project)
    copied(tmp_path / "copy")
    assert _credentials(location, tmp_path / "copy") == location.credentials


@pytest.mark.django_db(transaction=True)
def test_control_without_the_keys_the_copy_stays_closed(var: Path, project: Project, tmp_path: Path) -> None:
    location = make_location(project)
    copied(tmp_path / "copy")
    (tmp_path / "copy" / keys.FILE_NAME).unlink()
    keys.ensure(tmp_path / "copy")  # other keys, as a fresh start would make them
    with pytest.raises(CannotOpen):
        _credentials(location, tmp_path / "copy")


def _credentials(location: BackupLocation, folder: Path) -> object:
    """What the copy holds, read with nothing but what is in the folder."""
    found, column = keys.load(folder), BackupLocation._meta.get_field("credentials")
    assert found and isinstance(column, EncryptedJSONField)
    with closing(sqlite3.connect(folder / "drydock.sqlite3")) as database:
        text = database.execute("SELECT credentials FROM backups_backuplocation").fetchone()[0]
    return json.loads(KeyRing([found.ring]).open(text, column.place(location)))


@pytest.mark.django_db(transaction=True)
def test_only_the_owner_can_read_the_copy(var: Path, tmp_path: Path) -> None:
    printed = copied(tmp_path / "copy")
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "copy" / keys.FILE_NAME).stat().st_mode) == 0o600
    assert "anybody can read every stored credential" in printed


@pytest.mark.django_db(transaction=True)
def test_says_so_when_the_keys_come_from_the_environment(settings: Settings, tmp_path: Path) -> None:
    settings.VAR = tmp_path
    assert "keep CONSOLE_KEYS as long as the copy" in copied(tmp_path / "copy")
    assert [file.name for file in (tmp_path / "copy").iterdir()] == ["drydock.sqlite3"]


@pytest.mark.django_db
def test_refuses_a_folder_that_is_there(var: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Name a folder that is not there"):
        copied(tmp_path)


@pytest.mark.django_db
def test_leaves_other_databases_to_their_own_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Postgres:
        vendor = "postgresql"

    monkeypatch.setattr(backupconsole, "connection", Postgres())
    with pytest.raises(CommandError, match="pg_dump"):
        copied(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert connection.vendor  # the real one was not touched
