"""`manage.py backupconsole FOLDER`: copies the embedded SQLite database and the keys while the console runs.

The database is copied by SQLite itself, which gives one consistent moment of it; copying the file would not. Rows are
the truth: Valkey holds nothing that is needed, and the reconciler finds out again what happened since in the clusters.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from console.lib import keys


class Command(BaseCommand):
    help = "Copies the embedded database and the keys into a new folder. With PostgreSQL, use pg_dump."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="made by this command; must not exist")

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor != "sqlite":
            raise CommandError("The database is not the embedded one: copy it with its own tools, such as pg_dump.")
        folder = make(options["folder"])
        copy_database(folder / "drydock.sqlite3")
        self.stdout.write(f"The database is in {folder / 'drydock.sqlite3'}.")
        self.stdout.write(copy_keys(folder))


def make(folder: Path) -> Path:
    """An empty folder that only its owner can read. Raises CommandError."""
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise CommandError(f"{folder} cannot be made: {error.strerror}. Name a folder that is not there.") from error
    return folder


def copy_database(file: Path) -> None:
    """Raises CommandError when the copy is not sound."""
    connection.ensure_connection()
    with closing(sqlite3.connect(file)) as copy:
        connection.connection.backup(copy)
        verdict = copy.execute("PRAGMA integrity_check").fetchone()[0]
    if verdict != "ok":
        raise CommandError(f"The copy is damaged: {verdict}")


def copy_keys(folder: Path) -> str:
    """What became of the keys, as a sentence: without them the copy's credentials cannot be opened."""
    source = settings.VAR / keys.FILE_NAME
    if not source.exists():
        return "The keys come from the environment and are not in the copy: keep CONSOLE_KEYS as long as the copy."
    shutil.copy(source, folder / keys.FILE_NAME)  # its mode comes along
    return f"The keys are in {folder / keys.FILE_NAME}. With both, anybody can read every stored credential."
