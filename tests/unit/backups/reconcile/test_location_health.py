"""Locations over time: looked at again without writing, since when and why they are unavailable, what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from backups import storage
from backups.models import BackupLocation, CheckState, LocationCheck
from backups.reconcile import location as locations
from backups.reconcile import location_health as health
from backups.storage.probe import TITLES, ProbeStep
from tests.unit.backups.reconcile.conftest import Sent, claim, fresh

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _immediate(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.lib.queue.transaction.on_commit", lambda send: send())


class Bucket:
    """A store in which one step fails, or none. `tried` is what was done to it."""

    def __init__(self) -> None:
        self.fails, self.tried = "", list[str]()

    def probe(self, *_: object, **__: object) -> Iterator[ProbeStep]:
        for id, title in TITLES.items():
            self.tried.append(id)
            yield ProbeStep(id, title, "fail" if id == self.fails else "pass", "No." if id == self.fails else "")
            if id == self.fails:
                return


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket()
    monkeypatch.setattr(storage, "probe", made.probe)
    return made


def checked(store: BackupLocation, *, look_only: bool = False) -> BackupLocation:
    """As it is after a check."""
    row = LocationCheck.objects.create(project=store.project, location=store, look_only=look_only)
    locations.check(claim(row))
    assert not fresh(row).is_open
    return BackupLocation.objects.get()


def later(**ago: int) -> None:
    LocationCheck.objects.update(created_at=timezone.now() - timedelta(**ago))


class TestLooking:
    def test_nothing_is_written(self, store: BackupLocation, bucket: Bucket) -> None:
        checked(store)
        bucket.tried.clear()
        assert checked(store, look_only=True).state == "available"
        assert bucket.tried[-1] == "list"
        assert "write" not in bucket.tried

    def test_once_an_interval_by_one_reconciler(self, store: BackupLocation, sent: Sent, settings: Any) -> None:
        settings.LOCATION_CHECK_SECONDS = 300
        assert (health.recheck_due(), health.recheck_due()) == (1, 0)
        check = LocationCheck.objects.get()
        assert (check.look_only, check.requested_by_name) == (True, "Drydock")
        assert sent == [("backups.jobs.check_location", str(check.pk), 0, "slow")]
        gap = BackupLocation.objects.get().next_check_at - timezone.now()
        assert timedelta(seconds=290) < gap <= timedelta(seconds=300)

    def test_not_beside_one_that_runs(self, store: BackupLocation) -> None:
        LocationCheck.objects.create(project=store.project, location=store)
        assert health.recheck_due() == 0

    def test_not_what_only_a_cluster_can_sign_in_to_nor_what_is_being_deleted(self, store: BackupLocation) -> None:
        role = {"sign_in": "sts-cluster", "role_arn": "arn", "external_id": "x"}
        BackupLocation.objects.update(**role)
        assert health.recheck_due() == 0
        BackupLocation.objects.update(sign_in="keys", role_arn="", external_id="", deleting_at=timezone.now())
        assert health.recheck_due() == 0


class TestSince:
    def test_when_it_began_stays_and_ends(self, store: BackupLocation, bucket: Bucket) -> None:
        checked(store)
        bucket.fails = "sign_in"
        first = checked(store, look_only=True)
        assert (first.state, first.state_reason) == ("unavailable", "No.")
        assert first.unavailable_since is not None
        assert checked(store, look_only=True).unavailable_since == first.unavailable_since
        bucket.fails = ""
        well = checked(store, look_only=True)
        assert (well.state, well.state_reason, well.unavailable_since) == ("available", "", None)

    def test_a_check_of_what_was_edited_meanwhile_says_nothing(self, store: BackupLocation, bucket: Bucket) -> None:
        row = LocationCheck.objects.create(project=store.project, location=store)
        held = claim(row)
        assert held.location is not None
        BackupLocation.objects.update(credentials_version=2)
        bucket.fails = "sign_in"
        locations.check(held)
        assert BackupLocation.objects.get().state == "available"


class TestFullChecks:
    def test_listing_alone_does_not_make_it_well(self, store: BackupLocation, bucket: Bucket, sent: Sent) -> None:
        bucket.fails = "write"
        checked(store)
        assert checked(store, look_only=True).state == "unavailable"
        asked = LocationCheck.objects.open().get()
        assert not asked.look_only
        bucket.fails = ""
        locations.check(claim(asked))
        assert BackupLocation.objects.get().state == "available"

    def test_what_leaves_an_object_behind_is_tried_once_an_hour(self, store: BackupLocation, bucket: Bucket) -> None:
        bucket.fails = "delete"
        checked(store)
        checked(store, look_only=True)
        assert not LocationCheck.objects.open().exists()
        later(hours=2)
        checked(store, look_only=True)
        assert LocationCheck.objects.open().count() == 1

    def test_a_bounded_number_is_kept_and_the_last_full_one(self, store: BackupLocation, bucket: Bucket) -> None:
        checked(store)
        full = LocationCheck.objects.get()
        for _ in range(health.KEPT + 5):
            checked(store, look_only=True)
        assert LocationCheck.objects.count() == health.KEPT + 1
        assert fresh(full).state == CheckState.COMPLETED
