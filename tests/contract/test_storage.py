"""The same cases against every kind of store; what only a store with signatures can say, against SeaweedFS alone."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from backups.storage import (
    ProbeStep,
    anything_below,
    backup_folder,
    backup_folders,
    backup_log_key,
    backup_metadata_key,
    fetch_backup_object,
    fetch_pod_volume_backups,
    folders_below,
    is_place,
    occupied,
    pod_volume_backups_key,
    probe,
    read_object,
    scan,
)
from console.lib.errors import Missing, NotPermitted, Refused, SignInRefused, Unreachable
from tests.bodies import json_of, lines_of
from tests.contract import realstore
from tests.contract.realstore import NO_LIST, POLICY, READ_ONLY, GoogleStore, RealStore

AnyStore = RealStore | GoogleStore


@pytest.fixture(scope="session")
def moto_store() -> Iterator[RealStore]:
    with realstore.moto() as store:
        yield store


@pytest.fixture(scope="session")
def seaweed_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStore]:
    with realstore.seaweed(tmp_path_factory.mktemp("weed")) as store:
        yield store


@pytest.fixture(scope="session")
def role_store() -> Iterator[RealStore]:
    with realstore.by_role() as store:
        yield store


@pytest.fixture(scope="session")
def google_store() -> Iterator[GoogleStore]:
    with realstore.google() as store:
        yield store


@pytest.fixture(params=["moto", "role", "google", pytest.param("seaweed", marks=pytest.mark.sandbox)])
def store(request: pytest.FixtureRequest) -> AnyStore:
    """The store of this round."""
    found: AnyStore = request.getfixturevalue(f"{request.param}_store")
    return found


@pytest.fixture
def prefix() -> str:
    """A place of the case's own."""
    return f"case-{uuid.uuid4().hex[:8]}"


def steps(store: AnyStore, prefix: str, **changes: Any) -> dict[str, ProbeStep]:
    return {step.id: step for step in probe(store.target(prefix, **changes), POLICY)}


def failed(found: dict[str, ProbeStep]) -> ProbeStep:
    (only,) = [step for step in found.values() if step.outcome == "fail"]
    return only


def test_a_good_location_passes_and_nothing_is_left(store: AnyStore, prefix: str) -> None:
    found = steps(store, prefix)
    assert {step.outcome for id, step in found.items() if id != "tls"} == {"pass"}
    assert found["tls"].outcome == "warning"
    assert not anything_below(store.target(prefix), f"{prefix}/", POLICY)


def test_a_bucket_that_is_not_there(store: AnyStore, prefix: str) -> None:
    found = failed(steps(store, prefix, bucket="no-such-bucket"))
    assert (found.id, found.cause) == ("bucket", "There is no bucket no-such-bucket.")


def test_objects_are_read_within_bounds(store: AnyStore, prefix: str) -> None:
    where = store.target(prefix)
    store.put(f"{prefix}/big", b"x" * 300_000)
    assert read_object(where, f"{prefix}/big", POLICY, max_bytes=300_000) == b"x" * 300_000
    with pytest.raises(Refused, match="larger"):
        read_object(where, f"{prefix}/big", POLICY, max_bytes=299_999)
    with pytest.raises(Missing):
        read_object(where, f"{prefix}/none", POLICY, max_bytes=1)
    with pytest.raises(Missing):
        read_object(store.target(prefix, bucket="no-such-bucket"), "k", POLICY, max_bytes=1)


def test_logs_are_unpacked_as_they_are_read(store: AnyStore, prefix: str) -> None:
    key, text = backup_log_key(prefix, "b"), "".join(f"line {number} ☸\n" for number in range(50_000))
    store.put(key, gzip.compress(text.encode()))
    lines = lines_of(store.target(prefix), key, POLICY, max_bytes=10**7)
    assert next(lines) == "line 0 ☸"
    assert sum(1 for _ in lines) == 49_999


