"""What a backup holds, from the bucket into the spool."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from backups import storage
from backups.models import Backup, BackupLocation, PlacedLocation, Reading, ReadingKind
from backups.reconcile import contents, download, reading
from console.lib import outbound, spool
from tests.fakes.s3 import FakeS3
from tests.fakes.s3 import client as fake_client
from tests.unit.backups.reconcile.conftest import Site, claim, finished, fresh, make_backup
from workspaces.models import Project

pytestmark = pytest.mark.django_db
PLANTED = "cGxhbnRlZA=="
APPLIED = json.dumps({"data": {"password": PLANTED}})
SECRET: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": "keys",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": APPLIED, "team": "shop"},
        "managedFields": [{"manager": "kubectl"}],
    },
    "data": {"password": PLANTED},
    "stringData": PLANTED,
}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "site"}, "data": {"motd": "one\ntwo \ud800\n"}}
LIST = {"v1/ConfigMap": ["shop/site"], "v1/Namespace": ["shop"], "v1/Secret": ["shop/keys"]}


def tarball(**objects: Any) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for path, one in objects.items():
            data = json.dumps(one).encode()
            header = tarfile.TarInfo(f"resources/{path.replace('__', '/namespaces/shop/')}.json")
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return file.getvalue()


TARBALL = tarball(secrets__keys=SECRET, configmaps__site=CONFIG)


@pytest.fixture(scope="module")
def s3() -> Iterator[FakeS3]:
    with FakeS3() as running:
        fake_client(running.url).create_bucket(Bucket="backups")
        yield running


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> Iterator[None]:
    monkeypatch.setattr(download, "WITHIN", 0.5)
    settings.VAR, settings.OUTBOUND_ALLOW_LOOPBACK = tmp_path, True
    outbound.policy.cache_clear()
    yield
    outbound.policy.cache_clear()


@pytest.fixture
def done(project: Project, east: Site, store: BackupLocation, s3: FakeS3) -> Backup:
    """A finished backup in a bucket to which the console has the keys."""
    store.s3_url, store.path_style = s3.url, True
    store.save()
    values = {"location": store, "cluster": east.row, "source": east.row, "access": "ReadWrite"}
    PlacedLocation.objects.create(**values, object_name="drydock-store", prefix=f"{store.prefix}/{east.row.uid}")
    return finished(make_backup(project, east.row, store))


def put(backup: Backup, s3: FakeS3, **files: bytes) -> None:
    keys = {"tarball": storage.backup_contents_key, "listed": storage.backup_resource_list_key}
    prefix = f"{backup.location.prefix}/{backup.cluster.uid}"
    for name, data in files.items():
        key = keys[name](prefix, backup.object_name)
        fake_client(s3.url).put_object(Bucket=backup.location.bucket, Key=key, Body=data)


def read(backup: Backup, kind: ReadingKind, **values: Any) -> Reading:
    row = Reading.objects.create(project=backup.project, backup=backup, kind=kind, **values)
    reading.read(claim(row))
    return fresh(row)


def texts(row: Reading) -> list[str]:
    return [text for block in spool.blocks(row.pk) for text in block]


def opened(backup: Backup, kind: str, name: str, **values: Any) -> Reading:
    return read(backup, ReadingKind.OBJECT, subject={"kind": kind, "namespace": "shop", "name": name}, **values)


def test_the_list_is_velero_s_own(done: Backup, s3: FakeS3) -> None:
    put(done, s3, listed=gzip.compress(json.dumps(LIST).encode()))
    row = read(done, ReadingKind.CONTENTS)
    assert (row.state, row.lines, row.message) == ("completed", 3, "")
    assert [json.loads(text) for text in texts(row)] == [
        ["v1/ConfigMap", "shop", "site"],
        ["v1/Namespace", "", "shop"],
        ["v1/Secret", "shop", "keys"],
    ]


def test_without_a_list_the_tarball_says_it(done: Backup, s3: FakeS3) -> None:
    put(done, s3, tarball=TARBALL)
    row = read(done, ReadingKind.CONTENTS)
    assert [json.loads(text) for text in texts(row)] == [["secrets", "shop", "keys"], ["configmaps", "shop", "site"]]


def test_more_than_a_page_can_count_is_said(done: Backup, s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MOST_OBJECTS", 2)
    put(done, s3, listed=gzip.compress(json.dumps(LIST).encode()))
    row = read(done, ReadingKind.CONTENTS)
    assert (row.state, row.lines, row.message) == ("completed", 2, "There are more; the first 2 objects are listed.")


@pytest.mark.parametrize("kind", ["v1/Secret", "secrets"])
def test_a_secret_s_values_reach_no_spool(done: Backup, s3: FakeS3, kind: str) -> None:
    put(done, s3, tarball=TARBALL)
    row = opened(done, kind, "keys")
    text = "\n".join(texts(row))
    assert (row.state, row.subject["secret"]) == ("completed", True)
    assert PLANTED not in text and "managedFields" not in text
    assert "password: (hidden)" in text and "stringData: (hidden)" in text and "team: shop" in text
    assert "last-applied-configuration: (hidden)" in text


def test_values_are_there_when_they_were_asked_for(done: Backup, s3: FakeS3) -> None:
    put(done, s3, tarball=TARBALL)
    row = opened(done, "v1/Secret", "keys", revealed=True)
    assert f"  password: {PLANTED}" in texts(row)


def test_other_objects_are_whole_and_legible(done: Backup, s3: FakeS3) -> None:
    put(done, s3, tarball=TARBALL)
    row = opened(done, "v1/ConfigMap", "site")
    assert row.subject["secret"] is False
    assert texts(row)[-4:] == ["data:", "  motd: |", "    one", "    two ?"]


def test_what_is_not_there_is_said(done: Backup, s3: FakeS3) -> None:
    assert "did not get so far" in read(done, ReadingKind.CONTENTS).message
    put(done, s3, tarball=TARBALL)
    row = opened(done, "v1/ConfigMap", "../keys")
    assert (row.state, texts(row)) == ("failed", []) and "not in the backup" in row.message


@pytest.mark.parametrize("value", [[[]] * 60_000, json.loads("[" * 400 + "]" * 400)], ids=["many", "deep"])
def test_what_would_take_too_much_to_show_is_not(done: Backup, s3: FakeS3, value: Any) -> None:
    put(done, s3, tarball=tarball(configmaps__site=CONFIG | {"data": value}))
    row = opened(done, "v1/ConfigMap", "site")
    assert row.state == "failed" and "too large to be shown" in row.message


def test_the_file_comes_as_it_lies_there(done: Backup, s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "PIECE", 100)
    put(done, s3, tarball=TARBALL)
    row = read(done, ReadingKind.ARCHIVE)
    assert (row.state, row.size) == ("completed", len(TARBALL))
    assert b"".join(spool.pieces(row.pk)) == TARBALL
    monkeypatch.setattr(contents, "LARGEST_ARCHIVE", len(TARBALL) - 1)
    assert "velero backup download" in read(done, ReadingKind.ARCHIVE).message


def test_a_long_reading_keeps_its_row(done: Backup, s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "HOLD_EVERY", -1.0)
    put(done, s3, tarball=TARBALL)
    row = Reading.objects.create(project=done.project, backup=done, kind=ReadingKind.ARCHIVE)
    held = claim(row)
    Reading.objects.filter(pk=row.pk).update(attempt=9)  # somebody else has it by now
    reading.read(held)
    assert fresh(row).is_open and not list(spool.pieces(row.pk))


def test_what_takes_long_is_in_nobodys_way(done: Backup) -> None:
    def queue(kind: ReadingKind, size: int | None) -> str:
        done.size = size
        return reading.queue_of(Reading(backup=done, kind=kind))

    assert queue(ReadingKind.CONTENTS, 10**10) == queue(ReadingKind.OBJECT, 10**6) == "interactive"
    assert queue(ReadingKind.OBJECT, 10**9) == queue(ReadingKind.ARCHIVE, 1) == "slow"
