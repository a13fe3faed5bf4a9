"""Reports from objects that anybody may have written: nothing fails, nothing is lost, what is odd is said."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.velero.backup import read_backup
from backups.velero.deletion import read_deletion
from backups.velero.location import read_location
from backups.velero.reading import read_moment
from backups.velero.restore import read_restore
from backups.velero.schedule import read_schedule

READERS: list[Callable[[object], Any]] = [read_backup, read_restore, read_location, read_deletion, read_schedule]
BACKUP = {
    "metadata": {
        "name": "b-abcdefgh",
        "namespace": "velero",
        "uid": "u",
        "resourceVersion": "42",
        "labels": {"drydock.backup/request": "row", "velero.io/schedule-name": "weekly"},
        "annotations": {"a": "b"},
        "creationTimestamp": "2026-03-29T00:59:59Z",
    },
    "spec": {"storageLocation": "l", "includedNamespaces": ["a"], "snapshotVolumes": True},
    "status": {
        "phase": "PartiallyFailed",
        "progress": {"itemsBackedUp": 7, "totalItems": 9},
        "errors": 1,
        "warnings": 2,
        "startTimestamp": "2026-03-29T01:00:00Z",
        "completionTimestamp": "2026-03-29T03:00:00.123456789+02:00",
        "expiration": "2026-04-28T01:00:00Z",
        "failureReason": "because",
        "validationErrors": ["one", "two"],
        "queuePosition": 3,
        "volumeSnapshotsAttempted": 1,
        "csiVolumeSnapshotsAttempted": 2,
        "csiVolumeSnapshotsCompleted": 2,
        "backupItemOperationsAttempted": 2,
        "backupItemOperationsFailed": 1,
    },
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
known_keys = st.sampled_from(
    [
        *("metadata", "spec", "status", "name", "uid", "labels", "annotations", "phase", "progress", "errors"),
        *("totalItems", "itemsBackedUp", "itemsRestored", "startTimestamp", "expiration", "creationTimestamp"),
        *("objectStorage", "config", "validationErrors", "queuePosition", "template", "schedule", "paused"),
    ]
)
odd_times = st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-12:00", "2026-13-01T00:00:00Z", "now"])
odd_objects = st.recursive(
    json_values | odd_times,
    lambda children: st.dictionaries(known_keys, children, max_size=6),
    max_leaves=30,
)


def test_a_backup_as_velero_writes_it() -> None:
    report = read_backup(BACKUP)
    assert report.oddities == ()
    assert (report.name, report.request_id, report.schedule_name) == ("b-abcdefgh", "row", "weekly")
    assert (report.phase, report.items_done, report.items_total) == ("PartiallyFailed", 7, 9)
    assert (report.errors, report.warnings, report.queue_position) == (1, 2, 3)
    assert report.completed_at == datetime(2026, 3, 29, 1, 0, 0, 123456, tzinfo=UTC)
    assert report.expires_at == datetime(2026, 4, 28, 1, tzinfo=UTC)
    assert report.validation_errors == ("one", "two")
    assert report.failure_reason == "because"
    assert (report.csi_snapshots_attempted, report.csi_snapshots_completed, report.operations_failed) == (2, 2, 1)


def test_a_new_object_has_empty_values_and_nothing_odd() -> None:
    for read in READERS:
        report = read({"metadata": {"name": "new"}})
        assert report.phase == ""
        assert report.name == "new"
        assert report.oddities == ()


def test_a_phase_we_do_not_know_is_kept_verbatim() -> None:
    assert read_backup({"status": {"phase": "Dreaming"}}).phase == "Dreaming"


def test_what_is_odd_is_said() -> None:
    report = read_backup({"metadata": {"labels": {"a": 1}}, "status": {"errors": -1, "startTimestamp": 7}})
    assert report.errors == 0
    assert report.oddities == (
        "metadata.labels holds something that is not text.",
        "status.errors is not a count.",
        "status.startTimestamp is not a time.",
    )
    assert read_restore([]).oddities == ("The object is not a JSON object.",)
    assert "status is not a JSON object." in read_location({"status": "fine"}).oddities


@pytest.mark.slow
@settings(deadline=None)
@given(odd_objects)
def test_no_object_makes_a_reader_fail_or_gives_what_a_row_cannot_hold(obj: object) -> None:
    for read in READERS:
        for value in flattened(dataclasses.asdict(read(obj))):
            assert isinstance(value, str | int | datetime | None)
            if isinstance(value, str):
                assert "\x00" not in value
                value.encode()
            if isinstance(value, int):
                assert 0 <= value < 2**31


@settings(deadline=None)
@given(st.text(max_size=80) | odd_times)
def test_times_never_fail(text: str) -> None:
    moment = read_moment(text)
    assert moment is None or moment.utcoffset() is not None


@pytest.mark.parametrize("text", ['"\\u0000"', '"\\ud800"'])
def test_text_that_no_database_takes_is_mended(text: str) -> None:
    assert read_backup({"status": {"failureReason": json.loads(text)}}).failure_reason in ("\ufffd", "?")


def flattened(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for pair in value.items() for item in pair for leaf in flattened(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in flattened(item)]
    return [value]