def test_what_velero_stored_of_a_backup(store: AnyStore, prefix: str) -> None:
    where, raw = store.target(prefix), {"metadata": {"name": "b"}, "spec": {}, "status": {"phase": "Completed"}}
    with pytest.raises(Missing):
        fetch_backup_object(where, prefix, "b", POLICY)
    assert fetch_pod_volume_backups(where, prefix, "b", POLICY) == ()
    store.put(backup_metadata_key(prefix, "b"), json.dumps(raw).encode())
    store.put(pod_volume_backups_key(prefix, "b"), gzip.compress(b'[{"metadata": {"name": "v"}}]'))
    assert fetch_backup_object(where, prefix, "b", POLICY) == raw
    assert fetch_pod_volume_backups(where, prefix, "b", POLICY) == ({"metadata": {"name": "v"}},)
    assert json_of(where, pod_volume_backups_key(prefix, "b"), POLICY)[0]["metadata"]["name"] == "v"
    assert anything_below(where, backup_folder(prefix, "b"), POLICY)
    assert not anything_below(where, backup_folder(prefix, "c"), POLICY)


VELEROS = (
    "backups/b1/velero-backup.json",
    "backups/b1/b1-logs.gz",
    "backups/b1/b1-resource-list.json.gz",
    "restores/r1/restore-r1-logs.gz",
    "kopia/shop/kopia.repository",
    "kopia/shop/_log_20260101",
    "restic/shop/config",
    "metadata/revision",
)


@pytest.mark.parametrize("key", VELEROS)
def test_each_of_veleros_shapes_is_known(store: AnyStore, prefix: str, key: str) -> None:
    store.put(f"{prefix}/{key}", b"{}")
    found = occupied(store.target(prefix), POLICY)
    assert found is not None
    assert (found.prefix, found.relation, found.evidence) == (prefix, "on", f"{prefix}/{key}")


def test_somebody_writes_there_already(store: AnyStore, prefix: str) -> None:
    store.put(f"{prefix}/t/x/{VELEROS[0]}", b"{}")
    for asked, relation in (("t/x", "on"), ("t/x/deep/er", "above"), ("t/x/y", "above"), ("t", "below"), ("", "below")):
        found = occupied(store.target(f"{prefix}/{asked}"), POLICY)
        assert found is not None
        assert (found.prefix, found.relation) == (f"{prefix}/t/x", relation)
        assert f"“{prefix}/t/x/”" in found.sentence()
    assert occupied(store.target(f"{prefix}/t/xy"), POLICY) is None


def test_folders_that_only_sound_like_velero_do_not_count(store: AnyStore, prefix: str) -> None:
    store.put(f"{prefix}/backups/2026/database.dump", b"")
    store.put(f"{prefix}/metadata/notes.txt", b"")
    store.put(f"{prefix}/backups/own/backups/b/velero-backup.json", b"{}")
    assert occupied(store.target(f"{prefix}/free"), POLICY) is None
    assert occupied(store.target(f"{prefix}/backups/2026"), POLICY) is None
    below = occupied(store.target(prefix), POLICY)
    assert below is not None
    assert below.prefix == f"{prefix}/backups/own"


def test_our_own_leaf_prefixes_do_not_count(store: AnyStore, prefix: str) -> None:
    store.put(f"{prefix}/uid-1/backups/b/velero-backup.json", b"{}")
    where = store.target(prefix)
    assert occupied(where, POLICY) is not None
    assert occupied(where, POLICY, known=[f"{prefix}/uid-1/"]) is None


@pytest.mark.sandbox
def test_wrong_keys_are_told_apart(seaweed_store: RealStore, prefix: str) -> None:
    unknown = failed(steps(seaweed_store, prefix, access_key="AKIANOBODY"))
    assert (unknown.id, "does not know this access key" in unknown.cause) == ("sign_in", True)
    wrong = failed(steps(seaweed_store, prefix, secret_key="wrong"))
    assert (wrong.id, "does not belong" in wrong.cause) == ("sign_in", True)
    with pytest.raises(SignInRefused):
        read_object(seaweed_store.target(prefix, secret_key="wrong"), "k", POLICY, max_bytes=1)


@pytest.mark.sandbox
def test_missing_rights_are_named(seaweed_store: RealStore, prefix: str) -> None:
    reader = steps(seaweed_store, prefix, **READ_ONLY)
    assert reader["list"].outcome == "pass"
    assert "s3:PutObject" in failed(reader).cause
    writer = steps(seaweed_store, prefix, **NO_LIST)
    assert "s3:ListBucket" in writer["list"].cause
    assert writer["write"].outcome == "pass"
    assert not anything_below(seaweed_store.target(prefix), f"{prefix}/", POLICY)
    with pytest.raises(NotPermitted):
        anything_below(seaweed_store.target(prefix, **NO_LIST), f"{prefix}/", POLICY)


