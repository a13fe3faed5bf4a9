"""What we send to Velero and read from it, against real API servers with real Velero and a real bucket.

Runs on a sandbox of the session; every case has its own namespaces, prefix and names. Times are printed
(`-s`), not judged: that is for `bench/`.
"""

from __future__ import annotations

import base64
import configparser
import io
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from backups import storage
from backups.storage.store import opened
from backups.velero import names
from backups.velero.adoption import adopted_backup_manifest, adopted_pod_volume_backups
from backups.velero.backup import (
    BackupReport,
    BackupRequest,
    backup_manifest,
    create_backup,
    delete_backup_object,
    get_backup,
    get_raw_backup,
    pod_volume_backups,
)
from backups.velero.deletion import create_deletion, deletion_manifest, deletions_of
from backups.velero.explain import explain
from backups.velero.location import (
    LocationReport,
    LocationRequest,
    aws_config,
    delete_location,
    ensure_location,
    get_location,
    location_manifest,
    revalidate_location,
)
from backups.velero.modifier import create_modifier, delete_modifier, storage_class_modifier
from backups.velero.objects import create_once, is_gone
from backups.velero.restore import (
    RestoreReport,
    RestoreRequest,
    create_restore,
    delete_restore,
    get_restore,
    restore_manifest,
)
from backups.velero.schedule import (
    ScheduleRequest,
    anchor_schedule,
    delete_schedule,
    ensure_schedule,
    get_schedule,
    schedule_manifest,
)
from backups.velero.secret import aws_credentials_file, delete_secret, ensure_secret, secret_manifest
from backups.velero.server import installed
from console.kube import paths
from console.kube.connection import Connection, connect
from console.kube.kubeconfig import parse_kubeconfig
from console.lib.addresses import AddressPolicy
from console.lib.errors import Missing
from sandbox.state import read_state
from tests.bodies import json_of, lines_of

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]

POLICY = AddressPolicy(allow_loopback=True)
VELERO = "velero"
CANARY = "canary-in-a-planted-secret"
CONTROL = "control-in-a-secret-without-our-label"
T = TypeVar("T")


@dataclass
class Stage:
    """Two clusters, one bucket, and a place in both for one case."""

    east: Connection
    west: Connection
    bucket: storage.StorageTarget
    tls_url: str
    case: str = field(default_factory=lambda: f"case-{uuid.uuid4().hex[:8]}")

    @property
    def leaf(self) -> str:
        return f"{self.bucket.base}/{self.case}"

    def labels(self, **more: str) -> dict[str, str]:
        return {names.LOCATION: self.case, **more}

    def location(self, cluster: Connection, **changes: Any) -> LocationReport:
        """Secret and location in `cluster`, on the case's leaf prefix, waited for."""
        keys = aws_credentials_file(self.bucket.access_key, self.bucket.secret_key, self.bucket.region)
        ensure_secret(cluster, secret_manifest(self.case, VELERO, {"cloud": keys}, self.labels()))
        wanted: dict[str, Any] = {
            "name": self.case,
            "namespace": VELERO,
            "bucket": self.bucket.bucket,
            "prefix": self.leaf,
            "config": aws_config(self.bucket.region, self.bucket.s3_url, self.bucket.path_style),
            "secret_name": self.case,
            "labels": self.labels(),
        }
        ensure_location(cluster, location_manifest(LocationRequest(**{**wanted, **changes})))
        return until(lambda: get_location(cluster, VELERO, self.case), lambda report: report.phase != "")

    def backup(self, **changes: Any) -> BackupReport:
        """A backup on the east cluster, waited for."""
        wanted: dict[str, Any] = {
            "name": f"b-{self.case}",
            "namespace": VELERO,
            "storage_location": self.case,
            "ttl": timedelta(hours=1),
            "included_namespaces": (self.case,),
            "labels": {names.REQUEST: self.case},
        }
        request = BackupRequest(**{**wanted, **changes})
        made = create_backup(self.east, backup_manifest(request))
        assert create_backup(self.east, backup_manifest(request)).uid == made.uid
        return until(lambda: get_backup(self.east, VELERO, request.name), is_over)

    def restore(self, cluster: Connection, backup: str, **changes: Any) -> RestoreReport:
        """A restore into `cluster`, waited for."""
        wanted: dict[str, Any] = {
            "name": f"r-{uuid.uuid4().hex[:8]}",
            "namespace": VELERO,
            "backup_name": backup,
            "labels": {names.REQUEST: uuid.uuid4().hex},
        }
        request = RestoreRequest(**{**wanted, **changes})
        create_restore(cluster, restore_manifest(request))
        report = until(lambda: get_restore(cluster, VELERO, request.name), is_over)
        delete_restore(cluster, VELERO, request.name)
        until(lambda: is_gone(cluster, "restores", VELERO, request.name), bool)
        return report

    def clear(self) -> None:
        """Remove what the case left."""
        for cluster in (self.east, self.west):
            delete_backup_object(cluster, VELERO, f"b-{self.case}")
            delete_location(cluster, VELERO, self.case)
            delete_secret(cluster, VELERO, self.case)
            for namespace in (self.case, f"{self.case}-copy"):
                delete_quietly(cluster, paths.core("namespaces", name=namespace))


