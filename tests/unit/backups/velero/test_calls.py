"""Calls that may be repeated, the server's answer, and adoption into another cluster."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from backups.velero import names
from backups.velero.about import kind_of
from backups.velero.adoption import (
    adopted_backup_manifest,
    adopted_pod_volume_backup_manifest,
    adopted_pod_volume_backups,
)
from backups.velero.backup import (
    BackupRequest,
    backup_manifest,
    create_backup,
    delete_backup_object,
    get_backup,
    pod_volume_backups,
)
from backups.velero.deletion import create_deletion, deletion_manifest, deletions_of
from backups.velero.explain import explain, explain_all
from backups.velero.modifier import create_modifier, storage_class_modifier
from backups.velero.objects import is_gone
from backups.velero.restore import RestoreRequest, create_restore, restore_manifest
from backups.velero.schedule import ScheduleRequest, anchor_schedule, ensure_schedule, schedule_manifest
from backups.velero.server import NEEDED_CRDS, Plugin, installed, parse_version, server_status
from console.lib.errors import AlreadyThere, BadInput, Missing, Refused
from tests.unit.backups.velero.fake import FakeApi, Json

BACKUPS = "/apis/velero.io/v1/namespaces/velero/backups"
RAW = {
    "apiVersion": "velero.io/v1",
    "kind": "Backup",
    "metadata": {
        "name": "b",
        "namespace": "elsewhere",
        "uid": "u1",
        "resourceVersion": "7",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "selfLink": "/x",
        "managedFields": [{}],
        "finalizers": ["x"],
        "ownerReferences": [{"kind": "Schedule", "name": "s", "uid": "u", "apiVersion": "velero.io/v1"}],
        "labels": {"team": "a", "velero.io/storage-location": "theirs", "velero.io/schedule-name": "s"},
        "annotations": {"velero.io/source-cluster-k8s-gitversion": "v1.30.0", names.GROUP: "x"},
    },
    "spec": {"storageLocation": "theirs", "hooks": {"resources": [{"name": "evil"}]}, "ttl": "720h0m0s"},
    "status": {"phase": "Completed", "expiration": "2026-02-01T00:00:00Z"},
}
PVB = {
    "metadata": {
        "name": "b-x1",
        "namespace": "elsewhere",
        "uid": "u2",
        "labels": {"velero.io/backup-name": "b", "velero.io/backup-uid": "u1", "velero.io/pvc-uid": "p"},
        "ownerReferences": [{"kind": "Backup", "name": "b", "uid": "u1"}],
    },
    "spec": {"backupStorageLocation": "theirs", "volume": "data"},
    "status": {"phase": "Completed", "snapshotID": "s1"},
}


def wanted(request_id: str = "row-1", **changes: Any) -> Json:
    request = BackupRequest(
        name="b",
        namespace="velero",
        storage_location="l",
        ttl=timedelta(days=1),
        labels={names.REQUEST: request_id},
        **changes,
    )
    return backup_manifest(request)


def test_creating_twice_makes_one_backup() -> None:
    api = FakeApi()
    first = create_backup(api, wanted())
    assert create_backup(api, wanted()).uid == first.uid
    assert len(api.objects) == 1


def test_a_name_taken_by_somebody_else_is_not_ours() -> None:
    api = FakeApi()
    create_backup(api, wanted("row-1"))
    with pytest.raises(AlreadyThere):
        create_backup(api, wanted("row-2"))


def test_without_a_request_label_nothing_is_taken_for_ours() -> None:
    api = FakeApi()
    api.objects[f"{BACKUPS}/b"] = {"metadata": {"name": "b"}}
    manifest = wanted()
    del manifest["metadata"]["labels"][names.REQUEST]
    with pytest.raises(AlreadyThere):
        create_backup(api, manifest)


def test_a_conflict_that_vanishes_meanwhile_stays_a_conflict() -> None:
    class Fickle(FakeApi):
        def create(self, path: str, body: Json) -> Json:
            raise AlreadyThere("taken")

    with pytest.raises(AlreadyThere):
        create_backup(Fickle(), wanted())


def test_get_and_delete() -> None:
    api = FakeApi()
    with pytest.raises(Missing):
        get_backup(api, "velero", "b")
    create_backup(api, wanted())
    assert get_backup(api, "velero", "b").storage_location == "l"
    assert not is_gone(api, "backups", "velero", "b")
    for _ in range(2):
        delete_backup_object(api, "velero", "b")
    assert is_gone(api, "backups", "velero", "b")


def test_restores_and_deletions_can_be_repeated_too() -> None:
    api = FakeApi()
    restore = restore_manifest(
        RestoreRequest(name="r", namespace="velero", backup_name="b", labels={names.REQUEST: "row"})
    )
    assert create_restore(api, restore).uid == create_restore(api, restore).uid
    deletion = deletion_manifest("d", "velero", backup_name="b", backup_uid="u", labels={names.REQUEST: "row"})
    assert create_deletion(api, deletion).uid == create_deletion(api, deletion).uid
    path = "/apis/velero.io/v1/namespaces/velero/deletebackuprequests/d"
    api.objects[path]["status"] = {"phase": "Processed", "errors": ["no"]}
    assert [report.has_failed for report in deletions_of(api, "velero", "b")] == [True]
    assert list(deletions_of(api, "velero", "other")) == []


def test_volumes_are_found_by_the_label_velero_cuts() -> None:
    api = FakeApi()
    name = "n" * 70
    labels = {"velero.io/backup-name": names.label_value(name)}
    path = "/apis/velero.io/v1/namespaces/velero/podvolumebackups"
    api.objects[f"{path}/one"] = {"metadata": {"name": "one", "labels": labels}}
    api.objects[f"{path}/two"] = {"metadata": {"name": "two", "labels": {}}}
    assert [obj["metadata"]["name"] for obj in pod_volume_backups(api, "velero", name)] == ["one"]


def schedule(cron: str = "0 0 * * 0", **changes: Any) -> Json:
    backup = BackupRequest(name="", namespace="velero", storage_location="l", ttl=timedelta(days=1))
    labels = {names.POLICY: "p"}
    return schedule_manifest(ScheduleRequest(name="s", cron=cron, backup=backup, labels=labels, **changes))


def test_a_schedule_is_created_left_and_changed_without_running_at_once() -> None:
    api = FakeApi()
    ensure_schedule(api, schedule())
    path = "/apis/velero.io/v1/namespaces/velero/schedules/s"
    api.objects[path]["spec"]["skipImmediately"] = False  # Velero consumed it
    api.objects[path]["spec"]["template"]["hooks"] = {}  # and its round trip adds empties
    ensure_schedule(api, schedule())
    assert api.count("merge_patch") == 0
    assert ensure_schedule(api, schedule("0 1 * * 0", paused=True)).cron == "0 1 * * 0"
    assert api.objects[path]["spec"]["skipImmediately"] is True
    assert api.objects[path]["spec"]["paused"] is True
    anchored = anchor_schedule(api, "velero", "s", datetime(2026, 1, 4, tzinfo=UTC))
    assert anchored.last_backup_at == datetime(2026, 1, 4, tzinfo=UTC)
    api.objects[path]["metadata"]["labels"][names.POLICY] = "other"
    with pytest.raises(Refused):
        ensure_schedule(api, schedule())


def test_adoption_keeps_the_content_and_drops_the_rest() -> None:
    before = copy.deepcopy(RAW)
    labels = {names.REQUEST: "row"}
    made = adopted_backup_manifest(RAW, namespace="velero", storage_location="src-1", labels=labels)
    assert before == RAW
    assert set(made["metadata"]) == {"name", "namespace", "labels", "annotations"}
    assert made["metadata"]["annotations"] == RAW["metadata"]["annotations"]  # type: ignore[index]
    assert made["metadata"]["labels"]["team"] == "a"
    assert made["metadata"]["labels"]["velero.io/storage-location"] == "src-1"
    assert made["metadata"]["labels"][names.REQUEST] == "row"
    assert made["spec"] == {"storageLocation": "src-1", "ttl": "720h0m0s"}
    assert made["status"] == RAW["status"]


@pytest.mark.parametrize("phase", ["", "New", "InProgress", "Failed", "Deleting", "Finalizing", "Dreaming"])
def test_only_finished_backups_are_adopted(phase: str) -> None:
    raw = {**RAW, "status": {"phase": phase}}
    with pytest.raises(Refused, match="cannot be restored elsewhere"):
        adopted_backup_manifest(raw, namespace="velero", storage_location="l", labels={})


@pytest.mark.parametrize("raw", [{}, {"kind": "Pod"}, {**RAW, "kind": "Restore"}, {**RAW, "spec": None}])
def test_what_is_not_a_backup_is_not_adopted(raw: Json) -> None:
    with pytest.raises(Refused, match="not a Velero Backup"):
        adopted_backup_manifest(raw, namespace="velero", storage_location="l", labels={})


def test_volumes_are_adopted_under_their_new_owner() -> None:
    made = adopted_pod_volume_backup_manifest(
        PVB, backup_name="b", backup_uid="new", namespace="velero", storage_location="src-1"
    )
    assert made["metadata"]["labels"]["velero.io/backup-uid"] == "new"
    assert made["metadata"]["labels"]["velero.io/pvc-uid"] == "p"
    assert [owner["uid"] for owner in made["metadata"]["ownerReferences"]] == ["new"]
    assert made["spec"] == {"backupStorageLocation": "src-1", "volume": "data"}
    assert made["status"] == PVB["status"]
    assert made["metadata"]["namespace"] == "velero"


def test_volumes_that_would_start_work_on_the_target_are_left_out() -> None:
    running = {**PVB, "status": {"phase": "New"}}
    place = {"backup_name": "b", "backup_uid": "new", "namespace": "velero", "storage_location": "l"}
    with pytest.raises(Refused):
        adopted_pod_volume_backup_manifest(running, **place)
    assert len(adopted_pod_volume_backups([PVB, running], **place)) == 1


def cluster(image: str = "velero/velero:v1.18.3", *, answers: str = "v1.18.3", crds: set[str] | None = None) -> FakeApi:
    def controller(api: FakeApi, key: str, obj: Json) -> None:
        if "/serverstatusrequests/" in key and answers:
            plugins = [{"name": "velero.io/aws", "kind": "ObjectStore"}, "odd"]
            obj["status"] = {"phase": "Processed", "serverVersion": answers, "plugins": plugins}

    api = FakeApi(controller)
    served = NEEDED_CRDS if crds is None else crds
    api.objects["/apis/velero.io/v1"] = {"resources": [{"name": name} for name in served] + [{"name": "backups/x"}, 3]}
    if image:
        pod = {"spec": {"containers": [{"image": image}]}}
        api.objects["/apis/apps/v1/namespaces/velero/deployments/velero"] = {"spec": {"template": pod}}
    return api


def test_a_healthy_velero() -> None:
    api = cluster()
    facts = installed(api, "velero")
    assert (facts.present, facts.supported, facts.answered, facts.version) == (True, True, True, "v1.18.3")
    assert facts.message == ""
    assert facts.plugins[0] == Plugin("velero.io/aws", "ObjectStore")
    assert not facts.node_agent
    assert not [path for path in api.objects if "serverstatusrequests" in path]


def test_no_velero() -> None:
    facts = installed(FakeApi(), "velero")
    assert not facts.present
    assert facts.message == "Velero is not installed in this cluster."


@pytest.mark.parametrize(
    ("api", "message"),
    [
        (cluster(crds=set(NEEDED_CRDS - {"schedules"})), "schedules missing"),
        (cluster(answers="v1.15.2"), "too old"),
        (cluster(image="", answers="v1.18.3"), "restores would fail"),
    ],
)
def test_what_is_wrong_with_a_velero(api: FakeApi, message: str) -> None:
    facts = installed(api, "velero")
    assert facts.present
    assert not facts.supported
    assert message in facts.message
    assert facts.remedy


def test_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backups.velero.server.server_status", lambda conn, namespace: None)
    facts = installed(cluster(answers=""), "velero")
    assert facts.answered is False
    assert "does not answer" in facts.message
    assert facts.version == "v1.18.3"
    assert "no Velero in the namespace" in installed(cluster(image="", answers=""), "velero").message


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("velero/velero:v1.17.0", "v1.17.0"),
        ("registry:5000/velero@sha256:" + "a" * 64, ""),
        ("r:5000/velero:v1.16.1@sha256:" + "a" * 64, "v1.16.1"),
        ("velero/velero", ""),
    ],
)
def test_the_version_in_an_image(image: str, version: str) -> None:
    facts = installed(cluster(image), "velero", ask_server=False)
    assert facts.version == version
    assert facts.answered is None
    assert facts.supported


def test_waiting_for_the_server_ends_and_cleans_up() -> None:
    api, now = cluster(answers=""), [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert server_status(api, "velero", within=5, sleep=sleep, clock=lambda: now[0]) is None
    assert 5 <= now[0] < 6
    assert not [path for path in api.objects if "serverstatusrequests" in path]


@pytest.mark.parametrize(
    ("text", "version"), [("v1.18.3", (1, 18)), ("1.9", (1, 9)), ("main", None), ("", None), ("v1.16.0-rc.1", (1, 16))]
)
def test_versions(text: str, version: tuple[int, int] | None) -> None:
    assert parse_version(text) == version


def test_a_storage_class_mapping_is_what_velero_reads_strictly() -> None:
    manifest = storage_class_modifier("m", "velero", {"gp2": "true"}, {names.REQUEST: "row"})
    (text,) = manifest["data"].values()
    rules = yaml.safe_load(text)
    assert rules["version"] == "v1"
    assert {rule["conditions"]["groupResource"] for rule in rules["resourceModifierRules"]} == {
        "persistentvolumeclaims",
        "persistentvolumes",
    }
    rule = rules["resourceModifierRules"][0]
    assert rule["conditions"]["matches"] == [{"path": "/spec/storageClassName", "value": '"gp2"'}]
    assert rule["patches"] == [{"operation": "replace", "path": "/spec/storageClassName", "value": '"true"'}]
    with pytest.raises(BadInput):
        storage_class_modifier("m", "velero", {"gp2": 'x", "path": "/spec'}, {})
    api = FakeApi()
    create_modifier(api, manifest)
    create_modifier(api, manifest)
    with pytest.raises(Refused):
        create_modifier(api, storage_class_modifier("m", "velero", {"a": "b"}, {names.REQUEST: "other"}))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("an existing backup storage location was not specified at ... default x was not found. Error: ...", "known"),
        ("backup can't be created because backup storage location x is currently in read-only mode", "only be read"),
        ("backup can't be created because BackupStorageLocation x is in Unavailable status.", "at that moment"),
        ("The BSL x is unavailable, cannot retrieve the backup", "at that moment"),
        ("rpc error: code = Unknown desc = SignatureDoesNotMatch: The request signature we calc", "secret key"),
        ("rpc error: code = Unknown desc = failed to get shared config profile, default", "writing it"),
        ("api error InvalidAccessKeyId: The AWS Access Key Id you provided", "access key"),
        ("api error ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set", "one hour"),
        (
            "failed to refresh cached credentials, no EC2 IMDS role found, operation error ec2imds",
            "identity of its own",
        ),
        ('oauth2: "invalid_grant" "Invalid JWT Signature."', "service account's key"),
        ("googleapi: Error 403: v@p does not have storage.objects.list access to the bucket", "service account of"),
        ("api error NoSuchBucket: The specified bucket does not exist", "bucket does not exist"),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "does not trust"),
        (
            'BackupStorageLocation "x" is unavailable: Backup store contains invalid top-level directories: [a]',
            "folders",
        ),
        ("rpc error: code = Unknown desc = config has invalid keys [foo]; valid keys are [...]", "does not know"),
        ("backup already exists in object storage", "in the bucket already"),
        ('found a backup with status "InProgress" during the server starting, mark it as "Failed"', "restarted"),
        ('found a restore with status "InProgress" during the server starting, mark it as "Failed"', "restarted"),
        ('error executing: deployments.apps "velero" not found', "Deployment velero"),
        ('Error retrieving backup: backups.velero.io "b" not found', "not known in the target"),
        ("dial tcp 10.0.0.1:9000: connect: connection refused", "cannot reach"),
        ("dial tcp: lookup minio on 10.96.0.10:53: no such host", "cannot resolve"),
        ("message: /timed out waiting for all PodVolumeBackups to complete", "longer than Velero waits"),
        ("backup repository is not ready: error to connect backup repo", "its repository of volume data"),
        ("Timed out awaiting reconciliation of volumesnapshot shop/velero-x", "snapshot in time"),
        ("name: /pvc-1 error: /PVC shop/data is in phase Pending and is not bound to a volume", "no volume yet"),
        ("daemonset pod not found in running state in node n1", "node agent"),
        ("name: /web message: /Error executing hook error: /command terminated with exit code 1", "command"),
        ('Service "web" is invalid: spec.ports[0].nodePort: provided port is already allocated', "node port"),
        ("unable to create new content in namespace shop because it is being terminated", "being deleted"),
        ('Job.batch "x" is invalid: spec.selector: Invalid value: {}: field is immutable', "cannot be changed"),
    ],
)
def test_veleros_words_are_explained(text: str, part: str) -> None:
    explanation = explain(text)
    assert explanation.known
    assert part in explanation.sentence
    assert explanation.remedy
    assert explanation.original.startswith(text[:60])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (" resource: /deployments.apps name: /web message: /Error backing up item error: /x", "deployments.apps"),
        ('could not restore, ConfigMap "a" already exists. Warning: the in-cluster version is different', "ConfigMap"),
        ("could not restore, Secret:a already exists.", "Secret"),
        ("error restoring persistentvolumes/pv-1: no", "persistentvolumes"),
        ("error restoring additional item pods/shop/web: no", "pods"),
        (" message: /no such bucket", ""),
    ],
)
def test_the_kind_is_told_where_velero_names_it(text: str, kind: str) -> None:
    assert kind_of(text) == kind


def test_unknown_words_speak_for_themselves_and_are_cut() -> None:
    explanation = explain("<script>\n" + "x" * 5000)
    assert not explanation.known
    assert explanation.sentence.startswith("<script> xxx")
    assert len(explanation.sentence) <= 400
    assert explain("").sentence == "Velero gave no reason."


def test_the_same_meaning_is_said_once() -> None:
    texts = ["BSL a is unavailable", "BackupStorageLocation b is in Unavailable status.", "NoSuchBucket"]
    assert len(explain_all(texts)) == 2