@pytest.mark.sandbox
def test_clocks_that_differ(seaweed_store: RealStore, prefix: str) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=3)):
        found = failed(steps(seaweed_store, prefix))
    assert found.id == "sign_in"
    assert "clocks" in found.cause


@pytest.mark.sandbox
def test_tls(seaweed_store: RealStore, prefix: str) -> None:
    secure = {"s3_url": seaweed_store.tls_url}
    good = steps(seaweed_store, prefix, **secure, ca_pem=seaweed_store.ca_pem)
    assert {step.outcome for step in good.values()} == {"pass"}
    unknown = failed(steps(seaweed_store, prefix, **secure))
    assert (unknown.id, "authority" in unknown.cause) == ("tls", True)
    with pytest.raises(Unreachable):
        read_object(seaweed_store.target(prefix, **secure), "k", POLICY, max_bytes=1)
    plain = failed(steps(seaweed_store, prefix, s3_url=seaweed_store.tls_url.replace("https", "http")))
    assert "wants https" in plain.cause
    https = failed(steps(seaweed_store, prefix, s3_url=seaweed_store.url.replace("http", "https")))
    assert "plain http" in https.cause


# Scanning


def backup_names(store: AnyStore, prefix: str, after: str = "") -> list[str]:
    return [folder.name for folder in backup_folders(store.target(prefix), prefix, POLICY, after=after)]


def test_folders_are_listed_page_by_page(store: AnyStore, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "PAGE", 2)
    names = ["a", "a-1", "a.b", "b", "b0"]
    for name in names:
        store.put(f"{prefix}/{name}/deep/er/key", b"x")
    found, token = list[str](), ""
    for _ in range(20):
        page = folders_below(store.target(prefix), prefix, POLICY, token)
        found += page.names
        token = page.token
        if not token:
            break
    assert sorted(found) == sorted(names)


def test_only_what_velero_wrote_is_a_place(store: AnyStore, prefix: str) -> None:
    store.put(f"{prefix}/ours/backups/b1/velero-backup.json", b"{}")
    store.put(f"{prefix}/dumps/backups/2026/database.dump", b"")
    assert is_place(store.target(prefix), f"{prefix}/ours", POLICY)
    assert not is_place(store.target(prefix), f"{prefix}/dumps", POLICY)
    assert not is_place(store.target(prefix), f"{prefix}/none", POLICY)


def test_backups_are_gone_through_folder_by_folder(
    store: AnyStore, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "PAGE", 4)
    names = ["daily-1", "daily-10", "daily-2", "x", "x-1", "x.y"]
    for name in names:
        store.put(f"{prefix}/backups/{name}/{name}.tar.gz", b"12345")
        store.put(f"{prefix}/backups/{name}/velero-backup.json", b"{}")
    folders = list(backup_folders(store.target(prefix), prefix, POLICY))
    assert sorted(folder.name for folder in folders) == names
    assert {(folder.size, folder.has_metadata, folder.is_file) for folder in folders} == {(7, True, False)}
    assert backup_names(store, prefix, after=folders[1].last) == [folder.name for folder in folders[2:]]


def test_a_folder_with_too_much_in_it_is_left_at_that(
    store: AnyStore, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "PAGE", 3)
    for number in range(20):
        store.put(f"{prefix}/backups/huge/{number:03}", b"")
    store.put(f"{prefix}/backups/later/velero-backup.json", b"{}")
    huge, later = backup_folders(store.target(prefix), prefix, POLICY)
    assert (huge.name, huge.is_huge, later.name, later.is_huge) == ("huge", True, "later", False)


def test_reading_alone_writes_nothing(store: AnyStore, prefix: str) -> None:
    empty = {step.id: step for step in probe(store.target(prefix), POLICY, write=False)}
    assert (empty["read"].outcome, empty["list"].outcome) == ("skipped", "pass")
    assert not {"write", "delete"} & set(empty)
    store.put(f"{prefix}/backups/b/velero-backup.json", b"{}")
    found = {step.id: step for step in probe(store.target(prefix), POLICY, write=False)}
    assert (found["read"].outcome, found["read"].title) == ("pass", "Read an object")
    assert backup_names(store, prefix) == ["b"]
