"""Edited locations reach every cluster, deleted ones leave it: past dead clusters, refusals, hands and killed jobs."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, User
from backups.actions.location import retry_change
from backups.actions.location_delete import delete_location, forget_place, uses
from backups.models import (
    Backup,
    BackupLocation,
    ChangeKind,
    ChangeState,
    LocationChange,
    PlacedLocation,
)
from backups.reconcile import location as locations
from backups.reconcile import location_change as changes
from backups.reconcile import loop
from console.lib.errors import BadInput, TryLater
from tests.fakes.apiserver import FakeApiServer, Fault
from tests.unit.backups.reconcile.conftest import VELERO, Sent, Site, claim, expire
from workspaces.connections import connected
from workspaces.models import Cluster

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _immediate(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.lib.queue.transaction.on_commit", lambda send: send())


def placed_in(site: Site, store: BackupLocation, source: Site | None = None) -> PlacedLocation:
    """The location as a first use leaves it in the cluster."""
    with connected(site.fresh()) as connection:
        placed = locations._row(connection, store, site.row, (source or site).row)
        locations.put(connection, placed)
        locations._verdict(connection, placed)
    return again(placed)


def again(placed: PlacedLocation) -> PlacedLocation:
    return PlacedLocation.objects.select_related("location").get(pk=placed.pk)


def edited(store: BackupLocation, by: User, **fields: Any) -> BackupLocation:
    """Saved with other keys, and every cluster asked."""
    row = BackupLocation.objects.get(pk=store.pk)
    for name, value in fields.items():
        setattr(row, name, value)
    row.credentials_version += 1
    row.save()
    changes.roll_out(row, by)
    return row


def keys(secret: str) -> dict[str, str]:
    return {"access_key": "AKIAPLANTED", "secret_key": secret}


def stored(site: Site) -> list[str]:
    """What the Secrets of ours in the cluster say."""
    found = [one for one in site.velero.objects("secrets") if one["metadata"]["name"].startswith("drydock-")]
    return [base64.b64decode(one["data"]["cloud"]).decode() for one in found]


def the_change(site: Site) -> LocationChange:
    found: LocationChange = LocationChange.objects.get(cluster=site.row)
    return found


def work(site: Site) -> LocationChange:
    changes.carry_out(claim(the_change(site)))
    return the_change(site)


class TestRollOut:
    def test_every_cluster_gets_the_new_keys_and_velero_looks_again(
        self, alice: User, store: BackupLocation, east: Site, west: Site
    ) -> None:
        for site in (east, west):
            placed_in(site, store)
        edited(store, alice, credentials=keys("second"), ca_certificate="")
        assert all(placed.is_behind and placed.behind_since for placed in PlacedLocation.objects.all())
        east.velero.verdict = ("Unavailable", "rpc error: AccessDenied")
        for site in (east, west):
            assert work(site).state == ChangeState.COMPLETED
            assert all("second" in text for text in stored(site))
        assert not any(placed.is_behind or placed.behind_since for placed in PlacedLocation.objects.all())
        assert "Velero says" in the_change(east).message
        assert the_change(west).message == ""
        assert PlacedLocation.objects.get(cluster=east.row).phase == "Unavailable"

    def test_a_cluster_that_is_away_is_behind_until_it_is_back(
        self, alice: User, store: BackupLocation, east: Site, west: Site, api: FakeApiServer
    ) -> None:
        for site in (east, west):
            placed_in(site, store)
        edited(store, alice, credentials=keys("second"))
        fault = Fault("reset_before", cluster="harbor-east", times=None)
        api.add_faults(fault)
        change = work(east)
        assert (change.state, work(west).state) == (ChangeState.REQUESTED, ChangeState.COMPLETED)
        assert change.message and change.due_at > timezone.now()
        assert PlacedLocation.objects.get(cluster=east.row).is_behind
        api.faults.clear()
        east.allow_connecting()
        expire(change)
        assert loop.redrive() == 1
        assert work(east).state == ChangeState.COMPLETED
        assert "second" in stored(east)[0]

    def test_a_refusal_is_said_and_tried_again_when_asked_or_later(
        self, alice: User, store: BackupLocation, east: Site, api: FakeApiServer
    ) -> None:
        placed_in(east, store)
        row = edited(store, alice, credentials=keys("second"))
        api.add_faults(Fault("status", path="secrets", status=403, message="secrets is forbidden", times=None))
        change = work(east)
        assert change.state == ChangeState.FAILED
        assert "forbidden" in change.message or "allow" in change.message
        assert "planted" not in change.message and "second" not in change.message
        assert changes.ask_for_overdue() == 0, "it rests"
        LocationChange.objects.update(finished_at=timezone.now() - changes.AGAIN_AFTER)
        assert changes.ask_for_overdue() == 1
        assert work(east).state == ChangeState.FAILED
        api.faults.clear()
        retry_change(by=alice, location=row, cluster=east.row)
        assert work(east).state == ChangeState.COMPLETED
        assert "second" in stored(east)[0]

    def test_what_somebody_removed_by_hand_is_made_again(self, alice: User, store: BackupLocation, east: Site) -> None:
        placed = placed_in(east, store)
        for plural in ("secrets", "backupstoragelocations"):
            east.fake.remove(plural, placed.object_name, namespace=VELERO)
        edited(store, alice, credentials=keys("second"))
        assert work(east).state == ChangeState.COMPLETED
        assert "second" in stored(east)[0]
        assert len(east.velero.objects("backupstoragelocations")) == 1

    def test_a_second_edit_takes_the_row_from_whoever_works_on_the_first(
        self, alice: User, store: BackupLocation, east: Site, sent: Sent
    ) -> None:
        placed_in(east, store)
        edited(store, alice, credentials=keys("second"))
        late = claim(the_change(east))
        edited(store, alice, credentials=keys("third"))
        assert LocationChange.objects.count() == 1
        assert (sent[-1][0], sent[-1][2]) == ("backups.jobs.change_location", the_change(east).attempt)
        changes.carry_out(late)
        assert the_change(east).is_open, "a late worker's word does not count"
        assert work(east).state == ChangeState.COMPLETED
        assert "third" in stored(east)[0]

    def test_older_keys_never_replace_newer_ones(self, alice: User, store: BackupLocation, east: Site) -> None:
        """A worker that read the row before the edit, and comes to the cluster after it was brought there."""
        slow = placed_in(east, store)
        edited(store, alice, credentials=keys("second"))
        work(east)
        with connected(east.fresh()) as connection, pytest.raises(TryLater):
            locations.put(connection, slow)
        assert "second" in stored(east)[0]
        assert not again(slow).is_behind

    def test_nor_between_reading_and_writing(
        self, alice: User, store: BackupLocation, east: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The edit arrives after the slow worker looked at its row for the last time: the object itself refuses it."""
        placed_in(east, store)
        edited(store, alice, credentials=keys("second"))
        slow = again(PlacedLocation.objects.get())
        plain, hit = locations._still_latest, []

        def meanwhile(location: BackupLocation) -> None:
            plain(location)
            hit.append(location.credentials_version)
            if hit == [2, 2]:  # before its POST, then between its GET and its PATCH
                edited(store, alice, credentials=keys("third"))
                work(east)

        monkeypatch.setattr(locations, "_still_latest", meanwhile)
        with connected(east.fresh()) as connection, pytest.raises(TryLater):
            locations.put(connection, slow)
        assert "third" in stored(east)[0]
        assert again(slow).credentials_version == 3

    def test_a_killed_job_is_run_again(
        self, alice: User, store: BackupLocation, east: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        placed_in(east, store)
        edited(store, alice, credentials=keys("second"))

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(locations, "ensure_location", die)
            changes.carry_out(claim(the_change(east)))
        assert PlacedLocation.objects.get().is_behind
        expire(the_change(east))
        assert loop.redrive() == 1
        assert work(east).state == ChangeState.COMPLETED
        assert not PlacedLocation.objects.get().is_behind

    def test_what_is_behind_without_a_row_gets_one(self, store: BackupLocation, east: Site) -> None:
        """The console's database was restored from an old copy, say."""
        placed_in(east, store)
        assert changes.ask_for_overdue() == 0
        BackupLocation.objects.update(credentials_version=7)
        assert (changes.ask_for_overdue(), changes.ask_for_overdue()) == (1, 0)
        assert work(east).state == ChangeState.COMPLETED
        assert PlacedLocation.objects.get().credentials_version == 7

    def test_a_cluster_that_was_deregistered_is_left_as_it_is(
        self, alice: User, store: BackupLocation, east: Site
    ) -> None:
        placed_in(east, store)
        edited(store, alice, credentials=keys("second"))
        Cluster.objects.update(deregistered_at=timezone.now())
        assert work(east).state == ChangeState.FORGOTTEN
        assert changes.ask_for_overdue() == 0

    def test_velero_that_is_silent_does_not_hold_it_up(self, alice: User, store: BackupLocation, east: Site) -> None:
        placed_in(east, store)
        edited(store, alice, credentials=keys("second"))
        east.velero.verdict = None
        assert work(east).state == ChangeState.COMPLETED


class TestDelete:
    def test_never_while_backups_are_there(self, alice: User, store: BackupLocation, backup: Backup) -> None:
        with pytest.raises(BadInput, match="1 of harbor-east"):
            delete_location(by=alice, location=store, typed_name=store.name)
        assert [use.backups for use in uses(store)] == [1]
        Backup.objects.update(state="rejected")  # nothing of it came to the bucket
        delete_location(by=alice, location=store, typed_name=store.name)
        assert not BackupLocation.objects.exists()

    def test_where_it_is_in_no_cluster_it_is_gone_at_once(self, alice: User, store: BackupLocation) -> None:
        with pytest.raises(BadInput, match="Type store"):
            delete_location(by=alice, location=store, typed_name="other")
        delete_location(by=alice, location=store, typed_name="store")
        row = BackupLocation._base_manager.get()
        assert (row.deleted_at is not None, row.credentials, row.ca_certificate) == (True, {}, "")
        verbs = list(AuditEvent.objects.filter(verb__startswith="location.").values_list("verb", flat=True))
        assert verbs == ["location.delete"]

    def test_out_of_the_clusters_from_what_depends_to_what_is_depended_on(
        self, alice: User, store: BackupLocation, east: Site, west: Site
    ) -> None:
        placed_in(east, store)
        reader = placed_in(west, store, source=east)
        placed_in(west, store)
        labels = {"velero.io/storage-location": reader.object_name}
        west.fake.put("backups", {"metadata": {"name": "adopted", "namespace": VELERO, "labels": labels}, "spec": {}})
        ours = {"app.kubernetes.io/managed-by": "drydock", "drydock.backup/location": str(store.pk)}
        for name, marks in (("brought", ours), ("theirs", {})):
            meta = {"name": name, "namespace": VELERO, "labels": marks}
            west.fake.put("volumesnapshotlocations", {"metadata": meta, "spec": {"provider": "aws"}})
        west.fake.put("backups", {"metadata": {"name": "other", "namespace": VELERO}, "spec": {}})
        delete_location(by=alice, location=store, typed_name=store.name)
        east.fake.server.requests.clear()
        assert work(east).state == ChangeState.COMPLETED
        assert BackupLocation.objects.exists(), "another cluster has it still"
        assert work(west).state == ChangeState.COMPLETED
        assert not BackupLocation.objects.exists()
        order = [plural for method, plural in west.writes() if method == "DELETE"]
        assert [one["metadata"]["name"] for one in west.velero.objects("volumesnapshotlocations")] == ["theirs"]
        assert order == ["backups", "volumesnapshotlocations", *["backupstoragelocations", "secrets"] * 2]
        assert [one["metadata"]["name"] for one in west.velero.objects("backups")] == ["other"]
        for site in (east, west):
            assert (site.velero.objects("backupstoragelocations"), stored(site)) == ([], [])
        asked = {plural for site in (east, west) for _, plural in site.writes()}
        assert "deletebackuprequests" not in asked, "nothing is asked that would touch the bucket"

    def test_killed_half_way_it_goes_on(
        self, alice: User, store: BackupLocation, east: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        placed_in(east, store)
        delete_location(by=alice, location=store, typed_name=store.name)

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(changes, "delete_secret", die)
            changes.carry_out(claim(the_change(east)))
        assert east.velero.objects("backupstoragelocations") == []
        assert PlacedLocation.objects.exists()
        expire(the_change(east))
        loop.redrive()
        assert work(east).state == ChangeState.COMPLETED
        assert stored(east) == []
        assert not BackupLocation.objects.exists()

    def test_what_was_removed_by_hand_is_no_trouble(self, alice: User, store: BackupLocation, east: Site) -> None:
        placed = placed_in(east, store)
        for plural in ("secrets", "backupstoragelocations"):
            east.fake.remove(plural, placed.object_name, namespace=VELERO)
        delete_location(by=alice, location=store, typed_name=store.name)
        assert work(east).state == ChangeState.COMPLETED
        assert not BackupLocation.objects.exists()

    def test_a_cluster_that_is_away_can_be_left_out(
        self, alice: User, store: BackupLocation, east: Site, api: FakeApiServer
    ) -> None:
        placed_in(east, store)
        row = delete_location(by=alice, location=store, typed_name=store.name)
        with pytest.raises(BadInput, match="just now"):
            forget_place(by=alice, location=row, cluster=east.row)
        api.add_faults(Fault("reset_before", times=None))
        change = work(east)
        assert (change.state, bool(change.message)) == (ChangeState.REQUESTED, True)
        late = claim(change)
        forget_place(by=alice, location=row, cluster=east.row)
        assert the_change(east).state == ChangeState.FORGOTTEN
        assert not BackupLocation.objects.exists()
        api.faults.clear()
        east.allow_connecting()
        changes.carry_out(late)
        assert the_change(east).state == ChangeState.FORGOTTEN
        assert AuditEvent.objects.filter(verb="location.forget", target_id=str(store.pk)).count() == 1

    def test_what_a_cluster_refuses_can_be_left_or_tried_again(
        self, alice: User, store: BackupLocation, east: Site, api: FakeApiServer
    ) -> None:
        placed_in(east, store)
        row = delete_location(by=alice, location=store, typed_name=store.name)
        api.add_faults(Fault("status", path="secrets", status=403, times=None))
        assert work(east).state == ChangeState.FAILED
        api.faults.clear()
        retry_change(by=alice, location=row, cluster=east.row)
        assert work(east).state == ChangeState.COMPLETED
        assert not BackupLocation.objects.exists()

    def test_it_takes_the_place_of_a_roll_out(self, alice: User, store: BackupLocation, east: Site) -> None:
        placed_in(east, store)
        edited(store, alice, credentials=keys("second"))
        late = claim(the_change(east))
        delete_location(by=alice, location=store, typed_name=store.name)
        assert the_change(east).kind == ChangeKind.REMOVE
        changes.carry_out(late)
        assert work(east).state == ChangeState.COMPLETED
        assert not BackupLocation.objects.exists()

    def test_what_was_killed_before_the_end_is_ended(self, store: BackupLocation) -> None:
        BackupLocation.objects.update(deleting_at=timezone.now())
        changes.ask_for_overdue()
        assert not BackupLocation.objects.exists()

    def test_its_name_and_place_are_free_again(self, alice: User, store: BackupLocation, project: Any) -> None:
        delete_location(by=alice, location=store, typed_name=store.name)
        place = {name: getattr(store, name) for name in ("project", "name", "bucket", "prefix", "s3_url")}
        made = BackupLocation(**place, credentials=keys("x"))
        made.full_clean()
        made.save()
        assert BackupLocation.objects.get() == made

    def test_no_backup_goes_there_any_more(self, alice: User, store: BackupLocation, east: Site) -> None:
        from datetime import timedelta

        from backups.actions.backup import request_backup

        placed_in(east, store)
        delete_location(by=alice, location=store, typed_name=store.name)
        with pytest.raises(BadInput, match="being deleted"):
            request_backup(by=alice, cluster=east.row, location=store, name="late", keep_for=timedelta(days=1))
        with connected(east.fresh()) as connection, pytest.raises(TryLater):
            locations.put(connection, PlacedLocation.objects.select_related("location").get())


def test_retry_of_a_place_that_is_not_there(alice: User, store: BackupLocation, east: Site) -> None:
    with pytest.raises(BadInput, match="is not in harbor-east"):
        retry_change(by=alice, location=store, cluster=east.row)