def delete_quietly(cluster: Connection, path: str) -> None:
    try:
        cluster.delete(path)
    except Missing:
        return


def is_over(report: BackupReport | RestoreReport) -> bool:
    return report.phase in ("Completed", "PartiallyFailed", "Failed", "FailedValidation")


def until(look: Callable[[], T], done: Callable[[T], bool], seconds: float = 90) -> T:
    deadline = time.monotonic() + seconds
    while not done(found := look()):
        assert time.monotonic() < deadline, f"not in time: {found}"
        time.sleep(0.05)
    return found


@contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"seconds {what}={time.monotonic() - began:.2f}")


@pytest.fixture(scope="session")
def clusters(sandbox_var: Path) -> Iterator[dict[str, Connection]]:
    state = read_state(sandbox_var / "sandbox")
    assert state is not None
    made = {}
    for name, cluster in state.clusters.items():
        made[name] = connect(parse_kubeconfig(Path(cluster.kubeconfig).read_text()), POLICY)
    yield made
    for connection in made.values():
        connection.close()


@pytest.fixture
def stage(clusters: dict[str, Connection], sandbox_var: Path) -> Iterator[Stage]:
    state = read_state(sandbox_var / "sandbox")
    assert state is not None
    assert state.s3 is not None
    keys = configparser.ConfigParser(interpolation=None)
    keys.read(state.s3.credentials_file)
    bucket = storage.StorageTarget(
        bucket=state.s3.bucket,
        prefix="contract",
        region="us-east-1",
        s3_url=state.s3.plain_url,
        path_style=True,
        access_key=keys["default"]["aws_access_key_id"],
        secret_key=keys["default"]["aws_secret_access_key"],
    )
    made = Stage(clusters["harbor-east"], clusters["harbor-west"], bucket, state.s3.tls_url)
    yield made
    made.clear()


