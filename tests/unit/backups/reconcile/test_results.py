"""What a finished backup or restore left in the bucket: read once, and what cannot be read is said."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from backups import storage
from backups.lifecycle import State
from backups.models import Backup, BackupLocation, PlacedLocation
from backups.reconcile import results
from console.lib.errors import ConsoleError, Missing, Unreachable
from tests.unit.backups.reconcile.conftest import Site, fresh, make_restore

pytestmark = pytest.mark.django_db
QUOTA = {"errors": {"namespaces": {"shop": ["exceeded quota", "exceeded quota"]}}, "warnings": {}}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What lies in the bucket: `size` and `document`, or what is raised instead; `asked` are folders and keys."""
    holds: dict[str, Any] = {"size": 1234, "document": QUOTA, "asked": []}

    def give(name: str) -> Any:
        def read(_: Any, key: str, *args: Any, **more: Any) -> Any:
            holds["asked"].append(key)
            if isinstance(holds[name], ConsoleError):
                raise holds[name]
            return holds[name]

        return read

    monkeypatch.setattr(storage, "size_below", give("size"))
    monkeypatch.setattr(storage, "open_object", lambda *args: nullcontext(give("document")(*args)))
    monkeypatch.setattr(storage, "gzip_json", lambda body, _: body)
    return holds


@pytest.fixture
def ended(backup: Backup, east: Site, store: BackupLocation) -> Backup:
    PlacedLocation.objects.create(
        location=store, cluster=east.row, source=east.row, access="ReadWrite", object_name="o", prefix="p/uid"
    )
    Backup.objects.update(state=State.COMPLETED)
    return fresh(backup)


def test_a_backup_that_went_well_is_only_measured(ended: Backup, bucket: dict[str, Any]) -> None:
    results.read(ended)
    assert (fresh(ended).size, fresh(ended).results) == (1234, {"entries": [], "unread": ""})
    assert bucket["asked"] == [f"p/uid/backups/{ended.object_name}/"]


def test_errors_are_counted_and_the_size_is_read_as_well(ended: Backup, bucket: dict[str, Any]) -> None:
    ended.errors = 2
    results.read(ended)
    (entry,) = (fresh(ended).results or {})["entries"]
    assert (entry["namespace"], entry["count"], fresh(ended).size) == ("shop", 2, 1234)


def test_what_cannot_be_read_is_unknown_and_said(ended: Backup, bucket: dict[str, Any]) -> None:
    bucket |= {"size": Unreachable("No way."), "document": Missing("Nothing there.")}
    ended.warnings = 1
    results.read(ended)
    assert (fresh(ended).size, fresh(ended).results) == (None, {"entries": [], "unread": "Nothing there."})


def test_a_backup_without_a_place_has_no_size(backup: Backup, bucket: dict[str, Any]) -> None:
    results.read(backup)
    assert (fresh(backup).size, bucket["asked"]) == (None, [])


def test_a_restore_is_not_measured(ended: Backup, west: Site, bucket: dict[str, Any]) -> None:
    restore = make_restore(ended, west.row, warnings=1)
    results.read(restore)
    assert len(bucket["asked"]) == 1 and len((fresh(restore).results or {})["entries"]) == 1
