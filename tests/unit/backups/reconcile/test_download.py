"""Logs and results of what the console itself cannot sign in to: through a link that a cluster's Velero signs."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from backups import storage
from backups.models import Backup, BackupLocation, PlacedLocation, Reading, Restore
from backups.reconcile import download, reading, results
from console.lib import outbound, spool
from console.lib.errors import SignInRefused, Unreachable
from tests.fakes.s3 import FakeS3, client
from tests.unit.backups.reconcile.conftest import Site, claim, finished, fresh, make_backup, make_restore
from workspaces.models import Project

pytestmark = pytest.mark.django_db
ROLE = {"sign_in": "sts-cluster", "role_arn": "arn:aws:iam::111122223333:role/r", "external_id": "ext"}
LOG = "first line\nsecond line\n"


@pytest.fixture(scope="module")
def s3() -> Iterator[FakeS3]:
    with FakeS3() as running:
        yield running


class Store:
    """A bucket with as much as Velero has put there, for which the cluster's Velero signs links."""

    def __init__(self, url: str) -> None:
        self.client = client(url, "AKIACLUSTER", "cluster-secret")
        self.client.create_bucket(Bucket="backups")
        self.prefix = ""

    def put(self, key: str, text: str) -> None:
        self.client.put_object(Bucket="backups", Key=key, Body=gzip.compress(text.encode()))

    def sign(self, key: str) -> str:
        return str(self.client.generate_presigned_url("get_object", {"Bucket": "backups", "Key": key}))

    def link(self, kind: str, name: str) -> str:
        keys = {
            "BackupLog": storage.backup_log_key,
            "BackupResults": storage.backup_results_key,
            "RestoreLog": storage.restore_log_key,
            "RestoreResults": storage.restore_results_key,
        }
        return self.sign(keys[kind](self.prefix, name))


@pytest.fixture
def bucket(s3: FakeS3) -> Store:
    return Store(s3.url)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> Iterator[None]:
    monkeypatch.setattr(download, "WITHIN", 0.5)
    monkeypatch.setattr(download, "LOOK_EVERY", 0.01)
    settings.VAR, settings.OUTBOUND_ALLOW_LOOPBACK = tmp_path, True
    outbound.policy.cache_clear()
    yield
    outbound.policy.cache_clear()


def change(location: BackupLocation, **values: Any) -> None:
    for name, value in values.items():
        setattr(location, name, value)
    location.save()


@pytest.fixture
def done(project: Project, east: Site, store: BackupLocation, s3: FakeS3, bucket: Store) -> Backup:
    """A backup in a bucket that only harbor-east can sign in to."""
    change(store, **ROLE, credentials={}, s3_url=s3.url)
    bucket.prefix = f"{store.prefix}/{east.row.uid}"
    PlacedLocation.objects.create(
        location=store,
        cluster=east.row,
        source=east.row,
        access="ReadWrite",
        object_name="drydock-store",
        prefix=bucket.prefix,
    )
    east.velero.links = bucket.link
    return finished(make_backup(project, east.row, store))


def read(of: Backup | Restore) -> Reading:
    which: dict[str, Any] = {"backup": of} if isinstance(of, Backup) else {"restore": of}
    row = Reading.objects.create(project=of.project, **which)
    reading.read(claim(row))
    return fresh(row)


def lines(row: Reading) -> list[str]:
    return [line for block in spool.blocks(row.pk) for line in block]


def test_the_log_comes_through_the_cluster(done: Backup, bucket: Store, east: Site) -> None:
    bucket.put(storage.backup_log_key(bucket.prefix, done.object_name), LOG)
    row = read(done)
    assert (row.state, row.message, lines(row)) == ("completed", "", ["first line", "second line"])
    assert east.velero.objects("downloadrequests") == []


def test_of_a_restore(done: Backup, bucket: Store, west: Site) -> None:
    west.velero.links = bucket.link
    restore = make_restore(done, west.row)
    bucket.put(storage.restore_log_key(bucket.prefix, restore.object_name), LOG)
    assert lines(read(restore)) == ["first line", "second line"]


def test_warnings_and_errors_too(done: Backup, bucket: Store) -> None:
    found = json.dumps({"errors": {"namespaces": {"shop": ["broken"]}}, "warnings": {}})
    bucket.put(storage.backup_results_key(bucket.prefix, done.object_name), found)
    Backup.objects.update(errors=1)
    results.read(fresh(done))
    (entry,) = (fresh(done).results or {})["entries"]
    assert (entry["namespace"], entry["text"]) == ("shop", "broken")


def test_a_silent_cluster_is_said_to_be_silent(done: Backup, east: Site) -> None:
    east.velero.links = None
    row = read(done)
    assert row.state == "failed"
    assert "Velero in harbor-east gave no link" in row.message
    assert east.velero.objects("downloadrequests") == []


def test_a_link_to_elsewhere_is_not_followed(done: Backup, bucket: Store, east: Site) -> None:
    for url in ("http://169.254.169.254/latest/meta-data", bucket.sign("somebody/elses/log.gz")):
        east.velero.links = lambda *_, url=url: url
        row = read(done)
        assert (row.state, lines(row)) == ("failed", [])
        assert "leads somewhere else" in row.message
        assert url not in row.message


def test_a_file_that_is_not_there(done: Backup) -> None:
    assert "There is no log in the bucket" in read(done).message


def test_no_cluster_left(done: Backup, east: Site) -> None:
    type(east.row).objects.update(deregistered_at=timezone.now())
    assert "none that is registered here has this backup" in read(fresh(done)).message


def test_a_cluster_that_it_was_brought_to_is_asked_when_its_own_is_gone(
    done: Backup, bucket: Store, east: Site, west: Site
) -> None:
    make_restore(done, west.row, object_uid="there", state="completed", due_at=None)
    type(east.row).objects.filter(pk=east.row.pk).update(deregistered_at=timezone.now())
    west.velero.links = bucket.link
    bucket.put(storage.backup_log_key(bucket.prefix, done.object_name), LOG)
    assert read(fresh(done)).lines == 2


@pytest.mark.parametrize("error", [Unreachable("Nobody answers."), SignInRefused("The clock is wrong.")])
def test_where_the_consoles_own_way_fails(
    done: Backup, bucket: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    keys = {"access_key": "a", "secret_key": "s"}
    change(done.location, sign_in="keys", role_arn="", external_id="", credentials=keys)
    bucket.put(storage.backup_log_key(bucket.prefix, done.object_name), LOG)
    monkeypatch.setattr(storage, "open_object", fail)
    assert read(fresh(done)).lines == 2
    type(done.cluster).objects.update(deregistered_at=timezone.now())
    assert read(fresh(done)).message == str(error)


def test_the_cluster_is_not_blamed_for_the_store(done: Backup, bucket: Store, east: Site) -> None:
    BackupLocation.objects.update(s3_url="http://127.0.0.1:1")
    key = storage.backup_log_key(bucket.prefix, done.object_name)
    east.velero.links = lambda *_: f"http://127.0.0.1:1/backups/{key}"
    assert read(fresh(done)).state == "failed"
    assert east.fresh().retry_at is None