def planted(stage: Stage) -> None:
    """A namespace with an object to look for."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stage.case}}
    stage.east.create(paths.core("namespaces"), namespace)
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"colour": "blue"}}
    stage.east.create(paths.core("configmaps", stage.case), settings)


def test_velero_is_found_in_both(stage: Stage) -> None:
    for cluster in (stage.east, stage.west):
        with timed("installed"):
            facts = installed(cluster, VELERO)
        assert (facts.present, facts.supported, facts.answered, facts.message) == (True, True, True, "")
        assert facts.version == "v1.18.3"
        assert "velero.io/aws" in {plugin.name for plugin in facts.plugins}
        assert not facts.missing_crds
    elsewhere = installed(stage.east, "default", ask_server=False)
    assert not elsewhere.deployment
    assert not elsewhere.supported


def test_a_location_is_available_stays_as_it_is_and_is_looked_at_again(stage: Stage) -> None:
    with timed("location"):
        report = stage.location(stage.east)
    assert report.is_available, report.message
    location = paths.custom("velero.io", "v1", "backupstoragelocations", VELERO, stage.case)
    spec = stage.east.get(location)["spec"]
    again = stage.location(stage.east)
    assert stage.east.get(location)["spec"] == spec
    time.sleep(1.1)  # the time of validation counts whole seconds
    with timed("look_again"):
        revalidate_location(stage.east, VELERO, stage.case)
        until(
            lambda: get_location(stage.east, VELERO, stage.case),
            lambda seen: seen.last_validated_at != again.last_validated_at,
        )


def test_a_wrong_key_is_explained(stage: Stage) -> None:
    stage.bucket = replace(stage.bucket, secret_key="wrong")
    report = until(lambda: stage.location(stage.east), lambda seen: seen.message != "")
    assert report.phase == "Unavailable"
    assert explain(report.message).sentence == "The secret key of the backup location is wrong."


def test_a_backup_goes_to_the_other_cluster_by_adoption(stage: Stage) -> None:
    planted(stage)
    assert stage.location(stage.east).is_available
    with timed("backup"):
        report = stage.backup()
    assert (report.phase, report.errors) == ("Completed", 0)
    assert report.items_done == report.items_total > 0
    assert report.request_id == stage.case
    assert get_raw_backup(stage.east, VELERO, report.name)["metadata"]["uid"] == report.uid
    raw = storage.fetch_backup_object(stage.bucket, stage.leaf, report.name, POLICY)

    with timed("other_cluster"):
        reader = stage.location(stage.west, access_mode="ReadOnly", backup_sync_period=timedelta(0))
        assert reader.is_available, reader.message
        adopted = create_once(
            stage.west,
            "backups",
            adopted_backup_manifest(
                raw, namespace=VELERO, storage_location=stage.case, labels={names.REQUEST: stage.case}
            ),
        )
        volumes = adopted_pod_volume_backups(
            pod_volume_backups(stage.east, VELERO, report.name),
            backup_name=report.name,
            backup_uid=adopted["metadata"]["uid"],
            namespace=VELERO,
            storage_location=stage.case,
        )
        assert volumes == ()
        done = stage.restore(
            stage.west,
            report.name,
            included_namespaces=(stage.case,),
            namespace_mapping={stage.case: f"{stage.case}-copy"},
        )
    assert (done.phase, done.errors) == ("Completed", 0), done
    copied = stage.west.get(paths.core("configmaps", f"{stage.case}-copy", "settings"))
    assert copied["data"] == {"colour": "blue"}
    seen = get_backup(stage.west, VELERO, report.name)
    assert (seen.phase, seen.completed_at) == ("Completed", report.completed_at)


def test_the_log_and_the_deletion(stage: Stage) -> None:
    planted(stage)
    stage.location(stage.east)
    report = stage.backup()
    key = storage.backup_log_key(stage.leaf, report.name)
    with timed("log"):
        lines = list(lines_of(stage.bucket, key, POLICY, max_bytes=10**7))
    assert any("Backed up a total of" in line for line in lines)
    listed = json_of(stage.bucket, storage.backup_resource_list_key(stage.leaf, report.name), POLICY)
    assert f"{stage.case}/settings" in listed["v1/ConfigMap"]
    found = storage.occupied(stage.bucket, POLICY)
    assert found is not None
    assert found.relation == "below"

    with timed("deletion"):
        wanted = deletion_manifest(
            f"d-{stage.case}",
            VELERO,
            backup_name=report.name,
            backup_uid=report.uid,
            labels={names.REQUEST: stage.case},
        )
        assert create_deletion(stage.east, wanted).backup_name == report.name
        until(lambda: is_gone(stage.east, "backups", VELERO, report.name), bool)
    assert not storage.anything_below(stage.bucket, storage.backup_folder(stage.leaf, report.name), POLICY)
    until(lambda: list(deletions_of(stage.east, VELERO, report.name)), lambda left: not left)


def test_a_full_backup_carries_neither_velero_nor_its_keys_but_cluster_resources(stage: Stage) -> None:
    planted(stage)
    stage.location(stage.east)
    ours = secret_manifest("ours", stage.case, {"cloud": CANARY}, stage.labels())
    theirs = secret_manifest("theirs", stage.case, {"cloud": CONTROL}, {})
    del theirs["metadata"]["labels"]
    for secret in (ours, theirs):
        stage.east.create(paths.core("secrets", stage.case), secret)
    report = stage.backup(included_namespaces=())
    assert report.phase == "Completed", report
    key = storage.backup_contents_key(stage.leaf, report.name)
    data = storage.read_object(stage.bucket, key, POLICY, max_bytes=50 * 1024 * 1024)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getnames()
        content = b"".join(archive.extractfile(member).read() for member in archive if member.isfile())  # type: ignore[union-attr]
    assert not [name for name in members if "/namespaces/velero/" in name]
    assert any("customresourcedefinitions.apiextensions.k8s.io/cluster/" in name for name in members)
    assert any(f"configmaps/namespaces/{stage.case}/settings" in name for name in members)
    assert base64.b64encode(CONTROL.encode()) in content  # what is not labelled is found: the search works
    keys = stage.east.get(paths.core("secrets", VELERO, stage.case))["data"]["cloud"]
    for key_material in (keys.encode(), base64.b64encode(CANARY.encode()), stage.bucket.secret_key.encode()):
        assert key_material not in content


def test_a_backup_to_nowhere_is_rejected_with_a_reason(stage: Stage) -> None:
    report = stage.backup(storage_location="nowhere", included_namespaces=("default",))
    assert report.phase == "FailedValidation"
    assert explain(report.validation_errors[0]).sentence == "The backup location is not known in this cluster."


def test_a_restore_of_nothing_is_rejected_with_a_reason(stage: Stage) -> None:
    report = stage.restore(stage.west, "no-such-backup")
    assert report.phase == "FailedValidation"
    assert "was not known in the target cluster" in explain(report.validation_errors[0]).sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bucket": "no-such-bucket"}, "The bucket does not exist."),
        ({"config": {"region": "us-east-1", "s3Url": "http://nowhere.invalid"}}, "The cluster cannot resolve"),
        ({"config": {"region": "us-east-1", "s3Url": "http://127.0.0.1:9"}}, "The cluster cannot reach the store."),
        ({"config": {"region": "us-east-1", "colour": "blue"}}, "has a setting that Velero's plugin does not know"),
        ({"config": {"s3Url": "TLS", "region": "us-east-1"}}, "The cluster does not trust the certificate"),
        ({"secret_name": "nowhere"}, "The Secret with the keys of the backup location is missing"),
        ({"provider": "azure"}, "lacks the plugin"),
    ],
)
def test_veleros_own_words_about_a_location_are_known(stage: Stage, changes: dict[str, Any], sentence: str) -> None:
    if changes.get("config", {}).get("s3Url") == "TLS":
        changes["config"]["s3Url"] = stage.tls_url
    if "config" in changes:
        changes["config"] |= {"profile": "default", "s3ForcePathStyle": "true"}
    report = until(lambda: stage.location(stage.east, **changes), lambda seen: seen.message != "")
    assert report.phase == "Unavailable"
    assert sentence in explain(report.message).sentence, report.message


def test_a_foreign_folder_and_a_location_that_may_only_be_read(stage: Stage) -> None:
    location = stage.location(stage.east, access_mode="ReadOnly")
    assert location.is_available
    report = stage.backup(included_namespaces=("default",))
    assert [explain(text).sentence for text in report.validation_errors] == [
        "In this cluster the backup location may only be read."
    ]
    delete_location(stage.east, VELERO, stage.case)
    with opened(replace(stage.bucket, prefix=stage.leaf), POLICY) as store:
        store.put(f"{stage.leaf}/foreign/file", b"x")
        found = until(lambda: stage.location(stage.east), lambda seen: seen.message != "")
        store.delete(f"{stage.leaf}/foreign/file")
    assert "folders at this place of the bucket that are not Velero's" in explain(found.message).sentence


def test_adopted_volumes_are_taken_and_go_with_their_backup(stage: Stage) -> None:
    meta: dict[str, Any] = {"name": f"b-{stage.case}", "labels": {"team": "a"}}
    raw = {"kind": "Backup", "metadata": meta, "spec": {"hooks": {}}, "status": {"phase": "Completed"}}
    place = {"namespace": VELERO, "storage_location": stage.case}
    made = create_once(stage.west, "backups", adopted_backup_manifest(raw, labels={names.REQUEST: stage.case}, **place))
    volume: dict[str, Any] = {
        "metadata": {"name": f"v-{stage.case}", "labels": {"velero.io/pvc-uid": "p"}},
        "spec": {
            "node": "n",
            "pod": {"kind": "Pod", "name": "p", "namespace": "shop"},
            "volume": "data",
            "backupStorageLocation": "theirs",
            "repoIdentifier": "",
            "uploaderType": "kopia",
        },
        "status": {"phase": "Completed", "snapshotID": "s1"},
    }
    owner = {"backup_name": meta["name"], "backup_uid": made["metadata"]["uid"]}
    (manifest,) = adopted_pod_volume_backups([volume], **owner, **place)
    stage.west.create(names.path("podvolumebackups", VELERO), manifest)
    (found,) = pod_volume_backups(stage.west, VELERO, f"b-{stage.case}")
    assert found["status"] == volume["status"]
    assert found["spec"]["backupStorageLocation"] == stage.case
    delete_backup_object(stage.west, VELERO, f"b-{stage.case}")
    until(lambda: is_gone(stage.west, "podvolumebackups", VELERO, f"v-{stage.case}"), bool)


def test_a_storage_class_is_mapped_for_one_restore(stage: Stage) -> None:
    planted(stage)
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "storageClassName": "old-class",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    stage.east.create(paths.core("persistentvolumeclaims", stage.case), claim)
    stage.location(stage.east)
    report = stage.backup()
    modifier = storage_class_modifier(f"m-{stage.case}", VELERO, {"old-class": "true"}, {names.REQUEST: stage.case})
    create_modifier(stage.east, modifier)
    done = stage.restore(
        stage.east,
        report.name,
        namespace_mapping={stage.case: f"{stage.case}-copy"},
        included_namespaces=(stage.case,),
        resource_modifier=f"m-{stage.case}",
    )
    delete_modifier(stage.east, VELERO, f"m-{stage.case}")
    assert done.phase == "Completed", done
    restored = stage.east.get(paths.core("persistentvolumeclaims", f"{stage.case}-copy", "data"))
    assert restored["spec"]["storageClassName"] == "true"


def test_a_schedule_does_not_drift_and_can_be_anchored(stage: Stage) -> None:
    stage.location(stage.east)
    template = BackupRequest(name="", namespace=VELERO, storage_location=stage.case, ttl=timedelta(days=1))
    request = ScheduleRequest(
        name=f"s-{stage.case}", cron="@every 336h", backup=template, labels={names.POLICY: stage.case}
    )
    try:
        ensure_schedule(stage.east, schedule_manifest(request))
        until(lambda: get_schedule(stage.east, VELERO, request.name), lambda seen: seen.phase == "Enabled")
        settled = get_schedule(stage.east, VELERO, request.name)
        again = ensure_schedule(stage.east, schedule_manifest(request))
        assert again.resource_version == settled.resource_version
        midnight = datetime(2026, 1, 4, tzinfo=UTC) + timedelta(days=3650)
        assert anchor_schedule(stage.east, VELERO, request.name, midnight).last_backup_at == midnight
        paused = ensure_schedule(stage.east, schedule_manifest(replace(request, paused=True)))
        assert paused.paused
        assert paused.last_backup_at == midnight
    finally:
        delete_schedule(stage.east, VELERO, request.name)
