"""Scanning a bucket that others wrote to: what becomes a row, what is counted, and that nothing is ever doubled."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, User
from backups import storage
from backups.actions.location_scan import request_scan
from backups.lifecycle import State
from backups.models import Backup, BackupLocation, FoundPlace, LocationScan, Origin
from backups.reconcile import found, loop, observation, readoption, scan
from console.lib.errors import BadInput, NotPermitted, Unreachable
from tests.conftest import make_cluster, make_location
from tests.fakes.s3 import FakeS3, client
from tests.unit.backups.reconcile.conftest import Json, Sent, claim, expire, fresh, make_backup
from workspaces.models import Cluster, Project

pytestmark = pytest.mark.django_db
BUCKET = "lost-and-found"
UID = "6f1d3a52-8a52-4c1e-9d0a-000000000001"
KEYS = {"access_key": "AKIASCAN", "secret_key": "scan-secret"}


@pytest.fixture(scope="module")
def s3() -> Iterator[FakeS3]:
    with FakeS3() as running:
        yield running


class Bucket:
    """An empty bucket that whoever likes can write to."""

    def __init__(self, url: str) -> None:
        self.client = client(url)
        self.name = f"{BUCKET}-{uuid.uuid4().hex[:8]}"
        self.client.create_bucket(Bucket=self.name)

    def put(self, key: str, body: bytes = b"") -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def drop(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def backup(self, prefix: str, name: str, phase: str = "Completed", **changes: Any) -> None:
        folder = f"{prefix}/backups/{name}".lstrip("/")
        self.put(f"{folder}/{name}.tar.gz", b"12345")
        self.put(f"{folder}/velero-backup.json", json.dumps(described(name, phase, **changes)).encode())

    def held(self) -> set[str]:
        return {item["Key"] for item in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())}


def described(name: str, phase: str = "Completed", **spec: Any) -> Json:
    status = {
        "phase": phase,
        "startTimestamp": "2026-03-01T00:00:00Z",
        "completionTimestamp": "2026-03-01T00:05:00Z",
        "expiration": "2027-03-01T00:00:00Z",
        "progress": {"itemsBackedUp": 42, "totalItems": 42},
    }
    meta = {"name": name, "namespace": "velero", "creationTimestamp": "2026-03-01T00:00:00Z"}
    return {"kind": "Backup", "metadata": meta, "spec": {"ttl": "720h0m0s", **spec}, "status": status}


@pytest.fixture
def bucket(s3: FakeS3) -> Bucket:
    return Bucket(s3.url)


@pytest.fixture
def opened(project: Project, bucket: Bucket, s3: FakeS3) -> BackupLocation:
    """The whole bucket, opened to read."""
    where: dict[str, Any] = {"bucket": bucket.name, "prefix": "", "read_only": True, "s3_url": s3.url}
    return make_location(project, "opened", path_style=True, credentials=KEYS, **where)


@pytest.fixture
def run(alice: User, sent: Sent) -> Callable[[BackupLocation], LocationScan]:
    """Ask for a scan and carry it out to its end, slice by slice."""

    def carry_out(location: BackupLocation) -> LocationScan:
        row = request_scan(by=alice, location=location)
        for _ in range(200):
            scan.scan(claim(row))
            row = fresh(row)
            if not row.is_open:
                return row
        raise AssertionError("the scan does not end")

    return carry_out


Run = Callable[[BackupLocation], LocationScan]


def counts(row: LocationScan) -> tuple[int, int, int, int, int]:
    return row.places, row.found, row.known, row.gone, row.odd


def names() -> list[str]:
    return sorted(Backup.objects.filter(found_in__isnull=False).values_list("object_name", flat=True))


class TestFinding:
    def test_backups_become_rows_that_have_ended(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.backup(f"team/{UID}", "nightly-1", includedNamespaces=["shop", "desk"])
        row = run(opened)
        assert (row.state, counts(row)) == ("completed", (1, 1, 0, 0, 0))
        (made,) = Backup.objects.all()
        assert (made.state, made.phase, made.origin, made.name) == ("completed", "Completed", Origin.FOUND, "nightly-1")
        assert (made.namespaces, made.items_done, made.keep_for) == (["shop", "desk"], 42, timedelta(days=30))
        assert made.size == 5 + len(json.dumps(described("nightly-1", includedNamespaces=["shop", "desk"])))
        assert str(made.expires_at) == "2027-03-01 00:00:00+00:00"
        assert str(made.created_at) == "2026-03-01 00:00:00+00:00"
        assert made.is_restorable
        assert made.found_in
        assert made.found_in.prefix == f"team/{UID}"

    def test_nothing_is_written_to_the_bucket(
        self, s3: FakeS3, bucket: Bucket, opened: BackupLocation, run: Run
    ) -> None:
        bucket.backup("a", "b1")
        before = bucket.held()
        s3.requests.clear()
        run(opened)
        assert {request.method for request in s3.requests} == {"GET"}
        assert bucket.held() == before

    def test_at_the_root_and_deep_below(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.backup("", "at-the-root")
        bucket.backup("a/b/c/d", "deep")
        bucket.backup("a/b/c/d/e", "too-deep")
        row = run(opened)
        assert (row.places, names()) == (2, ["at-the-root", "deep"])
        assert set(FoundPlace.objects.values_list("prefix", flat=True)) == {"", "a/b/c/d"}

    def test_below_the_prefix_alone(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        BackupLocation.objects.update(prefix="team")
        bucket.backup("team/one", "mine")
        bucket.backup("teams/two", "not-mine")
        run(fresh_location(opened))
        assert names() == ["mine"]

    def test_two_places_may_hold_the_same_name(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.backup("one", "daily-20260301000000")
        bucket.backup("two", "daily-20260301000000")
        assert run(opened).found == 2
        assert Backup.objects.values("cluster").distinct().count() == 2

    @pytest.mark.parametrize(
        ("phase", "state", "said"),
        [
            ("PartiallyFailed", State.PARTIALLY_FAILED, ""),
            ("Failed", State.FAILED, "Velero did not say why."),
            ("FailedValidation", State.REJECTED, "Velero did not say why."),
            ("WaitingForPluginOperations", State.FAILED, "had not finished"),
            ("Deleting", State.FAILED, "had not finished"),
            ("Surprising", State.FAILED, "it says “Surprising”"),
        ],
    )
    def test_only_what_ended_well_can_be_restored(
        self, bucket: Bucket, opened: BackupLocation, run: Run, phase: str, state: State, said: str
    ) -> None:
        bucket.backup("p", "b", phase)
        run(opened)
        (made,) = Backup.objects.all()
        assert (made.state, made.phase, made.is_open) == (state, phase, False)
        assert made.is_restorable == (phase == "PartiallyFailed")
        assert said in made.message


def fresh_location(location: BackupLocation) -> BackupLocation:
    return BackupLocation.objects.get(pk=location.pk)


class TestSource:
    def test_the_stand_in_is_no_registered_cluster(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.backup("p", "b")
        run(opened)
        (place,) = FoundPlace.objects.all()
        assert (place.known, place.source.name) == (None, "unknown cluster")
        assert not Cluster.objects.registered().filter(pk=place.source.pk).exists()

    @pytest.mark.parametrize("gone", [False, True])
    def test_a_cluster_of_the_project_is_known_by_its_uid(
        self, project: Project, bucket: Bucket, opened: BackupLocation, run: Run, gone: bool
    ) -> None:
        theirs = make_cluster(project, "harbor-lost", uid=UID, deregistered_at=timezone.now() if gone else None)
        bucket.backup(f"somewhere/{UID}", "b")
        run(opened)
        (place,) = FoundPlace.objects.all()
        assert (place.known, place.source.name) == (theirs, "harbor-lost")
        assert Backup.objects.get().cluster != theirs

    def test_clusters_of_other_projects_stay_unknown(
        self, charlie: User, bucket: Bucket, opened: BackupLocation, run: Run
    ) -> None:
        from accounts.models import Tenant
        from workspaces.actions.project import create_project

        other = create_project(by=None, tenant=Tenant.objects.get(name="Elsewhere"), name="Theirs")
        make_cluster(other, "secret-name", uid=UID)
        bucket.backup(UID, "b")
        run(opened)
        assert FoundPlace.objects.get().source.name == "unknown cluster"


class TestAgain:
    def test_a_second_scan_doubles_nothing(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.backup("p", "b1")
        first = run(opened)
        bucket.backup("p", "b2")
        second = run(opened)
        assert (counts(first), counts(second)) == ((1, 1, 0, 0, 0), (1, 1, 1, 0, 0))
        assert names() == ["b1", "b2"]
        assert (FoundPlace.objects.count(), Cluster.objects.count()) == (1, 1)

    def test_what_has_gone_is_marked_and_kept(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.backup("p", "b1")
        bucket.backup("p", "b2")
        run(opened)
        for key in bucket.held():
            if "/b1/" in key:
                bucket.drop(key)
        assert run(opened).gone == 1
        assert {row.name: row.is_restorable for row in Backup.objects.all()} == {"b1": False, "b2": True}
        assert run(opened).gone == 0
        bucket.backup("p", "b1")
        run(opened)
        assert all(row.is_restorable for row in Backup.objects.all())

    def test_a_place_that_has_gone(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.backup("p", "b1")
        run(opened)
        for key in bucket.held():
            bucket.drop(key)
        assert (run(opened).gone, Backup.objects.get().gone_at is None) == (1, False)

    def test_what_was_not_finished_is_read_again(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.backup("p", "b", "Finalizing")
        run(opened)
        bucket.backup("p", "b", "Completed")
        assert run(opened).found == 0
        assert Backup.objects.get().is_restorable

    def test_what_is_known_is_not_read_again(
        self, bucket: Bucket, opened: BackupLocation, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket.backup("p", "b")
        run(opened)
        monkeypatch.setattr(storage, "fetch_backup_object", None)
        assert run(opened).known == 1


class TestOurs:
    """What this console asked for is in rows already."""

    @pytest.fixture
    def written(self, project: Project, bucket: Bucket, s3: FakeS3) -> BackupLocation:
        where: dict[str, Any] = {"bucket": bucket.name, "prefix": "drydock/p", "s3_url": s3.url, "path_style": True}
        return make_location(project, "written", credentials=KEYS, **where)

    def test_is_only_counted(
        self, project: Project, bucket: Bucket, opened: BackupLocation, written: BackupLocation, run: Run
    ) -> None:
        cluster = make_cluster(project, "harbor-east", uid=UID)
        make_backup(project, cluster, written, state=State.COMPLETED, due_at=None)
        bucket.backup(f"drydock/p/{UID}", "nightly-abcd1234")
        bucket.backup(f"drydock/p/{UID}", "by-hand")
        assert counts(run(opened)) == (1, 1, 1, 0, 0)
        assert names() == ["by-hand"]

    def test_a_location_that_is_written_to_can_be_scanned_as_well(
        self, project: Project, bucket: Bucket, written: BackupLocation, run: Run
    ) -> None:
        gone = make_cluster(project, "harbor-lost", uid=UID, deregistered_at=timezone.now())
        make_backup(project, gone, written, state=State.COMPLETED, due_at=None)
        bucket.backup(f"drydock/p/{UID}", "nightly-abcd1234")
        bucket.backup(f"drydock/p/{UID}", "forgotten")
        assert counts(run(written)) == (1, 1, 1, 0, 0)
        (made,) = Backup.objects.filter(found_in__isnull=False)
        assert (made.object_name, made.cluster.name) == ("forgotten", "harbor-lost")

    def test_the_same_name_at_another_place_is_another_backup(
        self, project: Project, bucket: Bucket, opened: BackupLocation, written: BackupLocation, run: Run
    ) -> None:
        cluster = make_cluster(project, "harbor-east", uid=UID)
        make_backup(project, cluster, written, state=State.COMPLETED, due_at=None)
        bucket.backup(f"copied/{UID}", "nightly-abcd1234")
        assert run(opened).found == 1
        assert Backup.objects.filter(object_name="nightly-abcd1234").count() == 2


class TestHostile:
    """Whoever can write to the bucket can stop nothing and plant nothing."""

    BROKEN = (
        b"",
        b"not json",
        b"[]",
        b"null",
        b'{"metadata": {"name": "another"}}',
        b"[" * 100_000,
        b'{"metadata": {"name": 1}}',
        b"9" * 5_000,
        b"\xff\xfe\x00",
        b"x" * (storage.reading.LARGEST_METADATA + 1),
    )

    @pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
    def test_a_broken_description_is_counted(
        self, bucket: Bucket, opened: BackupLocation, run: Run, body: bytes
    ) -> None:
        bucket.backup("p", "good")
        bucket.put("p/backups/bad/velero-backup.json", body)
        row = run(opened)
        assert (row.state, counts(row)) == ("completed", (1, 1, 0, 0, 1))
        assert row.oddities[0]["key"] == "p/backups/bad/velero-backup.json"
        assert row.oddities[0]["reason"]

    @pytest.mark.parametrize("name", ["UPPER", "-x", "a b", "ü", "<script>", "a" * 254, "..", "x%00y"])
    def test_odd_names_are_counted(self, bucket: Bucket, opened: BackupLocation, run: Run, name: str) -> None:
        bucket.backup("p", "good")
        bucket.put(f"p/backups/{name}/velero-backup.json", b"{}")
        assert counts(run(opened)) == (1, 1, 0, 0, 1)

    def test_a_file_and_an_unfinished_folder(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.backup("p", "good")
        bucket.put("p/backups/file", b"")
        bucket.put("p/backups/half/half.tar.gz", b"")
        row = run(opened)
        assert row.odd == 2
        assert any("velero-backup.json" in odd["reason"] for odd in row.oddities)

    def test_odd_values_inside(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        raw: Json = described("b") | {"spec": {"ttl": 7, "includedNamespaces": "all", "includeClusterResources": "yes"}}
        raw["status"] |= {"errors": -1, "phase": "Completed\x00", "startTimestamp": "soon", "expiration": {}}
        raw["metadata"]["labels"] = {"drydock.backup/request": str(uuid.uuid4()), "a": float("nan")}
        bucket.backup("p", "good")
        bucket.put("p/backups/b/velero-backup.json", json.dumps(raw).encode())
        assert run(opened).found == 2
        assert Backup.objects.get(name="b").state == State.FAILED

    def test_the_uuid_of_a_row_of_ours_means_nothing(
        self, project: Project, bucket: Bucket, opened: BackupLocation, east: Any, store: BackupLocation, run: Run
    ) -> None:
        ours = make_backup(project, east.row, store)
        raw = described("b")
        raw["metadata"]["labels"] = {"drydock.backup/request": str(ours.pk), "app.kubernetes.io/managed-by": "drydock"}
        bucket.put("p/backups/b/velero-backup.json", json.dumps(raw).encode())
        run(opened)
        assert fresh(ours).object_name == "nightly-abcd1234"
        assert Backup.objects.get(found_in__isnull=False).pk != ours.pk

    def test_odd_folders_are_counted_and_not_entered(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.put("..//x/backups/b/velero-backup.json", b"{}")
        bucket.backup("p", "good")
        row = run(opened)
        assert (row.found, row.odd) == (1, 1)

    def test_many_oddities_do_not_fill_the_row(
        self, bucket: Bucket, opened: BackupLocation, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scan, "SHOWN_ODDITIES", 2)
        bucket.backup("p", "good")
        for number in range(5):
            bucket.put(f"p/backups/half{number}/log", b"")
        row = run(opened)
        assert (row.odd, len(row.oddities)) == (5, 2)


class TestBounds:
    def test_a_slice_lets_go_and_the_next_goes_on(
        self, bucket: Bucket, opened: BackupLocation, alice: User, sent: Sent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scan, "SLICE", 0.0)
        monkeypatch.setattr(scan, "BATCH", 2)
        for place in ("a", "b"):
            for number in range(5):
                bucket.backup(place, f"{place}{number}")
        row = request_scan(by=alice, location=opened)
        seen = [len(names())]
        while row.is_open:
            scan.scan(claim(row))
            row = fresh(row)
            seen.append(len(names()))
        assert seen == sorted(seen)
        assert len(set(seen)) > 4
        assert counts(row) == (2, 10, 0, 0, 0)
        assert row.attempt > 4

    def test_a_worker_that_dies_costs_nothing(
        self, bucket: Bucket, opened: BackupLocation, alice: User, sent: Sent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scan, "BATCH", 1)
        for number in range(4):
            bucket.backup("p", f"b{number}")
        row, plain, left = request_scan(by=alice, location=opened), storage.fetch_backup_object, [2]

        def die_once(*args: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise SystemExit
            return plain(*args)

        monkeypatch.setattr(storage, "fetch_backup_object", die_once)
        with pytest.raises(SystemExit):
            scan.scan(claim(row))
        expire(row)
        assert loop.redrive() == 1
        scan.scan(claim(row))
        assert (fresh(row).state, names()) == ("completed", ["b0", "b1", "b2", "b3"])

    def test_a_late_worker_writes_nothing(
        self, bucket: Bucket, opened: BackupLocation, alice: User, sent: Sent
    ) -> None:
        bucket.backup("p", "b")
        late = claim(request_scan(by=alice, location=opened))
        claim(late)
        scan.scan(late)
        assert names() == []

    @pytest.mark.parametrize(("bound", "value"), [("MOST_REQUESTS", 1), ("MOST_PLACES", 1), ("MOST_BACKUPS", 0)])
    def test_a_bound_ends_it_and_nothing_is_called_gone(
        self,
        bucket: Bucket,
        opened: BackupLocation,
        run: Run,
        monkeypatch: pytest.MonkeyPatch,
        bound: str,
        value: int,
    ) -> None:
        for place in ("a", "b", "c"):
            bucket.backup(place, "b1")
            bucket.backup(place, "b2")
        run(opened)
        monkeypatch.setattr(scan, bound, value)
        monkeypatch.setattr(scan, "BATCH", 1)
        row = run(opened)
        assert (row.state, row.gone) == ("completed", 0)
        assert "The scan ended after" in row.unseen

    def test_too_many_folders_side_by_side(
        self, bucket: Bucket, opened: BackupLocation, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scan, "MOST_WAITING", 3)
        for number in range(6):
            bucket.backup(f"p{number}", "b")
        row = run(opened)
        assert (row.places, row.unseen != "") == (3, True)

    def test_an_hour_is_enough(self, bucket: Bucket, opened: BackupLocation, alice: User, sent: Sent) -> None:
        row = request_scan(by=alice, location=opened)
        LocationScan.objects.update(created_at=timezone.now() - timedelta(hours=2))
        scan.scan(claim(row))
        assert "an hour" in fresh(row).unseen


class TestTrouble:
    def fail_with(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(storage, "folders_below", fail)

    def test_a_store_that_is_away_is_tried_again_and_then_no_more(
        self, opened: BackupLocation, alice: User, sent: Sent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fail_with(monkeypatch, Unreachable("Nobody answers."))
        row = request_scan(by=alice, location=opened)
        scan.scan(claim(row))
        assert (fresh(row).state, fresh(row).message) == ("requested", "Nobody answers.")
        for _ in range(scan.PATIENCE):
            if fresh(row).is_open:
                scan.scan(claim(row))
        assert (fresh(row).state, fresh(row).message) == ("failed", "Nobody answers.")

    def test_a_refusal_ends_it(self, opened: BackupLocation, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fail_with(monkeypatch, NotPermitted("The keys may not list.", remedy="Grant it."))
        row = run(opened)
        assert (row.state, row.message) == ("failed", "The keys may not list. Grant it.")

    def test_keys_that_may_not_read_end_it(
        self, bucket: Bucket, opened: BackupLocation, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise NotPermitted("The keys may not read.")

        bucket.backup("p", "b")
        monkeypatch.setattr(storage, "fetch_backup_object", refuse)
        assert run(opened).message == "The keys may not read."


class TestAsking:
    def test_one_at_a_time(self, opened: BackupLocation, alice: User, sent: Sent) -> None:
        first = request_scan(by=alice, location=opened)
        assert request_scan(by=alice, location=opened) == first
        assert LocationScan.objects.count() == 1

    def test_not_where_only_a_cluster_can_sign_in(self, opened: BackupLocation, alice: User) -> None:
        role = {"sign_in": "sts-cluster", "role_arn": "arn:aws:iam::111122223333:role/r", "external_id": "ext"}
        BackupLocation.objects.update(**role)
        with pytest.raises(BadInput, match="Only a cluster can sign in"):
            request_scan(by=alice, location=fresh_location(opened))

    def test_it_is_in_the_audit_log(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.backup("p", "b")
        run(opened)
        asked, ended = AuditEvent.objects.filter(verb__startswith="location.scan").order_by("at")
        assert (asked.actor, ended.details["found"]) == ("alice@harbor.example", 1)


class TestBesideTheRest:
    def test_nothing_drives_or_ends_what_was_found(self, bucket: Bucket, opened: BackupLocation, run: Run) -> None:
        bucket.backup("p", "b", "Finalizing")
        bucket.backup("p", "c")
        run(opened)
        before = list(Backup.objects.order_by("pk").values())
        assert (loop.redrive(), observation.end_orphans()) == (0, 0)
        assert list(Backup.objects.order_by("pk").values()) == before

    def test_an_object_in_a_cluster_is_not_taken_for_it(
        self, bucket: Bucket, opened: BackupLocation, run: Run, east: Any
    ) -> None:
        bucket.backup("p", "b")
        run(opened)
        made = Backup.objects.get()
        labels = {
            "app.kubernetes.io/managed-by": "drydock",
            "drydock.backup/request": str(made.pk),
            "drydock.backup/cluster": str(made.cluster_id),
            "drydock.backup/project": str(made.project_id),
        }
        readoption.readopt(east.row.pk, "backup", {"b": described("b") | {"metadata": {"name": "b", "labels": labels}}})
        assert Backup.objects.count() == 1

    def test_large_objects_are_not_kept_in_the_row(
        self, bucket: Bucket, opened: BackupLocation, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(found, "LARGEST_KEPT", 10)
        bucket.backup("p", "b")
        run(opened)
        assert Backup.objects.get().resource is None
